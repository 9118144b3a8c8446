"""The four tables of a batching run, and what it says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from studentsuccess.batching.checker.tables import Column, Ints, read_table
from studentsuccess.errors import ContractError

COLUMNS = {
    "student_batches": (
        "batch_id", "batch_code", "program_id", "academic_year", "size", "coherence", "program_consistency",
        "resource_efficiency", "violations",
    ),
    "batch_student_membership": (
        "membership_id", "batch_id", "student_id", "student_name", "program_id", "academic_year", "enrollment_date",
        "membership_status",
    ),
    "batch_course_enrollment": (
        "enrollment_id", "batch_id", "course_id", "course_name", "credit_hours", "enrollment_status",
        "expected_students", "capacity_utilization",
    ),
    "batch_resource_assignment": ("assignment_id", "batch_id", "room_id", "shift_id", "room_capacity", "utilization"),
}  # fmt: skip
BATCHES, MEMBERS, ENROLMENTS, ASSIGNMENTS = COLUMNS
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# A spreadsheet would run what begins so; a quote in front keeps it from that, except where it is a number.
_RUNS = re.compile(r"^[=+\-@\t\r]")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$", re.ASCII)


@dataclass(frozen=True)
class Written:
    """The tables by their names, and quality.json."""

    tables: Mapping[str, Mapping[str, Column]]
    said: Mapping[str, Any]
    strange_ids: int  # rows whose own id is no UUID of a name
    repeated_ids: int

    @property
    def batch_ids(self) -> tuple[str, ...]:
        return tuple(self.tables[BATCHES]["batch_id"].texts())

    def batch_of(self, table: str) -> Ints:
        """The batch of every row, by its place in student_batches; -1 where there is none of that id."""
        place = {one: at for at, one in enumerate(self.batch_ids)}
        return through(self.tables[table]["batch_id"], place)


def through(column: Column, place: Mapping[str, int]) -> Ints:
    """The place of every row's text, -1 where it has none."""
    return np.array([place.get(label, -1) for label in column.labels] + [-1], np.int64)[column.codes]


def read_written(out: Path) -> Written:
    tables: dict[str, dict[str, Column]] = {}
    strange = repeated = 0
    for name, columns in COLUMNS.items():
        path = out / f"{name}.csv"
        if not path.is_file():
            raise ContractError(f"{path} is not there", "make it again: `ss batch process DIR -o OUT`")
        tables[name] = read_table(path, columns, nulls=frozenset())
        missing = [column for column in columns if column not in tables[name]]
        if missing:
            raise ContractError(f"{path} has no column `{missing[0]}`", "make it again: `ss batch process DIR -o OUT`")
        own = tables[name][columns[0]]
        strange += sum(not is_named_uuid(one) for one in own.labels)
        repeated += len(own.codes) - len(own.labels)
        if name != BATCHES:  # nobody refers to it, and it is as large as all the rest
            del tables[name][columns[0]]
    try:
        said = json.loads((out / "quality.json").read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise ContractError(f"{out / 'quality.json'} can't be read", "make it again: `ss batch process`") from problem
    return Written(tables, said, strange, repeated)


def guarded(text: str) -> str:
    """A text of the term as it is written for spreadsheets."""
    return "'" + text if _RUNS.match(text) and not _NUMBER.match(text) else text


def is_named_uuid(text: str) -> bool:
    """Whether an id is a digest of a name: a UUID of version 5 (RFC 9562), written as usual."""
    return _UUID.fullmatch(text) is not None
