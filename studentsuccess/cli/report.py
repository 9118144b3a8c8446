"""`ss report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.tasks.report import ReportPlan, ReportResult


def register(app: typer.Typer) -> None:
    @command(app, "report", changes=True, epilog="Example: ss report --set report.school='Hill College'")
    def report(frame: Frame) -> None:
        """The executive summary, on a page without a name in it."""
        configuration = frame.configuration()
        from studentsuccess.tasks import report as task
        from studentsuccess.tasks.context import Context

        with frame.working("reading the warehouse"):
            made = task.plan(Context(configuration, frame.wait))
        _show(frame, made, None if frame.dry_run else task.run(made, frame.reporter()))


def _show(frame: Frame, made: ReportPlan, done: ReportResult | None) -> None:
    sections = [section.title for section in made.page.sections]
    sizes = [len(text.encode("utf-8", "backslashreplace")) for text in made.texts]
    document = {
        "run_id": done.run_id if done else made.done,
        "already_done": bool(made.done) or bool(done and done.already_done),
        "title": made.page.title,
        "sections": sections,
        "not_made_yet": list(made.unmade),
        "demo": bool(made.page.banner),
        ("writes" if done is None else "outputs"): list(made.outputs),
    }
    frame.output.result(document, Table(("file", "bytes"), list(zip(made.outputs, sizes, strict=True))))
    if made.unmade:
        steps = ", ".join(f"`{step}{frame.again}`" for step in made.unmade)
        frame.output.note(f"sections that have nothing to say yet name the command that fills them: {steps}")
    if done is not None:
        _end(frame, done)
    elif made.done:
        frame.output.note(f"already made by run {made.done}: a run would change nothing")


def _end(frame: Frame, done: ReportResult) -> None:
    if done.already_done:
        frame.output.note(f"already made by run {done.run_id}: nothing new, nothing changed")
    else:
        frame.output.note(f"run {done.run_id}: open {done.page} in a browser")
