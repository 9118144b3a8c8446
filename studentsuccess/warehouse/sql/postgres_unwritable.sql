-- A table of these that exists and can't be written.
SELECT relation.relname
FROM pg_class AS relation
JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
WHERE
    schema.nspname = %(schema)s
    AND relation.relname = ANY(%(tables)s)
    AND NOT (
        relation.relkind IN ('r', 'p')
        AND has_table_privilege(relation.oid, 'SELECT')
        AND has_table_privilege(relation.oid, 'INSERT')
        AND has_table_privilege(relation.oid, 'DELETE')
    )
ORDER BY relation.relname
