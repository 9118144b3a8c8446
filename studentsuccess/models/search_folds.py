"""Inner cross-validation: the same folds for every configuration, a score for each, and what the scores allow to say.

Scores are losses: log-loss for classes, because probabilities must be honest, and the root of the mean squared error
for numbers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.models.manifest import Task
from studentsuccess.models.pipeline import one_thread, predicted
from studentsuccess.models.pipeline_inputs import Floats

Index = npt.NDArray[np.int64]
FLOOR = 1e-15
LEVEL = 0.95


@dataclass(frozen=True)
class Rows:
    """What a search may learn from. Classes are positions; `outputs` is how many there are, or one for numbers."""

    matrix: Floats
    target: npt.NDArray[Any]
    task: Task
    outputs: int
    groups: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to be judged by."""

    train: Index
    test: Index


@dataclass(frozen=True)
class Outcome:
    """One configuration on one fold. The predictions are of the fold's test rows: rows x outputs."""

    loss: float
    predictions: Floats
    seconds: float


def folds(rows: Rows, wanted: int, seed: int) -> tuple[Fold, ...]:
    """Folds by chance, with each class spread over all of them where it has rows enough, and groups kept together."""
    splitter = _splitter(rows, wanted, seed)
    parts = splitter.split(rows.matrix, rows.target, rows.groups)
    return tuple(Fold(np.asarray(train, np.int64), np.asarray(test, np.int64)) for train, test in parts if len(test))


def _splitter(rows: Rows, wanted: int, seed: int) -> Any:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    spread = rows.task == "classification" and int(np.bincount(rows.target).max()) >= wanted
    if rows.groups is not None:
        few = min(wanted, len(np.unique(rows.groups)))
        return (StratifiedGroupKFold if spread else GroupKFold)(few, shuffle=True, random_state=seed)
    return (StratifiedKFold if spread else KFold)(wanted, shuffle=True, random_state=seed)


def evaluate(estimator: Any, rows: Rows, fold: Fold) -> Outcome:
    """Learn from one part of a fold, be judged by the other. Seconds are of this thread alone, whoever else works."""
    started = time.thread_time()
    fitted = fit(estimator, rows.matrix[fold.train], rows.target[fold.train])
    predictions = predicted(fitted, rows.matrix[fold.test], rows.outputs)
    return Outcome(loss(rows.target[fold.test], predictions, rows.task), predictions, time.thread_time() - started)


def fit(estimator: Any, matrix: Floats, target: npt.NDArray[Any]) -> Any:
    """The estimator, fitted. A fold may have lost all classes but one, and no model learns from that."""
    if target.dtype.kind in "iu" and (target == target[0]).all():
        from sklearn.dummy import DummyClassifier

        estimator = DummyClassifier(strategy="prior")
    with one_thread():
        return estimator.fit(matrix, target)


def loss(target: npt.NDArray[Any], predictions: Floats, task: Task) -> float:
    if task == "regression":
        return float(np.sqrt(np.mean((predictions[:, 0] - target) ** 2)))
    right = predictions[np.arange(len(target)), target.astype(np.int64)]
    return float(-np.log(np.clip(right, FLOOR, 1.0)).mean())


def naive(rows: Rows, fold: Fold) -> Outcome:
    """What somebody says who sees no feature: the classes' shares, or the mean."""
    learned, count = rows.target[fold.train], len(fold.test)
    if rows.task == "regression":
        predictions = np.full((count, 1), learned.mean())
    else:
        shares = np.bincount(learned, minlength=rows.outputs) / len(learned)
        predictions = np.tile(shares, (count, 1))
    return Outcome(loss(rows.target[fold.test], predictions, rows.task), predictions, 0.0)


@dataclass(frozen=True)
class Interval:
    """A mean over folds and how far it may be off."""

    mean: float
    low: float
    high: float


def interval(scores: Sequence[float], folds_in_all: int) -> Interval:
    """A 95% t-interval over folds, with Nadeau and Bengio's correction.

    Folds share most of the rows that they learn from. As if they did not, the interval would be half as wide as it
    should, and chance would look like skill.
    """
    from scipy.stats import t

    given = np.asarray(scores, np.float64)
    mean = float(given.mean())
    if len(given) < 2:
        return Interval(mean, float("-inf"), float("inf"))
    spread = float(given.std(ddof=1)) * float(np.sqrt(1 / len(given) + 1 / (folds_in_all - 1)))
    half = float(t.ppf((1 + LEVEL) / 2, len(given) - 1)) * spread
    return Interval(mean, mean - half, mean + half)
