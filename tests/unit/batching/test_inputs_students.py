"""What students take and have passed: from lists, from a file of enrolments, held against prerequisites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_terms import HISTORY, Small, of_code, only

from studentsuccess.batching.input_fields import lists_of, owners
from studentsuccess.batching.input_prerequisites import circles, contained, unmet, without
from studentsuccess.batching.inputs import Code
from studentsuccess.batching.instance import Lists
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import read_dead_letters

ENROLMENTS = "student_id,course_id\n"


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


@pytest.fixture
def separate(small: Small) -> Small:
    """The same term with enrolments in a file of their own."""
    header = "student_id,program_id,academic_year\n"
    small.files["student_data.csv"] = header + "S3,P1,2024\nS1,P1,2024\nS2,P2,2023\nS4,P2,2023\n"
    rows = "S3,C2\nS3,C1\nS1,C1\nS1,C3\nS2,C1\nS2,C2\nS4,C3\n"
    return small.add("student_course_enrollment.csv", ENROLMENTS + rows)


def _taken(found: Lists | None) -> list[list[str]]:
    assert found is not None
    bounds = zip(found.start[:-1], found.start[1:], strict=True)
    return [[found.labels[item] for item in found.items[start:end]] for start, end in bounds]


ALL = [["C1", "C3"], ["C1", "C2"], ["C1", "C2"], ["C3"]]


def test_a_file_of_enrolments_says_the_same_as_lists(separate: Small) -> None:
    assert _taken(separate.instance().students.lists("enrolled_courses")) == ALL


def test_lists_and_enrolments_add_up(small: Small) -> None:
    small.add("student_course_enrollment.csv", ENROLMENTS + "S4,C1\nS1,C1\n")
    assert _taken(small.instance().students.lists("enrolled_courses")) == [*ALL[:3], ["C1", "C3"]]


def test_an_enrolment_that_stands_twice_counts_once(separate: Small) -> None:
    read = separate.add("student_course_enrollment.csv", "S4,C3\n").read()
    problem = only(read, Code.DUPLICATE_ID)
    assert (problem.warning, problem.line) == (True, 9)
    assert _taken(read.expect().students.lists("enrolled_courses")) == ALL
    enrolments = next(file.counts for file in read.files if file.role == "student_course_enrollment")
    assert enrolments == Counts(8, 7, 0, 1)


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ("S9,C1", "student_id", "no such student"),
        ("S1,C9", "course_id", "no such course: `C9`"),
        (",C1", "student_id", "is empty"),
        ("S1,", "course_id", "is empty"),
    ],
)
def test_an_enrolment_of_nobody_or_nothing_is_an_orphan(separate: Small, row: str, column: str, said: str) -> None:
    read = separate.add("student_course_enrollment.csv", f"{row}\n").read()
    (problem,) = read.errors
    assert (problem.file, problem.line, problem.column) == ("student_course_enrollment.csv", 9, column)
    assert said in problem.message
    read = separate.read_leniently()
    assert _taken(read.expect().students.lists("enrolled_courses")) == ALL
    (letter,) = read_dead_letters(read.letters["student_course_enrollment"].temp)
    assert letter.reject.raw == row


def test_without_lists_and_enrolments_nobody_knows_who_takes_what(separate: Small) -> None:
    (problem,) = separate.without("student_course_enrollment.csv").read().errors
    assert (problem.code, problem.column) == (Code.COLUMN_MISSING, "enrolled_courses")


def test_prerequisites_without_a_history_can_not_be_verified(small: Small) -> None:
    assert not of_code(small.read(), Code.PREREQ_UNVERIFIABLE)
    read = small.change("courses.csv", "4,3,,D2", "4,3,C1,D2").read()
    assert only(read, Code.PREREQ_UNVERIFIABLE).warning
    assert read.ready
    small.add("student_course_history.csv", HISTORY + "S2,C1,true\nS3,C1,true\n")
    assert not of_code(small.read(), Code.PREREQ_UNVERIFIABLE)


def test_a_course_without_its_prerequisite_is_named_by_the_rows_that_take_it(small: Small) -> None:
    small.change("courses.csv", "4,3,,D2", "4,3,C1,D2").add("student_course_history.csv", HISTORY + "S2,C1,true\n")
    problem = only(small.read(), Code.PREREQ_UNMET)
    assert (problem.file, problem.lines, problem.column) == ("student_data.csv", (2,), "enrolled_courses")
    assert "`C2` is taken, and `C1`, on which it builds, is not passed" in problem.message


def test_leniently_that_enrolment_is_left_out_and_the_student_stays(small: Small) -> None:
    small.change("courses.csv", "4,3,,D2", "4,3,C1,D2").add("student_course_history.csv", HISTORY + "S2,C1,true\n")
    read = small.read_leniently()
    assert _taken(read.expect().students.lists("enrolled_courses")) == [*ALL[:2], ["C1"], ALL[3]]
    assert "left out" in only(read, Code.PREREQ_UNMET).message
    assert read.letters == {}


def test_an_enrolments_own_row_goes_to_the_dead_letters(separate: Small) -> None:
    separate.change("courses.csv", "4,3,,D2", "4,3,C1,D2").add("student_course_history.csv", HISTORY + "S2,C1,true\n")
    problem = only(separate.read(), Code.PREREQ_UNMET)
    assert (problem.file, problem.lines) == ("student_course_enrollment.csv", (2,))
    read = separate.read_leniently()
    assert _taken(read.expect().students.lists("enrolled_courses")) == [*ALL[:2], ["C1"], ALL[3]]
    (letter,) = read_dead_letters(read.letters["student_course_enrollment"].temp)
    assert letter.reject.raw == "S3,C2"


@pytest.mark.parametrize("word", ["true", "1", "YES", "Passed", "completed"])
def test_words_for_a_pass(small: Small, word: str) -> None:
    small.add("student_course_history.csv", HISTORY + f"S1,C2,{word}\n")
    assert _taken(small.instance().students.completed) == [["C2"], [], [], []]


@pytest.mark.parametrize("word", ["false", "0", "No", "FAIL", ""])
def test_words_for_none(small: Small, word: str) -> None:
    small.add("student_course_history.csv", HISTORY + f"S1,C2,{word}\n")
    assert _taken(small.instance().students.completed) == [[], [], [], []]


def test_a_word_for_neither_is_a_bad_value(small: Small) -> None:
    small.add("student_course_history.csv", HISTORY + "S1,C2,perhaps\n")
    problem = only(small.read(), Code.BAD_VALUE)
    assert (problem.line, problem.column) == (2, "passed")


def test_grades_pass_unless_they_fail_and_numbers_are_said(small: Small) -> None:
    rows = "S1,C1,A\nS1,C2,F\nS2,C1,W\nS3,C1,2.7\nS3,C2,0\nS4,C1,\n"
    read = small.add("student_course_history.csv", "student_id,course_id,grade\n" + rows).read()
    assert _taken(read.expect().students.completed) == [["C1"], [], ["C1"], []]
    assert only(read, Code.UNUSUAL_VALUE).lines == (5, 6)


def test_a_second_try_that_passes_counts(small: Small) -> None:
    small.add("student_course_history.csv", HISTORY + "S1,C2,false\nS1,C2,true\nS1,C2,false\n")
    assert _taken(small.instance().students.completed)[0] == ["C2"]


def test_a_history_without_results_is_of_completed_courses(small: Small) -> None:
    small.add("student_course_history.csv", "student_id,course_id\nS1,C2\n")
    assert _taken(small.instance().students.completed)[0] == ["C2"]


def test_former_students_and_courses_in_a_history_are_nobodys_fault(small: Small) -> None:
    read = small.add("student_course_history.csv", HISTORY + "S9,C1,true\nS1,OLD,true\n").read()
    assert read.ready
    assert {problem.warning for problem in of_code(read, Code.ORPHAN_REFERENCE)} == {True}


PAIRS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)


def _lists(pairs: set[tuple[int, int]]) -> Lists:
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return lists_of(rows[:, 0], rows[:, 1], 6, "abcdef")


@given(PAIRS, PAIRS, PAIRS)
def test_unmet_prerequisites_are_those_that_a_loop_finds(
    taken: set[tuple[int, int]], before: set[tuple[int, int]], passed: set[tuple[int, int]]
) -> None:
    found = unmet(_lists(taken), _lists(before), _lists(passed))
    expected = {
        (student, course, needed)
        for student, course in taken
        for later, needed in before
        if later == course and (student, needed) not in passed
    }
    assert set(zip(found.students.tolist(), found.courses.tolist(), found.missing.tolist(), strict=True)) == expected


def _reaches_itself(pairs: set[tuple[int, int]]) -> bool:
    """By multiplying the matrix of steps with itself."""
    steps = np.zeros((6, 6), bool)
    for one, other in pairs:
        steps[one, other] = True
    reach = steps.copy()
    for _ in range(6):
        reach = reach | (reach @ steps)
    return bool(reach.diagonal().any())


@given(PAIRS)
def test_circles_are_found_and_leave_none_behind(pairs: set[tuple[int, int]]) -> None:
    before = _lists(pairs)
    found = circles(before)
    assert bool(found) == _reaches_itself(pairs)
    for circle in found:
        steps = zip(circle.courses, (*circle.courses[1:], circle.courses[0]), strict=True)
        assert set(steps) <= pairs
    left = without(before, found)
    assert not _reaches_itself(set(zip(owners(left).tolist(), left.items.tolist(), strict=True)))


@given(st.lists(st.integers(-5, 5)), st.sets(st.integers(-5, 5)))
def test_contained_is_membership(keys: list[int], among: set[int]) -> None:
    found = contained(np.array(keys, np.int64), np.array(sorted(among), np.int64))
    assert found.tolist() == [key in among for key in keys]


def test_many_circles_are_told_in_part_and_all_broken() -> None:
    """Every course builds on the next, and on the first: a thousand circles, one longer than the other."""
    count = 1000
    every = np.arange(count)
    rows, items = np.concatenate([every[:-1], every]), np.concatenate([every[1:], np.zeros(count, np.int64)])
    before = lists_of(rows, items, count, [str(at) for at in every])
    found = circles(before)
    assert len(found) == count
    assert sum(bool(circle.courses) for circle in found) == 20
    assert found[19].words(before.labels).count("→") <= 10
    assert circles(without(before, found)) == ()


def test_a_long_chain_of_prerequisites_is_no_circle() -> None:
    count = 50_000
    chain = np.arange(count - 1)
    assert circles(lists_of(chain, chain + 1, count, [str(at) for at in range(count)])) == ()
