"""The references between OULAD tables, checked in the workers while the rows stream by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.layout import Fault, Verdict

INT32_MAX = 2**31 - 1
# Student numbers stay far below this, so that (run, student) fits one 64-bit key.
STUDENT_BITS = 40
Check = Callable[[pa.RecordBatch], Fault | None]


@dataclass(frozen=True)
class Checked:
    """Rules that only check: the batch keeps its shape, and the first check that fails gives the reason."""

    checks: tuple[Check, ...]

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        return Verdict(batch, tuple(fault for check in self.checks if (fault := check(batch)) is not None))


def fault(refused: pa.Array | pa.ChunkedArray, column: str, reason: str) -> Fault | None:
    """The rows where a mask is true, or nothing."""
    rows = np.flatnonzero(np.asarray(pc.fill_null(refused, False).to_numpy(zero_copy_only=False), dtype=bool))
    return Fault(rows, column, reason) if len(rows) else None


def in_range(column: str, low: int = -INT32_MAX, high: int = INT32_MAX) -> Check:
    """Whole numbers that fit where they will be stored."""

    def check(batch: pa.RecordBatch) -> Fault | None:
        values = batch.column(column)
        outside = pc.or_(pc.less(values, low), pc.greater(values, high))
        return fault(outside, column, f"outside {low} to {high}")

    return check


@dataclass(frozen=True)
class RunIndex:
    """The course runs of this export, each with a number."""

    runs: dict[tuple[str, str], int]

    @classmethod
    def of(cls, courses: pa.Table) -> RunIndex:
        pairs = zip(
            courses.column("code_module").to_pylist(), courses.column("code_presentation").to_pylist(), strict=True
        )
        return cls({pair: number for number, pair in enumerate(pairs)})

    def numbers(self, batch: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The run of every row; -1 where there is none such."""
        modules, module_of = _coded(batch.column("code_module"))
        terms, term_of = _coded(batch.column("code_presentation"))
        known = np.full((len(modules) + 1, len(terms) + 1), -1, np.int64)
        for row, module in enumerate(modules):
            for column, term in enumerate(terms):
                known[row, column] = self.runs.get((module, term), -1)
        return np.asarray(known[module_of, term_of])

    def check(self, batch: pa.RecordBatch) -> Fault | None:
        """Rows of a course run that courses does not have."""
        return fault(
            pa.array(self.numbers(batch) < 0), "code_module, code_presentation", "no such course run in courses"
        )


def _coded(values: pa.Array) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Distinct texts, and for every row which one (the last place stands for null)."""
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    return texts, pc.fill_null(coded.indices, len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)


@dataclass(frozen=True)
class EnrolmentIndex:
    """Which enrolments studentInfo has. An enrolment's number is its place in that table."""

    runs: RunIndex
    keys: pa.Array

    @classmethod
    def of(cls, runs: RunIndex, info: pa.Table) -> EnrolmentIndex:
        batch = info.combine_chunks().to_batches()
        keys = _keys(runs, batch[0]) if batch else pa.array([], pa.int64())
        return cls(runs, keys)

    def numbers(self, batch: pa.RecordBatch) -> pa.Array:
        """The enrolment of every row; null where there is none."""
        return pc.index_in(_keys(self.runs, batch), value_set=self.keys)

    def check(self, batch: pa.RecordBatch) -> Fault | None:
        return fault(pc.is_null(self.numbers(batch)), "id_student", "no such enrolment in studentInfo")


def _keys(runs: RunIndex, batch: pa.RecordBatch) -> pa.Array:
    numbers = runs.numbers(batch)
    students = batch.column("id_student").to_numpy(zero_copy_only=False)
    valid = (numbers >= 0) & (students >= 0) & (students < 1 << STUDENT_BITS)
    return pa.array(np.where(valid, (numbers << STUDENT_BITS) | students, -1), mask=~valid)


@dataclass(frozen=True)
class AssessmentIndex:
    """The assessments and the course run each belongs to."""

    ids: pa.Array
    modules: pa.Array
    presentations: pa.Array
    enrolments: EnrolmentIndex

    @classmethod
    def of(cls, assessments: pa.Table, enrolments: EnrolmentIndex) -> AssessmentIndex:
        whole = assessments.combine_chunks()
        ids, modules, terms = (_chunk(whole, name) for name in ("id_assessment", "code_module", "code_presentation"))
        return cls(ids, modules, terms, enrolments)

    def check(self, batch: pa.RecordBatch) -> Sequence[Fault]:
        """Submissions to no assessment, or of a student who is not in that course run."""
        place = pc.index_in(batch.column("id_assessment"), value_set=self.ids)
        missing = fault(pc.is_null(place), "id_assessment", "no such assessment in assessments")
        of_run = pa.RecordBatch.from_arrays(
            [self.modules.take(place), self.presentations.take(place), batch.column("id_student")],
            ["code_module", "code_presentation", "id_student"],
        )
        unknown = pc.and_(pc.is_valid(place), pc.is_null(self.enrolments.numbers(of_run)))
        orphan = fault(unknown, "id_student", "no such enrolment in studentInfo")
        return [found for found in (missing, orphan) if found is not None]


def _chunk(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


@dataclass(frozen=True)
class SubmissionRules:
    """References and ranges of studentAssessment."""

    assessments: AssessmentIndex

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        ranges = [in_range("date_submitted")(batch), in_range("is_banked", 0, 1)(batch)]
        return Verdict(batch, (*(one for one in ranges if one), *self.assessments.check(batch)))


ACTIVITY = pa.schema(
    [
        pa.field("enrolment", pa.int32()),
        pa.field("day", pa.int32()),
        pa.field("activity_type", pa.dictionary(pa.int32(), pa.string())),
        pa.field("clicks", pa.int32()),
    ]
)


@dataclass(frozen=True)
class ClickRules:
    """studentVle in its final shape: enrolment by number, day, kind of activity, clicks.

    Repeated rows are meant: the same page opened twice on a day. They are never dropped. A week's sum stands on the
    last day of the week, because it is not known before.
    """

    enrolments: EnrolmentIndex
    site_ids: pa.Array
    site_types: pa.Array
    weekly: bool = False

    @classmethod
    def of(cls, enrolments: EnrolmentIndex, sites: pa.Table | None, *, weekly: bool) -> ClickRules:
        if sites is None:
            return cls(enrolments, pa.array([], pa.int64()), pa.array([], pa.string()).dictionary_encode(), weekly)
        whole = sites.combine_chunks()
        return cls(enrolments, _chunk(whole, "id_site"), _chunk(whole, "activity_type").dictionary_encode(), weekly)

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        when = "week" if self.weekly else "date"
        faults = [in_range(when, -10_000, 10_000)(batch), in_range("sum_click", 0)(batch)]
        enrolment = self.enrolments.numbers(batch)
        faults.append(fault(pc.is_null(enrolment), "id_student", "no such enrolment in studentInfo"))
        kinds, missing = self._kinds(batch)
        faults.append(missing)
        found = tuple(one for one in faults if one is not None)
        if found:
            batch = _tamed(batch, found, (when, "sum_click"))
        day = batch.column(when)
        shaped = [
            enrolment,
            pc.cast(pc.add(pc.multiply(day, 7), 6) if self.weekly else day, pa.int32()),
            kinds,
            pc.cast(batch.column("sum_click"), pa.int32()),
        ]
        return Verdict(pa.RecordBatch.from_arrays(shaped, schema=ACTIVITY), found)

    def _kinds(self, batch: pa.RecordBatch) -> tuple[pa.Array, Fault | None]:
        """The kind of activity behind each site; unknown where the export has no sites at all."""
        if self.weekly or not len(self.site_ids):
            return pa.nulls(batch.num_rows, ACTIVITY.field("activity_type").type), None
        place = pc.index_in(batch.column("id_site"), value_set=self.site_ids)
        kinds = pa.DictionaryArray.from_arrays(self.site_types.indices.take(place), self.site_types.dictionary)
        return kinds, fault(pc.is_null(place), "id_site", "no such site in vle")


def _tamed(batch: pa.RecordBatch, faults: Sequence[Fault], columns: Sequence[str]) -> pa.RecordBatch:
    """Values of rows that go anyway must not stop the cast of those that stay."""
    gone = np.zeros(batch.num_rows, bool)
    for one in faults:
        gone[one.rows] = True
    mask = pa.array(gone)
    arrays = [
        pc.if_else(mask, 0, column) if name in columns else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)
