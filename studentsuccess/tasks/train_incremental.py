"""The incremental algorithm, from a study to a fit: learn, learn again with what was set aside, evaluate, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from studentsuccess.core.reporter import Reporter
from studentsuccess.models.baseline import fit_plain
from studentsuccess.models.checkpoint import Checkpoints
from studentsuccess.models.design import Design, Facts, build
from studentsuccess.models.draw import load
from studentsuccess.models.incremental import (
    Effort,
    Fitted,
    Learner,
    Progress,
    expectation,
    measure,
    predicted,
)
from studentsuccess.models.keep import dump_weights
from studentsuccess.models.linear import arrays_of
from studentsuccess.models.softmax import Doubles
from studentsuccess.models.store import Rows
from studentsuccess.tasks.train_evaluate import evaluate, warnings_of
from studentsuccess.tasks.train_fit import Fit, Study, Wanted, half_width

# Up to here the rows of the inner slice matter enough to learn once more with them.
WHOLE_ROWS = 200_000


def fit(study: Study, wanted: Wanted, checkpoints: Checkpoints, reporter: Reporter) -> Fit:
    """Fit and evaluate. The baseline is fitted beside, on the other processor."""
    learner = _learner(study, study.design, Effort(wanted.epochs, wanted.seed))
    with ThreadPoolExecutor(1, thread_name_prefix="ss-baseline") as beside:
        plain = beside.submit(fit_plain, study.store, study.design, study.target.labels, study.training)
        beside.submit(load)
        first = _learn(learner, checkpoints, "learn", reporter)
        reach = half_width(learner.residuals(first.weights)) if not study.target.classes else 0.0
        kept = _with_inner(study, wanted, first, checkpoints, reporter)
        metrics, baseline = evaluate(study, _predictor(study, kept.weights), plain.result(), reach)
    design, facts, weights = study.design, study.facts, kept.weights
    if wanted.refit:
        design, facts = _everything(study, wanted)
        effort = Effort(first.epochs, wanted.seed, everything=True)
        weights = _learn(_learner(study, design, effort), checkpoints, "refit", reporter).weights
    return Fit(
        design.features,
        metrics,
        baseline,
        {"weights.safetensors": _weights(study, design, facts, weights, reach)},
        {"epochs": first.epochs, "losses": list(first.losses), "inner_loss": _finite(first.inner_loss)},
        warnings_of(metrics, baseline),
    )


def _predictor(study: Study, weights: Doubles) -> Callable[[Rows], Doubles]:
    return lambda rows: predicted(study.design, rows, weights, classes=bool(study.target.classes))


def _learner(study: Study, design: Design, effort: Effort) -> Learner:
    return Learner(study.store, design, study.target.labels, study.split, effort)


def _learn(learner: Learner, checkpoints: Checkpoints, stage: str, reporter: Reporter) -> Fitted:
    """Epochs with a checkpoint after each; an earlier run's checkpoint is where this one begins."""
    losses = checkpoints.restore(stage, learner)
    shown = _Shown(reporter, learner.rows)
    try:
        return learner.fit(lambda state: checkpoints.save(stage, state, losses), shown, losses)
    finally:
        shown.close()


class _Shown:
    """One line of progress an epoch: rows, how many a second, the loss so far, and how long yet."""

    def __init__(self, reporter: Reporter, rows: int) -> None:
        self._reporter, self._rows, self._epoch = reporter, rows, 0
        self._step = reporter.step("learning", rows)

    def __call__(self, progress: Progress) -> None:
        if progress.epoch != self._epoch:
            self._step.close()
            of = f" of {progress.epochs}" if progress.epochs else ""
            self._step = self._reporter.step(f"learning, epoch {progress.epoch}{of}", self._rows)
            self._epoch = progress.epoch
        self._step.advance(progress.rows, detail=f"loss {progress.loss:.3f}")

    def close(self) -> None:
        self._step.close()


def _with_inner(study: Study, wanted: Wanted, first: Fitted, checkpoints: Checkpoints, reporter: Reporter) -> Fitted:
    """The inner slice has said when to stop; where rows are few it is learned from as well, for just as long."""
    if wanted.epochs is not None or study.rows > WHOLE_ROWS:
        return first
    effort = Effort(first.epochs, wanted.seed, inner=False)
    return _learn(_learner(study, study.design, effort), checkpoints, "whole", reporter)


def _everything(study: Study, wanted: Wanted) -> tuple[Design, Mapping[str, Facts]]:
    """Columns as all rows say, also those that were held out: only for `--refit`, after the evaluation."""
    books = study.gathered.gatherer.books
    facts = measure(study.store, books, lambda rows: np.flatnonzero(np.isfinite(rows["target"])))
    return build(books, facts, study.rows + study.holdout.rows, wanted.types), facts


def _weights(study: Study, design: Design, facts: Mapping[str, Facts], weights: Doubles, reach: float) -> bytes:
    labels = study.target.labels
    rows = study.rows + (study.holdout.rows if facts is not study.facts else 0)
    expected = expectation(design, facts, rows)
    return dump_weights(arrays_of(design, weights, expected, labels.mean, labels.spread, reach))


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
