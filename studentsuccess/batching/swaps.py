"""Two students of two batches change places, or one moves over, where that is better: in rounds, with exact gains.

In a round every pair of batches offers its best exchange; the best of them are made that share no batch, all at once,
and each is then worth exactly what was reckoned for it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import numpy as np

from studentsuccess.batching.group_limits import Limits
from studentsuccess.batching.group_part import Part, Ties, batch_sums, per_pair, random_worth, worth
from studentsuccess.batching.instance import Flags, Floats, Ints
from studentsuccess.batching.sizes import size_worth

# Of each batch, the students who would gain most in another one; the best exchange is nearly always among these. Where
# they have none left, as many more as such a table of gains has room for.
CANDIDATES, TABLE = 3, 2_000_000
# Offers of a round, the best ones, that are held against limits.
LOOKED_AT = 20_000
# A gain below that is a double's noise.
LEAST_GAIN = 1e-10
# Rounds in one iteration, which `max_iterations` counts.
ROUNDS = 10


@dataclass(frozen=True)
class Offers:
    """Exchanges: student `one` of batch `here` against `other` of `there`; -1 where one moves and nobody comes back."""

    gain: Floats
    one: Ints
    other: Ints
    here: Ints
    there: Ints

    def __getitem__(self, rows: Ints | Flags) -> Offers:
        return Offers(self.gain[rows], self.one[rows], self.other[rows], self.here[rows], self.there[rows])

    @staticmethod
    def joined(parts: list[Offers]) -> Offers:
        names = ("gain", "one", "other", "here", "there")
        return Offers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Split:
    """A split of a part that is being improved: labels, and the sums that say what a change is worth."""

    def __init__(self, part: Part, labels: Ints, batches: int, ties: Ties | None = None) -> None:
        self.part, self.ties = part, ties
        self.labels = labels.astype(np.int64)
        self.size = np.bincount(labels, minlength=batches)
        sums = batch_sums(part, self.labels, batches)
        self.near = part.vectors @ sums.T  # of each student to the sum of each batch
        self.pairs = np.einsum("ij,ij->i", sums, sums) - np.bincount(self.labels, part.square, batches)

    @property
    def batches(self) -> int:
        return len(self.size)

    def swaps(self, candidates: int = CANDIDATES) -> Offers:
        """The best exchanges between each pair of batches, with what each adds to the worth."""
        part, rows = self.part, np.arange(self.part.count)
        rate = 2 * part.pair_gain * per_pair(self.size)
        leaving = (self.near[rows, self.labels] - part.square) * rate[self.labels]
        better = self.near * rate - leaving[:, None] + self._pull()
        chosen, value = self._tops(better, candidates)
        here, there = np.triu_indices(self.batches, 1)
        one, other = chosen[here, :, there], chosen[there, :, here]
        gain = value[here, :, there][:, :, None] + value[there, :, here][:, None, :]
        gain = gain - (rate[here] + rate[there])[:, None, None] * self.part.alike[one[:, :, None], other[:, None, :]]
        width = chosen.shape[1]
        found = Offers(
            gain.reshape(-1),
            np.repeat(one, width, axis=1).reshape(-1),
            np.tile(other, (1, width)).reshape(-1),
            np.repeat(here, width**2),
            np.repeat(there, width**2),
        )
        return found[found.gain > LEAST_GAIN]

    def moves(self, candidates: int = CANDIDATES) -> Offers:
        """The best move from each batch to each other one that sizes allow."""
        part, size, rows = self.part, self.size, np.arange(self.part.count)
        fewer, more = 2 * part.pair_gain * per_pair(size - 1), 2 * part.pair_gain * per_pair(size + 1)
        leaving = (self.near[rows, self.labels] - part.square) * fewer[self.labels]
        chosen, value = self._tops(self.near * more - leaving[:, None] + self._pull(), candidates)
        now = part.pair_gain * self.pairs * per_pair(size) + part.size_gain * size_worth(size, part.sizes)
        less = part.pair_gain * self.pairs * per_pair(size - 1) + part.size_gain * size_worth(size - 1, part.sizes)
        plus = part.pair_gain * self.pairs * per_pair(size + 1) + part.size_gain * size_worth(size + 1, part.sizes)
        allowed = (size > part.sizes.least)[:, None] & (size < part.sizes.most)[None, :]
        np.fill_diagonal(allowed, False)
        here, there = np.nonzero(allowed)
        gain = value[here, :, there] + ((less - now)[here] + (plus - now)[there])[:, None]
        width = chosen.shape[1]
        one = chosen[here, :, there].reshape(-1)
        found = Offers(gain.reshape(-1), one, np.full(len(one), -1), np.repeat(here, width), np.repeat(there, width))
        return found[found.gain > LEAST_GAIN]

    def _pull(self) -> Floats | float:
        """What it costs to leave a former batch, and brings to return to it."""
        if self.ties is None:
            return 0.0
        home, rows = self.ties.home, np.arange(self.part.count)
        pull = np.zeros((self.part.count, self.batches))
        pull[rows[home >= 0], home[home >= 0]] = self.ties.cost
        pull = pull - pull[rows, self.labels][:, None]
        return np.where(self.ties.locked[:, None], -np.inf, pull)

    def _tops(self, better: Floats, candidates: int) -> tuple[Ints, Floats]:
        """For each batch and each other one, who of it would gain most there: batches x candidates x batches."""
        width = int(self.size.max())
        order = np.argsort(self.labels, kind="stable")
        place = np.arange(len(order)) - (np.cumsum(self.size) - self.size)[self.labels[order]]
        members = np.zeros((self.batches, width), np.int64)
        members[self.labels[order], place] = order
        value = np.full((self.batches, width, self.batches), -np.inf)
        value[self.labels[order], place] = better[order]
        few = min(candidates, width)
        top = np.argpartition(value, width - few, axis=1)[:, width - few :]
        chosen = members[np.arange(self.batches)[:, None, None], top]
        return chosen, np.take_along_axis(value, top, axis=1)

    def make(self, offers: Offers) -> None:
        """Make exchanges that share no batch."""
        part, back = self.part, offers.other >= 0
        here, there, one = offers.here, offers.there, offers.one
        self._count_pairs(offers, back)
        coming = np.where(back[:, None], part.vectors[offers.other], 0.0)
        shift = part.vectors @ (coming - part.vectors[one]).T
        self.near[:, here] += shift
        self.near[:, there] -= shift
        self.labels[one] = there
        self.labels[offers.other[back]] = here[back]
        self.size[here] -= ~back
        self.size[there] += ~back

    def _count_pairs(self, offers: Offers, back: Flags) -> None:
        """The sums over pairs of both batches, from sums as they were before."""
        here, there, one, other = offers.here, offers.there, offers.one, offers.other
        own, alike = self.part.square, np.where(back, self.part.alike[one, other], 0.0)
        left = self.near[one, here] - own[one]
        came = np.where(back, self.near[other, here], 0.0)
        gone = np.where(back, self.near[other, there] - own[other], 0.0)
        self.pairs[here] += 2 * (came - left - alike)
        self.pairs[there] += 2 * (self.near[one, there] - gone - alike)


@dataclass(frozen=True)
class Patience:
    """How long to go on: iterations, a clock, and convergence: an iteration that adds less than that share of what has
    been gained over batches drawn at random is the last."""

    iterations: int
    convergence: float
    expired: Callable[[], bool]


def improve(split: Split, limits: Limits | None, patience: Patience) -> bool:
    """Make what is better, until nothing is; or, as False, until patience ends."""
    total = worth(split.part, split.labels, split.batches) - random_worth(split.part)
    for _ in range(patience.iterations):
        gained = 0.0
        for _ in range(ROUNDS):
            chosen = _next(split, limits, CANDIDATES)
            if not len(chosen.gain):
                chosen = _next(split, limits, isqrt(TABLE // split.batches**2))
            if not len(chosen.gain):
                return True
            split.make(chosen)
            gained += float(chosen.gain.sum())
        total += gained
        if gained <= patience.convergence * max(total, 0.0):
            return True
        if patience.expired():
            return False
    return False


def _next(split: Split, limits: Limits | None, candidates: int) -> Offers:
    return best_apart(Offers.joined([split.swaps(candidates), split.moves(candidates)]), split, limits)


def best_apart(offers: Offers, split: Split, limits: Limits | None) -> Offers:
    """The best offers of which no two share a batch, and which limits allow."""
    offers = offers[np.argsort(-offers.gain, kind="stable")]
    if limits is not None:
        offers = offers[np.arange(min(len(offers.gain), LOOKED_AT))]
        more = limits.change(split.labels, split.batches, offers.one, offers.other, offers.here, offers.there)
        offers = offers[more <= 0]
    free = np.ones(split.batches, np.bool_)
    chosen = []
    for row, (here, there) in enumerate(zip(offers.here.tolist(), offers.there.tolist(), strict=True)):
        if free[here] and free[there]:
            chosen.append(row)
            free[here] = free[there] = False
    return offers[np.array(chosen, np.int64)]
