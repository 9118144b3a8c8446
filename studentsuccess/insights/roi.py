"""What helping is worth: a grid of uplifts and costs, and the cost at which it pays for itself.

ROI = incremental passes × value of a pass − cost of the intervention. The cost of the intervention is the cost of one
contact times the students contacted; the incremental passes are the uplift times the students contacted, no more than
those who are not expected to pass anyway, and no fewer than would take away every pass that is expected.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from studentsuccess.core.formula import formula_safe
from studentsuccess.errors import UsageError
from studentsuccess.insights.proportions import Interval

SIMULATION, TRIAL = "simulation", "trial"
# The grid's costs where none are set, as shares of the intervention's cost.
SHARES = (0.1, 0.25, 0.5, 1.0, 2.0)
HEADER = (
    "kind",
    "name",
    "uplift_scenario",
    "cost_per_contact",
    "contacted",
    "expected_passes",
    "incremental_passes",
    "incremental_passes_low",
    "incremental_passes_high",
    "value_per_pass",
    "intervention_cost",
    "roi",
    "roi_low",
    "roi_high",
    "cost_per_extra_pass",
    "break_even_cost",
    "break_even_cost_low",
    "break_even_cost_high",
    "break_even_uplift",
)


@dataclass(frozen=True)
class Effect:
    """A scenario of the simulation, or a real trial: how much the pass rate rises, and where that may lie."""

    kind: str
    name: str
    uplift: float
    interval: Interval

    @property
    def label(self) -> str:
        points = f"{100 * self.uplift:+.1f}".removesuffix(".0")
        return f"trial {self.name} ({points} points)" if self.kind == TRIAL else f"{points} points"


@dataclass(frozen=True)
class Contacted:
    """Who is contacted, and how many of them are expected to pass without it."""

    students: int
    expected_passes: float

    def gained(self, uplift: float) -> float:
        """The passes that an uplift adds: neither more nor fewer than there are students for."""
        room = self.students - self.expected_passes
        return min(max(uplift * self.students, -self.expected_passes), room)


@dataclass(frozen=True)
class Range:
    """A figure in the middle, and at the ends of the interval."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True)
class Cell:
    """One effect at one cost."""

    effect: Effect
    cost: float
    whole_cost: float
    extra: Range
    roi: Range
    cost_per_pass: float | None
    break_even_uplift: float | None


@dataclass(frozen=True)
class BreakEven:
    """The cost of one contact up to which an effect pays for itself; none where it never does."""

    effect: Effect
    low: float | None
    mid: float | None
    high: float | None


@dataclass(frozen=True)
class Grid:
    """Every effect at every cost."""

    contacted: Contacted
    value: float
    cells: tuple[Cell, ...]
    break_even: tuple[BreakEven, ...]


def grid(contacted: Contacted, effects: Sequence[Effect], costs: Sequence[float], value: float) -> Grid:
    """The whole grid, effects from the smallest, costs from the lowest."""
    for what, number in [("value of a pass", value), *(("cost of a contact", cost) for cost in costs)]:
        if not math.isfinite(number) or number < 0:
            raise UsageError(
                f"the {what} must be a number from 0 upwards",
                "set it: `--set roi.value_per_pass=1200`, `--set roi.intervention_cost=150`",
            )
    ordered = sorted(effects, key=lambda one: (one.kind, one.uplift, one.name))
    asked = sorted(set(costs))
    cells = tuple(_cell(contacted, effect, cost, value) for effect in ordered for cost in asked)
    return Grid(contacted, value, cells, tuple(break_even(contacted, effect, value) for effect in ordered))


def costs_around(cost: float) -> tuple[float, ...]:
    """The costs of the grid where none are set."""
    return tuple(sorted({round(cost * share, 2) for share in SHARES}))


def _range(contacted: Contacted, effect: Effect) -> Range:
    return Range(*(contacted.gained(one) for one in (effect.interval.low, effect.uplift, effect.interval.high)))


def _cell(contacted: Contacted, effect: Effect, cost: float, value: float) -> Cell:
    extra, whole = _range(contacted, effect), cost * contacted.students
    roi = Range(extra.low * value - whole, extra.mid * value - whole, extra.high * value - whole)
    per_pass = whole / extra.mid if extra.mid > 0 else None
    return Cell(effect, cost, whole, extra, roi, per_pass, cost / value if value > 0 and cost <= value else None)


def break_even(contacted: Contacted, effect: Effect, value: float) -> BreakEven:
    """Where the line of an effect crosses zero. What adds no pass, or a worthless one, pays at no cost."""
    extra = _range(contacted, effect)
    worth = [one * value / contacted.students for one in (extra.low, extra.mid, extra.high)]
    return BreakEven(effect, *(one if one > 0 else None for one in worth))


def as_csv(found: Grid) -> str:
    """One row a cell; an empty field is a figure that is not defined."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    lines = {one.effect: one for one in found.break_even}
    for cell in found.cells:
        writer.writerow([_text(value) for value in row(found, cell, lines[cell.effect])])
    return text.getvalue()


def row(found: Grid, cell: Cell, line: BreakEven) -> tuple[object, ...]:
    """A cell in the order of the header."""
    return (
        cell.effect.kind,
        cell.effect.name,
        cell.effect.uplift,
        cell.cost,
        found.contacted.students,
        found.contacted.expected_passes,
        cell.extra.mid,
        cell.extra.low,
        cell.extra.high,
        found.value,
        cell.whole_cost,
        cell.roi.mid,
        cell.roi.low,
        cell.roi.high,
        cell.cost_per_pass,
        line.mid,
        line.low,
        line.high,
        cell.break_even_uplift,
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return number(value)
    return formula_safe(str(value))


def number(value: float) -> str:
    """A number as spreadsheets take it: six decimals at most, no exponent, no negative zero."""
    shown = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown
