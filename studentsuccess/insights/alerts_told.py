"""Whether an alert may be told where the figure behind it is hidden: "above the limit" and "not above it" say much.

Of a class of 26 that is not above a limit of 25% at most 6 are at high risk. With the total and another class that is
not above it either, that can be the very number. So what a reader could work out is worked out here, with everything
that is shown: sizes, means, the total, and each alert. Where any number that is hidden would keep fewer than `least`
possible values, no alert on a hidden share of that week is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Slack for the rounding of a mean that was multiplied by a count.
EPSILON = 1e-9


@dataclass(frozen=True)
class Secret:
    """A number of students at high risk that is hidden, and what is shown around it.

    Without a `risk` (the sum of their probabilities) the mean is hidden as well; without `above` no alert is told.
    """

    students: int
    high: int
    risk: float | None
    above: bool | None

    def bounds(self, high_risk: float, share: float) -> tuple[int, int]:
        """How many it can be, taken for itself."""
        low, high = 0, self.students
        if self.risk is not None:
            slack = EPSILON * self.students
            low = max(low, math.ceil((self.risk - self.students * high_risk) / (1 - high_risk) - slack))
            high = min(high, math.floor(self.risk / high_risk + slack))
        if self.above is None:
            return low, high
        most = most_within(share, self.students)
        return (max(low, most + 1), high) if self.above else (low, min(high, most))


def most_within(share: float, students: int) -> int:
    """The largest number of them that is not above the share, by the very division that an alert is judged with."""
    found = int(share * students)
    found += (found + 1) / students <= share
    return found - (found / students > share)


def may_tell(secrets: Sequence[Secret], total: Secret | None, high_risk: float, share: float, least: int) -> bool:
    """Whether each hidden number keeps enough possible values; without a `total` theirs is known to all."""
    bounds = [one.bounds(high_risk, share) for one in secrets]
    lows, highs = sum(low for low, _ in bounds), sum(high for _, high in bounds)
    known = sum(one.high for one in secrets)
    least_all, most_all = (known, known) if total is None else total.bounds(high_risk, share)
    frames = [(max(low, least_all - highs + high), min(high, most_all - lows + low)) for low, high in bounds]
    if total is not None:
        frames.append((max(lows, least_all), min(highs, most_all)))
    return all(high - low + 1 >= least for low, high in frames)
