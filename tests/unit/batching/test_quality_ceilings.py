"""Ceilings against every solution that there is, and against what no solution could exceed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_batches import a_grouping, a_placement, a_problem, lists

from studentsuccess.batching.instance import Sizes
from studentsuccess.batching.quality import assess
from studentsuccess.batching.quality_ceilings import balance_ceiling, coherence_ceiling, silhouette_ceiling

SIZES = Sizes(2, 3, 4)


def partitions(students: Sequence[int], least: int, most: int) -> Iterator[list[list[int]]]:
    """Every way to split them into groups of allowed sizes."""
    if not students:
        yield []
        return
    first, rest = students[0], students[1:]
    for chosen in product((False, True), repeat=len(rest)):
        group = [first, *(one for one, taken in zip(rest, chosen, strict=True) if taken)]
        if least <= len(group) <= most:
            left = [one for one, taken in zip(rest, chosen, strict=True) if not taken]
            yield from ([group, *others] for others in partitions(left, least, most))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.frozensets(st.sampled_from("abcd"), max_size=3), min_size=4, max_size=7))
def test_no_solution_of_a_small_cell_is_above_a_ceiling(takes: list[frozenset[str]]) -> None:
    instance = a_problem([sorted(one) for one in takes], sizes=SIZES)
    for groups in partitions(range(len(takes)), SIZES.least, SIZES.most):
        batch = [0] * len(takes)
        for number, group in enumerate(groups):
            for one in group:
                batch[one] = number
        grouping = a_grouping(batch)
        count = grouping.count
        found = assess(instance, grouping, a_placement([3] * count, [0] * count, best=1.0), {})
        for name, one in found.measures.items():
            assert one.value <= one.ceiling + 1e-9, name


def test_equal_courses_reach_the_ceiling_of_coherence() -> None:
    courses = lists([["a", "b"]] * 6)
    assert coherence_ceiling(courses, a_grouping([0, 0, 0, 1, 1, 1]), 2).ceiling == pytest.approx(1.0)


def test_two_kinds_of_students_are_known_by_their_eigenvalues() -> None:
    """Three pairs that share nothing, in batches of at least three: partners alone would promise more than can be."""
    courses = lists([["a"], ["a"], ["b"], ["b"], ["c"], ["c"]])
    found = coherence_ceiling(courses, a_grouping([0, 0, 0, 1, 1, 1]), 3)
    assert list(found.reach) == pytest.approx([0.5] * 6)
    assert found.ceiling == pytest.approx(min(0.5, 1.5 * 2 / 6))


def test_cells_are_reached_one_by_one() -> None:
    courses = lists([["a"], ["a"], ["b"], ["b"]])
    assert coherence_ceiling(courses, a_grouping([0, 1, 0, 1], [0, 1]), 2).ceiling == pytest.approx(0.0)
    assert coherence_ceiling(courses, a_grouping([0, 0, 1, 1], [0, 1]), 2).ceiling == pytest.approx(1.0)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_ceiling_does_not_depend_on_how_much_is_held_at_once(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    courses = lists([["a", "b"], ["a"], ["b", "c"], ["c"], ["a", "c"]])
    grouping = a_grouping([0, 0, 0, 1, 1])
    whole = coherence_ceiling(courses, grouping, 2)
    monkeypatch.setattr("studentsuccess.batching.quality_ceilings.BLOCK", block)
    parts = coherence_ceiling(courses, grouping, 2)
    assert parts.ceiling == whole.ceiling
    assert list(parts.reach) == list(whole.reach)


def splits(students: int, sizes: Sizes) -> Iterator[list[int]]:
    """Every list of allowed sizes, largest first."""

    def parts(left: int, most: int) -> Iterator[list[int]]:
        if not left:
            yield []
        for size in range(min(left, most), sizes.least - 1, -1):
            yield from ([size, *rest] for rest in parts(left - size, size))

    return parts(students, sizes.most)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 14), min_size=1, max_size=3))
def test_the_ceiling_of_balance_is_the_best_of_all_sizes(cells: list[int]) -> None:
    every = [list(splits(cell, SIZES)) for cell in cells]
    best = max(
        1 - pstdev(sizes) / fmean(sizes)
        for sizes in ([size for part in parts for size in part] for parts in product(*every))
    )
    assert balance_ceiling(np.array(cells), SIZES) == pytest.approx(best, abs=1e-9)


def test_nobody_is_perfectly_balanced() -> None:
    assert balance_ceiling(np.zeros(0, np.int64), SIZES) == 1.0


def test_a_silhouette_is_never_promised_above_one() -> None:
    assert silhouette_ceiling(1.0, 15) == 1.0
    assert silhouette_ceiling(0.0, 25) == pytest.approx(0.2)
