"""The bound against every grouping there is, where they can all be looked at, and against what the search finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cells import drawn_courses, made, soft

from studentsuccess.batching.bound import LARGE, ceiling
from studentsuccess.batching.group_part import Part, random_worth, worth
from studentsuccess.batching.grouping import How, group
from studentsuccess.batching.instance import Floats, Ints, Sizes, Weights
from studentsuccess.batching.sizes import counts
from studentsuccess.batching.vectors import dense, vectors
from studentsuccess.core.reporter import SilentReporter

SMALL = Sizes(2, 3, 4)
COURSES = st.lists(st.sets(st.sampled_from("ABCDEF"), max_size=4).map(sorted), min_size=2, max_size=9)
WEIGHTS = st.sampled_from([Weights(), Weights(0.8, 0.1, 0.1), Weights(0.1, 0.1, 0.8), Weights(0.0, 0.5, 0.5)])


def part_of(courses: list[list[str]], sizes: Sizes = SMALL, weights: Weights | None = None) -> Part:
    table = vectors(made(courses, sizes=sizes))
    return Part(dense(table, np.arange(len(courses))), sizes, weights or Weights(), 0)


def partitions(rows: list[int], least: int, most: int) -> Iterator[list[list[int]]]:
    """Every way to split them into groups of those sizes."""
    if not rows:
        yield []
        return
    from itertools import combinations

    first, rest = rows[0], rows[1:]
    for size in range(least, most + 1):
        for others in combinations(rest, size - 1):
            left = [row for row in rest if row not in others]
            for tail in partitions(left, least, most):
                yield [[first, *others], *tail]


def value(part: Part, groups: list[list[int]]) -> float:
    """The objective as the facts write it, pair by pair."""
    sizes, weights = part.sizes, part.weights
    bends = [sizes.least / (sizes.target - sizes.least) ** 2, sizes.most / (sizes.most - sizes.target) ** 2]
    total = 0.0
    for members in groups:
        n = len(members)
        pairs = sum(float(part.vectors[i] @ part.vectors[j]) for i in members for j in members if i != j)
        total += weights.homogeneity * (pairs / (n - 1) if n > 1 else 0.0)
        total += weights.size * (n - min(bends) * (n - sizes.target) ** 2)
    return total


@given(COURSES, WEIGHTS)
@settings(max_examples=60, deadline=None)
def test_no_grouping_at_all_exceeds_the_bound(courses: list[list[str]], weights: Weights) -> None:
    part = part_of(courses, weights=weights)
    best = max(value(part, groups) for groups in partitions(list(range(part.count)), SMALL.least, SMALL.most))
    for rounds in (0, 5):
        assert ceiling(part, rounds).worth >= best


@given(COURSES)
@settings(max_examples=40, deadline=None)
def test_each_number_of_batches_has_a_bound_of_its_own(courses: list[list[str]]) -> None:
    part = part_of(courses)
    best: dict[int, float] = {}
    for groups in partitions(list(range(part.count)), SMALL.least, SMALL.most):
        best[len(groups)] = max(best.get(len(groups), -np.inf), value(part, groups))
    found = ceiling(part).by_count
    assert found.keys() == best.keys() == set(counts(part.count, SMALL))
    assert all(found[count] >= best[count] - 1e-9 for count in best)


@given(COURSES)
@settings(max_examples=40, deadline=None)
def test_the_baseline_is_the_mean_over_every_dealing_out(courses: list[list[str]]) -> None:
    """Of the best sizes: of all partitions, those with these sizes, each as likely as any other."""
    part = part_of(courses)
    sizes = {len(groups): sorted(map(len, groups)) for groups in partitions(list(range(part.count)), 2, 4)}

    def size_part(found: list[int]) -> float:
        return sum(n - min(2.0, 4.0) * (n - 3) ** 2 for n in found)

    near = [split for split in _sizes(part.count, list(sizes)) if max(split) - min(split) <= 1]
    best = max(near, key=size_part)
    alike = [
        value(part, groups)
        for groups in partitions(list(range(part.count)), 2, 4)
        if sorted(map(len, groups)) == sorted(best)
    ]
    assert random_worth(part) == pytest.approx(np.mean(alike), abs=1e-9)


def _sizes(students: int, numbers: list[int]) -> list[list[int]]:
    return [[students // many + (at < students % many) for at in range(many)] for many in sorted(numbers)]


@given(st.integers(0, 10_000), st.integers(30, 140), st.sampled_from([Sizes(), Sizes(5, 10, 20), Sizes(12, 12, 30)]))
@settings(max_examples=25, deadline=None)
def test_what_is_found_stays_below_the_bound_and_above_random(seed: int, students: int, sizes: Sizes) -> None:
    instance = made(drawn_courses(students, seed), soft("homogeneous", "program_id"), sizes=sizes, seed=seed)
    found = group(instance, How(), SilentReporter())
    assert found.objective <= found.bound
    assert found.objective >= found.random - 1e-9
    assert found.bound <= 1 + 1e-9


@pytest.mark.parametrize("courses", [[["A", "B"]] * 70, [[]] * 70, [[f"X{n}"] for n in range(70)]])
def test_where_all_students_are_alike_the_bound_is_reached(courses: list[list[str]]) -> None:
    found = group(made(courses), How(), SilentReporter())
    assert found.bound == pytest.approx(found.objective, abs=1e-9)
    assert found.gap_closed is None


def test_charges_make_it_tighter() -> None:
    part = part_of(drawn_courses(200, 1), Sizes())
    plain, charged = ceiling(part, 0).worth, ceiling(part, 5).worth
    assert charged < plain - 1e-3 * plain


def test_a_large_part_has_the_same_bound_with_two_workers() -> None:
    courses = drawn_courses(300, 2) * (LARGE // 300 + 1)
    part = part_of(courses, Sizes())
    assert part.count > LARGE
    alone, beside = ceiling(part, 1, workers=1), ceiling(part, 1, workers=2)
    assert (alone.worth, alone.by_count) == (beside.worth, beside.by_count)


def test_worth_is_what_the_facts_write() -> None:
    part = part_of(drawn_courses(40, 3), Sizes(5, 10, 20))
    labels: Ints = np.arange(40) % 4
    groups = [np.flatnonzero(labels == batch).tolist() for batch in range(4)]
    assert worth(part, labels, 4) == pytest.approx(value(part, groups), rel=1e-12)


def test_without_pairs_there_is_nothing_alike() -> None:
    part = part_of([["A"], ["A"], ["B"]], Sizes(1, 1, 3))
    alone: Ints = np.arange(3)
    assert worth(part, alone, 3) == pytest.approx(0.3 * 3)
    found: Floats = np.array([ceiling(part).by_count[3]])
    assert found[0] == pytest.approx(0.3 * 3)
