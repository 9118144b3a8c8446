"""What anybody would do without us: the majority (or the mean), and a plain regression on a sample.

A model is only worth its trouble where it beats these on the same held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from studentsuccess.models.design import Design
from studentsuccess.models.incremental import Labels
from studentsuccess.models.softmax import CLIP, Doubles
from studentsuccess.models.store import Positions, Rows, RowStore

# Enough to tell what a plain regression can do; it is fitted beside the model and must not be what is waited for.
SAMPLE_ROWS = 5_000
MOST_STEPS, TOLERANCE = 100, 1e-3


@dataclass(frozen=True)
class Plain:
    """A plain regression as weights of a design, so that it predicts like any other."""

    weights: Doubles
    rows: int


def fit_plain(store: RowStore, design: Design, labels: Labels, training: Callable[[Rows], Positions]) -> Plain | None:
    """A logistic (or ridge) regression as it comes: numbers scaled, whole ones too, and one column for each text."""
    rows = _sample(store, training)
    target = labels.encode(rows["target"])
    if not len(rows) or (labels.classes and len(np.unique(target)) < 2):
        return None
    inputs = _matrix(design, rows)
    weights = _logistic(inputs, target, len(labels.values)) if labels.classes else _ridge(inputs, target)
    return Plain(weights, len(rows))


def _sample(store: RowStore, training: Callable[[Rows], Positions]) -> Rows:
    """Rows to learn from, chosen by their hash: every n-th row of a file whose classes take turns is of one class."""
    every = np.uint64(max(1, store.rows // SAMPLE_ROWS // 2))
    parts = []
    for rows in store.scan():
        mine = rows[training(rows)]
        parts.append(mine[mine["key"] % every == 0])
    found = np.concatenate(parts)
    return found[np.sort(np.argsort(found["key"], kind="stable")[:SAMPLE_ROWS])]


def _matrix(design: Design, rows: Rows) -> Any:
    """The rows as a sparse matrix with a column for each weight that a plain model has."""
    from scipy import sparse

    numbers, codes = design.numbers_of(rows), design.codes_of(rows)
    count = len(rows)
    scaled = np.clip((numbers - design.mean) * design.inverse, -CLIP, CLIP)
    at, value, place = [np.zeros(count, np.int64)], [np.ones(count)], [np.arange(count)]
    for column in range(numbers.shape[1]):
        at.append(np.full(count, 1 + 2 * column))
        value.append(np.nan_to_num(scaled[:, column]))
        place.append(np.arange(count))
    numbered = set(design.owner[1 : 1 + 2 * numbers.shape[1]].tolist())
    for column in range(codes.shape[1]):
        weights = design.table[design.starts[column] : design.starts[column + 1]]
        known = weights[weights >= 0]
        if not len(known) or int(design.owner[known[0]]) in numbered:
            continue
        found = np.where(codes[:, column] >= 0, weights[np.maximum(codes[:, column], 0)], -1)
        place.append(np.flatnonzero(found >= 0))
        at.append(found[place[-1]])
        value.append(np.ones(len(at[-1])))
    parts = (np.concatenate(value), (np.concatenate(place), np.concatenate(at)))
    return sparse.csr_matrix(parts, shape=(count, design.width))


def _logistic(inputs: Any, target: Doubles, classes: int) -> Doubles:
    """Softmax regression with a squared penalty of 1, as scikit-learn's default is, without its import of a second."""
    from scipy.optimize import minimize

    places = np.arange(len(target)), target.astype(np.int64)
    shape = inputs.shape[1], classes

    def loss_and_slope(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(shape)
        scores = inputs @ weights
        scores -= scores.max(1, keepdims=True)
        likely = np.exp(scores)
        totals = likely.sum(1, keepdims=True)
        penalised = weights.copy()
        penalised[0] = 0.0
        loss = float(np.log(totals).sum() - scores[places].sum() + 0.5 * (penalised**2).sum())
        likely /= totals
        likely[places] -= 1.0
        return loss, np.asarray(inputs.T @ likely + penalised).ravel()

    options = {"maxiter": MOST_STEPS, "gtol": TOLERANCE * len(target)}
    found = minimize(loss_and_slope, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options=options)
    return np.ascontiguousarray(found.x.reshape(shape))


def _ridge(inputs: Any, target: Doubles) -> Doubles:
    """Least squares with a squared penalty of 1; the target is standardised, so the bias needs none of its own."""
    from scipy.sparse.linalg import lsqr

    return np.ascontiguousarray(lsqr(inputs, target, damp=1.0)[0].reshape(-1, 1))
