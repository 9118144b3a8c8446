"""A start that breaks hard rules is mended by exchanges, each of which brings the batches nearer to keeping them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studentsuccess.batching.group_limits import Limits
from studentsuccess.batching.group_part import Part, Ties
from studentsuccess.batching.instance import Ints
from studentsuccess.batching.sizes import near_equal

# Exchanges that are looked at before a start is given up.
_TRIES = 20_000


def repaired(part: Part, labels: Ints, batches: int, limits: Limits, ties: Ties | None, seed: int) -> Ints | None:
    """The labels with all limits kept, or None where that was not found."""
    labels, rng = labels.copy(), np.random.default_rng(seed)
    locked = ties.locked if ties is not None else np.zeros(part.count, np.bool_)
    free = np.flatnonzero(~locked)
    tries = _TRIES
    while (over := _excess(labels, batches, limits)).any() and tries > 0 and len(free):
        here = int(over.argmax())
        members = free[labels[free] == here]
        changed = False
        for one, other in _pairs(members, free[labels[free] != here], rng):
            tries -= 1
            there = int(labels[other])
            if limits.change(labels, one, other, here, there) < -1e-12:
                labels[one], labels[other] = there, here
                changed = True
                break
            if tries <= 0:
                break
        if not changed:
            return None
    return labels if not over.any() else None


def _excess(labels: Ints, batches: int, limits: Limits) -> np.ndarray:
    return np.array([limits.excess(np.flatnonzero(labels == batch)) for batch in range(batches)])


def _pairs(mine: Ints, others: Ints, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Every pair once, in a drawn order."""
    for place in rng.permutation(len(mine) * len(others)).tolist():
        yield int(mine[place // len(others)]), int(others[place % len(others)])


def orderly_starts(part: Part, batches: int, limits: Limits) -> Iterator[Ints]:
    """Starts that rules like: those with one value, or near numbers, side by side; and those dealt out evenly."""
    size = near_equal(part.count, batches)
    for values in [*(_value(share.marks) for share in limits.shares), *(spread.values for spread in limits.spreads)]:
        order = np.argsort(values, kind="stable")
        beside = np.zeros(part.count, np.int64)
        beside[order] = np.repeat(np.arange(batches), size)
        yield beside
        dealt = np.zeros(part.count, np.int64)
        dealt[order] = np.arange(part.count) % batches
        yield dealt


def _value(marks: np.ndarray) -> Ints:
    """Of each student the value that is most frequent in the cell."""
    often = np.argsort(np.argsort(-marks.sum(axis=0), kind="stable"))
    return np.asarray(np.where(marks > 0, often, len(often)).min(axis=1, initial=len(often)))
