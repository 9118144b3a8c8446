"""The last stages of a batching run: the tables, their quality, the checker's word on them, and the reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from studentsuccess.batching import outputs, report_files
from studentsuccess.batching.checker import verify
from studentsuccess.batching.instance import Grouping, Instance, Placement
from studentsuccess.batching.outputs import Solution, names_of
from studentsuccess.batching.pages import page
from studentsuccess.batching.quality import Quality, assess
from studentsuccess.batching.report_facts import Facts, facts_of
from studentsuccess.core.counts import Counts
from studentsuccess.core.memory import give_back
from studentsuccess.core.page_html import html
from studentsuccess.errors import SsError
from studentsuccess.tasks.batch_files import LOGS, QUALITY, TABLES, as_json, write_table, write_text
from studentsuccess.tasks.batch_journal import Journal, all_kept

BATCHES, MEMBERS, ENROLMENTS, ROOMS = TABLES


@dataclass(frozen=True)
class Results:
    """What was found, and what there is to say of it besides."""

    instance: Instance
    grouping: Grouping
    placement: Placement
    thresholds: Mapping[str, float]
    day: date
    tenant: str
    request: Mapping[str, object]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """The files are in the folder, and the checker agrees with them."""

    quality: Quality
    tables: Mapping[str, pa.Table]
    document: Mapping[str, object]


def write_results(found: Results, term: Path, folder: Path, formats: Sequence[str], journal: Journal) -> Written:
    """Write everything into `folder`; what the checker finds in it that was said otherwise is a defect of ours."""
    solution = Solution(found.instance, found.grouping, found.placement)
    named = names_of(found.instance, found.grouping, found.tenant)
    tables: dict[str, pa.Table] = {}

    def write(name: str, table: pa.Table, book: dict[str, Counts]) -> None:
        tables[name], book[name] = table, all_kept(table.num_rows)
        write_table(folder, name, table)

    with journal.stage("membership") as book:
        write(MEMBERS, outputs.membership_rows(solution, named, found.day), book)
    with journal.stage("enrolment") as book:
        write(ENROLMENTS, outputs.enrolment_rows(solution, named), book)
        write(ROOMS, outputs.assignment_rows(solution, named), book)
    with journal.stage("quality") as book:
        quality = assess(found.instance, found.grouping, found.placement, found.thresholds)
        write(BATCHES, outputs.batch_rows(solution, named, quality.figures), book)
        document = _document(found, quality, journal.run_id)
        write_text(folder, QUALITY, as_json(document))
        _check(folder, term)
    with journal.stage("report"):
        _write_reports(folder, facts_of(solution, named, quality, found.day, found.notes), formats, journal.run_id)
    write_text(folder, f"{LOGS}/{journal.run_id}.jsonl", journal.log())
    return Written(quality, tables, document)


def _document(found: Results, quality: Quality, run_id: str) -> dict[str, object]:
    grouping = found.grouping
    return {
        "run_id": run_id,
        "students": found.instance.students.count,
        "batches": grouping.count,
        **report_files.objective(grouping.objective, grouping.bound, grouping.random, grouping.gap_closed),
        "moved": grouping.moved,
        "hard_violations": quality.hard_violations,
        "soft_violations": quality.soft_violations,
        "measures": report_files.measures(quality.measures),
        "violations": [asdict(one) for one in quality.violations],
        "balance_by_program": dict(quality.balance_by_program),
        "notes": list(found.notes),
        "request": dict(found.request),
    }


def _check(folder: Path, term: Path) -> None:
    """Before anything is committed."""
    give_back()
    wrong = verify(folder, term).disagreements
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SsError(
            f"the checker disagrees with what was written: {wrong[0]}{more}",
            "nothing was kept; this is a defect of ss: report it with `ss doctor -f json`",
        )


def _write_reports(folder: Path, facts: Facts, formats: Sequence[str], run_id: str) -> None:
    if "txt" in formats:
        write_text(folder, "report.txt", report_files.text(facts))
    if "json" in formats:
        write_text(folder, "report.json", as_json(report_files.document(facts, run_id)))
    if "html" in formats:
        write_text(folder, "report.html", html(page(facts)))
    if "csv" in formats:
        write_table(folder, "report", report_files.table(facts))
