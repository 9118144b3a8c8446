"""Which figures of a summary are hidden, so that no small number of students can be seen or worked out.

What somebody who reads the summary may know besides it is taken to be this: the rules below, the total of every week
in which something is shown, and that a class shrinks as students leave. Three rules follow.

1. A class that has fewer than `least` students in any week is hidden in all its weeks. Were it hidden now and then,
   its own other weeks, between which few students leave, would frame what is hidden.
2. The hidden classes of a week are at least two, and so many students together that each of them could have any of
   `least` sizes. Else the smallest class that is shown is hidden with them, in all its weeks too.
3. A rate times a class's size is a number of students: it is hidden where fewer than `least` are at high risk, or
   fewer than `least` are not, and with it the rates of other classes of that week, smallest first, until at least
   `least` numbers remain possible for each. A mean bounds that number, so where this needs it means are hidden too.

Each of it is checked by arithmetic that knows what the reader knows; a test repeats that with a solver.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# Slack for the rounding of a mean that was multiplied by a count.
EPSILON = 1e-9


@dataclass(frozen=True)
class Cells:
    """The rows of a summary. Cells of one `period` add up to a total; those of one `series` are a class over time."""

    series: Integers
    period: Integers
    students: Integers
    high: Integers
    mean: Floats

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True)
class Hidden:
    """What is hidden of each row: all of it, or of a row that is shown its rate, or its mean as well."""

    everything: Mask
    rate: Mask
    mean: Mask

    @property
    def any(self) -> Mask:
        return self.everything | self.rate | self.mean


@dataclass(frozen=True)
class _Cell:
    """One class of a week as a reader sees it; the hidden ones are one cell, of which only the sum is known."""

    row: int
    students: int
    high: int
    risk: float

    def bounds(self, threshold: float, *, mean_shown: bool) -> tuple[int, int]:
        """How many can be at high risk, by what a mean and the rule for "high" say."""
        if not mean_shown:
            return 0, self.students
        least = (self.risk - self.students * threshold) / (1 - threshold)
        most = self.risk / threshold
        low = max(0, math.ceil(least - EPSILON * self.students))
        return low, min(self.students, math.floor(most + EPSILON * self.students))


_MERGED = -1


def hide(cells: Cells, least: int, threshold: float) -> Hidden:
    """What must not be shown where `least` is the smallest number that may be, and `threshold` makes a risk high."""
    everything, rate, mean = (np.zeros(len(cells), bool) for _ in range(3))
    if least > 1:
        everything = _hidden_classes(cells, least)
        for rows in _groups(cells.period):
            hidden, with_means = _hidden_rates(cells, rows, everything, least, threshold)
            rate[hidden] = True
            mean[hidden] = with_means
    return Hidden(everything, rate, mean)


def _groups(keys: Integers) -> Iterator[Integers]:
    """The rows of each key."""
    order = np.argsort(keys, kind="stable")
    borders = np.flatnonzero(np.diff(keys[order])) + 1
    yield from (rows for rows in np.split(order, borders) if len(rows))


def _hidden_classes(cells: Cells, least: int) -> Mask:
    """Rules 1 and 2."""
    hidden = np.isin(cells.series, cells.series[cells.students < least])
    periods = list(_groups(cells.period))
    while not all(_sizes_safe(cells.students[rows], hidden[rows], least) for rows in periods):
        hidden |= cells.series == _smallest_shown(cells, hidden)
    return hidden


def _sizes_safe(students: Integers, hidden: Mask, least: int) -> bool:
    """Each hidden class has at least one student, so that the others' sum leaves it so many sizes."""
    count = int(hidden.sum())
    possible = int(students[hidden].sum()) - count + 1
    return count in (0, len(hidden)) or (count > 1 and possible >= least)


def _smallest_shown(cells: Cells, hidden: Mask) -> int:
    shown = np.unique(cells.series[~hidden])
    return int(min(shown, key=lambda one: (cells.students[cells.series == one].sum(), one)))


def _hidden_rates(
    cells: Cells, rows: Integers, everything: Mask, least: int, threshold: float
) -> tuple[list[int], bool]:
    """Rule 3 for one week: the rows whose rate is hidden, and whether their means are too."""
    week = [_cell(cells, int(row)) for row in rows if not everything[row]]
    merged = [_cell(cells, int(row)) for row in rows if everything[row]]
    small = [one for one in week if not _shows(one, least)]
    sums = (sum(one.students for one in merged), sum(one.high for one in merged), sum(one.risk for one in merged))
    start = [_Cell(_MERGED, *sums)] if merged else []
    if not week or (not small and all(_shows(one, least) for one in start)):
        return [], False
    rest = sorted((one for one in week if _shows(one, least)), key=lambda one: (one.students, one.row))
    # Fewest figures lost; a lost mean counts as much as a lost rate. Without means hiding all is always enough.
    found: list[tuple[int, bool, list[_Cell]]] = []
    for with_means in (False, True):
        chosen = start + small
        for extra in range(len(rest) + 1):
            chosen = [*start, *small, *rest[:extra]]
            if _rates_safe(chosen, len(chosen) == len(start) + len(week), least, threshold, means=not with_means):
                found.append((len(chosen) * (1 + with_means), with_means, chosen))
                break
    _, with_means, chosen = min(found, key=lambda option: option[:2])
    return [one.row for one in chosen if one.row != _MERGED], with_means


def _cell(cells: Cells, row: int) -> _Cell:
    students = int(cells.students[row])
    return _Cell(row, students, int(cells.high[row]), students * float(cells.mean[row]))


def _shows(one: _Cell, least: int) -> bool:
    return least <= one.high <= one.students - least


def _rates_safe(chosen: Sequence[_Cell], whole_week: bool, least: int, threshold: float, *, means: bool) -> bool:
    """Whether each of them keeps `least` possible numbers; of a week that shows nothing there is no total."""
    bounds = [one.bounds(threshold, mean_shown=means) for one in chosen]
    lows, highs = sum(low for low, _ in bounds), sum(high for _, high in bounds)
    total = sum(one.high for one in chosen)
    for low, high in bounds:
        framed = (low, high) if whole_week else (max(low, total - highs + high), min(high, total - lows + low))
        if framed[1] - framed[0] + 1 < least:
            return False
    return True
