"""Every student as a vector, such that the cosine of two says how well they go together.

The course part is a unit vector of the courses taken, the rest one block for each soft homogeneous rule: the value, or
the values in equal shares, as a unit vector. Blocks share 1 - alpha by the weights of their rules. Who takes no course,
or has an empty list, has nothing in that part, and a cosine of 0 to all there; a missing text or number is a value of
its own, as it is where rules are judged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from studentsuccess.batching.instance import Field, Flags, Floats, Instance, Ints, Lists, Numbers, Rule, Texts

COURSES = "enrolled_courses"
# The share of courses in the square of the vector, where soft homogeneous rules have the rest: the facts' alpha.
ALPHA = 0.8


def vectors(instance: Instance) -> Any:
    """One sparse row for each student."""
    count = instance.students.count
    wishes = wished(instance)
    weight = sum(rule.weight for rule, _ in wishes)
    courses = instance.students.fields.get(COURSES)
    blocks = [_block(courses)] if courses is not None else []
    alpha = ALPHA if weight > 0 else 1.0
    scale = [alpha] * len(blocks) + [(1 - alpha) * rule.weight / weight for rule, _ in wishes if weight > 0]
    blocks += [_block(values) for _, values in wishes if weight > 0]
    if not blocks:
        return sparse.csr_array((count, 1))
    parts = [block * np.sqrt(share) for block, share in zip(blocks, scale, strict=True)]
    return sparse.hstack(parts, format="csr")


def wished(instance: Instance) -> list[tuple[Rule, Field]]:
    """The soft homogeneous rules, each with the values it speaks of."""
    rules = [rule for rule in instance.soft if rule.kind == "homogeneous"]
    return [(rule, values) for rule in rules if (values := field_of(instance, rule.field)) is not None]


def field_of(instance: Instance, name: str) -> Field | None:
    """A field of the students, whose own id is one too; None where they have no such field."""
    if name == "student_id" and name not in instance.students.fields:
        return Texts(np.arange(instance.students.count, dtype=np.int32), instance.students.ids)
    return instance.students.fields.get(name)


def values_of(values: Field) -> tuple[Ints, int]:
    """A number for the one value of each student, and how many there are; what is missing is a value too."""
    assert not isinstance(values, Lists)
    found = values.values if isinstance(values, Numbers) else values.codes
    distinct, codes = np.unique(found, return_inverse=True)
    return codes.astype(np.int64), len(distinct)


def marks(values: Field) -> Any:
    """A one for each value that a student has: students x values, sparse."""
    if isinstance(values, Lists):
        shape = len(values.start) - 1, max(len(values.labels), 1)
        return sparse.csr_array((np.ones(len(values.items)), values.items, values.start), shape=shape)
    codes, many = values_of(values)
    ones = np.ones(len(codes))
    return sparse.csr_array((ones, codes, np.arange(len(codes) + 1)), shape=(len(codes), max(many, 1)))


def _block(values: Field) -> Any:
    found = marks(values)
    many = np.diff(found.indptr)
    found.data = np.repeat(1 / np.sqrt(np.maximum(many, 1)), many)
    return found


def dense(all_vectors: Any, rows: Ints) -> Floats:
    """Those students' vectors, in the columns that any of them has."""
    found = all_vectors[rows]
    used: Flags = np.zeros(found.shape[1], np.bool_)
    used[found.indices] = True
    if not used.any():
        return np.zeros((len(rows), 1))
    column = np.cumsum(used) - 1
    packed = (found.data, column[found.indices], found.indptr)
    return np.asarray(sparse.csr_array(packed, shape=(len(rows), int(used.sum()))).toarray(), np.float64)
