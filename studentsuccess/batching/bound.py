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

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.group_part import Part
from studentsuccess.batching.instance import Floats
from studentsuccess.batching.sizes import best_worth, counts, size_worth
from studentsuccess.core.parallel import Engine, ordered_map

# Cosines that are held at once, but of no fewer students than fill a matrix product.
BLOCK, ROWS = 250_000, 32
# What sums over doubles may be off by, for each student.
_GUARD = 2e-13
_PRICES, _HALVINGS = 33, 30
ROUNDS = 5
# In cells of more students a round takes seconds: fewer of them, and blocks side by side.
LARGE, LARGE_ROUNDS = 4000, 2
# The first charge of who is wanted twice as much as the average; less in large cells, where many want the same.
STEP, STEADY = 0.08, 3000


@dataclass(frozen=True)
class Ceiling:
    """The bound in the units of `worth`, and what it is for each number of batches."""

    worth: float
    by_count: dict[int, float]
    alike: Floats  # for each size from the least on, the mean of the best cosines


def ceiling(part: Part, rounds: int = ROUNDS, workers: int = 1) -> Ceiling:
    """The bound of a cell; more rounds of charges make it tighter, never wrong."""
    spectral = _spectral(part)
    engine = Engine("threads", workers) if workers > 1 and part.count > LARGE else Engine("serial")
    rounds = min(rounds, LARGE_ROUNDS) if part.count > LARGE else rounds
    usual, step = min(part.sizes.target, part.count), STEP / (1 + part.count / STEADY)
    charge, base, pull, alike = (np.zeros(part.count) for _ in range(4))
    by_count, least = dict.fromkeys(spectral, np.inf), np.inf
    for turn in range(1 + rounds * (part.pair_gain > 0 and part.count > 1)):
        means, wanted = _best_means(part, charge, usual, engine)
        alike = alike if turn else means.mean(axis=0)
        found = _Priced(means, part).by_count(by_count, spectral)
        if (most := max(found.values())) < least:
            base, pull, least = charge, wanted - 1, most
            step *= 0.85
        else:
            step /= 2
        by_count = {count: min(value, found[count]) for count, value in by_count.items()}
        charge = base + step * pull
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


def _best_means(part: Part, charge: Floats, usual: int, engine: Engine) -> tuple[Floats, Floats]:
    """For each student and size the mean of the best charged cosines, paid back; and how wanted each student is.

    Wanted: the share of a place that others would give in a batch of the usual size, over all of them; 1 on average.
    """
    rows = max(ROWS, BLOCK // part.count)
    blocks = [slice(start, min(start + rows, part.count)) for start in range(0, part.count, rows)]
    means, wanted = [], np.zeros(part.count)
    for mine, theirs in ordered_map(lambda block: _block(part, charge, usual, block), blocks, engine):
        means.append(mine)
        wanted += theirs
    return np.concatenate(means), wanted


def _block(part: Part, charge: Floats, usual: int, rows: slice) -> tuple[Floats, Floats]:
    """The same for some of the students."""
    sizes, most = part.sizes, min(part.sizes.most, part.count)
    if most == 1:
        return np.zeros((rows.stop - rows.start, 1)), np.zeros(part.count)
    charged = part.vectors[rows] @ part.vectors.T - charge
    at = np.arange(len(charged))
    charged[at, rows.start + at] = -np.inf
    best = charged
    if most - 1 < part.count:
        best = np.partition(charged, part.count - most + 1, axis=1)[:, part.count - most + 1 :]
    best = -np.sort(-best, axis=1)
    sums = np.concatenate([np.zeros((len(best), 1)), np.cumsum(best, axis=1)], axis=1)
    others = np.arange(sizes.least - 1, most)
    paid = np.where(others > 0, sums[:, others] / np.maximum(others, 1) + charge[rows, None], 0.0)
    chosen = charged >= best[:, min(max(usual - 2, 0), best.shape[1] - 1), None]
    return part.pair_gain * paid, (1 / chosen.sum(axis=1)) @ chosen


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
