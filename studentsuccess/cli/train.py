"""`ss train`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from studentsuccess.cli import flags, train_remote, train_risk
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.core.counts import rows_of
from studentsuccess.errors import UsageError

if TYPE_CHECKING:
    from studentsuccess.tasks.train import TrainPlan, TrainResult


class AlgorithmChoice(StrEnum):
    """How to learn."""

    INCREMENTAL = "incremental"
    SEARCH = "search"
    RISK = "risk"


class DemographicsChoice(StrEnum):
    """Whether demographic columns are features."""

    USE = "use"
    EXCLUDE = "exclude"


class PromoteChoice(StrEnum):
    """When the new version is the one that `ss score` uses."""

    IF_BETTER = "if-better"
    ALWAYS = "always"
    NEVER = "never"


FIGURES = {
    "classification": ("accuracy", "macro_f1", "weighted_f1", "log_loss", "brier", "ece"),
    "regression": ("r2", "rmse", "mae"),
}


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Fit models and evaluate them honestly.",
        no_args_is_help=True,
        epilog="Example: ss train local --data grades.csv --target final",
    )
    app.add_typer(group, name="train")
    _register_local(group)
    train_remote.register(group)


def _register_local(group: typer.Typer) -> None:
    @command(
        group, "local", changes=True, group="train", epilog="Example: ss train local --data grades.csv --target final"
    )
    def local(
        frame: Frame,
        data: flags.Data = None,
        target: flags.Target = None,
        ids: flags.Ids = None,
        algorithm: Annotated[
            AlgorithmChoice,
            typer.Option("--algorithm", help="Out of core; the best of several families; who will not pass."),
        ] = AlgorithmChoice.INCREMENTAL,
        name: flags.Name = None,
        task: flags.Task = flags.TaskChoice.AUTO,
        types: flags.Types = None,
        holdout: flags.Holdout = None,
        epochs: flags.Epochs = None,
        batch_rows: Annotated[
            str | None, flags.text("--batch-rows", about="Rows read at a time.", metavar="auto|N")
        ] = None,
        seed: flags.Seed = None,
        trials: flags.Trials = None,
        cv: flags.Folds = None,
        refit: flags.Refit = False,
        resume: Annotated[bool, typer.Option("--resume", help="Go on after the last epoch of a killed run.")] = False,
        promote: Annotated[
            PromoteChoice | None,
            typer.Option("--promote", help="When `ss score` uses the new version.", show_default=False),
        ] = None,
        max_rejects: flags.MaxRejects = None,
        week: flags.Week = None,
        weeks: flags.Weeks = None,
        train_terms: Annotated[
            list[str] | None, flags.text("--train-terms", about="Risk: terms to learn from.", metavar="TERM,TERM")
        ] = None,
        test_terms: Annotated[
            list[str] | None, flags.text("--test-terms", about="Risk: terms to judge on.", metavar="TERM,TERM")
        ] = None,
        demographics: Annotated[
            DemographicsChoice | None,
            typer.Option("--demographics", help="Risk: whether the model may see them.", show_default=False),
        ] = None,
        backtest: Annotated[bool, typer.Option("--backtest", help="Risk: judge on a term that is over.")] = False,
        prove: Annotated[bool, typer.Option("--prove", help="Risk: show that no prediction sees the future.")] = False,
    ) -> None:
        """Learn from a table, here, and say how good it is on rows held out."""
        given = {
            "train.holdout": holdout,
            "train.epochs": epochs,
            "train.seed": seed,
            "train.trials": trials,
            "train.cv": cv,
            "train.promote": promote.value if promote else None,
            "budget.batch_rows": None if batch_rows in (None, "auto") else batch_rows,
            "etl.max_rejects": max_rejects,
            "risk.week": week,
            "risk.demographics": demographics.value if demographics else None,
        }
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        configuration = frame.configuration(given)
        only_risk = train_risk.RiskFlags([weeks] if weeks else (), train_terms or (), test_terms or (), backtest, prove)
        if algorithm is AlgorithmChoice.RISK:
            from studentsuccess.tasks.context import Context

            _refuse(algorithm, {"--data": data, "--target": target, "--id": ids, "--name": name, "--types": types})
            train_risk.run(frame, Context(configuration, frame.wait), only_risk)
            return
        _refuse(algorithm, dict.fromkeys(only_risk.given, True))
        from studentsuccess.tasks import train, train_data
        from studentsuccess.tasks.context import Context
        from studentsuccess.tasks.inputs import resolved

        how: Literal["incremental", "search"] = "search" if algorithm is AlgorithmChoice.SEARCH else "incremental"
        request = train.TrainRequest(how, name, task.value, tuple(types or ()), refit, resume)
        context = Context(configuration, frame.wait)
        with train_data.located(data or [], target, flags.parts(ids), context, resolved) as source:
            with frame.working("looking at the data"):
                made = train.plan(request, source, context)
            if frame.dry_run:
                _show_plan(frame, made)
                return
            _show(frame, train.run(made, frame.reporter()))


def _refuse(algorithm: AlgorithmChoice, given: Mapping[str, object]) -> None:
    """A flag of another algorithm is a misunderstanding, and ignoring it would hide that."""
    if wrong := next((flag for flag, value in given.items() if value), None):
        risk = algorithm is AlgorithmChoice.RISK
        why = "the risk model reads the warehouse" if risk else "it is for the risk model"
        raise UsageError(f"`{wrong}` does not go with `--algorithm {algorithm.value}`: {why}", f"leave `{wrong}` out")


def _show_plan(frame: Frame, made: TrainPlan) -> None:
    from studentsuccess.tasks.train_plan import describe

    shown = describe(made)
    frame.output.result(shown.facts, Table(("reads", "format", "columns", "bytes"), shown.rows, shown.words))


def _show(frame: Frame, result: TrainResult) -> None:
    if result.manifest is None:
        document = {"model": result.entry.name, "version": result.entry.version, "already_trained": True}
        frame.output.result(document, Table(("model", "version"), [(result.entry.name, result.entry.version)]))
        frame.output.note(f"already trained by run {result.run_id} as {result.entry.label}: nothing new")
        return
    frame.output.result(_document(result), _table(result))
    _say(frame, result)


def _document(result: TrainResult) -> dict[str, Any]:
    manifest = result.manifest
    assert manifest is not None
    return {
        "model": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "algorithm": manifest.algorithm,
        "rows": {
            "read": result.counts.read,
            "rejected": result.counts.rejected,
            "duplicate": result.counts.duplicate,
            "train": manifest.trained.rows,
            "holdout": manifest.holdout.rows,
            "unlabelled": manifest.trained.unlabelled,
        },
        "metrics": {name: manifest.metrics[name] for name in FIGURES[manifest.task]},
        "baseline": {name: dict(figures) for name, figures in manifest.baseline.items()},
        "promoted": bool(result.promoted),
        "refit": manifest.trained.refit,
        "leaderboard": list(manifest.extra.get("leaderboard", ())),
        "run_id": result.run_id,
        "path": result.entry.path,
        "dead_letters": list(result.dead_letters),
        "notes": list(result.notes),
        "warnings": list(result.warnings),
    }


def _table(result: TrainResult) -> Table:
    manifest = result.manifest
    assert manifest is not None
    names = list(manifest.baseline)
    rows = [
        (figure, _rounded(manifest.metrics[figure]), *(_rounded(manifest.baseline[one].get(figure)) for one in names))
        for figure in FIGURES[manifest.task]
    ]
    return Table(("held-out rows", manifest.label, *names), rows)


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _say(frame: Frame, result: TrainResult) -> None:
    manifest = result.manifest
    assert manifest is not None
    for note in result.notes:
        frame.output.note(note)
    for warning in result.warnings:
        frame.output.warn(
            warning, "`--algorithm search` tries other families" if manifest.algorithm != "search" else ""
        )
    if result.counts.rejected:
        frame.output.warn(f"{rows_of(result.counts.rejected)} rejected, none lost: {', '.join(result.dead_letters)}")
    learned = f"learned from {manifest.trained.rows:,} rows, held out {manifest.holdout.rows:,}"
    if manifest.trained.refit:
        learned += "; then trained again on all of them, which no figure here covers"
    frame.output.note(f"run {result.run_id}: {learned}")
    if result.promoted:
        frame.output.note(f"{manifest.label} is the production version now: {result.promoted}")
    else:
        hint = f"`ss models promote {manifest.label}{frame.again}` makes `ss score` use it"
        frame.output.note(f"{manifest.label} is registered, and production stays as it was; {hint}")
