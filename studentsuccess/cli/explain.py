"""`ss explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from studentsuccess.cli import explain_risk, flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Shape, Table, typing_is_expected

if TYPE_CHECKING:
    from studentsuccess.tasks.explain import Explained, ExplainPlan, RowExplained

# What fits a screen; `--top` says otherwise.
TOP_FEATURES, TOP_REASONS = 20, 5


def _option(*flags: str, about: str, metavar: str, least: int | None = None) -> Any:
    return typer.Option(*flags, help=about, metavar=metavar, show_default=False, min=least)


def register(app: typer.Typer) -> None:
    @command(app, "explain", changes=True, epilog="Example: ss explain new.csv --row 17")
    def explain(
        frame: Frame,
        inputs: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[INPUT]...", help="Files or a dataset; default: the training data.", show_default=False
            ),
        ] = None,
        model: flags.Model = None,
        row: Annotated[
            int | None, _option("--row", about="Why this row: its place, from 1 on.", metavar="N", least=1)
        ] = None,
        student: Annotated[
            list[str] | None, _option("--student", about="Why the row with this id.", metavar="ID")
        ] = None,
        top: Annotated[int | None, _option("--top", about="Show only the strongest.", metavar="K", least=1)] = None,
        sample: Annotated[
            int | None, _option("--sample", about="Rows to look at, spread evenly.", metavar="N", least=1)
        ] = None,
        into: Annotated[
            str | None, _option("--into", about="Folder for the picture and the table.", metavar="DIR")
        ] = None,
    ) -> None:
        """What a model looks at, or its reasons for one row."""
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        configuration = frame.configuration()
        from studentsuccess.tasks import explain as task
        from studentsuccess.tasks import risk_explain
        from studentsuccess.tasks.context import Context
        from studentsuccess.tasks.explain_rows import Wanted
        from studentsuccess.tasks.inputs import STDIN, resolved

        context = Context(configuration, frame.wait)
        if not inputs and row is None and risk_explain.meant(model, context):
            explain_risk.run(frame, context, model, student or (), top)
            return
        request = task.ExplainRequest(model, Wanted(row, tuple(student or ())), sample, into)
        if STDIN in (inputs or ()) and typing_is_expected():
            frame.output.note("reading what you type; Ctrl-D on an empty line ends it")
        with frame.working("looking at the model and the rows"):
            chosen = task.choose(request, context)
        with task.located(inputs or (), chosen, context, resolved) as files:
            made = task.plan(request, chosen, files, context)
            if frame.dry_run:
                _show_plan(frame, made)
            elif request.wanted.anything:
                _show_row(frame, made, task.run_row(made, frame.reporter()), top)
            else:
                _show(frame, task.run(made, frame.reporter()), top)


def _show_plan(frame: Frame, made: ExplainPlan) -> None:
    from studentsuccess.tasks.explain import beginning

    beginning(made)
    rows = [(one.origin.shown, one.format.value, one.origin.path.stat().st_size) for one in made.given.inputs]
    writes = [made.context.shown(path) for path in made.outputs]
    document = {
        "plan": "explain",
        "model": made.chosen.entry.label,
        "reads": [dict(zip(("path", "format", "bytes"), row, strict=True)) for row in rows],
        "sample": made.rows,
        "row": made.request.wanted.row,
        "writes": writes,
        "already_explained": bool(made.done),
    }
    words = [f"model   {made.chosen.entry.label}: {made.chosen.entry.target}"]
    words += [f"sample  at most {made.rows:,} rows, spread evenly", f"writes  {', '.join(writes)}"] if writes else []
    words += [f"already explained by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("reads", "format", "bytes"), rows, words))


def _show(frame: Frame, result: Explained, top: int | None) -> None:
    from studentsuccess.models.explain_words import tells

    features = result.document["features"]
    document = {
        **result.document,
        "features": features[:top],
        "features_in_all": len(features),
        "outputs": list(result.outputs),
        "already_explained": result.already_done,
        "run_id": result.run_id,
    }
    is_data = frame.output.shape in (Shape.JSON, Shape.CSV)
    shown = result.overview.features[: top or (None if is_data else TOP_FEATURES)]
    rows = [(one.name, f"{one.mean_abs:.4g}", f"{one.share:.1%}", tells(one)) for one in shown]
    frame.output.result(document, Table(("feature", "mean push", "share", "what it does"), rows))
    for warning in result.warnings:
        frame.output.warn(warning)
    if len(shown) < len(features):
        frame.output.note(f"the strongest {len(shown)} of {len(features)} features; `--top {len(features)}` shows all")
    if result.already_done:
        frame.output.note(f"already explained by run {result.run_id}: nothing new, nothing changed")
        return
    frame.output.note(f"run {result.run_id}: explained over {result.overview.rows:,} rows: {', '.join(result.outputs)}")


def _show_row(frame: Frame, made: ExplainPlan, result: RowExplained, top: int | None) -> None:
    from studentsuccess.models.explain_row import shown
    from studentsuccess.models.explain_words import row_document, row_words

    manifest, told = made.chosen.manifest, result.reasons
    document = row_document(manifest, (result.found.shown, result.found.row), told, top)
    table = Table((), (), row_words(manifest, told, top or TOP_REASONS))
    if frame.output.shape is Shape.CSV:
        rows = [
            (one.name, shown(one.value), shown(one.typical[0]) if one.typical else None, f"{one.effect:.6g}")
            for one in told.reasons[:top]
        ]
        table = Table(("feature", "value", "typical", "effect"), rows)
    frame.output.result(document, table)
    for warning in result.warnings:
        frame.output.warn(warning)
    frame.output.note(f"row {result.found.row:,} of {result.found.shown}, by {manifest.label}")
