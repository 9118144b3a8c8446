"""Annealing for large inputs: many cheap changes at random, ever fewer of them for the worse.

It begins with batches that lie side by side after bisection. In large cells most pairs of students have nothing to gain
from each other; so windows of neighbouring batches come first, each by itself, and then the whole, much cooler.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from studentsuccess.batching.chunks import bisected
from studentsuccess.batching.group_part import Part, batch_sums, random_worth, worth
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.swaps import Patience

# Tries for each student in one iteration: with few batches there is less to try.
_TRIES, _PER_BATCHES, _MOST_TRIES = 3, 6, 10
# Batches of a window.
WINDOW = 37
# Temperatures for a weight of 1: where windows and small cells begin, where the whole of a large one does, the end.
HOT, WARM, COLD = 0.125, 0.025, 0.005
# One in so many iterations is for taking only what is better; mostly fewer are enough.
_FROZEN = 10


def annealed(part: Part, batches: int, patience: Patience) -> tuple[Ints, bool]:
    """Labels, and whether the last iteration hardly gained any more."""
    labels = bisected(part, batches)
    if batches <= WINDOW:
        return _anneal(part, labels, batches, patience, HOT)
    windows = -(-batches // WINDOW)
    window_of = np.arange(batches) * windows // batches
    for window in range(windows):
        mine = np.flatnonzero(window_of == window)
        rows = np.flatnonzero(window_of[labels] == window)
        inner = replace(part, vectors=part.vectors[rows], seed=part.seed + window)
        labels[rows] = _anneal(inner, labels[rows] - mine[0], len(mine), patience, HOT)[0] + mine[0]
    return _anneal(part, labels, batches, patience, WARM)


def _anneal(part: Part, labels: Ints, batches: int, patience: Patience, hot: float) -> tuple[Ints, bool]:
    """Warm iterations, then frozen ones until one gains next to nothing, but no more than there were warm ones."""
    from studentsuccess.batching.group_kernel import anneal_steps

    labels = labels.copy()
    gained = worth(part, labels, batches) - random_worth(part)
    sums = np.ascontiguousarray(batch_sums(part, labels, batches))
    pairs = np.einsum("ij,ij->i", sums, sums) - np.bincount(labels, part.square, batches)
    size, seed = np.bincount(labels, minlength=batches), np.array([part.seed | 1], np.uint64)
    table, problem = sparse.csr_array(part.vectors), _problem(part)
    start, column = table.indptr.astype(np.int64), table.indices.astype(np.int32)
    tries = part.count * min(_TRIES + batches // _PER_BATCHES, _MOST_TRIES)
    for heat in _heats(part.pair_gain, patience.iterations, tries, hot):
        gain = anneal_steps(
            start, column, table.data, part.square, labels, size, sums, pairs, seed, tries, problem, heat
        )
        gained += gain
        if heat[0] == 0 and gain <= patience.convergence * max(gained, 0.0):
            return labels, True
        if patience.expired():
            break
    return labels, False


def _problem(part: Part) -> Floats:
    sizes = part.sizes
    return np.array(
        [part.pair_gain, part.size_gain, sizes.curvature, sizes.target, sizes.least, sizes.most], np.float64
    )


def _heats(weight: float, iterations: int, tries: int, hot: float) -> list[Floats]:
    """The temperature at which each iteration begins, and the factor of each try."""
    warm = max(1, iterations - iterations // _FROZEN)
    factor = (COLD / hot) ** (1 / (warm * tries))
    first = [hot * weight * factor ** (tries * turn) for turn in range(warm)]
    return [np.array([heat, factor]) for heat in first] + [np.array([0.0, 1.0])] * warm
