"""The picture of a backtest: how well the weeks rank, and whether their probabilities can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studentsuccess.core import canvas
from studentsuccess.models import draw
from studentsuccess.models.risk_figures import ALL, BIN, KEPT, PROMISED, BacktestRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "Backtest: predicted risk against what happened"
# More panels than this can't be read; the weeks between are left out, and the picture says so.
MOST_PANELS, ACROSS = 10, 5


@dataclass(frozen=True)
class _Look:
    """How a model is told from the other, also without colours."""

    demographics: str
    label: str
    colour: str
    marker: str
    line: str
    aside: float


LOOKS = (
    _Look("use", "with demographics", draw.COLOURS[0], "o", "-", -1.0),
    _Look("exclude", "without demographics", draw.COLOURS[5], "s", "--", 1.0),
)


def backtest_png(rows: Sequence[BacktestRow], title: str = TITLE) -> bytes:
    """AUC by week with and without demographics, and below it the reliability at each week."""
    weeks = sorted({one.week for one in rows if one.scope == BIN})
    shown = _spread(weeks)
    across, down = min(max(len(shown), 1), ACROSS), max(math.ceil(len(shown) / ACROSS), 1)
    with canvas.quiet():
        figure = canvas.sheet()
        grid = figure.add_gridspec(1 + down, across, height_ratios=(1.25, *(1,) * down))
        _draw_auc(figure.add_subplot(grid[0, :]), rows)
        for place, week in enumerate(shown):
            at = divmod(place, across)
            axes = figure.add_subplot(grid[1 + at[0], at[1]])
            _draw_week(axes, week, [one for one in rows if one.scope == BIN and one.week == week])
            _label_outside(axes, left=at[1] == 0, below=place + across >= len(shown))
        cut = f" ({len(shown)} of {len(weeks)} weeks below)" if len(shown) < len(weeks) else ""
        draw.entitle(figure, title + cut)
        return canvas.png(figure)


def _spread(weeks: Sequence[int]) -> list[int]:
    """The first, the last, and as many between as there is room for."""
    if len(weeks) <= MOST_PANELS:
        return list(weeks)
    return [weeks[round(place * (len(weeks) - 1) / (MOST_PANELS - 1))] for place in range(MOST_PANELS)]


def _draw_auc(axes: Axes, rows: Sequence[BacktestRow]) -> None:
    canvas.plain(axes)
    axes.grid(color=canvas.PALE, linewidth=0.8)
    found = [one for one in rows if one.scope == ALL and one.metric == "auc" and one.value is not None]
    weeks = sorted({one.week for one in found})
    aside = 0.006 * (weeks[-1] - weeks[0] or 1) if weeks else 0.0
    for look in LOOKS:
        mine = sorted((one for one in found if one.demographics == look.demographics), key=lambda one: one.week)
        _draw_line(axes, look, [one.week + look.aside * aside for one in mine], mine)
    if found:
        axes.set_xticks(weeks if len(weeks) <= 2 * MOST_PANELS else _spread(weeks))
        axes.legend(loc="lower right", frameon=False, fontsize=12, labelcolor=canvas.INK)
    else:
        draw.say(axes, "no AUC: it takes enrolments of both outcomes")
    lowest = min((_low(one) for one in found), default=0.5)
    axes.set_ylim(min(0.5, math.floor(lowest * 20) / 20), 1.0)
    axes.set_ylabel("AUC, 95 % intervals", fontsize=13, color=canvas.INK)
    axes.set_xlabel("week of the course", fontsize=13, color=canvas.INK)


def _draw_week(axes: Axes, week: int, bins: Sequence[BacktestRow]) -> None:
    canvas.plain(axes)
    axes.grid(color=canvas.PALE, linewidth=0.8)
    axes.plot((0, 1), (0, 1), color=canvas.OTHER, linestyle="--", linewidth=1.2)
    drawn = 0
    for look in LOOKS:
        mine = [one for one in bins if one.demographics == look.demographics and one.n >= draw.MIN_ROWS]
        promised = {one.member: one.value for one in mine if one.metric == PROMISED}
        kept = [one for one in mine if one.metric == KEPT and promised.get(one.member) is not None]
        kept.sort(key=lambda one: promised[one.member] or 0.0)
        _draw_line(axes, look, [promised[one.member] or 0.0 for one in kept], kept, small=True)
        drawn += len(kept)
    if not drawn:
        draw.say(axes, "too few rows")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks((0, 0.5, 1))
    axes.set_yticks((0, 0.5, 1))
    rows = max((_rows(bins, look.demographics) for look in LOOKS), default=0)
    axes.set_title(f"week {week}, {rows:,} rows", fontsize=12, color=canvas.INK)


def _rows(bins: Sequence[BacktestRow], demographics: str) -> int:
    return sum(one.n for one in bins if one.demographics == demographics and one.metric == KEPT)


def _draw_line(
    axes: Axes, look: _Look, places: Sequence[float], rows: Sequence[BacktestRow], small: bool = False
) -> None:
    if not rows:
        return
    values = [one.value or 0.0 for one in rows]
    reach = [
        [max(value - _low(one), 0.0) for value, one in zip(values, rows, strict=True)],
        [
            max((one.high if one.high is not None else value) - value, 0.0)
            for value, one in zip(values, rows, strict=True)
        ],
    ]
    axes.errorbar(
        places,
        values,
        reach,
        color=look.colour,
        marker=look.marker,
        markersize=3 if small else 6,
        linestyle=look.line,
        linewidth=1.2 if small else 2,
        elinewidth=0.8 if small else 1.5,
        capsize=0 if small else 4,
        label=look.label,
    )


def _low(row: BacktestRow) -> float:
    return row.low if row.low is not None else row.value or 0.0


def _label_outside(axes: Axes, left: bool, below: bool) -> None:
    if left:
        axes.set_ylabel("share at risk", fontsize=12, color=canvas.INK)
    else:
        axes.tick_params(axis="y", labelleft=False)
    if below:
        axes.set_xlabel("predicted risk", fontsize=12, color=canvas.INK)
    else:
        axes.tick_params(axis="x", labelbottom=False)
