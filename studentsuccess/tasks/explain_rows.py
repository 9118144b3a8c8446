"""The rows that an explanation is about: some, spread evenly over all, and the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.counts import Counts, rows_of
from studentsuccess.core.layout import Parsed, Reject, Rows
from studentsuccess.core.reporter import Reporter, Step
from studentsuccess.core.stream import stream
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.sources.landed import Reading
from studentsuccess.tasks.score_input import ScoreInput


@dataclass(frozen=True)
class Wanted:
    """A row by its place (from 1 on, rejected ones counted) or by its id, one text for each id column."""

    row: int | None = None
    student: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        return self.row is not None or bool(self.student)


@dataclass(frozen=True)
class FoundRow:
    """The features of one row, and where it stands."""

    batch: pa.RecordBatch
    row: int
    shown: str
    alike: int = 1


@dataclass(frozen=True)
class Gathered:
    """What a reading of the input gave."""

    sample: pa.RecordBatch
    found: FoundRow | None
    counts: Counts
    first_reject: str


class EvenSample:
    """At most so many rows, evenly over a stream of unknown length: the same ones whatever the blocks are."""

    def __init__(self, most: int, schema: pa.Schema) -> None:
        self._most, self._schema = most, schema
        self._stride, self._seen, self._held = 1, 0, 0
        self._parts: list[pa.RecordBatch] = []

    def put(self, batch: pa.RecordBatch) -> None:
        """Take every so many rows; when they become too many, half of them."""
        rows = np.arange(-self._seen % self._stride, batch.num_rows, self._stride)
        self._seen += batch.num_rows
        if len(rows):
            self._parts.append(_taken(batch, rows, self._schema))
            self._held += len(rows)
        while self._held > 2 * self._most:
            kept = self._joined()
            self._parts = [kept.take(pa.array(np.arange(0, kept.num_rows, 2)))]
            self._held = self._parts[0].num_rows
            self._stride *= 2

    def rows(self) -> pa.RecordBatch:
        """The sample, no larger than was asked for."""
        kept = self._joined()
        if kept.num_rows <= self._most:
            return kept
        middles = (np.arange(self._most) + 0.5) * kept.num_rows / self._most
        return kept.take(pa.array(middles.astype(np.int64)))

    def _joined(self) -> pa.RecordBatch:
        return joined(self._parts, self._schema)


def joined(parts: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Batches as one."""
    table = pa.Table.from_batches(parts, schema).combine_chunks()
    return next(iter(table.to_batches()), pa.RecordBatch.from_pylist([], schema))


def plain_schema(given: ScoreInput) -> pa.Schema:
    """The features alone, texts as texts: blocks have codes of their own."""
    fields = [one for one in given.layout.schema() if one.name not in given.ids]
    return pa.schema([pa.field(one.name, pa.string()) if pa.types.is_dictionary(one.type) else one for one in fields])


def _taken(batch: pa.RecordBatch, rows: Rows, schema: pa.Schema) -> pa.RecordBatch:
    columns = [batch.column(field.name).take(pa.array(rows)) for field in schema]
    plain = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in columns]
    return pa.RecordBatch.from_arrays(plain, schema=schema)


def read_rows(given: ScoreInput, reading: Reading, most: int, wanted: Wanted, reporter: Reporter) -> Gathered:
    """Go through the input once. A row that was asked for and is not there, or can't be read, is an error."""
    step = reporter.step("reading", None)
    try:
        return _Search(given, most, wanted).through(reading, step)
    finally:
        step.close()


class _Search:
    """One reading: what was kept, what was found, and the books."""

    def __init__(self, given: ScoreInput, most: int, wanted: Wanted) -> None:
        self._given, self._wanted = given, wanted
        self._schema = plain_schema(given)
        self._sample = EvenSample(most, self._schema)
        self._read = self._kept = self._rejected = 0
        self._first_reject = ""
        self._found: FoundRow | None = None
        self._alike = 0

    def through(self, reading: Reading, step: Step) -> Gathered:
        for parsed in stream(self._given.inputs, self._given.layout, reading.stream):
            self._sample.put(parsed.batch)
            if self._wanted.anything:
                self._look(parsed)
            self._book(parsed)
            step.advance(parsed.read, rejected=len(parsed.rejects))
        counts = Counts(self._read, self._kept, self._rejected)
        counts.check("explain")
        self._refuse(reading, counts)
        found = self._found
        if found is not None:
            found = FoundRow(found.batch, found.row, found.shown, self._alike)
        return Gathered(self._sample.rows(), found, counts, self._first_reject)

    def _book(self, parsed: Parsed) -> None:
        if parsed.rejects and not self._first_reject:
            self._first_reject = f"{self._shown(parsed)}, {_where(parsed.rejects[0])}"
        self._read += parsed.read
        self._kept += parsed.batch.num_rows
        self._rejected += len(parsed.rejects)

    def _look(self, parsed: Parsed) -> None:
        """Whether the row is in this block, and the first of those with one id."""
        places = np.delete(np.arange(parsed.read, dtype=np.int64), parsed.rejected_records) + self._read + 1
        row = self._wanted.row
        if row is None:
            mine = np.flatnonzero(_with_id(parsed.batch, self._given.ids, self._wanted.student))
        elif row - self._read - 1 in parsed.rejected_records:
            self._refuse_rejected(parsed, row)
        else:
            mine = np.flatnonzero(places == row)
        self._alike += len(mine)
        if len(mine) and self._found is None:
            taken = _taken(parsed.batch, mine[:1], self._schema)
            self._found = FoundRow(taken, int(places[mine[0]]), self._shown(parsed))

    def _refuse_rejected(self, parsed: Parsed, row: int) -> None:
        place = int(np.searchsorted(parsed.rejected_records, row - self._read - 1))
        raise ContractError(
            f"{self._shown(parsed)}: row {row:,} can't be read: {_where(parsed.rejects[place])}",
            "mend it, or choose another one with `--row N`",
        )

    def _shown(self, parsed: Parsed) -> str:
        return self._given.inputs[parsed.source].origin.shown

    def _refuse(self, reading: Reading, counts: Counts) -> None:
        shown = self._given.inputs[0].origin.shown
        if not counts.read:
            raise ContractError(f"{shown}: 0 data rows", "export the file again, or name another one")
        if self._wanted.anything and self._found is None:
            raise _not_found(self._wanted, self._given, counts)
        if not counts.kept or not reading.max_rejects.allows(counts.rejected, counts.read):
            raise ContractError(
                f"{shown}: {counts.rejected:,} of {counts.read:,} rows can't be read, the first in"
                f" {self._first_reject}",
                "is it the right file? `ss score` puts every such row into its dead letters",
            )


def _where(reject: Reject) -> str:
    """The line and what is wrong with it, and nothing of its text."""
    column = f"`{reject.column}` " if reject.column else ""
    return f"line {reject.line:,}: {column}{reject.reason}"


def _with_id(batch: pa.RecordBatch, ids: Sequence[str], student: Sequence[str]) -> Rows:
    """Which rows have the id that was asked for, to the letter."""
    same = np.ones(batch.num_rows, bool)
    for name, text in zip(ids, student, strict=True):
        equal = pc.fill_null(pc.equal(batch.column(name), text), False)
        same &= np.asarray(equal.to_numpy(zero_copy_only=False), dtype=bool)
    return same


def _not_found(wanted: Wanted, given: ScoreInput, counts: Counts) -> UsageError:
    shown = ", ".join(dict.fromkeys(one.origin.shown for one in given.inputs))
    if wanted.row is not None:
        return UsageError(
            f"{shown}: there is no row {wanted.row:,}: it has {counts.read:,}", "rows count from 1, without the header"
        )
    unread = f", and {rows_of(counts.rejected)} could not be read" if counts.rejected else ""
    return UsageError(
        f"{shown}: no row has the {' and '.join(f'`{name}`' for name in given.ids)} that was asked for{unread}",
        "ids are compared to the letter; `--row N` names a row by its place",
    )
