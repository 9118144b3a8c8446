"""Which batches keep a rule: judged on the solution, whatever the optimiser thought of it.

Where a value is missing it counts as a value of its own, which nobody shares in a list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.instance import (
    Field,
    Flags,
    Floats,
    Grouping,
    Instance,
    Ints,
    Lists,
    Numbers,
    Placement,
    Rule,
    Texts,
)
from studentsuccess.batching.vectors import field_of

# Beyond it a double's noise can't be what breaks a rule.
SLACK = 1e-9
SIZE = "size"


@dataclass(frozen=True)
class Kept:
    """A rule, and for each batch whether it is kept there."""

    rule: Rule
    batches: Flags

    @property
    def broken(self) -> int:
        return int((~self.batches).sum())


def kept(instance: Instance, grouping: Grouping, placement: Placement) -> tuple[Kept, ...]:
    """Every rule, in the instance's order."""
    return tuple(Kept(rule, _holds(rule, instance, grouping, placement)) for rule in instance.rules)


def _holds(rule: Rule, instance: Instance, grouping: Grouping, placement: Placement) -> Flags:
    size = np.bincount(grouping.batch, minlength=grouping.count)
    values = field_of(instance, rule.field)
    if values is None:
        assert rule.field == SIZE, f"{rule.code} is about a field that nobody has"
        return np.asarray(size <= _limit(rule) * instance.rooms.capacity[placement.room] + SLACK)
    if rule.kind == "max_variance":
        return _calm(_numbers(values), _limit(rule), grouping)
    most = _most_shared(values, grouping)
    if rule.kind == "no_mix":
        return np.asarray(most == size)
    share = most / np.maximum(size, 1)
    if rule.kind == "homogeneous":
        return share >= _limit(rule) - SLACK
    return share <= _limit(rule) + SLACK


def _limit(rule: Rule) -> float:
    return 1.0 if rule.threshold is None else rule.threshold


def _most_shared(values: Field, grouping: Grouping) -> Ints:
    """How many members of each batch share the value that most of them have."""
    batch = grouping.batch.astype(np.int64)
    if isinstance(values, Lists):
        batch, codes, many = np.repeat(batch, np.diff(values.start)), values.items.astype(np.int64), len(values.labels)
    elif isinstance(values, Texts):
        codes, many = values.codes.astype(np.int64) + 1, len(values.labels) + 1
    else:
        distinct, codes = np.unique(values.values, return_inverse=True)
        many = len(distinct)
    found, counts = np.unique(batch * max(many, 1) + codes, return_counts=True)
    most = np.zeros(grouping.count, np.int64)
    np.maximum.at(most, found // max(many, 1), counts)
    return most


def _numbers(values: Field) -> Floats:
    assert isinstance(values, Numbers), "max_variance is for numbers, as the rules' own check says"
    return values.values


def _calm(values: Floats, threshold: float, grouping: Grouping) -> Flags:
    """Variance in the batch against that of its cell; who has no number is left out of both."""
    known = np.isfinite(values)
    batch = grouping.batch[known].astype(np.int64)
    inside = _variance(values[known], batch, grouping.count)
    outside = _variance(values[known], grouping.cell[batch].astype(np.int64), len(grouping.cell_keys))
    limit = threshold * outside[grouping.cell]
    return inside <= limit + SLACK * np.maximum(limit, 1.0)


def _variance(values: Floats, group: Ints, count: int) -> Floats:
    many = np.maximum(np.bincount(group, minlength=count), 1)
    mean = np.bincount(group, values, count) / many
    return np.bincount(group, (values - mean[group]) ** 2, count) / many
