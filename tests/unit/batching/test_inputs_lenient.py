"""Lenient reading: bad rows to the dead letters, the rest is used, and the books are right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_terms import FACULTY, FILES, Small, of_code

from studentsuccess.batching.inputs import Code, Read
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetter, read_dead_letters


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


def _counts(read: Read, role: str) -> Counts:
    found = next(file.counts for file in read.files if file.role == role)
    assert found is not None
    return found


def _letters(read: Read) -> Mapping[str, list[DeadLetter]]:
    return {name: list(read_dead_letters(one.temp)) for name, one in read.letters.items()}


def test_a_bad_row_goes_to_the_dead_letters_with_its_text(small: Small) -> None:
    small.change("student_data.csv", "李,P2", "李,P7")
    assert not small.read().ready
    read = small.read_leniently()
    assert read.expect().students.ids == ("S1", "S3", "S4")
    assert _counts(read, "student_data") == Counts(4, 3, 1, 0)
    (letter,) = _letters(read)["student_data"]
    assert (letter.source, letter.reject.line, letter.reject.column) == ("student_data.csv", 5, "program_id")
    assert letter.reject.raw == 'S2,李,P7,2023,,{},"{C1,C2}",'
    assert "no such program" in letter.reject.reason
    (problem,) = of_code(read, Code.ORPHAN_REFERENCE)
    assert problem.warning
    assert problem.message.endswith("left out")


def test_a_good_term_has_no_dead_letters(small: Small) -> None:
    read = small.read_leniently()
    assert read.ready
    assert read.letters == {}
    assert not list(small.folder.parent.glob("dlq*"))


def test_one_id_with_two_contents_goes_out_whole_and_a_repeat_counts_once(small: Small) -> None:
    last = FILES["student_data.csv"].splitlines()[-1]
    small.add("student_data.csv", f"{last}\nS1,Other,P1,2024,,,,\n")
    read = small.read_leniently()
    assert _counts(read, "student_data") == Counts(6, 3, 2, 1)
    assert read.expect().students.ids == ("S2", "S3", "S4")
    assert [letter.reject.line for letter in _letters(read)["student_data"]] == [3, 8]
    assert _letters(read)["student_data"][0].reject.raw == 'S1,"Ng\nAn",P1,2024,Evening,en;fr,C1;C3,70'


def test_rows_with_too_many_fields_go_too(small: Small) -> None:
    read = small.add("student_data.csv", "S5,a,P1,2024,,,,,,,\n").read_leniently()
    assert _counts(read, "student_data") == Counts(5, 4, 1, 0)
    assert _letters(read)["student_data"][0].reject.raw == "S5,a,P1,2024,,,,,,,"


def test_what_refers_to_a_row_that_went_goes_too(small: Small) -> None:
    """A program without a department takes its students along: they refer to nothing that stands."""
    read = (
        small.change("programs.csv", "P2,Art,D2", "P2,Art,").change("courses.csv", "4,3,,D2", "4,3,,").read_leniently()
    )
    assert read.expect().students.ids == ("S1", "S3")
    assert {name: len(rows) for name, rows in _letters(read).items()} == {"programs": 1, "student_data": 2}


def test_a_prerequisite_that_nobody_has_is_left_out_and_the_course_stays(small: Small) -> None:
    small.change("courses.csv", "2.5,2,[]", '2.5,2,"[""C9"",""C1""]"').change(
        "courses.csv", "C1,Logic,4,2,", "C1,Logic,4,2,C3"
    )
    read = small.read_leniently()
    found = read.expect().courses
    assert found.ids == ("C1", "C2", "C3")
    assert len(found.prerequisites.items) == 1
    assert {problem.code for problem in of_code(read, Code.PREREQ_CYCLE)} == {Code.PREREQ_CYCLE}
    assert _counts(read, "courses") == Counts(3, 3, 0, 0)


def test_a_bad_rule_goes_and_the_others_hold(small: Small) -> None:
    small.rules("A,student,program_id,no_mix,hard,1,", "B,student,colour,no_mix,hard,1,")
    read = small.read_leniently()
    assert {rule.code for rule in read.expect().rules} == {"A", "DEFAULT_ROOM_MARGIN"}
    assert _letters(read)["dynamic_parameters"][0].reject.column == "field_name"


def test_nobody_left_is_an_error_also_then(small: Small) -> None:
    small.change("programs.csv", "P1,", "Q1,").change("programs.csv", "P2,", "Q2,")
    read = small.read_leniently()
    assert not read.ready
    assert [problem.code for problem in read.errors] == [Code.NO_ROWS]


def test_a_missing_file_or_column_refuses_also_then(small: Small) -> None:
    assert not small.change("rooms.csv", "capacity", "x").read_leniently().ready


def test_a_mended_letter_is_the_row_it_was(small: Small) -> None:
    """The raw text, put back with the right program, gives the term as it should be."""
    expected = small.instance().students.ids
    small.change("student_data.csv", "李,P2", "李,P7")
    (letter,) = _letters(small.read_leniently())["student_data"]
    text = small.files["student_data.csv"].replace(letter.reject.raw, letter.reject.raw.replace("P7", "P2"))
    small.files["student_data.csv"] = text
    assert small.instance().students.ids == expected


@given(
    st.lists(st.sampled_from(["good", "again", "program", "year", "course", "list", "ragged", "shift"]), max_size=30)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_books_hold_for_any_mixture(small: Small, kinds: list[str]) -> None:
    """Each kind of row, planted so often, is found so often."""
    rows = {
        "good": "G{0},n,P1,2024,morning,en,C1,1",
        "again": "AGAIN,n,P1,2024,morning,en,C1,1",
        "program": "X{0},n,P9,2024,,,,",
        "year": "X{0},n,P1,,,,,",
        "course": "X{0},n,P1,2024,,,C1;C9,",
        "list": "X{0},n,P1,2024,,,[C1,",
        "ragged": "X{0},n",
        "shift": "X{0},n,P1,2024,night,,,",
    }
    small.files = dict(FILES) | {"faculty.csv": FACULTY}
    small.add("student_data.csv", "".join(rows[kind].format(at) + "\n" for at, kind in enumerate(kinds)))
    read = small.read_leniently()
    again = kinds.count("again")
    good = 4 + kinds.count("good") + min(again, 1)
    bad = len(kinds) - kinds.count("good") - again
    assert _counts(read, "student_data") == Counts(4 + len(kinds), good, bad, max(again - 1, 0))
    assert read.expect().students.count == good
    letters = _letters(read).get("student_data", [])
    assert len(letters) == bad
    small.folder.parent.joinpath("dlq-student_data.csv").unlink(missing_ok=True)
