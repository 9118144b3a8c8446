"""Figures for classes: one table of counts and a few sums, whatever the number of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.errors import SsError
from studentsuccess.models.metrics_values import (
    Floats,
    Moments,
    Z,
    grouped,
    misshapen,
    nothing_to_evaluate,
    scalars,
)

Counts = npt.NDArray[np.int64]
# A class that was given no chance costs as much as one given this; the floor bounds what one row can do.
FLOOR = 1e-15
BINS = 15
# Up to here each class has its own reliability; beyond, it would cost more than everything else together.
CLASSWISE = 20
# How far rounding may carry a probability beyond 0 and 1.
SLACK = 1e-6
SCALARS = (
    "rows",
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "weighted_precision",
    "weighted_recall",
    "log_loss",
    "brier",
    "ece",
)


class Reliability:
    """How often what was given a probability came true, in bins of equal width. Several curves side by side."""

    def __init__(self, curves: int) -> None:
        self.rows: Counts = np.zeros((curves, BINS), np.int64)
        self.hits: Counts = np.zeros((curves, BINS), np.int64)
        self.promised: Floats = np.zeros((curves, BINS))

    def add(self, probabilities: Floats, came_true: Counts) -> None:
        """`probabilities` has a column for each curve; `came_true` holds the places of the hits in it, flattened."""
        curves = self.rows.shape[0]
        places = np.minimum(np.maximum(probabilities * BINS, 0).astype(np.int64), BINS - 1)
        places += np.arange(curves) * BINS
        flat = places.ravel()
        shape = (curves, BINS)
        self.rows += np.bincount(flat, minlength=curves * BINS).reshape(shape)
        self.promised += np.bincount(flat, probabilities.ravel(), curves * BINS).reshape(shape)
        self.hits += np.bincount(flat[came_true], minlength=curves * BINS).reshape(shape)

    def merge(self, other: Reliability) -> None:
        self.rows += other.rows
        self.hits += other.hits
        self.promised += other.promised

    def curve(self, which: int) -> list[dict[str, Any]]:
        """All bins; one without rows has neither a confidence nor an accuracy."""
        return [
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "rows": rows,
                "confidence": float(self.promised[which, place]) / rows if rows else None,
                "accuracy": float(self.hits[which, place]) / rows if rows else None,
            }
            for place, rows in enumerate(self.rows[which].tolist())
        ]

    def error(self) -> float:
        """The expected calibration error of the first curve."""
        return float(np.abs(self.promised[0] - self.hits[0]).sum() / self.rows[0].sum())


class ClassMetrics:
    """Everything that is said about predicted classes, counted batch by batch.

    A label that the model does not know (-1) stands in a row of its own: it is an error for accuracy and recall, and
    its loss is that of a probability of 0. The memory is that of classes x classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        # The last row is that of the labels that the model does not know.
        self.confusion: Counts = np.zeros((len(classes) + 1, len(classes)), np.int64)
        self.losses = Moments()
        self.distance = 0.0
        self.top = Reliability(1)
        self.each = Reliability(len(classes) if len(classes) <= CLASSWISE else 0)

    def add(self, actual: npt.NDArray[np.integer[Any]], probabilities: npt.NDArray[np.floating[Any]]) -> None:
        """Take in a batch: the index of each row's class, and rows x classes of probabilities."""
        likely = np.ascontiguousarray(probabilities, np.float64)
        truth = np.asarray(actual, np.int64)
        self._check(truth, likely)
        if not len(truth):
            return
        classes, starts = len(self.classes), np.arange(len(truth)) * len(self.classes)
        chosen = likely.argmax(axis=1)
        known = truth >= 0
        true_places = (starts + truth)[known]
        given = np.zeros(len(truth))
        given[known] = likely.ravel()[true_places]
        cells = np.where(known, truth, classes) * classes + chosen
        self.confusion += np.bincount(cells, minlength=self.confusion.size).reshape(self.confusion.shape)
        self.losses.add(-np.log(np.clip(given, FLOOR, 1.0)))
        flat = likely.ravel()
        self.distance += float(flat @ flat) - 2 * float(given.sum()) + len(truth)
        self.top.add(flat[starts + chosen][:, None], np.flatnonzero(chosen == truth))
        if len(self.each.rows):
            self.each.add(likely, true_places)

    def _check(self, truth: Counts, likely: Floats) -> None:
        classes = len(self.classes)
        if truth.ndim != 1 or likely.shape != (len(truth), classes) or not classes:
            raise misshapen("probabilities, classes and rows")
        if not len(truth):
            return
        if truth.min() < -1 or truth.max() >= classes:
            raise misshapen("labels and classes")
        if not (likely.min() >= -SLACK and likely.max() <= 1 + SLACK):
            raise SsError("a model gave a probability that is not between 0 and 1", "`ss verify` checks its files")

    def merge(self, other: ClassMetrics) -> None:
        """Take in what another worker has counted for the same classes."""
        if self.classes != other.classes:
            raise misshapen("the classes of two evaluations")
        self.confusion += other.confusion
        self.losses.merge(other.losses)
        self.distance += other.distance
        self.top.merge(other.top)
        self.each.merge(other.each)

    def result(self) -> dict[str, Any]:
        """The figures as the manifest keeps them.

        Averages are scikit-learn's: a class counts when it occurs or is predicted, and 0 / 0 is 0. All unknown labels
        are one class more. `brier` is the mean over rows of the squares summed over all classes (0 to 2), for two
        classes half of that, which is what everybody means by it; `ece` weighs 15 equal bins of the top probability.
        `confusion` has a row more than the classes where there were unknown labels.
        """
        rows = int(self.confusion.sum())
        if not rows:
            raise nothing_to_evaluate()
        hits = int(np.trace(self.confusion))
        table = _rates(self.confusion)
        loss = self.losses.interval()
        intervals = {"accuracy": wilson(hits, rows)}
        if loss is not None:
            intervals["log_loss"] = [max(bound, 0.0) for bound in loss]
        return {
            "rows": rows,
            "accuracy": hits / rows,
            **_averages(self.confusion, table),
            "log_loss": max(self.losses.mean, 0.0),
            "brier": max(self.distance / rows, 0.0) / (2 if len(self.classes) == 2 else 1),
            "ece": self.top.error(),
            "intervals": intervals,
            "classes": {label: _row(table[place]) for place, label in enumerate(self.classes)},
            "confusion": (self.confusion if self.confusion[-1].any() else self.confusion[:-1]).tolist(),
            "calibration": self.top.curve(0),
            **self._each_class(),
        }

    def _each_class(self) -> dict[str, Any]:
        if not len(self.each.rows):
            return {}
        return {"class_calibration": {label: self.each.curve(place) for place, label in enumerate(self.classes)}}


def _rates(confusion: Counts) -> Floats:
    """Precision, recall, F1 and support of each row of the table; the unknown labels are predicted by nobody."""
    support = confusion.sum(axis=1).astype(np.float64)
    predicted = np.append(confusion.sum(axis=0), 0).astype(np.float64)
    hits = np.append(np.diagonal(confusion), 0).astype(np.float64)
    return np.stack(
        [_share(hits, predicted), _share(hits, support), _share(2 * hits, predicted + support), support], axis=1
    )


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def _averages(confusion: Counts, table: Floats) -> dict[str, float]:
    predicted = np.append(confusion.sum(axis=0), 0)
    there = (table[:, 3] > 0) | (predicted > 0)
    found: dict[str, float] = {}
    for place, name in enumerate(("precision", "recall", "f1")):
        found[f"macro_{name}"] = float(table[there, place].mean())
        found[f"weighted_{name}"] = float(table[:, place] @ table[:, 3] / table[:, 3].sum())
    return found


def _row(rates: Floats) -> dict[str, float | int]:
    precision, recall, f1, support = rates.tolist()
    return {"precision": precision, "recall": recall, "f1": f1, "support": int(support)}


def wilson(hits: int, rows: int) -> list[float]:
    """Where a share lies, by Wilson's score: it stays within 0 and 1, and is right for few rows too."""
    share, squared = hits / rows, Z * Z
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    reach = Z / (1 + squared / rows) * math.sqrt(share * (1 - share) / rows + squared / (4 * rows * rows))
    return [min(max(middle - reach, 0.0), share), max(min(middle + reach, 1.0), share)]


def majority(counts_train: Counts, counts_holdout: Counts, unknown: int = 0) -> dict[str, Any]:
    """What the shares of the classes among the training rows, said of every row, would reach.

    The commonest class is always predicted. `unknown` is the number of held-out rows whose label is in no training row.
    """
    train, held = np.asarray(counts_train, np.int64), np.append(np.asarray(counts_holdout, np.int64), unknown)
    if train.ndim != 1 or not train.sum() or len(held) != len(train) + 1:
        raise misshapen("the classes of the training and of the hold-out rows")
    shares = train / train.sum()
    chosen = int(shares.argmax())
    metrics = ClassMetrics(tuple(map(str, range(len(train)))))
    metrics.confusion[:, chosen] = held
    given = np.append(shares, 0.0)
    metrics.losses = grouped(-np.log(np.clip(given, FLOOR, 1.0)), held)
    metrics.distance = float((shares @ shares - 2 * given + 1) @ held)
    place = min(int(shares[chosen] * BINS), BINS - 1)
    metrics.top.rows[0, place] = held.sum()
    metrics.top.promised[0, place] = held.sum() * shares[chosen]
    metrics.top.hits[0, place] = held[chosen]
    return scalars(metrics.result(), SCALARS)
