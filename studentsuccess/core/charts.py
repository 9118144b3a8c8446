"""Pictures for a page, as SVG that a page takes in: no library, no font of its own, no script, no clock.

Written by hand, because letters that stay letters can be read aloud, follow a page into dark mode and onto paper, and
grow with the reader's own size; the same figures give the same bytes. Colours and sizes are the page's: see page.css.
A picture is about as wide as a phone and grows from there, so that its letters stay readable on one.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from studentsuccess.core.page_markdown import visible

WIDTH = 400.0
LEFT, RIGHT = 2.0, 398.0
# What a letter of the page's size is wide, about; a picture can't measure.
LETTER = 7.8
FIRST, SECOND, THIRD, FOURTH, PALE = 1, 2, 3, 4, 0
HUES = (FIRST, SECOND, THIRD, FOURTH)


@dataclass(frozen=True)
class About:
    """What a picture shows, and what it says in a sentence to those who can't see it. `name` is its anchor."""

    name: str
    title: str
    says: str


@dataclass(frozen=True)
class Bar:
    """A length with its label; `told` is what stands at its end."""

    label: str
    length: float
    told: str
    hue: int = FIRST


@dataclass(frozen=True)
class Dot:
    """A share with its interval; without one, only the label is there, and what is told instead."""

    label: str
    share: float | None
    low: float | None
    high: float | None
    told: str


@dataclass(frozen=True)
class Line:
    """A line through points, named at its end; `low` and `high` are a band around it where they are known."""

    name: str
    points: tuple[tuple[float, float], ...]
    hue: int
    low: tuple[tuple[float, float], ...] = ()
    high: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Point:
    """What was promised and what came true, with an interval."""

    promised: float
    kept: float
    low: float | None
    high: float | None


def bars(about: About, rows: Sequence[Bar], longest: float = 0.0) -> str:
    """Bars below each other, each under its label; `longest` is the scale where pictures are to be compared."""
    longest = max([longest, *(row.length for row in rows)]) or 1.0
    room = RIGHT - LEFT - 8 - LETTER * max((_letters(row.told) for row in rows), default=0)
    parts, top = [], 30.0
    for row in rows:
        parts.append(_text(LEFT, top + 10, _clipped(row.label, RIGHT - LEFT)))
        length = max(room * row.length / longest, 1.0 if row.length else 0.0)
        parts.append(_rect(LEFT, top + 15, length, 13, f"f{row.hue}"))
        parts.append(_text(LEFT + length + 6, top + 26, row.told))
        top += 42
    return _svg(about, top - 8, parts)


def columns(about: About, rows: Sequence[Bar]) -> str:
    """Bars below each other, each beside its short label: for what has an order."""
    longest = max((row.length for row in rows), default=0.0) or 1.0
    start = LEFT + LETTER * max((_letters(row.label) for row in rows), default=0) + 10
    room = RIGHT - start - 8 - LETTER * max((_letters(row.told) for row in rows), default=0)
    parts, top = [], 28.0
    for row in rows:
        parts.append(_text(start - 8, top + 13, row.label, "end"))
        length = max(room * row.length / longest, 1.0 if row.length else 0.0)
        parts.append(_rect(start, top, length, 18, f"f{row.hue}"))
        parts.append(_text(start + length + 6, top + 13, row.told))
        top += 23
    return _svg(about, top + 2, parts)


def dots(about: About, rows: Sequence[Dot], mark: float | None, mark_says: str) -> str:
    """Shares with their intervals on one scale from 0 to 100 %, and a line at a limit."""
    start, end = LEFT + 14, RIGHT - 22
    parts, top = [], 30.0
    bottom = top + 40 * len(rows)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = start + (end - start) * tick
        parts.append(_stroke(place, top, place, bottom, "axis"))
        parts.append(_text(place, bottom + 15, _percent(tick), "quiet middle"))
    if mark is not None:
        place = start + (end - start) * min(max(mark, 0.0), 1.0)
        parts.append(_stroke(place, top, place, bottom, "mark"))
        parts.append(_text(min(max(place, 80.0), RIGHT - 80), bottom + 31, mark_says, "quiet middle"))
    for row in rows:
        parts.extend(_dot(row, start, end, top))
        top += 40
    return _svg(about, bottom + (38 if mark is not None else 22), parts)


def _dot(row: Dot, start: float, end: float, top: float) -> Iterator[str]:
    yield _text(start + 5, top + 13, _clipped(row.label, end - start - LETTER * (_letters(row.told) + 3)))
    yield _text(end - 5, top + 13, row.told, "end")
    if row.low is not None and row.high is not None:
        places = [start + (end - start) * one for one in (row.low, row.high)]
        yield _stroke(places[0], top + 25, places[1], top + 25, "reach s1")
    if row.share is not None:
        yield _circle(start + (end - start) * row.share, top + 25, 5.0, "f1")


def lines(about: About, rows: Sequence[Line], unit: str) -> str:
    """Shares over time: lines with a dot a point, named above the picture where no line can cross the names."""
    start, end, top, bottom = LEFT + 38, RIGHT - 10, 32.0 + 18 * len(rows), 230.0 + 18 * len(rows)
    known = [point for row in rows for point in row.points]
    first, last = min(x for x, _ in known), max(x for x, _ in known)
    most = _ceiling(max(y for _, y in known))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        wide = (point[0] - first) / (last - first) if last > first else 0.5
        return start + (end - start) * wide, bottom - (bottom - top) * point[1] / most

    parts = list(_legend([(row.name, row.hue) for row in rows]))
    for step in range(5):
        level = most * step / 4
        height = at((first, level))[1]
        parts.append(_stroke(start, height, end, height, "axis"))
        parts.append(_text(start - 6, height + 4, _percent(level), "quiet end"))
    for x in _ticks(sorted({x for x, _ in known})):
        parts.append(_text(at((x, 0.0))[0], bottom + 16, f"{x:g}", "quiet middle"))
    parts.append(_text((start + end) / 2, bottom + 33, unit, "quiet middle"))
    for row in rows:
        places = [at(point) for point in row.points]
        parts.append(_path(places, f"line s{row.hue}"))
        parts.extend(_circle(x, y, 3.2, f"f{row.hue}") for x, y in places)
    return _svg(about, bottom + 40, parts)


def _legend(names: Sequence[tuple[str, int]]) -> Iterator[str]:
    for place, (name, hue) in enumerate(names):
        height = 32.0 + 18 * place
        yield _rect(LEFT, height - 1, 18, 4, f"f{hue}")
        yield _text(LEFT + 25, height + 5, _clipped(name, RIGHT - LEFT - 25))


def reliability(about: About, points: Sequence[Point]) -> str:
    """What was promised against what came true; on the dashed line promises are kept."""
    start, end, top, bottom = LEFT + 44, RIGHT - 30, 44.0, 344.0

    def at(x: float, y: float) -> tuple[float, float]:
        return start + (end - start) * x, bottom - (bottom - top) * y

    parts = [_text(LEFT, 32, "share that failed or left", "quiet")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (x, y) = at(tick, tick)
        parts.append(_stroke(start, y, end, y, "axis"))
        parts.append(_stroke(x, top, x, bottom, "axis"))
        parts.append(_text(start - 6, y + 4, _percent(tick), "quiet end"))
        parts.append(_text(x, bottom + 16, _percent(tick), "quiet middle"))
    parts.append(_stroke(*at(0, 0), *at(1, 1), "mark"))
    parts.append(_text((start + end) / 2, bottom + 33, "risk that was predicted", "quiet middle"))
    for one in points:
        x, y = at(one.promised, one.kept)
        if one.low is not None and one.high is not None:
            parts.append(_stroke(x, at(0, one.low)[1], x, at(0, one.high)[1], "reach s1"))
        parts.append(_circle(x, y, 4.2, "f1"))
    return _svg(about, bottom + 40, parts)


def returns(about: About, rows: Sequence[Line], marks: Sequence[float | None], today: float, unit: str) -> str:
    """The return over the cost of a contact: a line an effect with its band, a ring where it crosses zero.

    `today` is the cost as it is set.
    """
    start, end, top, bottom = LEFT + 50, RIGHT - 12, 36.0 + 18 * len(rows), 246.0 + 18 * len(rows)
    known = [point for row in rows for part in (row.points, row.low, row.high) for point in part]
    widest = max(x for x, _ in known) or 1.0
    least, most = min(0.0, *(y for _, y in known)), max(0.0, *(y for _, y in known))
    span = (most - least) or 1.0

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return start + (end - start) * point[0] / widest, bottom - (bottom - top) * (point[1] - least) / span

    parts = list(_legend([(row.name, row.hue) for row in rows]))
    for level in _levels(least, most):
        height = at((0.0, level))[1]
        parts.append(_stroke(start, height, end, height, "axis"))
        parts.append(_text(start - 5, height + 4, short(level), "quiet end"))
    for cost in _levels(0.0, widest):
        parts.append(_text(at((cost, 0.0))[0], bottom + 16, short(cost), "quiet middle"))
    parts.append(_stroke(*at((0.0, 0.0)), *at((widest, 0.0)), "zero"))
    if 0 <= today <= widest:
        place = at((today, 0.0))[0]
        parts.append(_stroke(place, top, place, bottom, "mark"))
    parts.append(_text((start + end) / 2, bottom + 33, unit, "quiet middle"))
    for row, mark in zip(rows, marks, strict=True):
        parts.append(_area([at(point) for point in (*row.low, *reversed(row.high))], f"haze f{row.hue}"))
        parts.append(_path([at(point) for point in row.points], f"line s{row.hue}"))
        if mark is not None and mark <= widest:
            parts.append(_circle(*at((mark, 0.0)), 5.0, f"ring s{row.hue}"))
    return _svg(about, bottom + 40, parts)


def _svg(about: About, height: float, parts: Sequence[str]) -> str:
    """The picture with its words for a screen reader; a title is drawn too, for a picture travels without its page."""
    name = escape(about.name, quote=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.1f}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
    )
    words = (
        f'<title id="{name}-title">{_escaped(about.title)}</title><desc id="{name}-desc">{_escaped(about.says)}</desc>'
    )
    return "\n".join((head, words, _text(LEFT, 14, _clipped(about.title, WIDTH, 8.2), "title"), *parts, "</svg>"))


def _escaped(text: str) -> str:
    return escape(visible(text), quote=True)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{_kind(kind)}>{_escaped(text)}</text>'


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" class="{kind}"/>'


def _stroke(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"/>'


def _circle(x: float, y: float, radius: float, kind: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{kind}"/>'


def _area(points: Sequence[tuple[float, float]], kind: str) -> str:
    if not points:
        return ""
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)} Z" class="{kind}"/>'


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"


def short(value: float) -> str:
    """An amount that fits beside an axis."""
    for size, mark in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{mark}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def _ceiling(value: float) -> float:
    """The next share that four steps divide well."""
    return next((one for one in (0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if value <= one), 1.0)


def _ticks(places: Sequence[float]) -> Sequence[float]:
    """As many of them as fit."""
    return places[:: max(1, math.ceil(len(places) / 12))]


def _levels(least: float, most: float) -> list[float]:
    """Round amounts from one end to the other, about five."""
    rough = (most - least) / 5 or 1.0
    size = 10 ** math.floor(math.log10(rough))
    step = next(one * size for one in (1, 2, 2.5, 5, 10) if one * size >= rough * 0.999)
    return [number * step for number in range(math.ceil(least / step), math.floor(most / step) + 1)]


def _letters(text: str) -> int:
    """How many letters wide a text is: some are twice as wide, some have no width."""
    return sum(0 if unicodedata.combining(m) else 2 if unicodedata.east_asian_width(m) in "WF" else 1 for m in text)


def _clipped(text: str, width: float, letter: float = LETTER) -> str:
    """What fits; that something is cut is said by an ellipsis, and the whole stands in the table beside."""
    shown = visible(text)
    room = max(int(width / letter), 1)
    if _letters(shown) <= room:
        return shown
    kept = ""
    for mark in shown:
        if _letters(kept + mark) > room - 1:
            break
        kept += mark
    return kept + "…"
