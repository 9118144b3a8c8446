"""`ss score`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Shape, Table, typing_is_expected
from studentsuccess.core.counts import rows_of
from studentsuccess.errors import ExitCode, SsError, UsageError

if TYPE_CHECKING:
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.score import ScorePlan, ScoreResult


def register(app: typer.Typer) -> None:
    @command(app, "score", changes=True, epilog="Example: ss score new.csv -m final -o scores.csv")
    def score(
        frame: Frame,
        inputs: Annotated[
            list[str] | None,
            typer.Argument(metavar="[INPUT]...", help="Files, folders or patterns; - is stdin.", show_default=False),
        ] = None,
        model: flags.Model = None,
        output: flags.Output = None,
        ids: flags.Ids = None,
        evaluate: Annotated[
            bool, typer.Option("--evaluate", help="Compare with the target column; no score sees it.")
        ] = False,
        explain: Annotated[int, typer.Option("--explain", help="Add the K strongest reasons.", metavar="K", min=0)] = 0,
        workers: flags.Workers = None,
        max_rejects: flags.MaxRejects = None,
    ) -> None:
        """Predict row by row with a registered model, in input order."""
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        configuration = frame.configuration({"budget.cpus": workers, "etl.max_rejects": max_rejects})
        from studentsuccess.core.sinks import RowFormat
        from studentsuccess.tasks import score as task
        from studentsuccess.tasks.context import Context
        from studentsuccess.tasks.inputs import STDIN, resolved

        if not inputs:
            _current(frame, Context(configuration, frame.wait), model)
            return
        to_stdout = output == task.STDOUT
        if to_stdout and frame.output.shape is Shape.TABLE:
            raise UsageError("rows on stdout are csv or json, not a table", "say `-f csv` or `-f json`, or `-o FILE`")
        form = RowFormat.JSON if frame.output.shape is Shape.JSON else RowFormat.CSV
        request = task.ScoreRequest(model, output, flags.parts(ids), evaluate, explain, form)
        if STDIN in inputs and typing_is_expected():
            frame.output.note("reading what you type; Ctrl-D on an empty line ends it")
        with resolved(inputs) as files:
            with frame.working("looking at the model and the files"):
                made = task.plan(request, files, Context(configuration, frame.wait))
            for warning in made.warnings:
                frame.output.warn(warning)
            if frame.dry_run:
                _show_plan(frame, made)
                return
            _show(frame, task.run(made, frame.reporter()), to_stdout=to_stdout)


def _current(frame: Frame, context: Context, model: str | None) -> None:
    """Without an input: the enrolments that the warehouse holds, with the risk model."""
    from studentsuccess.tasks import risk_score

    with frame.working("looking at the model"):
        made = risk_score.plan(model, context)
    if frame.dry_run:
        document = {
            "plan": "score",
            "model": made.entry.label,
            "terms": list(made.term),
            "weeks": list(made.weeks),
            "already_scored": bool(made.done),
        }
        rows = [(made.entry.label, ", ".join(made.term), f"{made.weeks[0]} to {made.weeks[-1]}")]
        frame.output.result(document, Table(("model", "terms", "weeks"), rows))
        return
    result = risk_score.run(made, frame.reporter())
    told: dict[str, Any] = {
        "run_id": result.run_id,
        "model": result.model,
        "week": result.week,
        "scored": result.scored,
        "gone": result.gone,
        "decisions": result.decisions,
        "outputs": list(result.outputs),
        "already_scored": result.already_scored,
        "notes": list(result.notes),
    }
    words = ("at risk", "unsure", "not at risk")
    row = (result.model, result.week, result.scored, *(result.decisions.get(word, 0) for word in words), result.gone)
    frame.output.result(told, Table(("model", "week", "scored", *words, "already gone"), [row]))
    for note in result.notes:
        frame.output.warn(note)
    if result.already_scored:
        frame.output.note(f"already scored by run {result.run_id}: nothing new, nothing changed")
        return
    frame.output.note(f"run {result.run_id}: every week in ml.prediction, the newest in {result.outputs[0]}")


def _show_plan(frame: Frame, made: ScorePlan) -> None:
    rows = [(one.origin.shown, one.format.value, one.origin.path.stat().st_size) for one in made.given.inputs]
    document = {
        "plan": "score",
        "model": made.entry.label,
        "reads": [dict(zip(("path", "format", "bytes"), row, strict=True)) for row in rows],
        "writes": made.output,
        "ids": list(made.given.ids),
        "already_scored": bool(made.done),
        "warnings": list(made.warnings),
    }
    words = [f"model   {made.entry.label}: {made.entry.target}", f"writes  {made.output}, as {made.form.value}"]
    words += [f"already scored by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("reads", "format", "bytes"), rows, words))


def _show(frame: Frame, result: ScoreResult, *, to_stdout: bool) -> None:
    counts = result.counts
    if not to_stdout:
        document = {
            "run_id": result.run_id,
            "model": result.model,
            "rows": {"read": counts.read, "scored": counts.kept, "rejected": counts.rejected},
            "unseen": dict(result.unseen),
            "output": result.output,
            "already_scored": result.already_scored,
            "dead_letters": list(result.dead_letters),
            "metrics": result.metrics,
        }
        rows = [(result.model, counts.read, counts.kept, counts.rejected, result.output)]
        frame.output.result(document, Table(("model", "read", "scored", "rejected", "output"), rows))
    if result.already_scored:
        frame.output.note(f"already scored by run {result.run_id}: nothing new, nothing changed")
        return
    if result.unseen:
        told = ", ".join(f"{count:,} in `{name}`" for name, count in list(result.unseen.items())[:3])
        more = f" and in {len(result.unseen) - 3} more columns (`-f json` lists all)" if len(result.unseen) > 3 else ""
        frame.output.warn(f"values that the model never met, which say nothing to it: {told}{more}")
    if result.metrics is not None:
        frame.output.note(_against_truth(result))
        if result.learned_from:
            frame.output.warn(
                "the model learned from this very file, so these figures flatter it; `ss models show` has honest ones"
            )
    if counts.rejected:
        frame.output.warn(f"{rows_of(counts.rejected)} rejected, none lost: {', '.join(result.dead_letters)}")
    frame.output.note(f"run {result.run_id}: {rows_of(counts.kept)} scored with {result.model} into {result.output}")
    if result.failed:
        raise SsError(
            f"{result.failed} could not be scored: a defect of ss or of the model",
            f"they are in {result.dead_letters[0]}; `ss verify` checks the model, `ss doctor -f json` what to report",
            ExitCode.FAILED,
        )


def _against_truth(result: ScoreResult) -> str:
    assert result.metrics is not None
    names = ("accuracy", "macro_f1", "log_loss") if "accuracy" in result.metrics else ("r2", "rmse", "mae")
    told = ", ".join(f"{name} {result.metrics[name]:.4g}" for name in names)
    return f"against the truth of {result.metrics['rows']:,} rows: {told}"
