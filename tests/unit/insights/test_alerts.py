"""Alerts on classes: what raises them, what they say, and what they must not say."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.insights.alerts import (
    BOTH,
    NONE,
    SPIKE,
    THRESHOLD,
    Alert,
    Limits,
    alerts,
    beside,
    headline,
    percent,
)
from studentsuccess.insights.alerts_page import About, page, plain
from studentsuccess.insights.alerts_told import most_within
from studentsuccess.insights.calls import ASSUMED, Calls, Effect, Expected

LIMITS = Limits(high_risk_share=0.25, spike=0.10, high_risk=0.5, least=10)
OPEN = replace(LIMITS, least=1)
Row = tuple[str, int, int, int, float]


def table(*rows: Row, term: str = "2014J") -> pa.Table:
    """Classes as the warehouse tells them: module, week, students, how many are at high risk, mean risk."""
    return pa.Table.from_pylist(
        [
            {
                "course_run_id": f"{module}-{term}",
                "code_module": module,
                "code_presentation": term,
                "week": week,
                "cutoff_day": 7 * week,
                "students": students,
                "high": high,
                "mean": mean,
            }
            for module, week, students, high, mean in sorted(rows, key=lambda row: (row[1], row[0]))
        ]
    )


def found(*rows: Row, limits: Limits = OPEN) -> dict[str, Alert]:
    return {one.group.name: one for one in alerts(table(*rows), limits)}


@pytest.mark.parametrize(
    ("high", "mean", "kind"),
    [(25, 0.22, NONE), (26, 0.22, THRESHOLD), (25, 0.2201, SPIKE), (26, 0.2201, BOTH), (0, 0.1, NONE)],
)
def test_an_alert_is_raised_above_its_limit_and_not_at_it(high: int, mean: float, kind: str) -> None:
    one = found(("BBB", 7, 100, 20, 0.2), ("BBB", 8, 100, high, mean))["BBB 2014J"]
    assert (one.kind, one.raised) == (kind, kind != NONE)
    assert one.high_risk_rate == high / 100
    assert one.spike_pct == pytest.approx(mean / 0.2 - 1)


def test_the_sentence_tells_the_figure_and_its_limit() -> None:
    one = found(("BBB", 7, 212, 60, 0.30), ("BBB", 8, 212, 66, 0.36))["BBB 2014J"]
    assert one.message == (
        "BBB 2014J, week 8: 31% of 212 students are at high risk (limit 25%); the mean risk rose by 20% since week 7,"
        " from 0.300 to 0.360 (limit 10%)"
    )


def test_an_alert_has_a_headline() -> None:
    rows = (("BBB", 7, 100, 20, 0.3), ("BBB", 8, 100, 31, 0.3), ("CCC", 7, 90, 10, 0.2), ("CCC", 8, 90, 10, 0.3))
    told = found(*rows)
    assert headline(told["BBB 2014J"], OPEN) == "threshold: 31% of BBB 2014J is at high risk (limit 25%)"
    assert headline(told["CCC 2014J"], OPEN) == "spike: the mean risk of CCC 2014J rose by 50% (limit 10%)"


def test_a_rise_from_zero_is_undefined_and_said_so() -> None:
    one = found(("BBB", 7, 100, 0, 0.0), ("BBB", 8, 100, 0, 0.3))["BBB 2014J"]
    assert (one.kind, one.spike_pct) == (NONE, None)
    assert "the mean risk was 0 in week 7, so that no share can say how it changed since" in one.message
    assert "inf" not in one.message


def test_without_the_week_before_there_is_no_spike() -> None:
    one = found(("BBB", 6, 100, 10, 0.1), ("BBB", 8, 100, 10, 0.3))["BBB 2014J"]
    assert (one.kind, one.spike_pct) == (NONE, None)
    assert "nothing was predicted for week 7" in one.message


def test_only_the_newest_week_of_each_class_is_judged() -> None:
    told = found(("AAA", 5, 50, 30, 0.6), ("AAA", 6, 50, 5, 0.2), ("BBB", 8, 100, 10, 0.3))
    assert [(one.group.name, one.group.week) for one in told.values()] == [
        ("all classes", 8),
        ("AAA 2014J", 6),
        ("BBB 2014J", 8),
    ]
    assert told["AAA 2014J"].kind == NONE


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0.001, 0.999), min_size=1, max_size=30),
            st.lists(st.floats(0.001, 0.999), min_size=1, max_size=30),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_all_classes_are_their_students_together(classes: list[tuple[list[float], list[float]]]) -> None:
    rows: list[Row] = []
    for at, weeks in enumerate(classes):
        for week, risks in enumerate(weeks, 7):
            rows.append((f"C{at}", week, len(risks), sum(risk >= 0.5 for risk in risks), sum(risks) / len(risks)))
    whole = alerts(table(*rows), OPEN)[0]
    before, now = (np.concatenate([weeks[at] for weeks in classes]) for at in (0, 1))
    assert whole.students == len(now)
    assert whole.high_risk_rate == (now >= 0.5).mean()
    assert whole.spike_pct == pytest.approx(now.mean() / before.mean() - 1, abs=1e-9)


def test_a_class_with_too_few_students_shows_nothing_and_is_not_judged() -> None:
    told = found(("AAA", 8, 9, 9, 0.9), ("BBB", 8, 60, 20, 0.4), ("CCC", 8, 300, 90, 0.3), limits=LIMITS)
    small = told["AAA 2014J"]
    assert (small.kind, small.high_risk_rate, small.spike_pct, small.students) == (NONE, None, None, None)
    assert small.message == "AAA 2014J, week 8: too few students to be shown"
    # From the total and the third class the second one would give the first away.
    assert told["BBB 2014J"].students is None
    assert told["CCC 2014J"].kind == THRESHOLD
    assert told["all classes"].students == 369


def test_what_no_class_shows_the_total_does_not_show_either() -> None:
    told = found(("AAA", 8, 8, 8, 0.9), limits=LIMITS)
    assert all(one.students is None and one.high_risk_rate is None for one in told.values())


def test_an_alert_on_a_hidden_rate_is_told_where_it_gives_nothing_away() -> None:
    told = found(("AAA", 8, 35, 27, 0.72), limits=LIMITS)["AAA 2014J"]
    assert (told.kind, told.high_risk_rate, told.students) == (THRESHOLD, None, 35)
    assert "more than 25% of 35 students" in told.message
    assert "77" not in told.message


def test_no_alert_is_told_where_it_would_be_the_very_number() -> None:
    """9 of 36 and 6 of 26: neither is above 25%, and together with their sum that would leave one solution."""
    rows = (("AAA", 8, 36, 9, 0.355), ("DDD", 8, 26, 6, 0.384), ("BBB", 8, 400, 120, 0.4))
    told = found(*rows, limits=LIMITS)
    assert told["AAA 2014J"].group.rate_hidden
    assert "is hidden, few students are behind it" in told["AAA 2014J"].message
    assert "at most" not in told["AAA 2014J"].message
    assert told["BBB 2014J"].kind == THRESHOLD


@st.composite
def classes_of_a_week(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for at in range(draw(st.integers(1, 3))):
        risks = np.array(draw(st.lists(st.floats(0.02, 0.98), min_size=10, max_size=34)))
        rows.append((f"C{at}", 8, len(risks), int((risks >= 0.5).sum()), float(risks.mean())))
    return rows


@given(classes_of_a_week(), st.sampled_from([0.1, 0.25, 0.5]))
@settings(max_examples=60, deadline=None)
def test_an_attacker_who_tries_every_number_finds_none_that_is_hidden(rows: list[Row], share: float) -> None:
    """Brute force over everything that fits what is shown: sizes, rates, means, the total, and the alerts."""
    limits = replace(LIMITS, high_risk_share=share)
    told = alerts(table(*rows), limits)
    whole, classes = told[0], told[1:]
    possible = [_fitting(one, row, limits) for one, row in zip(classes, rows, strict=True)]
    total = _fitting(whole, ("", 8, sum(row[2] for row in rows), sum(row[3] for row in rows), 0.0), limits, total=True)
    survivors = [np.array(one) for one in itertools.product(*possible) if sum(one) in total]
    assert survivors
    for at, one in enumerate(classes):
        if one.high_risk_rate is None:
            assert len({int(numbers[at]) for numbers in survivors}) >= limits.least
    if whole.high_risk_rate is None:
        assert len({int(numbers.sum()) for numbers in survivors}) >= limits.least


def _fitting(one: Alert, row: Row, limits: Limits, *, total: bool = False) -> list[int]:
    """The numbers at high risk that fit what is said of a class."""
    _, _, students, high, mean = row
    if one.high_risk_rate is not None:
        return [high]
    numbers = range(students + 1)
    if not one.group.mean_hidden and not total:
        risk, slack = mean * students, 1e-6
        numbers = [n for n in numbers if n * 0.5 <= risk + slack and n + (students - n) * 0.5 >= risk - slack]  # type: ignore[assignment]
    if "more than" in one.message:
        return [n for n in numbers if n / students > limits.high_risk_share]
    if "at most" in one.message:
        return [n for n in numbers if n / students <= limits.high_risk_share]
    return list(numbers)


@given(st.floats(0, 1), st.integers(1, 500))
def test_the_number_within_a_share_is_the_largest(share: float, students: int) -> None:
    assert most_within(share, students) == max(n for n in range(students + 1) if n / students <= share)


@pytest.mark.parametrize(
    ("share", "limit", "text"),
    [(0.31, 0.25, "31%"), (0.253, 0.25, "25.3%"), (0.25, 0.25, "25%"), (0.25001, 0.25, "25.001%"), (0.2, 0.25, "20%")],
)
def test_a_share_is_never_rounded_onto_its_limit(share: float, limit: float, text: str) -> None:
    assert beside(share, limit) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.25, "25%"), (0.125, "12.5%"), (0.29, "29%"), (1.0, "100%"), (0.0, "0%")]
)
def test_a_limit_is_told_to_its_last_decimal(share: float, text: str) -> None:
    assert percent(share) == text


def _page(*rows: Row, limits: Limits = OPEN, gone: int = 0) -> str:
    nobody = Calls(date(2014, 11, 26), (), 0, 0, 0, 0, 0, Effect(0.05, 2 / 3, 0.03, 0.08, ASSUMED), Expected(0, 0, 0))
    about = About("outputs/alerts/calls_latest.csv", ("risk@1",), {"2014J": date(2014, 11, 26)}, gone)
    return page(alerts(table(*rows), limits), nobody, limits, about)


def test_the_page_names_what_stands_out_and_says_when_nothing_does() -> None:
    assert "- **BBB 2014J**, week 8: 30% of 100" in _page(("BBB", 8, 100, 30, 0.4))
    assert "Nothing: no class is above its limits." in _page(("BBB", 8, 100, 20, 0.4))


def test_the_page_is_about_counts_that_may_be_shown() -> None:
    text = _page(("AAA", 8, 9, 9, 0.9), ("BBB", 8, 60, 20, 0.4), ("CCC", 8, 300, 60, 0.3), limits=LIMITS, gone=3)
    assert "| AAA 2014J | 8 | too few |  |  |  |" in text
    assert "Fewer than 10 had withdrawn" in text
    assert "no class that may be shown" in text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b", "**x**", "[x](http://e)", "line\nend", "`rm`"])
def test_a_courses_name_is_text_on_the_page(name: str) -> None:
    row = next(
        line for line in _page((name, 8, 100, 30, 0.4)).splitlines() if line.startswith("| ") and " 100 |" in line
    )
    assert "<" not in row.replace("\\<", "")
    assert plain(name) in _page((name, 8, 100, 30, 0.4))
    assert "\n" not in plain(name)
