INSERT INTO {table} (table_name, row_count, digest, run_id, published_at)
VALUES (%(name)s, %(rows)s, %(digest)s, %(run_id)s, %(at)s)
