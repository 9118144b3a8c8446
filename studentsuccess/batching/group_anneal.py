"""Annealing for large inputs: many cheap changes at random, ever fewer of them for the worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from studentsuccess.batching.group_part import Part, batch_sums
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.sizes import near_equal
from studentsuccess.batching.swaps import Patience

# Tries for each student in one iteration.
TRIES = 10
# Temperatures for a weight of 1, from where a tenth of the tries is taken to where next to none is.
HOT, COLD = 0.1, 0.002
# The last part of the iterations takes only what is better.
_COLD_PART = 0.15


@dataclass
class Annealed:
    labels: Ints
    converged: bool


def anneal(part: Part, batches: int, seed: int, patience: Patience) -> Annealed:
    """From batches dealt at random."""
    from studentsuccess.batching.group_kernel import anneal_steps

    labels = np.repeat(np.arange(batches), near_equal(part.count, batches))
    labels = np.random.default_rng(seed).permutation(labels)
    size = np.bincount(labels, minlength=batches)
    sums = np.ascontiguousarray(batch_sums(part, labels, batches))
    pairs = np.einsum("ij,ij->i", sums, sums) - np.bincount(labels, part.square, batches)
    table = sparse.csr_array(part.vectors)
    start, column = table.indptr.astype(np.int64), table.indices.astype(np.int32)
    state = np.array([seed | 1], np.uint64)
    problem = _problem(part)
    gained, last = 0.0, 0.0
    for heat in _heats(part, patience.iterations):
        last = anneal_steps(
            part.vectors, start, column, labels, size, sums, pairs, state, TRIES * part.count, problem, heat
        )
        gained += last
        if patience.expired() and heat[0] > 0:
            break
    return Annealed(labels, last <= patience.convergence * max(gained, 0.0) + 1e-9)


def _problem(part: Part) -> Floats:
    sizes = part.sizes
    return np.array(
        [part.pair_gain, part.size_gain, sizes.curvature, sizes.target, sizes.least, sizes.most], np.float64
    )


def _heats(part: Part, iterations: int) -> list[Floats]:
    """The temperature at which each iteration begins, and the factor of each try."""
    cold = max(1, round(iterations * _COLD_PART))
    warm = iterations - cold
    hot, end = HOT * part.pair_gain, COLD * part.pair_gain
    factor = (end / hot) ** (1 / max(warm * TRIES * part.count, 1)) if hot > 0 else 1.0
    each = factor ** (TRIES * part.count)
    return [np.array([hot * each**turn, factor]) for turn in range(warm)] + [np.array([0.0, 1.0])] * cold
