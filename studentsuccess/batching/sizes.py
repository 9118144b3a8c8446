"""How many batches a number of students can make, of what sizes, and what a size is worth."""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.instance import Flags, Floats, Ints, Sizes


def counts(students: int, sizes: Sizes) -> range:
    """Every number of batches into which so many can be split."""
    return range(-(-students // sizes.most), students // sizes.least + 1)


def fits(students: int, sizes: Sizes) -> bool:
    return len(counts(students, sizes)) > 0


def fitting(most: int, sizes: Sizes) -> Flags:
    """The same for every number up to `most`."""
    students = np.arange(most + 1)
    return -(-students // sizes.most) <= students // sizes.least


def near_equal(students: int, batches: int) -> Ints:
    """Sizes that differ by at most one, the larger first; best for a term that is concave in the size."""
    found = np.full(batches, students // batches, np.int64)
    found[: students % batches] += 1
    return found


def size_worth(size: Ints, sizes: Sizes) -> Floats:
    """What each batch adds to N times Z: its members, less the cost of being off the target."""
    return size - sizes.curvature * (size - float(sizes.target)) ** 2


def best_worth(students: int, batches: int, sizes: Sizes) -> float:
    """The most that N times Z can be with that many batches."""
    return float(size_worth(near_equal(students, batches), sizes).sum())
