"""The measures and the objective, from who is with whom and where they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from studentsuccess.batching.checker.courses import block, jaccard, ochiai, silhouettes
from studentsuccess.batching.checker.rules import Batches, Floats, Rule, Values, field_values
from studentsuccess.batching.checker.tables import Ints
from studentsuccess.batching.checker.term import Flags, Term

# The share of courses in a vector where there are soft homogeneous rules beside them.
ALPHA = 0.8
# A course that fewer than so many take, or less than a fifth of a batch, but not all of it, is pooled.
FEW, FIFTH = 3, 5


@dataclass(frozen=True)
class Sections:
    """A row for every batch and course that somebody in it takes, by batch, then by course."""

    batch: Ints
    course: Ints
    taking: Ints
    pooled: Flags


def sections(courses: Values, batches: Batches) -> Sections:
    width = max(courses.many, 1)
    found, taking = np.unique(batches.batch[courses.row] * width + courses.item, return_counts=True)
    batch, course = np.divmod(found, width)
    size = batches.size[batch]
    return Sections(batch, course, taking, (taking < size) & ((taking < FEW) | (taking * FIFTH < size)))


@dataclass(frozen=True)
class Found:
    """What the files amount to."""

    measures: Mapping[str, float]
    objective: float
    coherence: Floats  # of each batch
    by_program: Mapping[str, float]


def found(
    term: Term,
    batches: Batches,
    courses: Values,
    taught: Sections,
    cell: Ints,
    rules: Mapping[Rule, Flags],
    request: Mapping[str, Any],
) -> Found:
    size = batches.size
    coherence = ochiai(courses, batches)
    apart, siblings = silhouettes(courses, batches, cell)
    whole = ~taught.pooled
    values = {
        "academic_coherence": _share(float(size @ coherence), float(size.sum())),
        "jaccard_coherence": _share(float(size @ jaccard(courses, batches)), float(size.sum())),
        "section_fill": _share(float(taught.taking[whole].sum()), float(size[taught.batch[whole]].sum())),
        "resource_utilization": _share(float(size.sum()), float(batches.seats.sum())),
        "constraint_satisfaction": satisfaction(rules, size),
        "silhouette": apart,
        "silhouette_siblings": siblings,
        "size_balance": balance(size),
    }
    return Found(values, objective(term, batches, courses, rules, request), coherence, _by_program(term, batches))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def satisfaction(rules: Mapping[Rule, Flags], size: Ints) -> float:
    """The share of students in whose batch a soft rule holds, by the rules' weights; 1 where nothing is wished."""
    soft = [(rule.weight, float(size[holds].sum())) for rule, holds in rules.items() if not rule.hard]
    total = sum(weight for weight, _ in soft) * float(size.sum())
    return sum(weight * students for weight, students in soft) / total if total else 1.0


def balance(size: Ints) -> float:
    return 1.0 - float(size.std() / size.mean()) if len(size) else 1.0


def _by_program(term: Term, batches: Batches) -> dict[str, float]:
    """By the program of each batch's first member."""
    programs = term.student("program_id")
    first = np.unique(batches.batch, return_index=True)[1]
    named = np.array([programs.text(int(row)) for row in batches.who[first]], object)
    return {name: balance(batches.size[np.flatnonzero(named == name)]) for name in sorted(set(named.tolist()))}


def objective(
    term: Term, batches: Batches, courses: Values, rules: Mapping[Rule, Flags], request: Mapping[str, Any]
) -> float:
    """J: mean cosine inside batches, and sizes near the target, by their weights."""
    weights, sizes = request.get("weights", {}), request.get("sizes", {})
    alike, near = float(weights.get("homogeneity", 0.4)), float(weights.get("size", 0.3))
    students = len(batches.batch)
    if not students or not alike + near:
        return 0.0
    size = batches.size
    pairs = np.where(size > 1, _pairs(term, batches, courses, rules) / np.maximum(size - 1, 1), 0.0)
    least, target, most = (int(sizes.get(name, usual)) for name, usual in (("min", 15), ("target", 35), ("max", 60)))
    z = 1.0 - curvature(least, target, most) * float(((size - target) ** 2).sum()) / students
    return (alike * float(pairs.sum()) / students + near * z) / (alike + near)


def curvature(least: int, target: int, most: int) -> float:
    """c, such that no allowed size makes a term negative."""
    ends = [end / gap**2 for end, gap in ((least, target - least), (most, most - target)) if gap]
    return min(ends, default=0.0)


def _pairs(term: Term, batches: Batches, courses: Values, rules: Mapping[Rule, Flags]) -> Floats:
    """The sum of cosines over ordered pairs of each batch: of courses, and of what soft rules wish to be alike."""
    wishes = [rule for rule in rules if not rule.hard and rule.kind == "homogeneous"]
    weight = sum(rule.weight for rule in wishes)
    if not weight:
        return block(courses, batches).pairs()
    total = ALPHA * block(courses, batches).pairs()
    for rule in wishes:
        share = (1 - ALPHA) * rule.weight / weight
        total += share * block(field_values(term, batches.who, rule.field), batches).pairs()
    return total
