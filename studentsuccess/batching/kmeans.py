"""k-means with batches of given sizes: spread seeds, then everyone where the sum of cosines is largest."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from studentsuccess.batching.group_part import Part, batch_sums
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.sizes import near_equal

# An exact assignment takes time with the cube of the students: .3 s for so many.
EXACT = 700


def kmeans(part: Part, batches: int, rng: np.random.Generator, rounds: int) -> tuple[Ints, bool]:
    """Labels after so many rounds at most, and whether the last round changed nothing."""
    size = near_equal(part.count, batches)
    labels = fit_sizes(part.vectors @ part.vectors[_seeds(part, batches, rng)].T, size)
    for _ in range(rounds - 1):
        means = batch_sums(part, labels, batches) / size[:, None]
        again = fit_sizes(part.vectors @ means.T, size)
        if (again == labels).all():
            return labels, True
        labels = again
    return labels, False


def fit_sizes(near: Floats, size: Ints) -> Ints:
    """A batch for everyone, of exactly these sizes, by how near each student is to each batch."""
    if len(near) > EXACT:
        return _by_regret(near, size)
    seats = np.repeat(np.arange(len(size)), size)
    return np.asarray(seats[linear_sum_assignment(-near[:, seats])[1]])


def _by_regret(near: Floats, size: Ints) -> Ints:
    """Who would lose most by another batch chooses first, of those that have room."""
    wish = np.argsort(-near, axis=1, kind="stable")
    best = np.sort(near, axis=1)
    regret = best[:, -1] - best[:, -2] if near.shape[1] > 1 else best[:, -1]
    labels, left = np.zeros(len(near), np.int64), size.tolist()
    for row in np.argsort(-regret, kind="stable").tolist():
        batch = next(one for one in wish[row].tolist() if left[one])
        labels[row] = batch
        left[batch] -= 1
    return labels


def _seeds(part: Part, batches: int, rng: np.random.Generator) -> Ints:
    """As k-means++ draws them: the further from those there are, the likelier."""
    found = [int(rng.integers(part.count))]
    far = np.full(part.count, np.inf)
    while len(found) < batches:
        cosine = part.vectors @ part.vectors[found[-1]]
        far = np.minimum(far, np.maximum(part.square + part.square[found[-1]] - 2 * cosine, 0.0))
        total = far.sum()
        share = far / total if total > 0 else np.full(part.count, 1 / part.count)
        found.append(int(rng.choice(part.count, p=share)))
    return np.array(found)
