"""What the reports of a run say, counted once: the page, the text, the table and the document are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from studentsuccess.batching.instance import Instance, Ints, Lists, Numbers, Rule, Texts
from studentsuccess.batching.outputs import Named, Solution
from studentsuccess.batching.quality import Figures, Quality
from studentsuccess.batching.sections import sections_of
from studentsuccess.batching.vectors import field_of

WISH = "preferred_shift"
# How many students and batches a page names: the list is there to be read.
HARDEST = 25
# Below it even a student's best partners share less than half of what they take.
FAR = 0.5


@dataclass(frozen=True)
class BatchRow:
    """One batch as people look at it."""

    batch_id: str
    code: str
    program: str
    year: str
    size: int
    coherence: float
    jaccard: float
    room: str
    shift: str
    capacity: int
    fill: float
    wished: int | None  # members whose preferred shift it is
    courses: int
    pooled: int
    violations: int


@dataclass(frozen=True)
class ShiftUse:
    """A shift: rooms that are open, those in use, and the seats and students in them."""

    name: str
    open: int
    used: int
    seats: int
    students: int


@dataclass(frozen=True)
class RuleKept:
    """A rule and how often it is not kept."""

    code: str
    words: str
    hard: bool
    relaxed: bool
    weight: float
    broken: int

    @property
    def kind(self) -> str:
        if self.hard:
            return "hard, relaxed" if self.relaxed else "hard"
        return f"wish, weight {self.weight:g}"


@dataclass(frozen=True)
class Hardest:
    """A student who is with others than those they go best with: only an id, and why."""

    student_id: str
    batch: str
    likeness: float
    reach: float
    why: str


@dataclass(frozen=True)
class Facts:
    """All that a report may say."""

    day: date
    students: int
    cells: int
    objective: float
    bound: float
    random: float
    gap_closed: float | None
    sizes: tuple[int, int, int]
    quality: Quality
    batches: tuple[BatchRow, ...]
    shifts: tuple[ShiftUse, ...]
    rules: tuple[RuleKept, ...]
    hardest: tuple[Hardest, ...]
    notes: tuple[str, ...]

    @property
    def balance(self) -> Mapping[str, float]:
        return self.quality.balance_by_program


def facts_of(solution: Solution, named: Named, quality: Quality, day: date, notes: tuple[str, ...]) -> Facts:
    """Count everything."""
    instance, grouping = solution.instance, solution.grouping
    sizes = instance.sizes
    return Facts(
        day,
        instance.students.count,
        len(grouping.cell_keys),
        grouping.objective,
        grouping.bound,
        grouping.random,
        grouping.gap_closed,
        (sizes.least, sizes.target, sizes.most),
        quality,
        tuple(_batches(solution, named, quality.figures)),
        tuple(_shifts(solution)),
        tuple(
            RuleKept(rule.code, words_of(rule), rule.hard, found.relaxed, rule.weight, found.count)
            for rule, found in zip(instance.rules, quality.violations, strict=True)
        ),
        tuple(_hardest(solution, named, quality)),
        notes,
    )


def words_of(rule: Rule) -> str:
    """A rule as a sentence."""
    share = f"{1.0 if rule.threshold is None else rule.threshold:.0%}"
    if rule.kind == "capacity_limit" and rule.field == "size":
        return f"at most {share} of a room's seats taken"
    return {
        "no_mix": f"one {rule.field} in a batch",
        "homogeneous": f"one {rule.field} for at least {share} of a batch",
        "max_variance": f"{rule.field} varies in a batch at most {share} as much as in its cell",
        "capacity_limit": f"no {rule.field} for more than {share} of a batch",
    }[rule.kind]


def _batches(solution: Solution, named: Named, figures: Figures) -> list[BatchRow]:
    instance, placement = solution.instance, solution.placement
    count = solution.grouping.count
    sections = sections_of(instance, solution.grouping.batch, count)
    courses = np.bincount(sections.batch, minlength=count)
    pooled = np.bincount(sections.batch, sections.pooled, count).astype(int)
    wished = _wished(solution)
    rows = []
    for at in range(count):
        room, shift = placement.room[at], placement.shift[at]
        capacity = int(instance.rooms.capacity[room])
        rows.append(
            BatchRow(
                named.ids[at],
                named.codes[at],
                named.programs[at],
                named.years[at],
                int(figures.size[at]),
                float(figures.coherence[at]),
                float(figures.jaccard[at]),
                instance.rooms.ids[room],
                _shift_name(instance, shift),
                capacity,
                int(figures.size[at]) / capacity,
                None if wished is None else int(wished[at]),
                int(courses[at]),
                int(pooled[at]),
                int(figures.violations[at]),
            )
        )
    return rows


def _shift_name(instance: Instance, shift: int) -> str:
    return instance.shifts.names[shift] or instance.shifts.ids[shift]


def _wished(solution: Solution) -> Ints | None:
    """Members whose preferred shift is the one they got; None where nobody was asked."""
    happy = _happy(solution)
    if happy is None:
        return None
    return np.bincount(solution.grouping.batch, happy, solution.grouping.count).astype(np.int64)


def _happy(solution: Solution) -> np.ndarray | None:
    """Who meets in a shift that they prefer, by its id or its name."""
    instance = solution.instance
    values = field_of(instance, WISH)
    if values is None or isinstance(values, Numbers):
        return None
    means = {name.casefold(): at for at, name in reversed(list(enumerate(instance.shifts.names)))}
    means |= {one.casefold(): at for at, one in enumerate(instance.shifts.ids)}
    shift_of = np.array([*(means.get(label.casefold(), -1) for label in values.labels), -1], np.int64)
    got = solution.placement.shift[solution.grouping.batch]
    if isinstance(values, Texts):
        return np.asarray(shift_of[values.codes] == got)
    assert isinstance(values, Lists)
    row = np.repeat(np.arange(len(got)), np.diff(values.start))
    found = np.zeros(len(got), np.bool_)
    found[row[shift_of[values.items] == got[row]]] = True
    return found


def _shifts(solution: Solution) -> list[ShiftUse]:
    instance, placement = solution.instance, solution.placement
    rows = []
    for at in range(len(instance.shifts.ids)):
        mine = placement.shift == at
        rows.append(
            ShiftUse(
                _shift_name(instance, at),
                int(instance.rooms.open[:, at].sum()),
                int(mine.sum()),
                int(instance.rooms.capacity[placement.room[mine]].sum()),
                int(solution.sizes[mine].sum()),
            )
        )
    return rows


def _hardest(solution: Solution, named: Named, quality: Quality) -> list[Hardest]:
    """Those whose batch has least in common with them; of equals the first by id."""
    people, grouping = quality.people, solution.grouping
    taken = np.diff(solution.instance.students.lists("enrolled_courses").start)
    happy = _happy(solution)
    rows = []
    for at in np.lexsort((np.arange(len(taken)), people.likeness))[:HARDEST]:
        why = _why(int(taken[at]), float(people.likeness[at]), float(people.reach[at]))
        if happy is not None and not happy[at]:
            why += "; and meets in another shift than preferred"
        likeness, reach = float(people.likeness[at]), float(people.reach[at])
        rows.append(Hardest(solution.instance.students.ids[at], named.codes[grouping.batch[at]], likeness, reach, why))
    return rows


def _why(taken: int, likeness: float, reach: float) -> str:
    if not taken:
        return "takes no course: no batch suits better than another"
    if reach < FAR:
        return "takes other courses than everybody who may be in a batch with them"
    if reach - likeness < 0.1:
        return "is nearly as well off as they could be"
    return "goes best with students whose batches had no place left within the sizes and rules"
