"""Which courses a batch takes: as a section of its own, or pooled with others where few in the batch take it.

A course is pooled when fewer than three members take it, or fewer than a fifth of the batch, but never when all of them
do: that a batch is small is no reason to send everyone elsewhere. Decided here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.instance import Codes, Flags, Instance, Ints

FEWEST = 3
FIFTH = 5


@dataclass(frozen=True)
class Sections:
    """A row for every batch and course that somebody in it takes, by batch, then by course."""

    batch: Ints
    course: Ints
    taking: Ints  # members who take it
    pooled: Flags


def is_pooled(taking: Ints, size: Ints) -> Flags:
    """Whether so few of a batch of that size take the course that it gets no section of its own."""
    return ((taking < FEWEST) | (FIFTH * taking < size)) & (taking < size)


def sections_of(instance: Instance, batch: Codes, count: int) -> Sections:
    """Who takes what in `count` batches, `batch` being that of every student."""
    taken = instance.students.lists("enrolled_courses")
    many = max(len(instance.courses.ids), 1)
    key = np.repeat(batch.astype(np.int64), np.diff(taken.start)) * many + taken.items
    found, taking = np.unique(key, return_counts=True)
    of, course = np.divmod(found, many)
    sizes = np.bincount(batch, minlength=count)
    return Sections(of, course, taking.astype(np.int64), is_pooled(taking, sizes[of]))
