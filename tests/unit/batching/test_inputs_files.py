"""Which file is what: by name, by header, and nearly; what is missing, doubled or of no use."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_terms import FACULTY, FILES, HISTORY, Small, of_code, only

from studentsuccess.batching.input_roles import ROLES, STUDENTS, fold
from studentsuccess.batching.inputs import Code


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


def _roles(small: Small) -> dict[str, str]:
    return {file.path: file.role for file in small.read().files}


def test_a_file_is_known_by_its_header_whatever_it_is_called(small: Small) -> None:
    small.files = {f"export-{at}.csv": text for at, text in enumerate([*FILES.values(), FACULTY])}
    small.rules("R1,student,program_id,no_mix,hard,1,")
    small.files["export-6.csv"] = small.files.pop("dynamic_parameters.csv")
    small.add("export-7.csv", "student_id,course_id\nS1,C2\n").add("export-8.csv", HISTORY + "S1,C1,true\n")
    small.add("export-9.csv", "parameter_code,value\nR1,5\n")
    assert list(_roles(small).values()) == sorted(role.name for role in ROLES)


def test_the_same_header_is_a_history_by_its_name(small: Small) -> None:
    small.add("Completed Courses.csv", "student_id,course_id\nS1,C1\n").add("enrolments.csv", "student_id,course_id\n")
    roles = _roles(small)
    assert roles["Completed Courses.csv"] == "student_course_history"
    assert roles["enrolments.csv"] == "student_course_enrollment"


def test_a_header_beats_a_name_that_it_does_not_fit(small: Small) -> None:
    """An enrolment list that somebody saved as courses.csv, and the courses under another name."""
    small.files["catalogue.csv"] = small.files.pop("courses.csv")
    small.add("courses.csv", "student_id,course_id\nS1,C2\n")
    assert _roles(small)["courses.csv"] == "student_course_enrollment"
    assert small.instance().students.lists("enrolled_courses").items.tolist()[:3] == [0, 1, 2]


@pytest.mark.parametrize("header", ["Student ID", "STUDENT_ID", " student-id ", "student_id[]"])
def test_case_blanks_and_brackets_in_a_header_do_not_matter(small: Small, header: str) -> None:
    assert fold(header) == "student_id"
    assert small.change("student_data.csv", "student_id", header).instance().students.ids[0] == "S1"


def test_a_second_name_of_a_column_is_known(small: Small) -> None:
    small.change("courses.csv", "credits", "credit_hours").change("rooms.csv", "shifts", "Shift availability")
    found = small.instance()
    assert found.courses.credits.tolist() == [4, 4, 2.5]


@pytest.mark.parametrize(
    ("file", "old", "new", "column"),
    [
        ("student_data.csv", "program_id", "programme_id", "program_id"),
        ("student_data.csv", "student_id", "studentid", "student_id"),
        ("rooms.csv", "capacity", "capcity", "capacity"),
        ("courses.csv", "weekly_hours", "weekly_hrs", "weekly_hours"),
        ("programs.csv", "department_id", "department", "department_id"),
    ],
)
def test_a_missing_column_is_said_with_the_one_that_may_be_meant(
    small: Small, file: str, old: str, new: str, column: str
) -> None:
    problem = only(small.change(file, old, new).read(), Code.COLUMN_MISSING)
    assert (problem.file, problem.line, problem.column) == (file, 1, column)
    assert f"`{new}` is there" in problem.message
    assert problem.fix == f"rename `{new}` to `{column}`"


def test_a_column_with_no_likeness_is_said_with_what_there_should_be(small: Small) -> None:
    problem = only(small.change("rooms.csv", "capacity", "x").read(), Code.COLUMN_MISSING)
    assert "rooms has room_id, capacity, [room_type], [shifts]" in problem.fix


def test_a_usual_column_that_is_misspelt_warns(small: Small) -> None:
    read = small.change("student_data.csv", "preferred_shift", "prefered_shift").read()
    problem = only(read, Code.COLUMN_MISSING)
    assert problem.warning
    assert "`prefered_shift` is there" in problem.message
    assert "no student prefers a shift" in problem.message


@pytest.mark.parametrize("file", list(FILES))
def test_a_missing_file_is_said_with_its_columns(small: Small, file: str) -> None:
    problem = only(small.without(file).read(), Code.FILE_MISSING)
    role = next(role for role in ROLES if f"{role.name}.csv" == file)
    assert problem.file == file
    assert all(name in problem.fix for name in role.needs)


def test_a_file_of_nearly_the_name_is_taken_for_it_and_its_columns_are_mended(small: Small) -> None:
    small.files["room.csv"] = small.files.pop("rooms.csv").replace("capacity", "seats")
    problem = only(small.read(), Code.COLUMN_MISSING)
    assert (problem.file, problem.column) == ("room.csv", "capacity")


@pytest.mark.parametrize("name", ["rooom.csv", "Rooms (2).csv"])
def test_a_misspelt_name_is_understood(small: Small, name: str) -> None:
    small.files[name] = small.files.pop("rooms.csv").replace("capacity", "seats")
    assert only(small.read(), Code.COLUMN_MISSING).file == name


def test_a_file_with_most_of_the_columns_is_taken_for_it(small: Small) -> None:
    small.files["hall list.csv"] = small.files.pop("rooms.csv").replace("capacity", "seats")
    assert only(small.read(), Code.COLUMN_MISSING).file == "hall list.csv"


def test_a_stranger_is_not_used_and_said(small: Small) -> None:
    read = small.add("weather.csv", "day,rain\n1,2\n").read()
    assert only(read, Code.FILE_UNUSED).file == "weather.csv"
    assert only(read, Code.FILE_UNUSED).warning
    assert read.ready


def test_former_results_in_the_folder_are_no_input(small: Small) -> None:
    header = "membership_id,batch_id,student_id,student_name,program_id,academic_year\n"
    small.add("batch_student_membership.csv", header + "m,b,S9,x,P1,2024\n").add("quality.json", "{}")
    small.add("student_batches.csv", "batch_id,program_id,academic_year\nb,P1,2024\n").add(".hidden.csv", "a,b\n")
    read = small.read()
    assert not read.problems
    assert read.expect().students.count == 4


def test_files_with_one_header_are_one_table(small: Small) -> None:
    header, *rows = FILES["rooms.csv"].splitlines()
    small.files |= {"rooms.csv": f"{header}\n{rows[0]}\n"}
    small.without("rooms.csv").add("north.csv", f"{header}\n{rows[0]}\n").add(
        "south.csv", f"{header}\n{rows[1]}\nR3,0,,\n"
    )
    problem = only(small.read(), Code.BAD_VALUE)
    assert (problem.file, problem.line) == ("south.csv", 3)
    small.change("south.csv", "R3,0", "R3,9")
    assert small.instance().rooms.ids == ("R1", "R2", "R3")


def test_two_files_of_one_name_with_other_columns_are_a_question(small: Small) -> None:
    small.add("room.csv", "room_id,capacity\nR7,30\n")
    assert {problem.file for problem in of_code(small.read(), Code.FILE_TWICE)} == {"rooms.csv"}


def test_a_named_file_beats_one_that_only_looks_like_it(small: Small) -> None:
    read = small.add("old.csv", "room_id,capacity\nR7,30\n").read()
    assert only(read, Code.FILE_UNUSED).file == "old.csv"
    assert read.expect().rooms.ids == ("R1", "R2")


def test_a_file_with_none_of_its_columns_is_counted_all_the_same(small: Small) -> None:
    """By its name it is a history; nothing in it is one."""
    read = small.add("student_course_history.csv", "a,b\n1,2\n3,4\n").read()
    assert {problem.column for problem in of_code(read, Code.COLUMN_MISSING)} == {"student_id", "course_id"}
    assert [file.rows for file in read.files if file.role == "student_course_history"] == [2]


def test_two_columns_of_one_name_are_refused(small: Small) -> None:
    problem = only(small.change("rooms.csv", "room_type", "Room-ID").read(), Code.COLUMN_TWICE)
    assert (problem.file, problem.column) == ("rooms.csv", "room_id")


def test_a_damaged_file_is_reported_and_its_role_not_called_missing(small: Small) -> None:
    small.write()
    (small.folder / "rooms.csv").write_bytes(b"\x1f\x8b\x08\x00broken")
    read = small.read_as_is()
    problem = only(read, Code.FILE_UNREADABLE)
    assert problem.file == "rooms.csv"
    assert [file.ready for file in read.files if file.path == "rooms.csv"] == [False]
    assert not of_code(read, Code.FILE_MISSING)


def test_every_role_knows_its_own_columns() -> None:
    for role in ROLES:
        assert {*role.tells, *role.key} <= {field.name for field in role.fields}
    assert STUDENTS.canonical(["Student ID", "Extra Column"]) == ("student_id", "extra_column")
