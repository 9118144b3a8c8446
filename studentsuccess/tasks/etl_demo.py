"""`ss etl --demo`: files with a known truth, generated and then brought in by the same door as real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

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
        return etl.run(etl.plan(request, shown, made.context), request, reporter)
