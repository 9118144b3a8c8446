"""Two shares held against each other: is there a difference, and how large may it be?

A dozen lines of textbook arithmetic: the library that has them costs a second to load and 140 MB. The tests hold
these against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Where a figure lies, at the confidence that was asked for."""

    low: float
    high: float


def critical(alpha: float) -> float:
    """How many standard errors are too many for chance, on either side."""
    return -NORMAL.inv_cdf(alpha / 2)


def two_sided(z: float) -> float:
    """How often chance alone goes at least that far, on either side; exact far out too."""
    return math.erfc(abs(z) / math.sqrt(2))


def z_scores(passed_a: Floats, n_a: float, passed_b: Floats, n_b: float) -> Floats:
    """The two-proportion z statistic with the pooled share, of a minus b; 0 where all or none passed."""
    pooled = (passed_a + passed_b) / (n_a + n_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    difference = passed_a / n_a - passed_b / n_b
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)


def z_test(passed_a: float, n_a: float, passed_b: float, n_b: float) -> float:
    """The p value of the two-proportion z-test; 1 where all or none passed, for then nothing differs."""
    return two_sided(float(z_scores(np.array([passed_a], np.float64), n_a, np.array([passed_b], np.float64), n_b)[0]))


def wilson(passed: float, n: float, alpha: float) -> Interval:
    """Where a share lies, by Wilson's score: it stays within 0 and 1, and is right for few students too."""
    share, squared = passed / n, critical(alpha) ** 2
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    reach = critical(alpha) / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return Interval(min(max(middle - reach, 0.0), share), max(min(middle + reach, 1.0), share))


def newcombe(passed_a: float, n_a: float, passed_b: float, n_b: float, alpha: float) -> Interval:
    """Where the difference a minus b lies: Newcombe's hybrid of two score intervals (1998, method 10).

    The usual interval (difference ± errors) promises too much where arms are small or shares extreme; this one keeps
    its promise there and never leaves −1 to 1.
    """
    a, b = passed_a / n_a, passed_b / n_b
    of_a, of_b = wilson(passed_a, n_a, alpha), wilson(passed_b, n_b, alpha)
    below = math.hypot(a - of_a.low, of_b.high - b)
    above = math.hypot(of_a.high - a, b - of_b.low)
    return Interval(a - b - below, a - b + above)
