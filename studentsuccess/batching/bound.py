"""A figure that no split of a cell can exceed, whatever the search for one came to.

For k batches two things limit what they are worth, and the smaller of them holds; the most over all k is the bound.

(a) Each student shares a batch of s with s - 1 others, at best with those most like them: the mean of their best s - 1
cosines is g(s). With the batches of all students the sum of 1/s is k, so that for any price p of a batch

    worth <= sum over students of max over s of (w g(s) + v Z(s) - p / s)  +  p k.

What two students are worth to each other is split between them at will: a charge m on who is chosen, paid back to who
chooses, changes no sum over a batch. A student who is among the best of many is so made dearer, and the bound tighter.

(b) The sum of |S|^2 / n over k batches, S the sum of a batch's vectors, is at most that of the k largest eigenvalues of
the Gram matrix (Ky Fan).

Any price and any charge give a bound; those that are found here are only good ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.group_part import Part
from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.sizes import best_worth, counts, size_worth

# Cosines that are held at once.
BLOCK = 2_000_000
# What sums over doubles may be off by, for each student.
_GUARD = 2e-13
_PRICES, _HALVINGS = 33, 30
# Rounds of charges for cells of up to so many students; beyond, each takes seconds and gains little.
CHARGED, ROUNDS = 1500, 5
_STEP = 0.035


@dataclass(frozen=True)
class Ceiling:
    """The bound in the units of `worth`, and what it is for each number of batches."""

    worth: float
    by_count: dict[int, float]
    alike: Floats  # for each size from the least on, the mean of the best cosines


def ceiling(part: Part, rounds: int = ROUNDS) -> Ceiling:
    """The bound of a cell; more rounds of charges make it tighter, never wrong."""
    spectral = _spectral(part)
    charge = np.zeros(part.count)
    charged = part.pair_gain > 0 and 1 < part.count <= CHARGED
    by_count = dict.fromkeys(spectral, np.inf)
    alike = np.zeros(0)
    for turn in range(1 + rounds * charged):
        last = turn == rounds * charged
        means, asked = _best_means(part, charge)
        alike = alike if turn else means.mean(axis=0)
        priced = _Priced(means, part)
        found = priced.by_count(by_count, spectral)
        by_count = {count: min(value, found[count]) for count, value in by_count.items()}
        if not last:
            picked = asked(priced.sizes_at(max(by_count, key=lambda count: by_count[count])))
            charge = charge + _STEP / (1 + turn / 4) * (picked - 1)
    return Ceiling(max(by_count.values()) + _GUARD * part.count, by_count, alike)


class _Priced:
    """Bound (a): what each student is worth at best in a batch of each size, and the price that limits it most."""

    def __init__(self, means: Floats, part: Part) -> None:
        size = np.arange(part.sizes.least, part.sizes.least + means.shape[1])
        self.size = size
        self.worth = means + part.size_gain * (size_worth(size, part.sizes) / size)
        steep = part.size_gain * part.sizes.curvature * (size.astype(float) ** 2 - part.sizes.target**2)
        reach = 2 * part.pair_gain * size
        self.prices = np.linspace(float((steep - reach).min()), float((steep + reach).max()), _PRICES)
        self.sums = np.array([self._sum(price) for price in self.prices])

    def _sum(self, price: float) -> float:
        return float((self.worth - price / self.size).max(axis=1).sum())

    def by_count(self, known: dict[int, float], spectral: dict[int, float]) -> dict[int, float]:
        """For each number of batches; the price is sought well only where that decides."""
        found = {
            count: min(float((self.sums + self.prices * count).min()), other, known[count])
            for count, other in spectral.items()
        }
        exact: set[int] = set()
        while (top := max(found, key=lambda count: found[count])) not in exact:
            exact.add(top)
            price = self._price(top)
            found[top] = min(found[top], self._sum(price) + price * top)
        return found

    def _price(self, count: int) -> float:
        """Convex in the price: halve the stretch about the best of the grid, by the slope."""
        best = int((self.sums + self.prices * count).argmin())
        low, high = self.prices[max(best - 1, 0)], self.prices[min(best + 1, _PRICES - 1)]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._batches(middle) > count else (low, middle)
        return float(high)

    def _batches(self, price: float) -> float:
        return float((1 / self.size[(self.worth - price / self.size).argmax(axis=1)]).sum())

    def sizes_at(self, count: int) -> Ints:
        return np.asarray(self.size[(self.worth - self._price(count) / self.size).argmax(axis=1)])


def _best_means(part: Part, charge: Floats) -> tuple[Floats, Callable[[Ints], Floats]]:
    """For each student and size the mean of the best charged cosines, paid back; and who is asked how often for it."""
    count, sizes = part.count, part.sizes
    most = min(sizes.most, count)
    means = np.zeros((count, most - sizes.least + 1))
    block = max(1, BLOCK // max(count, 1))
    limits = np.zeros((count, max(most - 1, 1)))
    for start in range(0, count, block):
        rows = slice(start, start + block)
        best = _best(part, charge, start, block, most - 1)
        limits[rows, : best.shape[1]] = best
        sums = np.concatenate([np.zeros((len(best), 1)), np.cumsum(best, axis=1)], axis=1)
        others = np.arange(sizes.least - 1, most)
        paid = np.where(others > 0, sums[:, others] / np.maximum(others, 1) + charge[rows, None], 0.0)
        means[rows] = part.pair_gain * paid

    def asked(size: Ints) -> Floats:
        limit = limits[np.arange(count), np.maximum(size - 2, 0)]
        times = np.zeros(count)
        for start in range(0, count, block):
            chosen = _charged(part, charge, start, block) >= limit[start : start + block, None]
            times += (1 / np.maximum(chosen.sum(axis=1), 1)) @ chosen
        return times

    return means, asked


def _charged(part: Part, charge: Floats, start: int, block: int) -> Floats:
    found = part.vectors[start : start + block] @ part.vectors.T - charge
    rows = np.arange(len(found))
    found[rows, start + rows] = -np.inf
    return found


def _best(part: Part, charge: Floats, start: int, block: int, most: int) -> Floats:
    """The best `most` of each row, descending."""
    found = _charged(part, charge, start, block)
    if most < found.shape[1]:
        found.partition(found.shape[1] - most, axis=1)
        found = found[:, found.shape[1] - most :]
    return -np.sort(-found, axis=1)


def _spectral(part: Part) -> dict[int, float]:
    """Bound (b) for each number of batches."""
    table = part.vectors if part.vectors.shape[1] <= part.count else part.vectors.T
    values = np.maximum(np.linalg.eigvalsh(table.T @ table)[::-1], 0.0)
    cumulated = np.concatenate([[0.0], np.cumsum(values)])
    return {count: _spectral_at(part, count, cumulated) for count in counts(part.count, part.sizes)}


def _spectral_at(part: Part, batches: int, cumulated: Floats) -> float:
    """With |u| below 1 for some, the mean of |u|^2 over batches is at least the smaller figure of two."""
    count, sizes = part.count, part.sizes
    smallest = max(sizes.least, count - (batches - 1) * sizes.most)
    if smallest == 1:
        return np.inf
    largest = min(sizes.most, count - (batches - 1) * sizes.least)
    own = max(batches * float(part.square.min()), float(part.square.sum()) / largest)
    pairs = max(float(cumulated[min(batches, len(cumulated) - 1)]) - own, 0.0) * smallest / (smallest - 1)
    return part.pair_gain * pairs + part.size_gain * best_worth(count, batches, sizes)
