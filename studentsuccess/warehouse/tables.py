"""What the warehouse holds, counted."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from studentsuccess.warehouse.sql import identifier, statement


def table_rows(connection: DuckDBPyConnection) -> dict[str, int]:
    """The rows of every table that holds data, as `schema.table`."""
    rows = {}
    for schema, table in connection.execute(statement("data_tables")).fetchall():
        count = connection.execute(f"SELECT count(*) FROM {identifier(schema)}.{identifier(table)}").fetchone()  # noqa: S608
        rows[f"{schema}.{table}"] = int(count[0]) if count else 0
    return rows
