"""One term's problem as arrays: students, courses, rooms, shifts, faculty and rules, checked and in a fixed order.

Everything is sorted by its id, so that the order of rows in the files can't change a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Texts:
    """One value a row: a code into sorted labels; -1 where there is none."""

    codes: Codes
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Lists:
    """Any number of values a row, each once and ascending: row i has items[start[i]:start[i + 1]]."""

    start: Ints
    items: Codes
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """One number a row; NaN where there is none."""

    values: Floats


Field = Texts | Lists | Numbers


@dataclass(frozen=True)
class Rule:
    """A row of dynamic_parameters.csv, checked: what must or should hold in every batch."""

    code: str
    entity: str  # student, batch, course, program, institution
    field: str
    kind: str  # no_mix, homogeneous, max_variance, capacity_limit
    hard: bool
    weight: float = 1.0
    threshold: float | None = None

    @property
    def words(self) -> str:
        limit = f", {self.threshold:g}" if self.threshold is not None else ""
        return f"{self.kind}({self.field}{limit})"


@dataclass(frozen=True)
class Students:
    """Who is to be placed; `fields` has every column of the file, and `enrolled_courses` in it codes of Courses."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    fields: Mapping[str, Field]
    completed: Lists | None = None  # courses passed before, where a history is given

    @property
    def count(self) -> int:
        return len(self.ids)

    def texts(self, name: str) -> Texts:
        found = self.fields[name]
        assert isinstance(found, Texts), name
        return found

    def lists(self, name: str) -> Lists:
        found = self.fields[name]
        assert isinstance(found, Lists), name
        return found


@dataclass(frozen=True)
class Programs:
    ids: tuple[str, ...]
    names: tuple[str, ...]
    departments: tuple[str, ...]  # a department's id for each program


@dataclass(frozen=True)
class Courses:
    ids: tuple[str, ...]
    names: tuple[str, ...]
    credits: Floats
    weekly_hours: Floats
    departments: tuple[str | None, ...]  # None: the department of the program that takes it
    prerequisites: Lists  # codes of Courses


@dataclass(frozen=True)
class Shifts:
    ids: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Rooms:
    ids: tuple[str, ...]
    capacity: Ints
    kinds: tuple[str, ...]
    open: Flags  # rooms x shifts


@dataclass(frozen=True)
class Faculty:
    """None of it given means unlimited, and then there is no Faculty."""

    ids: tuple[str, ...]
    departments: tuple[str, ...]
    hours: Floats  # most hours a week
    shifts: Flags  # faculty x shifts


@dataclass(frozen=True)
class Sizes:
    """Members of a batch."""

    least: int = 15
    target: int = 35
    most: int = 60

    @property
    def curvature(self) -> float:
        """c in Z = 1 - (1/N) sum of c (n - target)^2, small enough that no allowed size makes a term negative."""
        below, above = self.target - self.least, self.most - self.target
        ends = [self.least / below**2] if below else []
        ends += [self.most / above**2] if above else []
        return min(ends, default=0.0)


@dataclass(frozen=True)
class Weights:
    """What counts how much; they sum to 1. Batches are formed on homogeneity and size, rooms chosen for balance."""

    homogeneity: float = 0.4
    balance: float = 0.3
    size: float = 0.3


@dataclass(frozen=True)
class Pins:
    """Students (by row) who must be together (groups), and pairs who must not be."""

    together: tuple[tuple[int, ...], ...] = ()
    apart: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Instance:
    """All of it."""

    students: Students
    programs: Programs
    courses: Courses
    rooms: Rooms
    shifts: Shifts
    faculty: Faculty | None
    rules: tuple[Rule, ...]
    sizes: Sizes = Sizes()
    weights: Weights = Weights()
    pins: Pins = Pins()
    previous: Codes | None = None  # each student's batch last time, -1 for who is new
    relax: tuple[str, ...] = ()
    seed: int = 0

    @cached_property
    def hard(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.hard)

    @cached_property
    def soft(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if not rule.hard)


@dataclass(frozen=True)
class Grouping:
    """Who is with whom: each student's batch, numbered in a fixed order; and how good that is, provably."""

    batch: Codes  # a batch for every student, 0..count-1
    cell: Codes  # the cell of every batch
    cell_keys: tuple[str, ...]
    objective: float  # J of the facts, of the whole
    bound: float
    random: float
    notes: tuple[str, ...] = ()
    cells: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)  # key: (J, bound, random)
    moved: int | None = None  # students not in the batch that took over from theirs, where there was a former grouping

    @property
    def count(self) -> int:
        return len(self.cell)

    @property
    def gap_closed(self) -> float | None:
        room = self.bound - self.random
        return (self.objective - self.random) / room if room > 1e-12 else None


@dataclass(frozen=True)
class Placement:
    """Where and when each batch meets."""

    room: Codes
    shift: Codes
    best_utilisation: float  # the best seat utilisation that this room stock allows for these batch sizes


@dataclass(frozen=True)
class Fix:
    """A way out that was tried and works."""

    words: str
    flag: str = ""  # what to add to the command, where a flag does it


@dataclass(frozen=True)
class Obstacle:
    """One reason why it can't be done."""

    code: str
    scope: str
    required: float
    available: float
    shortfall: float
    words: str
    rules: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()


class Infeasible(Exception):  # noqa: N818 - a finding, not a failure
    """There is no solution, and these are the reasons."""

    def __init__(self, obstacles: tuple[Obstacle, ...]) -> None:
        super().__init__(obstacles[0].words if obstacles else "no solution")
        self.obstacles = obstacles
