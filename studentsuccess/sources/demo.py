"""Generated OULAD files with a known truth: what the demo, the tests and the benchmarks stand on.

The same request gives the same bytes on every machine. Students are made in blocks, each from random streams of its
own, and written as they come: the memory needed does not depend on how many there are.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pyarrow as pa

from studentsuccess.core.reporter import Reporter
from studentsuccess.sources import demo_course as course
from studentsuccess.sources import demo_story as story
from studentsuccess.sources.demo_dirt import CsvSink, defects
from studentsuccess.sources.demo_folder import (
    NEW,
    RECEIPT,
    TRUTH,
    DemoFile,
    DemoFiles,
    Receipt,
    refuse_foreign,
    replacing,
    reusable,
)
from studentsuccess.sources.demo_layout import COLUMNS
from studentsuccess.sources.demo_life import DATED_SHARE, WITHDRAWN_SHARE
from studentsuccess.sources.demo_request import VERSION, DemoRequest
from studentsuccess.sources.demo_tables import Part, part, truth_header

__all__ = ["DemoFile", "DemoFiles", "DemoRequest", "generate"]

_GROWING = ("studentInfo", "studentRegistration", "studentAssessment", "studentVle")
_PROBABILITIES, _EFFECTS, _DIRTY = TRUTH


def generate(request: DemoRequest, folder: Path, reporter: Reporter, token: str = NEW) -> DemoFiles:
    """The demo's files in `folder`: those that stand there already if they are the same, else all of them anew.

    Two processes that write one folder at the same time need tokens of their own.
    """
    if found := reusable(folder, request):
        reporter.note(f"{folder}: the demo is there already, nothing was written")
        return found
    refuse_foreign(folder)
    with replacing(folder, token) as temp:
        files = _write_all(request, temp, reporter)
        (temp / RECEIPT).write_bytes(Receipt(VERSION, request, files).to_json().encode())
    return DemoFiles(folder, files)


def _write_all(request: DemoRequest, folder: Path, reporter: Reporter) -> tuple[DemoFile, ...]:
    small = _write_small(request, folder)
    sinks = _write_students(request, folder, reporter)
    (folder / _EFFECTS).write_bytes(_planted_effects().encode())
    _write_dirty_rows(folder / _DIRTY, sinks)
    rows = {**small, **{name: sink.rows for name, sink in sinks.items()}}
    dirty = {name: len(sink.planted) for name, sink in sinks.items()}
    names = [*(f"{table}.csv" for table in COLUMNS), *TRUTH]
    return tuple(DemoFile(n, (folder / n).stat().st_size, rows.get(n, 0), dirty.get(n, 0)) for n in names)


def _write_students(request: DemoRequest, folder: Path, reporter: Reporter) -> dict[str, CsvSink]:
    """Term by term, block by block, all growing files side by side."""
    parts = request.terms * request.blocks(story.BLOCK)
    step = reporter.step("demo", total=request.students, unit="students")
    with ExitStack() as open_files:
        sinks: dict[str, CsvSink] = {}
        for table in _GROWING:
            sink = CsvSink(folder / f"{table}.csv", COLUMNS[table].split(), defects(request, table), parts)
            sinks[f"{table}.csv"] = open_files.enter_context(closing(sink))
        truth = CsvSink(folder / _PROBABILITIES, truth_header(request))
        sinks[_PROBABILITIES] = open_files.enter_context(closing(truth))
        for piece in _parts(request):
            tables = (piece.info, piece.registration, piece.submissions, piece.activity, piece.truth)
            for sink, rows in zip(sinks.values(), tables, strict=True):
                sink.write(rows)
            step.advance(piece.new_students)
    enrolments, clicks = sinks["studentInfo.csv"].rows, sinks["studentVle.csv"].rows
    step.close(f"{request.students:,} students, {enrolments:,} enrolments, {clicks:,} rows of clicks")
    return sinks


def _parts(request: DemoRequest) -> Iterator[Part]:
    for term in range(request.terms):
        for block in range(request.blocks(story.BLOCK)):
            yield part(request, term, block)


def _write_small(request: DemoRequest, folder: Path) -> dict[str, int]:
    """The three files that do not grow with the students."""
    runs = [(term, module) for term in range(request.terms) for module in range(request.offered(term))]
    rows = {
        "courses": [[*_run(request, *run), request.length_days] for run in runs],
        "assessments": [row for run in runs for row in _assessments(request, *run)],
        "vle": [row for run in runs for row in _sites(request, *run)],
    }
    for table, content in rows.items():
        columns = [pa.array(column) for column in zip(*content, strict=True)]
        with closing(CsvSink(folder / f"{table}.csv", COLUMNS[table].split())) as sink:
            sink.write(pa.table(columns, names=COLUMNS[table].split()))
    return {f"{table}.csv": len(content) for table, content in rows.items()}


def _run(request: DemoRequest, term: int, module: int) -> tuple[str, str]:
    return request.module_name(module), request.term_name(term)


def _assessments(request: DemoRequest, term: int, module: int) -> Iterator[list[object]]:
    for number, one in enumerate(course.assessments(request, module)):
        identity = course.assessment_id(request, term, module, number)
        yield [*_run(request, term, module), identity, one.kind, one.due, one.weight]


def _sites(request: DemoRequest, term: int, module: int) -> Iterator[list[object]]:
    first = int(course.site_id(request, term, module))
    for number, site in enumerate(course.sites(request)):
        kind = course.SITE_KINDS[site.kind].name
        yield [first + number, *_run(request, term, module), kind, site.week, site.week]


def _planted_effects() -> str:
    """What was planted, in words and log-odds, for whoever checks what was found."""
    effects = [
        ("engagement", story.ENGAGEMENT, "one standard deviation", "studentVle, studentAssessment"),
        ("previous_attempts", story.PER_ATTEMPT, "one attempt", "studentInfo.num_of_prev_attempts"),
        ("deprivation", story.PER_BAND, "one band towards 0-10% (9 is 0-10%, 0 is 90-100%)", "studentInfo.imd_band"),
    ]
    described = [
        {"name": name, "sign": 1 if size > 0 else -1, "log_odds": size / 100, "per": per, "seen_in": seen}
        for name, size, per, seen in effects
    ]
    truth = {
        "outcome": "at risk: final_result is Fail or Withdrawn",
        "intercept": story.INTERCEPT / 100,
        "effects": described,
        "withdrawn_share_of_at_risk": WITHDRAWN_SHARE / 1e6,
        "share_of_at_risk_with_a_date_of_leaving": DATED_SHARE / 1e6,
    }
    return json.dumps(truth, indent=1) + "\n"


def _write_dirty_rows(path: Path, sinks: dict[str, CsvSink]) -> None:
    with path.open("w", encoding="utf-8", newline="") as text:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["file", "line", "column", "defect", "raw"])
        for sink in sinks.values():
            rows.writerows([p.file, p.line, p.defect.column, p.defect.kind, p.raw] for p in sink.planted)
