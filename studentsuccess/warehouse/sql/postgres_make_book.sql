CREATE TABLE {table} (
    table_name text PRIMARY KEY,
    row_count bigint NOT NULL,
    digest text NOT NULL,
    run_id text NOT NULL,
    published_at timestamptz NOT NULL
)
