"""Whom to call: benefits by their formula, one row a student, and everyone who is left out counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.insights.calls import ASSUMED, MEASURED, PEAK, Calls, Effect, Rules, calls_of, effect_of, shape
from studentsuccess.tasks.alerts_rows import HEADER, MARK, calls_text
from studentsuccess.warehouse.alerts import Week
from studentsuccess.warehouse.experiment import TRIAL, Result
from studentsuccess.warehouse.interventions import Contact

TODAY = date(2014, 11, 26)
EFFECT = Effect(0.05, PEAK, 0.03, 0.08, ASSUMED)
Person = Mapping[str, Any]
SEEN = pa.schema([(name, pa.string()) for name in ("course_run_id", "student_id", "feature")])
REASONS = pa.schema(
    [
        *((name, pa.string()) for name in ("course_run_id", "student_id")),
        ("enrollment_id", pa.int32()),
        ("feature", pa.string()),
        ("effect", pa.float64()),
        ("actionable", pa.bool_()),
        ("words", pa.string()),
    ]
)


def scored(
    student: str, risk: float, course: str = "AAA", before: float | None = None, decision: str = "unsure"
) -> Person:
    return {"student": student, "risk": risk, "course": course, "before": before, "decision": decision}


def why(student: str, words: str, effect: float = 1.0, course: str = "AAA", *, actionable: bool = True) -> Person:
    facts = {"student_id": student, "words": words, "effect": effect, "actionable": actionable}
    return {**facts, "course_run_id": f"{course}-2014J", "feature": words.replace(" ", "_")}


def week_of(
    people: Sequence[Person],
    reasons: Sequence[Person] = (),
    seen: Sequence[Person] = (),
    contacts: Sequence[Contact] = (),
) -> Week:
    """A week as the warehouse tells it."""
    numbers = {(one["student"], one["course"]): at for at, one in enumerate(people)}
    rows = [
        _row(one, numbers[one["student"], one["course"]], back, one["before"] if back else one["risk"])
        for back in (0, 1)
        for one in people
        if not back or one["before"] is not None
    ]
    told = [{**one, "enrollment_id": numbers[one["student_id"], one["course_run_id"][:3]]} for one in reasons]
    told.sort(key=lambda one: (one["enrollment_id"], not one["actionable"], -one["effect"]))
    known = [{name: one[name] for name in SEEN.names} for one in seen]
    nothing = pa.table({})
    return Week(
        nothing,
        pa.Table.from_pylist(rows),
        pa.Table.from_pylist(told, REASONS),
        pa.Table.from_pylist(known, SEEN),
        0,
        None,
        tuple(contacts),
        "",
    )


def _row(one: Person, number: int, back: int, risk: float) -> dict[str, object]:
    return {
        "course_run_id": f"{one['course']}-2014J",
        "code_module": one["course"],
        "code_presentation": "2014J",
        "student_id": one["student"],
        "enrollment_id": number,
        "week": 8,
        "weeks_back": back,
        "probability": risk,
        "decision": one["decision"],
    }


def listed(week: Week, capacity: int = 40, cooldown: int = 14, on: date = TODAY, effect: Effect = EFFECT) -> Calls:
    return calls_of(week, effect, Rules(capacity, cooldown, on))


def names(found: Calls) -> list[str]:
    return [one.student_id for one in found.calls]


def test_the_relative_reduction_is_largest_at_two_thirds() -> None:
    risks = np.linspace(0, 1, 3001)
    assert risks[shape(risks).argmax()] == pytest.approx(PEAK, abs=1e-3)
    assert shape(np.array([0.0, PEAK, 1.0])) == pytest.approx([0, 1, 0])


@given(st.floats(0, 1), st.floats(0.001, 1), st.floats(0, 1))
def test_no_call_takes_away_more_risk_than_there_is(risk: float, gain: float, at: float) -> None:
    benefit = float(Effect(gain, at, gain, gain, MEASURED).benefit(np.array([risk]))[0])
    assert 0 <= benefit <= risk


@given(st.floats(0.3, 0.9), st.floats(0.001, 0.05))
def test_a_group_like_that_of_the_trial_gains_what_the_trial_measured(at: float, gain: float) -> None:
    assert Effect(gain, at, gain, gain, MEASURED).benefit(np.array([at]))[0] == pytest.approx(gain)


people_of = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["AAA", "BBB", "CCC"]),
        st.floats(0.01, 0.99).map(lambda risk: round(risk, 6)),
        st.sampled_from(["at risk", "unsure", "not at risk"]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda one: one[:2],
)


@given(people_of, st.integers(1, 8), st.sets(st.integers(0, 12), max_size=4))
@settings(max_examples=80, deadline=None)
def test_the_list_is_the_best_that_the_formula_can_choose_and_everyone_else_is_counted(
    people: list[tuple[int, str, float, str]], capacity: int, called: set[int]
) -> None:
    week = week_of(
        [scored(f"s{who:02}", risk, course, decision=word) for who, course, risk, word in people],
        contacts=[Contact(f"s{who:02}", TODAY - timedelta(days=3)) for who in called],
    )
    found = listed(week, capacity)
    benefits: dict[str, float] = {}
    fine: dict[str, bool] = {}
    for who, _, risk, word in people:
        name = f"s{who:02}"
        benefits[name] = benefits.get(name, 0) + 0.05 / PEAK * risk * 27 / 4 * risk * risk * (1 - risk)
        fine[name] = fine.get(name, True) and word == "not at risk"
    free = [name for name in benefits if int(name[1:]) not in called and not fine[name]]
    assert [one.benefit for one in found.calls] == pytest.approx(
        sorted((benefits[x] for x in free), reverse=True)[:capacity]
    )
    assert all(one.benefit == pytest.approx(benefits[one.student_id]) for one in found.calls)
    assert found.students == len(benefits) == len(found.calls) + found.cooling + found.fine + found.waiting
    assert found.cooling == sum(int(name[1:]) in called for name in benefits)
    assert found.expected.passes == pytest.approx(sum(one.benefit for one in found.calls))
    assert found.expected.low == pytest.approx(0.6 * found.expected.passes)


def test_a_student_with_two_courses_is_one_call() -> None:
    people = [scored("one", 0.6), scored("two", 0.5), scored("two", 0.55, "BBB", before=0.5)]
    found = listed(week_of(people, [why("two", "quiet", course="BBB"), why("two", "late", 2.0)]))
    assert names(found) == ["two", "one"]
    call = found.calls[0]
    assert [(one.code_module, one.risk, one.before) for one in call.courses] == [("BBB", 0.55, 0.5), ("AAA", 0.5, None)]
    assert call.talk == ("AAA: late", "BBB: quiet")


def test_what_can_be_acted_on_comes_first() -> None:
    reasons = [why("one", "came late", 3.0, actionable=False), why("one", "quiet", 1.0), why("one", "no essay", 2.0)]
    (call,) = listed(week_of([scored("one", 0.6)], reasons)).calls
    assert (call.talk, call.background) == (("no essay", "quiet"), ("came late",))
    assert [one.words for one in call.reasons] == ["no essay", "quiet", "came late"]


def test_two_reasons_to_talk_about_are_about_two_things() -> None:
    reasons = [why("one", "mark lowest", 3.0), why("one", "mark mean", 2.0), why("one", "quiet", 1.0)]
    (call,) = listed(week_of([scored("one", 0.6)], reasons)).calls
    assert call.talk == ("mark lowest", "quiet", "mark mean")


def test_a_reason_is_new_only_where_those_of_the_week_before_are_known() -> None:
    people, reasons = (
        [scored("one", 0.6), scored("two", 0.5)],
        [why("one", "quiet"), why("one", "late"), why("two", "late")],
    )
    assert [one.news for one in listed(week_of(people, reasons)).calls] == [(), ()]
    assert [one.news for one in listed(week_of(people, reasons, reasons[:1])).calls] == [("late",), ("late",)]


@pytest.mark.parametrize(
    ("days", "cooldown", "is_called"), [(0, 14, 0), (13, 14, 0), (14, 14, 1), (0, 0, 1), (-1, 14, 1)]
)
def test_nobody_is_called_twice_within_the_cool_down(days: int, cooldown: int, is_called: int) -> None:
    week = week_of([scored("one", 0.6)], contacts=[Contact("one", TODAY - timedelta(days=days))])
    found = listed(week, cooldown=cooldown)
    assert (len(found.calls), found.cooling) == (is_called, 1 - is_called)


def test_the_list_says_how_often_and_when_a_student_was_contacted() -> None:
    contacts = [Contact("one", date(2014, 10, 1)), Contact("one", date(2014, 11, 3), "Kim"), Contact("two", TODAY)]
    (call,) = listed(week_of([scored("one", 0.6), scored("two", 0.6)], contacts=contacts)).calls
    assert (call.student_id, call.contacts, call.last_contact) == ("one", 2, date(2014, 11, 3))


def test_those_at_a_higher_risk_who_are_not_called_are_counted() -> None:
    found = listed(week_of([scored("mid", 0.75), scored("lost", 0.99), scored("low", 0.2)]), capacity=1)
    assert (names(found), found.waiting, found.above) == (["mid"], 2, 1)


def test_with_everybody_contacted_the_list_is_empty() -> None:
    found = listed(week_of([scored("one", 0.6)], contacts=[Contact("one", TODAY)]))
    assert (found.calls, found.expected.passes, found.above) == ((), 0.0, 0)


def trial(gain: float, control: float = 0.4, adjusted: float | None = None) -> Result:
    low, high = gain - 0.05, gain + 0.05
    extra = (None, None, None) if adjusted is None else (adjusted, adjusted - 0.03, adjusted + 0.03)
    head = (datetime(2015, 1, 1), None, control, control + gain, gain, 0.2, low, high, TRIAL, "spring")  # noqa: DTZ001
    return Result(*head, 100, 100, low, high, None, None, *extra, None, "run")


def test_a_trial_that_was_analysed_sets_the_effect() -> None:
    found = effect_of(trial(0.04), (0.03, 0.05, 0.08))
    assert (found.basis, found.gain, found.name) == (MEASURED, 0.04, "spring")
    assert found.at == pytest.approx(0.6)
    assert effect_of(trial(0.04, adjusted=0.06), (0.05,)).gain == 0.06


def test_without_a_trial_or_with_one_that_did_not_help_the_middle_of_the_uplifts_is_assumed() -> None:
    assert effect_of(None, (0.08, 0.03, 0.05)) == EFFECT
    found = effect_of(trial(-0.01), (0.03, 0.05, 0.08))
    assert (found.basis, found.gain, found.useless) == (ASSUMED, 0.05, "spring")


def test_a_trial_whose_interval_reaches_below_zero_promises_nothing_at_its_low_end() -> None:
    found = listed(week_of([scored("one", 0.6)]), effect=effect_of(trial(0.02), (0.05,)))
    assert found.expected.low == 0 < found.expected.passes < found.expected.high


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix(MARK), newline="")))


def test_no_cell_of_the_file_is_a_formula() -> None:
    people = [scored("=cmd|' /C calc'!A0", 0.6, "+AA", before=0.7), scored("-5", 0.5, "+AA"), scored("007", 0.4, "+AA")]
    reasons = [why("=cmd|' /C calc'!A0", "@SUM(A1)\nsecond line", course="+AA")]
    text = calls_text(listed(week_of(people, reasons)))
    rows = read(text)
    assert [row["student"] for row in rows] == ["'=cmd|' /C calc'!A0", "-5", "007"]
    assert rows[0]["reason_1"] == "'@SUM(A1) second line"
    assert rows[0]["course"] == "'+AA 2014J"
    assert (rows[0]["risk_percent"], rows[0]["week_before_percent"], rows[0]["change_points"]) == ("60", "70", "-10")
    assert (rows[1]["week_before_percent"], rows[1]["change_points"]) == ("", "")


def test_a_spreadsheet_takes_the_file_for_utf_8_and_every_row_has_every_column() -> None:
    text = calls_text(listed(week_of([scored("Ødegård", 0.6)])))
    assert text.encode("utf-8").startswith(b"\xef\xbb\xbf")
    assert all(len(row) == len(HEADER) for row in csv.reader(io.StringIO(text, newline="")))
    assert text.endswith("\r\n")
