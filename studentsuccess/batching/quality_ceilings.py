"""The most that a measure can be on this instance, whatever the solution: proved, so often a little too high.

All of them take the cells as given, since hard rules make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from studentsuccess.batching.instance import Floats, Grouping, Instance, Ints, Lists, Placement, Sizes
from studentsuccess.batching.quality_courses import course_table

# Cells of a table of cosines that are held at once.
BLOCK = 4_000_000
# Beyond it the eigenvalues of a cell take longer than their ceiling is worth.
MOST_COURSES = 1_000


@dataclass(frozen=True)
class Coherence:
    """The most that academic coherence can be, and for each student how alike their best partners are."""

    ceiling: float
    reach: Floats


def ceilings(coherence: Coherence, instance: Instance, grouping: Grouping, placement: Placement) -> dict[str, float]:
    """For every measure of `quality`."""
    silhouette = silhouette_ceiling(coherence.ceiling, instance.sizes.least)
    return {
        "academic_coherence": coherence.ceiling,
        "jaccard_coherence": coherence.ceiling,  # |A and B| / |A or B| is never above |A and B| / sqrt(|A| |B|)
        "section_fill": 1.0,
        "resource_utilization": placement.best_utilisation,
        "constraint_satisfaction": 1.0,
        "silhouette": silhouette,
        "silhouette_siblings": silhouette,
        "size_balance": balance_ceiling(_cell_sizes(grouping), instance.sizes),
    }


def _members(grouping: Grouping) -> Iterator[Ints]:
    """The students of each cell."""
    cell = grouping.cell[grouping.batch]
    order = np.argsort(cell, kind="stable")
    if not len(order):
        return
    yield from np.split(order, np.flatnonzero(np.diff(cell[order])) + 1)


def _cell_sizes(grouping: Grouping) -> Ints:
    return np.bincount(grouping.cell[grouping.batch], minlength=len(grouping.cell_keys))


def coherence_ceiling(courses: Lists, grouping: Grouping, least: int) -> Coherence:
    """The smaller of two for each cell: nobody does better than with their own best partners, and k batches hold no
    more than the k largest eigenvalues of the cosines (Ky Fan)."""
    found, reach = 0.0, np.zeros(len(grouping.batch))
    for rows in _members(grouping):
        table, taken, _ = course_table(courses, rows)
        table /= np.sqrt(np.maximum(taken, 1))[:, None]
        most = min(least, len(rows))
        reach[rows] = _by_partners(table, most)
        found += min(float(reach[rows].sum()), _by_eigenvalues(table, taken, most))
    return Coherence(found / max(len(reach), 1), reach)


def _by_partners(table: Floats, least: int) -> Floats:
    """For each student the mean of their least - 1 best cosines: more partners can only lower it."""
    rows, partners = len(table), least - 1
    found = np.zeros(rows)
    if not partners:
        return found
    step = max(1, BLOCK // rows)
    for at in range(0, rows, step):
        alike = table[at : at + step] @ table.T
        alike[np.arange(len(alike)), np.arange(at, at + len(alike))] = -1.0
        best = np.partition(alike, rows - partners, axis=1)[:, rows - partners :]
        found[at : at + step] = best.mean(axis=1)
    return found


def _by_eigenvalues(table: Floats, taken: Ints, least: int) -> float:
    """Sum over batches of (|S|^2 - n) / (n - 1) is at most least / (least - 1) times (the k largest values - k)."""
    if least < 2 or not taken.all() or min(table.shape) > MOST_COURSES:
        return float("inf")
    gram = table.T @ table if table.shape[1] < len(table) else table @ table.T
    values = np.sort(np.linalg.eigvalsh(gram))[::-1][: len(table) // least]
    return least / (least - 1) * max(float((values - 1.0).clip(0.0).sum()), 0.0)


def silhouette_ceiling(coherence: float, least: int) -> float:
    """No distance is above 1, so a student's silhouette is at most the cosine with their own mean. The mean of those is
    sum of |S_b| / N, by Jensen at most the root of sum of |S_b|^2 / n_b / N, and that is 1 / least + the coherence."""
    return min(1.0, sqrt(1.0 / least + coherence))


def balance_ceiling(cells: Ints, sizes: Sizes) -> float:
    """Exactly: the least K Q over the numbers of batches that each cell may have, where K counts them and Q sums the
    squares of their (near-equal) sizes; then 1 - sqrt(K Q / N^2 - 1).

    sqrt(K Q) is the least of (t K + Q / t) / 2 over t > 0, which falls apart into cells; since Q is convex in a cell's
    number, all solutions that matter are met by raising numbers one by one, the largest gain first.
    """
    students = int(cells.sum())
    if not students:
        return 1.0
    count = squares = 0
    gains: list[Ints] = []
    for cell in np.unique(cells[cells > 0]):
        same = int((cells == cell).sum())
        found = _squares(int(cell), sizes)
        count += same * found[0][0]
        squares += same * found[0][1]
        gains.append(np.repeat(-np.diff([one for _, one in found]), same))
    steps = np.sort(np.concatenate([np.zeros(0, np.int64), *gains]))[::-1]
    product = (count + np.arange(len(steps) + 1.0)) * (squares - np.concatenate([[0.0], np.cumsum(steps)]))
    return 1.0 - sqrt(max(float(product.min()) / students**2 - 1.0, 0.0))


def _squares(students: int, sizes: Sizes) -> list[tuple[int, int]]:
    """Each number of batches that so many students may make, and the squares of the most equal sizes."""
    fewest, most = -(-students // sizes.most), students // sizes.least
    numbers = range(fewest, most + 1) if fewest <= most else range(1, 2)
    return [(k, (students // k) ** 2 * (k - students % k) + (students // k + 1) ** 2 * (students % k)) for k in numbers]
