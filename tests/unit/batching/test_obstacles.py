"""Why batches can't all meet: what is counted is true, and every fix that is offered works when it is really made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from made_batches import HARD, a_grouping, a_problem, texts
from made_cases import a_case, a_teaching, best_of_all, cases

from studentsuccess.batching.instance import (
    Faculty,
    Grouping,
    Infeasible,
    Instance,
    Obstacle,
    Rooms,
    Rule,
    Sizes,
)
from studentsuccess.batching.obstacles import counted, shortages
from studentsuccess.batching.place_case import Case
from studentsuccess.batching.place_changes import Extra, missing_rooms, split_anew
from studentsuccess.batching.place_rooms import best_fit
from studentsuccess.batching.placement import is_possible, place

TIE = Rule("SHIFT", "student", "preferred_shift", "no_mix", hard=True)
FULL = Rule("SEATS", "batch", "size", "capacity_limit", hard=True, threshold=1.0)
DAY = ("afternoon", "evening", "morning")


def a_term(
    batches: Sequence[tuple[int, str]], rooms: Sequence[int], rules: Sequence[Rule] = (TIE, FULL), **more: Any
) -> tuple[Instance, Grouping]:
    """Batches as (size, preferred shift); those of one shift are one cell."""
    of = [at for at, (size, _) in enumerate(batches) for _ in range(size)]
    wish = [shift for size, shift in batches for _ in range(size)]
    problem = a_problem(
        [["A"]] * len(of),
        rules=(*HARD, *rules),
        shifts=DAY,
        capacities=rooms,
        fields={"preferred_shift": texts(wish)},
        **{"sizes": Sizes(5, 35, 60), **more},
    )
    named = sorted({shift for _, shift in batches})
    return problem, a_grouping(of, [named.index(shift) for _, shift in batches])


def closed(problem: Instance, room: int, shift: str) -> Instance:
    opened = problem.rooms.open.copy()
    opened[room, DAY.index(shift)] = False
    return replace(problem, rooms=replace(problem.rooms, open=opened))


def with_rooms(problem: Instance, *capacities: int) -> Instance:
    stock = problem.rooms
    return replace(
        problem,
        rooms=Rooms(
            (*stock.ids, *(f"new {at}" for at in range(len(capacities)))),
            np.append(stock.capacity, capacities),
            (*stock.kinds, *(["lecture"] * len(capacities))),
            np.vstack([stock.open, np.ones((len(capacities), stock.open.shape[1]), np.bool_)]),
        ),
    )


def with_faculty(problem: Instance, *hours: float, shifts: Sequence[str] = DAY) -> Instance:
    works = np.tile([one in shifts for one in DAY], (len(hours), 1))
    ids = tuple(f"F{at}" for at in range(len(hours)))
    return replace(problem, faculty=Faculty(ids, ("D",) * len(hours), np.array(hours), works))


def reasons(problem: Instance, grouping: Grouping) -> dict[str, Obstacle]:
    with pytest.raises(Infeasible) as caught:
        place(problem, grouping)
    found = {one.code: one for one in caught.value.obstacles}
    assert len(found) == len(caught.value.obstacles)
    return found


def flags(obstacle: Obstacle) -> list[str]:
    return [fix.flag for fix in obstacle.fixes if fix.flag]


def words(obstacle: Obstacle) -> list[str]:
    return [fix.words for fix in obstacle.fixes]


REGISTRAR = a_term([(49, "evening")] * 14 + [(20, "afternoon")] * 3, [60] * 11 + [48] * 6 + [25] * 4)


def test_the_registrars_sentence() -> None:
    found = reasons(*REGISTRAR)["INSUFFICIENT_ROOMS"]
    assert found.words == "14 Evening batches need more than 48 seats, 11 rooms have them (3 short)"
    assert (found.scope, found.required, found.available, found.shortfall) == ("Evening", 14, 11, 3)
    assert found.rules == ("no_mix(preferred_shift)",)
    assert words(found) == [
        "add 3 rooms with 49 seats or more, open in Evening",
        "move 3 batches to Afternoon (11 free)",
        "at most 48 per batch",
    ]
    assert flags(found) == ["--relax preferred_shift", "--max-size 48 --target-size 48"]


def test_what_was_offered_to_the_registrar_works_and_less_does_not() -> None:
    problem, grouping = REGISTRAR
    place(with_rooms(problem, 49, 49, 49), grouping)
    reasons(with_rooms(problem, 49, 49), grouping)
    reasons(with_rooms(problem, 49, 49, 48), grouping)
    moved = place(replace(problem, relax=("preferred_shift",)), grouping)
    assert int((moved.shift[:14] != DAY.index("evening")).sum()) == 3
    split = split_anew(problem, grouping, Sizes(5, 48, 48))
    assert split is not None
    assert split.sizes.max() <= 48
    evening = split.needs[split.home[:, DAY.index("evening")]]
    assert best_fit(evening, problem.rooms.capacity) is not None
    targeted = split_anew(problem, grouping, Sizes(5, 35, 48))
    assert targeted is not None
    assert not is_possible(targeted), "with batches near the old target there are too many of them"


def test_rooms_enough_but_all_too_small() -> None:
    found = reasons(*a_term([(50, "morning")] * 2, [40] * 20))["INSUFFICIENT_ROOMS"]
    assert (found.required, found.available, found.shortfall) == (2, 0, 2)
    assert "need more than 40 seats, 0 rooms have them" in found.words
    assert words(found) == ["add 2 rooms with 50 seats or more, open in Morning", "at most 40 per batch"]
    assert flags(found) == ["--max-size 40"]


def test_a_fix_that_needs_a_lower_target_says_so() -> None:
    found = reasons(*a_term([(50, "morning")] * 2, [30] * 20))["INSUFFICIENT_ROOMS"]
    assert flags(found) == ["--max-size 30 --target-size 30"]


def test_one_short_in_one_shift_with_slack_in_another() -> None:
    problem, grouping = a_term([(20, "evening")] * 3 + [(20, "morning")], [20] * 3)
    found = reasons(closed(problem, 0, "evening"), grouping)["INSUFFICIENT_ROOMS"]
    assert found.shortfall == 1
    assert words(found)[0] == "add 1 room with 20 seats or more, open in Evening"
    assert words(found)[1] in ("move 1 batch to Afternoon (3 free)", "move 1 batch to Morning (2 free)")


def test_no_fix_is_offered_that_does_not_help() -> None:
    """All other shifts are full too, and the sizes can't go down."""
    batches = [(20, shift) for shift in DAY for _ in range(2)] + [(20, "evening")]
    found = reasons(*a_term(batches, [20, 20], sizes=Sizes(20, 20, 20)))
    assert words(found["INSUFFICIENT_ROOMS"]) == ["add 1 room with 20 seats or more, open in Evening"]
    assert set(found) == {"INSUFFICIENT_ROOMS"}, "no rule is to blame: without it there are still seven in six"


def test_two_sizes_that_are_short_are_one_shortage() -> None:
    found = reasons(*a_term([(50, "evening"), (30, "evening"), (30, "evening")], [10], rules=(TIE, FULL)))
    assert "add 3 rooms with 30 seats or more, 1 of them with 50, open in Evening" in words(found["INSUFFICIENT_ROOMS"])


def test_batches_that_are_free_are_counted_over_all_shifts() -> None:
    found = reasons(*a_term([(20, "evening")] * 5, [20], rules=(FULL,)))["INSUFFICIENT_ROOMS"]
    assert (found.scope, found.required, found.available) == ("all shifts", 5, 3)
    assert found.rules == ()
    assert words(found)[0] == "add 1 room with 20 seats or more, open in every shift"


def test_shortages_in_two_shifts_are_two_obstacles_and_each_fix_counts_on_the_other() -> None:
    problem, grouping = a_term([(20, "evening")] * 2 + [(30, "morning")] * 2, [30])
    with pytest.raises(Infeasible) as caught:
        place(problem, grouping)
    rooms = [one for one in caught.value.obstacles if one.code == "INSUFFICIENT_ROOMS"]
    assert [one.scope for one in rooms] == ["Evening", "Morning"]
    beside = ", and mend what else is short"
    assert f"add 1 room with 20 seats or more, open in Evening{beside}" in words(rooms[0])
    assert f"add 1 room with 30 seats or more, open in Morning{beside}" in words(rooms[1])
    reasons(with_rooms(problem, 20), grouping)
    place(with_rooms(problem, 20, 30), grouping)


def test_a_fix_that_mends_everything_alone_says_nothing_of_the_rest() -> None:
    """Both shifts are one short, and the afternoon has room for both."""
    problem, grouping = a_term([(20, "evening")] * 3 + [(20, "morning")] * 3, [20, 20])
    with pytest.raises(Infeasible) as caught:
        place(problem, grouping)
    moves = [fix.words for one in caught.value.obstacles for fix in one.fixes if fix.words.startswith("move")]
    assert moves == ["move 2 batches to Afternoon (2 free)"] * 2
    assert len(place(replace(problem, relax=("preferred_shift",)), grouping).room) == 6


def test_a_shift_that_nobody_defined() -> None:
    problem, grouping = a_term([(10, "night")] * 2 + [(10, "morning")], [20, 20])
    found = reasons(problem, grouping)["SCHEDULING_CONFLICT"]
    assert found.words == "2 batches must meet in the shift `night`, which nobody defined"
    assert (found.required, found.available, found.shortfall) == (2, 0, 2)
    assert words(found)[0] == "define the shift `night`"
    assert flags(found) == ["--relax preferred_shift"]
    assert len(place(replace(problem, relax=("preferred_shift",)), grouping).room) == 3


def test_a_wish_for_a_shift_that_nobody_defined_is_no_obstacle_without_a_rule() -> None:
    problem, grouping = a_term([(10, "night")] * 2, [20, 20], rules=())
    assert len(place(problem, grouping).room) == 2


@pytest.mark.parametrize("hours", [(), (0.0,), (0.0, 0.0)])
def test_zero_faculty_hours(hours: tuple[float, ...]) -> None:
    problem, grouping = a_term([(10, "morning")] * 3, [20] * 3, sizes=Sizes(5, 10, 30))
    found = reasons(with_faculty(problem, *hours), grouping)["INSUFFICIENT_FACULTY"]
    assert (found.required, found.available, found.shortfall) == (6, 0, 6)
    assert "department D" in found.words
    assert words(found) == ["6 more hours in department D in Morning"]


def test_hours_for_fewer_and_larger_batches() -> None:
    problem, grouping = a_term([(10, "morning")] * 3, [30] * 3, sizes=Sizes(5, 10, 30), rules=(FULL,))
    found = reasons(with_faculty(problem, 4.0), grouping)["INSUFFICIENT_FACULTY"]
    assert (found.scope, found.shortfall) == ("D", 2)
    assert words(found) == ["2 more hours in department D", "larger batches, about 20 each"]
    assert flags(found) == ["--target-size 20"]
    place(with_faculty(problem, 6.0), grouping)
    reasons(with_faculty(problem, 5.9), grouping)


def test_teachers_who_do_not_work_when_batches_are_tied_to() -> None:
    problem, grouping = a_term([(10, "evening")] * 2, [20] * 2)
    found = reasons(with_faculty(problem, 9.0, shifts=["morning"]), grouping)
    short = found["INSUFFICIENT_FACULTY"]
    assert (short.scope, short.required, short.available) == ("D, Evening", 4, 0)
    assert short.rules == ("no_mix(preferred_shift)",)
    assert flags(short) == ["--relax preferred_shift"]
    assert "move 2 batches to Morning (2 free)" in words(short)
    assert found["CONSTRAINT_VIOLATION"].rules == ("no_mix(preferred_shift)",)


def test_rooms_in_one_shift_and_teachers_in_another() -> None:
    """Three rooms in the morning, three teachers in the evening: enough of both, never together."""
    problem, grouping = a_term([(10, "")] * 3, [20] * 3, rules=(FULL,), sizes=Sizes(5, 10, 10))
    for room in range(3):
        problem = closed(closed(problem, room, "evening"), room, "afternoon")
    found = reasons(with_faculty(problem, 6.0, shifts=["evening"]), grouping)
    assert set(found) == {"SCHEDULING_CONFLICT"}
    assert "but not at the same time" in found["SCHEDULING_CONFLICT"].words
    assert found["SCHEDULING_CONFLICT"].fixes


def test_one_rule_that_can_not_hold_is_named() -> None:
    found = reasons(*a_term([(20, "morning")], [20], rules=(replace(FULL, threshold=0.8),)))["CONSTRAINT_VIOLATION"]
    assert found.rules == ("capacity_limit(size, 0.8)",)
    assert words(found) == ["make capacity_limit(size, 0.8) soft"]
    place(*a_term([(20, "morning")], [20], rules=(replace(FULL, threshold=0.8, hard=False),)))


def test_two_rules_that_can_hold_one_by_one_are_in_conflict() -> None:
    """In the evening there is a room to the last seat, in the morning one with a tenth to spare."""
    problem, grouping = a_term([(20, "evening")], [20, 30], rules=(TIE, replace(FULL, threshold=0.9)))
    problem = closed(problem, 1, "evening")
    found = reasons(problem, grouping)["CONFLICTING_RULES"]
    assert found.rules == ("no_mix(preferred_shift)", "capacity_limit(size, 0.9)")
    assert (found.required, found.available, found.shortfall) == (2, 1, 1)
    for rules in ((TIE, FULL), (replace(FULL, threshold=0.9),)):
        again, _ = a_term([(20, "evening")], [20, 30], rules=rules)
        place(closed(again, 1, "evening"), grouping)


def test_the_missing_rooms_are_the_fewest_and_smallest() -> None:
    needs, capacity = np.array([50, 50, 30, 80]), np.array([40, 55])
    assert missing_rooms(needs, capacity) == (Extra(1, 80), Extra(1, 50))
    assert missing_rooms(needs, np.array([80, 80, 80, 80])) == ()
    assert missing_rooms(needs, np.zeros(0, np.int64), slots=3) == (Extra(1, 80), Extra(1, 30))


@given(cases(teachers=True))
@settings(max_examples=examples(120, daily=40), deadline=None)
def test_something_is_short_exactly_when_no_way_is_one_and_mended_there_is(case: Case) -> None:
    found, mended = shortages(case)
    assert mended
    assert bool(found) == (best_of_all(case) is None)
    for one in found:
        assert one.shortfall > 0
        assert one.required - one.available == pytest.approx(one.shortfall)
        case = one.remedy.apply(case)
    assert best_of_all(case) is not None


@given(cases())
@settings(max_examples=examples(100, daily=40), deadline=None)
def test_a_count_never_claims_what_is_not_so(case: Case) -> None:
    if counted(case):
        assert best_of_all(case) is None


def test_two_shifts_together_that_are_short_are_found_without_a_count() -> None:
    """Each batch has two shifts to choose from, and no shift alone is short."""
    case = a_case(
        [3] * 5, [3, 3], home=[[1, 1, 0]] * 5, shifts=DAY,
        teaching=a_teaching([[1.0]] * 5, [(0, [1, 1, 1], 50.0)]),
    )  # fmt: skip
    assert not counted(case)
    found, _ = shortages(case)
    assert [one.code for one in found] == ["INSUFFICIENT_ROOMS"]
    assert found[0].shortfall == 1


def test_what_is_missing_is_spread_over_shifts() -> None:
    opened = [[1, 1, 1]] * 2 + [[0, 0, 1]] * 4
    case = a_case([3] * 8, [3] * 6, home=[[1, 1, 0]] * 8, opened=opened, shifts=DAY)
    assert sorted(one.shortfall for one in shortages(case)[0]) == [2, 2]


def test_other_sizes_keep_students_of_a_cell_together_in_even_pieces() -> None:
    problem, grouping = a_term([(40, "evening"), (40, "evening"), (30, "morning")], [60] * 9)
    split = split_anew(problem, grouping, Sizes(10, 20, 25))
    assert split is not None
    assert sorted(split.sizes.tolist()) == [15, 15, 20, 20, 20, 20]
    assert split.wish.sum() == 110
    assert (split.wish.max(axis=1) == split.sizes).all(), "no piece has students of two cells"
    assert split_anew(problem, grouping, Sizes(31, 32, 33)) is None


def test_a_department_is_short_where_pooled_courses_must_be_taught_twice() -> None:
    """Three batches in two shifts with a course that all pool: once in each, and there are hours for one."""
    teaching = a_teaching([[0.0]] * 3, [(0, [1, 1], 4.0)], pools=[(at, 0) for at in range(3)], keys=[(0, 4.0)])
    found, mended = shortages(a_case([3] * 3, [3, 3], teaching=teaching))
    assert mended
    assert [(one.code, one.shortfall) for one in found] == [("SCHEDULING_CONFLICT", 1.0)], "one more room is cheaper"


def test_beyond_a_tiny_case_hours_that_are_offered_are_enough() -> None:
    """Pooled courses are then counted in every shift, and the words say so."""
    chance = np.random.default_rng(7)
    many, keys = 120, 40
    pools = sorted(
        {(int(batch), int(key)) for batch, key in zip(range(many), chance.integers(0, keys, many), strict=True)}
    )
    load = [[2.0]] * many
    teaching = a_teaching(load, [(0, [1, 1, 1], 2.0 * many + 3 * keys)], pools=pools, keys=[(0, 3.0)] * keys)
    case = a_case([20] * many, [20] * 40, shifts=DAY, teaching=teaching)
    assert not case.is_tiny
    found, mended = shortages(case)
    assert mended
    assert all("each pooled course counted in every shift" in one.words for one in found)
    for one in found:
        case = one.remedy.apply(case)
    assert is_possible(case)


def test_of_many_shortages_each_has_its_plain_remedy() -> None:
    shifts = tuple(f"shift {at}" for at in range(8))
    of = [at for at in range(8) for _ in range(20)]
    problem = a_problem(
        [["A"]] * len(of), rules=(*HARD, TIE, FULL), shifts=shifts, capacities=(10,), sizes=Sizes(5, 20, 20),
        fields={"preferred_shift": texts([shifts[at] for at in of])},
    )  # fmt: skip
    with pytest.raises(Infeasible) as caught:
        place(problem, a_grouping(of, list(range(8))))
    found = [one for one in caught.value.obstacles if one.code == "INSUFFICIENT_ROOMS"]
    assert len(found) == 8
    assert all(any(said.startswith("add 1 room with 20 seats or more") for said in words(one)) for one in found)
