"""Cells that differ only in a relaxed field are merged, as few and as small as make batches fit."""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.instance import Flags, Ints, Sizes
from studentsuccess.batching.sizes import fitting


def merged(values: Ints, count: Ints, free: list[int], sizes: Sizes) -> Ints:
    """For each cell (a row of values, and its students) the number of the group it ends up in, in the cells' order.

    Each relaxed field is tried alone, in the order given, before all of them together.
    """
    group = np.arange(len(count))
    for columns in [[column] for column in free] + ([free] if len(free) > 1 else []):
        kept = np.delete(values, columns, axis=1)
        siblings = np.unique(kept, axis=0, return_inverse=True)[1].reshape(-1)
        group = _merged_among(siblings, group, count, fitting(int(count.sum()), sizes))
    return np.unique(group, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _merged_among(siblings: Ints, group: Ints, count: Ints, fine: Flags) -> Ints:
    """Merge groups whose cells are siblings; a group is known by its first cell."""
    group = group.copy()
    total = np.bincount(group, count, len(count)).astype(np.int64)
    heads = np.flatnonzero(total)
    for family in np.unique(siblings[heads[~fine[total[heads]]]]):
        members = heads[siblings[heads] == family]
        into = _family(total[members], fine)
        lookup = np.arange(len(count))
        lookup[members] = members[into]
        group = lookup[group]
    return group


def _family(size: Ints, fine: Flags) -> Ints:
    """For each of them the one (the first of its group) that it joins."""
    size, into, alive = size.copy(), np.arange(len(size)), np.ones(len(size), np.bool_)
    while alive.sum() > 1 and (ill := np.flatnonzero(alive & ~fine[size])).size:
        one = int(ill[0])
        other = _partner(one, size, alive, fine)
        into[into == max(one, other)] = min(one, other)
        size[min(one, other)] += size[max(one, other)]
        alive[max(one, other)] = False
    return into


def _partner(one: int, size: Ints, alive: Flags, fine: Flags) -> int:
    """Whom to join: one that makes both fit, if there is one; one that does not fit either; the smallest."""
    others = np.flatnonzero(alive)
    others = others[others != one]
    joint = fine[size[others] + size[one]]
    return int(others[np.lexsort((size[others], fine[size[others]], ~joint))[0]])
