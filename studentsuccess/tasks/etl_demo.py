"""`ss etl --demo`: files with a known truth, generated and then brought in by the same door as real ones."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from studentsuccess.core.deadletters import read_dead_letters
from studentsuccess.core.reporter import Reporter
from studentsuccess.sources.demo import DemoRequest, generate
from studentsuccess.tasks import etl
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import EtlRequest, EtlResult
from studentsuccess.tasks.inputs import resolved


@dataclass(frozen=True)
class DemoPlan:
    """What will be generated and loaded."""

    context: Context
    request: DemoRequest
    folder: Path

    def document(self) -> Mapping[str, object]:
        return {
            "plan": "etl --demo",
            "students": self.request.students,
            "weeks": self.request.weeks,
            "seed": self.request.seed,
            "writes": [str(self.folder), str(self.context.workspace.warehouse)],
        }

    def rows(self) -> list[tuple[object, ...]]:
        return [(f"{self.context.shown(self.folder)}/*.csv", f"{self.request.students:,} students")]

    def words(self) -> list[str]:
        return ["then loads them as OULAD files; the truth behind them stands in its folder `truth`"]


def plan(context: Context) -> DemoPlan:
    """What the settings ask for."""
    settings = context.settings.etl
    request = DemoRequest(students=settings.demo_students, weeks=settings.demo_weeks, seed=settings.seed)
    return DemoPlan(context, request, context.workspace.inputs / "demo")


def run(made: DemoPlan, reporter: Reporter) -> EtlResult:
    """Generate (or find them generated), then load."""
    made.folder.parent.mkdir(parents=True, exist_ok=True)
    written = generate(made.request, made.folder, reporter)
    request = EtlRequest(kind="oulad")
    with resolved([str(path) for path in written.tables]) as files:
        shown = [replace(file, shown=made.context.shown(file.path)) for file in files]
        result = etl.run(etl.plan(request, shown, made.context), request, reporter)
    if not result.already_loaded:
        reporter.note(_truth(written.truth, result))
    return result


def _truth(folder: Path, result: EtlResult) -> str:
    """The planted bad rows, held against the dead letters line by line."""
    with (folder / "dirty_rows.csv").open(encoding="utf-8", newline="") as source:
        planted = {(row["file"], row["line"]) for row in csv.DictReader(source)}
    letters = [letter for path in result.dead_letters for letter in read_dead_letters(Path(path))]
    found = {(Path(letter.source).name, str(letter.reject.line)) for letter in letters}
    others = f", and {len(found - planted)} others" if found - planted else ", no other"
    return (
        f"generated data with a known truth: {len(planted & found)} of {len(planted)} planted bad rows rejected{others}"
    )
