CREATE TABLE IF NOT EXISTS mart_publication (
    table_name TEXT PRIMARY KEY,
    row_count INTEGER NOT NULL,
    digest TEXT NOT NULL,
    run_id TEXT NOT NULL,
    published_at TEXT NOT NULL
)
