"""The rules, judged batch by batch on what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.batching.checker.lists import looks_like_lists, once, pairs_of
from studentsuccess.batching.checker.tables import Column, Ints
from studentsuccess.batching.checker.term import Flags, Term, places

Floats = npt.NDArray[np.float64]
NOISE = 1e-9
_EXACT = 2.0**53
_TEXTS = ("program_id", "academic_year", "semester", "preferred_shift", "student_name")


@dataclass(frozen=True)
class Rule:
    """A rule as quality.json repeats it."""

    code: str
    entity: str
    field: str
    kind: str
    hard: bool
    weight: float
    threshold: float | None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Rule:
        threshold = said.get("threshold")
        return cls(
            str(said["code"]), str(said["entity"]), str(said["field"]), str(said["kind"]), bool(said["hard"]),
            float(said.get("weight", 1.0)), None if threshold is None else float(threshold),
        )  # fmt: skip

    @property
    def limit(self) -> float:
        return 1.0 if self.threshold is None else self.threshold

    @property
    def is_margin(self) -> bool:
        """Whether it is about the seats of a batch's room."""
        return self.entity == "batch" and self.field == "size"

    @property
    def parts(self) -> bool:
        """Whether, being hard, it lets no two values into a batch."""
        return self.hard and (self.kind == "no_mix" or (self.kind == "homogeneous" and self.limit >= 1 - NOISE))


@dataclass(frozen=True)
class Values:
    """A field: for each student (row) any number of items; of texts and numbers one, what is missing being one too."""

    row: Ints
    item: Ints
    many: int
    is_list: bool = False
    numbers: Floats | None = None


@dataclass(frozen=True)
class Batches:
    """Who is with whom. Students are numbered here as they stand in `who`, by id."""

    who: Ints  # their places in the term
    batch: Ints
    count: int
    seats: Ints  # of each batch's room

    @property
    def size(self) -> Ints:
        return np.bincount(self.batch, minlength=self.count)


def field_values(term: Term, who: Ints, name: str, as_numbers: bool = False) -> Values:
    """What a rule's field holds for each of these students."""
    if name == "student_id":
        return Values(np.arange(len(who)), np.arange(len(who)), len(who))
    if name == "enrolled_courses":
        row, course = taken(term, who)
        return Values(row, course, len(term.ids("courses", "course_id")), is_list=True)
    of, _, column = name.partition(".")
    if column and of == "program":
        return _column(_of_program(term, who, column), as_numbers)
    if column and of == "course":
        return _of_courses(term, who, column)
    found = _rows(term.student(name), who)
    if name == "preferred_languages":
        return _listed(found)
    if name in _TEXTS:
        return _texts(_by_shift(term, found) if name == "preferred_shift" else found)
    return _column(found, as_numbers)


def _rows(column: Column, rows: Ints) -> Column:
    return Column(column.codes[rows], column.labels)


def taken(term: Term, who: Ints) -> tuple[Ints, Ints]:
    """Who (by their place in `who`) takes which course."""
    place = np.full(len(term.students), -1, np.int64)
    place[who] = np.arange(len(who))
    row = place[term.takes.student]
    kept = row >= 0
    order = np.lexsort((term.takes.course[kept], row[kept]))
    return row[kept][order], term.takes.course[kept][order]


def _column(column: Column, as_numbers: bool) -> Values:
    """A column that nobody described: lists where all stand in brackets, numbers where all are, else texts."""
    if looks_like_lists(_present(column)):
        return _listed(column)
    values = column.numbers()
    present = values[column.codes >= 0]
    plain = len(present) > 0 and bool(np.isfinite(present).all()) and bool((np.abs(present) <= _EXACT).all())
    if as_numbers or plain:
        distinct, item = np.unique(values, return_inverse=True)
        return Values(np.arange(len(values)), item.astype(np.int64), len(distinct), numbers=values)
    return _texts(column)


def _present(column: Column) -> Column:
    used = np.unique(column.codes[column.codes >= 0]).tolist()
    return Column(column.codes, tuple(column.labels[code] for code in used))


def _texts(column: Column) -> Values:
    return Values(np.arange(len(column.codes)), column.codes + 1, len(column.labels) + 1)


def _listed(column: Column) -> Values:
    row, item, labels = pairs_of(column)
    return Values(row, item, len(labels), is_list=True)


def _by_shift(term: Term, column: Column) -> Column:
    """A shift by its id or its name is the same shift."""
    place = shift_places(term)
    known = [place.get(label, place.get(label.casefold())) for label in column.labels]
    ids = term.ids("shifts", "shift_id")
    labels = [label if at is None else ids[at] for label, at in zip(column.labels, known, strict=True)]
    first = {label: at for at, label in reversed(list(enumerate(labels)))}
    code = np.array([first[label] for label in labels] + [-1], np.int64)
    return Column(code[column.codes], tuple(labels))


def shift_places(term: Term) -> dict[str, int]:
    """Shifts by what they may be called."""
    ids, table = term.ids("shifts", "shift_id"), term.tables["shifts"]
    names = table.get("shift_name", table["shift_id"]).texts()
    folded = {name.casefold(): at for at, name in enumerate(names)} | {one.casefold(): at for at, one in enumerate(ids)}
    return folded | places(ids)


def program_rows(term: Term, who: Ints) -> Ints:
    """The row of each student's program."""
    column = _rows(term.student("program_id"), who)
    place = places(term.ids("programs", "program_id"))
    return np.array([place.get(label, -1) for label in column.labels] + [-1], np.int64)[column.codes]


def _of_program(term: Term, who: Ints, name: str) -> Column:
    rows = program_rows(term, who)
    column = term.tables["programs"][name]
    return Column(np.where(rows >= 0, column.codes[rows], -1), column.labels)


def _of_courses(term: Term, who: Ints, name: str) -> Values:
    """What the courses of a student have in a column; a missing department is that of their program."""
    row, course = taken(term, who)
    column = term.tables["courses"][name]
    labels = list(column.labels)
    item = column.codes[course]
    if name == "department_id":
        own = _of_program(term, who, name)
        place = places(labels)
        code = [place.setdefault(label, len(place)) for label in own.labels]
        item = np.where(item >= 0, item, np.array([*code, -1], np.int64)[own.codes][row])
        labels = list(place)
    return Values(*once(row[item >= 0], item[item >= 0], len(labels)), len(labels), is_list=True)


def most_shared(values: Values, batches: Batches) -> Ints:
    """How many of each batch share the value that most of them have."""
    width = max(values.many, 1)
    found, counts = np.unique(batches.batch[values.row] * width + values.item, return_counts=True)
    most = np.zeros(batches.count, np.int64)
    np.maximum.at(most, found // width, counts)
    return most


def kept(rule: Rule, term: Term, batches: Batches, cell: Ints) -> Flags:
    """For each batch whether the rule holds in it. `cell` is that of every batch."""
    size = batches.size
    if rule.is_margin:
        return np.asarray(size <= rule.limit * batches.seats + NOISE)
    values = field_values(term, batches.who, rule.field, rule.kind == "max_variance")
    if rule.kind == "max_variance":
        return _calm(rule, values, batches, cell)
    most = most_shared(values, batches)
    if rule.kind == "no_mix":
        return np.asarray(most == size)
    share = most / np.maximum(size, 1)
    return np.asarray(share >= rule.limit - NOISE if rule.kind == "homogeneous" else share <= rule.limit + NOISE)


def _calm(rule: Rule, values: Values, batches: Batches, cell: Ints) -> Flags:
    """The variance in a batch against that in its cell, of those who have a number."""
    assert values.numbers is not None
    known = np.isfinite(values.numbers)
    inside = _variance(values.numbers[known], batches.batch[known], batches.count)
    cells = int(cell.max(initial=-1)) + 1
    limit = rule.limit * _variance(values.numbers[known], cell[batches.batch[known]], cells)[cell]
    return np.asarray(inside <= limit + NOISE * np.maximum(limit, 1.0))


def _variance(values: Floats, group: Ints, count: int) -> Floats:
    found = np.zeros(count)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=count))
    for at in range(count):
        mine = values[order[ends[at - 1] if at else 0 : ends[at]]]
        found[at] = mine.var() if len(mine) else 0.0
    return found


@dataclass(frozen=True)
class Cells:
    """The cell of every batch, and whether the files alone say for certain what the cells were."""

    of: Ints
    certain: bool


def cells(term: Term, batches: Batches, rules: tuple[Rule, ...], relaxed: frozenset[str]) -> Cells:
    """Students with one program, one year and one value of each field that a hard rule keeps apart; what a batch joins
    is joined. Which item of a list a batch was made for is not written, and neither is what was merged without need."""
    fields = dict.fromkeys(["program_id", "academic_year", *(rule.field for rule in rules if rule.parts)])
    number = np.zeros(len(batches.who), np.int64)
    certain = not relaxed & set(fields)
    for name in fields:
        values = field_values(term, batches.who, name)
        if values.is_list:
            certain = False
            continue
        number = np.unique(number * (values.many + 1) + values.item, return_inverse=True)[1].astype(np.int64)
    return Cells(_linked(batches, number), certain)


def _linked(batches: Batches, number: Ints) -> Ints:
    """Batches that share a number, or are joined by ones that do."""
    head = np.arange(int(number.max(initial=-1)) + 1)
    pairs = np.unique(np.stack([batches.batch, number]), axis=1)
    first = np.full(batches.count, -1, np.int64)
    for batch, one in pairs.T.tolist():
        if first[batch] < 0:
            first[batch] = one
        else:
            here, there = _root(head, int(first[batch])), _root(head, one)
            head[max(here, there)] = min(here, there)
    roots = [_root(head, int(one)) if one >= 0 else -1 for one in first]
    return np.unique(np.array(roots, np.int64), return_inverse=True)[1].astype(np.int64)


def _root(head: Ints, at: int) -> int:
    while head[at] != at:
        at = int(head[at])
    return at
