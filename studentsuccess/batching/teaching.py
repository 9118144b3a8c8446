"""Hours that batches ask of departments, and who gives them in which shift.

A section asks the department of its course (or of the batch's program where the course has none) for its weekly hours.
A pooled course asks for them once in every shift in which any batch takes it. Hours of a teacher may be split over the
shifts they work in, so a department has enough exactly when a flow says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from studentsuccess.batching.instance import Codes, Flags, Floats, Instance, Ints
from studentsuccess.batching.sections import sections_of

# Hours this small are a rounding error.
TINY = 1e-6


@dataclass(frozen=True)
class Teaching:
    """Hours asked and hours offered, by department."""

    departments: tuple[str, ...]
    load: Floats  # batches x departments: hours of sections
    pool_batch: Ints  # a row for every batch and pooled course
    pool_key: Ints  # which pooled course (and department) that is
    key_department: Ints
    key_hours: Floats
    staff_department: Ints  # teachers of one department and the same shifts are one row
    staff_shifts: Flags
    staff_hours: Floats

    def more(self, department: int, shifts: Flags, hours: float) -> Teaching:
        """With so many hours more in one department."""
        return replace(
            self,
            staff_department=np.append(self.staff_department, department),
            staff_shifts=np.vstack([self.staff_shifts, shifts[None, :]]),
            staff_hours=np.append(self.staff_hours, hours),
        )

    def demand(self, shift: Codes) -> Floats:
        """Departments x shifts: the hours asked when every batch meets in that shift."""
        shifts = self.staff_shifts.shape[1]
        asked = np.zeros((shifts, len(self.departments)))
        np.add.at(asked, shift, self.load)
        taken = np.unique(self.pool_key * shifts + shift[self.pool_batch])
        key, when = np.divmod(taken, shifts)
        np.add.at(asked, (when, self.key_department[key]), self.key_hours[key])
        return asked.T

    def offered(self, department: int, shifts: Flags) -> float:
        """The hours of everyone of a department who works in any of the shifts."""
        mine = (self.staff_department == department) & (self.staff_shifts & shifts[None, :]).any(axis=1)
        return float(self.staff_hours[mine].sum())


def teaching_of(instance: Instance, batch: Codes, count: int) -> Teaching | None:
    """None where no faculty is given: then hours are unlimited."""
    faculty = instance.faculty
    if faculty is None:
        return None
    courses, programs = instance.courses, instance.programs
    names = sorted({*faculty.departments, *programs.departments, *(of for of in courses.departments if of is not None)})
    code = {name: place for place, name in enumerate(names)}
    own = np.array([-1 if of is None else code[of] for of in courses.departments], np.int64)
    found = sections_of(instance, batch, count)
    department = own[found.course]
    homes = _homes(instance, batch, count, code)
    department = np.where(department < 0, homes[found.batch], department)
    hours = np.nan_to_num(courses.weekly_hours)[found.course]
    load = np.zeros((count, len(names)))
    single = ~found.pooled
    np.add.at(load, (found.batch[single], department[single]), hours[single])
    pooled = found.course[found.pooled] * len(names) + department[found.pooled]
    keys, key = np.unique(pooled, return_inverse=True)
    staff_department, staff_shifts, staff_hours = _staff(instance, code)
    return Teaching(
        departments=tuple(names),
        load=load,
        pool_batch=found.batch[found.pooled],
        pool_key=key.astype(np.int64),
        key_department=keys % max(len(names), 1),
        key_hours=np.nan_to_num(courses.weekly_hours)[keys // max(len(names), 1)],
        staff_department=staff_department,
        staff_shifts=staff_shifts,
        staff_hours=staff_hours,
    )


def _homes(instance: Instance, batch: Codes, count: int, code: dict[str, int]) -> Ints:
    """The department of the program that most members of each batch are in."""
    program = instance.students.texts("program_id")
    known = dict(zip(instance.programs.ids, instance.programs.departments, strict=True))
    of_label = np.array([code[known[label]] for label in program.labels], np.int64)
    many = max(len(of_label), 1)
    pairs, members = np.unique(batch.astype(np.int64) * many + program.codes, return_counts=True)
    batches, label = np.divmod(pairs, many)
    order = np.lexsort((label, -members, batches))  # within a batch the program of most comes first
    first = order[np.unique(batches[order], return_index=True)[1]]
    homes = np.zeros(count, np.int64)
    homes[batches[first]] = of_label[label[first]]
    return homes


def _staff(instance: Instance, code: dict[str, int]) -> tuple[Ints, Flags, Floats]:
    """Teachers, those of one department and the same shifts taken together."""
    faculty = instance.faculty
    assert faculty is not None
    department = np.array([code[of] for of in faculty.departments], np.int64)
    rows = np.column_stack([department, faculty.shifts.astype(np.int64)])
    kinds, of = np.unique(rows, axis=0, return_inverse=True)
    hours = np.bincount(of.reshape(-1), weights=np.nan_to_num(faculty.hours), minlength=len(kinds)).astype(float)
    return kinds[:, 0], kinds[:, 1:].astype(np.bool_), hours


def hours_short(teaching: Teaching, shift: Codes) -> Floats:
    """Departments x shifts: the fewest hours that are missing when every batch meets in that shift."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    asked = teaching.demand(shift)
    departments, shifts = asked.shape
    staff, when = np.nonzero(teaching.staff_shifts)
    gives = len(staff)
    width = gives + asked.size
    meets = teaching.staff_department[staff] * shifts + when
    short = np.arange(asked.size)
    # Rows: what is given and missing covers what is asked; nobody gives more than they have.
    row = np.concatenate([meets, short, asked.size + staff])
    column = np.concatenate([np.arange(gives), gives + short, np.arange(gives)])
    value = np.concatenate([np.full(gives + asked.size, -1.0), np.ones(gives)])
    matrix = coo_array((value, (row, column)), shape=(asked.size + len(teaching.staff_hours), width)).tocsr()
    limit = np.concatenate([-asked.ravel(), teaching.staff_hours])
    cost = np.concatenate([np.zeros(gives), np.ones(asked.size)])
    answer = linprog(cost, A_ub=matrix, b_ub=limit, bounds=(0, None), method="highs")
    missing = np.asarray(answer.x)[gives:].reshape(departments, shifts)
    return np.where(missing > TINY, missing, 0.0)
