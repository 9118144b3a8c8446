"""`ss run`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Shape, Table, is_terminal

if TYPE_CHECKING:
    from studentsuccess.tasks.run import Done, RunPlan, RunResult, Step


class StepChoice(StrEnum):
    """The steps in their order."""

    ETL = "etl"
    TRAIN = "train"
    SCORE = "score"
    EXPLAIN = "explain"
    MARTS = "marts"
    ALERTS = "alerts"
    EXPERIMENT = "experiment"
    ROI = "roi"
    REPORT = "report"
    PUBLISH = "publish"


def register(app: typer.Typer) -> None:
    @command(app, "run", changes=True, epilog="Example: ss run --input exports/ --dry-run")
    def run(
        frame: Frame,
        inputs: Annotated[
            list[str] | None,
            typer.Option("--input", help="Folder or files to load first.", metavar="DIR", show_default=False),
        ] = None,
        demo: flags.Demo = False,
        first: Annotated[
            StepChoice | None, typer.Option("--from", help="Begin with this step.", show_default=False)
        ] = None,
        last: Annotated[
            StepChoice | None, typer.Option("--until", help="End with this step.", show_default=False)
        ] = None,
        week: flags.Week = None,
    ) -> None:
        """The whole way, from raw files to a page for the dean."""
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        configuration = frame.configuration({"risk.week": week})
        from studentsuccess.tasks import run as task
        from studentsuccess.tasks.context import Context
        from studentsuccess.tasks.inputs import resolved

        demo = demo or (configuration.settings.etl.demo and not inputs)
        with resolved(inputs or []) as files:
            request = task.RunRequest(demo, files, _step(first), _step(last))
            made = task.plan(request, Context(configuration, frame.wait))
            if frame.dry_run:
                _show_plan(frame, made)
                return
            _show(frame, made, task.run(made, frame.reporter(), lambda done: _told(frame, done)))


def _step(choice: StepChoice | None) -> Step | None:
    return choice.value if choice else None


def _show_plan(frame: Frame, made: RunPlan) -> None:
    request = made.request
    source = "generated data" if request.demo else ", ".join(file.shown for file in request.files) or "the warehouse"
    document = {"plan": "run", "reads": [file.shown for file in request.files], "demo": request.demo}
    document |= {"steps": list(made.steps)}
    rows = [("reads", source), ("steps", " → ".join(made.steps))]
    frame.output.result(document, Table(("plan", "what"), rows))


def _told(frame: Frame, done: Done) -> None:
    """Every step its line, when it ends; the data comes at the end of all."""
    again = " (nothing new)" if done.repeated else ""
    frame.close()
    frame.output.note(f" {done.step:<11} {done.words}{again}   {done.seconds:.1f} s")


def _show(frame: Frame, made: RunPlan, result: RunResult) -> None:
    from studentsuccess.tasks.run import document

    rows = [(one.step, one.words) for one in result.steps]
    # On a terminal each step has had its line already, when it ended.
    if frame.output.quiet or frame.output.shape is not Shape.AUTO or not is_terminal(sys.stdout):
        frame.output.result(document(made, result), Table(("step", "what"), rows))
    for note in result.notes:
        frame.output.warn(note)
    if result.truth:
        frame.output.note(result.truth)
    if result.report:
        frame.output.note(f"open {result.report}")
    if made.request.demo:
        frame.output.note("Yours next:  ss run --input FOLDER")
