"""How alike the courses of those are who are together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.checker.rules import Batches, Floats, Values
from studentsuccess.batching.checker.tables import Ints

# Kinds of students that are held against all batches at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class Block:
    """Students as unit vectors of a field: what the sums say of each batch."""

    length: Floats  # the squared length of the batch's sum
    square: Floats  # the sum of squared lengths: members who have any value

    def pairs(self) -> Floats:
        """The sum of cosines over all ordered pairs of members."""
        return self.length - self.square


def block(values: Values, batches: Batches) -> Block:
    lengths = np.bincount(values.row, minlength=len(batches.batch))
    weight = 1.0 / np.sqrt(lengths[values.row])
    width = max(values.many, 1)
    keys, at = np.unique(batches.batch[values.row] * width + values.item, return_inverse=True)
    sums = np.bincount(at, weight, len(keys))
    return Block(
        np.bincount(keys // width, sums * sums, batches.count).astype(float),
        np.bincount(batches.batch, lengths > 0, batches.count).astype(float),
    )


def ochiai(courses: Values, batches: Batches) -> Floats:
    """Of each batch the mean over its pairs of |A and B| / sqrt(|A| |B|)."""
    size = batches.size
    return np.asarray(block(courses, batches).pairs() / np.maximum(size * (size - 1), 1))


def jaccard(courses: Values, batches: Batches) -> Floats:
    """Of each batch the mean over its pairs of |A and B| / |A or B|."""
    found = np.zeros(batches.count)
    order = np.argsort(batches.batch[courses.row], kind="stable")
    row, item = courses.row[order], courses.item[order]
    ends = np.cumsum(np.bincount(batches.batch[row], minlength=batches.count))
    size = batches.size
    for at in np.flatnonzero(size > 1).tolist():
        mine = slice(ends[at - 1] if at else 0, ends[at])
        members, columns = np.unique(row[mine], return_inverse=True), np.unique(item[mine], return_inverse=True)
        table = np.zeros((len(members[0]), len(columns[0])), np.float32)
        table[members[1], columns[1]] = 1.0
        both = (table @ table.T).astype(float)
        taken = both.diagonal()
        either = taken[:, None] + taken[None, :] - both
        pairs = int(size[at]) * (int(size[at]) - 1)
        found[at] = ((both / either).sum() - len(taken)) / pairs
    return found


def silhouettes(courses: Values, batches: Batches, cell: Ints) -> tuple[float, float]:
    """Means over students of (b - a) / max(a, b): a is the distance from the mean of their batch, b that from the
    nearest other mean, outside their cell, and anywhere."""
    students = len(batches.batch)
    if not students:
        return 0.0, 0.0
    means = _Means(courses, batches)
    totals = np.zeros(2)
    order = np.argsort(cell[batches.batch], kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(cell[batches.batch[order]])) + 1):
        inside, outside, among = means.likeness(rows, cell)
        totals += _score(inside, outside).sum(), _score(inside, np.fmax(outside, among)).sum()
    return float(totals[0]) / students, float(totals[1]) / students


def _score(inside: Floats, outside: Floats) -> Floats:
    """0 where nobody else is, or no distance at all."""
    a, b = 1.0 - inside, 1.0 - outside
    most = np.maximum(a, b)
    safe = np.where(most > 0, most, 1.0)
    return np.where(np.isnan(outside) | (most <= 0), 0.0, (b - a) / safe)


class _Means:
    """The directions of the batches' means, course by course; and students' vectors."""

    def __init__(self, courses: Values, batches: Batches) -> None:
        self._batches = batches
        self._courses = courses
        self._first = np.searchsorted(courses.row, np.arange(len(batches.batch) + 1))
        lengths = np.diff(self._first)
        weight = 1.0 / np.sqrt(lengths[courses.row])
        keys, at = np.unique(courses.item * batches.count + batches.batch[courses.row], return_inverse=True)
        sums = np.bincount(at, weight, len(keys))
        self._course, self._batch = np.divmod(keys, max(batches.count, 1))
        norm = np.sqrt(np.bincount(self._batch, sums * sums, batches.count))
        self._value = sums / norm[self._batch]
        self._starts = np.searchsorted(self._course, np.arange(courses.many + 1))

    def likeness(self, rows: Ints, cell: Ints) -> tuple[Floats, Floats, Floats]:
        """Of students of one cell the cosine to their own mean, to the nearest outside of the cell, and among siblings.

        NaN where there is no such batch; 0 where those that there are share no course.
        """
        vectors, columns = self._vectors(rows)
        own = self._batches.batch[rows]
        here = int(cell[own[0]])
        batch, table = self._table(columns)
        kin = cell[batch] == here
        siblings = int((cell == here).sum()) - 1
        strangers = self._batches.count - siblings - 1
        near = vectors @ table[:, kin]
        place = np.full(self._batches.count, -1, np.int64)
        place[batch[kin]] = np.arange(int(kin.sum()))
        mine = place[own]
        each = np.arange(len(rows))
        inside = np.where(mine >= 0, near[each, mine] if near.shape[1] else 0.0, 0.0)
        if near.shape[1]:
            near[each[mine >= 0], mine[mine >= 0]] = 0.0
        among = near.max(axis=1, initial=0.0) if siblings else np.full(len(rows), np.nan)
        outside = _nearest(vectors, table[:, ~kin]) if strangers else np.full(len(rows), np.nan)
        return inside, outside, among

    def _vectors(self, rows: Ints) -> tuple[Floats, Ints]:
        """Unit vectors over the courses that any of the students takes."""
        lengths = self._first[rows + 1] - self._first[rows]
        at = np.arange(lengths.sum()) + np.repeat(self._first[rows] - (np.cumsum(lengths) - lengths), lengths)
        columns, column = np.unique(self._courses.item[at], return_inverse=True)
        vectors = np.zeros((len(rows), len(columns)))
        vectors[np.repeat(np.arange(len(rows)), lengths), column] = np.repeat(
            1.0 / np.sqrt(np.maximum(lengths, 1)), lengths
        )
        return vectors, columns

    def _table(self, columns: Ints) -> tuple[Ints, Floats]:
        """The batches that have any of the courses, and their means over them."""
        lengths = self._starts[columns + 1] - self._starts[columns]
        at = np.arange(lengths.sum()) + np.repeat(self._starts[columns] - (np.cumsum(lengths) - lengths), lengths)
        used = np.zeros(self._batches.count, np.bool_)
        used[self._batch[at]] = True
        table = np.zeros((len(columns), int(used.sum())))
        table[np.repeat(np.arange(len(columns)), lengths), (np.cumsum(used) - 1)[self._batch[at]]] = self._value[at]
        return np.flatnonzero(used), table


def _nearest(vectors: Floats, table: Floats) -> Floats:
    """For each student the largest product with a column. Only courses that a column has count, and of those who take
    the same of these the products differ only by how many courses they take in all."""
    shared = np.flatnonzero(table.any(axis=1))
    takes = vectors[:, shared] > 0
    _, first, kind = np.unique(np.packbits(takes, axis=1), axis=0, return_index=True, return_inverse=True)
    best = np.zeros(len(first))
    for at in range(0, len(first), _AT_ONCE):
        some = takes[first[at : at + _AT_ONCE]].astype(float)
        best[at : at + _AT_ONCE] = (some @ table[shared]).max(axis=1, initial=0.0)
    return np.asarray(best[kind.reshape(-1)] * vectors.max(axis=1, initial=0.0))
