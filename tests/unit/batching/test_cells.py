"""Cells: what hard rules leave together, what is merged when it may be, and what is said where batches do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cells import hard, lists, made, numbers, soft, texts

from studentsuccess.batching.cell_lists import shared_values
from studentsuccess.batching.cell_obstacles import sound_cells
from studentsuccess.batching.cell_relax import merged
from studentsuccess.batching.cells import cells_of
from studentsuccess.batching.grouping import How, group
from studentsuccess.batching.instance import Infeasible, Instance, Obstacle, Pins, Rule, Sizes
from studentsuccess.batching.sizes import best_worth, counts, fits, fitting, near_equal, size_worth
from studentsuccess.core.reporter import SilentReporter


def taking(count: int) -> list[list[str]]:
    return [["A", "B"]] * count


def refused(instance: Instance) -> tuple[Obstacle, ...]:
    with pytest.raises(Infeasible) as caught:
        sound_cells(instance)
    return caught.value.obstacles


# sizes


@given(st.integers(1, 300), st.integers(1, 30), st.integers(0, 30), st.integers(0, 40))
def test_a_number_fits_when_some_batches_of_allowed_sizes_hold_it(count: int, least: int, up: int, more: int) -> None:
    sizes = Sizes(least, least + up, least + up + more)
    possible = [k for k in range(1, count + 1) if k * sizes.least <= count <= k * sizes.most]
    assert list(counts(count, sizes)) == possible
    assert fits(count, sizes) == bool(possible) == bool(fitting(count, sizes)[count])


@given(st.integers(15, 300))
def test_near_equal_sizes_are_worth_most(count: int) -> None:
    sizes, rng = Sizes(), np.random.default_rng(count)
    for batches in counts(count, sizes):
        equal = near_equal(count, batches)
        assert equal.sum() == count
        assert sizes.least <= equal.min() <= equal.max() <= sizes.most
        other = equal.copy()
        other[rng.integers(batches)] += 1
        other[rng.integers(batches)] -= 1
        assert size_worth(other, sizes).sum() <= best_worth(count, batches, sizes) + 1e-9


def test_no_size_that_is_allowed_is_worth_less_than_nothing() -> None:
    assert size_worth(np.arange(15, 61), Sizes()).min() == pytest.approx(0.0)
    assert size_worth(np.array([20]), Sizes(20, 20, 20)) == pytest.approx(20.0)


# partitions


def test_program_and_year_are_never_mixed_whatever_the_rules_say() -> None:
    found = sound_cells(made(taking(40), programs=["P1", "P2"] * 20))
    assert found.keys == ("P1 / 2024", "P2 / 2024")
    assert found.of.tolist() == [0, 1] * 20


@pytest.mark.parametrize(
    "rule", [hard("no_mix", "shift"), hard("homogeneous", "shift"), hard("homogeneous", "shift", 1.0)]
)
def test_a_field_that_must_not_be_mixed_makes_cells(rule: Rule) -> None:
    shifts = texts(["am", None] * 20)
    found = sound_cells(made(taking(40), rule, shift=shifts))
    assert found.keys == ("P1 / 2024 / (none)", "P1 / 2024 / am")


@pytest.mark.parametrize(
    "rule", [soft("no_mix", "shift"), hard("homogeneous", "shift", 0.8), hard("capacity_limit", "shift", 0.9)]
)
def test_other_rules_make_none(rule: Rule) -> None:
    assert len(sound_cells(made(taking(40), rule, shift=texts(["am", "pm"] * 20))).keys) == 1


def test_numbers_keep_apart_too_and_in_their_order() -> None:
    found = sound_cells(made(taking(45), hard("no_mix", "level"), level=numbers([10.0, 9.5, 2.0] * 15)))
    assert found.keys == ("P1 / 2024 / 2", "P1 / 2024 / 9.5", "P1 / 2024 / 10")


def test_two_cells_never_have_one_key() -> None:
    first, second = ["a / b", "a"] * 20, ["c", "b / c"] * 20
    rules = hard("no_mix", "x"), hard("no_mix", "y")
    found = sound_cells(made(taking(40), *rules, x=texts(first), y=texts(second)))
    assert len(set(found.keys)) == 2


# lists


def test_a_language_that_all_speak_splits_nobody() -> None:
    spoken = lists([["de", "en"], ["en"], ["en", "fr"]] * 12)
    assert len(sound_cells(made(taking(36), hard("no_mix", "language"), language=spoken)).keys) == 1


def test_each_student_gets_a_value_of_their_own_list_and_cells_fit() -> None:
    rows = [["de"]] * 20 + [["de", "fr"]] * 8 + [["fr"]] * 12 + [["fr", "it"]] * 20 + [["it"]] * 8
    found = sound_cells(made(taking(len(rows)), hard("no_mix", "language"), language=lists(rows)))
    for row, cell in zip(rows, found.of.tolist(), strict=True):
        assert found.keys[cell].rpartition(" / ")[2] in row
    assert all(fits(count, Sizes()) for count in found.sizes.tolist())
    assert (found.wider == 0).all()


@given(st.lists(st.sets(st.sampled_from("abcd"), min_size=1, max_size=3).map(sorted), min_size=4, max_size=12))
@settings(max_examples=40, deadline=None)
def test_values_are_found_whenever_there_are_any(rows: list[list[str]]) -> None:
    """Held against every choice there is, for batches of two to three."""
    from itertools import product

    sizes, table = Sizes(2, 2, 3), lists(rows)
    chosen = shared_values(table, np.zeros(len(rows), np.int64), sizes, ())
    labels = [table.labels[code] for code in chosen.tolist()]
    assert all(label in row for label, row in zip(labels, rows, strict=True))
    works = all(fits(labels.count(value), sizes) for value in set(labels))
    if not works and len(rows) <= 8:
        every = product(*rows)
        assert not any(all(fits(one.count(value), sizes) for value in set(one)) for one in every)


def test_students_who_are_pinned_together_get_one_value() -> None:
    rows = [["de"]] * 20 + [["de", "fr"]] * 10 + [["fr"]] * 20
    instance = made(taking(50), hard("no_mix", "language"), language=lists(rows))
    found = sound_cells(replace(instance, pins=Pins(together=((0, 20, 29), (25, 49)))))
    assert len({int(found.of[row]) for row in (0, 20, 29)}) == 1
    assert found.of[25] == found.of[49]


def test_the_bound_speaks_of_every_choice_of_values() -> None:
    """Values are given so that batches fit, not so that they are alike: the bound is that of all students."""
    rows = [["de"]] * 20 + [["de", "fr"]] * 10 + [["fr"]] * 20
    courses = [["A"], ["B"]] * 25
    found = group(made(courses, hard("no_mix", "language"), language=lists(rows)), How(), SilentReporter())
    free = group(made(courses), How(), SilentReporter())
    assert found.bound == pytest.approx(free.bound, abs=1e-9)
    assert found.objective <= free.bound


# relaxing


def test_a_cell_that_is_too_small_joins_the_smallest_that_it_may() -> None:
    shifts = ["am"] * 40 + ["pm"] * 20 + ["eve"] * 5
    instance = made(taking(65), hard("no_mix", "shift"), shift=texts(shifts))
    assert [one.code for one in refused(instance)] == ["UNDERSIZED_CELL"]
    found = sound_cells(replace(instance, relax=("shift",)))
    assert found.sizes.tolist() == [40, 25]
    assert found.merges == ("P1 / 2024 / eve and 1 more",)


def test_small_cells_join_each_other_before_any_that_is_well() -> None:
    programs = [f"P{number}" for number in (1,) * 8 + (2,) * 8 + (3,) * 30]
    found = sound_cells(made(taking(46), programs=programs, relax=("program_id",)))
    assert sorted(found.sizes.tolist()) == [16, 30]


def test_only_what_differs_in_a_relaxed_field_is_merged() -> None:
    programs = ["P1"] * 10 + ["P2"] * 30
    instance = made(taking(40), hard("no_mix", "shift"), programs=programs, shift=texts(["am"] * 40))
    assert refused(replace(instance, relax=("shift",)))
    assert len(sound_cells(replace(instance, relax=("program_id",))).keys) == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=10))
def test_merging_leaves_what_fits_alone_where_all_fit(cells: list[tuple[int, int, int]]) -> None:
    known = {(first, second): count for first, second, count in cells}
    values, count = np.array(sorted(known)), np.array([known[key] for key in sorted(known)])
    sizes = Sizes(15, 20, 30)
    groups = merged(values, count, [1], sizes)
    for of in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == of)
        assert len(set(values[members, 0].tolist())) == 1
        if len(members) > 1:
            assert not all(fits(int(count[at]), sizes) for at in members)
    if all(fits(int(one), sizes) for one in count):
        assert len(set(groups.tolist())) == len(count)


# what is said


def test_fourteen_are_one_too_few_and_every_way_out_works() -> None:
    programs = ["P1"] * 14 + ["P2"] * 20
    instance = made(taking(34), programs=programs)
    (obstacle,) = refused(instance)
    assert (obstacle.code, obstacle.scope) == ("UNDERSIZED_CELL", "P1 / 2024")
    assert (obstacle.required, obstacle.available, obstacle.shortfall) == (15, 14, 1)
    assert "14 students" in obstacle.words
    assert [fix.flag for fix in obstacle.fixes] == ["--relax program_id", "--min-size 14"]
    sound_cells(replace(instance, relax=("program_id",)))
    sound_cells(replace(instance, sizes=Sizes(14, 35, 60)))


@pytest.mark.parametrize(("count", "good"), [(41, False), (59, False), (60, True), (40, True), (30, True)])
def test_between_one_batch_and_two_there_is_a_gap(count: int, good: bool) -> None:
    instance = made(taking(count), sizes=Sizes(30, 35, 40))
    if good:
        assert sound_cells(instance).sizes.tolist() == [count]
        return
    (obstacle,) = refused(instance)
    assert obstacle.code == "SIZE_GAP"
    assert obstacle.shortfall == 1
    for fix in obstacle.fixes:
        flag, value = fix.flag.split()
        changed = Sizes(int(value), 35, 40) if flag == "--min-size" else Sizes(30, 35, int(value))
        assert fits(count, changed)
    assert {fix.flag.split()[0] for fix in obstacle.fixes} == {"--min-size", "--max-size"}


def test_every_student_apart_is_said_in_a_few_lines() -> None:
    obstacles = refused(made(taking(500), hard("no_mix", "student_id")))
    assert len(obstacles) == 21
    assert "480 more cells" in obstacles[-1].words
    assert {fix.flag for fix in obstacles[0].fixes} == {"--relax student_id", "--min-size 1"}


def test_no_way_out_is_offered_that_does_not_work() -> None:
    (obstacle,) = refused(made(taking(5)))
    assert [fix.flag for fix in obstacle.fixes] == ["--min-size 5"]


def test_pins_that_nothing_can_keep_are_refused() -> None:
    programs = ["P1"] * 20 + ["P2"] * 20
    instance = made(taking(40), programs=programs, sizes=Sizes(5, 8, 10))
    spread = refused(replace(instance, pins=Pins(together=((0, 39),))))
    assert [one.code for one in spread] == ["CONFLICTING_RULES"]
    large = refused(replace(instance, pins=Pins(together=(tuple(range(11)),))))
    assert [fix.flag for fix in large[0].fixes] == ["--max-size 11"]
    both = refused(replace(instance, pins=Pins(together=((0, 1),), apart=((1, 0),))))
    assert "kept apart" in both[0].words


def test_relaxing_is_said_to_the_caller() -> None:
    programs = ["P1"] * 10 + ["P2"] * 10
    found = group(made(taking(20), programs=programs, relax=("program_id",)), How(), SilentReporter())
    assert any("program_id" in note for note in found.notes)


def test_nobody_is_in_no_cell() -> None:
    assert cells_of(made([]), ()).keys == ()
