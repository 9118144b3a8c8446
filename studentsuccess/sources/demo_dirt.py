"""The bad rows that the demo plants, and the sink that puts them among the good ones and remembers where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from studentsuccess.sources.demo_request import DemoRequest

BAD_NUMBER, NOT_FINITE, TOO_FEW, TOO_MANY, ORPHAN = (
    "bad number",
    "not finite",
    "too few fields",
    "too many fields",
    "orphan student",
)
# Far above any id that a student gets: a stranger to every table.
STRANGER = 98_000_001


@dataclass(frozen=True)
class Defect:
    """What is wrong with one planted row: in which column (where that can be said) and with which text."""

    kind: str
    column: str = ""
    text: str = ""


@dataclass(frozen=True)
class Planted:
    """A defect as it came to stand in a file; lines are physical, counted from 1 with the header."""

    file: str
    line: int
    defect: Defect
    raw: str


_SHORT, _LONG = Defect(TOO_FEW), Defect(TOO_MANY, text="0")
_STRANGER = Defect(ORPHAN, "id_student", "99000001")
_DEFECTS = {
    "studentVle": (
        Defect(BAD_NUMBER, "date", "12th"),
        Defect(NOT_FINITE, "sum_click", "inf"),
        _STRANGER,
        _SHORT,
        Defect(BAD_NUMBER, "sum_click", "three"),
        _LONG,
    ),
    "studentAssessment": (
        Defect(BAD_NUMBER, "score", "eighty"),
        _STRANGER,
        Defect(NOT_FINITE, "score", "NaN"),
        _LONG,
        _SHORT,
    ),
    "studentRegistration": (
        Defect(BAD_NUMBER, "date_registration", "-1O2"),
        _STRANGER,
        _SHORT,
        Defect(NOT_FINITE, "date_registration", "1e999"),
    ),
    "studentInfo": (
        Defect(BAD_NUMBER, "num_of_prev_attempts", "two"),
        _LONG,
        Defect(NOT_FINITE, "studied_credits", "-inf"),
    ),
}
# Below one bad row in 250, whatever the size: a small demo must stay within the default limit of rejects too.
_STUDENTS_PER_DEFECT = {"studentVle": 50, "studentAssessment": 100}
_OTHERWISE = 250


def defects(request: DemoRequest, table: str) -> tuple[Defect, ...]:
    """What will be planted in a table of a demo of this size."""
    return _DEFECTS.get(table, ())[: request.students // _STUDENTS_PER_DEFECT.get(table, _OTHERWISE)]


class CsvSink:
    """A CSV file that grows by Arrow tables, unquoted, with line feeds; `parts` is how many tables to expect."""

    def __init__(self, path: Path, header: list[str], planned: tuple[Defect, ...] = (), parts: int = 1) -> None:
        self.rows, self.planted = 0, list[Planted]()
        self._name, self._header = path.name, header
        self._planned, self._parts, self._part = planned, parts, 0
        self._sink = path.open("wb")
        self._sink.write((",".join(header) + "\n").encode())

    def close(self) -> None:
        self._sink.close()

    def write(self, table: pa.Table) -> None:
        """The rows of a table, with the defects that are due by now spread among them."""
        self._part += 1
        due = len(self._planned) * self._part // self._parts if table.num_rows else 0
        defects_here = self._planned[len(self.planted) : due]
        start = 0
        for number, defect in enumerate(defects_here, 1):
            stop = table.num_rows * number // (len(defects_here) + 1)
            self._write_rows(table.slice(start, stop - start))
            self._plant(defect, table.slice(stop, 1))
            start = stop
        self._write_rows(table.slice(start))

    def _write_rows(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        text = pa.BufferOutputStream()
        pa.csv.write_csv(table, text, pa.csv.WriteOptions(include_header=False, quoting_style="none"))
        self._sink.write(text.getvalue())
        self.rows += table.num_rows

    def _plant(self, defect: Defect, example: pa.Table) -> None:
        raw = ",".join(self._spoil(example.to_pylist()[0], defect))
        line = 2 + self.rows + len(self.planted)
        self.planted.append(Planted(self._name, line, defect, raw))
        self._sink.write((raw + "\n").encode())

    def _spoil(self, row: dict[str, Any], defect: Defect) -> list[str]:
        """A copy of a good row with one thing wrong; in studentInfo a student of its own, not a repeated key."""
        fields = {name: "" if value is None else str(value) for name, value in row.items()}
        if self._name == "studentInfo.csv":
            fields["id_student"] = str(STRANGER + len(self.planted))
        if defect.column:
            fields[defect.column] = defect.text
        values = list(fields.values())
        return values[:-1] if defect.kind == TOO_FEW else [*values, defect.text] if defect.kind == TOO_MANY else values
