INSERT OR REPLACE INTO mart_publication (table_name, row_count, digest, run_id, published_at)
VALUES (:name, :rows, :digest, :run_id, :at)
