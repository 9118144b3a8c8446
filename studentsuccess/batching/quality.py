"""How good a solution is, measured on it: each measure with the most that this instance allows, and a verdict.

academic_coherence     mean pairwise Ochiai similarity of courses inside a batch, weighted by size; 0 for a batch of one
jaccard_coherence      the same by Jaccard
section_fill           members who take the course, of all members, over the sections that are not pooled
resource_utilization   students of all batches by seats of their rooms
constraint_satisfaction  share of students in whose batch a soft rule is kept, weighted by the rules' weights
silhouette             (b - a) / max(a, b) for each student, mean: a is the distance (1 - cosine) of their courses from
                       the mean of their batch, b that from the nearest mean of another one outside their cell
silhouette_siblings    the same with the other batches of their cell
size_balance           1 - standard deviation / mean of the sizes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.instance import Floats, Grouping, Instance, Ints, Placement, Texts
from studentsuccess.batching.quality_ceilings import ceilings, coherence_ceiling
from studentsuccess.batching.quality_courses import likeness, pairwise_jaccard, pairwise_ochiai, silhouettes
from studentsuccess.batching.quality_rules import Kept, kept
from studentsuccess.batching.sections import sections_of

PASS, FAIL, UNATTAINABLE = "PASS", "FAIL", "UNATTAINABLE"
# A ceiling or a threshold is met when only a double's noise is missing.
SLACK = 1e-9


@dataclass(frozen=True)
class Measure:
    """A figure, the most that it can be on this instance, and what is wanted of it (of some nothing is)."""

    value: float
    ceiling: float
    threshold: float | None = None

    @property
    def verdict(self) -> str | None:
        if self.threshold is None:
            return None
        if self.value >= self.threshold - SLACK:
            return PASS
        return UNATTAINABLE if self.ceiling < self.threshold else FAIL


@dataclass(frozen=True)
class Figures:
    """What is worth knowing of each batch."""

    size: Ints
    coherence: Floats
    jaccard: Floats
    consistency: Floats  # share of the program that most members are of
    violations: Ints  # soft rules that are not kept in it


@dataclass(frozen=True)
class People:
    """For each student how alike the courses of the others in their batch are, and of their best partners."""

    likeness: Floats
    reach: Floats


@dataclass(frozen=True)
class Violations:
    """A rule, and in how many batches it is not kept; `relaxed` was a hard one by whoever asked for the batches."""

    rule: str
    hard: bool
    count: int
    relaxed: bool = False


@dataclass(frozen=True)
class Quality:
    """All of it."""

    measures: Mapping[str, Measure]
    violations: tuple[Violations, ...]
    figures: Figures
    people: People
    balance_by_program: Mapping[str, float]

    @property
    def hard_violations(self) -> int:
        return sum(one.count for one in self.violations if one.hard and not one.relaxed)

    @property
    def soft_violations(self) -> int:
        return sum(one.count for one in self.violations if not one.hard)

    @property
    def unmet(self) -> tuple[str, ...]:
        """The measures that are below what is wanted, whether or not more was possible."""
        return tuple(name for name, one in self.measures.items() if one.verdict in (FAIL, UNATTAINABLE))


def assess(instance: Instance, grouping: Grouping, placement: Placement, thresholds: Mapping[str, float]) -> Quality:
    """Measure everything."""
    rules = kept(instance, grouping, placement)
    figures = _figures(instance, grouping, rules)
    values = _values(instance, grouping, placement, figures, rules)
    courses = instance.students.lists("enrolled_courses")
    coherence = coherence_ceiling(courses, grouping, instance.sizes.least)
    most = ceilings(coherence, instance, grouping, placement)
    assert all(value <= most[name] + SLACK for name, value in values.items()), "a ceiling is no ceiling"
    return Quality(
        {name: Measure(value, most[name], thresholds.get(name)) for name, value in values.items()},
        tuple(_violations(one, instance.relax) for one in rules),
        figures,
        People(likeness(courses, grouping.batch, grouping.count), coherence.reach),
        _balance_by_program(instance, grouping, figures.size),
    )


def _violations(one: Kept, relax: tuple[str, ...]) -> Violations:
    return Violations(one.rule.code, one.rule.hard, one.broken, one.rule.hard and one.rule.field in relax)


def _figures(instance: Instance, grouping: Grouping, rules: tuple[Kept, ...]) -> Figures:
    courses = instance.students.lists("enrolled_courses")
    violations = np.zeros(grouping.count, np.int64)
    for one in rules:
        violations += ~one.batches & (not one.rule.hard)
    return Figures(
        np.bincount(grouping.batch, minlength=grouping.count).astype(np.int64),
        pairwise_ochiai(courses, grouping.batch, grouping.count),
        pairwise_jaccard(courses, grouping.batch, grouping.count),
        _consistency(instance.students.texts("program_id"), grouping),
        violations,
    )


def _consistency(programs: Texts, grouping: Grouping) -> Floats:
    many = len(programs.labels) + 1
    found, counts = np.unique(grouping.batch.astype(np.int64) * many + programs.codes + 1, return_counts=True)
    most = np.zeros(grouping.count, np.int64)
    np.maximum.at(most, found // many, counts)
    return most / np.maximum(np.bincount(grouping.batch, minlength=grouping.count), 1)


def _values(
    instance: Instance, grouping: Grouping, placement: Placement, figures: Figures, rules: tuple[Kept, ...]
) -> dict[str, float]:
    size = figures.size
    sections = sections_of(instance, grouping.batch, grouping.count)
    whole = ~sections.pooled
    apart, siblings = silhouettes(instance.students.lists("enrolled_courses"), grouping)
    return {
        "academic_coherence": _share(float(size @ figures.coherence), float(size.sum())),
        "jaccard_coherence": _share(float(size @ figures.jaccard), float(size.sum())),
        "section_fill": _share(float(sections.taking[whole].sum()), float(size[sections.batch[whole]].sum())),
        "resource_utilization": _share(float(size.sum()), float(instance.rooms.capacity[placement.room].sum())),
        "constraint_satisfaction": _satisfaction(rules, size),
        "silhouette": apart,
        "silhouette_siblings": siblings,
        "size_balance": balance(size),
    }


def _satisfaction(rules: tuple[Kept, ...], size: Ints) -> float:
    """1 where nothing is wished for."""
    soft = [one for one in rules if not one.rule.hard]
    weight = sum(one.rule.weight for one in soft)
    if not weight or not size.sum():
        return 1.0
    return sum(one.rule.weight * float(size[one.batches].sum()) for one in soft) / (weight * float(size.sum()))


def balance(size: Ints) -> float:
    """1 when all batches are of one size."""
    return 1.0 - float(size.std() / size.mean()) if len(size) else 1.0


def _balance_by_program(instance: Instance, grouping: Grouping, size: Ints) -> dict[str, float]:
    """By the program of a batch's first member: batches do not mix programs unless that was relaxed."""
    programs = instance.students.texts("program_id")
    first = np.unique(grouping.batch, return_index=True)[1]
    code = programs.codes[first]
    return {label: balance(size[code == at]) for at, label in enumerate(programs.labels) if (code == at).any()}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
