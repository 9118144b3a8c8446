"""How alike the courses are of those who are together: sums over batches instead of pairs, wherever the sums say it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studentsuccess.batching.instance import Codes, Floats, Grouping, Ints, Lists

# Cells of the table of students and batches that are held at once.
BLOCK = 4_000_000
# Distances below it are a double's noise.
SAME = 1e-12


def pairwise_ochiai(courses: Lists, batch: Codes, count: int) -> Floats:
    """Mean of |A and B| / sqrt(|A| |B|) over the pairs of each batch; 0 without a pair."""
    size = np.bincount(batch, minlength=count)
    alike = likeness(courses, batch, count)
    mean: Floats = np.bincount(batch, alike, count) / np.maximum(size, 1)
    return mean


def likeness(courses: Lists, batch: Codes, count: int) -> Floats:
    """For each student the mean over the others of their batch: u (sum of u - u) / (n - 1)."""
    size = np.bincount(batch, minlength=count)
    taken = np.diff(courses.start)
    of = np.repeat(np.arange(len(batch)), taken)
    weight = 1.0 / np.sqrt(taken[of])
    many = max(len(courses.labels), 1)
    at = np.unique(batch[of].astype(np.int64) * many + courses.items, return_inverse=True)[1]
    whole = np.bincount(of, weight * np.bincount(at, weight)[at], len(batch)) if len(of) else np.zeros(len(batch))
    alone: Floats = (whole - (taken > 0)) / np.maximum(size[batch] - 1, 1)
    return alone


def pairwise_jaccard(courses: Lists, batch: Codes, count: int) -> Floats:
    """Mean of |A and B| / |A or B| over the pairs of each batch; 0 without a pair. No sum over a batch says that."""
    members = np.argsort(batch, kind="stable")
    ends = np.cumsum(np.bincount(batch, minlength=count))
    found = np.zeros(count)
    for number, end in enumerate(ends):
        mine = members[ends[number - 1] if number else 0 : end]
        if len(mine) > 1:
            table, taken, _ = course_table(courses, mine)
            found[number] = _jaccard(table, taken)
    return found


def _jaccard(table: Floats, taken: Ints) -> float:
    both = table @ table.T
    either = taken[:, None] + taken[None, :] - both
    share = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    pairs = len(taken) * (len(taken) - 1)
    return float(share.sum() - np.trace(share)) / pairs


def course_table(courses: Lists, rows: Ints) -> tuple[Floats, Ints, Ints]:
    """Who of `rows` takes what, as ones and zeros over the courses that any of them takes; how many; which courses."""
    taken = courses.start[rows + 1] - courses.start[rows]
    of = np.repeat(np.arange(len(rows)), taken)
    skipped = np.repeat(courses.start[rows] - (np.cumsum(taken) - taken), taken)
    codes, column = np.unique(courses.items[np.arange(len(of)) + skipped], return_inverse=True)
    table = np.zeros((len(rows), len(codes)))
    table[of, column] = 1.0
    return table, taken, codes


def silhouettes(courses: Lists, grouping: Grouping) -> tuple[float, float]:
    """The mean silhouette by cosine to the means of batches: against other cells' batches, and against all others."""
    means, cell = _Means(courses, grouping), grouping.cell[grouping.batch]
    order = np.argsort(cell, kind="stable")
    kin = np.split(np.argsort(grouping.cell, kind="stable"), np.cumsum(np.bincount(grouping.cell))[:-1])
    sums = np.zeros(2)
    for rows in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1) if len(order) else []:
        sums += _silhouettes(_Cell(courses, grouping, means, rows, kin[cell[rows[0]]]))
    apart, siblings = sums / max(len(order), 1)
    return float(apart), float(siblings)


class _Means:
    """The directions of the batches' means, course by course: an entry for each course that a batch has."""

    def __init__(self, courses: Lists, grouping: Grouping) -> None:
        taken = np.diff(courses.start)
        of = np.repeat(np.arange(len(taken)), taken)
        many = max(grouping.count, 1)
        found, at = np.unique(courses.items.astype(np.int64) * many + grouping.batch[of], return_inverse=True)
        sums = np.bincount(at, 1.0 / np.sqrt(taken[of]), len(found))
        course, self.batch = np.divmod(found, many)
        self.value = sums / np.sqrt(np.bincount(self.batch, sums * sums, many))[self.batch]
        self.start = np.searchsorted(course, np.arange(len(courses.labels) + 1))
        self.count = grouping.count

    def over(self, columns: Ints) -> tuple[Ints, Ints, Floats]:
        """The entries of these courses: the place in `columns`, the batch, the value."""
        many = self.start[columns + 1] - self.start[columns]
        at = np.repeat(self.start[columns] - (np.cumsum(many) - many), many) + np.arange(many.sum())
        return np.repeat(np.arange(len(columns)), many), self.batch[at], self.value[at]


class _Cell:
    """The students of one cell as a table of the courses that any of them takes, and all means in these columns."""

    def __init__(self, courses: Lists, grouping: Grouping, means: _Means, rows: Ints, kin: Ints) -> None:
        self.table, taken, columns = course_table(courses, rows)
        self.length = np.sqrt(np.maximum(taken, 1))
        self.batch, self.kin, self.others = grouping.batch[rows], kin, means.count - len(kin)
        self.column, self.of, self.value = means.over(columns)
        self.mine = grouping.cell[self.of] == grouping.cell[kin[0]]

    def among(self) -> tuple[Floats, Floats]:
        """The likeness of each student to their own batch, and to the nearest of its siblings."""
        near = np.zeros((self.table.shape[1], len(self.kin)))
        near[self.column[self.mine], np.searchsorted(self.kin, self.of[self.mine])] = self.value[self.mine]
        own = np.searchsorted(self.kin, self.batch)
        inside, beside = np.zeros(len(self.table)), np.full(len(self.table), np.nan)
        for at in _steps(len(self.table), len(self.kin)):
            alike = (self.table[at] @ near) / self.length[at, None]
            who = np.arange(len(alike))
            inside[at] = alike[who, own[at]]
            if len(self.kin) > 1:
                alike[who, own[at]] = -1.0
                beside[at] = alike.max(axis=1)
        return inside, beside

    def outside(self) -> Floats:
        """The likeness of each student to the nearest batch of another cell, which depends on shared courses only."""
        if not self.others:
            return np.full(len(self.table), np.nan)
        shared, column = np.unique(self.column[~self.mine], return_inverse=True)
        strangers, of = np.unique(self.of[~self.mine], return_inverse=True)
        near = np.zeros((len(shared), len(strangers)))
        near[column, of] = self.value[~self.mine]
        kinds, kind = np.unique(self.table[:, shared], axis=0, return_inverse=True)
        best = np.zeros(len(kinds))
        for at in _steps(len(kinds), len(strangers)):
            best[at] = (kinds[at] @ near).max(axis=1, initial=0.0)
        found: Floats = best[kind.ravel()] / self.length
        return found


def _steps(rows: int, columns: int) -> Iterator[slice]:
    """As many rows at once as the block allows."""
    step = max(1, BLOCK // max(columns, 1))
    return (slice(at, at + step) for at in range(0, rows, step))


def _silhouettes(cell: _Cell) -> Floats:
    """The sums over the students of a cell, without and with siblings."""
    (inside, beside), outside = cell.among(), cell.outside()
    return np.array([_score(inside, outside).sum(), _score(inside, np.fmax(outside, beside)).sum()])


def _score(inside: Floats, other: Floats) -> Floats:
    """(b - a) / max(a, b) with distances 1 - likeness; 0 where there is no other, or no distance at all."""
    a, b = 1.0 - inside, 1.0 - other
    most = np.maximum(a, b)
    found = np.divide(b - a, most, out=np.zeros_like(a), where=most > SAME)
    return np.where(np.isnan(other), 0.0, found)
