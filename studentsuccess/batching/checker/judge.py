"""What the files say, held against the term and against what the run said of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from studentsuccess.batching.checker.hours import short_departments
from studentsuccess.batching.checker.measures import Found, found, sections
from studentsuccess.batching.checker.rules import (
    Batches,
    Cells,
    Rule,
    Values,
    cells,
    field_values,
    kept,
    most_shared,
    shift_places,
)
from studentsuccess.batching.checker.tables import Column, Ints
from studentsuccess.batching.checker.term import Flags, Term, places, read_term
from studentsuccess.batching.checker.written import (
    ASSIGNMENTS,
    BATCHES,
    ENROLMENTS,
    MEMBERS,
    Written,
    guarded,
    read_written,
    through,
)

TOLERANCE = 1e-9
# What depends on cells, which a relaxed rule or a list leaves in the dark.
_BY_CELL = ("silhouette", "silhouette_siblings")
_SHIFT = "preferred_shift"


@dataclass(frozen=True)
class Broken:
    """A rule, or something that always holds, and in how many places it does not."""

    rule: str
    hard: bool
    count: int


@dataclass(frozen=True)
class Verified:
    """Everything recomputed, and where that differs from what is written."""

    students: int
    batches: int
    objective: float
    measures: Mapping[str, float]
    violations: tuple[Broken, ...]  # every rule of the run, then whatever else is broken
    disagreements: tuple[str, ...]

    @property
    def hard_violations(self) -> int:
        return sum(one.count for one in self.violations if one.hard)

    @property
    def ok(self) -> bool:
        return not self.disagreements and not self.hard_violations


def verify(out: Path, folder: Path) -> Verified:
    """Hold what is written in `out` against the term in `folder`."""
    written = read_written(out)
    request: Mapping[str, Any] = written.said.get("request", {})
    rules = tuple(Rule.of(one) for one in request.get("rules", ()))
    term = read_term(folder, request, [rule.field for rule in rules])
    return _Judge(written, term, request, rules).verdict()


class _Judge:
    """One look at everything: `wrong` counts what always holds and does not here, `differs` what is said wrongly."""

    def __init__(self, written: Written, term: Term, request: Mapping[str, Any], rules: tuple[Rule, ...]) -> None:
        self.written, self.term, self.request, self.rules = written, term, request, rules
        self.wrong: Counter[str] = Counter()
        self.differs: list[str] = [f"{name} is not the file that was batched" for name in term.changed]
        self.room = self._of_batch("room_id", places(term.ids("rooms", "room_id")), "a room that there is")
        self.shift = self._of_batch("shift_id", places(term.ids("shifts", "shift_id")), "a shift that there is")
        self.batches = self._batches()
        self.courses = field_values(term, self.batches.who, "enrolled_courses")
        self.taught = sections(self.courses, self.batches)
        self.relaxed = frozenset(str(name) for name in request.get("relax", ()))
        self.cells: Cells = cells(term, self.batches, rules, self.relaxed)

    def verdict(self) -> Verified:
        self._ids()
        self._sizes()
        self._resources()
        self._pins()
        self.wrong["courses whose prerequisites are passed"] += self.term.unready
        holds = {rule: kept(rule, self.term, self.batches, self.cells.of) for rule in self.rules}
        result = found(self.term, self.batches, self.courses, self.taught, self.cells.of, holds, self.request)
        self._members()
        self._enrolments()
        self._assignments()
        self._batch_rows(result, holds)
        self._said(result, holds)
        return Verified(
            len(self.batches.who),
            self.batches.count,
            result.objective,
            result.measures,
            (*self._rules(holds), *(Broken(name, True, count) for name, count in self.wrong.items() if count)),
            tuple(self.differs),
        )

    def _rules(self, holds: Mapping[Rule, Flags]) -> Iterator[Broken]:
        """A hard rule about what was relaxed is a wish: its field may be mixed where batches would not fit else."""
        for rule, fine in holds.items():
            yield Broken(rule.code, rule.hard and rule.field not in self.relaxed, int((~fine).sum()))

    # What there is

    def _of_batch(self, name: str, place: Mapping[str, int], meant: str) -> Ints:
        """What the assignments say of each batch; the first row of a batch counts, 0 stands for what is not there."""
        table = self.written.tables[ASSIGNMENTS]
        batch = self.written.batch_of(ASSIGNMENTS)
        value = through(table[name], {guarded(text): at for text, at in place.items()})
        self.wrong[meant] += int((value < 0).sum())
        found = np.full(len(self.written.batch_ids), -1, np.int64)
        rows = np.flatnonzero(batch >= 0)[::-1]
        found[batch[rows]] = value[rows]
        if name == "room_id":
            self.wrong["one room and shift a batch"] += int((found < 0).sum()) + len(batch) - len(np.unique(batch))
        return np.maximum(found, 0)

    def _batches(self) -> Batches:
        """Who is where; a student who is in several batches counts in the first, one who is in none is left out."""
        table, count = self.written.tables[MEMBERS], len(self.written.batch_ids)
        place = {guarded(one): at for at, one in enumerate(self.term.students)}
        student, batch = through(table["student_id"], place), self.written.batch_of(MEMBERS)
        self.wrong["members who are students"] += int((student < 0).sum())
        self.wrong["members of a batch that there is"] += int((batch < 0).sum())
        rows = np.flatnonzero((student >= 0) & (batch >= 0))
        known, first = np.unique(student[rows], return_index=True)
        missing = 0 if self.request.get("lenient") else len(self.term.students) - len(known)
        self.wrong["every student in one batch"] += missing + len(rows) - len(known)
        order = np.array(sorted(range(len(known)), key=lambda at: self.term.students[known[at]]), np.int64)
        capacity = np.nan_to_num(self.term.tables["rooms"]["capacity"].numbers()).astype(np.int64)
        return Batches(known[order], batch[rows][first][order], count, capacity[self.room])

    # What always holds

    def _ids(self) -> None:
        """Each table's own ids are digests of names, and each is there once; batches refer to each other's rows."""
        self.wrong["ids that are UUIDs"] += self.written.strange_ids
        self.wrong["ids that are there once"] += self.written.repeated_ids
        self.wrong["courses of a batch that there is"] += int((self.written.batch_of(ENROLMENTS) < 0).sum())

    def _sizes(self) -> None:
        sizes, size = self.request.get("sizes", {}), self.batches.size
        least, most = int(sizes.get("min", 0)), int(sizes.get("max", len(self.batches.who)))
        self.wrong["sizes"] += int(((size < least) | (size > most)).sum())
        self.wrong["seats for everyone"] += int((size > self.batches.seats).sum())

    def _resources(self) -> None:
        slots = np.stack([self.room, self.shift])
        self.wrong["a room for one batch at a time"] += self.batches.count - np.unique(slots, axis=1).shape[1]
        self.wrong["rooms that are open"] += int((~self.term.open[self.room, self.shift]).sum())
        taught = (self.taught.batch, self.taught.course)
        self.wrong["hours of teachers"] += short_departments(
            self.term, self.batches, taught, self.taught.pooled, self.shift
        )
        if _SHIFT not in self.relaxed:
            self.wrong["the shift that members prefer"] += self._strays()

    def _strays(self) -> int:
        """Batches that don't meet in a shift that most members prefer, where a hard rule ties them to it."""
        rules = [rule for rule in self.rules if rule.hard and rule.field == _SHIFT]
        if not any(rule.kind in ("no_mix", "homogeneous") for rule in rules):
            return 0
        values = field_values(self.term, self.batches.who, _SHIFT)
        meant = self._shift_of_item(values)
        known = meant[values.item] >= 0
        most = most_shared(Values(values.row[known], values.item[known], values.many, values.is_list), self.batches)
        here = meant[values.item] == self.shift[self.batches.batch[values.row]]
        liked = np.bincount(self.batches.batch[values.row[here]], minlength=self.batches.count)
        return int((liked < most).sum())

    def _shift_of_item(self, values: Values) -> Ints:
        """The shift that each code of the field means; -1 for what means none."""
        column, known = self.term.student(_SHIFT), shift_places(self.term)
        if not values.is_list and values.many == len(column.labels) + 1:
            named = ["", *column.labels]
            return np.array([known.get(name, known.get(name.casefold(), -1)) for name in named], np.int64)
        return np.full(max(values.many, 1), -1, np.int64)

    def _pins(self) -> None:
        pins = self.request.get("pins", {})
        place = {self.term.students[row]: at for at, row in enumerate(self.batches.who.tolist())}
        batch = self.batches.batch

        def of(names: Sequence[str]) -> list[int]:
            return [int(batch[place[name]]) for name in names if name in place]

        self.wrong["pinned together"] += sum(len(set(of(names))) > 1 for names in pins.get("together", ()))
        apart = [of(pair) for pair in pins.get("apart", ())]
        self.wrong["pinned apart"] += sum(len(pair) != len(set(pair)) for pair in apart)

    # What is written

    def _differ(self, table: str, column: str, bad: np.ndarray | Sequence[bool]) -> None:
        count = int(np.count_nonzero(bad))
        if count:
            self.differs.append(f"{table}.csv, {column}: {count} row{'s' * (count != 1)} with another value")

    def _members(self) -> None:
        table = self.written.tables[MEMBERS]
        place = {guarded(one): at for at, one in enumerate(self.term.students)}
        student = through(table["student_id"], place)
        known = np.flatnonzero(student >= 0)
        for name in ("student_name", "program_id", "academic_year"):
            theirs = self.term.student(name)
            self._differ(MEMBERS, name, _unlike(theirs, student[known], table[name], known))
        self._differ(MEMBERS, "membership_status", [one != "ACTIVE" for one in table["membership_status"].labels])
        day = self.request.get("date")
        dates = table["enrollment_date"].labels
        self._differ(MEMBERS, "enrollment_date", [not _is_day(one) or one != (day or one) for one in dates])

    def _enrolments(self) -> None:
        """A row for each batch and course, with how many take it."""
        table, courses = self.written.tables[ENROLMENTS], self.term.tables["courses"]
        place = {guarded(one): at for at, one in enumerate(courses["course_id"].texts())}
        batch, course = self.written.batch_of(ENROLMENTS), through(table["course_id"], place)
        self.wrong["courses that there are"] += int((course < 0).sum())
        width = max(len(place), 1)
        key = np.where((batch >= 0) & (course >= 0), batch * width + course, -1)
        should = self.taught.batch * width + self.taught.course
        self._differ(ENROLMENTS, "course_id", [True] * len(np.setxor1d(key, should)))
        self.wrong["a course of a batch is there once"] += len(key) - len(np.unique(key))
        rows = np.flatnonzero(np.isin(key, should))
        at, of = np.searchsorted(should, key[rows]), course[rows]
        taking = self.taught.taking[at]
        self._differ(ENROLMENTS, "expected_students", table["expected_students"].numbers()[rows] != taking)
        seats = self.batches.seats[batch[rows]]
        self._differ(ENROLMENTS, "capacity_utilization", _unequal(table["capacity_utilization"], rows, taking / seats))
        pooled = np.array([one == "POOLED" for one in table["enrollment_status"].labels], np.bool_)
        self._differ(ENROLMENTS, "enrollment_status", self._status(table["enrollment_status"], rows, pooled, at))
        names = courses.get("course_name", courses["course_id"])
        named = Column(np.where(names.codes >= 0, names.codes, len(names.labels)), (*names.labels, ""))
        self._differ(ENROLMENTS, "course_name", _unlike(named, of, table["course_name"], rows, courses["course_id"]))
        self._differ(
            ENROLMENTS, "credit_hours", _unequal(table["credit_hours"], rows, courses["credits"].numbers()[of])
        )

    def _status(self, column: Column, rows: Ints, pooled: Flags, at: Ints) -> Flags:
        known = np.array([one in ("POOLED", "ENROLLED") for one in column.labels], np.bool_)
        codes = column.codes[rows]
        return np.asarray(~known[codes] | (pooled[codes] != self.taught.pooled[at]))

    def _assignments(self) -> None:
        table, batch = self.written.tables[ASSIGNMENTS], self.written.batch_of(ASSIGNMENTS)
        rows = np.flatnonzero(batch >= 0)
        seats, size = self.batches.seats[batch[rows]], self.batches.size[batch[rows]]
        self._differ(ASSIGNMENTS, "room_capacity", table["room_capacity"].numbers()[rows] != seats)
        self._differ(ASSIGNMENTS, "utilization", _unequal(table["utilization"], rows, size / seats))

    def _batch_rows(self, result: Found, holds: Mapping[Rule, Flags]) -> None:
        table, size = self.written.tables[BATCHES], self.batches.size
        every = np.arange(self.batches.count)
        soft = sum((~fine).astype(int) for rule, fine in holds.items() if not rule.hard)
        self._differ(BATCHES, "size", table["size"].numbers() != size)
        self._differ(BATCHES, "coherence", _unequal(table["coherence"], every, result.coherence))
        self._differ(
            BATCHES, "resource_efficiency", _unequal(table["resource_efficiency"], every, size / self.batches.seats)
        )
        self._differ(BATCHES, "violations", table["violations"].numbers() != soft)
        codes = table["batch_code"]
        self.wrong["batch codes that are there once"] += len(codes.codes) - len(np.unique(codes.codes))
        values = field_values(self.term, self.batches.who, "program_id")
        share = most_shared(values, self.batches) / np.maximum(size, 1)
        self._differ(BATCHES, "program_consistency", _unequal(table["program_consistency"], every, share))
        for name in ("program_id", "academic_year"):
            self._differ(BATCHES, name, self._not_most_common(name, table[name]))

    def _not_most_common(self, name: str, column: Column) -> Flags:
        """Batches that are named after a value that fewer members have than another."""
        values = field_values(self.term, self.batches.who, name)
        theirs = self.term.student(name)
        place = {guarded(label): at + 1 for at, label in enumerate(theirs.labels)}
        said = through(column, place)[self.batches.batch[values.row]]
        have = np.bincount(self.batches.batch[values.row[values.item == said]], minlength=self.batches.count)
        return np.asarray(have < most_shared(values, self.batches))

    # What the run said of itself

    def _said(self, result: Found, holds: Mapping[Rule, Flags]) -> None:
        said = self.written.said
        self._same("students", said.get("students"), len(self.batches.who))
        self._same("batches", said.get("batches"), self.batches.count)
        self._same("objective", said.get("objective"), result.objective)
        self._figures(said)
        for name, value in result.measures.items():
            self._measure(name, value, said.get("measures", {}).get(name))
        broken = {rule.code: int((~fine).sum()) for rule, fine in holds.items()}
        dark = {rule.code for rule in holds if rule.kind == "max_variance"} if not self.cells.certain else set()
        listed = {one["rule"]: one["count"] for one in said.get("violations", ())}
        for code in sorted((broken.keys() | listed.keys()) - dark):
            self._same(f"violations of {code}", listed.get(code), broken.get(code))
        if not dark:
            hard = sum(broken[rule.code] for rule in holds if rule.hard and rule.field not in self.relaxed)
            self._same("hard_violations", said.get("hard_violations"), hard)
        for name, value in said.get("balance_by_program", result.by_program).items():
            self._same(f"balance of {name}", value, result.by_program.get(name))

    def _figures(self, said: Mapping[str, Any]) -> None:
        """The bound is no less than what was reached, and the gap is what follows from the three figures."""
        reached, bound, chance = (said.get(name) for name in ("objective", "bound", "random"))
        if reached is None or bound is None or chance is None:
            return
        if reached > bound + TOLERANCE:
            self.differs.append(f"objective is {reached}, above its bound {bound}")
        gap = (reached - chance) / (bound - chance) if bound - chance > 1e-12 else None
        self._same("gap_closed", said.get("gap_closed"), gap, 1e-6)

    def _measure(self, name: str, value: float, said: Mapping[str, Any] | None) -> None:
        if said is None:
            self.differs.append(f"{name} is not said, and is {value}")
            return
        if name in _BY_CELL and not self.cells.certain:
            return
        self._same(name, said.get("value"), value)
        ceiling, threshold = said.get("ceiling"), said.get("threshold")
        if ceiling is not None and value > ceiling + TOLERANCE:
            self.differs.append(f"{name} is {value}, above its ceiling {ceiling}")
        verdict = None
        if threshold is not None:
            short = "UNATTAINABLE" if ceiling is not None and ceiling < threshold else "FAIL"
            verdict = "PASS" if value >= threshold - TOLERANCE else short
        if said.get("verdict") != verdict:
            self.differs.append(f"{name} is said to be {said.get('verdict')}, and is {verdict}")

    def _same(self, name: str, said: Any, value: Any, tolerance: float = TOLERANCE) -> None:
        if said is None or value is None:
            same = said is None and value is None
        else:
            same = abs(said - value) <= tolerance * max(1.0, abs(said), abs(value))
        if not same:
            self.differs.append(f"{name} is said to be {said}, and is {value}")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _unequal(column: Column, rows: Ints, values: np.ndarray) -> Flags:
    """Rows with another number than that."""
    said = column.numbers()[rows]
    both = np.isnan(said) & np.isnan(values)
    close = np.abs(said - values) <= TOLERANCE * np.maximum(1.0, np.abs(values))
    return np.asarray(~(both | close))


def _unlike(meant: Column, places_: Ints, written: Column, rows: Ints, instead: Column | None = None) -> Flags:
    """Rows with another text than the term has; where it has none, the text of another column, or nothing."""
    texts = meant.texts()
    if instead is not None:
        texts = [text or other for text, other in zip(texts, instead.texts(), strict=True)]
    said = written.texts()
    pairs = zip(places_.tolist(), rows.tolist(), strict=True)
    return np.array([guarded(texts[of]) != said[row] for of, row in pairs], np.bool_)
