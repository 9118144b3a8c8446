"""The files of a term: what each is called, its columns, and what the absence of one means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A column. One that is needed must be there; the absence of one that is usual is said with what stands for it."""

    name: str
    needed: bool = True
    without: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Role:
    """What one file of a term is for. `tells` are the columns by which it is known whatever it is called."""

    name: str
    fields: tuple[Field, ...]
    tells: tuple[str, ...]
    key: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    needed: bool = True
    may_be_empty: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.needed)

    def canonical(self, header: Sequence[str]) -> tuple[str, ...]:
        """Our names for the columns of a file: case, blanks and `[]` don't matter, and some have a second name."""
        names = {alias: field.name for field in self.fields for alias in field.aliases}
        folded = [fold(name) for name in header]
        return tuple(names[name] if name in names and names[name] not in folded else name for name in folded)


def fold(name: str) -> str:
    """A name as it is compared: `Student ID` and `student_id[]` are `student_id`."""
    return re.sub(r"[\W_]+", "_", name.strip().removesuffix("[]").casefold()).strip("_") or name


def _may(name: str, *aliases: str, without: str = "") -> Field:
    return Field(name, needed=False, without=without, aliases=aliases)


STUDENTS = Role(
    "student_data",
    (
        Field("student_id"),
        _may("student_name", without="names stay empty"),
        Field("program_id"),
        Field("academic_year"),
        _may("preferred_shift", without="no student prefers a shift"),
        _may("preferred_languages", without="no student prefers a language"),
        _may("enrolled_courses"),
        _may("semester"),
    ),
    ("student_id", "program_id", "academic_year"),
    ("student_id",),
    ("students", "student"),
)
ENROLMENT = Role(
    "student_course_enrollment",
    (Field("student_id"), Field("course_id")),
    ("student_id", "course_id"),
    ("student_id", "course_id"),
    ("student_course_enrollments", "student_course_enrolment", "enrollment", "enrollments", "enrolments"),
    needed=False,
    may_be_empty=True,
)
HISTORY = Role(
    "student_course_history",
    (Field("student_id"), Field("course_id"), _may("passed", "completed", "is_passed"), _may("grade", "result")),
    ("student_id", "course_id"),
    ("student_id", "course_id"),
    ("course_history", "completed_courses", "student_completed_courses", "history", "transcripts"),
    needed=False,
    may_be_empty=True,
)
PROGRAMS = Role(
    "programs",
    (Field("program_id"), _may("program_name", without="ids stand for names"), Field("department_id")),
    ("program_id", "department_id"),
    ("program_id",),
    ("program",),
)
COURSES = Role(
    "courses",
    (
        Field("course_id"),
        _may("course_name", without="ids stand for names"),
        Field("credits", aliases=("credit_hours",)),
        Field("weekly_hours", aliases=("hours_per_week",)),
        _may("prerequisites", "prerequisite_courses"),
        _may("department_id"),
    ),
    ("course_id", "credits", "weekly_hours"),
    ("course_id",),
    ("course",),
)
ROOMS = Role(
    "rooms",
    (
        Field("room_id"),
        Field("capacity"),
        _may("room_type", without="kinds of rooms stay empty"),
        _may("shifts", "shift_availability", "available_shifts", "shift_ids"),
    ),
    ("room_id", "capacity"),
    ("room_id",),
    ("room",),
)
SHIFTS = Role(
    "shifts",
    (
        Field("shift_id"),
        _may("shift_name", without="ids stand for names"),
        _may("start", "start_time", without="the report shows no times"),
        _may("end", "end_time", without="the report shows no times"),
    ),
    ("shift_id",),
    ("shift_id",),
    ("shift",),
)
FACULTY = Role(
    "faculty",
    (
        Field("faculty_id"),
        Field("department_id"),
        Field("max_hours_per_week", aliases=("max_hours",)),
        _may("shifts", "available_shifts", "shift_ids"),
    ),
    ("faculty_id", "department_id", "max_hours_per_week"),
    ("faculty_id",),
    needed=False,
)
PARAMETERS = Role(
    "dynamic_parameters",
    (
        Field("parameter_code"),
        Field("entity_type"),
        Field("field_name"),
        Field("rule_type"),
        Field("constraint_level"),
        _may("weight"),
        _may("threshold"),
        _may("tenant_id"),
    ),
    ("parameter_code", "rule_type", "constraint_level"),
    ("parameter_code", "tenant_id"),
    ("parameters", "rules", "constraint_rules"),
    needed=False,
    may_be_empty=True,
)
VALUES = Role(
    "entity_parameter_values",
    (
        _may("tenant_id"),
        Field("parameter_code", aliases=("parameter_id",)),
        _may("entity_type"),
        _may("entity_id"),
        _may("attribute", "setting"),
        Field("value", aliases=("parameter_value",)),
    ),
    ("parameter_code", "value"),
    ("tenant_id", "parameter_code", "entity_type", "entity_id", "attribute"),
    ("parameter_values",),
    needed=False,
    may_be_empty=True,
)
# Most telling first: a faculty names departments as programs do, and a history is an enrolment and more.
ROLES = (PARAMETERS, VALUES, FACULTY, ROOMS, STUDENTS, COURSES, HISTORY, ENROLMENT, PROGRAMS, SHIFTS)
PASSED = ("passed", "grade")
