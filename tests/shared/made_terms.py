"""Writes a term that nobody studied in: students, courses, rooms, shifts, faculty and rules, the same for a seed.

Programs have years, years have tracks, and a track's courses are mostly taken together; some students choose otherwise.
Every name that is awkward in a CSV is there. The rooms are such that a fill of eight seats in ten is possible.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from made_terms_stock import Section, faculty_table, rooms_table, shifts_table

if TYPE_CHECKING:
    from studentsuccess.batching.instance import Instance

CELL, LEAST, MOST = 330, 60, 1300  # students of a program and year: usual, fewest, most
YEARS = ("2021-2022", "2022-2023", "2023-2024", "2024-2025")
STAYING = np.array([1.0, 0.88, 0.8, 0.74])  # of those who began, how many are left year by year
SHIFTS = ("morning", "afternoon", "evening")
LANGUAGES = ("en", "de", "fr", "es", "zh")
MANDATORY, OWN, ELECTIVES, COMMON = 4, 2, 6, 8
OFTEN = 0.05  # the share of a cell from which a course may be taught in any batch of it
FIRST = ("Ann", "Bo", "Chloé", "Đorđe", "李", "Zoë", "Óscar", "Mary-Jane", 'Jo "Ace"', "=Eve", "Ng\nAn", "O'Neil")
LAST = ("Smith", "Müller, Jr.", "Nguyễn", "O'Brien", "García; López", "Ødegård", "王", "van der Berg", "Иванова", "{X}")
TOPICS = ("Logic", "Data, Structures", 'Proof "and" Truth', "Statistics\nII", "Économie", "物理", "Law; Old", "Art")

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """What is asked for: how many students, which draw, and what is unusual about it."""

    students: int
    seed: int = 0
    giant: bool = False  # all in one program and year
    shuffle: bool = False  # the same rows in another order
    separate: bool = False  # courses in student_course_enrollment.csv instead of a column
    history: bool = False  # with the courses that were passed before


@dataclass(frozen=True)
class _Cell:
    """The students of one program and year, the courses open to them, and who takes which."""

    program: int
    year: int
    first: int
    track: Ints
    courses: Ints
    takes: Flags

    @property
    def size(self) -> int:
        return len(self.track)


def write_term(folder: Path, term: Term) -> Path:
    """All files of the term in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([term.seed, term.students, term.giant])
    sizes = _cell_sizes(term, rng)
    catalogue = _Catalogue(len(sizes), tracks=12 if term.giant else 3)
    cells = list(_cells(sizes, catalogue, rng))
    order = np.random.default_rng(term.seed + 1) if term.shuffle else None
    for name, table in _tables(term, cells, catalogue, rng).items():
        if order is not None:
            table = table.take(pa.array(order.permutation(table.num_rows)))
        pacsv.write_csv(table, folder / f"{name}.csv")
    return folder


def made_instance(students: int, seed: int = 0, *, giant: bool = False) -> Instance:
    """The term as the program reads it."""
    import tempfile

    from studentsuccess.batching.inputs import InputRequest, read_instance

    with tempfile.TemporaryDirectory() as folder:
        read = read_instance(write_term(Path(folder), Term(students, seed, giant)), InputRequest(seed=seed))
    assert read.instance is not None, read.problems
    return read.instance


def _cell_sizes(term: Term, rng: np.random.Generator) -> Ints:
    """Students by program and year: programs are uneven, and each year has fewer than the one after it."""
    if term.giant or term.students < 2 * LEAST:
        return np.array([[term.students]])
    years = min(len(YEARS), max(1, term.students // (4 * LEAST)))
    programs = max(1, round(term.students / (years * min(CELL, max(LEAST * 1.5, term.students / 12)))))
    share = rng.lognormal(0, 0.45, programs)[:, None] * STAYING[:years]
    sizes = np.clip(np.floor(share / share.sum() * term.students), LEAST, MOST).astype(np.int64)
    return _summing_to(sizes, term.students)


def _summing_to(sizes: Ints, total: int) -> Ints:
    """The rest goes to where there is room, a few at a time."""
    flat = sizes.ravel().copy()
    while rest := total - int(flat.sum()):
        open_ = np.flatnonzero(flat < MOST) if rest > 0 else np.flatnonzero(flat > LEAST)
        step = max(1, abs(rest) // len(open_))
        flat[open_[: max(1, abs(rest) // step)]] += step if rest > 0 else -step
        flat = np.clip(flat, min(LEAST, total // len(flat)), MOST)
    return flat.reshape(sizes.shape)


class _Catalogue:
    """All courses: of each program and year its mandatory ones, those of its tracks and its electives; some for all."""

    def __init__(self, programs: int, tracks: int) -> None:
        self.programs, self.tracks = programs, tracks
        self.each = MANDATORY + OWN * tracks + ELECTIVES
        self.own = programs * len(YEARS) * self.each
        self.count = self.own + COMMON
        self.departments = max(1, (programs + 1) // 2)

    def of(self, program: int, year: int) -> Ints:
        first = (program * len(YEARS) + year) * self.each
        return np.concatenate([np.arange(first, first + self.each), np.arange(self.own, self.count)])

    def department(self, course: int) -> int:
        return self.departments if course >= self.own else course // (len(YEARS) * self.each) % self.departments

    def id(self, course: int) -> str:
        if course >= self.own:
            return f"ALL-{course - self.own + 1:02d}"
        cell, number = divmod(course, self.each)
        return f"P{cell // len(YEARS) + 1:03d}-{cell % len(YEARS) + 1}{number + 1:02d}"

    def prerequisite(self, course: int) -> int | None:
        """What a mandatory course builds on: the one of the same number a year before."""
        cell, number = divmod(course, self.each)
        earlier = course - self.each
        return earlier if course < self.own and cell % len(YEARS) and number < MANDATORY else None


def _cells(sizes: Ints, catalogue: _Catalogue, rng: np.random.Generator) -> list[_Cell]:
    found, first = [], 0
    for (program, year), size in np.ndenumerate(sizes):
        track = rng.choice(catalogue.tracks, size, p=_shares(catalogue.tracks))
        takes = _choices(track, catalogue, rng)
        found.append(_Cell(program, year, first, track, catalogue.of(program, year), takes))
        first += int(size)
    return found


def _shares(tracks: int) -> npt.NDArray[np.float64]:
    """Tracks are uneven, the first is the largest."""
    share = 1 / np.arange(2, tracks + 2)
    return share / share.sum()


def _choices(track: Ints, catalogue: _Catalogue, rng: np.random.Generator) -> Flags:
    """Who takes what: nearly all mandatory courses, mostly those of the own track, an elective that goes with it."""
    rows = np.arange(len(track))
    chance = np.full((len(track), catalogue.each + COMMON), 0.02)
    chance[:, :MANDATORY] = 0.97
    for own in range(OWN):
        chance[rows, MANDATORY + OWN * track + own] = 0.9
    start = catalogue.each - ELECTIVES
    chance[:, start : catalogue.each] = 0.06
    chance[rows, start + track % ELECTIVES] = 0.5
    takes = rng.random(chance.shape) < chance
    takes[:, 0] |= ~takes.any(axis=1)
    return np.asarray(takes, bool)


def _tables(term: Term, cells: list[_Cell], catalogue: _Catalogue, rng: np.random.Generator) -> dict[str, pa.Table]:
    ids = pa.array([f"S{number:07d}" for number in rng.permutation(term.students) + 1])
    who, course = _taken(cells)
    courses = pa.array([catalogue.id(number) for number in range(catalogue.count)])
    taken = courses.take(pa.array(course))
    tables = {"student_data": _students(term, cells, ids, rng)}
    if term.separate:
        columns = {"student_id": ids.take(pa.array(who)), "course_id": taken}
        tables["student_course_enrollment"] = pa.table(columns)
    else:
        starts = np.searchsorted(who, np.arange(term.students + 1))
        tables["student_data"] = tables["student_data"].append_column("enrolled_courses", _json_lists(starts, taken))
    if term.history:
        tables["student_course_history"] = _history(who, course, ids, courses, catalogue)
    sections = _sections(cells, catalogue)
    return tables | {
        "programs": _programs(catalogue),
        "courses": _courses(catalogue, courses),
        "shifts": shifts_table(),
        "rooms": rooms_table([cell.size for cell in cells], rng),
        "faculty": faculty_table(sections, catalogue.departments + 1),
        "dynamic_parameters": _rules(),
    }


def _taken(cells: list[_Cell]) -> tuple[Ints, Ints]:
    """All enrolments, by student: who, and which course."""
    who, what = [], []
    for cell in cells:
        row, column = np.nonzero(cell.takes)
        who.append(row + cell.first)
        what.append(cell.courses[column])
    return np.concatenate(who), np.concatenate(what)


def _json_lists(starts: Ints, texts: pa.Array) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), texts)
    return pc.binary_join_element_wise('["', pc.binary_join(lists, '", "'), '"]', "")


def _students(term: Term, cells: list[_Cell], ids: pa.Array, rng: np.random.Generator) -> pa.Table:
    count = term.students
    program = np.concatenate([np.full(cell.size, cell.program) for cell in cells])
    year = np.concatenate([np.full(cell.size, cell.year) for cell in cells])
    track = np.concatenate([cell.track for cell in cells])
    names = pa.array([f"{first} {last}" for first in FIRST for last in LAST])
    chance = rng.random(count)
    shift = np.where(chance < 0.6, track % 3, rng.choice(3, count, p=[0.55, 0.33, 0.12]))
    second = rng.choice(len(LANGUAGES), count, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    spoken = pa.array(["{en}", *(f"{{en,{language}}}" for language in LANGUAGES[1:])])
    return pa.table(
        {
            "student_id": ids,
            "student_name": names.take(pa.array(rng.integers(0, len(names), count))),
            "program_id": _picked([f"P{number + 1:03d}" for number in range(int(program.max()) + 1)], program),
            "academic_year": _picked(YEARS, len(YEARS) - 1 - year),
            "semester": _picked(["1", "3", "5", "7"], year),
            "preferred_shift": _picked(SHIFTS, shift),
            "preferred_languages": spoken.take(pa.array(second)),
            "entry_score": pa.array(np.clip(rng.normal(62 + 3 * track, 12, count), 0, 100).round(1)),
        }
    )


def _picked(labels: tuple[str, ...] | list[str], codes: Ints) -> pa.Array:
    return pa.array(labels).take(pa.array(codes))


def _history(who: Ints, course: Ints, ids: pa.Array, courses: pa.Array, catalogue: _Catalogue) -> pa.Table:
    """Everyone has passed what their courses build on, and the mandatory courses before that."""
    passed = []
    earlier = np.array([-1 if (p := catalogue.prerequisite(c)) is None else p for c in range(catalogue.count)])
    while (known := earlier[course] >= 0).any():
        who, course = who[known], earlier[course[known]]
        passed.append(np.stack([who, course]))
    both = np.concatenate([np.zeros((2, 0), np.int64), *passed], axis=1)
    columns = {"student_id": ids.take(pa.array(both[0])), "course_id": courses.take(pa.array(both[1]))}
    return pa.table(columns | {"passed": pa.array(np.full(both.shape[1], "true"), pa.string())})


def _programs(catalogue: _Catalogue) -> pa.Table:
    numbers = range(catalogue.programs)
    return pa.table(
        {
            "program_id": [f"P{number + 1:03d}" for number in numbers],
            "program_name": [f"{TOPICS[number % len(TOPICS)]} {number + 1}" for number in numbers],
            "department_id": [f"D{number % catalogue.departments + 1:02d}" for number in numbers],
        }
    )


def hours_of(course: int) -> int:
    """Weekly hours: from two to four."""
    return 2 + course % 3


def _courses(catalogue: _Catalogue, ids: pa.Array) -> pa.Table:
    """The program's own courses name no department: then it is the program's. What is open to all has one."""
    numbers = range(catalogue.count)
    before = [catalogue.prerequisite(number) for number in numbers]
    common = f"D{catalogue.departments + 1:02d}"
    return pa.table(
        {
            "course_id": ids,
            "course_name": [f"{TOPICS[number % len(TOPICS)]} {number + 1}" for number in numbers],
            "credits": [hours_of(number) + 1 for number in numbers],
            "weekly_hours": [hours_of(number) for number in numbers],
            "prerequisites": ["[]" if earlier is None else f'["{catalogue.id(earlier)}"]' for earlier in before],
            "department_id": [common if number >= catalogue.own else "" for number in numbers],
        }
    )


def _sections(cells: list[_Cell], catalogue: _Catalogue) -> list[Section]:
    """The hours that teaching may need: what many take in every batch of the cell, what few take in some of them."""
    found = []
    for cell in cells:
        batches = max(1, round(cell.size / 30))
        for course, share in zip(cell.courses.tolist(), cell.takes.mean(axis=0).tolist(), strict=True):
            taught = batches if share >= OFTEN else batches // 8 + 1
            found.append(Section(catalogue.department(course), taught * hours_of(course)))
    return found


def _rules() -> pa.Table:
    rows = [
        ("SAME_PROGRAM", "student", "program_id", "no_mix", "hard", 10.0, None),
        ("SAME_YEAR", "student", "academic_year", "no_mix", "hard", 10.0, None),
        ("ROOM_MARGIN", "batch", "size", "capacity_limit", "hard", 10.0, 0.9),
        ("ONE_SHIFT", "student", "preferred_shift", "homogeneous", "soft", 2.0, 0.5),
        ("ONE_LANGUAGE", "student", "preferred_languages", "homogeneous", "soft", 1.0, 0.5),
        ("LIKE_SCORES", "student", "entry_score", "max_variance", "soft", 0.5, 1.0),
    ]
    names = "parameter_code", "entity_type", "field_name", "rule_type", "constraint_level", "weight", "threshold"
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/gen-term", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--students", type=int, default=500, help="how many; default: 500")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another term; default: 0")
    parser.add_argument("--giant", action="store_true", help="all students in one program and year")
    parser.add_argument("--shuffle", action="store_true", help="the same rows in another order")
    parser.add_argument("--separate", action="store_true", help="courses in student_course_enrollment.csv")
    parser.add_argument("--history", action="store_true", help="also the courses that were passed before")
    given = parser.parse_args()
    if given.students < 1:
        parser.error("--students must be at least 1")
    term = Term(given.students, given.seed, given.giant, given.shuffle, given.separate, given.history)
    sys.stdout.write(f"{write_term(given.folder, term)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
