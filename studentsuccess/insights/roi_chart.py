"""What helping is worth, as a picture: the return at every cost, and the cost up to which it pays.

The same figures give the same bytes: figure objects without a window, matplotlib's own defaults and font, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from studentsuccess.core import canvas
from studentsuccess.core.canvas import INK, OTHER, PALE
from studentsuccess.insights.experiment_report import PLAN_NOT_EVIDENCE
from studentsuccess.insights.roi import TRIAL, BreakEven, Effect, Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colours of Okabe and Ito, which people who see colours differently can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKS = ("o", "s", "^", "D", "v", "P")
LONGEST = 34


def roi_png(found: Grid, cost: float) -> bytes:
    """Left the return over the cost of a contact, right the break-even cost with its interval; `cost` is today's."""
    with canvas.quiet():
        figure = canvas.sheet((0, 0.04, 1, 0.96))
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_returns(left, found, cost)
        _draw_break_even(right, found.break_even, cost)
        contacted = found.contacted
        figure.suptitle(
            f"What contacting {contacted.students:,} students is worth, at {found.value:,.10g} a pass",
            fontsize=17,
            color=INK,
            parse_math=False,
        )
        figure.text(0.5, 0.005, _footer(found.break_even), ha="center", va="bottom", fontsize=11, color=INK)
        return canvas.png(figure)


def _footer(lines: Sequence[BreakEven]) -> str:
    real = any(one.effect.kind == TRIAL for one in lines)
    said = PLAN_NOT_EVIDENCE
    return f"Lines named \u201ctrial\u201d were measured. Of the others: {said[0].lower()}{said[1:]}" if real else said


def _draw_returns(axes: Axes, found: Grid, cost: float) -> None:
    """A line an effect; where it crosses zero stands its mark."""
    canvas.plain(axes)
    axes.grid(color=PALE, linewidth=0.8)
    axes.axhline(0, color=INK, linewidth=1.2)
    axes.axvline(cost, color=OTHER, linewidth=1.2, linestyle=":")
    crossing = [line.mid for line in found.break_even if line.mid is not None]
    widest = max([*(cell.cost for cell in found.cells), *crossing, cost]) * 1.02 or 1.0
    for place, line in enumerate(found.break_even):
        colour, mark = _style(place)
        gain = found.contacted.gained(line.effect.uplift) * found.value
        ends = (gain, gain - widest * found.contacted.students)
        dash = "-" if line.effect.kind == TRIAL else "--"
        axes.plot((0, widest), ends, color=colour, linestyle=dash, linewidth=2, label=_label(line.effect))
        if line.mid is not None:
            axes.plot([line.mid], [0], color=colour, marker=mark, markersize=9, linestyle="none")
    axes.set_xlim(0, widest)
    _thousands(axes, "y")
    axes.set_xlabel("cost of contacting one student (dotted: as it is set)", fontsize=13, color=INK)
    axes.set_ylabel("return: worth of extra passes minus all costs", fontsize=13, color=INK)
    legend = axes.legend(loc="lower left", frameon=True, framealpha=0.9, edgecolor=PALE, fontsize=12, labelcolor=INK)
    legend.set_title("if contact raises the pass rate by")
    legend.get_title().set_fontsize(12)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_break_even(axes: Axes, lines: Sequence[BreakEven], cost: float) -> None:
    """The cost up to which each effect pays; the bar is what the interval leaves open, from never on."""
    canvas.plain(axes)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.axvline(cost, color=OTHER, linewidth=1.2, linestyle=":")
    ends = [one for line in lines for one in (line.mid, line.high) if one is not None]
    for place, line in enumerate(lines):
        colour, mark = _style(place)
        if line.high is not None:
            axes.plot((line.low or 0.0, line.high), (place, place), color=colour, linewidth=3, alpha=0.55)
        if line.mid is not None:
            axes.plot([line.mid], [place], color=colour, marker=mark, markersize=9)
            axes.annotate(
                f"{line.mid:,.2f}".removesuffix(".00"),
                (line.mid, place),
                (0, 10),
                textcoords="offset points",
                ha="center",
            )
        else:
            axes.annotate("pays at no cost", (0, place), (6, 8), textcoords="offset points", color=INK)
    axes.set_xlim(0, max([*ends, cost], default=1.0) * 1.08 or 1.0)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(range(len(lines)), labels=[_label(line.effect) for line in lines], parse_math=False)
    axes.tick_params(axis="y", length=0)
    _thousands(axes, "x")
    axes.set_xlabel("pays up to this cost (bar: interval)", fontsize=13, color=INK)


def _style(place: int) -> tuple[str, str]:
    return COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]


def _label(effect: Effect) -> str:
    """Letters that every font has: a trial's name is the user's own."""
    text = "".join(mark if mark.isascii() and mark.isprintable() else "\N{WHITE SQUARE}" for mark in effect.label)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


def _thousands(axes: Axes, which: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
