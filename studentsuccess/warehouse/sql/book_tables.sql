-- The book about the data: who did what, what was registered, who was called.
SELECT schema_name || '.' || table_name
FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = 'ops'
ORDER BY table_name
