"""What a table should look like, and what one parsed piece of it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.grammar import ARROW_TYPES, Kind

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """A column as the table names it, and what its values must be."""

    name: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True)
class Layout:
    """The columns of a table, in order, and which texts mean nothing."""

    columns: tuple[Column, ...]
    null_values: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, ARROW_TYPES[column.kind]) for column in self.columns])


@dataclass(frozen=True)
class Reject:
    """A row that did not make it: where it stands in its source, what is wrong, and its text as it was."""

    line: int
    column: str
    reason: str
    raw: str


@dataclass(frozen=True)
class Fault:
    """Rows (of a batch) that break one rule."""

    rows: Rows
    column: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What a source's rules make of a batch: its rows in their final shape, and those that can't stay."""

    batch: pa.RecordBatch
    faults: Sequence[Fault] = ()


class Rules(Protocol):
    """A source's own checks and mapping, applied in the workers. Row numbers in faults are those of the input."""

    def __call__(self, batch: pa.RecordBatch) -> Verdict: ...


@dataclass(frozen=True)
class Tally:
    """How the present values of one column fare under its kind, and under a wider one where they fail."""

    present: int
    bad: int = 0
    wider_bad: int = 0


Locate = Callable[[int], tuple[int, str]]


@dataclass(frozen=True)
class Extracted:
    """One block, taken apart: columns as text or already typed, and rows with the wrong number of fields.

    `origins` maps each row of `columns` to its record in the block; None means one to one. `locate` gives the
    physical line and the raw text of a record, and is only asked for rejects.
    """

    columns: dict[str, pa.Array]
    records: int
    ragged: tuple[tuple[int, str], ...]
    locate: Locate


@dataclass(frozen=True)
class Parsed:
    """One block, judged: typed rows that stay, rejects with line and text, and tallies for the types."""

    source: int
    read: int
    batch: pa.RecordBatch
    rejects: tuple[Reject, ...]
    rejected_records: Rows
    tallies: dict[str, Tally]
    guesses: dict[str, dict[Kind, int]] = field(default_factory=dict)
    size: int = 0
