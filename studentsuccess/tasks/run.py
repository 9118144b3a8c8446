"""`ss run`: the whole way in order. Every step stands by itself, so a killed run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.core.reporter import Reporter
from studentsuccess.errors import SsError, UsageError
from studentsuccess.sources.demo_folder import TABLES
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.load import OULAD, loaded_from
from studentsuccess.warehouse.tables import has_rows

if TYPE_CHECKING:
    from studentsuccess.tasks.etl import EtlPlan

COMMAND = "run"
TARGET = "pipeline"
# The libraries that learn, draw and explain, with the table of a small school: the demo of 4,000 students was killed
# by the system at 384 MB and done at 512 MB.
LEAST_MEMORY = 480_000_000
Step = Literal["etl", "train", "score", "explain", "marts", "alerts", "experiment", "roi", "report", "publish"]
STEPS: tuple[Step, ...] = ("etl", "train", "score", "explain", "marts", "alerts", "experiment", "roi", "report")


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for: generated data, files, or what the workspace holds."""

    demo: bool = False
    files: tuple[NamedFile, ...] = ()
    first: Step | None = None
    last: Step | None = None


@dataclass(frozen=True)
class RunPlan:
    """The steps in their order; what the first one reads is known, what the later ones make of it is not."""

    context: Context
    request: RunRequest
    steps: tuple[Step, ...]
    load: EtlPlan | None = None


@dataclass(frozen=True)
class Done:
    """One step: what it says of itself, how long it took, and whether there was anything to do."""

    step: str
    words: str
    seconds: float
    run_id: str
    repeated: bool


@dataclass
class RunResult:
    """All steps, and what they leave for people to open."""

    run_id: str = ""
    steps: list[Done] = field(default_factory=list)
    report: str = ""
    truth: str = ""
    notes: list[str] = field(default_factory=list)


def plan(request: RunRequest, context: Context) -> RunPlan:
    """Choose the steps; without input the warehouse must hold something."""
    steps = _chosen(request, context)
    _refuse_confusion(request, steps, context)
    _refuse_little_memory(steps, context)
    if "etl" in steps and not request.demo and not request.files:
        if not _holds_courses(context):
            raise UsageError(
                "there are no courses in this workspace, and no input was named",
                "`ss run --input FOLDER` reads an export; `ss run --demo` generates one",
            )
        steps = tuple(step for step in steps if step != "etl")
    return RunPlan(context, request, steps, _load(request, context) if request.files else None)


def _refuse_little_memory(steps: Sequence[Step], context: Context) -> None:
    """Rather than to be killed by the system in the middle."""
    memory = context.budget.memory
    if "train" in steps and memory < LEAST_MEMORY:
        raise SsError(
            f"the whole way needs {LEAST_MEMORY / 1e6:,.0f} MB of memory or more, and {memory / 1e6:,.0f} MB are there"
            f" ({context.budget.memory_source})",
            "give it more; a small school can try all the same: `--set budget.memory=480MB`",
        )


def _refuse_confusion(request: RunRequest, steps: Sequence[Step], context: Context) -> None:
    """What would be read is what was named: no file that nobody reads, and no demo made of real students."""
    if request.demo and request.files:
        raise UsageError("`--demo` and `--input` can't go together", "say one of them")
    if request.files and "etl" not in steps:
        raise UsageError(
            f"`--input` is read by the step etl, which `--from {request.first}` leaves out",
            "leave `--input` out to go on with what is loaded, or leave `--from` out",
        )
    generated = (f"inputs/demo/{name}.csv" for name in TABLES)
    if request.demo and not loaded_from(context.workspace, context.limits, OULAD, (*generated, "inputs/dlq/")):
        raise UsageError(
            "this workspace holds courses of its own, and the demo would be mixed with them",
            "give it a workspace to itself: `ss run --demo -w demo`",
        )


def _load(request: RunRequest, context: Context) -> EtlPlan:
    """What is wrong with an export is said before anything is done."""
    from studentsuccess.tasks import etl

    return etl.plan(etl.EtlRequest("oulad"), request.files, context)


def _chosen(request: RunRequest, context: Context) -> tuple[Step, ...]:
    """From one step to another; publishing comes last where a database is configured."""
    publish: tuple[Step, ...] = ("publish",) if context.settings.publish.database_url else ()
    every = (*STEPS, *publish)
    first = every.index(request.first) if request.first in every else 0
    last = every.index(request.last) if request.last in every else len(every) - 1
    if first > last:
        raise UsageError(
            f"`--from {request.first}` comes after `--until {request.last}`", f"the order is {' → '.join(every)}"
        )
    return every[first : last + 1]


def _holds_courses(context: Context) -> bool:
    if not context.workspace.warehouse.is_file():
        return False
    with connect(context.workspace, context.limits, read_only=True) as connection:
        return has_rows(connection, "core", "enrollment")


def run(made: RunPlan, reporter: Reporter, told: Callable[[Done], None]) -> RunResult:
    """Step by step; `told` hears of each as it ends. What was done before is found done and not repeated."""
    result = RunResult()
    started = datetime.now(UTC)
    for step in made.steps:
        begun = time.monotonic()
        try:
            words, run_id, repeated = _WORK[step](made, reporter, result)
        except SsError as problem:
            onward = "run it again" if step == "etl" else f"go on with `ss run --from {step}`"
            problem.hint = f"{problem.hint}; then {onward}" if problem.hint else onward
            raise
        done = Done(step, words, time.monotonic() - begun, run_id, repeated)
        result.steps.append(done)
        told(done)
    result.run_id = _record(made, result, started)
    return result


def _record(made: RunPlan, result: RunResult, started: datetime) -> str:
    """The parent's own entry: its children by their run ids."""
    context = made.context
    children = tuple(
        FileFact(f"run:{one.step}:{one.run_id}", 0, text_digest(one.run_id)) for one in result.steps if one.run_id
    )
    key = text_digest(canonical([COMMAND, *(fact.path for fact in children)]))
    record = Run(new_run_id(), key, COMMAND, (TARGET,), False, started, context.configuration.digest, children)
    return commit(context.workspace, context.limits, record, (), _nothing, context.wait).run_id


def _nothing(_connection: Connection) -> None:
    """The steps have done everything."""


Worked = tuple[str, str, bool]


def _etl(made: RunPlan, reporter: Reporter, result: RunResult) -> Worked:
    from studentsuccess.tasks import etl, etl_demo

    if made.request.demo:
        found = etl_demo.run(etl_demo.plan(made.context), reporter)
    else:
        assert made.load is not None
        result.notes += made.load.warnings
        found = etl.run(made.load, etl.EtlRequest("oulad"), reporter)
    if found.already_loaded:
        return "the same files are loaded already", found.run_id, True
    result.notes += found.notes
    books = found.tables.values()
    read, kept = sum(one.read for one in books), sum(one.kept for one in books)
    rejected, duplicate = sum(one.rejected for one in books), sum(one.duplicate for one in books)
    words = f"{len(found.tables)} files, {read:,} rows: {kept:,} kept · {rejected:,} rejected · {duplicate:,} duplicate"
    return words, found.run_id, False


def _train(made: RunPlan, reporter: Reporter, result: RunResult) -> Worked:
    from studentsuccess.tasks import risk

    found = risk.run(risk.plan(risk.RiskRequest(), made.context), reporter)
    if found.manifest is None:
        return f"{found.entry.label} stands already", found.run_id, True
    result.notes += found.notes
    metrics = found.manifest.metrics
    words = (
        f"{found.entry.label}, week {metrics['week']}: {found.manifest.trained.rows:,} enrolments · {_ranked(metrics)}"
        f" · calibration error {metrics['ece']:.3f}"
    )
    return words, found.run_id, False


def _ranked(metrics: Mapping[str, Any]) -> str:
    """How well the riskiest are told apart, with its interval where there is one."""
    if metrics.get("auc") is None:
        return f"accuracy {metrics['accuracy']:.2f}"
    low, high = metrics.get("auc_interval", (None, None))
    return f"AUC {metrics['auc']:.2f}" + (f" [{low:.2f} {high:.2f}]" if low is not None else "")


def _score(made: RunPlan, reporter: Reporter, result: RunResult) -> Worked:
    from studentsuccess.tasks import risk_score

    found = risk_score.run(risk_score.plan(None, made.context), reporter)
    result.notes += [note for note in found.notes if note not in result.notes]
    words = f"{found.scored:,} students still enrolled, {found.gone:,} already gone (week {found.week})"
    return words, found.run_id, found.already_scored


def _explain(made: RunPlan, reporter: Reporter, result: RunResult) -> Worked:
    from studentsuccess.features.risk_words import WORDS
    from studentsuccess.tasks import risk_explain, run_truth

    found = risk_explain.run(risk_explain.plan(None, made.context), reporter)
    folder = made.context.workspace.inputs / "demo" / "truth"
    if made.request.demo and (folder / "planted_effects.json").is_file():
        truth = run_truth.compare(folder, found.document, made.context)
        result.truth = truth.words() if truth else ""
    names = [one["name"] for one in found.document["features"] if one["actionable"]][:2]
    strongest = ", ".join(WORDS[name].title if name in WORDS else name for name in names)
    return f"strongest that can be acted on: {strongest}", found.run_id, found.already_done


def _marts(made: RunPlan, reporter: Reporter, _result: RunResult) -> Worked:
    from studentsuccess.tasks import marts

    found = marts.run(marts.plan(made.context), reporter)
    words = f"{len(found.standing.rows)} tables, {found.standing.suppressed:,} rows with small cells hidden"
    return words, found.run_id, found.already_built


def _alerts(made: RunPlan, reporter: Reporter, _result: RunResult) -> Worked:
    from studentsuccess.tasks import alerts

    found = alerts.run(alerts.plan(made.context), reporter)
    return found.words(), found.run_id, found.already_done


def _experiment(made: RunPlan, reporter: Reporter, _result: RunResult) -> Worked:
    from studentsuccess.tasks import experiment

    found = experiment.run(experiment.plan(made.context), reporter)
    return found.words(), found.run_id, found.already_done


def _roi(made: RunPlan, reporter: Reporter, _result: RunResult) -> Worked:
    from studentsuccess.tasks import roi

    found = roi.run(roi.plan(made.context), reporter)
    return found.words(), found.run_id, found.already_done


def _report(made: RunPlan, reporter: Reporter, result: RunResult) -> Worked:
    from studentsuccess.tasks import report

    found = report.run(report.plan(made.context), reporter)
    result.report = found.page
    return found.page, found.run_id, found.already_done


def _publish(made: RunPlan, reporter: Reporter, _result: RunResult) -> Worked:
    from studentsuccess.tasks import marts_publish

    found = marts_publish.run(marts_publish.plan(None, made.context), reporter)
    return f"{len(found.tables)} tables to {found.to}", found.run_id, found.already_published


_WORK: Mapping[str, Callable[[RunPlan, Reporter, RunResult], Worked]] = {
    "etl": _etl,
    "train": _train,
    "score": _score,
    "explain": _explain,
    "marts": _marts,
    "alerts": _alerts,
    "experiment": _experiment,
    "roi": _roi,
    "report": _report,
    "publish": _publish,
}


def document(made: RunPlan, result: RunResult) -> dict[str, Any]:
    """As `-f json` prints it."""
    return {
        "run_id": result.run_id,
        "steps": [
            {
                "step": one.step,
                "run_id": one.run_id,
                "what": one.words,
                "seconds": round(one.seconds, 3),
                "repeated": one.repeated,
            }
            for one in result.steps
        ],
        "report": result.report,
        "truth": result.truth,
        "notes": result.notes,
        "demo": made.request.demo,
    }
