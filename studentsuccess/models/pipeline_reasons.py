"""What each feature adds to a score of a fitted pipeline: exact, and summed back onto the columns that people know.

Linear models: coefficient times value, beside the average row's, which is kept with the model. Trees: Shapley values as
LightGBM and shap compute them from the trees alone, which are beside the average row too.
Classes are told on the log-odds scale: two classes by their log-odds, more by each class's score over the mean of all,
since a constant added to every class's score changes nothing. A blend's amounts are the weighted sum of its members'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.models.pipeline_inputs import Floats, Inputs

Index = npt.NDArray[np.int64]
# Rows x columns x scores that are held at a time.
CELLS = 1 << 23
# Forests vote with certainty where log-odds have no end.
SURE = 1e-3


@dataclass(frozen=True)
class Scores:
    """Amounts of rows x columns x scores, and the score of each where nothing is known."""

    amounts: Floats
    base: Floats


@dataclass(frozen=True)
class Member:
    """One pipeline of a model. `classes` are the positions of the classes that it knows.

    `average` (features x scores) is what a linear model adds for the average row; trees have none.
    """

    weight: float
    pipeline: Any
    classes: tuple[int, ...]
    inputs: Inputs
    average: Floats | None = None

    @property
    def model(self) -> Any:
        return self.pipeline.named_steps["model"]

    @cached_property
    def owners(self) -> Index:
        """The feature behind each column that the model sees."""
        columns = [source for *step, chosen in self._steps for source in _sources(step[1], list(chosen))]
        return np.asarray(self.inputs.owners, np.int64)[columns]

    @property
    def _steps(self) -> list[tuple[str, Any, Sequence[int]]]:
        prepared = self.pipeline.named_steps["prepare"].transformers_
        return [step for step in prepared if step[0] != "remainder"]

    @cached_property
    def explainer(self) -> Any:
        """Built once; should two threads build it at the same time, both get the same."""
        import shap

        return shap.TreeExplainer(self.model)

    def contribute(self, matrix: Floats, wanted: Index) -> tuple[Floats, Floats]:
        """Rows x features, and each row's base."""
        amounts, base = np.zeros((len(matrix), len(self.inputs.features))), np.zeros(len(matrix))
        step = max(1, CELLS // (len(self.owners) * max(len(self.classes), 1)))
        for piece in (slice(start, start + step) for start in range(0, len(matrix), step)):
            amounts[piece], base[piece] = self._contribute(matrix[piece], wanted[piece])
        return amounts, base

    def _contribute(self, matrix: Floats, wanted: Index) -> tuple[Floats, Floats]:
        scores = self._by_feature(matrix)
        if self.average is not None:
            scores = Scores(scores.amounts - self.average, scores.base + self.average.sum(axis=0))
        if not self.classes:
            return scores.amounts[:, :, 0], np.full(len(matrix), scores.base[0])
        if hasattr(self.model, "estimators_"):
            return _in_log_odds(*_of_wanted(scores, self.classes, wanted))
        return _of_wanted(_over_the_mean(scores), self.classes, wanted)

    def average_of(self, matrix: Floats) -> list[list[float]] | None:
        """What each feature adds to each score for the average of some rows, as plain values."""
        if not hasattr(self.model, "coef_"):
            return None
        prepared = self.pipeline.named_steps["prepare"].transform(matrix)
        average = np.asarray(prepared.mean(axis=0)).reshape(-1, 1) * np.atleast_2d(self.model.coef_).T
        found: list[list[float]] = (self._belonging.T @ average).tolist()
        return found

    def _by_feature(self, matrix: Floats) -> Scores:
        """Columns added up by the feature that they were made of."""
        prepared = self.pipeline.named_steps["prepare"].transform(matrix)
        scores = self._scores(prepared.toarray() if hasattr(prepared, "toarray") else np.asarray(prepared))
        return Scores(np.einsum("rcs,cf->rfs", scores.amounts, self._belonging, optimize=True), scores.base)

    @cached_property
    def _belonging(self) -> Floats:
        """Columns x features: 1 where a column is the feature's."""
        found = np.zeros((len(self.owners), len(self.inputs.features)))
        found[np.arange(len(self.owners)), self.owners] = 1.0
        return found

    def _scores(self, prepared: Floats) -> Scores:
        if hasattr(self.model, "coef_"):
            weights = np.atleast_2d(self.model.coef_)
            return Scores(prepared[:, :, None] * weights.T[None], np.atleast_1d(self.model.intercept_))
        if hasattr(self.model, "booster_"):
            return _of_lightgbm(self.model.booster_.predict(prepared, pred_contrib=True), prepared.shape[1])
        found = np.asarray(self.explainer.shap_values(prepared), np.float64)
        found = found.reshape(*prepared.shape, -1)
        return Scores(found, np.atleast_1d(np.asarray(self.explainer.expected_value, np.float64)))


def members(estimator: Any, inputs: Inputs, average: Sequence[Any] | None) -> tuple[Member, ...]:
    """The pipelines of a model: itself, or those that it is a blend of."""
    classes = tuple(int(one) for one in getattr(estimator, "classes_", ()))
    pipelines, weights = [estimator], np.ones(1)
    if hasattr(estimator, "estimators_"):
        pipelines, weights = estimator.estimators_, np.asarray(estimator.weights) / np.sum(estimator.weights)
    averages = [None if one is None else np.asarray(one, np.float64) for one in average or [None] * len(pipelines)]
    return tuple(
        Member(float(weight), pipeline, classes, inputs, its_average)
        for weight, pipeline, its_average in zip(weights, pipelines, averages, strict=True)
    )


def _sources(transformer: Any, columns: list[int]) -> list[int]:
    """Which of the matrix's columns stands behind each column that a transformer makes."""
    if hasattr(transformer, "named_steps"):
        transformer = transformer.named_steps["impute"]
    if hasattr(transformer, "infrequent_categories_"):
        grouped = zip(columns, transformer.categories_, transformer.infrequent_categories_, strict=True)
        return [column for column, every, rare in grouped for _ in range(_width(every, rare))]
    if getattr(transformer, "indicator_", None) is not None:
        return columns + [columns[place] for place in transformer.indicator_.features_]
    return columns


def _width(every: npt.NDArray[Any], rare: npt.NDArray[Any] | None) -> int:
    return len(every) if rare is None else len(every) - len(rare) + 1


def _of_lightgbm(found: npt.NDArray[Any], columns: int) -> Scores:
    """LightGBM puts the base behind the columns of each class."""
    shaped = np.asarray(found, np.float64).reshape(len(found), -1, columns + 1).transpose(0, 2, 1)
    return Scores(shaped[:, :-1], shaped[0, -1] if len(found) else np.zeros(shaped.shape[2]))


def _over_the_mean(scores: Scores) -> Scores:
    """One score for each class, also where a model of two classes has the log-odds of the second only."""
    if scores.amounts.shape[2] == 1:
        both = np.array([-1.0, 1.0])
        return Scores(scores.amounts * both, scores.base * both)
    return Scores(scores.amounts - scores.amounts.mean(axis=2, keepdims=True), scores.base - scores.base.mean())


def _of_wanted(scores: Scores, classes: tuple[int, ...], wanted: Index) -> tuple[Floats, Floats]:
    """The score of the class that each row asks for; nothing speaks for a class that the model never met."""
    amounts, base = np.zeros(scores.amounts.shape[:2]), np.zeros(len(wanted))
    for place, label in enumerate(classes):
        rows = wanted == label
        amounts[rows], base[rows] = scores.amounts[rows, :, place], scores.base[place]
    return amounts, base


def _in_log_odds(amounts: Floats, base: Floats) -> tuple[Floats, Floats]:
    """A forest adds up shares of votes: each row's amounts are stretched so that they add up to log-odds instead."""
    total = amounts.sum(axis=1)
    start, end = np.clip(base, SURE, 1 - SURE), np.clip(base + total, SURE, 1 - SURE)
    nowhere = np.abs(total) < SURE * SURE
    slope = 1.0 / (start * (1.0 - start))
    stretch = np.where(nowhere, slope, (_log_odds(end) - _log_odds(start)) / np.where(nowhere, 1.0, total))
    return amounts * stretch[:, None], _log_odds(start)


def _log_odds(share: Floats) -> Floats:
    found: Floats = np.log(share) - np.log1p(-share)
    return found
