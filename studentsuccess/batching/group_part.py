"""What is to be split: the students of a cell as vectors, and what a split of them is worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from studentsuccess.batching.instance import Codes, Flags, Floats, Ints, Sizes, Weights
from studentsuccess.batching.sizes import best_worth, counts, near_equal, size_worth


@dataclass(frozen=True)
class Part:
    """The students of one cell, by row of the instance, ascending."""

    vectors: Floats
    sizes: Sizes
    weights: Weights
    seed: int

    @property
    def count(self) -> int:
        return len(self.vectors)

    @cached_property
    def square(self) -> Floats:
        """The squared length of each vector: 1, or less where something is missing."""
        return np.asarray(np.einsum("ij,ij->i", self.vectors, self.vectors))

    @cached_property
    def alike(self) -> Floats:
        """The cosine of each pair: for parts that are not too large for such a table."""
        return np.asarray(self.vectors @ self.vectors.T)

    @property
    def pair_gain(self) -> float:
        return self.weights.homogeneity

    @property
    def size_gain(self) -> float:
        return self.weights.size


def per_pair(size: Ints) -> Floats:
    """1 / (n - 1), by which a batch's sum over ordered pairs is divided; 0 where there is no pair."""
    return np.where(size > 1, 1.0 / np.maximum(size - 1, 1), 0.0)


def batch_sums(part: Part, labels: Ints, batches: int) -> Floats:
    """The sum of the vectors of each batch."""
    order = np.argsort(labels, kind="stable")
    size = np.bincount(labels, minlength=batches)
    start = np.cumsum(size) - size
    if (size > 0).all():
        return np.add.reduceat(part.vectors[order], start, axis=0)
    sums = np.zeros((batches, part.vectors.shape[1]))
    np.add.at(sums, labels, part.vectors)
    return sums


def worth(part: Part, labels: Ints, batches: int) -> float:
    """N times the objective's two terms, before they are divided by their weights."""
    size = np.bincount(labels, minlength=batches)
    sums = batch_sums(part, labels, batches)
    pairs = np.einsum("ij,ij->i", sums, sums) - np.bincount(labels, part.square, batches)
    alike = float((pairs * per_pair(size)).sum())
    return part.pair_gain * alike + part.size_gain * float(size_worth(size, part.sizes).sum())


def random_worth(part: Part) -> float:
    """What students dealt out at random to batches of the best sizes are worth on average, in closed form.

    Any pair is as likely as any other to meet, so the mean cosine in a batch is that of the cell.
    """
    count = part.count
    total = part.vectors.sum(axis=0)
    pairs = float(total @ total - part.square.sum()) / max(count * (count - 1), 1)
    batches = max(counts(count, part.sizes), key=lambda some: best_worth(count, some, part.sizes))
    size = near_equal(count, batches)
    return part.pair_gain * pairs * float(size[size > 1].sum()) + part.size_gain * best_worth(
        count, batches, part.sizes
    )


@dataclass(frozen=True)
class Ties:
    """What holds single students: who may not be moved, who is drawn back to a batch, and how much that counts."""

    locked: Flags
    home: Codes  # the batch that each was in before, -1 for none
    cost: float = 0.0

    def within(self, rows: Ints, place: Ints) -> Ties:
        """The same for some of the students and batches; `place` is where each batch has gone, -1 for nowhere."""
        home = self.home[rows]
        return Ties(self.locked[rows], np.where(home >= 0, place[home], -1).astype(np.int32), self.cost)
