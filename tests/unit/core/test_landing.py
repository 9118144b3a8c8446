"""A table landed from several inputs: every row that was read is kept, rejected or a repeat, and can be found again."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from loading import load_module

from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters, read_dead_letters
from studentsuccess.core.extract import Dialect
from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import Kind
from studentsuccess.core.landing import (
    Settled,
    SourceBooks,
    Task,
    run_pass,
    settle_all,
)
from studentsuccess.core.layout import Column, Fault, Layout, Verdict
from studentsuccess.core.origin import Origin
from studentsuccess.core.parallel import Engine
from studentsuccess.core.reporter import SilentStep
from studentsuccess.core.staged import write_parquet
from studentsuccess.core.stream import Input, StreamSettings, find_records
from studentsuccess.errors import SsError

EXAMPLES = examples(2_000, daily=50)
LAYOUT = Layout(
    (Column("id", Kind.INTEGER, required=True), Column("v", Kind.DECIMAL), Column("t", Kind.TEXT)), ("", "NA")
)
SAME = "the same id with different contents"
# Good rows with few ids, rows that can't stay, blank lines, and records of two lines.
PIECES = st.one_of(
    st.tuples(st.integers(0, 4), st.integers(0, 1)).map(lambda pair: f"{pair[0]},{pair[1]},x"),
    st.sampled_from(
        ["x,1,y", "1,nan,z", ",1,q", "1", "1,2,3,4", "", '3,1,"two\nlines"', '2,0,"a ""b"""', '9,1,st"ray']
    ),
)
FILES = st.lists(st.lists(PIECES, max_size=14), min_size=1, max_size=3)


@dataclass
class Books(SilentStep):
    """Progress as a test sees it."""

    rows: int = 0
    rejected: int = 0
    totals: list[int] = field(default_factory=list)

    def advance(self, rows: int, *, rejected: int = 0) -> None:
        self.rows += rows
        self.rejected += rejected

    def expect(self, total: int) -> None:
        self.totals.append(total)


@dataclass
class Result:
    """Everything that a landing leaves behind."""

    settled: Settled
    rows: list[tuple[object, ...]]
    letters: list[tuple[str, int, str, str]]
    step: Books

    @property
    def counts(self) -> Counts:
        return self.settled.counts


def _input(path: Path, text: str, names: tuple[str, ...] = ("id", "v", "t"), header: int = 0) -> Input:
    path.write_bytes(text.encode())
    return Input(Origin(path, path.name), Format.CSV, Dialect(",", names), header_records=header)


def _land(folder: Path, task: Task) -> Result:
    letters, step = DeadLetters(folder / "dlq.part", folder / "dlq.csv"), Books()
    letters.temp.unlink(missing_ok=True)
    found = run_pass(task, folder / "staging.arrow", letters, step)
    settled = settle_all(task, found, letters)
    rows = [tuple(row.values()) for batch in found.staged_file.kept(settled.gone) for row in batch.to_pylist()]
    written = list(read_dead_letters(letters.temp)) if letters.count else []
    assert len(written) == letters.count
    return Result(settled, rows, [(w.source, w.reject.line, w.reject.column, w.reject.raw) for w in written], step)


def _task(inputs: list[Input], block: int = 24, workers: int = 2, **more: object) -> Task:
    engine = Engine("threads", workers) if workers > 1 else Engine("serial")
    given = StreamSettings(block_bytes=block, batch_rows=4, engine=engine)
    return Task("t", tuple(inputs), LAYOUT, given, **more)  # type: ignore[arg-type]


@dataclass
class Truth:
    """What plain loops over plain text make of the same files."""

    read: int = 0
    good: list[tuple[str, int, tuple[object, ...], str]] = field(default_factory=list)
    bad: list[tuple[str, int, str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, files: dict[str, list[str]]) -> Truth:
        truth = cls()
        for name, pieces in files.items():
            line = 1
            for raw in pieces:
                if raw:
                    truth._take(name, line, raw)
                line += raw.count("\n") + 1
        return truth

    def _take(self, name: str, line: int, raw: str) -> None:
        self.read += 1
        fields = next(csv.reader(io.StringIO(raw, newline="")))
        column = "" if len(fields) != 3 else "id" if not fields[0].isdigit() else "v" if fields[1] == "nan" else None
        if column is not None:
            self.bad.append((name, line, column, raw))
        else:
            self.good.append((name, line, (int(fields[0]), float(fields[1]), fields[2]), raw))

    def settle(self, *, unique: bool) -> tuple[list[tuple[object, ...]], list[tuple[str, int, str, str]], int]:
        """Kept rows, conflicts and the number of repeats."""
        contents = defaultdict(set)
        for *_, row, _ in self.good:
            contents[row[0] if unique else row].add(row)
        kept, conflicts, seen = [], [], set()
        for name, line, row, raw in self.good:
            if len(contents[row[0] if unique else row]) > 1:
                conflicts.append((name, line, "id", raw))
            elif row not in seen:
                kept.append(row)
            seen.add(row)
        return kept, conflicts, len(self.good) - len(kept) - len(conflicts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landing")


@settings(max_examples=EXAMPLES, deadline=None)
@given(files=FILES, block=st.integers(8, 80), workers=st.integers(1, 3), unique=st.booleans())
def test_what_was_read_is_kept_rejected_or_a_repeat_and_each_as_plain_loops_say(
    folder: Path, files: list[list[str]], block: int, workers: int, unique: bool
) -> None:
    named = {f"{number}.csv": pieces for number, pieces in enumerate(files)}
    inputs = [_input(folder / name, "".join(f"{raw}\n" for raw in pieces)) for name, pieces in named.items()]
    keys = ("id",) if unique else LAYOUT.names
    result = _land(folder, _task(inputs, block, workers, keys=keys, unique=unique, drop=True, expected_rows=1))
    truth = Truth.of(named)
    kept, conflicts, repeats = truth.settle(unique=unique)
    assert result.rows == kept
    assert result.letters == [*truth.bad, *conflicts]
    assert result.counts == Counts(truth.read, len(kept), len(truth.bad) + len(conflicts), repeats)
    assert (result.settled.conflicts, result.settled.repeats) == (len(conflicts), repeats)
    assert (result.step.rows, result.step.rejected) == (truth.read, len(truth.bad))


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(files=FILES, keys=st.sampled_from([(), LAYOUT.names]))
def test_without_dropping_repeats_stay_and_are_counted_only_where_they_are_looked_for(
    folder: Path, files: list[list[str]], keys: tuple[str, ...]
) -> None:
    named = {f"{number}.csv": pieces for number, pieces in enumerate(files)}
    inputs = [_input(folder / name, "".join(f"{raw}\n" for raw in pieces)) for name, pieces in named.items()]
    result = _land(folder, _task(inputs, keys=keys))
    truth = Truth.of(named)
    assert result.rows == [row for *_, row, _ in truth.good]
    assert result.counts == Counts(truth.read, len(truth.good), len(truth.bad), 0)
    assert result.settled.repeats == (truth.settle(unique=False)[2] if keys else 0)


@settings(max_examples=EXAMPLES, deadline=None)
@given(fates=st.lists(st.booleans(), max_size=30), data=st.data())
def test_a_staged_position_leads_back_to_its_record_between_rejects(fates: list[bool], data: st.DataObject) -> None:
    gone = np.flatnonzero(~np.array(fates, bool)).astype(np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(gone)), max_size=3)))
    book = SourceBooks(rejected=[part for part in np.split(gone, cuts) if len(part)])
    staged = np.flatnonzero(np.array(fates, bool))
    assert book.records(np.arange(len(staged))).tolist() == staged.tolist()


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces=st.lists(PIECES, max_size=14), block=st.integers(8, 80), data=st.data())
def test_records_are_found_again_with_line_and_text(
    folder: Path, pieces: list[str], block: int, data: st.DataObject
) -> None:
    given_input = _input(folder / "f.csv", "id,v,t\n" + "".join(f"{raw}\n" for raw in pieces), header=1)
    truth = Truth.of({"f.csv": ["id,v,t", *pieces]})
    every = sorted([(line, raw) for _, line, _, raw in [*truth.good, *truth.bad]])[1:]
    wanted = sorted(data.draw(st.sets(st.integers(0, max(len(every) - 1, 0))))) if every else []
    found = find_records(given_input, np.array(wanted, np.int64), StreamSettings(block_bytes=block))
    assert list(found) == [every[record] for record in wanted]


def _dirty() -> ModuleType:
    return load_module("dirty_for_landing", Path(__file__).parents[2] / "bench" / "dirty.py")


@pytest.mark.parametrize("block", [1 << 14, 1 << 22])
def test_a_dirty_table_gives_exactly_its_truth(tmp_path: Path, block: int) -> None:
    dirty = _dirty()
    path = tmp_path / "dirty.csv"
    dirty.write_dirty(path, path.with_suffix(".truth.csv"), 40_000, 5)
    kinds = dict.fromkeys(dirty.COLUMNS, Kind.TEXT) | dict.fromkeys(dirty.DECIMALS, Kind.DECIMAL)
    kinds |= dict.fromkeys(("id", *dirty.INTEGERS), Kind.INTEGER)
    layout = Layout(tuple(Column(name, kinds[name]) for name in dirty.COLUMNS), dirty.NULL_TEXTS)
    source = Input(Origin(path, "dirty.csv"), Format.CSV, Dialect(",", dirty.COLUMNS))
    task = Task(
        "dirty",
        (source,),
        layout,
        StreamSettings(block_bytes=block, engine=Engine("threads", 2)),
        keys=("id",),
        unique=True,
        drop=True,
        expected_rows=50,
    )
    result = _land(tmp_path, task)
    totals, truth = dirty.read_totals(path.with_suffix(".truth.csv")), dirty.read_truth(path.with_suffix(".truth.csv"))
    assert result.counts == Counts(totals.read, totals.kept, totals.rejected, totals.duplicate)
    assert [(line, column, raw) for _, line, column, raw in result.letters] == [
        (t.line, t.column, t.raw) for t in truth
    ]
    for name, wanted in totals.sums.items():
        place = dirty.COLUMNS.index(name)
        assert sum(int(str(row[place])) for row in result.rows if row[place] is not None) == wanted


@pytest.mark.parametrize("rows", [100_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_of_many_distinct_rows_none_is_lost_to_a_filter_that_is_far_too_small(tmp_path: Path, rows: int) -> None:
    order = np.random.default_rng(1).permutation(rows)
    source = _input(tmp_path / "many.csv", "".join(f"{number},0.5,x\n" for number in order.tolist()))
    task = _task([source], 1 << 18, keys=("id",), unique=True, drop=True, expected_rows=1)
    result = _land(tmp_path, task)
    assert result.counts == Counts(rows, rows, 0, 0)
    assert [row[0] for row in result.rows] == order.tolist()


def test_a_file_full_of_repeats_keeps_the_first_of_each(tmp_path: Path) -> None:
    source = _input(tmp_path / "same.csv", "".join(f"{number % 500},1,x\n" for number in range(60_000)))
    result = _land(tmp_path, _task([source], 1 << 14, keys=("id",), unique=True, drop=True, expected_rows=10))
    assert result.counts == Counts(60_000, 500, 0, 59_500)
    assert [row[0] for row in result.rows] == list(range(500))


def test_one_wrong_copy_condemns_every_row_of_its_id_in_every_file(tmp_path: Path) -> None:
    first = _input(tmp_path / "a.csv", "id,v,t\n1,1,x\nbad,1,x\n2,1,x\n1,1,x\n", header=1)
    second = _input(tmp_path / "b.csv", 'id,v,t\n3,1,"x\ny"\n1,2,x\n2,1.0,x\n', header=1)
    result = _land(tmp_path, _task([first, second], keys=("id",), unique=True, drop=True))
    assert result.rows == [(2, 1.0, "x"), (3, 1.0, "x\ny")]
    assert result.letters == [
        ("a.csv", 3, "id", "bad,1,x"),
        ("a.csv", 2, "id", "1,1,x"),
        ("a.csv", 5, "id", "1,1,x"),
        ("b.csv", 4, "id", "1,2,x"),
    ]
    assert result.counts == Counts(7, 2, 4, 1)


def test_rules_that_reject_and_reshape_keep_the_books_and_the_way_back(tmp_path: Path) -> None:
    def rules(batch: pa.RecordBatch) -> Verdict:
        odd = np.flatnonzero(batch.column("id").to_numpy(zero_copy_only=False) % 2)
        return Verdict(batch.select(["v", "id"]), (Fault(odd, "id", "odd"),) if len(odd) else ())

    source = _input(tmp_path / "a.csv", "1,1,x\n2,1,x\nno\n4,2,x\n5,5,x\n4,3,x\n6,6,x\n")
    result = _land(tmp_path, _task([source], 12, rules=rules, keys=("id",), unique=True, drop=True))
    assert result.rows == [(1.0, 2), (6.0, 6)]
    assert [(line, raw) for _, line, _, raw in result.letters] == [
        (1, "1,1,x"),
        (3, "no"),
        (5, "5,5,x"),
        (4, "4,2,x"),
        (6, "4,3,x"),
    ]
    assert result.counts == Counts(7, 2, 5, 0)


def test_rows_that_are_there_already_are_neither_counted_nor_thrown_out(tmp_path: Path) -> None:
    standing = _input(tmp_path / "standing.csv", "1,1,x\n2,1,x\n")
    more = _input(tmp_path / "more.csv", "1,1,x\n2,9,x\n3,1,x\nbad\n")
    task = _task([standing, more], keys=("id",), unique=True, drop=True)
    letters = DeadLetters(tmp_path / "dlq.part", tmp_path / "dlq.csv")
    found = run_pass(task, tmp_path / "s.arrow", letters, SilentStep())
    settled = settle_all(task, found, letters, owned=2)
    assert settled.counts == Counts(4, 1, 2, 1)
    assert [row["id"] for batch in found.staged_file.kept(settled.gone) for row in batch.to_pylist()] == [1, 2, 3]
    assert Counter(one.source for one in read_dead_letters(letters.temp)) == {"more.csv": 2}


def test_an_empty_table_has_empty_books_and_its_columns(tmp_path: Path) -> None:
    task = _task([_input(tmp_path / "a.csv", "id,v,t\n", header=1)], keys=("id",), unique=True, drop=True)
    letters = DeadLetters(tmp_path / "dlq.part", tmp_path / "dlq.csv")
    found = run_pass(task, tmp_path / "s.arrow", letters, SilentStep())
    settled = settle_all(task, found, letters)
    assert (settled.counts, letters.count, letters.temp.exists()) == (Counts(), 0, False)
    assert write_parquet(found.staged_file, settled.gone, found.schema, [tmp_path / "x" / "data.parquet"]) == 0
    assert pq.read_schema(tmp_path / "x" / "data.parquet").names == ["id", "v", "t"]


@pytest.mark.parametrize("files", [1, 2])
def test_the_parquet_files_hold_every_kept_row_in_order(tmp_path: Path, files: int) -> None:
    source = _input(tmp_path / "a.csv", "".join(f"{n},0.25,{'xy' * (n % 3)}\n" for n in range(5_000)))
    task = _task([source], 1 << 12, keys=("id",), unique=True, drop=True)
    found = run_pass(task, tmp_path / "s.arrow", DeadLetters(tmp_path / "p", tmp_path / "d"), SilentStep())
    gone = np.array([0, 17, 4_999])
    targets = [tmp_path / "data.parquet", tmp_path / "data_2.parquet"][:files]
    assert write_parquet(found.staged_file, gone, found.schema, targets) == 4_997
    read = pa.concat_tables(pq.read_table(target) for target in targets)
    assert read.column("id").to_pylist() == [n for n in range(5_000) if n not in gone]
    assert read.column("t")[0].as_py() == "xy"


def test_the_staging_file_can_be_read_by_columns(tmp_path: Path) -> None:
    task = _task([_input(tmp_path / "a.csv", "1,1,x\n2,2,y\n")], keys=("id",), unique=True)
    found = run_pass(task, tmp_path / "s.arrow", DeadLetters(tmp_path / "p", tmp_path / "d"), SilentStep())
    assert [batch.to_pylist() for batch in found.staged_file.batches(["t"])] == [[{"t": "x"}, {"t": "y"}]]


def test_books_that_do_not_add_up_are_refused_as_a_defect_of_ours() -> None:
    with pytest.raises(SsError, match=r"t: 3 rows were read, but 1 kept \+ 1 rejected \+ 0 duplicate do not add up"):
        Counts(3, 1, 1, 0).check("t")
    assert Counts(3, 1, 1, 1) + Counts(1, 1) == Counts(4, 2, 1, 1)
