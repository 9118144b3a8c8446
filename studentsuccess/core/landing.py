"""One table landed: streamed into a staging file, repeats settled, types decided over the whole of it.

The staging file is Arrow IPC without compression: writing it costs next to nothing, and the second look that
duplicates, conflicts and the final Parquet file need is a sequential read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.duplicates import Hashes, Repeats, Suspicion, fingerprints, settle
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Layout, Parsed, Reject, Rows, Rules, Tally
from studentsuccess.core.reporter import Step
from studentsuccess.core.staged import HASH, Staged, StagingWriter
from studentsuccess.core.stream import Hints, Input, StreamSettings, find_records, stream

SAME_ID = "the same id with different contents"
SETTLE_BYTES = 4 << 20


@dataclass(frozen=True)
class Task:
    """What to land and how: where repeats are looked for (`keys`; nothing: nowhere), and whether they are dropped.

    With `unique` a key stands for one row: other contents under the same key are a conflict.
    """

    table: str
    inputs: tuple[Input, ...]
    layout: Layout
    settings: StreamSettings
    rules: Rules | None = None
    keys: tuple[str, ...] = ()
    unique: bool = False
    drop: bool = False
    expected_rows: int = 100_000
    guess: bool = False
    tolerance: float = 0.01
    keep_open: frozenset[str] = frozenset()
    labels: bool = False

    @property
    def read_as(self) -> Layout:
        """The layout of the batches: with `labels` a text comes as a code and the texts that the block has."""
        if not self.labels:
            return self.layout
        return replace(
            self.layout,
            columns=tuple(
                replace(column, kind=Kind.LABEL) if column.kind is Kind.TEXT else column
                for column in self.layout.columns
            ),
        )


@dataclass
class SourceBooks:
    """What one input gave: enough to find any staged row's record in it again."""

    read: int = 0
    staged: int = 0
    rejected: list[Rows] = field(default_factory=list)

    def records(self, positions: Rows) -> Rows:
        """The record behind each staged position of this input."""
        gone = np.concatenate(self.rejected) if self.rejected else np.zeros(0, np.int64)
        before = gone - np.arange(len(gone))
        return positions + np.searchsorted(before, positions, side="right")


@dataclass
class Pass:
    """One reading of all inputs: the staging file and all that was learned on the way."""

    staging: Path
    schema: pa.Schema
    books: list[SourceBooks]
    tallies: dict[str, Tally]
    guesses: dict[str, dict[Kind, int]]
    closed: dict[str, int]
    suspicion: Suspicion | None

    @property
    def staged_file(self) -> Staged:
        return Staged(self.staging, self.schema)

    @property
    def staged(self) -> int:
        return sum(book.staged for book in self.books)

    @property
    def read(self) -> int:
        return sum(book.read for book in self.books)


def new_pass(task: Task, staging: Path) -> Pass:
    """The books of a reading that has not begun."""
    suspicion = Suspicion(task.expected_rows) if task.keys else None
    return Pass(staging, pa.schema([]), [SourceBooks() for _ in task.inputs], {}, {}, {}, suspicion)


def observe(task: Task, found: Pass, letters: DeadLetters, step: Step) -> Iterator[Parsed]:
    """Every block of every input once, in order and booked; rejects go to the dead letters as they come."""
    hints = Hints(open_guesses=_texts(task) if task.guess else set(), exact_guesses=task.keep_open)
    closing = _Closing(task, hints, found)
    seen = 0
    for parsed in stream(task.inputs, task.read_as, task.settings, task.rules, hints):
        _book(parsed, task, found, letters)
        yield parsed
        seen += parsed.size
        foreseen = _foreseen(task, found, seen)
        step.expect(foreseen)
        closing.look(parsed, foreseen)
        step.advance(parsed.read, rejected=len(parsed.rejects))
    letters.close()


def run_pass(task: Task, staging: Path, letters: DeadLetters, step: Step) -> Pass:
    """Read every input once into the staging file."""
    found = new_pass(task, staging)
    staging.parent.mkdir(parents=True, exist_ok=True)
    with StagingWriter(staging, _shape(task), hashed=bool(task.keys)) as writer:
        found.schema = writer.schema
        for parsed in observe(task, found, letters, step):
            writer.put(_with_hashes(parsed.batch, task, found))
    return found


def _foreseen(task: Task, found: Pass, seen: int) -> int:
    """How many rows there will be, by the width of those so far; compressed files hold more than that."""
    size = sum(given.origin.path.stat().st_size for given in task.inputs)
    return max(found.read, int(found.read * size / max(seen, 1)))


def _shape(task: Task) -> pa.Schema:
    """The shape that the rules give every batch: that of an empty one."""
    empty = pa.RecordBatch.from_pylist([], schema=task.layout.schema())
    return task.rules(empty).batch.schema if task.rules else empty.schema


def _book(parsed: Parsed, task: Task, found: Pass, letters: DeadLetters) -> None:
    book = found.books[parsed.source]
    if len(parsed.rejected_records):
        book.rejected.append(parsed.rejected_records + book.read)
        letters.add(task.inputs[parsed.source].origin.shown, parsed.rejects)
    book.read += parsed.read
    book.staged += parsed.batch.num_rows
    for name, tally in parsed.tallies.items():
        old = found.tallies.get(name, Tally(0))
        found.tallies[name] = Tally(old.present + tally.present, old.bad + tally.bad, old.wider_bad + tally.wider_bad)
    for name, refused in parsed.guesses.items():
        so_far = found.guesses.setdefault(name, {})
        for kind, count in refused.items():
            so_far[kind] = so_far.get(kind, 0) + count


def _with_hashes(batch: pa.RecordBatch, task: Task, found: Pass) -> pa.RecordBatch:
    if found.suspicion is None:
        return batch
    hashes = fingerprints(batch, task.keys)
    found.suspicion.see(hashes)
    return batch.append_column(HASH, pa.array(hashes))


def _texts(task: Task) -> set[str]:
    return {column.name for column in task.layout.columns if column.kind is Kind.TEXT}


class _Closing:
    """Stops trying other kinds on a text column once too many values refuse them all, by an estimate.

    The estimate only saves time: what was closed too early shows at the end, and then the column is tried in full.
    """

    def __init__(self, task: Task, hints: Hints, found: Pass) -> None:
        self._hints, self._found = hints, found
        self._tolerance = task.tolerance * GUESS_MARGIN
        self._keep_open = task.keep_open

    def look(self, parsed: Parsed, foreseen: int) -> None:
        for name in [name for name in parsed.guesses if name in self._hints.open_guesses]:
            least = min(self._found.guesses[name].values(), default=0)
            if name not in self._keep_open and least > self._tolerance * foreseen:
                self._hints.open_guesses.discard(name)
                self._found.closed[name] = least


# How far the foreseen number of rows may be exceeded before a closed column has to be looked at again.
GUESS_MARGIN = 1.3


def settle_repeats(task: Task, found: Pass) -> Repeats:
    """Which staged rows repeat an earlier one, and which are in conflict: confirmed by content, in bounded memory."""
    nothing = np.zeros(0, np.int64)
    if found.suspicion is None:
        return Repeats(nothing, nothing, nothing)
    positions, hashes = found.suspicion.candidates(_hashes(found))
    if not len(positions):
        return Repeats(nothing, nothing, nothing)
    parts = max(1, int(len(positions) * _row_bytes(found) // SETTLE_BYTES) + 1)
    keys = task.keys if task.unique else found.schema.names
    share = hashes % np.uint64(parts)
    settled = [settle(*_gather(found, positions[share == part]), keys) for part in range(parts)]
    return Repeats(
        np.sort(np.concatenate([one.duplicates for one in settled])),
        np.sort(np.concatenate([one.conflicts for one in settled])),
        np.sort(np.concatenate([one.conflict_first for one in settled])),
    )


def _row_bytes(found: Pass) -> int:
    return max(16, found.staging.stat().st_size // max(found.staged, 1))


def _hashes(found: Pass) -> Iterator[Hashes]:
    for batch in found.staged_file.batches([HASH]):
        yield batch.column(0).to_numpy()


def _gather(found: Pass, positions: Rows) -> tuple[pa.Table, Rows]:
    ordered = np.sort(positions)
    picked, offset = [], 0
    for batch in found.staged_file.batches(found.schema.names):
        mine = ordered[(ordered >= offset) & (ordered < offset + batch.num_rows)] - offset
        if len(mine):
            picked.append(batch.take(pa.array(mine)))
        offset += batch.num_rows
    return pa.Table.from_batches(picked, found.schema), ordered


def reject_conflicts(task: Task, found: Pass, conflicts: Rows, letters: DeadLetters) -> None:
    """Rows whose id has two contents go to the dead letters, all of them: which one is true can't be known."""
    first = 0
    names = ", ".join(task.keys)
    for given, book in zip(task.inputs, found.books, strict=True):
        mine = conflicts[(conflicts >= first) & (conflicts < first + book.staged)] - first
        if len(mine):
            places = find_records(given, book.records(mine), task.settings)
            letters.add(
                given.origin.shown,
                (Reject(line, names, SAME_ID, raw) for line, raw in places),
            )
        first += book.staged
    letters.close()


@dataclass(frozen=True)
class Settled:
    """The end of a landing: which staged rows go, and the books of all that was read."""

    gone: Rows
    counts: Counts
    repeats: int
    conflicts: int


def settle_all(task: Task, found: Pass, letters: DeadLetters, *, owned: int = 0) -> Settled:
    """Settle repeats and conflicts, and close the books.

    The first `owned` staged rows are in the dataset already: they are neither counted nor ever thrown out.
    """
    repeats = settle_repeats(task, found)
    conflicts = repeats.conflicts[repeats.conflicts >= owned] if task.unique else repeats.conflicts[:0]
    duplicates = repeats.duplicates[repeats.duplicates >= owned]
    if len(conflicts):
        reject_conflicts(task, found, conflicts, letters)
    dropped = duplicates if task.drop else duplicates[:0]
    gone = np.sort(np.concatenate([conflicts, dropped]))
    rejected = sum(len(rows) for book in found.books for rows in book.rejected) + len(conflicts)
    counts = Counts(found.read - owned, found.staged - owned - len(gone), rejected, len(dropped))
    counts.check(task.table)
    return Settled(gone, counts, len(duplicates), len(conflicts))
