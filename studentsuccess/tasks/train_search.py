"""The search algorithm, from a study to a fit: a table in memory, several families, one honest choice."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from studentsuccess.core.budget import INTERPRETER_BYTES
from studentsuccess.core.reporter import Reporter
from studentsuccess.errors import UsageError
from studentsuccess.models.baseline import fit_plain
from studentsuccess.models.keep import dump_pipeline
from studentsuccess.models.pipeline_inputs import Inputs
from studentsuccess.models.search import fit_choice, search
from studentsuccess.models.search_terms import Found, Options, Table, needed_bytes
from studentsuccess.models.softmax import Doubles
from studentsuccess.models.store import Rows
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.train_data import Source
from studentsuccess.tasks.train_evaluate import evaluate, warnings_of
from studentsuccess.tasks.train_fit import Fit, Study, Wanted

# A table in memory is at least about as large as its text.
LEAST_FACTOR = 1.0


def refuse_too_large(source: Source, context: Context) -> None:
    """What can't fit is said before anything is read; what turns out too large, before anything is fitted."""
    _refuse(int(source.size * LEAST_FACTOR), context)


def _refuse(needed: int, context: Context) -> None:
    budget = context.budget
    left = max(0, budget.memory - INTERPRETER_BYTES)
    if needed > left:
        raise UsageError(
            f"a search needs the table in memory, about {needed / 1e6:,.0f} MB, and {left / 1e6:,.0f} MB are left"
            f" (memory by {budget.memory_source})",
            "learn out of core: `--algorithm incremental`; or allow more: `--set budget.memory=…`",
        )


def fit(study: Study, wanted: Wanted, context: Context, reporter: Reporter) -> Fit:
    """Search on the rows that are not held out, evaluate on those that are."""
    features = study.design.features
    outputs = max(1, len(study.target.classes))
    options = Options(wanted.trials, wanted.cv, context.budget.workers)
    _refuse(needed_bytes(study.store.rows, features, outputs, options), context)
    table = _table(study, wanted)
    step = reporter.step("searching", None, unit="fits")

    def on_trial(done: int, total: int, best: float) -> None:
        step.expect(total)
        step.advance(done - progress[0], detail=f"best {best:.4f}")
        progress[0] = done

    progress = [0]
    try:
        found = search(table, replace(options, on_trial=on_trial))
    finally:
        step.close()
    plain = fit_plain(study.store, study.design, study.target.labels, study.training)
    metrics, baseline = evaluate(study, _in_order(study, found), plain, found.half_width or float("nan"))
    model = fit_choice(table, found.choice) if wanted.refit else found.model
    extra = {**found.extra, **_told(found)}
    return Fit(
        features,
        metrics,
        baseline,
        {"pipeline.skops": dump_pipeline(model)},
        extra,
        _warnings(found, metrics, baseline),
    )


def _table(study: Study, wanted: Wanted) -> Table:
    """The rows as a matrix; those without a target, or taken out, are not in it."""
    target, keys = [], []
    for rows in study.store.scan():
        target.append(rows["target"])
        keys.append(rows["key"])
    whole, who = np.concatenate(target), np.concatenate(keys)
    usable = np.isfinite(whole)
    inputs = Inputs.of(study.design.features)
    batches = study.gathered.batches
    matrix = np.concatenate([inputs.encode(batches.pop(0)).matrix for _ in range(len(batches))])[usable]
    labels = study.target.labels
    wanted_values = labels.encode(whole[usable]).astype(np.int64) if labels.classes else whole[usable]
    return Table(
        matrix,
        study.design.features,
        wanted_values,
        study.target.classes,
        study.target.task,
        study.split.held_out(who[usable]),
        wanted.seed,
        who[usable] if study.gathered.repeats else None,
    )


def _in_order(study: Study, found: Found) -> Any:
    """The search's predictions, piece by piece as the held-out rows come."""
    labels = study.target.labels
    place = [0]

    def next_ones(rows: Rows) -> Doubles:
        first = place[0]
        place[0] += len(rows)
        mine = found.predictions[first : place[0]]
        return mine if labels.classes else (mine - labels.mean) / labels.spread

    return next_ones


def _told(found: Found) -> dict[str, Any]:
    """What the registry keeps of a search."""
    return {
        "leaderboard": [asdict(one) for one in found.leaderboard],
        "choice": found.choice.name,
        "scoring": found.scoring,
        "folds": found.folds,
        "verdict": found.verdict.reason,
    }


def _warnings(found: Found, metrics: Any, baseline: Any) -> tuple[str, ...]:
    inside = () if found.verdict.beats_baseline else (f"nothing beats the plain baseline: {found.verdict.reason}",)
    return (*inside, *warnings_of(metrics, baseline))
