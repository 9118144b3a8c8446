"""Courses that nobody took: rows as lists of tuples, in a warehouse of their own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import duckdb
import pyarrow as pa

from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.migrate import migrate

Row = tuple[Any, ...]
# The columns of `core`, in the order of the tuples.
COLUMNS: dict[str, tuple[tuple[str, pa.DataType], ...]] = {
    "course_run": (
        ("course_run_id", pa.string()), ("course_id", pa.string()), ("term", pa.string()), ("length_days", pa.int32()),
    ),
    "enrollment": (
        ("enrollment_id", pa.int32()), ("course_run_id", pa.string()), ("student_id", pa.string()),
        ("registered_day", pa.int32()), ("unregistered_day", pa.int32()), ("credits", pa.int32()),
        ("previous_attempts", pa.int32()), ("outcome", pa.string()),
    ),
    "demographic": (
        ("enrollment_id", pa.int32()), ("gender", pa.string()), ("region", pa.string()), ("education", pa.string()),
        ("deprivation", pa.string()), ("age_band", pa.string()), ("disability", pa.string()),
    ),
    "assessment": (
        ("assessment_id", pa.string()), ("course_run_id", pa.string()), ("type", pa.string()),
        ("due_day", pa.int32()), ("weight", pa.float64()),
    ),
    "submission": (
        ("assessment_id", pa.string()), ("enrollment_id", pa.int32()), ("submitted_day", pa.int32()),
        ("score", pa.float64()), ("banked", pa.bool_()),
    ),
    "activity": (
        ("enrollment_id", pa.int32()), ("day", pa.int32()), ("activity_type", pa.string()), ("clicks", pa.int32()),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Courses:
    """All rows of `core`."""

    course_run: Sequence[Row]
    enrollment: Sequence[Row]
    demographic: Sequence[Row] = field(default=())
    assessment: Sequence[Row] = field(default=())
    submission: Sequence[Row] = field(default=())
    activity: Sequence[Row] = field(default=())

    def shuffled(self, seed: int) -> Courses:
        """The same rows in another order."""
        draw = random.Random(seed)  # noqa: S311 - no secret
        mixed = {one.name: list(getattr(self, one.name)) for one in fields(self)}
        for rows in mixed.values():
            draw.shuffle(rows)
        return replace(self, **mixed)

    def fill(self, connection: Connection) -> None:
        """These rows in the place of those in `core`."""
        for name, columns in COLUMNS.items():
            rows: Sequence[Row] = getattr(self, name)
            values = list(zip(*rows, strict=True)) or [()] * len(columns)
            arrays = {column: pa.array(value, kind) for (column, kind), value in zip(columns, values, strict=True)}
            connection.execute(f"DELETE FROM core.{name}")  # noqa: S608 - a name of ours
            connection.register("made", pa.table(arrays))
            connection.execute(f"INSERT INTO core.{name} SELECT * FROM made")  # noqa: S608 - a name of ours
            connection.unregister("made")

    def opened(self) -> Connection:
        """A warehouse in memory that holds them."""
        connection = duckdb.connect(":memory:", config={"threads": 2})
        migrate(connection)
        self.fill(connection)
        return connection
