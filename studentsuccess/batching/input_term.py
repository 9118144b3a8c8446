"""All files of a term, read in the order of their references, so that each row can be held against what it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from studentsuccess.batching.input_fields import guessed, taken
from studentsuccess.batching.input_files import Found, check_columns
from studentsuccess.batching.input_pins import PINS, PREVIOUS, former_batches, membership_file, read_pins
from studentsuccess.batching.input_problems import Code, Findings, Problem, unknown
from studentsuccess.batching.input_request import InputRequest
from studentsuccess.batching.input_roles import (
    COURSES,
    ENROLMENT,
    FACULTY,
    HISTORY,
    PARAMETERS,
    PROGRAMS,
    ROOMS,
    SHIFTS,
    STUDENTS,
    VALUES,
    Role,
    fold,
)
from studentsuccess.batching.input_sheet import Sheet, read_sheet
from studentsuccess.batching.input_students import (
    COURSES as TAKEN,
)
from studentsuccess.batching.input_students import (
    Enrolled,
    Known,
    Roll,
    course_field,
    department_of,
    holds,
    read_history,
    read_pairs,
    with_enrolments,
    without_unmet,
)
from studentsuccess.batching.input_tables import (
    Departments,
    ShiftNames,
    in_order,
    read_courses,
    read_faculty,
    read_programs,
    read_rooms,
    read_shifts,
    say_idle,
)
from studentsuccess.batching.instance import (
    Codes,
    Courses,
    Faculty,
    Field,
    Instance,
    Ints,
    Lists,
    Pins,
    Programs,
    Rooms,
    Rule,
    Shifts,
    Students,
    Texts,
)
from studentsuccess.batching.rule_conflicts import conflicts
from studentsuccess.batching.rule_files import check_tenant, rules_of_sheet, rules_of_toml
from studentsuccess.batching.rules import DEFAULTS, ROOM_MARGIN, SIZE, TEXT, RuleFields
from studentsuccess.core.probe import Probe, probe


class Term:
    """A term being read. Whatever is wrong goes to the findings, and what can still be checked is."""

    def __init__(self, found: Found, request: InputRequest, findings: Findings) -> None:
        self._found, self._request, self._findings = found, request, findings
        self.sheets: dict[str, Sheet] = {}

    def instance(self) -> Instance | None:
        """Everything together, if nothing refuses it."""
        shifts, programs, courses, rooms, faculty = self._stock()
        students, rules, pins, previous = self._members(shifts, programs, courses)
        if not (shifts and programs and courses and rooms and students):
            return None
        asked = self._request
        return Instance(
            students, programs, courses, rooms, shifts, faculty, rules,
            asked.sizes, asked.weights, pins, previous, tuple(map(fold, asked.relax)), asked.seed,
        )  # fmt: skip

    def _stock(self) -> tuple[Shifts | None, Programs | None, Courses | None, Rooms | None, Faculty | None]:
        """What students refer to, and where they are taught."""
        sheet = self._sheet(SHIFTS)
        shifts = read_shifts(sheet) if sheet else None
        names = ShiftNames(shifts) if shifts else None
        sheet = self._sheet(PROGRAMS)
        programs = read_programs(sheet) if sheet else None
        staff = self._sheet(FACULTY)
        faculty = read_faculty(staff, names) if staff else None
        sheet = self._sheet(COURSES)
        departments = Departments.of(programs, faculty) if programs else None
        courses = read_courses(sheet, departments) if sheet else None
        if staff and programs and courses:
            say_idle(staff, programs, courses)
        sheet = self._sheet(ROOMS)
        return shifts, programs, courses, read_rooms(sheet, names) if sheet else None, faculty

    def _members(
        self, shifts: Shifts | None, programs: Programs | None, courses: Courses | None
    ) -> tuple[Students | None, tuple[Rule, ...], Pins, Codes | None]:
        """Students, the rules about them, and what is asked of some of them."""
        sheet = self._sheet(STUDENTS)
        names = ShiftNames(shifts) if shifts else None
        roll = Roll(sheet, Known(programs, names, courses)) if sheet else None
        own = {name: self._columns(role) for name, role in (("program", PROGRAMS), ("course", COURSES))}
        rules = self._rules(roll if programs and courses else None, own)
        if roll is None:
            self._sheet(ENROLMENT), self._sheet(HISTORY)
            return None, rules, Pins(), None
        self._check_relax(roll)
        roll.mend_numbers(rules)
        roll.keep([rule.field for rule in rules] + list(map(fold, self._request.relax)))
        roll.derive(rules, own["program"])
        roll.blame_gaps(rules)
        students = self._students(roll, rules, programs, courses, own["course"])
        if not students.count and roll.sheet.rows:
            file = roll.sheet.probes[0].given.origin.shown
            self._findings.add(Problem(Code.NO_ROWS, "no student is left: every row is bad", file=file))
        return students, rules, self._pins(students, rules), self._previous(students)

    def _students(
        self,
        roll: Roll,
        rules: Sequence[Rule],
        programs: Programs | None,
        courses: Courses | None,
        columns: Mapping[str, Field],
    ) -> Students:
        """Those that stand, with what they take and have passed."""
        rows = in_order(roll.sheet)
        listed = taken(roll.fields[TAKEN], rows)
        assert isinstance(listed, Lists)
        if courses is None:
            self._sheet(ENROLMENT), self._sheet(HISTORY)
            return roll.students(rows, listed, None)
        enrolled, passed = self._enrolled(roll, rows, listed, courses)
        roll.blame_idle(rules, enrolled, rows)
        left = np.flatnonzero(np.isin(rows, in_order(roll.sheet)))
        enrolled = _taken(enrolled, left)
        students = roll.students(rows[left], enrolled, _taken(passed, left) if passed else None)
        fields = dict(students.fields)
        for name in {rule.field for rule in rules if rule.field.startswith("course.")}:
            column = columns[name.removeprefix("course.")]
            assert isinstance(column, Texts)
            home = department_of(students, programs) if name == "course.department_id" and programs else None
            fields[name] = course_field(enrolled, column, home)
        return Students(students.ids, students.names, fields, students.completed)

    def _enrolled(self, roll: Roll, rows: Ints, listed: Lists, courses: Courses) -> tuple[Lists, Lists | None]:
        """What each student takes, by both files, and has passed; what can't be taken is left out."""
        ids = tuple(roll.sheet.texts("student_id").take(rows).to_pylist())
        of, enrolled = Enrolled(roll.sheet, rows, listed), listed
        sheet = self._sheet(ENROLMENT)
        if sheet is not None:
            sheet.settle_keys()
            pairs = read_pairs(sheet, ids, courses)
            of = Enrolled(roll.sheet, rows, listed, sheet, pairs)
            enrolled = with_enrolments(listed, pairs, sheet.stands)
        elif not roll.sheet.has(TAKEN) and not self._found.of(ENROLMENT):
            said = f"neither the column `{TAKEN}` nor a file {ENROLMENT.name} says who takes what"
            self._findings.add(
                Problem(
                    Code.COLUMN_MISSING, said, "add one of the two", roll.sheet.probes[0].given.origin.shown, 1, TAKEN
                )
            )
        history = self._sheet(HISTORY)
        if history is not None:
            passed = read_history(history, ids, courses)
            return without_unmet(enrolled, of, courses, passed), passed
        if len(courses.prerequisites.items) and not self._found.of(HISTORY):
            said = "courses have prerequisites, and without a history of completed courses nobody can verify them"
            fix = f"add {HISTORY.name}.csv with student_id, course_id, passed"
            self._findings.add(Problem(Code.PREREQ_UNVERIFIABLE, said, fix, warning=True))
        return enrolled, None

    def _columns(self, role: Role) -> dict[str, Field]:
        """The columns of programs or courses, by id, as rules may ask about them."""
        sheet = self.sheets.get(role.name)
        if sheet is None:
            return {}
        rows = in_order(sheet)
        kept = [name for name in sheet.table.column_names if name != "prerequisites"]
        return {name: taken(guessed(sheet.texts(name)), rows) for name in kept}

    def _rules(self, roll: Roll | None, own: Mapping[str, Mapping[str, Field]]) -> tuple[Rule, ...]:
        kinds = {entity: {name: holds(one) for name, one in columns.items()} for entity, columns in own.items()}
        for entity in kinds:
            kinds[entity] |= {name: TEXT for name in (f"{entity}_id", "department_id") if name in kinds[entity]}
        asked, file = self._request, ""
        sheet, values = (None, None) if asked.rules else (self._sheet(PARAMETERS), self._sheet(VALUES))
        check_tenant([one for one in (sheet, values) if one], asked.tenant, self._findings)
        if asked.rules is not None:
            self._say_unused(asked.rules.name)
        rules: tuple[Rule, ...] = DEFAULTS
        if roll is not None:  # without students, programs or courses every field would look unknown
            fields = RuleFields(roll.holds(), kinds["program"], kinds["course"])
            if asked.rules is not None:
                file = asked.rules.name
                rules = rules_of_toml(asked.rules, fields, self._findings)
            elif sheet is not None and sheet.rows:
                file = sheet.probes[0].given.origin.shown
                rules = rules_of_sheet(sheet, values, asked.tenant, fields)
        if not any(rule.entity == "batch" and rule.field == SIZE for rule in rules):
            rules = (*rules, ROOM_MARGIN)
        self._findings.add(*conflicts(rules, asked.sizes, file))
        return rules

    def _say_unused(self, rules: str) -> None:
        """Parameters in the folder, where a rule file takes their place."""
        for one in (*self._found.of(PARAMETERS), *self._found.of(VALUES)):
            said = f"is not used: the rules are those of {rules}"
            self._findings.add(Problem(Code.FILE_UNUSED, said, file=one.given.origin.shown, warning=True))

    def _check_relax(self, roll: Roll) -> None:
        known = roll.holds()
        for name in self._request.relax:
            if fold(name) not in known:
                said, fix = unknown("field", name, known)
                fix = fix or f"students have {', '.join(known)}"
                self._findings.add(Problem(Code.INVALID_ARGUMENT, said, fix, column="--relax"))

    def _pins(self, students: Students, rules: Sequence[Rule]) -> Pins:
        if self._request.pins is None:
            return Pins()
        sheet = self._beside(PINS, self._request.pins)
        return read_pins(sheet, students, rules, self._request.sizes, self._findings) if sheet else Pins()

    def _previous(self, students: Students) -> Codes | None:
        if self._request.previous is None:
            return None
        sheet = self._beside(PREVIOUS, membership_file(self._request.previous))
        return former_batches(sheet, students) if sheet else None

    def _beside(self, role: Role, path: Path) -> Sheet | None:
        """A file that is named on the command line."""
        return self._read(role, (probe(path, path.name, self._request.encoding, self._request.delimiter),))

    def _sheet(self, role: Role) -> Sheet | None:
        """The rows of a role's files; None where there is none, or where it can't be used."""
        probes = self._found.of(role)
        return self._read(role, probes) if probes else None

    def _read(self, role: Role, probes: tuple[Probe, ...]) -> Sheet | None:
        asked = self._request
        checks = [check_columns(role, one, self._findings) for one in probes]
        sheet = read_sheet(role, probes, asked.null_values, asked.stream, self._findings, lenient=asked.lenient)
        if sheet is None:
            return None
        self.sheets[role.name] = sheet
        for one, book in zip(probes, sheet.books, strict=True):
            if not book.read:
                self._findings.add(_no_rows(role, one))
        return sheet if all(checks) else None


def _no_rows(role: Role, one: Probe) -> Problem:
    said = "0 rows: there is only a header"
    if role is PARAMETERS:
        said += "; the default rules hold"
    fix = "" if role.may_be_empty else "export the file again" + ("" if role.needed else ", or leave it out")
    return Problem(Code.NO_ROWS, said, fix, one.given.origin.shown, warning=role.may_be_empty)


def _taken(lists: Lists, rows: Ints) -> Lists:
    found = taken(lists, rows)
    assert isinstance(found, Lists)
    return found
