"""Which totals the report may show, so that it gives nothing away that the published marts hide.

A class's figures come from the marts as they are published. What stands beside them here (totals, bands of risk,
reasons) is held to the same rule: no number of students below the smallest that may be shown, no number that leaves
such a one by subtraction, and no total where the marts count on there being none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from studentsuccess.warehouse.report import Facts, Floats, Shown, WeekRisk

EVERYTHING = Shown(students=True, mean=True, rate=True)


@dataclass(frozen=True)
class Totals:
    """Everyone who is scored; what may not be shown is None."""

    students: int | None
    high: int | None
    mean: float | None
    gone: int

    @property
    def high_share(self) -> float | None:
        return self.high / self.students if self.high is not None and self.students else None


@dataclass(frozen=True)
class Band:
    """How many risks lie from `low` up to `high`."""

    low: float
    high: float
    students: int

    @property
    def label(self) -> str:
        return f"{round(100 * self.low, 1):g}–{round(100 * self.high, 1):g} %"


def totals(facts: Facts, threshold: float, least: int) -> Totals:
    """The figures of the newest week."""
    gone = sum(run.gone for run in facts.runs)
    shown = facts.published.newest if facts.published else EVERYTHING
    found = facts.risks
    if len(found) < least or not shown.students:
        return Totals(None, None, None, gone)
    high = int((found >= threshold).sum())
    known = is_safe(high, len(found), least) and shown.rate
    mean = float(found.mean()) if known or (facts.published and shown.mean) else None
    return Totals(len(found), high if known else None, mean, gone)


def is_safe(part: int, whole: int, least: int) -> bool:
    """Whether a part of a whole may be shown: neither it nor what it leaves is small."""
    return least <= part <= whole - least


def weeks(facts: Facts, least: int) -> tuple[tuple[WeekRisk, Shown], ...]:
    """Every week with what may be shown of it."""
    found = []
    for week in facts.weeks:
        of = facts.published.weeks.get(week.week, EVERYTHING) if facts.published else EVERYTHING
        rate = of.rate and is_safe(week.high, week.students, least)
        mean = week.students >= least and (rate or (facts.published is not None and of.mean))
        found.append((week, Shown(of.students, mean, rate)))
    return tuple(found)


def bands(risks: Floats, threshold: float | None, least: int) -> tuple[Band, ...]:
    """The risks in steps of ten points; steps with few students are joined until no band is small.

    A band never reaches across the threshold when the number of students above it is known.
    """
    if len(risks) < least:
        return ()
    tenths = [step / 10 for step in range(11)]
    if threshold is None:
        return tuple(_joined(risks, tenths, least))
    below = [*(edge for edge in tenths if edge < threshold), threshold]
    above = [threshold, *(edge for edge in tenths if edge > threshold)]
    under = risks < threshold
    return (*_joined(risks[under], below, least), *_joined(risks[~under], above, least))


def _joined(risks: Floats, edges: list[float], least: int) -> Iterator[Band]:
    counts = np.histogram(risks, edges)[0].tolist()
    found: list[Band] = []
    low, students = edges[0], 0
    for count, high in zip(counts, edges[1:], strict=True):
        students += count
        if students >= least:
            found.append(Band(low, high, students))
            low, students = high, 0
    if low < edges[-1] and found:
        last = found.pop()
        found.append(Band(last.low, edges[-1], last.students + students))
    yield from found
