-- Whether nothing can be written at all, whether a table can be made, and whether the schema can be used.
SELECT
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
    coalesce(
        (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %(schema)s),
        has_database_privilege(current_database(), 'CREATE')
    ),
    coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %(schema)s), true)
