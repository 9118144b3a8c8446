"""Measures, recomputed pair by pair and student by student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import sqrt
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_batches import HARD, a_grouping, a_placement, a_problem, lists, texts

from studentsuccess.batching.instance import Rule, Sizes
from studentsuccess.batching.quality import FAIL, PASS, UNATTAINABLE, Measure, Quality, assess
from studentsuccess.batching.quality_courses import likeness, pairwise_jaccard, pairwise_ochiai, silhouettes

Courses = frozenset[str]
takers = st.lists(st.frozensets(st.sampled_from("abcde"), max_size=4), min_size=1, max_size=9)


def ochiai(one: Courses, other: Courses) -> float:
    return len(one & other) / sqrt(len(one) * len(other)) if one and other else 0.0


def jaccard(one: Courses, other: Courses) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def by_pairs(takes: Sequence[Courses], batch: Sequence[int], alike: Callable[[Courses, Courses], float]) -> list[float]:
    """The mean over the pairs of each batch; without a pair nothing."""
    members = [[takes[at] for at, one in enumerate(batch) if one == number] for number in range(max(batch) + 1)]
    pairs = [[alike(one, other) for one, other in combinations(group, 2)] for group in members]
    return [fmean(found) if found else 0.0 for found in pairs]


@st.composite
def solutions(draw: st.DrawFn) -> tuple[list[Courses], list[int], list[int]]:
    """Who takes what, each one's batch, each batch's cell."""
    takes = draw(takers)
    drawn = draw(st.lists(st.integers(0, 3), min_size=len(takes), max_size=len(takes)))
    numbers = {one: at for at, one in enumerate(sorted(set(drawn)))}
    cells = draw(st.lists(st.integers(0, 1), min_size=len(numbers), max_size=len(numbers)))
    return takes, [numbers[one] for one in drawn], cells


@settings(max_examples=80, deadline=None)
@given(solutions())
def test_coherence_is_the_mean_of_all_pairs(solution: tuple[list[Courses], list[int], list[int]]) -> None:
    takes, batch, _ = solution
    courses, grouping = lists([sorted(one) for one in takes], "abcde"), a_grouping(batch)
    found = pairwise_ochiai(courses, grouping.batch, grouping.count)
    assert list(found) == pytest.approx(by_pairs(takes, batch, ochiai), abs=1e-12)
    found = pairwise_jaccard(courses, grouping.batch, grouping.count)
    assert list(found) == pytest.approx(by_pairs(takes, batch, jaccard), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(solutions())
def test_a_student_is_as_well_placed_as_the_others_are_like_them(
    solution: tuple[list[Courses], list[int], list[int]],
) -> None:
    takes, batch, _ = solution
    grouping = a_grouping(batch)
    found = likeness(lists([sorted(one) for one in takes], "abcde"), grouping.batch, grouping.count)
    for at, mine in enumerate(takes):
        others = [takes[other] for other in range(len(takes)) if other != at and batch[other] == batch[at]]
        assert found[at] == pytest.approx(fmean([ochiai(mine, one) for one in others]) if others else 0.0, abs=1e-12)


def mean_of(group: Sequence[Courses]) -> dict[str, float]:
    return {mark: fmean([(mark in one) / sqrt(len(one)) if one else 0.0 for one in group]) for mark in "abcde"}


def cosine(mine: Courses, mean: dict[str, float]) -> float:
    length = sqrt(sum(value**2 for value in mean.values()))
    return sum(mean[mark] / sqrt(len(mine)) for mark in mine) / length if mine and length else 0.0


def silhouette(takes: Sequence[Courses], batch: Sequence[int], cell: Sequence[int], *, siblings: bool) -> float:
    means = [mean_of([takes[at] for at, one in enumerate(batch) if one == number]) for number in range(len(cell))]
    found = []
    for mine, own in zip(takes, batch, strict=True):
        rivals = [at for at in range(len(cell)) if at != own and (siblings or cell[at] != cell[own])]
        if not rivals:
            found.append(0.0)
            continue
        a, b = 1 - cosine(mine, means[own]), min(1 - cosine(mine, means[at]) for at in rivals)
        found.append((b - a) / max(a, b) if max(a, b) > 1e-12 else 0.0)
    return fmean(found)


@settings(max_examples=120, deadline=None)
@given(solutions(), st.integers(1, 5))
def test_the_silhouette_is_that_of_every_student(
    solution: tuple[list[Courses], list[int], list[int]], block: int
) -> None:
    takes, batch, cell = solution
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studentsuccess.batching.quality_courses.BLOCK", block)
        apart, siblings = silhouettes(lists([sorted(one) for one in takes], "abcde"), a_grouping(batch, cell))
    assert apart == pytest.approx(silhouette(takes, batch, cell, siblings=False), abs=1e-9)
    assert siblings == pytest.approx(silhouette(takes, batch, cell, siblings=True), abs=1e-9)


def measured(takes: Sequence[str], batch: Sequence[int], **problem: object) -> Quality:
    """Measure a solution with a room of 10 seats for each batch."""
    instance = a_problem(takes, **problem)  # type: ignore[arg-type]
    grouping = a_grouping(batch)
    return assess(instance, grouping, a_placement([0] * grouping.count, range(grouping.count), best=0.9), {})


def test_section_fill_leaves_pooled_courses_out() -> None:
    """a: 4 of 5, b: all 5, c: 1 of 5 and so pooled."""
    found = measured(["ab", "ab", "ab", "ab", "bc"], [0] * 5)
    assert found.measures["section_fill"].value == pytest.approx(9 / 10)


def test_seats_in_use_are_counted_over_all_rooms() -> None:
    assert measured(["a"] * 7, [0, 0, 0, 1, 1, 1, 1]).measures["resource_utilization"].value == pytest.approx(7 / 20)


def test_balance_is_one_minus_the_relative_deviation_overall_and_by_program() -> None:
    found = measured(["a"] * 9, [0, 0, 0, 0, 0, 1, 1, 2, 2], programs=["P"] * 7 + ["Q"] * 2)
    sizes = [5, 2, 2]
    assert found.measures["size_balance"].value == pytest.approx(1 - pstdev(sizes) / fmean(sizes))
    assert found.balance_by_program == {"P": pytest.approx(1 - 1.5 / 3.5), "Q": 1.0}


def test_wishes_count_by_their_weight_and_by_the_students_they_are_kept_for() -> None:
    rules = (
        *HARD,
        Rule("LANG", "student", "language", "no_mix", hard=False, weight=3.0),
        Rule("TOWN", "student", "town", "no_mix", hard=False, weight=1.0),
    )
    fields = {"language": texts(["x", "x", "y", "y", "y"]), "town": texts(["k", "l", "k", "k", "k"])}
    found = measured(["a"] * 5, [0, 0, 1, 1, 1], rules=rules, fields=fields)
    assert found.measures["constraint_satisfaction"].value == pytest.approx((3 * 5 + 1 * 3) / (4 * 5))
    assert [(one.rule, one.hard, one.count) for one in found.violations] == [
        ("PROGRAM", True, 0),
        ("YEAR", True, 0),
        ("LANG", False, 0),
        ("TOWN", False, 1),
    ]
    assert list(found.figures.violations) == [1, 0]
    assert (found.hard_violations, found.soft_violations) == (0, 1)


def test_without_wishes_all_of_them_are_kept() -> None:
    assert measured(["a"] * 4, [0, 0, 1, 1]).measures["constraint_satisfaction"].value == 1.0


def test_a_broken_hard_rule_is_counted_as_one() -> None:
    found = measured(["a"] * 4, [0, 0, 1, 1], programs=["P", "Q", "Q", "Q"])
    assert found.hard_violations == 1
    assert list(found.figures.consistency) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("value", "ceiling", "threshold", "verdict"),
    [
        (0.8, 0.9, 0.7, PASS),
        (0.7, 0.9, 0.7, PASS),
        (0.6, 0.9, 0.7, FAIL),
        (0.6, 0.65, 0.7, UNATTAINABLE),
        (0.6, 0.9, None, None),
    ],
)
def test_a_verdict_says_whether_more_was_possible(
    value: float, ceiling: float, threshold: float | None, verdict: str | None
) -> None:
    assert Measure(value, ceiling, threshold).verdict == verdict


def test_only_measures_with_a_threshold_can_be_unmet() -> None:
    instance, grouping = a_problem(["a", "b", "c", "d"], sizes=Sizes(2, 2, 2)), a_grouping([0, 0, 1, 1])
    wanted = {"academic_coherence": 0.7, "size_balance": 0.8}
    found = assess(instance, grouping, a_placement([0, 0], [0, 1]), wanted)
    assert found.unmet == ("academic_coherence",)
    assert found.measures["academic_coherence"].verdict == UNATTAINABLE
    assert found.measures["silhouette"].verdict is None
