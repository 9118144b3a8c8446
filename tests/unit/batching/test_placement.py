"""Where and when batches meet, held against every way there is, and against what a timetable must never have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from made_batches import HARD, a_grouping, a_problem, lists, texts
from made_cases import Best, a_case, a_teaching, best_of_all, cases, enough_hours

from studentsuccess.batching.instance import Faculty, Grouping, Infeasible, Instance, Numbers, Rule, Sizes
from studentsuccess.batching.place_case import Case, case_of
from studentsuccess.batching.place_rooms import best_fit, best_utilisation, rooms_of, utilisation
from studentsuccess.batching.placement import place, shifts_of
from studentsuccess.batching.sections import is_pooled, sections_of
from studentsuccess.batching.teaching import hours_short, teaching_of

TIE = Rule("SHIFT", "student", "preferred_shift", "no_mix", hard=True)


def reached(case: Case) -> Best | None:
    """What `shifts_of` reaches, after everything that must hold is looked at."""
    shift = shifts_of(case)
    if shift is None:
        return None
    room = rooms_of(case, shift)
    each = np.arange(case.batches)
    assert len(set(zip(room.tolist(), shift.tolist(), strict=True))) == case.batches
    assert case.open[room, shift].all()
    assert (case.sizes <= case.fill * case.capacity[room] + 1e-9).all()
    assert case.allowed[each, shift].all()
    assert enough_hours(case.teaching, shift.tolist())
    seats = case.capacity[room]
    assert utilisation(case.sizes, seats) <= best_utilisation(case) + 1e-12
    return Best(int((~case.home[each, shift]).sum()), int(seats.sum()), int(case.wish[each, shift].sum()))


@given(cases(strict=None))
@settings(max_examples=examples(150, daily=50), deadline=None)
def test_without_teachers_no_other_way_is_better(case: Case) -> None:
    assert reached(case) == best_of_all(case)


@given(cases(teachers=True))
@settings(max_examples=examples(150, daily=50), deadline=None)
def test_with_teachers_no_other_way_is_better_either(case: Case) -> None:
    assert reached(case) == best_of_all(case)


@given(cases(teachers=True))
@settings(max_examples=60, deadline=None)
def test_missing_hours_are_none_exactly_when_every_set_of_shifts_has_enough(case: Case) -> None:
    assert case.teaching is not None
    when = np.arange(case.batches, dtype=np.int32) % len(case.shifts)
    assert hours_short(case.teaching, when).any() != enough_hours(case.teaching, when.tolist())


@given(st.lists(st.integers(1, 9), max_size=6), st.lists(st.integers(1, 9), max_size=7))
def test_the_smallest_room_that_does_is_always_a_way_if_there_is_one(needs: list[int], capacity: list[int]) -> None:
    """Hall: for every number of seats, no more batches need it than rooms have it."""
    fit = best_fit(np.array(needs, np.int64), np.array(capacity, np.int64))
    possible = all(sum(need >= c for need in needs) <= sum(room >= c for room in capacity) for c in needs)
    assert (fit is not None) == possible
    if fit is not None:
        assert len(set(fit.tolist())) == len(needs)
        assert all(capacity[room] >= need for room, need in zip(fit, needs, strict=True))


def test_seats_come_before_wishes() -> None:
    case = a_case([4, 4], [4, 9], wish=[[4, 0], [4, 0]], fill=1.0)
    shift = shifts_of(case)
    assert shift is not None
    assert sorted(shift.tolist()) == [0, 1], "both in the small room, so one of them not in the evening"


def test_among_equal_seats_most_members_meet_when_they_prefer() -> None:
    case = a_case([4, 4, 4], [4, 4], wish=[[3, 1], [1, 3], [0, 4]])
    assert shifts_of(case) is not None
    assert shifts_of(case).tolist() == [0, 1, 1]  # type: ignore[union-attr]


def test_when_a_tie_is_relaxed_as_few_as_possible_leave() -> None:
    home = [[1, 0]] * 4
    assert shifts_of(a_case([3] * 4, [3] * 3, home=home)) is None
    shift = shifts_of(a_case([3] * 4, [3] * 3, home=home, strict=False))
    assert shift is not None
    assert shift.tolist().count(0) == 3


def test_hours_decide_the_shift_where_rooms_do_not() -> None:
    """One teacher in the evening, who has hours for one batch; the other batches must be in the morning."""
    teaching = a_teaching([[3.0]] * 3, [(0, [1, 0], 3.0), (0, [0, 1], 6.0)])
    shift = shifts_of(a_case([3] * 3, [3] * 3, wish=[[3, 0]] * 3, teaching=teaching))
    assert shift is not None
    assert sorted(shift.tolist()) == [0, 1, 1]


def test_a_pooled_course_is_taught_once_a_shift_so_its_batches_meet_together() -> None:
    teaching = a_teaching([[0.0]] * 2, [(0, [1, 1], 4.0)], pools=[(0, 0), (1, 0)], keys=[(0, 4.0)])
    shift = shifts_of(a_case([3, 3], [3, 3], wish=[[3, 0], [0, 3]], teaching=teaching))
    assert shift is not None
    assert shift[0] == shift[1]


def test_many_batches_with_scarce_teachers_are_placed() -> None:
    """Larger than what is branched on as a whole."""
    chance = np.random.default_rng(3)
    many, departments, shifts = 900, 6, 4
    sizes = chance.integers(15, 60, many)
    load = np.zeros((many, departments))
    load[np.arange(many), np.arange(many) % departments] = chance.integers(6, 14, many)
    pairs = [(shift, (shift + 1) % shifts) for shift in range(shifts)]
    offered = load.sum(axis=0) * 1.01 / shifts
    staff = [
        (of, [int(at in pair) for at in range(shifts)], float(offered[of]))
        for of in range(departments)
        for pair in pairs
    ]
    wish = chance.multinomial(30, [0.6, 0.2, 0.1, 0.1], many)
    case = a_case(
        sizes.tolist(), np.sort(sizes)[::3].tolist() + [60] * 20, wish=wish.tolist(), shifts=list("abcd"),
        teaching=a_teaching(load.tolist(), staff),
    )  # fmt: skip
    assert reached(case) is not None


def test_a_rule_that_ties_makes_batches_meet_in_the_shift_that_their_members_prefer() -> None:
    problem = a_problem([["A"]] * 6, rules=(*HARD, TIE), fields={"preferred_shift": texts(["evening"] * 6)})
    made = place(problem, a_grouping([0, 0, 0, 1, 1, 1]))
    assert made.shift.tolist() == [0, 0]
    assert made.room[0] != made.room[1]


@pytest.mark.parametrize("wanted", ["evening", "Evening", "EVENING"])
def test_a_shift_is_meant_by_its_id_or_its_name(wanted: str) -> None:
    problem = a_problem([["A"]] * 3, rules=(TIE,), fields={"preferred_shift": texts([wanted] * 3)})
    assert place(problem, a_grouping([0, 0, 0])).shift.tolist() == [0]


def test_shifts_that_are_numbers_are_meant_too() -> None:
    numbers = Numbers(np.array([2.0, 2.0, np.nan]))
    problem = a_problem([["A"]] * 3, shifts=("1", "2"), rules=(), fields={"preferred_shift": numbers})
    assert place(problem, a_grouping([0, 0, 0])).shift.tolist() == [1]


def test_of_lists_a_batch_meets_in_a_shift_that_all_of_them_name() -> None:
    named = lists([["evening", "morning"], ["morning", "noon"], ["morning"]])
    problem = a_problem(
        [["A"]] * 3, shifts=("evening", "morning", "noon"), rules=(TIE,), fields={"preferred_shift": named}
    )
    assert place(problem, a_grouping([0, 0, 0])).shift.tolist() == [1]


def test_a_batch_that_prefers_nothing_meets_anywhere() -> None:
    problem = a_problem([["A"]] * 3, rules=(TIE,), fields={"preferred_shift": texts([None] * 3)})
    assert place(problem, a_grouping([0, 0, 0])).room.tolist() == [0]


def fitted(sizes: Sequence[int], capacities: Sequence[int], rules: Sequence[Rule]) -> list[int]:
    batch = np.repeat(np.arange(len(sizes)), sizes)
    problem = a_problem([["A"]] * sum(sizes), capacities=capacities, rules=rules)
    return place(problem, a_grouping(batch.tolist())).room.tolist()


def test_a_tenth_of_the_seats_stays_free_unless_a_rule_says_otherwise() -> None:
    limit = Rule("SEATS", "batch", "size", "capacity_limit", hard=True, threshold=1.0)
    assert fitted([10], [10, 11, 12], ()) == [2]
    assert fitted([9], [10, 11, 12], ()) == [0]
    assert fitted([10], [10, 11, 12], [limit]) == [0]
    assert fitted([10], [10, 11, 20], [replace(limit, threshold=0.5)]) == [2]
    assert fitted([10], [10, 11, 12], [replace(limit, threshold=0.5, hard=False)]) == [0]


def test_nothing_to_place_is_placed() -> None:
    made = place(a_problem([]), a_grouping([]))
    assert (len(made.room), len(made.shift), made.best_utilisation) == (0, 0, 1.0)


def test_the_ceiling_is_the_best_of_all_rooms_at_all_times() -> None:
    problem = a_problem([["A"]] * 6, capacities=(4, 7, 50), rules=())
    made = place(problem, a_grouping([0, 0, 0, 1, 1, 1]))
    assert made.best_utilisation == pytest.approx(6 / 8)


def test_the_same_problem_is_placed_the_same_way_twice() -> None:
    problem = a_problem([["A"]] * 30, capacities=(4, 4, 4, 5, 5, 6, 8), rules=())
    grouping = a_grouping([at // 3 for at in range(30)])
    first, second = place(problem, grouping), place(problem, grouping)
    assert first.room.tobytes() == second.room.tobytes()
    assert first.shift.tobytes() == second.shift.tobytes()


@pytest.mark.parametrize(
    ("taking", "size", "pooled"),
    [
        (2, 30, True),
        (5, 30, True),
        (6, 30, False),
        (3, 15, False),
        (2, 15, True),
        (2, 2, False),
        (1, 1, False),
        (1, 2, True),
    ],
)
def test_a_course_is_pooled_when_few_of_a_batch_take_it(taking: int, size: int, pooled: bool) -> None:
    assert bool(is_pooled(np.array([taking]), np.array([size]))[0]) is pooled


def test_who_takes_what_in_each_batch_is_counted() -> None:
    problem = a_problem([["A", "B"], ["A"], ["A"], ["B"], ["B"], []])
    found = sections_of(problem, np.array([0, 0, 0, 1, 1, 1], np.int32), 2)
    rows = zip(found.batch.tolist(), found.course.tolist(), found.taking.tolist(), found.pooled.tolist(), strict=True)
    assert list(rows) == [(0, 0, 3, False), (0, 1, 1, True), (1, 1, 2, True)]


def taught(faculty: Faculty) -> tuple[Instance, Grouping]:
    problem = a_problem([["A"], ["A"], ["A", "B"], ["A"]], programs=["P", "P", "Q", "Q"], rules=())
    programs = replace(problem.programs, departments=("DP", "DQ"))
    courses = replace(problem.courses, departments=(None, "DX"), weekly_hours=np.array([4.0, np.nan]))
    return replace(problem, programs=programs, courses=courses, faculty=faculty), a_grouping([0, 0, 1, 1])


def test_hours_are_asked_of_the_courses_department_or_else_of_the_batchs_program() -> None:
    both = np.ones((2, 2), np.bool_)
    faculty = Faculty(("F1", "F2"), ("DP", "DP"), np.array([3.0, 2.0]), both)
    problem, grouping = taught(faculty)
    teaching = teaching_of(problem, grouping.batch, grouping.count)
    assert teaching is not None
    assert teaching.departments == ("DP", "DQ", "DX")
    assert teaching.load.tolist() == [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]]
    assert teaching.staff_hours.tolist() == [5.0], "teachers of one department and the same shifts are one"
    assert teaching.key_hours.tolist() == [0.0]


def test_without_faculty_hours_are_unlimited() -> None:
    assert case_of(a_problem([["A"]]), np.zeros(1, np.int32), 1).teaching is None


def test_what_can_not_be_placed_is_a_finding() -> None:
    with pytest.raises(Infeasible) as caught:
        place(a_problem([["A"]] * 3, capacities=(2,), sizes=Sizes(1, 2, 3)), a_grouping([0, 0, 0]))
    assert caught.value.obstacles
