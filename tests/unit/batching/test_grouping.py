"""Grouping as a whole: everyone once, sizes and hard rules kept, the same result whoever does the work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cells import drawn_courses, hard, made, numbers, soft, texts

from studentsuccess.batching import comparators, grouping
from studentsuccess.batching.grouping import How, group
from studentsuccess.batching.instance import Grouping, Infeasible, Instance, Pins, Rule, Sizes, Weights
from studentsuccess.core.reporter import SilentReporter


def grouped(instance: Instance, how: How | None = None) -> Grouping:
    found = group(instance, how or How(), SilentReporter())
    check(instance, found)
    return found


def check(instance: Instance, found: Grouping) -> None:
    """What holds for every grouping."""
    assert len(found.batch) == instance.students.count
    size = np.bincount(found.batch, minlength=found.count)
    if found.count:
        assert instance.sizes.least <= size.min()
        assert size.max() <= instance.sizes.most
        assert sorted(set(found.batch.tolist())) == list(range(found.count))
    assert found.objective <= found.bound
    assert set(found.cells) == set(found.cell_keys)
    assert (np.diff(found.cell) >= 0).all()


def shares(found: Grouping, values: list[str]) -> list[float]:
    """Of each batch, the share of its most frequent value."""
    result = []
    for batch in range(found.count):
        mine = [values[row] for row in np.flatnonzero(found.batch == batch)]
        result.append(max(mine.count(value) for value in set(mine)) / len(mine))
    return result


# nasty sizes


@pytest.mark.parametrize(("count", "batches"), [(15, {1}), (29, {1}), (30, {1, 2}), (60, {1, 2, 3}), (61, {2, 3, 4})])
def test_the_smallest_and_the_largest_cells(count: int, batches: set[int]) -> None:
    found = grouped(made(drawn_courses(count, count)))
    assert found.count in batches
    if batches == {1}:
        assert found.objective == pytest.approx(found.bound)
        assert found.gap_closed is None


@pytest.mark.parametrize("count", [1, 14])
def test_too_few_are_refused(count: int) -> None:
    with pytest.raises(Infeasible) as caught:
        group(made(drawn_courses(count, 1)), How(), SilentReporter())
    assert caught.value.obstacles[0].code == "UNDERSIZED_CELL"


def test_one_student_may_be_a_batch() -> None:
    found = grouped(made([["A"]], sizes=Sizes(1, 1, 1)))
    assert found.count == 1
    assert found.objective == pytest.approx(0.3 / 0.7)
    assert grouped(made(drawn_courses(7, 1), sizes=Sizes(1, 1, 1))).count == 7


def test_nobody_makes_no_batch() -> None:
    found = grouped(made([]))
    assert (found.count, found.objective, found.bound, found.gap_closed) == (0, 0.0, 0.0, None)


def test_one_size_only() -> None:
    found = grouped(made(drawn_courses(60, 2), sizes=Sizes(20, 20, 20)))
    assert np.bincount(found.batch).tolist() == [20, 20, 20]


def test_thousands_of_small_cells() -> None:
    programs = [f"P{number:04d}" for number in range(1000) for _ in range(16)]
    found = grouped(made(drawn_courses(16, 3) * 1000, programs=programs))
    assert found.count == 1000
    assert found.gap_closed is None


def test_students_who_take_the_same_or_nothing_or_nothing_in_common() -> None:
    same = grouped(made([["A", "B"]] * 70))
    assert same.objective == pytest.approx(same.random)
    nothing = grouped(made([[]] * 70))
    disjoint = grouped(made([[f"X{row}"] for row in range(70)]))
    assert nothing.objective == pytest.approx(0.3 / 0.7)
    assert disjoint.objective == pytest.approx(nothing.objective)


def test_two_tracks_that_share_no_course_are_told_apart() -> None:
    found = grouped(made([["A", "B"], ["C", "D"]] * 35))
    assert found.count == 2
    assert (found.batch == np.array([0, 1] * 35)).all()
    assert found.gap_closed == pytest.approx(1.0)


# the same result


@pytest.mark.parametrize("compiled", [False, True])
def test_the_number_of_workers_changes_nothing(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "COMPILED", 0 if compiled else 10**9)
    programs = [f"P{row % 5}" for row in range(600)]
    instance = made(drawn_courses(600, 4), soft("homogeneous", "program_id"), programs=programs, seed=3)
    alone, beside = grouped(instance), grouped(instance, How(workers=3))
    assert (alone.batch == beside.batch).all()
    assert (alone.objective, alone.bound, alone.random) == (beside.objective, beside.bound, beside.random)
    assert alone.cells == beside.cells


def test_a_cell_is_grouped_the_same_whatever_other_cells_there_are() -> None:
    courses = drawn_courses(120, 5)
    both = grouped(made(courses, programs=["P1"] * 70 + ["P2"] * 50))
    single = grouped(made(courses[:70]))
    assert (both.batch[:70] == single.batch).all()


def test_another_seed_is_another_search() -> None:
    courses = drawn_courses(400, 6)
    found = {tuple(grouped(made(courses, seed=seed)).batch.tolist()) for seed in range(3)}
    assert len(found) > 1


def test_batches_are_numbered_by_cell_and_first_student() -> None:
    found = grouped(made(drawn_courses(140, 7), programs=["P2", "P1"] * 70))
    first = [int(np.flatnonzero(found.batch == batch)[0]) for batch in range(found.count)]
    for cell in range(2):
        mine = [row for row, of in zip(first, found.cell.tolist(), strict=True) if of == cell]
        assert mine == sorted(mine)


# hard rules inside batches


@given(st.integers(0, 1000), st.sampled_from([0.5, 0.6, 0.7]))
@settings(max_examples=8, deadline=None)
def test_a_share_that_is_asked_for_is_reached_in_every_batch(seed: int, share: float) -> None:
    shifts = np.random.default_rng(seed).choice(["am", "pm", "eve"], 120, p=[0.4, 0.4, 0.2]).tolist()
    rule = hard("homogeneous", "shift", share)
    found = grouped(made(drawn_courses(120, seed), rule, shift=texts(shifts), seed=seed))
    assert min(shares(found, shifts)) >= share - 1e-9


def test_a_share_that_is_not_to_be_exceeded_is_not() -> None:
    homes = np.random.default_rng(1).choice(["in", "out"], 150, p=[0.55, 0.45]).tolist()
    found = grouped(made(drawn_courses(150, 8), hard("capacity_limit", "home", 0.6), home=texts(homes)))
    assert max(shares(found, homes)) <= 0.6 + 1e-9


def test_a_variance_that_is_not_to_be_exceeded_is_not() -> None:
    score = np.random.default_rng(2).normal(60, 12, 150)
    score[::10] = np.nan
    found = grouped(made(drawn_courses(150, 9), hard("max_variance", "score", 0.8), score=numbers(score.tolist())))
    for batch in range(found.count):
        assert np.nanvar(score[found.batch == batch]) <= 0.8 * np.nanvar(score) + 1e-6


@pytest.mark.parametrize("compiled", [False, True])
def test_a_rule_that_nothing_keeps_is_a_finding_with_its_name(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "COMPILED", 0 if compiled else 10**9)
    instance = made(drawn_courses(70, 1), hard("capacity_limit", "shift", 0.4), shift=texts(["am", "pm"] * 35))
    with pytest.raises(Infeasible) as caught:
        group(instance, How(), SilentReporter())
    (obstacle,) = caught.value.obstacles
    assert obstacle.code == "CONSTRAINT_VIOLATION"
    assert obstacle.rules == ("capacity_limit(shift, 0.4)",)
    assert "exists" in obstacle.words


def test_two_rules_that_exclude_each_other_on_one_value_find_nothing() -> None:
    rules = hard("homogeneous", "shift", 0.9), hard("capacity_limit", "shift", 0.8)
    with pytest.raises(Infeasible) as caught:
        group(made(drawn_courses(40, 1), *rules, shift=texts(["am", "pm"] * 20)), How(), SilentReporter())
    assert caught.value.obstacles[0].rules == tuple(rule.words for rule in rules)


def test_a_rule_on_the_size_of_batches_is_left_to_the_rooms() -> None:
    rule = Rule("ROOM", "batch", "size", "capacity_limit", hard=True, threshold=0.9)
    assert (grouped(made(drawn_courses(70, 1), rule)).batch == grouped(made(drawn_courses(70, 1))).batch).all()


# pins and former batches


def test_who_is_pinned_stays_together_and_apart() -> None:
    pins = Pins(together=((0, 50, 99), (3, 4)), apart=((10, 11), (11, 12), (10, 12), (0, 20)))
    found = grouped(replace(made(drawn_courses(100, 2)), pins=pins))
    assert len({int(found.batch[row]) for row in (0, 50, 99)}) == 1
    assert found.batch[3] == found.batch[4]
    assert all(found.batch[one] != found.batch[other] for one, other in pins.apart)


def test_more_who_must_not_meet_than_batches_is_a_finding() -> None:
    pairs = tuple((one, other) for one in range(4) for other in range(one))
    with pytest.raises(Infeasible) as caught:
        group(replace(made(drawn_courses(45, 2)), pins=Pins(apart=pairs)), How(), SilentReporter())
    assert caught.value.obstacles[0].rules == ("pinned apart",)


def test_former_batches_are_kept() -> None:
    instance = made(drawn_courses(150, 3))
    before = grouped(instance).batch
    dealt = np.random.default_rng(0).permutation(np.arange(150) % 4).astype(np.int32)
    assert grouped(replace(instance, previous=before)).moved == 0
    found = grouped(replace(instance, previous=dealt))
    free = grouped(instance)
    assert found.moved is not None
    assert found.moved < 75
    assert found.objective < free.objective
    assert free.moved is None


def test_who_is_new_fills_former_batches_and_only_those_move_for_whom_there_is_no_place() -> None:
    instance = made(drawn_courses(150, 4))
    before = np.repeat(np.arange(3), 50).astype(np.int32)
    before[::5] = -1
    found = grouped(replace(instance, previous=before))
    assert found.count == 3
    assert found.moved is not None
    assert found.moved <= 12
    shrunk = replace(made(drawn_courses(70, 5)), previous=np.array([0] * 65 + [1] * 5, np.int32))
    assert grouped(shrunk).moved is not None


def test_former_batches_of_other_cells_do_not_matter() -> None:
    programs = ["P1"] * 40 + ["P2"] * 40
    previous = np.array([7] * 40 + [-1] * 40, np.int32)
    found = grouped(replace(made(drawn_courses(80, 6), programs=programs), previous=previous))
    assert found.moved == 0


# how hard to try


@pytest.mark.parametrize("algorithm", ["kmeans", "spectral", "hierarchical"])
def test_comparators_keep_sizes_and_hard_rules_and_say_what_they_are(algorithm: str) -> None:
    shifts = ["am", "am", "pm"] * 40
    instance = made(drawn_courses(120, 7), hard("homogeneous", "shift", 0.7), shift=texts(shifts))
    found = grouped(instance, How(algorithm=algorithm))  # type: ignore[arg-type]
    assert min(shares(found, shifts)) >= 0.7 - 1e-9
    assert any(algorithm in note for note in found.notes)
    assert found.objective <= grouped(instance).objective + 1e-9


@pytest.mark.parametrize("algorithm", ["kmeans", "spectral"])
def test_a_cell_that_is_too_large_for_a_comparator_is_said(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    monkeypatch.setattr(comparators, "MOST", 100)
    found = grouped(made(drawn_courses(120, 7)), How(algorithm=algorithm))  # type: ignore[arg-type]
    said = [note for note in found.notes if note.startswith("kmeans instead of ")]
    assert said == (
        ["kmeans instead of spectral in 1 cells of more than 100 students"] if algorithm != "kmeans" else []
    )


def test_performance_says_what_it_gives_up_and_keeps_its_promises() -> None:
    instance = made(drawn_courses(300, 8))
    quick, full = grouped(instance, How(performance=True)), grouped(instance)
    assert any("performance" in note for note in quick.notes)
    assert quick.bound >= full.bound
    assert quick.objective >= full.random


def test_iterations_that_end_too_early_are_said() -> None:
    instance = made(drawn_courses(900, 9))
    short = grouped(instance, How(max_iterations=1, convergence=0.0))
    assert any(note.startswith("CONVERGENCE_FAILURE") for note in short.notes)
    assert not any(note.startswith("CONVERGENCE_FAILURE") for note in grouped(instance).notes)


def test_time_that_ends_leaves_a_grouping() -> None:
    found = grouped(made(drawn_courses(900, 10)), How(time_limit=1e-9))
    assert any("time" in note for note in found.notes)


def test_no_clock_is_looked_at_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> float:
        raise AssertionError("a clock was looked at")

    monkeypatch.setattr(grouping.time, "monotonic", never)
    grouped(made(drawn_courses(100, 11)))


def test_weights_decide_what_counts() -> None:
    courses = drawn_courses(140, 12)
    alike = grouped(replace(made(courses), weights=Weights(0.9, 0.05, 0.05)))
    equal = grouped(replace(made(courses), weights=Weights(0.05, 0.05, 0.9)))
    only_rooms = grouped(replace(made(courses), weights=Weights(0.0, 1.0, 0.0)))
    assert np.bincount(equal.batch).std() <= np.bincount(alike.batch).std()
    assert (only_rooms.objective, only_rooms.bound, only_rooms.gap_closed) == (0.0, 0.0, None)


def test_a_large_cell_without_compiled_loops_keeps_everything_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard rules send cells of any size through windows of batches."""
    from studentsuccess.batching import chunks, group_cell

    monkeypatch.setattr(chunks, "MOST", 150)
    monkeypatch.setattr(group_cell, "MOST", 150)
    shifts = np.random.default_rng(3).choice(["am", "pm"], 500, p=[0.6, 0.4]).tolist()
    instance = made(drawn_courses(500, 13), hard("homogeneous", "shift", 0.65), shift=texts(shifts))
    found = grouped(replace(instance, pins=Pins(together=((0, 1, 2),), apart=((3, 4),))))
    assert min(shares(found, shifts)) >= 0.65 - 1e-9
    assert len({int(found.batch[row]) for row in range(3)}) == 1
    assert found.batch[3] != found.batch[4]
    assert found.gap_closed is not None
    assert found.gap_closed > 0.3


def test_the_order_of_rows_in_the_files_changes_nothing(tmp_path: Path) -> None:
    from made_terms import Term, write_term

    from studentsuccess.batching.inputs import InputRequest, read_instance

    found = []
    for shuffle in (False, True):
        read = read_instance(write_term(tmp_path / str(shuffle), Term(400, seed=5, shuffle=shuffle)), InputRequest())
        assert read.instance is not None
        found.append((read.instance.students.ids, grouped(read.instance)))
    assert found[0][0] == found[1][0]
    assert (found[0][1].batch == found[1][1].batch).all()
    assert found[0][1].bound == found[1][1].bound
