"""A start that breaks hard rules is mended by exchanges, each of which brings the batches nearer to keeping them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studentsuccess.batching.group_limits import Limits, Share
from studentsuccess.batching.group_part import Part, Ties
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.sizes import near_equal

# Exchanges that are looked at for one step, and steps for each student, before a start is given up.
_LOOKED_AT, _STEPS = 20_000, 2
_NOISE = 1e-12


def repaired(part: Part, labels: Ints, batches: int, limits: Limits, ties: Ties | None, seed: int) -> Ints | None:
    """The labels with all limits kept, or None where that was not found."""
    labels, rng = labels.copy(), np.random.default_rng(seed)
    free = np.flatnonzero(~ties.locked) if ties is not None else np.arange(part.count)
    for _ in range(_STEPS * part.count):
        over = limits.excess(labels, batches)
        if not over.any():
            return labels
        worst = np.argsort(-over, kind="stable")[: int((over > 0).sum())].tolist()
        if not any(_mended(labels, batches, here, free, limits, rng) for here in worst):
            return None
    return None


def _mended(labels: Ints, batches: int, here: int, free: Ints, limits: Limits, rng: np.random.Generator) -> bool:
    """Make the best of the exchanges of one batch that are looked at, if it is for the better."""
    mine, others = free[labels[free] == here], free[labels[free] != here]
    pairs = len(mine) * len(others)
    if not pairs:
        return False
    drawn = np.arange(pairs) if pairs <= _LOOKED_AT else rng.choice(pairs, _LOOKED_AT, replace=False)
    one, other = mine[drawn // len(others)], others[drawn % len(others)]
    change = limits.change(labels, batches, one, other, labels[one], labels[other])
    best = int(change.argmin())
    if change[best] > -_NOISE:
        return False
    labels[one[best]], labels[other[best]] = labels[other[best]], here
    return True


def orderly_starts(part: Part, batches: int, limits: Limits) -> Iterator[Ints]:
    """Starts that rules like: those with one value, or near numbers, side by side; and those dealt out evenly."""
    size = near_equal(part.count, batches)
    for rule in limits.rules:
        values = _value(rule.marks) if isinstance(rule, Share) else rule.marks[:, 1]
        order = np.argsort(values, kind="stable")
        beside = np.zeros(part.count, np.int64)
        beside[order] = np.repeat(np.arange(batches), size)
        yield beside
        dealt = np.zeros(part.count, np.int64)
        dealt[order] = np.arange(part.count) % batches
        yield dealt


def _value(marks: Floats) -> Ints:
    """Of each student the value that is most frequent in the cell."""
    often = np.argsort(np.argsort(-marks.sum(axis=0), kind="stable"))
    return np.asarray(np.where(marks > 0, often, len(often)).min(axis=1, initial=len(often)))
