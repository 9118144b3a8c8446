"""`ss etl` of a dirty table: exact to the line, faster than the pandas loop, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dirty
import plain
from measure import MB, BenchError, Sample, Subject, alternate, median, ratio, warm_up
from program import BOOKS, emptied, loaded, scratch, ss
from report import Section, note

ROWS, FULL_ROWS, QUICK_ROWS = 2_000_000, 10_000_000, 50_000
SEED = 7
LEAST_RATIO = 3.5
MOST_MEMORY = 500 * MB
# Memory is flat when it grows by no more than one of these from the usual size to the full one.
GROWTH_SHARE, GROWTH_BYTES = 0.05, 32 * MB
# With fewer rows the start of the programs is what would be compared.
JUDGED_ROWS = 1_000_000


@dataclass(frozen=True)
class Table:
    """A dirty table on disk and what is known about it."""

    path: Path
    truth: Path
    totals: dirty.Totals


def measure_table(data: Path, rows: int, repeats: int, full: bool) -> Section:
    """Books, lines and texts against the truth, the ratio to pandas, peak memory; with `full` its growth."""
    section = Section("table")
    peaks: list[float] = []
    with scratch(data) as work:
        section.attempt("table", lambda: _compare(section, prepared(data, rows), work, repeats, peaks))
        if full:
            section.attempt("full table", lambda: _grow(section, prepared(data, FULL_ROWS), work, peaks))
    return section


def prepared(data: Path, rows: int) -> Table:
    """The table of that many rows, made once and kept."""
    path, truth = data / f"dirty-{rows}.csv", data / f"dirty-{rows}.truth.csv"
    if not _current(path, truth, rows):
        note(f"table: writing {rows:,} rows with their truth to {path}")
        with scratch(data) as part:
            dirty.write_dirty(part / path.name, part / truth.name, rows, SEED)
            for name in (path.name, truth.name, dirty.totals_path(truth).name):
                (part / name).replace(data / name)
    warm_up(path)
    return Table(path, truth, dirty.read_totals(truth))


def _current(path: Path, truth: Path, rows: int) -> bool:
    if not (path.is_file() and truth.is_file() and dirty.totals_path(truth).is_file()):
        return False
    totals = dirty.read_totals(truth)
    return (totals.rows, totals.seed, totals.generator) == (rows, SEED, dirty.generator_digest())


def _etl(table: Table, workspace: Path) -> Subject:
    return Subject(
        "ss etl",
        lambda: ss(
            "etl", table.path, "--id", "id", "--name", "big", "-w", workspace, "--max-rejects", "5%", "-f", "json"
        ),
        before=lambda: _nothing(emptied(workspace)),
    )


def _nothing(_: object) -> None:
    """For callers that want no answer."""


def _compare(section: Section, table: Table, work: Path, repeats: int, peaks: list[float]) -> None:
    workspace, folder = work / "ss", work / "pandas"
    loop = Subject(
        "pandas loop",
        lambda: plain.command("pandas", table.path, folder),
        before=lambda: _nothing(emptied(folder)),
    )
    note(f"table: ss and the pandas loop, {table.totals.rows:,} rows, {repeats} times each")
    samples = alternate([_etl(table, workspace), loop], repeats)
    section.keep(samples)
    ours, theirs = samples["ss etl"], samples["pandas loop"]
    _against_truth(section, table, ours[-1], workspace)
    judged = table.totals.rows >= JUDGED_ROWS
    section.faster("speed over the pandas loop", ratio(theirs, ours), least=LEAST_RATIO, judged=judged)
    section.memory("peak memory", max(one.peak for one in ours), most=MOST_MEMORY, below=True)
    for name, runs in samples.items():
        wall, cpu = (median([getattr(one, what) for one in runs]) for what in ("wall", "cpu"))
        section.shown(f"{name}, wall and CPU", f"{wall:.2f} s, {cpu:.2f} s", wall)
    peaks.append(median([one.peak for one in ours]))


def _grow(section: Section, table: Table, work: Path, peaks: list[float]) -> None:
    workspace = work / "ss-full"
    note(f"table: ss, {table.totals.rows:,} rows, once")
    sample = _etl(table, workspace).run()
    section.keep({"ss etl, full": [sample]})
    _against_truth(section, table, sample, workspace)
    section.memory(f"peak memory, {table.totals.rows:,} rows", sample.peak, most=MOST_MEMORY, below=True)
    if not peaks:
        raise BenchError("the growth of memory has nothing to be compared with")
    section.memory("growth of peak memory", sample.peak - peaks[0], most=max(GROWTH_SHARE * peaks[0], GROWTH_BYTES))


def _against_truth(section: Section, table: Table, sample: Sample, workspace: Path) -> None:
    """Books, every reject's line, text and column, and the rows that remain."""
    said, totals = loaded(sample), table.totals
    suffix = f", {totals.rows:,} rows"
    if "big" not in said.books:
        raise BenchError(f"`ss etl --name big` reports {', '.join(said.books) or 'no table'}")
    for name in BOOKS:
        section.equal(f"{name}{suffix}", said.books["big"][name], getattr(totals, name))
    truth, letters = dirty.read_truth(table.truth), said.letters()
    _all_found(section, f"reject lines{suffix}", [one.line for one in letters], [one.line for one in truth])
    _all_found(
        section,
        f"lines with raw text{suffix}",
        [(one.line, one.raw) for one in letters],
        [(one.line, one.raw) for one in truth],
    )
    columns = {one.line: one.column for one in truth}
    wrong = sum(one.line in columns and one.column != columns[one.line] for one in letters)
    section.equal(f"wrong columns{suffix}", wrong, 0)
    _dataset(section, workspace, totals, suffix)


def _all_found(section: Section, name: str, found: list[Any], expected: list[Any]) -> None:
    """Both lists as bags: what is missing, wrong or told twice counts."""
    missing, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    told = f"{len(expected) - missing.total():,} right, {missing.total()} missing, {extra.total()} wrong"
    section.equal(name, told, f"{len(expected):,} right, 0 missing, 0 wrong")


def _dataset(section: Section, workspace: Path, totals: dirty.Totals, suffix: str) -> None:
    """Whether the kept rows are really there: present values of every number column, exact sums of the integers."""
    import duckdb

    files = str(workspace / "inputs" / "datasets" / "big" / "*.parquet")
    counts = ", ".join(f'count("{name}")' for name in totals.present)
    sums = ", ".join(f'sum("{name}")::HUGEINT' for name in totals.sums)
    query = f"SELECT count(*), count(DISTINCT id), {counts}, {sums} FROM read_parquet(?)"  # noqa: S608
    try:
        found = duckdb.execute(query, [files]).fetchone()
    except duckdb.Error as problem:
        raise BenchError(f"the dataset can't be read: {problem}") from None
    rows, ids, *values = found or (0, 0)
    section.equal(f"rows and ids in the dataset{suffix}", f"{rows:,} {ids:,}", f"{totals.kept:,} {totals.kept:,}")
    expected = [*totals.present.values(), *totals.sums.values()]
    right = sum(one == other for one, other in zip(values, expected, strict=True))
    section.equal(
        f"column counts and sums{suffix}", f"{right} of {len(expected)}", f"{len(expected)} of {len(expected)}"
    )
