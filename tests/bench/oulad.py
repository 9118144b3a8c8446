"""`ss etl` of the real OULAD in three dialects: one content, near the time of bare DuckDB, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import plain
from cgroups import NotPossibleError, memory_limited
from measure import MB, BenchError, Sample, Subject, alternate, median, ratio, run, warm_up
from program import emptied, loaded, scratch, ss
from report import Section, note

DIALECTS = ("official", "bare", "qmark")
# facts/oulad: the presentations 2013B, 2013J and 2014B.
ROWS = {
    "courses": 15,
    "assessments": 149,
    "vle": 4_694,
    "studentInfo": 21_333,
    "studentRegistration": 21_333,
    "studentAssessment": 121_738,
    "studentVle": 7_035_828,
}
QUICK_PRESENTATION = "2014B"
MOST_RATIO, GOAL = 2.0, 1.3
MOST_MEMORY = 1_000 * MB
SMALL_BUDGET, MOST_WITH_SMALL_BUDGET = {"SS_BUDGET__MEMORY": "512MB"}, 600 * MB
GROUP_MEMORY = 512 * MB
Digests = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Bench:
    """What the parts share."""

    section: Section
    data: Path
    work: Path
    repeats: int
    quick: bool

    def folder(self, dialect: str) -> Path:
        return self.data / f"oulad_{dialect}{'_quick' if self.quick else ''}"


def measure_oulad(real: Path | None, data: Path, repeats: int, quick: bool) -> Section:
    """Everything that is promised about OULAD; skipped where the real data is not."""
    section = Section("oulad")
    if real is None or not (real / "write_oulad_csv.py").is_file():
        section.skipped("oulad", "STUDENTSUCCESS_REAL_DATA does not name a folder with write_oulad_csv.py")
        return section
    with scratch(data) as work:
        bench = Bench(section, data, work, repeats, quick)
        section.attempt("oulad", partial(_measure, bench, real))
    return section


def _measure(bench: Bench, real: Path) -> None:
    for dialect in DIALECTS:
        _write_csv(bench, real, dialect)
    found: dict[str, Digests] = {}
    for dialect in DIALECTS:
        bench.section.attempt(dialect, partial(_compare, bench, dialect, found))
    _same_content(bench, found)
    bench.section.attempt("small budget", partial(_small_budget, bench))
    bench.section.attempt("small cgroup", partial(_small_group, bench, found))


def _write_csv(bench: Bench, real: Path, dialect: str) -> None:
    """The seven files of one dialect, written once and kept."""
    folder = bench.folder(dialect)
    if not all((folder / f"{name}.csv").is_file() for name in ROWS):
        note(f"oulad: writing the {dialect} files to {folder}")
        part = emptied(bench.work / folder.name)
        some = ["--presentations", QUICK_PRESENTATION] if bench.quick else []
        command = [sys.executable, str(real / "write_oulad_csv.py"), str(part), "--dialect", dialect, *some]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"write_oulad_csv.py failed: {done.stderr.strip()[-400:]}")
        emptied(folder).rmdir()
        part.rename(folder)
    warm_up(*folder.glob("*.csv"))


def _etl(bench: Bench, dialect: str, **env: str) -> Subject:
    workspace = bench.work / "ss"
    return Subject(
        "ss etl",
        lambda: ss("etl", bench.folder(dialect), "-w", workspace, "-f", "json"),
        env,
        before=partial(_afresh, workspace),
    )


def _afresh(folder: Path) -> None:
    emptied(folder)


def _compare(bench: Bench, dialect: str, found: dict[str, Digests]) -> None:
    """One dialect: time, memory, books, and what came into the warehouse."""
    section, database = bench.section, bench.work / "bare" / "bare.duckdb"
    bare = Subject(
        "bare DuckDB",
        lambda: plain.command("duckdb", bench.folder(dialect), database),
        before=partial(_afresh, database.parent),
    )
    note(f"oulad: ss and the bare DuckDB script, {dialect}, {bench.repeats} times each")
    samples = alternate([_etl(bench, dialect), bare], bench.repeats)
    section.keep({f"{name}, {dialect}": runs for name, runs in samples.items()})
    ours, theirs = samples["ss etl"], samples["bare DuckDB"]
    section.times(
        f"{dialect}: time over bare DuckDB", ratio(ours, theirs), most=MOST_RATIO, note=f" (goal {GOAL:g}x)",
        judged=not bench.quick,
    )  # fmt: skip
    section.memory(f"{dialect}: peak memory", max(one.peak for one in ours), most=MOST_MEMORY)
    walls = [median([one.wall for one in runs]) for runs in (ours, theirs)]
    section.shown(f"{dialect}: ss, bare DuckDB", f"{walls[0]:.2f} s, {walls[1]:.2f} s", walls[0])
    _books(bench, dialect, ours[-1], json.loads(theirs[-1].stdout))
    _clicks(bench, dialect, database)
    found[dialect] = _digests(_warehouse(bench))


def _warehouse(bench: Bench) -> Path:
    return bench.work / "ss" / "warehouse.duckdb"


def _books(bench: Bench, dialect: str, sample: Sample, counted: dict[str, int]) -> None:
    """The real data has nothing to reject: every row read is a row kept."""
    said = loaded(sample)
    expected = counted if bench.quick else ROWS
    for name, rows in expected.items():
        books = said.books.get(name, {})
        told = f"{books.get('read', 0):,} read, {books.get('kept', 0):,} kept"
        bench.section.equal(f"{dialect}: {name}", told, f"{rows:,} read, {rows:,} kept")
    if counted != expected:
        raise BenchError(f"the bare DuckDB script read {counted}")


def _clicks(bench: Bench, dialect: str, database: Path) -> None:
    """Whatever shape the activity takes, no click may be lost or counted twice."""
    theirs = _ask(database, "SELECT sum(sum_click)::BIGINT FROM studentVle")[0][0]
    ours = _ask(_warehouse(bench), "SELECT sum(clicks)::BIGINT FROM core.activity")[0][0]
    bench.section.equal(f"{dialect}: clicks in core.activity", ours, theirs)


def _digests(warehouse: Path) -> Digests:
    """Rows and content of each core table, in whatever order they stand, with its column names and types."""
    names = _ask(warehouse, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'core' ORDER BY table_name")
    found: Digests = {}
    for (name,) in names:
        columns = _ask(warehouse, f'SELECT column_name, column_type FROM (DESCRIBE core."{name}")')  # noqa: S608
        # The alias must not be the name of a column, or its hash would be that column's alone.
        query = f'SELECT count(*), bit_xor(hash(row_)), sum(hash(row_)::HUGEINT) FROM core."{name}" AS row_'  # noqa: S608
        found[name] = (*_ask(warehouse, query)[0], tuple(columns))
    return found


def _ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    import duckdb

    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            return connection.execute(query).fetchall()
    except duckdb.Error as problem:
        raise BenchError(f"{database.name}: {problem}") from None


def _same_content(bench: Bench, found: dict[str, Digests]) -> None:
    first = found.get(DIALECTS[0], {})
    for dialect in DIALECTS[1:]:
        _same_as(bench, f"{dialect}: core tables as in {DIALECTS[0]}", found.get(dialect, {}), first)


def _same_as(bench: Bench, name: str, found: Digests, expected: Digests) -> None:
    if not expected or not found:
        bench.section.equal(name, f"{len(found)} tables, compared with {len(expected)}", "all the same")
        return
    different = sorted(table for table in {*found, *expected} if found.get(table) != expected.get(table))
    bench.section.equal(name, f"different: {', '.join(different)}" if different else "all the same", "all the same")


def _small_budget(bench: Bench) -> None:
    note("oulad: ss with budget.memory = 512MB, once")
    sample = _etl(bench, "official", **SMALL_BUDGET).run()
    bench.section.keep({"ss etl, 512MB budget": [sample]})
    bench.section.memory("peak memory with a budget of 512MB", sample.peak, most=MOST_WITH_SMALL_BUDGET)


def _small_group(bench: Bench, found: dict[str, Digests]) -> None:
    """In a group of that size the kernel kills what does not fit."""
    name = f"in a cgroup of {GROUP_MEMORY // MB} MB"
    note(f"oulad: ss {name}, once")
    subject = _etl(bench, "official")
    subject.before()
    try:
        with memory_limited(GROUP_MEMORY) as group:
            sample = run(group.wrap(subject.command()))
            killed, peak = group.was_killed(), group.peak()
    except NotPossibleError as reason:
        bench.section.skipped(name, str(reason))
        return
    bench.section.keep({f"ss etl {name}": [sample]})
    bench.section.equal(name, "killed by the kernel" if killed else f"exit code {sample.exit_code}", "exit code 0")
    bench.section.shown(f"{name}: wall, peak", f"{sample.wall:.2f} s, {sample.peak / MB:.0f} MB", peak)
    if sample.exit_code == 0:
        _same_as(bench, f"{name}: core tables", _digests(_warehouse(bench)), found.get("official", {}))


def real_data() -> Path | None:
    """The folder with the real data sets, where the environment names one."""
    named = os.environ.get("STUDENTSUCCESS_REAL_DATA", "")
    return Path(named).resolve() if named else None
