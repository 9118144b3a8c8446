"""The DuckDB file: migrations, transactions, the ledger. The only home of duckdb."""
