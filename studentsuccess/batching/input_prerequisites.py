"""What courses build on: circles in it, and enrolments without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.input_fields import owners
from studentsuccess.batching.instance import Flags, Ints, Lists

# So many circles are told apart, and so many courses of one are named.
CIRCLES, NAMED = 20, 8


@dataclass(frozen=True)
class Circle:
    """Courses that build on each other, each on the one after it, and the step from the last to the first."""

    courses: tuple[int, ...]
    step: tuple[int, int]

    def words(self, ids: tuple[str, ...]) -> str:
        named = [ids[course] for course in self.courses[:NAMED]]
        more = ["…"] if len(self.courses) > NAMED else []
        return " → ".join([*named, *more, named[0]])


def circles(before: Lists) -> tuple[Circle, ...]:
    """The steps that close a circle, found in one walk: without them none is left. The first have all their courses."""
    start, items = before.start.tolist(), before.items.tolist()
    state = [0] * (len(start) - 1)  # 0: not seen, 1: on the way here, 2: done
    found: list[Circle] = []
    for root in range(len(state)):
        path, turn = [root] if not state[root] else [], {root: start[root]}
        while path:
            course = path[-1]
            state[course] = 1
            if turn[course] == start[course + 1]:
                state[path.pop()] = 2
                continue
            earlier = items[turn[course]]
            turn[course] += 1
            if state[earlier] == 1:
                courses = tuple(path[path.index(earlier) :]) if len(found) < CIRCLES else ()
                found.append(Circle(courses, (course, earlier)))
            elif not state[earlier]:
                path.append(earlier)
                turn[earlier] = start[earlier]
    return tuple(found)


def without(before: Lists, found: tuple[Circle, ...]) -> Lists:
    """The prerequisites without the steps that close circles."""
    closing = {circle.step for circle in found}
    rows = owners(before)
    kept = np.array([pair not in closing for pair in zip(rows.tolist(), before.items.tolist(), strict=True)], bool)
    start = np.searchsorted(rows[kept], np.arange(len(before.start)))
    return Lists(start.astype(np.int64), before.items[kept], before.labels)


def contained(keys: Ints, among: Ints) -> Flags:
    """Which keys are among others that are sorted."""
    if not len(among):
        return np.zeros(len(keys), bool)
    at = np.searchsorted(among, keys)
    return np.asarray(among[np.minimum(at, len(among) - 1)] == keys)


@dataclass(frozen=True)
class Unmet:
    """Enrolments (rows and courses, one for each prerequisite that is not passed)."""

    students: Ints
    courses: Ints
    missing: Ints

    def rows(self, course: int, missing: int) -> Flags:
        return np.asarray((self.courses == course) & (self.missing == missing))


def unmet(enrolled: Lists, before: Lists, passed: Lists) -> Unmet:
    """The enrolments whose prerequisites are not all passed."""
    students, courses = owners(enrolled), enrolled.items.astype(np.int64)
    counts = np.diff(before.start)[courses]
    at = np.repeat(before.start[:-1][courses] - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    students, courses, needed = (
        np.repeat(students, counts),
        np.repeat(courses, counts),
        before.items[at].astype(np.int64),
    )
    width = max(len(before.labels), 1)
    done = owners(passed) * width + passed.items
    missing = ~contained(students * width + needed, done)
    return Unmet(students[missing], courses[missing], needed[missing])
