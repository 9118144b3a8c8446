"""Figures for a number: sums that stay exact enough over any number of rows, whatever the batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.errors import ContractError, SsError

Floats = npt.NDArray[np.float64]
# Two-sided 95 % of the normal distribution: the level of every interval here.
Z = 1.959963984540054
SCALARS = ("rows", "r2", "rmse", "mae")


def not_finite() -> SsError:
    """One infinite or missing number would silently spoil every figure, so it ends the evaluation."""
    return SsError(
        "a target or a prediction is not finite, or too large for its square",
        "look for extreme values in the target column; `ss verify` checks the model's files",
    )


def nothing_to_evaluate() -> SsError:
    """A figure of no rows is no figure."""
    return ContractError(
        "there are no rows to evaluate", "give rows whose target is known, or hold more of them out: `--holdout 0.3`"
    )


def misshapen(what: str) -> SsError:
    """Arrays that do not belong together would be counted wrongly without a word."""
    return SsError(f"{what} do not fit each other", "this is a defect of ss: report it with `ss doctor -f json`")


@dataclass
class Moments:
    """Count, mean and spread of numbers that come in pieces (Chan's update of Welford's sums).

    Everything is held relative to the first number seen. So a column of equal values has a spread of exactly 0,
    and large numbers that differ little keep their digits.
    """

    count: int = 0
    shift: float = 0.0
    centre: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        return self.shift + self.centre

    def add(self, values: Floats) -> None:
        """Take in a piece."""
        if not len(values):
            return
        shift = self.shift if self.count else float(values[0])
        with np.errstate(over="ignore", invalid="ignore"):
            apart = values - shift
            centre = float(apart.mean())
            spread = apart - centre
            squares = float(spread @ spread)
        self.merge(Moments(len(values), shift, centre, squares))

    def merge(self, other: Moments) -> None:
        """Take in what another has collected."""
        if not other.count:
            return
        if not self.count:
            self.count, self.shift = other.count, other.shift
            self.centre, self.squares = other.centre, other.squares
            return
        both = self.count + other.count
        apart = (other.shift - self.shift) + other.centre - self.centre
        self.centre += apart * other.count / both
        self.squares += other.squares + apart * apart * self.count * other.count / both
        self.count = both

    def interval(self) -> list[float] | None:
        """Where the true mean lies, by the normal distribution; one number alone says nothing about it."""
        if self.count < 2:
            return None
        reach = Z * math.sqrt(self.squares / (self.count - 1) / self.count)
        return [self.mean - reach, self.mean + reach]


def grouped(values: Floats, counts: npt.NDArray[np.int64]) -> Moments:
    """The moments of numbers of which each stands there many times."""
    rows = int(counts.sum())
    if not rows:
        return Moments()
    mean = float(values @ counts) / rows
    return Moments(rows, 0.0, mean, float(((values - mean) ** 2) @ counts))


def scalars(result: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The figures of a result without its tables: what a baseline is known by."""
    return {name: result[name] for name in names}


class ValueMetrics:
    """R2, RMSE and MAE of predicted numbers, and how often the truth lay within the promised interval."""

    def __init__(self, level: float | None = None) -> None:
        """`level` is the promise of the intervals, if any come: 0.9 for nine in ten."""
        self.level = level
        self.actual = Moments()
        self.missed = Moments()
        self.missed_squared = Moments()
        self.bounded = 0
        self.covered = 0

    def add(
        self, actual: Floats, predicted: Floats | float, low: Floats | None = None, high: Floats | None = None
    ) -> None:
        """Take in a batch. One number as the prediction stands for all rows."""
        actual = np.asarray(actual, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                error = np.abs(actual - np.asarray(predicted, np.float64))
            except ValueError:
                raise misshapen("predictions and rows") from None
            if actual.ndim != 1 or error.shape != actual.shape:
                raise misshapen("predictions and rows")
            squared = error * error
        if not np.isfinite(squared.sum()):
            raise not_finite()
        self.actual.add(actual)
        self.missed.add(error)
        self.missed_squared.add(squared)
        if low is not None and high is not None:
            self.bounded += len(actual)
            self.covered += int(np.count_nonzero((actual >= low) & (actual <= high)))

    def merge(self, other: ValueMetrics) -> None:
        """Take in what another worker has counted."""
        self.actual.merge(other.actual)
        self.missed.merge(other.missed)
        self.missed_squared.merge(other.missed_squared)
        self.bounded += other.bounded
        self.covered += other.covered

    def result(self) -> dict[str, Any]:
        """The figures as the manifest keeps them: R2 as scikit-learn defines it, 0 or 1 where nothing varies."""
        if not self.actual.count:
            raise nothing_to_evaluate()
        if not math.isfinite(self.actual.squares):
            raise not_finite()
        mean_squared = max(self.missed_squared.mean, 0.0)
        found: dict[str, Any] = {
            "rows": self.actual.count,
            "r2": _explained(mean_squared * self.actual.count, self.actual.squares),
            "rmse": math.sqrt(mean_squared),
            "mae": max(self.missed.mean, 0.0),
            "intervals": self._intervals(),
        }
        if self.bounded and self.level is not None:
            found["interval"] = {"level": self.level, "coverage": self.covered / self.bounded}
        return found

    def _intervals(self) -> dict[str, list[float]]:
        absolute, squared = self.missed.interval(), self.missed_squared.interval()
        if absolute is None or squared is None:
            return {}
        return {
            "rmse": [math.sqrt(max(bound, 0.0)) for bound in squared],
            "mae": [max(bound, 0.0) for bound in absolute],
        }


def _explained(unexplained: float, all_of_it: float) -> float:
    if all_of_it > 0:
        return 1.0 - unexplained / all_of_it
    return 0.0 if unexplained > 0 else 1.0


def mean_baseline(mean: float, actual: Floats) -> dict[str, Any]:
    """What the mean of the training rows, said of every row, would reach.

    In a stream the same is a second `ValueMetrics` that is given the mean as its prediction.
    """
    metrics = ValueMetrics()
    metrics.add(actual, mean)
    return scalars(metrics.result(), SCALARS)
