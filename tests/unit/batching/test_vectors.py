"""Students as vectors, each cosine held against what two have in common; and the splits that begin a search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cells import drawn_courses, hard, lists, made, numbers, soft, texts

from studentsuccess.batching.chunks import bisected
from studentsuccess.batching.comparators import compared
from studentsuccess.batching.group_part import Part, random_worth, worth
from studentsuccess.batching.instance import Floats, Instance, Rule, Sizes, Weights
from studentsuccess.batching.kmeans import EXACT, fit_sizes, kmeans
from studentsuccess.batching.sizes import near_equal
from studentsuccess.batching.swaps import Patience
from studentsuccess.batching.vectors import dense, vectors

TAKEN = st.lists(st.sets(st.sampled_from("ABCDE"), max_size=4).map(sorted), min_size=2, max_size=8)


def gram(instance: Instance) -> Floats:
    rows = dense(vectors(instance), np.arange(instance.students.count))
    return np.asarray(rows @ rows.T)


def ochiai(first: list[str], second: list[str]) -> float:
    return len(set(first) & set(second)) / np.sqrt(len(first) * len(second)) if first and second else 0.0


@given(TAKEN)
@settings(max_examples=40, deadline=None)
def test_without_wishes_a_cosine_is_that_of_courses(courses: list[list[str]]) -> None:
    found = gram(made(courses))
    expected = [[ochiai(first, second) for second in courses] for first in courses]
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_wishes_share_a_fifth_by_their_weights() -> None:
    """One of weight 3 for the shift, one of weight 1 for languages: .15 and .05."""
    courses = [["A"], ["B"], ["A"], []]
    shift = texts(["am", "am", None, None])
    spoken = [["de", "en"], ["en"], ["fr"], []]
    rules = soft("homogeneous", "shift", 0.5, weight=3.0), soft("homogeneous", "language", 0.5, weight=1.0)
    found = gram(made(courses, *rules, shift=shift, language=lists(spoken)))
    assert found[0, 0] == pytest.approx(1.0)
    assert found[0, 1] == pytest.approx(0.15 + 0.05 / np.sqrt(2))
    assert found[0, 2] == pytest.approx(0.8)
    assert found[2, 3] == pytest.approx(0.15)
    assert found[3, 3] == pytest.approx(0.15)


@pytest.mark.parametrize(
    "rule",
    [hard("homogeneous", "shift", 0.5), soft("no_mix", "shift"), soft("homogeneous", "shift", weight=0.0)],
)
def test_only_soft_homogeneous_rules_that_weigh_something_are_wishes(rule: Rule) -> None:
    courses = [["A"], ["A"]]
    found = gram(made(courses, rule, shift=texts(["am", "pm"])))
    assert found == pytest.approx(np.ones((2, 2)))


def test_numbers_are_values_like_others_and_a_missing_one_is_too() -> None:
    nan = float("nan")
    found = gram(made([["A"]] * 4, soft("homogeneous", "level"), level=numbers([1.0, 1.0, nan, nan])))
    assert found[0, 1] == found[2, 3] == pytest.approx(1.0)
    assert found[0, 2] == pytest.approx(0.8)


def test_some_students_are_told_in_the_columns_that_they_have() -> None:
    table = vectors(made([["A"], ["B"], ["C", "D"], []]))
    assert dense(table, np.array([1, 2])).shape == (2, 3)
    assert dense(table, np.array([3])).shape == (1, 1)


def part_of(count: int, seed: int) -> Part:
    return Part(dense(vectors(made(drawn_courses(count, seed))), np.arange(count)), Sizes(), Weights(), seed)


@given(st.integers(2, 8), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_an_assignment_to_sizes_is_the_best_there_is(count: int, seed: int) -> None:
    from itertools import permutations

    near = np.random.default_rng(seed).random((count, 2))
    size = near_equal(count, 2)
    labels = fit_sizes(near, size)
    assert np.bincount(labels, minlength=2).tolist() == size.tolist()
    seats = np.repeat([0, 1], size)
    best = max(sum(near[row, seats[at]] for row, at in enumerate(order)) for order in permutations(range(count)))
    assert near[np.arange(count), labels].sum() == pytest.approx(best)


def test_a_large_assignment_has_the_sizes_too() -> None:
    near = np.random.default_rng(0).random((EXACT + 50, 20))
    size = near_equal(EXACT + 50, 20)
    labels = fit_sizes(near, size)
    assert np.bincount(labels).tolist() == size.tolist()
    assert near[np.arange(len(near)), labels].mean() > 0.85


@pytest.mark.parametrize("name", ["bisected", "kmeans", "spectral", "hierarchical"])
def test_every_start_is_better_than_chance_and_has_near_equal_sizes(name: str) -> None:
    part, batches, rng = part_of(175, 1), 5, np.random.default_rng(0)
    patience = Patience(10, 1e-3, lambda: False)
    labels = bisected(part, batches) if name == "bisected" else compared(name, part, batches, rng, patience)
    assert sorted(np.bincount(labels).tolist(), reverse=True) == near_equal(175, batches).tolist()
    assert worth(part, labels, batches) > random_worth(part)


def test_k_means_ends_where_nothing_changes_any_more() -> None:
    labels, settled = kmeans(part_of(120, 2), 3, np.random.default_rng(1), 100)
    assert settled
    assert np.bincount(labels).tolist() == [40, 40, 40]


def test_students_who_are_all_alike_can_be_bisected() -> None:
    part = Part(np.ones((90, 1)), Sizes(), Weights(), 0)
    assert np.bincount(bisected(part, 3)).tolist() == [30, 30, 30]
