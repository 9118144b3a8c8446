"""What the warehouse holds, counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.warehouse.migrate import has_table
from studentsuccess.warehouse.runs import StoredRun
from studentsuccess.warehouse.sql import identifier, statement


def table_rows(connection: DuckDBPyConnection) -> dict[str, int]:
    """The rows of every table that holds data, as `schema.table`."""
    rows = {}
    for schema, table in connection.execute(statement("data_tables")).fetchall():
        count = connection.execute(f"SELECT count(*) FROM {identifier(schema)}.{identifier(table)}").fetchone()  # noqa: S608
        rows[f"{schema}.{table}"] = int(count[0]) if count else 0
    return rows


def rows_to_note(earlier: Sequence[StoredRun], before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What a run leaves: its own tables as they are now, and of those that it left alone what was noted for them.

    So rows that somebody else took away or brought stay in `ss verify` until the table is made again.
    """
    noted: dict[str, int] = json.loads(earlier[-1].ledger_line)["warehouse_rows"] if earlier else {}
    alone = {table: rows for table, rows in noted.items() if before.get(table) == after.get(table)}
    empty = {table: 0 for table, rows in after.items() if rows == 0 and table not in noted}
    return empty | alone | {table: rows for table, rows in after.items() if rows != before.get(table)}


def has_rows(connection: DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether a table is there and holds anything."""
    if not has_table(connection, schema, table):
        return False
    found = connection.execute(f"SELECT 1 FROM {identifier(schema)}.{identifier(table)} LIMIT 1").fetchone()  # noqa: S608
    return found is not None


def enrolments(connection: DuckDBPyConnection) -> pa.Table:
    """Who is enrolled in what: enrollment_id, course_id, term, student_id."""
    return connection.execute(statement("enrolments")).to_arrow_table()
