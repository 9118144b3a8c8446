"""The seven OULAD tables: their columns, keys and references. Recognised by header, whatever the files are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout
from studentsuccess.core.names import nearest
from studentsuccess.core.probe import Probe
from studentsuccess.errors import ContractError

RUN = ("code_module", "code_presentation")
ENROLMENT = (*RUN, "id_student")
INT, DEC, TEXT, LABEL = Kind.INTEGER, Kind.DECIMAL, Kind.TEXT, Kind.LABEL


@dataclass(frozen=True)
class OuladTable:
    """One table: its columns, what makes a row unique, and what must be there for it to be recognised."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def layout(self, nulls: tuple[str, ...]) -> Layout:
        return Layout(self.columns, nulls)


def _columns(spec: Sequence[tuple[str, Kind, bool]]) -> tuple[Column, ...]:
    return tuple(Column(name, kind, required) for name, kind, required in spec)


_RUN = [("code_module", TEXT, True), ("code_presentation", TEXT, True)]
_STUDENT = [*_RUN, ("id_student", INT, True)]
COURSES = OuladTable("courses", _columns([*_RUN, ("module_presentation_length", INT, False)]), RUN)
ASSESSMENTS = OuladTable(
    "assessments",
    _columns(
        [
            *_RUN,
            ("id_assessment", INT, True),
            ("assessment_type", TEXT, False),
            ("date", INT, False),
            ("weight", DEC, False),
        ]
    ),
    ("id_assessment",),
)
VLE = OuladTable(
    "vle",
    _columns(
        [
            ("id_site", INT, True),
            *_RUN,
            ("activity_type", TEXT, False),
            ("week_from", INT, False),
            ("week_to", INT, False),
        ]
    ),
    ("id_site",),
)
STUDENT_INFO = OuladTable(
    "studentInfo",
    _columns(
        [
            *_STUDENT,
            ("gender", TEXT, False),
            ("region", TEXT, False),
            ("highest_education", TEXT, False),
            ("imd_band", TEXT, False),
            ("age_band", TEXT, False),
            ("num_of_prev_attempts", INT, False),
            ("studied_credits", INT, False),
            ("disability", TEXT, False),
            ("final_result", TEXT, False),
        ]
    ),
    ENROLMENT,
)
REGISTRATION = OuladTable(
    "studentRegistration",
    _columns([*_STUDENT, ("date_registration", INT, False), ("date_unregistration", INT, False)]),
    ENROLMENT,
)
SUBMISSIONS = OuladTable(
    "studentAssessment",
    _columns(
        [
            ("id_assessment", INT, True),
            ("id_student", INT, True),
            ("date_submitted", INT, False),
            ("is_banked", INT, False),
            ("score", DEC, False),
        ]
    ),
    ("id_assessment", "id_student"),
)
_CLICKS = [("code_module", LABEL, True), ("code_presentation", LABEL, True), ("id_student", INT, True)]
CLICKS = OuladTable(
    "studentVle", _columns([*_CLICKS, ("id_site", INT, True), ("date", INT, True), ("sum_click", INT, True)])
)
WEEKLY_CLICKS = OuladTable("studentVle", _columns([*_CLICKS, ("week", INT, True), ("sum_click", INT, True)]))
SMALL = (COURSES, ASSESSMENTS, VLE, STUDENT_INFO, REGISTRATION, SUBMISSIONS)
REQUIRED = (COURSES, ASSESSMENTS, STUDENT_INFO, REGISTRATION, SUBMISSIONS)
ALL = (*SMALL, CLICKS)
# Most telling first: studentInfo's columns contain the keys of others, and the weekly form lacks what clicks have.
_BY_TELL = (STUDENT_INFO, REGISTRATION, SUBMISSIONS, CLICKS, WEEKLY_CLICKS, ASSESSMENTS, VLE, COURSES)


@dataclass(frozen=True)
class OuladFiles:
    """Which files are which table, and those that are none."""

    by_table: dict[str, tuple[Probe, ...]]
    weekly: bool
    strangers: tuple[Probe, ...]

    def has(self, table: OuladTable) -> bool:
        return table.name in self.by_table


def recognise(probe: Probe) -> OuladTable | None:
    """The table that a file's header names, in any order and with any extra columns."""
    have = frozenset(probe.names)
    return next((table for table in _BY_TELL if have.issuperset(table.names)), None)


def sort_files(probes: Sequence[Probe]) -> OuladFiles:
    """Every file to its table."""
    by_table: dict[str, tuple[Probe, ...]] = {}
    strangers, weekly = [], False
    for probe in probes:
        table = recognise(probe)
        if table is None:
            strangers.append(probe)
            continue
        weekly |= table is WEEKLY_CLICKS
        by_table[table.name] = (*by_table.get(table.name, ()), probe)
    return OuladFiles(by_table, weekly, tuple(strangers))


def looks_like(files: OuladFiles) -> bool:
    """Enough of the tables to be an OULAD export rather than a lone table that resembles one.

    A table that only lacks a column counts: then the export is broken, and must not become seven unrelated tables.
    """
    meant = {table.name for stranger in files.strangers if (table := _meant(stranger)) is not None}
    return {STUDENT_INFO.name, COURSES.name} <= meant | files.by_table.keys() and len(files.by_table) >= 3


def check_complete(files: OuladFiles) -> None:
    """All needed tables are there; a file that should be one of them says which column it lacks."""
    for stranger in files.strangers:
        if (table := _meant(stranger)) is not None:
            missing = next(name for name in table.names if name not in stranger.names)
            near = nearest(missing, stranger.names)
            raise stranger.given.origin.error(
                f"line 1: the column `{missing}` of {table.name} is missing" + (f"; `{near}` is there" if near else ""),
                f"rename `{near}` to `{missing}`" if near else f"{table.name} needs {', '.join(table.names)}",
            )
    for table in (COURSES, STUDENT_INFO):
        given = files.by_table.get(table.name, ())
        if given and not any(probe.has_rows for probe in given):
            raise given[0].given.origin.error("0 data rows: there is only a header", "export the file again")
    absent = [table for table in REQUIRED if not files.has(table)]
    if absent:
        first = absent[0]
        raise ContractError(
            f"no file has the header of {', '.join(table.name for table in absent)}",
            f"{first.name} needs the columns {', '.join(first.names)}; or load these files as tables: `--kind table`",
        )


def _meant(probe: Probe) -> OuladTable | None:
    """The table that a file is probably meant to be: by its name, or by most of its columns."""
    shown = probe.given.origin.shown.replace("\\", "/").rsplit("/", 1)[-1].lower()
    by_name = next((table for table in ALL if shown.startswith(table.name.lower() + ".")), None)
    return by_name or next(
        (
            table
            for table in _BY_TELL
            if len(set(table.names) - set(probe.names)) == 1 and len(table.names) == len(probe.names)
        ),
        None,
    )
