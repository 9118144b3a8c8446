"""Cells too large for a table of all pairs: cut in half again and again, then improved window by window of batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studentsuccess.batching.group_limits import Limits
from studentsuccess.batching.group_part import Part, Ties, batch_sums
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.sizes import near_equal
from studentsuccess.batching.swaps import Patience, Split, improve

# Students in a table of all pairs: 14 MB of cosines.
MOST = 1300
_POWERS = 12


def bisected(part: Part, batches: int) -> Ints:
    """Labels by balanced bisection along the direction in which students differ most."""
    size = near_equal(part.count, batches)
    labels = np.zeros(part.count, np.int64)
    pending = [(np.arange(part.count), 0, batches)]
    while pending:
        rows, first, last = pending.pop()
        if last - first == 1:
            labels[rows] = first
            continue
        middle = (first + last) // 2
        order = rows[np.argsort(_direction(part.vectors[rows]), kind="stable")]
        cut = int(size[first:middle].sum())
        pending += [(np.sort(order[:cut]), first, middle), (np.sort(order[cut:]), middle, last)]
    return labels


def _direction(vectors: Floats) -> Floats:
    """Each row's place along the first principal axis, by power iteration."""
    centred = vectors - vectors.mean(axis=0)
    axis = centred[int(np.einsum("ij,ij->i", centred, centred).argmax())].copy()
    for _ in range(_POWERS):
        axis = centred.T @ (centred @ axis)
        length = float(np.linalg.norm(axis))
        if length == 0:
            break
        axis /= length
    return np.asarray(centred @ axis)


def improve_windows(
    part: Part, labels: Ints, batches: int, ties: Ties | None, limits: Limits | None, patience: Patience
) -> tuple[Ints, bool]:
    """Improve batches that lie side by side, then across the seams, until a pass changes nothing."""
    labels, converged = labels.copy(), True
    width = max(2, MOST * batches // part.count)
    for shift in (0, width // 2):
        order = _side_by_side(part, labels, batches)
        for first in range(-shift, batches, width):
            window = order[max(first, 0) : first + width]
            if len(window) > 1:
                place = np.full(batches, -1)
                place[window] = np.arange(len(window))
                converged &= _improve_window(part, labels, place, window, ties, limits, patience)
    return labels, converged


def _side_by_side(part: Part, labels: Ints, batches: int) -> Ints:
    return np.argsort(_direction(batch_sums(part, labels, batches)), kind="stable")


def _improve_window(
    part: Part, labels: Ints, place: Ints, window: Ints, ties: Ties | None, limits: Limits | None, patience: Patience
) -> bool:
    rows = np.flatnonzero(place[labels] >= 0)
    inner = replace(part, vectors=part.vectors[rows])
    mine = ties.within(rows, place) if ties is not None else None
    split = Split(inner, place[labels[rows]], len(window), mine)
    done = improve(split, limits.within(rows) if limits is not None else None, patience)
    labels[rows] = window[split.labels]
    return done
