"""Pictures of a model: can its probabilities be believed, and what does it look at.

The same figures give the same bytes: no clock, no settings of the machine, matplotlib's own font. It is never asked for
a window: figures are drawn as objects, so that a server without a screen and a notebook give the same.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from studentsuccess.core import canvas
from studentsuccess.core.canvas import INK, OTHER, PALE
from studentsuccess.errors import SsError
from studentsuccess.models.card_text import visible
from studentsuccess.models.metrics_classes import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_ROWS = 10
MOST_BARS = 20
LONGEST = 46
# The colours of Okabe and Ito, which people who see colours differently can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
FONT = "DejaVu Sans"
# What systems ship for letters that matplotlib's own font lacks, the first found wins.
MORE_FONTS = (
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans SC",
        "Noto Sans",
        "Microsoft YaHei",
        "PingFang SC",
        "Hiragino Sans",
    ),
    *("Yu Gothic", "Malgun Gothic", "Arial Unicode MS", "Segoe UI", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
)
UNDRAWABLE = "\N{WHITE SQUARE}"


def load() -> None:
    """Import what drawing needs, beside work that leaves a processor free: it takes a third of a second."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def calibration_png(metrics: Mapping[str, Any], title: str, smallest: int = MIN_ROWS) -> bytes:
    """How often predictions of each confidence were right, and how many there were. Bins of few rows are left out."""
    bins = [one for one in metrics.get("calibration") or () if one["rows"] >= smallest]
    with canvas.quiet():
        figure = canvas.sheet()
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
        _draw_reliability(above, bins)
        _draw_counts(below, bins)
        if not bins:
            say(above, f"too few rows: no confidence was given to {smallest} of them")
        entitle(figure, title)
        return canvas.png(figure)


def importance_png(
    names: Sequence[str], mean_abs: Sequence[float], title: str, groups: Sequence[str] | None = None
) -> bytes:
    """What moved the predictions most, as bars; `groups` gives each name a colour and the colours a legend."""
    if len(names) != len(mean_abs) or (groups is not None and len(groups) != len(names)):
        raise SsError("names and importances do not fit each other", "this is a defect of ss: `ss doctor -f json`")
    if not len(names) or not all(math.isfinite(value) and value >= 0 for value in mean_abs):
        raise SsError(
            "there is nothing to draw: no importance, or one that is not a number", "`ss verify` checks the model"
        )
    order = sorted(range(len(names)), key=lambda place: -float(mean_abs[place]))[:MOST_BARS]
    with canvas.quiet():
        figure = canvas.sheet()
        axes = figure.subplots()
        _draw_bars(axes, [names[place] for place in order], [float(mean_abs[place]) for place in order])
        if groups is not None:
            _colour_bars(axes, [groups[place] for place in order])
        part = f" (the first {MOST_BARS} of {len(names):,} columns)" if len(names) > MOST_BARS else ""
        axes.set_xlabel(f"mean size of its push on a prediction{part}", fontsize=13, color=INK)
        entitle(figure, title)
        return canvas.png(figure)


def entitle(figure: Figure, title: str) -> None:
    """A title in letters that some font has."""
    shown = drawable(shortened(title, 90))
    figure.suptitle(shown, fontsize=17, color=INK, parse_math=False, family=_families(shown))


def say(axes: Axes, text: str) -> None:
    """Words where there is nothing to draw."""
    behind = {"facecolor": "white", "edgecolor": PALE, "boxstyle": "round,pad=0.8"}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, fontsize=14, color=INK, ha="center", bbox=behind)


def _draw_reliability(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Points with the range that chance allows them; on the dashed line promises are kept."""
    canvas.plain(axes)
    axes.grid(color=PALE, linewidth=0.8)
    axes.plot((0, 1), (0, 1), color=OTHER, linestyle="--", linewidth=1.5, label="promised = kept")
    promised = [one["confidence"] for one in bins]
    kept = [one["accuracy"] for one in bins]
    ranges = [wilson(round(one["accuracy"] * one["rows"]), one["rows"]) for one in bins]
    reach = [
        [max(share - low, 0.0) for share, (low, _) in zip(kept, ranges, strict=True)],
        [max(high - share, 0.0) for share, (_, high) in zip(kept, ranges, strict=True)],
    ]
    if bins:
        said = "this model, with 95 % intervals"
        axes.errorbar(promised, kept, reach, color=COLOURS[0], marker="o", lw=2, elinewidth=1.5, capsize=4, label=said)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share that was right", fontsize=13, color=INK)
    axes.legend(loc="upper left", frameon=False, fontsize=12, labelcolor=INK)


def _draw_counts(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    canvas.plain(axes)
    axes.bar(
        [one["low"] for one in bins],
        [one["rows"] for one in bins],
        width=[one["high"] - one["low"] for one in bins],
        align="edge",
        color=COLOURS[4],
        edgecolor="white",
    )
    axes.set_ylim(0, max((one["rows"] for one in bins), default=1) * 1.05)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylabel("rows", fontsize=13, color=INK)
    axes.set_xlabel("confidence: the probability of the predicted class", fontsize=13, color=INK)


def _draw_bars(axes: Axes, names: Sequence[str], amounts: Sequence[float]) -> None:
    """The longest on top."""
    canvas.plain(axes)
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    places = list(range(len(names)))
    axes.barh(places, amounts, color=COLOURS[0], height=0.72)
    shown = [drawable(shortened(name, LONGEST)) for name in names]
    axes.set_yticks(places, labels=shown, parse_math=False)
    for label, text in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_fontfamily(_families(text))
    axes.set_ylim(max(len(names), 6) - 0.4, -0.6)
    axes.set_xlim(0, max(amounts) * 1.04 or 1.0)
    axes.tick_params(axis="y", length=0)


def _colour_bars(axes: Axes, groups: Sequence[str]) -> None:
    """A colour for each of the first groups; the rest share grey."""
    from matplotlib.patches import Patch

    known = list(dict.fromkeys(groups))
    colours = {group: COLOURS[place] if place < len(COLOURS) else OTHER for place, group in enumerate(known)}
    for bar, group in zip(axes.patches, groups, strict=True):
        bar.set_facecolor(colours[group])
    shown = [drawable(shortened(group, LONGEST)) for group in known[: len(COLOURS)]]
    patches = [Patch(color=COLOURS[place]) for place in range(len(shown))]
    if len(known) > len(COLOURS):
        patches, shown = [*patches, Patch(color=OTHER)], [*shown, "others"]
    legend = axes.legend(patches, ["" for _ in shown], loc="lower right", frameon=False, fontsize=12, labelcolor=INK)
    for text, name in zip(legend.get_texts(), shown, strict=True):
        text.set_parse_math(False)
        text.set_fontfamily(_families(name))
        text.set_text(name)


def shortened(text: str, longest: int) -> str:
    """A text of at most so many letters' width, cut in the middle: names often differ in their ends alone."""
    marks = list(visible(text))
    if sum(map(_width, marks)) <= longest:
        return "".join(marks)
    tail = _within(reversed(marks), longest // 3)
    head = _within(iter(marks), longest - 1 - sum(map(_width, tail)))
    return "".join([*head, "…", *reversed(tail)])


def _within(marks: Iterator[str], room: int) -> list[str]:
    found = []
    for mark in marks:
        room -= _width(mark)
        if room < 0:
            break
        found.append(mark)
    return found


def _width(mark: str) -> int:
    if unicodedata.combining(mark):
        return 0
    return 2 if unicodedata.east_asian_width(mark) in "WF" else 1


def drawable(text: str) -> str:
    """The text with a box for each letter that no font here has: matplotlib would draw one too, and complain."""
    fonts = [_letters(name) for name in _families(text)]
    return "".join(mark if any(ord(mark) in letters for letters in fonts) else UNDRAWABLE for mark in text)


def _families(text: str) -> list[str]:
    """Matplotlib's own font, and where that lacks a letter one of this machine's that has more of them."""
    lacking = {ord(mark) for mark in text} - _letters(FONT)
    if not lacking:
        return [FONT]
    from matplotlib.font_manager import fontManager

    here = {entry.name for entry in fontManager.ttflist}
    for name in MORE_FONTS:
        if name in here and lacking & _letters(name):
            return [FONT, name]
    return [FONT]


@cache
def _letters(family: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())
