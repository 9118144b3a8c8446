"""The same from a notebook or another program: what the commands do, as functions.

import studentsuccess as ss
result = ss.etl(["exports/grades.csv"], workspace="my-school", ids=["student_id"])
result.tables["grades"].kept

trained = ss.train("grades", "final", "my-school")
scored = ss.score("new.csv", "my-school")
scored.counts.kept, scored.output
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Literal

from studentsuccess.batching.checker import Verified
from studentsuccess.batching.inputs import Read
from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.reporter import Reporter, SilentReporter
from studentsuccess.errors import UsageError
from studentsuccess.models.labels import Asked
from studentsuccess.tasks import batch as batch_task
from studentsuccess.tasks import batch_check, etl_demo, etl_retry, train_data
from studentsuccess.tasks import etl as etl_task
from studentsuccess.tasks import explain as explain_task
from studentsuccess.tasks import models as models_task
from studentsuccess.tasks import score as score_task
from studentsuccess.tasks import train as train_task
from studentsuccess.tasks import verify as verify_task
from studentsuccess.tasks.batch import BatchResult
from studentsuccess.tasks.batch_request import Beside
from studentsuccess.tasks.context import Context, settle
from studentsuccess.tasks.etl import EtlRequest, EtlResult
from studentsuccess.tasks.explain import Explained, ExplainPlan, ExplainRequest, RowExplained
from studentsuccess.tasks.explain_rows import Wanted
from studentsuccess.tasks.inputs import resolved
from studentsuccess.tasks.models import Comparison, Promoted, Shown, Standing
from studentsuccess.tasks.score import ScoreRequest, ScoreResult
from studentsuccess.tasks.train import Algorithm, TrainRequest, TrainResult
from studentsuccess.warehouse.verify import Finding


def etl(
    inputs: Iterable[str | Path],
    workspace: str | Path = ".",
    *,
    kind: Literal["auto", "table", "oulad"] = "auto",
    name: str | None = None,
    ids: Iterable[str] = (),
    target: str | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Read files, check every row, and load them. `settings` are dotted paths, such as `{"etl.max_rejects": "5%"}`."""
    context = _changing(workspace, settings, wait)
    request = EtlRequest(kind, name, tuple(ids), target)
    with resolved([str(one) for one in inputs]) as files:
        return etl_task.run(etl_task.plan(request, files, context), request, reporter or SilentReporter())


def etl_generated(
    workspace: str | Path = ".",
    *,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Generate data with a known truth and load it, as `ss etl --demo`."""
    context = _changing(workspace, settings, wait)
    return etl_demo.run(etl_demo.plan(context), reporter or SilentReporter())


def etl_mended(
    file: str | Path,
    workspace: str | Path = ".",
    *,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Load mended dead letters, as `ss etl --retry`."""
    context = _changing(workspace, settings, wait)
    return etl_retry.run(etl_retry.plan(Path(file), context), reporter or SilentReporter())


def train(
    data: str | Path | Iterable[str | Path],
    target: str | None,
    workspace: str | Path = ".",
    *,
    ids: Iterable[str] = (),
    algorithm: Algorithm = "incremental",
    name: str | None = None,
    task: Asked = "auto",
    types: Iterable[str] = (),
    refit: bool = False,
    resume: bool = False,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> TrainResult:
    """Learn from files or from a dataset of the workspace, as `ss train local`; `types` are texts `COLUMN=ROLE`."""
    context = _changing(workspace, settings, wait)
    request = TrainRequest(algorithm, name, task, tuple(types), refit, resume)
    with train_data.located(_named(data), target, tuple(ids), context, resolved) as source:
        return train_task.run(train_task.plan(request, source, context), reporter or SilentReporter())


def score(
    inputs: str | Path | Iterable[str | Path],
    workspace: str | Path = ".",
    *,
    model: str | None = None,
    output: str | Path | None = None,
    ids: Iterable[str] = (),
    evaluate: bool = False,
    reasons: int = 0,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> ScoreResult:
    """Predict every row with a registered model, into a file; look at `failed`, which names rows that had no score."""
    context = _changing(workspace, settings, wait)
    request = ScoreRequest(model, str(output) if output is not None else None, tuple(ids), evaluate, reasons)
    with resolved(_named(inputs)) as files:
        return score_task.run(score_task.plan(request, files, context), reporter or SilentReporter())


def explain(
    inputs: str | Path | Iterable[str | Path] = (),
    workspace: str | Path = ".",
    *,
    model: str | None = None,
    sample: int | None = None,
    into: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> Explained:
    """What a model looks at, over rows of files, of a dataset, or (unsaid) of what it was trained on."""
    request = ExplainRequest(model, Wanted(), sample, str(into) if into is not None else None)
    with _explaining(request, inputs, _context(workspace, settings, wait)) as made:
        return explain_task.run(made, reporter or SilentReporter())


def explain_row(
    inputs: str | Path | Iterable[str | Path] = (),
    workspace: str | Path = ".",
    *,
    row: int | None = None,
    student: Iterable[str] = (),
    model: str | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> RowExplained:
    """Why a model said what it said of one row: by its place, from 1 on, or by its id (one text an id column)."""
    request = ExplainRequest(model, Wanted(row, tuple(student)))
    if not request.wanted.anything:
        raise UsageError("no row is named", "say `row=17`, or `student=[ID]`; `explain` looks at all rows")
    with _explaining(request, inputs, _context(workspace, settings, wait)) as made:
        return explain_task.run_row(made, reporter or SilentReporter())


def list_models(workspace: str | Path = ".") -> tuple[Standing, ...]:
    """Every version with its figures, oldest first within its name."""
    return models_task.listing(_context(workspace, None, 0.0))


def model(spec: str | None = None, workspace: str | Path = ".") -> Shown:
    """Everything about one version, from its verified manifest; unsaid, about the one that scores."""
    return models_task.show(spec, _context(workspace, None, 0.0))


def compare(specs: Iterable[str], workspace: str | Path = ".") -> Comparison:
    """Versions side by side, and the better one where that can be said."""
    return models_task.compare(tuple(specs), _context(workspace, None, 0.0))


def promote(spec: str, workspace: str | Path = ".", *, wait: float = 0.0) -> Promoted:
    """Make `score` use this version."""
    return models_task.run(models_task.plan(spec, _changing(workspace, None, wait)))


def process_student_batching(
    folder: str | Path,
    output: str | Path,
    workspace: str | Path = ".",
    *,
    day: date | None = None,
    rules: str | Path | None = None,
    pins: str | Path | None = None,
    previous: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> BatchResult:
    """A term's files into batches with rooms and shifts, as `ss batch process`; `settings` such as `{"batch.seed": 7}`.

    A term that can't be used is a `TermError` whose `read` has all problems; without a solution it is a
    `NoSolutionError` whose `obstacles` have the reasons and the ways out. Both are `SsError`.
    """
    context, silent = _changing(workspace, settings, wait), reporter or SilentReporter()
    beside = _beside(rules, pins, previous)
    request = batch_task.BatchRequest(Path(folder), Path(output), day or date.today(), beside)  # noqa: DTZ011
    return batch_task.run(batch_task.plan(request, context, silent), silent)


def quick_batch_processing(
    folder: str | Path, output: str | Path, workspace: str | Path = ".", *, day: date | None = None
) -> BatchResult:
    """The same with less effort (`batch.performance`): for a first look."""
    return process_student_batching(folder, output, workspace, day=day, settings={"batch.performance": True})


def validate_batch_processing_inputs(
    folder: str | Path,
    workspace: str | Path = ".",
    *,
    rules: str | Path | None = None,
    pins: str | Path | None = None,
    previous: str | Path | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
) -> Read:
    """Everything that is wrong with a term's files, as `ss batch check`: `ready`, `files` and `problems`."""
    context = _context(workspace, settings, 0.0)
    beside = _beside(rules, pins, previous)
    return batch_check.check(Path(folder), context, reporter or SilentReporter(), beside)


def verify_batches(output: str | Path, folder: str | Path) -> Verified:
    """Recompute every measure and rule of batches from the files alone, as `ss batch verify`."""
    return batch_check.verify(Path(output), Path(folder))


def _beside(*paths: str | Path | None) -> Beside:
    return Beside(*(None if path is None else Path(path) for path in paths))


def verify(workspace: str | Path = ".") -> tuple[Finding, ...]:
    """Hold files, tables and models against the ledger; changes nothing."""
    return verify_task.run(_context(workspace, None, 0.0)).findings


@contextmanager
def _explaining(
    request: ExplainRequest, inputs: str | Path | Iterable[str | Path], context: Context
) -> Iterator[ExplainPlan]:
    chosen = explain_task.choose(request, context)
    with explain_task.located(_named(inputs), chosen, context, resolved) as files:
        yield explain_task.plan(request, chosen, files, context)


def _named(given: str | Path | Iterable[str | Path]) -> list[str]:
    """One path or several, as texts."""
    return [str(given)] if isinstance(given, str | Path) else [str(one) for one in given]


def _context(workspace: str | Path, settings: Mapping[str, object] | None, wait: float) -> Context:
    return Context(load(Overrides(workspace=Path(workspace), flags=dict(settings or {}))), wait)


def _changing(workspace: str | Path, settings: Mapping[str, object] | None, wait: float) -> Context:
    """For what writes: a run that was killed after its commit is brought to its end first."""
    context = _context(workspace, settings, wait)
    settle(context)
    return context
