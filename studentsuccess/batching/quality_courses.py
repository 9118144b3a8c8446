"""How alike the courses are of those who are together: sums over batches instead of pairs, wherever the sums say it."""

from __future__ import annotations

from typing import Any

import numpy as np

from studentsuccess.batching.instance import Codes, Floats, Grouping, Ints, Lists

# Cells of the table of students and batches that are held at once.
BLOCK = 4_000_000


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
            found[number] = _jaccard(*course_table(courses, mine))
    return found


def _jaccard(table: Floats, taken: Ints) -> float:
    both = table @ table.T
    either = taken[:, None] + taken[None, :] - both
    share = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    pairs = len(taken) * (len(taken) - 1)
    return float(share.sum() - np.trace(share)) / pairs


def course_table(courses: Lists, rows: Ints) -> tuple[Floats, Ints]:
    """Who of `rows` takes what, as ones and zeros over the courses that any of them takes; and how many."""
    taken = courses.start[rows + 1] - courses.start[rows]
    of = np.repeat(np.arange(len(rows)), taken)
    skipped = np.repeat(courses.start[rows] - (np.cumsum(taken) - taken), taken)
    codes, column = np.unique(courses.items[np.arange(len(of)) + skipped], return_inverse=True)
    table = np.zeros((len(rows), len(codes)))
    table[of, column] = 1.0
    return table, taken


def silhouettes(courses: Lists, grouping: Grouping) -> tuple[float, float]:
    """The mean silhouette by cosine to the means of batches: against other cells' batches, and against all others."""
    if not len(grouping.batch):
        return 0.0, 0.0
    students, means = _unit_rows(courses), _means(courses, grouping)
    sums = np.zeros(2)
    rows_at_once = max(1, BLOCK // max(grouping.count, 1))
    for rows in _blocks(grouping, rows_at_once):
        sums += _silhouettes(students[rows], rows, means, grouping)
    apart, siblings = sums / len(grouping.batch)
    return float(apart), float(siblings)


def _blocks(grouping: Grouping, most: int) -> list[Ints]:
    """Students cell by cell, since those take the same courses."""
    cell = grouping.cell[grouping.batch]
    order = np.argsort(cell, kind="stable")
    ends = np.flatnonzero(np.diff(cell[order])) + 1
    return [part[at : at + most] for part in np.split(order, ends) for at in range(0, len(part), most)]


def _unit_rows(courses: Lists) -> Any:
    from scipy.sparse import csr_array

    taken = np.diff(courses.start)
    weights = np.repeat(1.0 / np.sqrt(np.maximum(taken, 1)), taken)
    return csr_array((weights, courses.items, courses.start), shape=(len(taken), max(len(courses.labels), 1)))


def _means(courses: Lists, grouping: Grouping) -> Any:
    """The direction of each batch's mean, by columns."""
    from scipy.sparse import csr_array, diags_array

    students = len(grouping.batch)
    members = csr_array((np.ones(students), (grouping.batch, np.arange(students))), shape=(grouping.count, students))
    sums = members @ _unit_rows(courses)
    length = np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1)).ravel())
    return (diags_array(1.0 / np.where(length > 0, length, 1.0)) @ sums).tocsc()


def _silhouettes(students: Any, rows: Ints, means: Any, grouping: Grouping) -> Floats:
    """The two sums over some students of one cell. Batches that share no course with any of them are all at 1."""
    columns = np.unique(students.indices)
    near = means[:, columns].tocsr()
    batches = np.flatnonzero(np.diff(near.indptr))
    alike = np.asarray((students[:, columns] @ near[batches].T).todense())
    cell = grouping.cell[grouping.batch[rows[0]]]
    kin, mine = grouping.cell[batches] == cell, batches[None, :] == grouping.batch[rows][:, None]
    inside = np.where(mine, alike, 0.0).sum(axis=1)
    strangers, siblings = grouping.cell != cell, grouping.cell == cell
    outside = _nearest(alike[:, ~kin], int(strangers.sum()), len(rows))
    among = _nearest(np.where(mine, -1.0, alike)[:, kin], int(siblings.sum()) - 1, len(rows), own=1)
    return np.array([_score(inside, outside).sum(), _score(inside, np.fmax(outside, among)).sum()])


def _nearest(alike: Floats, others: int, rows: int, own: int = 0) -> Floats:
    """The likeness of the nearest of `others`, where those that are not in the table have none; NaN without others."""
    if not others:
        return np.full(rows, np.nan)
    best: Floats = alike.max(axis=1, initial=-1.0)
    return np.maximum(best, 0.0) if alike.shape[1] - own < others else best


def _score(inside: Floats, outside: Floats) -> Floats:
    """(b - a) / max(a, b) with distances 1 - likeness; 0 where there is nobody else, or no distance at all."""
    a, b = 1.0 - inside, 1.0 - outside
    most = np.maximum(a, b)
    found = np.divide(b - a, most, out=np.zeros_like(a), where=most > 0)
    return np.where(np.isnan(outside), 0.0, found)
