"""What someone would write without `ss` to put students together: clusters of courses, over all students or by cell.

usage: plain_batches.py spectral|kmeans TERM OUT.csv
`spectral` is global spectral clustering on cosines, the default of an earlier system. `kmeans` is k-means with sizes
from 15 to 60 in each program and year, its assignment solved exactly. Neither knows rules, rooms or shifts.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

TARGET, LEAST, MOST = 35, 15, 60
ROUNDS = 30


def students(term: Path) -> tuple[list[str], list[tuple[str, str]], np.ndarray]:
    """Ids, program and year, and courses as unit rows."""
    with (term / "student_data.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    taken = [json.loads(row["enrolled_courses"]) for row in rows]
    column = {course: at for at, course in enumerate(sorted({one for mine in taken for one in mine}))}
    table = np.zeros((len(rows), len(column)), np.float32)
    for at, mine in enumerate(taken):
        table[at, [column[one] for one in mine]] = 1.0
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    return [row["student_id"] for row in rows], [(row["program_id"], row["academic_year"]) for row in rows], table


def spectral(_: list[tuple[str, str]], table: np.ndarray) -> np.ndarray:
    from sklearn.cluster import SpectralClustering

    found = SpectralClustering(max(1, round(len(table) / TARGET)), affinity="precomputed", random_state=0)
    return np.asarray(found.fit_predict(table @ table.T))


def kmeans(cells: list[tuple[str, str]], table: np.ndarray) -> np.ndarray:
    labels = np.zeros(len(cells), np.int64)
    first = 0
    for cell in sorted(set(cells)):
        rows = np.array([at for at, one in enumerate(cells) if one == cell])
        count = max(1, round(len(rows) / TARGET))
        labels[rows] = first + _sized(table[rows], count)
        first += count
    return labels


def _sized(table: np.ndarray, count: int) -> np.ndarray:
    """Lloyd's steps with an exact assignment: the least seats of each cluster must be taken, the rest may."""
    from scipy.optimize import linear_sum_assignment

    draw = np.random.default_rng(0)
    least = min(LEAST, len(table) // count)
    seat = np.concatenate([np.repeat(np.arange(count), least), np.repeat(np.arange(count), MOST - least)])
    must = np.arange(len(seat)) < least * count
    means = table[draw.choice(len(table), count, replace=False)]
    labels = np.full(len(table), -1)
    for _ in range(ROUNDS):
        alike = table @ means.T
        # A seat that must be taken is worth more than any likeness.
        value = alike[:, seat] + np.where(must, 1e3, 0.0)
        rows, taken = linear_sum_assignment(value, maximize=True)
        now = np.empty(len(table), np.int64)
        now[rows] = seat[taken]
        if (now == labels).all():
            break
        labels = now
        means = np.stack([table[labels == at].mean(axis=0) for at in range(count)])
    return labels


def main(arguments: list[str]) -> int:
    how, term, out = arguments
    ids, cells, table = students(Path(term))
    found: Any = {"spectral": spectral, "kmeans": kmeans}[how](cells, table)
    with Path(out).open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows([("student_id", "batch"), *zip(ids, found.tolist(), strict=True)])
    return 0


def command(how: str, term: Path, out: Path) -> list[str]:
    """How this script is run."""
    return [sys.executable, __file__, how, str(term), str(out)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
