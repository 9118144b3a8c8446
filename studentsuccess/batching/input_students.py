"""Students and what they take: their fields as rules see them, their enrolments, and what they have passed before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.batching.input_fields import (
    absent,
    as_numbers,
    code_of,
    coded_lists,
    coded_texts,
    guessed,
    lists_of,
    owners,
    taken,
    through,
    unique,
)
from studentsuccess.batching.input_prerequisites import Unmet, unmet
from studentsuccess.batching.input_problems import VALUES_TOLD, Code
from studentsuccess.batching.input_roles import STUDENTS
from studentsuccess.batching.input_sheet import Sheet
from studentsuccess.batching.input_tables import ShiftNames, blame_items, blame_texts, split_column, words
from studentsuccess.batching.instance import (
    Codes,
    Courses,
    Field,
    Flags,
    Ints,
    Lists,
    Numbers,
    Programs,
    Rule,
    Students,
    Texts,
)
from studentsuccess.batching.rules import LIST, MIXED, NUMBER, TEXT
from studentsuccess.core.grammar import Kind, fits

COURSES, LANGUAGES, SHIFT = "enrolled_courses", "preferred_languages", "preferred_shift"
PLAIN = ("program_id", "academic_year", "semester")
# A column that no rule names is kept for the reports while it has few values; names and addresses are not.
FEW = 4096
PASSES = frozenset({"true", "t", "1", "1.0", "yes", "y", "pass", "passed", "completed", "ok"})
FAILS = frozenset({"false", "f", "0", "0.0", "no", "n", "fail", "failed", "not passed"})
FAILING_GRADES = FAILS | {"fx", "u", "w", "i", "np", "nc", "abs", "absent", "withdrawn", "incomplete", "e0"}


@dataclass(frozen=True)
class Known:
    """What students refer to; None where that could not be read, and then nothing is said of it."""

    programs: Programs | None
    shifts: ShiftNames | None
    courses: Courses | None


class Roll:
    """The students' file being read: fields for all its rows first, then those that stand, by id."""

    def __init__(self, sheet: Sheet, known: Known) -> None:
        self.sheet, self._known = sheet, known
        sheet.settle_keys()
        sheet.require("student_id", "program_id", "academic_year")
        if known.programs:
            blame_texts(sheet, known.programs.ids, "program", "program_id")
        self.fields: dict[str, Field] = {}
        for name in PLAIN:
            if sheet.has(name):
                labels = known.programs.ids if name == "program_id" and known.programs else None
                self.fields[name] = coded_texts(sheet.coded(name), labels)
        self.fields[SHIFT] = self._shifts()
        self.fields[LANGUAGES] = coded_lists(split_column(sheet, LANGUAGES))
        self.fields[COURSES] = self._courses()
        described = {*self.fields, "student_id", "student_name"}
        self.others = tuple(name for name in sheet.table.column_names if name not in described)
        self._guessed: dict[str, Field] = {}

    def _shifts(self) -> Texts:
        coded = self.sheet.coded(SHIFT)
        if self._known.shifts is None:
            return coded_texts(coded)
        ids = self._known.shifts.known(coded.dictionary.cast(pa.string()))
        codes = code_of(ids, self._known.shifts.ids)
        strange = np.append(codes < 0, False)[pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)]
        values = coded.take(pa.array(np.flatnonzero(strange))).dictionary_decode().to_pylist()
        self.sheet.blame_unknown(np.flatnonzero(strange), values, self._known.shifts.ids, "shift", SHIFT)
        return Texts(through(coded, codes), self._known.shifts.ids)

    def _courses(self) -> Lists:
        split = split_column(self.sheet, COURSES)
        if self._known.courses is None:
            return coded_lists(split)
        blame_items(self.sheet, split, self._known.courses.ids, "course", COURSES)
        return coded_lists(split, self._known.courses.ids)

    def holds(self) -> dict[str, str]:
        """What every column holds, as rules ask."""
        found = {"student_id": TEXT, "student_name": TEXT} | {name: holds(one) for name, one in self.fields.items()}
        for name in self.others:
            found[name] = holds(self.other(name))
            texts = self.sheet.texts(name) if found[name] == TEXT else None
            if texts is not None and 2 * fits(texts, Kind.DECIMAL).sum() > len(texts) - texts.null_count:
                found[name] = MIXED
        return found

    def other(self, name: str) -> Field:
        """A column that nobody described."""
        if name not in self._guessed:
            self._guessed[name] = guessed(self.sheet.texts(name))
        return self._guessed[name]

    def keep(self, wanted: Iterable[str]) -> None:
        """Keep the columns that rules name, and those with few values."""
        names = set(wanted)
        for name in self.others:
            found = self.other(name)
            if name in names or isinstance(found, Numbers) or len(found.labels) <= FEW:
                self.fields[name] = found
        if "student_name" in names:
            self.fields["student_name"] = coded_texts(self.sheet.coded("student_name"))

    def mend_numbers(self, rules: Iterable[Rule]) -> None:
        """Columns that a rule needs as numbers: what is none in them is blamed."""
        for name in sorted({rule.field for rule in rules if rule.kind == "max_variance"} & set(self.others)):
            texts = self.sheet.texts(name)
            bad = ~fits(texts, Kind.DECIMAL) & ~self.sheet.missing(name)
            self.sheet.blame(bad, Code.BAD_VALUE, name, "not a number, and a rule needs one")
            self._guessed[name] = Numbers(as_numbers(texts))

    def derive(self, rules: Iterable[Rule], programs: Mapping[str, Field]) -> None:
        """The fields of rules about the programs of members."""
        for rule in rules:
            if rule.field.startswith("program.") and rule.field not in self.fields:
                column = programs[rule.field.removeprefix("program.")]
                self.fields[rule.field] = _of_program(column, self.fields["program_id"])

    def blame_gaps(self, rules: Iterable[Rule]) -> None:
        """Rows without a value of a field in which all of a batch must agree."""
        for rule in rules:
            if not rule.hard or not must_agree(rule) or rule.field not in self.fields:
                continue
            if rule.field == COURSES or rule.field in STUDENTS.needs:
                continue
            said = f"has no value, and {rule.code} ({rule.words}, hard) needs one of every student"
            fix = "fill it in, or make the rule soft"
            self.sheet.blame(absent(self.fields[rule.field]), Code.FEATURE_EXTRACTION_ERROR, rule.field, said, fix)

    def blame_idle(self, rules: Iterable[Rule], courses: Lists, rows: Ints) -> None:
        """Students without any course, where a hard rule wants a course that all of a batch take."""
        for rule in rules:
            if rule.hard and must_agree(rule) and (rule.field == COURSES or rule.field.startswith("course.")):
                said = f"takes no course, and {rule.code} ({rule.words}, hard) needs one of every student"
                fix = "enrol them, or make the rule soft"
                self.sheet.blame(rows[absent(courses)], Code.FEATURE_EXTRACTION_ERROR, COURSES, said, fix)

    def students(self, rows: Ints, courses: Lists, completed: Lists | None) -> Students:
        """Those that stand, by id. `courses` and `completed` are of these rows already."""
        ids = words(self.sheet, "student_id", rows)
        fields: dict[str, Field] = {
            name: taken(one, rows) for name, one in self.fields.items() if name not in (COURSES, "student_id")
        }
        fields["student_id"] = Texts(np.arange(len(ids), dtype=np.int32), ids)
        fields[COURSES] = courses
        return Students(ids, words(self.sheet, "student_name", rows), fields, completed)


def must_agree(rule: Rule) -> bool:
    """Whether all of a batch must have one value."""
    return rule.kind == "no_mix" or (rule.kind == "homogeneous" and rule.threshold in (None, 1.0))


def holds(found: Field) -> str:
    """What a field holds, as rules ask."""
    return LIST if isinstance(found, Lists) else NUMBER if isinstance(found, Numbers) else TEXT


def _of_program(column: Field, program: Field) -> Field:
    """A column of the programs, for each student; nothing for who is in none."""
    assert isinstance(program, Texts)
    if isinstance(column, Numbers):
        return Numbers(np.append(column.values, np.nan)[program.codes])
    if isinstance(column, Texts):
        return Texts(np.append(column.codes, np.int32(-1)).astype(np.int32)[program.codes], column.labels)
    none = len(column.start) - 1
    padded = Lists(np.append(column.start, column.start[-1]), column.items, column.labels)
    return taken(padded, np.where(program.codes < 0, none, program.codes).astype(np.int64))


def department_of(students: Students, programs: Programs) -> Texts:
    """The department of each student's program."""
    labels = tuple(sorted(set(programs.departments)))
    codes = np.searchsorted(np.array(labels, object), np.array(programs.departments, object)).astype(np.int32)
    return Texts(np.append(codes, np.int32(-1))[students.texts("program_id").codes], labels)


def course_field(enrolled: Lists, column: Texts, instead: Texts | None = None) -> Lists:
    """A column of the courses, as the list of what a student's courses have; what is missing is the student's own."""
    rows, values = owners(enrolled), column.codes[enrolled.items]
    if instead is None:
        return lists_of(rows[values >= 0], values[values >= 0], len(enrolled.start) - 1, column.labels)
    labels = tuple(sorted({*column.labels, *instead.labels}))
    place = {label: code for code, label in enumerate(labels)}
    theirs = np.array([*(place[label] for label in column.labels), -1], np.int32)
    own = np.array([*(place[label] for label in instead.labels), -1], np.int32)
    values = np.where(values >= 0, theirs[values], own[instead.codes[rows]])
    return lists_of(rows[values >= 0], values[values >= 0], len(enrolled.start) - 1, labels)


@dataclass(frozen=True)
class Pairs:
    """Rows of a file that name a student and a course, as codes; -1 for what is not known."""

    students: Codes
    courses: Codes

    @property
    def known(self) -> Flags:
        return np.asarray((self.students >= 0) & (self.courses >= 0))


def read_pairs(sheet: Sheet, ids: tuple[str, ...], courses: Courses, *, warning: bool = False) -> Pairs:
    """The students and courses of a file; with `warning`, what is not known is only said."""
    sheet.require("student_id", "course_id")
    students = sheet.coded("student_id")
    who = through(students, code_of(students.dictionary.cast(pa.string()), ids))
    strange = (who < 0) & ~sheet.missing("student_id")
    message = "no such student in student_data"
    sheet.blame(
        strange, Code.ORPHAN_REFERENCE, "student_id", message, "add the student, or drop the row", warning=warning
    )
    blame_texts(sheet, courses.ids, "course", "course_id", warning=warning)
    taught = sheet.coded("course_id")
    return Pairs(who, through(taught, code_of(taught.dictionary.cast(pa.string()), courses.ids)))


def with_enrolments(listed: Lists, pairs: Pairs, stands: Flags) -> Lists:
    """What students list themselves, and what the enrolments add."""
    mine = pairs.known & stands
    rows = np.concatenate([owners(listed), pairs.students[mine]])
    items = np.concatenate([listed.items, pairs.courses[mine]])
    return lists_of(rows, items, len(listed.start) - 1, listed.labels)


def read_history(sheet: Sheet, ids: tuple[str, ...], courses: Courses) -> Lists:
    """The courses that each student has passed. Former students and courses are nobody's fault."""
    pairs = read_pairs(sheet, ids, courses, warning=True)
    mine = pairs.known & _passed(sheet) & sheet.stands
    return lists_of(pairs.students[mine], pairs.courses[mine], len(ids), courses.ids)


def _passed(sheet: Sheet) -> Flags:
    """Whether a row of a history is a pass: all are where nothing is said."""
    if sheet.has("passed"):
        coded, fails = sheet.coded("passed"), FAILS
    elif sheet.has("grade"):
        coded, fails = sheet.coded("grade"), FAILING_GRADES
    else:
        return np.ones(sheet.rows, bool)
    texts = [str(text).strip().casefold() for text in coded.dictionary.to_pylist()]
    verdict = [-1 if text in fails else 1 if text in PASSES else 0 for text in texts]
    graded = not sheet.has("passed")
    numbers = fits(coded.dictionary.cast(pa.string()), Kind.DECIMAL) if texts else np.zeros(0, bool)
    codes = np.append(np.array(verdict, np.int32), np.int32(-1))[_indices(coded)]
    if not graded:
        sheet.blame(codes == 0, Code.BAD_VALUE, "passed", "is neither true nor false", "write true or false")
        return np.asarray(codes > 0)
    said = "grades are numbers: all but 0 count as passed"
    numeric = np.append(numbers, False)[_indices(coded)]
    sheet.blame(numeric, Code.UNUSUAL_VALUE, "grade", said, "add a column `passed`", warning=True)
    return np.asarray(codes >= 0)


def _indices(coded: pa.DictionaryArray) -> Ints:
    return np.asarray(pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False), np.int64)


@dataclass(frozen=True)
class Enrolled:
    """Where enrolments came from: the students' own rows, and the rows of the enrolments' file."""

    roll: Sheet
    rows: Ints
    listed: Lists
    sheet: Sheet | None = None
    pairs: Pairs | None = None


def without_unmet(enrolled: Lists, of: Enrolled, courses: Courses, passed: Lists) -> Lists:
    """Enrolments whose prerequisites are not passed are blamed; with `lenient` they are left out."""
    found = unmet(enrolled, courses.prerequisites, passed)
    if not len(found.students):
        return enrolled
    width = max(len(courses.ids), 1)
    pairs = found.courses * width + found.missing
    kinds, counts = np.unique(pairs, return_counts=True)
    often = kinds[np.argsort(-counts, kind="stable")]
    for kind in often[:VALUES_TOLD].tolist():
        course, missing = courses.ids[kind // width], courses.ids[kind % width]
        _blame_unmet(
            found, pairs == kind, f"`{course}` is taken, and `{missing}`, on which it builds, is not passed", of
        )
    _blame_unmet(found, np.isin(pairs, often[VALUES_TOLD:]), "courses are taken without those on which they build", of)
    gone = unique(found.students * width + found.courses)
    rows = owners(enrolled)
    kept = ~np.isin(rows * width + enrolled.items, gone)
    return lists_of(rows[kept], enrolled.items[kept], len(enrolled.start) - 1, enrolled.labels)


def _blame_unmet(found: Unmet, mine: Flags, said: str, of: Enrolled) -> None:
    width = max(len(of.listed.labels), 1)
    keys = found.students[mine] * width + found.courses[mine]
    listed = np.isin(keys, owners(of.listed) * width + of.listed.items)
    own = of.rows[found.students[mine][listed]]
    softly = of.roll.lenient
    text = f"{said}: that enrolment is left out" if softly else said
    fix = "enrol in what comes first, or complete the history"
    of.roll.blame(own, Code.PREREQ_UNMET, COURSES, text, fix, warning=softly)
    if of.sheet is not None and of.pairs is not None:
        theirs = np.isin(of.pairs.students.astype(np.int64) * width + of.pairs.courses, keys) & of.pairs.known
        of.sheet.blame(theirs, Code.PREREQ_UNMET, "course_id", said, fix)
