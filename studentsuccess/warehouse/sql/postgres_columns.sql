SELECT relation.relname, attribute.attname, format_type(attribute.atttypid, attribute.atttypmod)
FROM pg_class AS relation
JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
WHERE
    schema.nspname = %(schema)s
    AND relation.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY relation.relname, attribute.attnum
