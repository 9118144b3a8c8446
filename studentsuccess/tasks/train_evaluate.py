"""The figures of a fit and of the plain alternatives, on the same held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from studentsuccess.models.baseline import Plain
from studentsuccess.models.incremental import predicted
from studentsuccess.models.metrics import ClassMetrics, ValueMetrics, majority
from studentsuccess.models.softmax import Doubles
from studentsuccess.models.store import Rows
from studentsuccess.tasks.train_fit import LEVEL, Study

Figures = Mapping[str, Any]
# What is predicted for held-out rows, in their order: probabilities, or standardised numbers.
Predict = Callable[[Rows], Doubles]
DECIDES = ("log_loss", "rmse")


def evaluate(study: Study, predict: Predict, plain: Plain | None, reach: float) -> tuple[Figures, Figures]:
    """Our figures, and the baselines' by name. `reach` is half the width of a number's interval."""
    if study.target.classes:
        return _classes(study, predict, plain)
    return _values(study, predict, plain, reach)


def _classes(study: Study, predict: Predict, plain: Plain | None) -> tuple[Figures, Figures]:
    target = study.target
    ours, theirs = ClassMetrics(target.classes), ClassMetrics(target.classes)
    for rows in study.store.scan():
        mine = rows[study.held_out(rows)]
        actual = target.labels.encode(mine["target"]).astype(np.int64)
        ours.add(actual, predict(mine))
        if plain is not None:
            theirs.add(actual, predicted(study.design, mine, plain.weights, classes=True))
    baseline: dict[str, Any] = {"majority": majority(target.training, target.held_out, target.unknown)}
    if plain is not None:
        baseline["logistic"] = _scalars(theirs.result()) | {"rows_fitted": plain.rows}
    return ours.result(), baseline


def _values(study: Study, predict: Predict, plain: Plain | None, reach: float) -> tuple[Figures, Figures]:
    ours, theirs, mean = ValueMetrics(LEVEL), ValueMetrics(), ValueMetrics()
    labels = study.target.labels
    for rows in study.store.scan():
        mine = rows[study.held_out(rows)]
        found = predict(mine)[:, 0] * labels.spread + labels.mean
        bounds = (found - reach, found + reach) if np.isfinite(reach) else (None, None)
        ours.add(mine["target"], found, *bounds)
        mean.add(mine["target"], labels.mean)
        if plain is not None:
            other = predicted(study.design, mine, plain.weights, classes=False)[:, 0]
            theirs.add(mine["target"], other * labels.spread + labels.mean)
    baseline: dict[str, Any] = {"mean": _scalars(mean.result())}
    if plain is not None:
        baseline["ridge"] = _scalars(theirs.result()) | {"rows_fitted": plain.rows}
    return ours.result(), baseline


def _scalars(result: Figures) -> dict[str, Any]:
    """The single figures of a result."""
    return {name: value for name, value in result.items() if isinstance(value, int | float)}


def warnings_of(metrics: Figures, baseline: Figures) -> tuple[str, ...]:
    """A model that does not beat what anybody has for nothing is said to be none."""
    figure = next(name for name in DECIDES if name in metrics)
    return tuple(
        f"the plain baseline ({name}) is as good or better: {figure} {other[figure]:.4g} against {metrics[figure]:.4g}"
        " on the same held-out rows"
        for name, other in baseline.items()
        if other[figure] <= metrics[figure]
    )
