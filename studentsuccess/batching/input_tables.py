"""The tables that students refer to: shifts, programs, faculty, courses and rooms, each held against those before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.batching.input_fields import code_of, coded_lists, owners, taken
from studentsuccess.batching.input_lists import Split, split_lists
from studentsuccess.batching.input_prerequisites import CIRCLES, circles, without
from studentsuccess.batching.input_problems import Code
from studentsuccess.batching.input_sheet import Sheet
from studentsuccess.batching.instance import Courses, Faculty, Flags, Ints, Lists, Programs, Rooms, Shifts

_CLOCK = r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?$"
BAD_LIST = "is no list"
LIST_FIX = 'write it as ["a","b"], {a,b} or a;b'


def in_order(sheet: Sheet) -> Ints:
    """The rows that stand, sorted by their id; a row without one can't."""
    ids = sheet.texts(sheet.role.key[0])
    rows = np.flatnonzero(sheet.stands & ~sheet.missing(sheet.role.key[0]))
    return np.asarray(rows[pc.sort_indices(ids.take(pa.array(rows))).to_numpy()], np.int64)


def ids_of(sheet: Sheet) -> tuple[str, ...]:
    """Each id once, sorted."""
    return tuple(dict.fromkeys(words(sheet, sheet.role.key[0], in_order(sheet))))


def words(sheet: Sheet, name: str, rows: Ints, instead: str | None = None) -> tuple[str, ...]:
    """The texts of a column; where one is missing, that of another column, or nothing."""
    texts = sheet.texts(name).take(pa.array(rows))
    if instead is not None:
        texts = pc.coalesce(texts, sheet.texts(instead).take(pa.array(rows)))
    return tuple(pc.fill_null(texts, "").to_pylist())


def split_column(sheet: Sheet, name: str) -> Split:
    """A column of lists; what is none is blamed, and an item that stands twice is said."""
    split = split_lists(sheet.texts(name))
    sheet.blame(split.bad, Code.BAD_LIST, name, BAD_LIST, LIST_FIX)
    rows = np.repeat(np.arange(len(split.bad)), np.diff(split.start))
    ordered = np.sort(rows * max(len(split.labels), 1) + split.items)
    again = ordered[1:][ordered[1:] == ordered[:-1]] // max(len(split.labels), 1)
    sheet.blame(again, Code.REPEATED_ITEM, name, "an item stands twice in the list: it counts once", warning=True)
    return split


def blame_items(
    sheet: Sheet, split: Split, known: Sequence[str], what: str, column: str, *, warning: bool = False
) -> None:
    """Rows with an item that nobody defines."""
    strange = code_of(split.labels, known) < 0
    if not strange.any():
        return
    at = np.flatnonzero(strange[split.items])
    rows = np.repeat(np.arange(len(split.bad)), np.diff(split.start))[at]
    values = split.labels.take(pa.array(split.items[at])).to_pylist()
    sheet.blame_unknown(rows, values, known, what, column, warning=warning)


def blame_texts(sheet: Sheet, known: Sequence[str], what: str, column: str, *, warning: bool = False) -> None:
    """Rows whose value nobody defines; an empty one is another matter."""
    coded = sheet.coded(column)
    if not len(coded.dictionary):
        return
    strange = (code_of(coded.dictionary.cast(pa.string()), known) < 0).astype(np.int32)
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero((codes >= 0) & (strange[codes] == 1))
    values = coded.take(pa.array(rows)).dictionary_decode().to_pylist()
    sheet.blame_unknown(rows, values, known, what, column, warning=warning)


def read_shifts(sheet: Sheet) -> Shifts:
    sheet.settle_keys()
    sheet.require("shift_id")
    for name in ("start", "end"):
        texts = sheet.texts(name)
        odd = pc.fill_null(pc.invert(pc.match_substring_regex(texts, _CLOCK)), False)
        said = "is no time of day; nothing depends on it"
        sheet.blame(
            np.asarray(odd.to_numpy(zero_copy_only=False), bool),
            Code.BAD_VALUE,
            name,
            said,
            "write it as 08:30",
            warning=True,
        )
    rows = in_order(sheet)
    return Shifts(words(sheet, "shift_id", rows), words(sheet, "shift_name", rows, "shift_id"))


class ShiftNames:
    """Shifts as others write them: by id, or by name in any case."""

    def __init__(self, shifts: Shifts) -> None:
        self.ids = shifts.ids
        by_name = {name.casefold(): id_ for id_, name in zip(shifts.ids, shifts.names, strict=True)}
        self._ids = by_name | {id_.casefold(): id_ for id_ in shifts.ids} | {id_: id_ for id_ in shifts.ids}

    def known(self, texts: pa.Array) -> pa.Array:
        """The texts with ids in the place of names; what is neither stays as it is."""
        found = [self._ids.get(text, self._ids.get(text.casefold(), text)) for text in texts.to_pylist()]
        return pa.array(found, pa.string())

    def split(self, split: Split) -> Split:
        return Split(split.start, split.items, self.known(split.labels), split.bad)


def read_programs(sheet: Sheet) -> Programs:
    sheet.settle_keys()
    sheet.require("program_id", "department_id")
    rows = in_order(sheet)
    ids, names = words(sheet, "program_id", rows), words(sheet, "program_name", rows, "program_id")
    return Programs(ids, names, words(sheet, "department_id", rows))


def read_courses(sheet: Sheet, departments: Departments | None) -> Courses:
    """Courses with what they build on. With `lenient` a prerequisite that is unknown or closes a circle is left out."""
    sheet.settle_keys()
    sheet.require("course_id", "credits", "weekly_hours")
    credits_, hours = sheet.numbers("credits", least=0), sheet.numbers("weekly_hours", least=0)
    split = split_column(sheet, "prerequisites")
    blame_items(sheet, split, ids_of(sheet), "course", "prerequisites", warning=sheet.lenient)
    if departments is not None:
        softly = not departments.taught
        blame_texts(sheet, departments.known, "department", "department_id", warning=softly)
    rows = in_order(sheet)
    ids = words(sheet, "course_id", rows)
    before = taken(coded_lists(split, ids), rows)
    assert isinstance(before, Lists)
    found = circles(before)
    for circle in found[:CIRCLES]:
        said = f"prerequisites go in a circle: {circle.words(ids)}"
        its = rows[list(circle.courses)]
        sheet.blame(its, Code.PREREQ_CYCLE, "prerequisites", said, "take one step out of it", warning=sheet.lenient)
    own = tuple(sheet.texts("department_id").take(pa.array(rows)).to_pylist())
    names = words(sheet, "course_name", rows, "course_id")
    return Courses(ids, names, credits_[rows], hours[rows], own, without(before, found))


def read_rooms(sheet: Sheet, shifts: ShiftNames | None) -> Rooms:
    """Rooms and the shifts in which they are open: every one where nothing is said, none where the list is empty."""
    sheet.settle_keys()
    sheet.require("room_id", "capacity")
    capacity = sheet.numbers("capacity", whole=True, least=1)
    hours = _shifts(sheet, shifts)
    rows = in_order(sheet)
    seats = np.nan_to_num(capacity[rows]).astype(np.int64)
    return Rooms(words(sheet, "room_id", rows), seats, words(sheet, "room_type", rows), hours[rows])


def read_faculty(sheet: Sheet, shifts: ShiftNames | None) -> Faculty:
    """Who teaches, for which department, how much, and when: in any shift where nothing is said."""
    sheet.settle_keys()
    sheet.require("faculty_id", "department_id", "max_hours_per_week")
    hours = sheet.numbers("max_hours_per_week", least=0)
    works = _shifts(sheet, shifts)
    rows = in_order(sheet)
    return Faculty(words(sheet, "faculty_id", rows), words(sheet, "department_id", rows), hours[rows], works[rows])


def _shifts(sheet: Sheet, shifts: ShiftNames | None) -> Flags:
    """Rows and shifts. Where the shifts can't be read there is nothing to hold them against."""
    if shifts is None:
        return np.zeros((sheet.rows, 0), bool)
    split = shifts.split(split_column(sheet, "shifts"))
    blame_items(sheet, split, shifts.ids, "shift", "shifts")
    found = coded_lists(split, shifts.ids)
    open_ = np.zeros((sheet.rows, len(shifts.ids)), bool)
    open_[owners(found), found.items] = True
    open_[sheet.missing("shifts")] = True
    return open_


@dataclass(frozen=True)
class Departments:
    """Those that programs or faculty belong to. Where no faculty is given, a course may name one more."""

    known: tuple[str, ...]
    taught: bool

    @classmethod
    def of(cls, programs: Programs, faculty: Faculty | None) -> Departments:
        taught = faculty.departments if faculty else ()
        return cls(tuple(sorted({*programs.departments, *taught} - {""})), faculty is not None)


def say_idle(faculty: Sheet, programs: Programs, courses: Courses) -> None:
    """Faculty of a department that teaches nothing: probably its name is another one elsewhere."""
    asked = sorted({*programs.departments, *(one for one in courses.departments if one)} - {""})
    blame_texts(faculty, asked, "department of a program or course", "department_id", warning=True)
