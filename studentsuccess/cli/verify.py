"""`ss verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.errors import ExitCode

if TYPE_CHECKING:
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.repair import Repaired, RepairPlan
    from studentsuccess.warehouse.verify import Finding

Repair = Annotated[
    bool, typer.Option("--repair", help="Make again what is made of something else, and name what can't be.")
]


def register(app: typer.Typer) -> None:
    @command(app, "verify", changes=True, epilog="Example: ss verify -w my-school -f json")
    def verify(frame: Frame, repair: Repair = False) -> None:
        """Hold files, tables and models against the ledger."""
        from studentsuccess.tasks import verify as task
        from studentsuccess.tasks.context import Context

        context = Context(frame.configuration(), frame.wait)
        if repair:
            _repair(frame, context)
            return
        with frame.working("checking files and tables"):
            report = task.run(context)
        frame.output.result(_document(report.findings, report.damaged), _table(report.findings, report.damaged))
        if report.damaged:
            raise typer.Exit(int(ExitCode.CONTRACT))


def _document(findings: Sequence[Finding], damaged: Sequence[Finding]) -> dict[str, object]:
    return {"ok": not damaged, "damage": len(damaged), "findings": [_finding(one) for one in findings]}


def _finding(one: Finding) -> dict[str, str]:
    return {"level": one.level, "subject": one.subject, "what": one.what, "fix": one.fix}


def _table(findings: Sequence[Finding], damaged: Sequence[Finding]) -> Table:
    rows = [(one.level, one.subject, one.what) for one in findings]
    hints = tuple(f"hint: {one.fix}" for one in damaged if one.fix)
    return Table(("level", "subject", "what"), rows, tuple(dict.fromkeys(hints)))


def _repair(frame: Frame, context: Context) -> None:
    from studentsuccess.tasks import repair as task

    with frame.working("checking files and tables"):
        made = task.plan(context)
    if frame.dry_run:
        _show_plan(frame, made)
    else:
        _show_repaired(frame, made, task.run(made, frame.reporter()))


def _show_plan(frame: Frame, made: RepairPlan) -> None:
    document = {
        "plan": "verify --repair",
        "again": {step: [one.subject for one in found] for step, found in made.steps.items()},
        "hopeless": [_finding(one) for one in made.hopeless],
    }
    rows = [("again", f"ss {step}", one.subject) for step, found in made.steps.items() for one in found]
    rows += [("can't", one.fix, one.subject) for one in made.hopeless]
    frame.output.result(document, Table(("becomes", "by", "what"), rows))
    _tell_blocked(frame, made)
    if made.hopeless:
        raise typer.Exit(int(ExitCode.CONTRACT))


def _show_repaired(frame: Frame, made: RepairPlan, done: Repaired) -> None:
    again = {step: [one.subject for one in made.steps[step]] for step in done.done}
    document = {**_document(done.findings, done.damaged), "again": again, "failed": dict(done.failed)}
    frame.output.result(document, _table(done.findings, done.damaged))
    _tell_blocked(frame, made)
    for step, subjects in again.items():
        frame.output.note(f"made again by `ss {step}`: {', '.join(subjects)}")
    for step, why in done.failed.items():
        frame.output.warn(f"`ss {step}` could not make its files again: {why}")
    if done.damaged:
        raise typer.Exit(int(ExitCode.CONTRACT))


def _tell_blocked(frame: Frame, made: RepairPlan) -> None:
    if made.blocked:
        frame.output.warn(
            "nothing was made again: rows of the warehouse are wrong that no step makes of others",
            "put back a copy of the warehouse, or load again: `ss etl INPUT`",
        )
