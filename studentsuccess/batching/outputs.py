"""The four tables that a solution is written as. Their ids are digests of what they name, so that equal runs have equal
ids, and their rows have one order, so that equal runs are equal files."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from studentsuccess.batching.instance import Codes, Grouping, Instance, Ints, Placement, Texts
from studentsuccess.batching.quality import Figures
from studentsuccess.batching.sections import sections_of

# Of version 5: a digest of a name within a namespace (RFC 9562). This namespace is ours and never changes.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "studentsuccess.batching").bytes
ACTIVE, ENROLLED, POOLED = "ACTIVE", "ENROLLED", "POOLED"


@dataclass(frozen=True)
class Solution:
    """Who is with whom, and where and when they meet."""

    instance: Instance
    grouping: Grouping
    placement: Placement

    @property
    def sizes(self) -> Ints:
        return np.bincount(self.grouping.batch, minlength=self.grouping.count).astype(np.int64)

    @property
    def capacities(self) -> Ints:
        """Seats of each batch's room."""
        return self.instance.rooms.capacity[self.placement.room]


@dataclass(frozen=True)
class Named:
    """What batches are called: an id, a code for people, and the program and year that most members are of."""

    ids: tuple[str, ...]
    codes: tuple[str, ...]
    programs: tuple[str, ...]
    years: tuple[str, ...]


def names_of(instance: Instance, grouping: Grouping, tenant: str) -> Named:
    """Codes count the batches of a program and year from 1 on, in the grouping's order."""
    programs = _most_common(instance.students.texts("program_id"), grouping)
    years = _most_common(instance.students.texts("academic_year"), grouping)
    seen: Counter[str] = Counter()
    codes = []
    for program, year in zip(programs, years, strict=True):
        group = f"{program}-{year}"
        seen[group] += 1
        codes.append(f"{group}-{seen[group]:03}")
    return Named(tuple(_uuids("batch", [(tenant, code) for code in codes])), tuple(codes), programs, years)


def _most_common(values: Texts, grouping: Grouping) -> tuple[str, ...]:
    """The value that most members of each batch have; of equals the first by name, and none where nobody has one."""
    many = len(values.labels) + 1
    key = grouping.batch.astype(np.int64) * many + values.codes + 1
    found, counts = np.unique(key, return_counts=True)
    batch, code = np.divmod(found, many)
    order = np.lexsort((code, -counts * (code > 0), batch))
    first = order[np.unique(batch[order], return_index=True)[1]]
    return tuple(values.labels[at - 1] if at else "" for at in code[first])


def _uuids(kind: str, names: Iterable[Sequence[str]]) -> list[str]:
    """As `uuid.uuid5` makes them, at a quarter of its time."""
    start = hashlib.sha1(NAMESPACE + kind.encode(), usedforsecurity=False)
    return [_uuid(start.copy(), "\0".join(("", *parts))) for parts in names]


def _uuid(digest: hashlib._Hash, name: str) -> str:
    digest.update(name.encode("utf-8", "surrogatepass"))
    raw = bytearray(digest.digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x50, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def batch_rows(solution: Solution, named: Named, figures: Figures) -> pa.Table:
    """student_batches.csv: a row a batch."""
    return pa.table(
        {
            "batch_id": pa.array(named.ids, pa.string()),
            "batch_code": pa.array(named.codes, pa.string()),
            "program_id": pa.array(named.programs, pa.string()),
            "academic_year": pa.array(named.years, pa.string()),
            "size": figures.size,
            "coherence": figures.coherence,
            "program_consistency": figures.consistency,
            "resource_efficiency": figures.size / solution.capacities,
            "violations": figures.violations,
        }
    )


def membership_rows(solution: Solution, named: Named, day: date) -> pa.Table:
    """batch_student_membership.csv: a row a student, batch by batch."""
    students, batch = solution.instance.students, solution.grouping.batch
    order = np.argsort(batch, kind="stable")
    ids = [students.ids[at] for at in order]
    return pa.table(
        {
            "membership_id": pa.array(_uuids("membership", zip(_spread(named.ids, batch[order]), ids, strict=True))),
            "batch_id": _coded(named.ids, batch[order]),
            "student_id": pa.array(ids, pa.string()),
            "student_name": pa.array([students.names[at] for at in order], pa.string()),
            "program_id": _labelled(students.texts("program_id"), order),
            "academic_year": _labelled(students.texts("academic_year"), order),
            "enrollment_date": pa.repeat(pa.scalar(day, pa.date32()), len(ids)),
            "membership_status": _coded((ACTIVE,), np.zeros(len(ids), np.int32)),
        }
    )


def enrolment_rows(solution: Solution, named: Named) -> pa.Table:
    """batch_course_enrollment.csv: a row for each course that somebody in a batch takes."""
    courses = solution.instance.courses
    found = sections_of(solution.instance, solution.grouping.batch, solution.grouping.count)
    pairs = zip(_spread(named.ids, found.batch), _spread(courses.ids, found.course), strict=True)
    return pa.table(
        {
            "enrollment_id": pa.array(_uuids("enrollment", pairs), pa.string()),
            "batch_id": _coded(named.ids, found.batch),
            "course_id": _coded(courses.ids, found.course),
            "course_name": _coded(courses.names, found.course),
            "credit_hours": pa.array(courses.credits[found.course], pa.float64(), from_pandas=True),
            "enrollment_status": _coded((ENROLLED, POOLED), found.pooled),
            "expected_students": found.taking,
            "capacity_utilization": found.taking / solution.capacities[found.batch],
        }
    )


def assignment_rows(solution: Solution, named: Named) -> pa.Table:
    """batch_resource_assignment.csv: a row a batch."""
    instance, placement = solution.instance, solution.placement
    return pa.table(
        {
            "assignment_id": pa.array(_uuids("assignment", [(one,) for one in named.ids]), pa.string()),
            "batch_id": pa.array(named.ids, pa.string()),
            "room_id": _coded(instance.rooms.ids, placement.room),
            "shift_id": _coded(instance.shifts.ids, placement.shift),
            "room_capacity": solution.capacities,
            "utilization": solution.sizes / solution.capacities,
        }
    )


def _spread(labels: Sequence[str], codes: Ints | Codes) -> list[str]:
    return [labels[code] for code in codes]


def _coded(labels: Sequence[str], codes: np.ndarray) -> pa.Array:
    """Texts that repeat, once each."""
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(labels, pa.string()))


def _labelled(values: Texts, order: np.ndarray) -> pa.Array:
    codes = values.codes[order]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(values.labels, pa.string()))
