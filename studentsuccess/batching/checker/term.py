"""The term that was batched, read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.batching.checker.lists import items_of, once, pairs_of
from studentsuccess.batching.checker.tables import NULLS, Column, Ints, folded, nothing, read_table
from studentsuccess.errors import ContractError

Flags = npt.NDArray[np.bool_]
STUDENTS, ENROLMENT, HISTORY = "student_data", "student_course_enrollment", "student_course_history"
# The columns by which a role's header is known, other names of files, and other names of columns.
_HEADERS: dict[str, tuple[str, ...]] = {
    STUDENTS: ("student_id", "student_name", "program_id", "academic_year", "enrolled_courses", "preferred_shift"),
    ENROLMENT: ("student_id", "course_id"),
    HISTORY: ("student_id", "course_id", "passed", "grade", "completed"),
    "programs": ("program_id", "program_name", "department_id"),
    "courses": ("course_id", "course_name", "credits", "weekly_hours", "prerequisites", "department_id"),
    "rooms": ("room_id", "capacity", "room_type", "shifts"),
    "shifts": ("shift_id", "shift_name", "start", "end"),
    "faculty": ("faculty_id", "department_id", "max_hours_per_week", "shifts"),
}
_COLUMNS = {
    "credit_hours": "credits", "hours_per_week": "weekly_hours", "prerequisite_courses": "prerequisites",
    "shift_availability": "shifts", "available_shifts": "shifts", "shift_ids": "shifts",
    "max_hours": "max_hours_per_week", "completed": "passed", "is_passed": "passed", "result": "grade",
}  # fmt: skip
_FAILED = {"false", "f", "0", "0.0", "no", "n", "fail", "failed", "not passed"}
_PASSED = {"true", "t", "1", "1.0", "yes", "y", "pass", "passed", "completed", "ok"}
_FAILING_GRADES = _FAILED | {"fx", "u", "w", "i", "np", "nc", "abs", "absent", "withdrawn", "incomplete", "e0"}
Table = dict[str, Column]


@dataclass(frozen=True)
class Takes:
    """Who takes what: a row for each student and course, by student, then by course."""

    student: Ints
    course: Ints


@dataclass(frozen=True)
class Term:
    """The files of a term as tables, and what they mean. Ids are in the order of their files."""

    tables: Mapping[str, Table]
    students: tuple[str, ...]
    rows: Ints  # of the students' file, for each student
    takes: Takes
    unready: int  # courses that are taken without those on which they build, where a history says so
    open: Flags  # rooms x shifts
    changed: tuple[str, ...]  # files that are not those that were batched

    def ids(self, role: str, name: str) -> tuple[str, ...]:
        return tuple(self.tables[role][name].texts())

    def student(self, name: str) -> Column:
        """A column of the students' file, a value for each student."""
        found = self.tables[STUDENTS].get(name)
        return nothing(len(self.rows)) if found is None else Column(found.codes[self.rows], found.labels)


def read_term(folder: Path, request: Mapping[str, Any], fields: Sequence[str]) -> Term:
    """All files, as the request names them, or found by their names where it does not. Of students, who are many, only
    these fields are read besides those that everyone needs."""
    nulls = frozenset(request.get("null_values", NULLS))
    files = _files(folder, request)
    tables: dict[str, Table] = {}
    changed = []
    for role, path, digest in files:
        if digest and _sha256(path) != digest:
            changed.append(path.name)
        many = role in (STUDENTS, ENROLMENT, HISTORY)
        found = read_table(path, _HEADERS[role], nulls, (*_HEADERS[role], *_COLUMNS, *fields) if many else None)
        named = {
            _COLUMNS.get(name, name) if _COLUMNS.get(name) not in found else name: one for name, one in found.items()
        }
        tables[role] = _joined(tables[role], named) if role in tables else named
    missing = [role for role in (STUDENTS, "programs", "courses", "rooms", "shifts") if role not in tables]
    if missing:
        raise ContractError(f"{folder} has no {missing[0]}", "name the folder of the term that was batched")
    return _meant(tables, tuple(changed), bool(request.get("lenient")))


def _files(folder: Path, request: Mapping[str, Any]) -> list[tuple[str, Path, str]]:
    listed = [one for one in request.get("files", ()) if one["role"] in _HEADERS]
    if listed:
        found = [(one["role"], folder / Path(one["path"]).name, one.get("sha256", "")) for one in listed]
        gone = [path for _, path, _ in found if not path.is_file()]
        if gone:
            raise ContractError(f"{gone[0]} is not there", "name the folder of the term that was batched")
        return found
    stems = {folded(path.name.split(".")[0]): path for path in sorted(folder.iterdir()) if path.is_file()}
    return [(role, stems[role], "") for role in _HEADERS if role in stems]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _joined(first: Table, more: Table) -> Table:
    """Several files of one role are one table."""
    found = {}
    for name in first.keys() & more.keys():
        one, other = first[name], more[name]
        codes = np.where(other.codes >= 0, other.codes + len(one.labels), -1)
        place = {label: at for at, label in reversed(list(enumerate((*one.labels, *other.labels))))}
        merged = np.array([place[label] for label in (*one.labels, *other.labels)] + [-1], np.int64)
        found[name] = Column(merged[np.concatenate([one.codes, codes])], (*one.labels, *other.labels))
    return found


def _meant(tables: dict[str, Table], changed: tuple[str, ...], lenient: bool) -> Term:
    for role, name in (
        ("programs", "program_id"),
        ("courses", "course_id"),
        ("rooms", "room_id"),
        ("shifts", "shift_id"),
    ):
        tables[role] = _first_of_each(tables[role], name)
    ids = tables[STUDENTS]["student_id"]
    rows = np.flatnonzero(ids.codes >= 0)
    rows = rows[np.sort(np.unique(ids.codes[rows], return_index=True)[1])]
    students = tuple(ids.labels[code] for code in ids.codes[rows].tolist())
    takes = _takes(tables, ids, rows)
    takes, unready = _ready(tables, ids, rows, takes, lenient)
    tables[STUDENTS].pop("enrolled_courses", None)  # they are the largest of all, and are known now
    tables.pop(ENROLMENT, None)
    return Term(tables, students, rows, takes, unready, opened(tables, "rooms"), changed)


def _first_of_each(table: Table, name: str) -> Table:
    """Without repeats of an id, and without rows that have none."""
    codes = table[name].codes
    rows = np.flatnonzero(codes >= 0)
    rows = rows[np.sort(np.unique(codes[rows], return_index=True)[1])]
    return {of: Column(column.codes[rows], column.labels) for of, column in table.items()}


def opened(tables: Mapping[str, Table], role: str) -> Flags:
    """Rows x shifts: all of them where nothing is said. A shift is meant by its id, or its name in any case."""
    shifts = tables["shifts"]
    ids = shifts["shift_id"].texts()
    names = shifts.get("shift_name", shifts["shift_id"]).texts()
    place = {name.casefold(): at for at, name in enumerate(names) if name}
    place |= {one.casefold(): at for at, one in enumerate(ids)} | {one: at for at, one in enumerate(ids)}
    rows = len(next(iter(tables[role].values())).codes)
    found = np.ones((rows, len(ids)), np.bool_)
    column = tables[role].get("shifts")
    if column is None:
        return found
    for row in np.flatnonzero(column.codes >= 0).tolist():
        found[row] = False
        for item in items_of(column.text(row)):
            at = place.get(item, place.get(item.casefold(), -1))
            if at >= 0:
                found[row, at] = True
    return found


def _takes(tables: Mapping[str, Table], ids: Column, rows: Ints) -> Takes:
    """What students list themselves, and what the enrolments add."""
    place = {course: at for at, course in enumerate(tables["courses"]["course_id"].texts())}
    listed = tables[STUDENTS].get("enrolled_courses", nothing(len(ids.codes)))
    student, course, _ = pairs_of(Column(listed.codes[rows], listed.labels), place)
    if ENROLMENT in tables:
        more = _pairs(tables[ENROLMENT], ids, rows, place)
        student, course = np.concatenate([student, more.student]), np.concatenate([course, more.course])
    return Takes(*once(student, course, len(place)))


def _pairs(table: Table, ids: Column, rows: Ints, place: Mapping[str, int]) -> Takes:
    """Rows that name a student and a course which both are there."""
    of_code = {ids.labels[code]: at for at, code in enumerate(ids.codes[rows].tolist())}
    student = _through(table["student_id"], of_code)
    course = _through(table["course_id"], place)
    known = (student >= 0) & (course >= 0)
    return Takes(student[known], course[known])


def _through(column: Column, place: Mapping[str, int]) -> Ints:
    return np.array([place.get(label, -1) for label in column.labels] + [-1], np.int64)[column.codes]


def _ready(tables: Mapping[str, Table], ids: Column, rows: Ints, takes: Takes, lenient: bool) -> tuple[Takes, int]:
    """Held against what each has passed. With `lenient` what can't be taken is left out, else it is counted."""
    courses = tables["courses"]
    if HISTORY not in tables or "prerequisites" not in courses:
        return takes, 0
    place = {course: at for at, course in enumerate(courses["course_id"].texts())}
    width = max(len(place), 1)
    passed = {name: Column(one.codes[_passes(tables[HISTORY])], one.labels) for name, one in tables[HISTORY].items()}
    done = _pairs(passed, ids, rows, place)
    later, earlier, _ = pairs_of(courses["prerequisites"], place)
    unready = np.zeros(len(takes.course), np.bool_)
    have = np.unique(done.student * width + done.course)
    for course, before in zip(later.tolist(), earlier.tolist(), strict=True):
        mine = np.flatnonzero(takes.course == course)
        unready[mine] |= ~np.isin(takes.student[mine] * width + before, have)
    if not lenient:
        return takes, int(unready.sum())
    return Takes(takes.student[~unready], takes.course[~unready]), 0


def _passes(table: Table) -> Flags:
    """Rows of a history that are a pass: all are where nothing is said."""
    name = next((one for one in ("passed", "grade") if one in table), None)
    if name is None:
        return np.ones(len(table["student_id"].codes), np.bool_)
    said = [label.strip().casefold() for label in table[name].labels]
    good = [text in _PASSED if name == "passed" else text not in _FAILING_GRADES for text in said]
    return np.array([*good, False], np.bool_)[table[name].codes]


def places(ids: Sequence[str]) -> dict[str, int]:
    return {one: at for at, one in enumerate(ids)}
