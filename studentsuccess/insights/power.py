"""How many students a trial needs, and what it can see: for two arms of one size and the two-proportion z-test.

By the normal approximation, both sides counted. It is close from about five passes and five failures an arm on.
"""

from __future__ import annotations

import math

from studentsuccess.errors import UsageError
from studentsuccess.insights.proportions import NORMAL, critical

# Beyond this many an arm there is no school; the search for a size ends there.
MOST = 10**9
ENOUGH = 5
_HALVINGS = 60


def power_of(base: float, uplift: float, n: int, alpha: float) -> float:
    """The chance that a trial with `n` an arm shows an uplift that is there."""
    _check(base, uplift)
    raised = min(base + uplift, 1.0)
    middle = (base + raised) / 2
    under_chance = math.sqrt(2 * middle * (1 - middle) / n)
    error = math.sqrt((base * (1 - base) + raised * (1 - raised)) / n)
    least = critical(alpha) * under_chance
    if error == 0:
        return float(uplift > least)
    return NORMAL.cdf((uplift - least) / error) + NORMAL.cdf((-uplift - least) / error)


def sample_size(base: float, uplift: float, power: float, alpha: float) -> int:
    """The fewest students an arm with which the uplift is shown with that chance."""
    _check(base, uplift)
    low, high = 1, 2
    while power_of(base, uplift, high, alpha) < power:
        low, high = high, high * 2
        if high > MOST:
            raise UsageError(
                f"an uplift of {uplift:g} is too small: no trial could show it", "ask for a larger one: `--uplift 0.05`"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(base, uplift, middle, alpha) >= power else (middle, high)
    return high


def minimum_effect(base: float, n: int, power: float, alpha: float) -> float | None:
    """The smallest uplift that `n` an arm show with that chance; none where not even everyone passing would show."""
    low, high = 0.0, 1 - base
    if high <= 0 or power_of(base, high, n, alpha) < power:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if middle > 0 and power_of(base, middle, n, alpha) >= power else (middle, high)
    return high


def is_rough(base: float, uplift: float, n: int) -> bool:
    """Whether so few pass, or fail, that the approximation is no more than a hint."""
    shares = (base, 1 - base, base + uplift, 1 - base - uplift)
    return min(share * n for share in shares) < ENOUGH


def _check(base: float, uplift: float) -> None:
    if not 0 <= base < 1:
        raise UsageError(
            f"the share that passes without help must be from 0 to below 1, not {base:g}",
            "give it as a share: `--base-rate 0.4`",
        )
    if not uplift > 0 or base + uplift > 1 + 1e-12:
        raise UsageError(
            f"an uplift of {uplift:g} on a pass rate of {base:.3g} is not possible: above 0, and together at most 1",
            f"ask for at most {1 - base:.3g}: `--uplift {min(0.05, 1 - base):.2g}`",
        )
