"""Batches in the warehouse: who is with whom, where and when, for each place that they were written to."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.warehouse.sql import identifier

# In the order in which their foreign keys close.
TABLES = ("student_batches", "batch_student_membership", "batch_course_enrollment", "batch_resource_assignment")
# What the files show and the warehouse has no use for: it knows students by their ids.
PERSONAL = ("student_name",)


def replace_batches(connection: DuckDBPyConnection, output: str, tables: Mapping[str, pa.Table]) -> None:
    """These rows in place of those of the same `output`; for the `work` of a commit."""
    for name in TABLES:
        table = tables[name]
        kept = table.drop_columns([column for column in PERSONAL if column in table.column_names])
        connection.execute(f"DELETE FROM batch.{identifier(name)} WHERE output = $output", {"output": output})  # noqa: S608
        connection.register("incoming", kept)
        connection.execute(
            f"INSERT INTO batch.{identifier(name)} BY NAME SELECT $output AS output, * FROM incoming",  # noqa: S608
            {"output": output},
        )
        connection.unregister("incoming")
