"""The generator of terms: the same for a seed, readable without a word, and as a term is."""

from __future__ import annotations

import filecmp
import subprocess
import sys
from collections import Counter
from pathlib import Path

import made_terms
import numpy as np
import pytest
from made_terms import LEAST, MOST, Term, made_instance, write_term

from studentsuccess.batching.inputs import Code, InputRequest, read_instance
from studentsuccess.batching.instance import Instance, Lists


def _cells(found: Instance) -> Counter[tuple[int, int]]:
    program, year = found.students.texts("program_id").codes, found.students.texts("academic_year").codes
    return Counter(zip(program.tolist(), year.tolist(), strict=True))


@pytest.mark.parametrize("students", [1, 16, 100, 500, 3000])
def test_a_term_has_the_students_asked_for_in_cells_of_a_real_size(students: int) -> None:
    found = made_instance(students, seed=3)
    assert found.students.count == students
    if students >= 500:
        assert len(_cells(found)) > 3
        assert all(LEAST <= size <= MOST for size in _cells(found).values())
        assert set(np.unique(found.students.texts("preferred_shift").codes)) == {0, 1, 2}
    courses = found.students.lists("enrolled_courses")
    assert np.diff(courses.start).min() >= 1
    assert students < 100 or 5.5 < np.diff(courses.start).mean() < 8


def test_a_giant_cell_is_one_cell() -> None:
    found = made_instance(2000, giant=True)
    assert list(_cells(found).values()) == [2000]


def test_the_same_seed_is_the_same_term_and_another_is_not(tmp_path: Path) -> None:
    one, again, other = (tmp_path / name for name in ("one", "again", "other"))
    write_term(one, Term(300, seed=1))
    write_term(again, Term(300, seed=1))
    write_term(other, Term(300, seed=2))
    names = [path.name for path in one.iterdir()]
    assert filecmp.cmpfiles(one, again, names, shallow=False)[0] == names
    assert "student_data.csv" in filecmp.cmpfiles(one, other, names, shallow=False)[1]


def _answer(folder: Path) -> tuple[object, ...]:
    read = read_instance(folder, InputRequest())
    found = read.expect()
    taken = found.students.lists("enrolled_courses")
    return (
        found.students.ids,
        found.students.names,
        taken.start.tolist(),
        taken.items.tolist(),
        found.rooms.capacity.tolist(),
    )


def test_shuffled_rows_and_separate_enrolments_are_the_same_term(tmp_path: Path) -> None:
    plain = _answer(write_term(tmp_path / "plain", Term(400, seed=5)))
    assert _answer(write_term(tmp_path / "shuffled", Term(400, seed=5, shuffle=True))) == plain
    assert _answer(write_term(tmp_path / "separate", Term(400, seed=5, separate=True, shuffle=True))) == plain
    first, second = ((tmp_path / name / "student_data.csv").read_bytes() for name in ("plain", "shuffled"))
    assert first != second


def test_a_history_meets_all_prerequisites(tmp_path: Path) -> None:
    """Without one they can't be verified, which is said; with one nothing is left to say."""
    plain = read_instance(write_term(tmp_path / "plain", Term(600, seed=2)), InputRequest())
    assert [problem.code for problem in plain.problems] == [Code.PREREQ_UNVERIFIABLE]
    read = read_instance(write_term(tmp_path / "history", Term(600, seed=2, history=True)), InputRequest())
    assert read.problems == ()
    assert read.expect().students.completed is not None


def test_awkward_names_come_through() -> None:
    names = set(made_instance(500).students.names)
    assert {'Jo "Ace" Müller, Jr.', "Ng\nAn O'Brien", "=Eve {X}"} <= names


@pytest.mark.parametrize(
    ("students", "seed", "giant"), [(3000, 0, False), (3000, 0, True), *((500, s, False) for s in range(6))]
)
def test_rooms_hold_an_even_split_with_a_fill_of_eight_in_ten(students: int, seed: int, giant: bool) -> None:
    """Each cell split evenly, batches by size into rooms by size, each room in its shifts: none is left out."""
    found = made_instance(students, seed, giant=giant)
    sizes: list[int] = []
    for size in _cells(found).values():
        count = max(1, int(size / 35 + 0.7))
        sizes += [size // count + (at < size % count) for at in range(count)]
    slots = np.sort(np.repeat(found.rooms.capacity, found.rooms.open.sum(axis=1)))
    used, at = [], 0
    for size in sorted(sizes):
        while slots[at] * 0.9 < size:
            at += 1
        used.append(size / slots[at])
        at += 1
    assert np.mean(used) >= 0.8


def test_tracks_make_some_students_alike() -> None:
    """Within a cell the same courses come in groups: pairs of one track share more than pairs of two."""
    found = made_instance(500)
    taken = found.students.lists("enrolled_courses")
    assert isinstance(taken, Lists)
    flags = np.zeros((500, len(taken.labels)))
    flags[np.repeat(np.arange(500), np.diff(taken.start)), taken.items] = 1
    share = flags.mean(axis=0)
    beyond = np.cov(flags.T)[share > 0.02][:, share > 0.02]
    assert np.abs(beyond - np.diag(beyond.diagonal())).max() > 0.05


def test_the_script_writes_it(tmp_path: Path) -> None:
    script = Path(made_terms.__file__)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "t", "--students", "70", "--seed", "4"], capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == str(tmp_path / "t")
    write_term(tmp_path / "same", Term(70, seed=4))
    names = [path.name for path in (tmp_path / "same").iterdir()]
    assert filecmp.cmpfiles(tmp_path / "t", tmp_path / "same", names, shallow=False)[0] == names
