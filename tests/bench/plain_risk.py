"""What the risk model is held against, fitted on its own features: a plain blend, and a score by formula.

The blend is the one that anyone would write: LightGBM and a logistic on standardised values clipped at four standard
deviations, half and half. The formula is a stand-in for the predecessor's, whose code is not at hand: known are its
shape (engagement and marks, fixed weights, no learning) and that it came to .633 against what really happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
CLIP = 4.0
ORDERED = ("education", "deprivation", "age_band")
NAMED = ("course_id", "gender", "region", "disability")
FIGURES = ("auc", "ap", "brier", "ece")
# ECE over as many bins of equal width.
BINS = 15
DRAWS = 100


@dataclass(frozen=True)
class Compared:
    """One week: the figures of all three on the same rows."""

    week: int
    rows: int
    base_rate: float
    ours: dict[str, float]
    blend: dict[str, float]
    formula: dict[str, float]
    ece_gap: tuple[float, float]  # how much worse calibrated ours is, at least and at most: 95 of 100 draws of students


def compare(workspace: Path, weeks: Sequence[int], train: Sequence[str], test: Sequence[str]) -> Iterator[Compared]:
    """Learn from some terms and judge on others, week by week."""
    from studentsuccess.features import risk as features
    from studentsuccess.models.risk import fit_week

    for week, table in zip(weeks, tables(workspace, weeks), strict=True):
        known = table.filter(pc.is_valid(table["at_risk"]))
        teaching, judged = (known.filter(pc.is_in(known["term"], pa.array(terms))) for terms in (train, test))
        truth = np.asarray(judged["at_risk"].to_numpy(zero_copy_only=False), bool)
        names = list(features.columns(table, demographics=True))
        ours = fit_week(teaching, week, names, 42).probability(judged)
        found = (ours, blend(teaching, judged, names), formula(judged))
        gap = ece_gap(truth, found[0], found[1], judged["student_id"].to_pylist())
        yield Compared(week, len(truth), float(truth.mean()), *(figures(truth, one) for one in found), gap)


def tables(workspace: Path, weeks: Sequence[int]) -> list[pa.Table]:
    """The features of these weeks."""
    from studentsuccess.config.layers import Overrides, load
    from studentsuccess.features import risk as features
    from studentsuccess.tasks.context import Context
    from studentsuccess.warehouse.database import connect

    context = Context(load(Overrides(workspace), {}, workspace))
    with connect(context.workspace, context.limits, read_only=True) as connection:
        features.prepare(connection, {})
        return [features.week(connection, week, 0) for week in weeks]


def blend(teaching: pa.Table, judged: pa.Table, names: Sequence[str]) -> Floats:
    """Both fitted with the settings that come with them, but for fewer and slower trees."""
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression

    truth = np.asarray(teaching["at_risk"].to_numpy(zero_copy_only=False), bool)
    inputs, asked = matrices(teaching, judged, names)
    trees = LGBMClassifier(
        n_estimators=300, learning_rate=0.03, num_leaves=31, min_child_samples=40, subsample=0.8, subsample_freq=1,
        colsample_bytree=0.8, random_state=42, n_jobs=1, verbose=-1,
    ).fit(inputs, truth)  # fmt: skip
    centre, spread = np.nanmean(inputs, 0), np.nanstd(inputs, 0)
    spread[spread == 0] = 1

    def scaled(matrix: Floats) -> Floats:
        return np.asarray(np.nan_to_num(np.clip((matrix - centre) / spread, -CLIP, CLIP)))

    line = LogisticRegression(C=0.1, max_iter=1000).fit(scaled(inputs), truth)
    both = (np.asarray(trees.predict_proba(asked)), np.asarray(line.predict_proba(scaled(asked))))
    return np.asarray((both[0][:, 1] + both[1][:, 1]) / 2)


def matrices(teaching: pa.Table, judged: pa.Table, names: Sequence[str]) -> tuple[Floats, Floats]:
    """One column a number, a place in the sorted values, or a value; what is constant while learning is left out."""
    columns: list[tuple[Floats, Floats]] = []
    for name in names:
        one, other = teaching[name], judged[name]
        if name in ORDERED:
            places = {value: float(place) for place, value in enumerate(sorted(set(one.drop_null().to_pylist())))}
            columns.append((_looked_up(one, places), _looked_up(other, places)))
        elif name in NAMED:
            for value in sorted(set(one.drop_null().to_pylist())):
                columns.append((_is(one, value), _is(other, value)))
        else:
            columns.append((_number(one), _number(other)))
    kept = [pair for pair in columns if np.nanmax(pair[0], initial=-np.inf) > np.nanmin(pair[0], initial=np.inf)]
    return np.stack([pair[0] for pair in kept], 1), np.stack([pair[1] for pair in kept], 1)


def _looked_up(column: Any, places: dict[str, float]) -> Floats:
    return np.array([places.get(value, np.nan) for value in column.to_pylist()])


def _is(column: Any, value: str) -> Floats:
    return np.array([float(one == value) for one in column.to_pylist()])


def _number(column: Any) -> Floats:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), np.float64)


def formula(judged: pa.Table) -> Floats:
    """A stand-in for the predecessor's: half engagement, half marks, both by rank; the mean for whom none is known."""
    engagement = _rank(_number(judged["clicks_4_log"]))
    marks = np.nan_to_num(_number(judged["score_mean"]) / 100, nan=0.5)
    return np.asarray(1 - (0.5 * engagement + 0.5 * marks))


def _rank(values: Floats) -> Floats:
    return np.asarray(np.searchsorted(np.sort(values), values) / max(len(values), 1))


def ece_gap(truth: Flags, ours: Floats, theirs: Floats, students: Sequence[str]) -> tuple[float, float]:
    """The calibration error has no noise of its own to compare with, so students are drawn again and again."""
    numbers = np.unique(np.array(students), return_inverse=True)[1]
    draw, count, gaps = np.random.default_rng(0), int(numbers.max()) + 1, []
    for _ in range(DRAWS):
        weight = np.bincount(draw.integers(0, count, count), minlength=count)[numbers].astype(float)
        gaps.append(ece(truth, ours, weight) - ece(truth, theirs, weight))
    low, high = np.quantile(gaps, (0.025, 0.975))
    return float(low), float(high)


def ece(truth: Flags, probability: Floats, weight: Floats) -> float:
    """Mean distance of promise and outcome over bins of equal width."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(place, weight * (probability - truth), BINS)).sum() / weight.sum())


def figures(truth: Flags, probability: Floats) -> dict[str, float]:
    """By scikit-learn, and the calibration error by hand."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    return {
        "auc": float(roc_auc_score(truth, probability)),
        "ap": float(average_precision_score(truth, probability)),
        "brier": float(brier_score_loss(truth, probability)),
        "ece": ece(truth, probability, np.ones(len(truth))),
    }
