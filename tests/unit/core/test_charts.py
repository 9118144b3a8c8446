from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.core import charts
from studentsuccess.core.charts import About, Bar, Dot, Line, Point

SVG = "{http://www.w3.org/2000/svg}"
ABOUT = About("one", "A picture", "What it says")
HOSTILE = "</text><script>alert(1)</script> & \"quotes\" 'too' ]]> \u202egnp.exe \x00\x1b[31m"
SHARES = st.floats(0, 1)
LABELS = st.text(max_size=60)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own text


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in parsed(svg).iter(f"{SVG}text")]


def numbers(svg: str) -> list[float]:
    """Every place and size in the picture."""
    found = []
    for one in parsed(svg).iter():
        for name in ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "width", "height", "d"):
            found += [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?|nan|inf", one.get(name, ""))]
    return found


def inside(svg: str) -> bool:
    _, _, width, height = map(float, parsed(svg).get("viewBox", "").split())
    return all(math.isfinite(one) and -0.1 <= one <= max(width, height) + 0.1 for one in numbers(svg))


def bar_lengths(svg: str) -> list[float]:
    return [float(one.get("width", "")) for one in parsed(svg).iter(f"{SVG}rect")]


@given(st.lists(st.tuples(LABELS, st.integers(0, 10**6)), max_size=12))
def test_bars_stay_in_the_picture_and_keep_their_order(rows: list[tuple[str, int]]) -> None:
    made = [Bar(label, count, f"{count:,}") for label, count in rows]
    for svg in (
        charts.bars(ABOUT, made),
        charts.columns(ABOUT, [Bar("10–20 %", one.length, one.told) for one in made]),
    ):
        assert inside(svg)
        lengths = bar_lengths(svg)
        ranked = sorted(range(len(rows)), key=lambda place: rows[place][1])
        assert [lengths[place] for place in ranked] == sorted(lengths)


@given(st.lists(st.tuples(LABELS, st.lists(SHARES, min_size=3, max_size=3)), max_size=12), SHARES)
def test_dots_stay_in_the_picture(rows: list[tuple[str, list[float]]], limit: float) -> None:
    made = [Dot(label, sorted(ends)[1], min(ends), max(ends), "5 %") for label, ends in rows]
    assert inside(charts.dots(ABOUT, made, limit, "limit"))


@given(st.lists(st.tuples(st.integers(0, 60), SHARES), min_size=1, max_size=40))
def test_lines_stay_in_the_picture(points: list[tuple[int, float]]) -> None:
    made = tuple((float(week), share) for week, share in points)
    assert inside(charts.lines(ABOUT, [Line("one", made, 1), Line("two", made[:1], 2)], "week"))


@given(st.lists(st.tuples(SHARES, SHARES, SHARES, SHARES), max_size=15))
def test_reliability_stays_in_the_picture(rows: list[tuple[float, ...]]) -> None:
    made = [Point(one[0], one[1], min(one[1:]), max(one[1:])) for one in rows]
    assert inside(charts.reliability(ABOUT, made))


@given(st.lists(st.floats(-1e12, 1e12), min_size=6, max_size=6), st.floats(0, 1e12), st.floats(0, 1e12))
def test_returns_stay_in_the_picture(ends: list[float], widest: float, today: float) -> None:
    pairs = [((0.0, ends[at]), (widest, ends[at + 1])) for at in (0, 2, 4)]
    svg = charts.returns(ABOUT, [Line("one", pairs[0], 1, pairs[1], pairs[2])], [widest / 2], today, "cost")
    assert inside(svg)


def pictures(label: str) -> list[str]:
    about = About("one", label, label)
    line = Line(label, ((0.0, 0.1), (1.0, 0.2)), 1)
    return [
        charts.bars(about, [Bar(label, 3, label)]),
        charts.columns(about, [Bar(label, 3, label)]),
        charts.dots(about, [Dot(label, 0.3, 0.2, 0.4, label)], 0.25, label),
        charts.lines(about, [line], label),
        charts.reliability(about, [Point(0.1, 0.2, None, None)]),
        charts.returns(about, [line], [0.5], 0.5, label),
    ]


@pytest.mark.parametrize("label", [HOSTILE, "", "数学" * 40, "a" * 5000, "🎓 e\u0301"])
def test_a_label_is_text_whatever_is_in_it(label: str) -> None:
    for svg in pictures(label):
        root = parsed(svg)
        assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
            *("svg", "title", "desc", "text", "rect", "line", "circle", "path"),
        }
        assert not re.search("[\u202e\x00\x1b]", svg)


def test_a_picture_says_in_words_what_it_shows() -> None:
    for svg in pictures("Algebra"):
        root = parsed(svg)
        assert root.get("role") == "img"
        named = (root.get("aria-labelledby") or "").split()
        words = {one.get("id"): one.text for one in root if one.tag in (f"{SVG}title", f"{SVG}desc")}
        assert [words[one] for one in named] == ["Algebra", "Algebra"]


def test_the_same_figures_give_the_same_bytes() -> None:
    assert pictures("Algebra") == pictures("Algebra")


def test_a_long_label_is_cut_and_says_so() -> None:
    svg = charts.bars(ABOUT, [Bar("Introduction to " * 20, 1, "1")])
    shown = next(one for one in texts(svg) if one.startswith("Introduction"))
    assert shown.endswith("…")
    assert len(shown) * charts.LETTER <= charts.WIDTH


def test_bars_of_two_pictures_can_be_compared() -> None:
    alone = charts.bars(ABOUT, [Bar("a", 0.2, "20 %")])
    beside = charts.bars(ABOUT, [Bar("a", 0.2, "20 %")], longest=0.4)
    assert bar_lengths(beside)[0] == pytest.approx(bar_lengths(alone)[0] / 2, abs=0.1)


def test_a_bar_of_nothing_is_not_drawn_as_something() -> None:
    assert bar_lengths(charts.bars(ABOUT, [Bar("a", 0, "0"), Bar("b", 1, "1")]))[0] == 0


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1500, "1.5k"), (-10_000, "−10k"), (2_500_000, "2.5m"), (3e9, "3bn"), (0.25, "0.25")]
)
def test_an_axis_has_short_amounts(value: float, shown: str) -> None:
    assert charts.short(value) == shown


@pytest.mark.parametrize("draw", [lambda: charts.bars(ABOUT, []), lambda: charts.dots(ABOUT, [], None, "")])
def test_nothing_to_draw_is_an_empty_picture(draw: Callable[[], str]) -> None:
    assert inside(draw())
