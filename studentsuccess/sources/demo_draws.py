"""Random integers that are the same everywhere: raw PCG64 words looked up in tables of integers.

NumPy promises the raw words of a bit generator for ever, but not what its distributions make of them; and `exp` differs
in the last bit between machines. So every distribution here is a table that was rounded to integers once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.signedinteger[Any]]
Flags = npt.NDArray[np.bool_]

MILLION = 1_000_000
LOGIT_LIMIT = 800
STEPS_PER_SD = 20
MOST_STEPS = 60


class Draws:
    """One stream of its own per (seed, key): nothing drawn elsewhere can move it."""

    def __init__(self, seed: int, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))

    def u16(self, count: int) -> npt.NDArray[np.uint16]:
        """Whole numbers below 65,536."""
        return self._words(count, 4).view("<u2")[:count]

    def u32(self, count: int) -> npt.NDArray[np.uint32]:
        """Whole numbers below 2**32."""
        return self._words(count, 2).view("<u4")[:count]

    def _words(self, count: int, per_word: int) -> npt.NDArray[np.uint64]:
        words = -(-count // per_word)
        raw = self._bits.random_raw(words) if words else np.zeros(0, np.uint64)
        return np.asarray(raw, dtype="<u8")

    def pick(self, table: Ints, count: int) -> Ints:
        """One value per draw out of a table of 65,536."""
        return table[self.u16(count)]

    def millionths(self, count: int) -> Ints:
        """Whole numbers below a million: what a probability in millionths is compared with."""
        return ((self.u32(count).astype(np.uint64) * MILLION) >> np.uint64(32)).astype(np.int64)

    def happens(self, probability: Ints | int, count: int) -> Flags:
        """Whether each of `count` events takes place, its probability given in millionths."""
        return self.millionths(count) < probability

    def below(self, bound: Ints | int, count: int) -> Ints:
        """Whole numbers from 0 to `bound` - 1, evenly; `bound` stays far below 2**32."""
        wide = self.u32(count).astype(np.int64) * np.asarray(bound, np.int64)
        return wide >> 32


def pick_table(weights: Sequence[int], values: Sequence[int] | None = None, bits: int = 16) -> Ints:
    """2**bits entries in which each value stands as often as its whole-number weight says."""
    size, total = 1 << bits, sum(weights)
    bounds = [(2 * size * so_far + total) // (2 * total) for so_far in accumulate(weights)]
    chosen = np.arange(len(weights)) if values is None else np.asarray(values)
    return _frozen(np.repeat(chosen.astype(np.int16), np.diff([0, *bounds])))


def whole(weights: Sequence[float]) -> list[int]:
    """Real weights as whole numbers, fine enough that no table entry hangs on the last bit of a logarithm."""
    return [round(weight * 2**40) for weight in weights]


@cache
def normal_table() -> Ints:
    """A standard normal in steps of a twentieth of its standard deviation, cut at three."""
    cdf = [NormalDist().cdf((step + 0.5) / STEPS_PER_SD) for step in range(-MOST_STEPS, MOST_STEPS)]
    edges = [0.0, *cdf, 1.0]
    shares = [high - low for low, high in pairwise(edges)]
    return pick_table(whole(shares), range(-MOST_STEPS, MOST_STEPS + 1))


@cache
def _logistic_table() -> Ints:
    points = range(-LOGIT_LIMIT, LOGIT_LIMIT + 1)
    return _frozen(np.array([round(MILLION / (1.0 + math.exp(-point / 100))) for point in points], np.int64))


def logistic(log_odds: Ints) -> Ints:
    """The probability, in millionths, of log-odds given in hundredths."""
    return _logistic_table()[np.clip(log_odds, -LOGIT_LIMIT, LOGIT_LIMIT) + LOGIT_LIMIT]


def geometric_weights(mean: float, most: int) -> list[int]:
    """Weights of 1, 2, 3, … that halve at a steady pace and have about this mean."""
    return whole([(1.0 - 1.0 / mean) ** n for n in range(most)])


def negative_binomial_weights(mean: float, shape: float, most: int) -> list[int]:
    """Weights of 0, 1, 2, …: counts more uneven than Poisson's, the more so the smaller the shape."""
    weights = [1.0]
    for n in range(most):
        weights.append(weights[-1] * (n + shape) / (n + 1) * mean / (shape + mean))
    return whole(weights)


def _frozen(table: Any) -> Ints:
    table.setflags(write=False)
    return table  # type: ignore[no-any-return]
