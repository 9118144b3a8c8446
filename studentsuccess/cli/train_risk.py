"""`ss train local --algorithm risk`: the risk model, its backtest and its leakage proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studentsuccess.cli.output import Table
from studentsuccess.errors import ExitCode, SsError, UsageError

if TYPE_CHECKING:
    from studentsuccess.cli.frame import Frame
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.risk import RiskPlan, RiskRequest, RiskResult
    from studentsuccess.tasks.risk_backtest import BacktestResult

MEASURED = ("auc", "ap", "accuracy", "macro_f1", "log_loss", "brier", "ece")
FIGURES = ("base_rate", "auc", "ap", "brier", "ece")


@dataclass(frozen=True)
class RiskFlags:
    """The flags that only the risk model has."""

    weeks: Sequence[str] = ()
    train_terms: Sequence[str] = ()
    test_terms: Sequence[str] = ()
    backtest: bool = False
    prove: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Those that were given, for whoever gave them to another algorithm."""
        found = {
            "--weeks": self.weeks,
            "--train-terms": self.train_terms,
            "--test-terms": self.test_terms,
            "--backtest": self.backtest,
            "--prove": self.prove,
        }
        return tuple(flag for flag, value in found.items() if value)


def run(frame: Frame, context: Context, flags: RiskFlags) -> None:
    """Train, test backwards, or prove, as asked."""
    from studentsuccess.tasks.risk import RiskRequest

    request = RiskRequest(_weeks(flags.weeks), tuple(flags.train_terms), tuple(flags.test_terms))
    if flags.prove:
        _prove(frame, context)
    elif flags.backtest:
        _backtest(frame, context, request)
    else:
        _train(frame, context, request)


def _weeks(given: Sequence[str]) -> tuple[int, ...]:
    parts = [part.strip() for one in given for part in one.split(",") if part.strip()]
    wrong = next((part for part in parts if not part.isdecimal() or int(part) > 60), None)
    if wrong is not None:
        raise UsageError(f"`--weeks {wrong}` is not a week from 0 to 60", "such as `--weeks 0,4,8,12,20`")
    return tuple(int(part) for part in parts)


def _train(frame: Frame, context: Context, request: RiskRequest) -> None:
    from studentsuccess.tasks import risk

    with frame.working("looking at the terms"):
        made = risk.plan(request, context)
    if frame.dry_run:
        _show_plan(frame, made)
        return
    show(frame, risk.run(made, frame.reporter()))


def _show_plan(frame: Frame, made: RiskPlan) -> None:
    document = {
        "plan": "train local --algorithm risk",
        "model": "risk",
        "version": made.version,
        "train_terms": list(made.train_terms),
        "test_terms": list(made.test_terms),
        "weeks": list(made.weeks),
        "already_trained": bool(made.done),
    }
    rows = [("learns from", ", ".join(made.train_terms)), ("judged on", ", ".join(made.test_terms))]
    rows += [("weeks", ", ".join(map(str, made.weeks))), ("writes", f"models/risk/{made.version}/")]
    words = [f"already trained by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("plan", "what"), rows, words))


def show(frame: Frame, result: RiskResult) -> None:
    """The model's figures, week by week."""
    entry, manifest = result.entry, result.manifest
    document: dict[str, Any] = {"model": entry.name, "version": entry.version}
    document["already_trained"] = result.already_trained
    if manifest is None:
        frame.output.result(document, Table(("model", "version"), [(entry.name, entry.version)]))
        frame.output.note(f"already trained by run {result.run_id} as {entry.label}: nothing new")
        return
    weeks = list(manifest.extra["by_week"])
    document |= {
        "task": manifest.task,
        "train_terms": manifest.extra["train_terms"],
        "test_terms": manifest.extra["test_terms"],
        "rows": {"train": manifest.trained.rows, "holdout": manifest.holdout.rows},
        "metrics": {name: manifest.metrics[name] for name in MEASURED if name in manifest.metrics},
        "weeks": weeks,
        "promoted": bool(result.promoted),
        "run_id": result.run_id,
        "notes": list(result.notes),
    }
    names = ("week", "rows", "auc", "ap", "accuracy", "log_loss", "ece")
    rows = [tuple(_rounded(one[name]) for name in names) for one in weeks]
    frame.output.result(document, Table(names, rows))
    for note in result.notes:
        frame.output.warn(note)
    judged = manifest.extra["judged"]
    frame.output.note(
        f"run {result.run_id}: {entry.label} learned from {', '.join(manifest.extra['train_terms'])}; the figures are"
        f" those of {', '.join(judged['test'])}, predicted from {', '.join(judged['train'])}"
    )
    if result.promoted:
        frame.output.note(f"{entry.label} is the production version now: {result.promoted}")


def _backtest(frame: Frame, context: Context, request: RiskRequest) -> None:
    from studentsuccess.tasks import risk_backtest

    with frame.working("looking at the terms"):
        made = risk_backtest.prepare(request, context)
    if frame.dry_run:
        _show_plan(frame, made.risk)
        return
    _show_backtest(frame, risk_backtest.run(made, frame.reporter()))


def _show_backtest(frame: Frame, result: BacktestResult) -> None:
    from studentsuccess.tasks.risk_backtest import document

    told = document(result)
    without = {one["week"]: one["auc"] for one in told["without_demographics"]}
    rows = [
        (one["week"], one["n"], *map(_rounded, map(one.get, FIGURES)), _interval(one), _rounded(without[one["week"]]))
        for one in told["weeks"]
    ]
    names = ("week", "n", *FIGURES, "auc, 95%", "auc without demographics")
    frame.output.result(told, Table(names, rows))
    frame.output.note(
        f"learned from {', '.join(result.train_terms)}, judged on {', '.join(result.test_terms)}; per module and group"
        f" with `-f json` and in ml.backtest; drawn in {', '.join(result.outputs)}"
    )
    for note in result.notes:
        frame.output.warn(note)
    for one in told["weeks"]:
        if (one["auc"] or 0) > SUSPICIOUS and one["week"] <= SUSPICIOUS_WEEK:
            frame.output.warn(
                f"week {one['week']}: an AUC of {one['auc']:.3f} so early is too good: presume a leak",
                "`ss train local --algorithm risk --prove` shows whether the future reaches a prediction",
            )
    if result.already_done:
        frame.output.note(f"already done by run {result.run_id}: nothing new")


# From the protocol for OULAD: more than this by week 8 has always been a leak.
SUSPICIOUS, SUSPICIOUS_WEEK = 0.87, 8


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _interval(one: dict[str, Any]) -> str:
    low, high = one.get("intervals", {}).get("auc", (None, None))
    return f"{low:.3f} to {high:.3f}" if low is not None else ""


def _prove(frame: Frame, context: Context) -> None:
    from studentsuccess.tasks.risk_proof import prove

    found = prove(None, context, frame.reporter())
    changed = sum(one.changed for one in found)
    rows = [(one.week, one.predictions, one.changed) for one in found]
    document = {
        "proof": "leakage",
        "holds": not changed,
        "weeks": [{"week": week, "predictions": count, "changed": other} for week, count, other in rows],
    }
    frame.output.result(document, Table(("week", "predictions", "changed by another future"), rows))
    if changed:
        raise SsError(
            f"{changed:,} predictions depend on what came after their cut-off",
            "report it: `ss doctor -f json`; do not use these predictions",
            ExitCode.FAILED,
        )
    frame.output.note("later rows were dropped, doubled, moved, made up: not one bit of a prediction changed")
