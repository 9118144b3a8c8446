"""One table of a term: its rows as text, what is wrong with which of them, and the books of what becomes of each.

Rows are found again in their file only when something is to be said of them, by reading it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.batching.input_fields import unique
from studentsuccess.batching.input_files import unreadable
from studentsuccess.batching.input_problems import LINES, VALUES_TOLD, Code, Findings, Problem, unknown
from studentsuccess.batching.input_roles import Role
from studentsuccess.batching.instance import Flags, Floats, Ints
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact
from studentsuccess.core.grammar import Kind, convert, reason
from studentsuccess.core.landing import SAME_ID, SourceBooks
from studentsuccess.core.layout import Column, Layout, Parsed, Reject
from studentsuccess.core.probe import Probe
from studentsuccess.core.stream import StreamSettings, find_records, stream
from studentsuccess.errors import ContractError

Positions = npt.NDArray[np.int64] | Flags
OpenLetters = Callable[[str], DeadLetters]


@dataclass(frozen=True)
class Fault:
    """Rows that break one rule, or that something is to be said of."""

    rows: Ints
    code: Code
    column: str
    message: str
    fix: str = ""
    warning: bool = False


@dataclass
class Sheet:
    """All rows of a role's files. In `lenient` reading, those with a fault stand no longer."""

    role: Role
    probes: tuple[Probe, ...]
    table: pa.Table
    books: tuple[SourceBooks, ...]
    facts: tuple[FileFact, ...]
    ragged: tuple[tuple[int, Reject], ...]
    settings: StreamSettings
    lenient: bool
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bad = np.zeros(self.table.num_rows, bool)
        self.repeated = np.zeros(self.table.num_rows, bool)

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def stands(self) -> Flags:
        """The rows that count. Without `lenient` a bad one counts too, so that it is not also missed elsewhere."""
        return ~self.repeated & ~self.bad if self.lenient else ~self.repeated

    def has(self, name: str) -> bool:
        return name in self.table.column_names

    def texts(self, name: str) -> pa.Array:
        """A column as text, nothing where it is not there."""
        if not self.has(name):
            return pa.nulls(self.rows, pa.string())
        column = _one(self.table.column(name))
        return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column

    def coded(self, name: str) -> pa.DictionaryArray:
        """A column as codes and the texts that they stand for."""
        if not self.has(name):
            return pa.nulls(self.rows, pa.string()).dictionary_encode()
        column = _one(self.table.column(name))
        return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()

    def missing(self, name: str) -> Flags:
        if not self.has(name):
            return np.ones(self.rows, bool)
        return np.asarray(self.table.column(name).is_null().to_numpy(), bool)

    def blame(
        self, rows: Positions, code: Code, column: str, message: str, fix: str = "", *, warning: bool = False
    ) -> None:
        """Say something of rows (positions or a mask); without `warning` they are bad."""
        found = np.flatnonzero(rows) if rows.dtype == bool else unique(rows.astype(np.int64))
        if not len(found):
            return
        self.faults.append(Fault(found, code, column, message, fix, warning))
        if not warning:
            self.bad[found] = True

    def blame_unknown(
        self, rows: Ints, values: Sequence[str], known: Sequence[str], what: str, column: str, *, warning: bool = False
    ) -> None:
        """Rows that refer to what nobody defines: the most frequent values one by one, the rest together."""
        coded = pa.array(values, pa.string()).dictionary_encode()
        texts, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        counts = np.bincount(codes, minlength=len(texts)).tolist()
        often = sorted(range(len(texts)), key=lambda code: (-counts[code], texts[code]))
        for code in often[:VALUES_TOLD]:
            message, fix = unknown(what, texts[code], known)
            self.blame(rows[codes == code], Code.ORPHAN_REFERENCE, column, message, fix, warning=warning)
        rest = np.isin(codes, often[VALUES_TOLD:])
        message = f"no such {what}: {len(texts) - VALUES_TOLD:,} other values"
        self.blame(rows[rest], Code.ORPHAN_REFERENCE, column, message, warning=warning)

    def require(self, *names: str) -> None:
        """Rows in which one of these is empty are bad."""
        for name in names:
            self.blame(self.missing(name), Code.BAD_VALUE, name, "is empty")

    def numbers(self, name: str, *, whole: bool = False, least: float | None = None) -> Floats:
        """A column as numbers, NaN where there is none; what is no number, or too small, is blamed."""
        texts = self.texts(name)
        kind = Kind.INTEGER if whole else Kind.DECIMAL
        typed = convert(texts, kind)
        if typed.bad is not None and typed.bad.any():
            said = np.array([reason(text, kind) for text in texts.filter(pa.array(typed.bad)).to_pylist()])
            for why in np.unique(said):
                self.blame(np.flatnonzero(typed.bad)[said == why], Code.BAD_VALUE, name, str(why))
        values = pc.cast(typed.values, pa.float64()).to_numpy(zero_copy_only=False)
        if least is not None:
            self.blame(values < least, Code.BAD_VALUE, name, f"must be at least {least:g}")
        return np.asarray(values, np.float64)

    def settle_keys(self) -> None:
        """A row that is there twice counts once; one id with two contents is no id."""
        keys = [name for name in self.role.key if self.has(name)]
        groups = _groups([self.texts(name) for name in keys])
        counts = np.bincount(groups, minlength=1) if len(groups) else np.zeros(1, np.int64)
        suspects = np.flatnonzero((counts[groups] > 1) & ~np.logical_and.reduce([self.missing(name) for name in keys]))
        if not len(suspects):
            return
        everything = [_one(column).take(pa.array(suspects)) for column in self.table.columns]
        repeats, conflicts = _settled(groups[suspects], _groups(everything))
        self.repeated[suspects[repeats]] = True
        column = ", ".join(keys)
        again = "the same row once more: it counts once"
        self.blame(suspects[repeats], Code.DUPLICATE_ID, column, again, warning=True)
        self.blame(suspects[conflicts], Code.DUPLICATE_ID, column, SAME_ID, "keep the row that is right")

    def counts(self) -> tuple[Counts, ...]:
        """The books of each file: what was read is kept, rejected or a repeat."""
        found, first = [], 0
        for source, book in enumerate(self.books):
            mine = slice(first, first + book.staged)
            bad, repeated = self.bad[mine], self.repeated[mine] & ~self.bad[mine]
            ragged = sum(1 for origin, _ in self.ragged if origin == source)
            kept = book.staged - int(bad.sum()) - int(repeated.sum())
            found.append(Counts(book.read, kept, ragged + int(bad.sum()), int(repeated.sum())))
            found[-1].check(self.probes[source].given.origin.shown)
            first += book.staged
        return tuple(found)

    def tell(self, findings: Findings, open_letters: OpenLetters | None) -> DeadLetters | None:
        """Everything that is wrong here as findings with their lines; in `lenient` reading bad rows go to a file."""
        rejected = any(counts.rejected for counts in self.counts())
        letters = open_letters(self.role.name) if open_letters and self.lenient and rejected else None
        if letters is not None:
            self._write(letters)
        self._tell_ragged(findings)
        lines = self._lines()
        for fault in self.faults:
            for source, rows in self._by_source(fault.rows):
                named = tuple(lines[row] for row in rows[:LINES].tolist() if row in lines)
                findings.add(self._problem(fault, source, named, len(rows)))
        return letters

    def _problem(self, fault: Fault, source: int, lines: tuple[int, ...], count: int) -> Problem:
        softened = self.lenient and not fault.warning
        file = self.probes[source].given.origin.shown
        said = fault.message + (": left out" if softened else "")
        first = min(lines, default=None)
        return Problem(fault.code, said, fault.fix, file, first, fault.column, fault.warning or softened, count, lines)

    def _tell_ragged(self, findings: Findings) -> None:
        by_reason: dict[tuple[int, str, str], list[int]] = {}
        for source, reject in self.ragged:
            by_reason.setdefault((source, reject.column, reject.reason), []).append(reject.line)
        for (source, column, why), lines in by_reason.items():
            fault = Fault(np.zeros(0, np.int64), Code.BAD_ROW, column, why, "mend the row's quotes and delimiters")
            findings.add(self._problem(fault, source, tuple(lines[:LINES]), len(lines)))

    def _by_source(self, rows: Ints) -> Iterator[tuple[int, Ints]]:
        first = 0
        for source, book in enumerate(self.books):
            mine = rows[(rows >= first) & (rows < first + book.staged)]
            if len(mine):
                yield source, mine
            first += book.staged

    def _lines(self) -> dict[int, int]:
        """The line of every row that a finding names."""
        named = [rows[:LINES] for fault in self.faults for _, rows in self._by_source(fault.rows)]
        wanted = unique(np.concatenate([np.zeros(0, np.int64), *named]))
        return {row: line for row, _, line, _ in self._places(wanted)}

    def _places(self, rows: Ints) -> Iterator[tuple[int, int, int, str]]:
        """Row, source, line and text of some rows, in order."""
        first = 0
        for source, book in enumerate(self.books):
            mine = rows[(rows >= first) & (rows < first + book.staged)]
            first += book.staged
            if not len(mine):
                continue
            records = book.records(mine - (first - book.staged))
            places = find_records(self.probes[source].given, records, self.settings)
            for row, (line, raw) in zip(mine.tolist(), places, strict=False):
                yield row, source, line, raw

    def _write(self, letters: DeadLetters) -> None:
        """Every bad row with the first reason found."""
        why: dict[int, Fault] = {}
        for fault in reversed([fault for fault in self.faults if not fault.warning]):
            why.update(dict.fromkeys(fault.rows.tolist(), fault))
        for source, reject in self.ragged:
            letters.add(self.probes[source].given.origin.shown, [reject])
        for row, source, line, raw in self._places(np.flatnonzero(self.bad)):
            fault = why[row]
            letters.add(self.probes[source].given.origin.shown, [Reject(line, fault.column, fault.message, raw)])
        letters.close()


def _one(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _groups(columns: Sequence[pa.Array]) -> Ints:
    """A number a row; rows that are equal in all columns, and no others, have the same."""
    groups = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        _, groups = np.unique(groups * (len(coded.dictionary) + 1) + codes, return_inverse=True)
    return np.asarray(groups, np.int64)


def _settled(ids: Ints, contents: Ints) -> tuple[Flags, Flags]:
    """Of rows that share their id: those that repeat an earlier row, and those whose id stands for several contents."""
    pairs = np.unique(np.stack([ids, contents]), axis=1)
    several = np.bincount(pairs[0], minlength=int(ids.max()) + 1)[ids] > 1
    first = np.zeros(len(ids), bool)
    first[np.unique(contents, return_index=True)[1]] = True
    return ~first & ~several, several


def read_sheet(
    role: Role,
    probes: tuple[Probe, ...],
    nulls: tuple[str, ...],
    settings: StreamSettings,
    findings: Findings,
    *,
    lenient: bool,
) -> Sheet | None:
    """All rows of the files of a role, or None where one can't be read."""
    batches: list[pa.Table] = []
    books: list[SourceBooks] = []
    facts: list[FileFact] = []
    ragged: list[tuple[int, Reject]] = []
    for source, one in enumerate(probes):
        layout, names = _layout(role, one, nulls)
        book = SourceBooks()
        try:
            for parsed in stream([one.given], layout, settings):
                batches.append(pa.table(parsed.batch.columns, names=names))
                _book(book, parsed)
                ragged.extend((source, reject) for reject in parsed.rejects)
        except ContractError as problem:
            findings.add(unreadable(one.given.origin.shown, problem))
            return None
        books.append(book)
        facts.append(one.given.origin.fact())
    names = _layout(role, probes[0], nulls)[1]
    table = pa.concat_tables([batch.select(names) for batch in batches]) if batches else _empty(names)
    return Sheet(role, probes, table.unify_dictionaries(), tuple(books), tuple(facts), tuple(ragged), settings, lenient)


def _layout(role: Role, one: Probe, nulls: tuple[str, ...]) -> tuple[Layout, list[str]]:
    """The columns to read, as text, and what we call them. Of pairs, which are many, only those that we know."""
    known = {field.name for field in role.fields}
    kind, every = (Kind.LABEL, False) if len(role.key) > 1 else (Kind.TEXT, True)
    names = dict(zip(reversed(role.canonical(one.names)), reversed(one.names), strict=True))
    wanted = {ours: theirs for ours, theirs in names.items() if every or ours in known} or names
    return Layout(tuple(Column(theirs, kind) for theirs in wanted.values()), nulls), list(wanted)


def _book(book: SourceBooks, parsed: Parsed) -> None:
    if len(parsed.rejected_records):
        book.rejected.append(parsed.rejected_records + book.read)
    book.read += parsed.read
    book.staged += parsed.batch.num_rows


def _empty(names: Sequence[str]) -> pa.Table:
    return pa.table([pa.array([], pa.string()) for _ in names], names=list(names))
