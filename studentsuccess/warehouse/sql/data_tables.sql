-- The tables that hold a user's data; `ops` is the book about them.
SELECT schema_name, table_name
FROM duckdb_tables()
WHERE
    database_name = current_database()
    AND schema_name IN ('raw', 'core', 'feature', 'ml', 'mart', 'batch')
ORDER BY schema_name, table_name
