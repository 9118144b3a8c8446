"""A value for each student out of a list of theirs, such that those who share it can be split into batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from studentsuccess.batching.instance import Floats, Ints, Lists, Sizes
from studentsuccess.batching.sizes import fits

# One more value in use costs as much as a student too many: fewer and larger cells leave more choice.
_VALUE_COST = 1.0
# Far more than such a choice has ever needed; a number of nodes, not a clock, so that two runs agree.
_NODES = 2000
_GAP = 0.02


@dataclass(frozen=True)
class _Kind:
    """Students with the same values, to be shared out in whole units: one student, or all that are pinned together."""

    values: tuple[int, ...]
    rows: Ints
    whole: bool


def shared_values(lists: Lists, inside: Ints, sizes: Sizes, together: tuple[tuple[int, ...], ...]) -> Ints:
    """A value of each student, chosen for each cell of `inside` alone; -1 for who has none."""
    chosen = np.full(len(inside), -1, np.int64)
    order = np.argsort(inside, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(inside))[:-1]) if len(order) else []:
        kinds = _kinds(lists, rows, together)
        chosen[rows] = _chosen(kinds, rows, sizes)
    return chosen


def _kinds(lists: Lists, rows: Ints, together: tuple[tuple[int, ...], ...]) -> list[_Kind]:
    mine = {int(row): tuple(lists.items[lists.start[row] : lists.start[row + 1]].tolist()) for row in rows}
    kinds = []
    for group in together:
        if all(row in mine for row in group):
            common = set.intersection(*(set(mine.pop(row)) for row in group))
            kinds.append(_Kind(tuple(sorted(common)), np.array(group), whole=True))
    alike: dict[tuple[int, ...], list[int]] = {}
    for row, values in mine.items():
        alike.setdefault(values, []).append(row)
    return kinds + [_Kind(values, np.array(of), whole=False) for values, of in sorted(alike.items())]


def _chosen(kinds: list[_Kind], rows: Ints, sizes: Sizes) -> Ints:
    """One value for all where there is one; else as a program says; else the value that most have."""
    common = set.intersection(*(set(kind.values) for kind in kinds))
    if common and fits(len(rows), sizes):
        return np.full(len(rows), min(common), np.int64)
    usable = [kind for kind in kinds if kind.values]
    shares = _program(usable, sizes) if usable else None
    chosen = np.full(len(rows), -1, np.int64)
    for kind, share in zip(usable, shares if shares is not None else _popular(usable), strict=True):
        chosen[np.searchsorted(rows, kind.rows)] = np.repeat(np.array(kind.values), share)
    return chosen


def _popular(kinds: list[_Kind]) -> list[Ints]:
    weight: dict[int, int] = {}
    for kind in kinds:
        for value in kind.values:
            weight[value] = weight.get(value, 0) + len(kind.rows)
    best = [max(kind.values, key=lambda value: (weight[value], -value)) for kind in kinds]
    return [
        np.array([len(kind.rows) * (value == one) for value in kind.values])
        for kind, one in zip(kinds, best, strict=True)
    ]


def _program(kinds: list[_Kind], sizes: Sizes) -> list[Ints] | None:
    """How many of each kind take each of their values, sizes near the target first; None where nothing fits.

    Columns: a share for each kind and value; then for each value its batches, whether it is used, and how far its
    students are from so many batches of the target size.
    """
    values = sorted({value for kind in kinds for value in kind.values})
    at = {value: number for number, value in enumerate(values)}
    pairs = [(number, at[value]) for number, kind in enumerate(kinds) for value in kind.values]
    unit = np.array([float(len(kind.rows)) if kind.whole else 1.0 for kind in kinds])
    many = np.array([1.0 if kind.whole else float(len(kind.rows)) for kind in kinds])
    kind_of, value_of = (np.array(column) for column in zip(*pairs, strict=True))
    shares, width = len(pairs), len(values)
    picks = sparse.csr_array((np.ones(shares), (kind_of, np.arange(shares))), shape=(len(kinds), shares))
    students = sparse.csr_array((unit[kind_of], (value_of, np.arange(shares))), shape=(width, shares))
    each, none = sparse.eye_array(width), sparse.csr_array((width, width))
    most = float(sum(len(kind.rows) for kind in kinds))
    rows = [
        (sparse.hstack([picks, sparse.csr_array((len(kinds), 3 * width))]), many, many),
        (sparse.hstack([students, -sizes.least * each, none, none]), 0.0, np.inf),
        (sparse.hstack([students, -sizes.most * each, none, none]), -np.inf, 0.0),
        (sparse.hstack([students * 0, each, -most * each, none]), -np.inf, 0.0),
        (sparse.hstack([students, -sizes.target * each, none, -each]), -np.inf, 0.0),
        (sparse.hstack([students, -sizes.target * each, none, each]), 0.0, np.inf),
    ]
    return _solved(kinds, many[kind_of], rows, width)


def _solved(kinds: list[_Kind], upper: Floats, rows: list[tuple[Any, Any, Any]], width: int) -> list[Ints] | None:
    shares = len(upper)
    ones = np.ones(width)
    found = milp(
        np.concatenate([np.zeros(shares + width), _VALUE_COST * ones, ones]),
        integrality=np.concatenate([np.ones(shares + 2 * width), np.zeros(width)]),
        bounds=Bounds(0, np.concatenate([upper, np.inf * ones, ones, np.inf * ones])),
        constraints=[LinearConstraint(table, low, high) for table, low, high in rows],
        options={"node_limit": _NODES, "mip_rel_gap": _GAP},
    )
    if found.x is None:
        return None
    counts = np.split(np.rint(found.x[:shares]).astype(np.int64), np.cumsum([len(kind.values) for kind in kinds])[:-1])
    return [count * (len(kind.rows) if kind.whole else 1) for count, kind in zip(counts, kinds, strict=True)]
