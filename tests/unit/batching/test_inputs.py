"""A term's files as one instance: what is read, in what order, and everything that refuses it, said at once."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_terms import FACULTY, FILES, Small, of_code, only

from studentsuccess.batching.inputs import Code, Read
from studentsuccess.batching.instance import Instance, Lists, Numbers, Sizes, Texts, Weights
from studentsuccess.errors import ContractError, ExitCode, UsageError


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


def _lists(found: Lists) -> list[list[str]]:
    return [
        [found.labels[item] for item in found.items[start:end]]
        for start, end in zip(found.start[:-1], found.start[1:], strict=True)
    ]


def _texts(found: Texts) -> list[str | None]:
    return [found.labels[code] if code >= 0 else None for code in found.codes]


def _same(one: Instance, other: Instance) -> bool:
    """Every array and every text of two instances."""
    return _flat(one) == _flat(other)


def _flat(value: object) -> object:
    if isinstance(value, np.ndarray):
        return (str(value.dtype), repr(value.tolist()))
    if isinstance(value, dict):
        return {name: _flat(part) for name, part in sorted(value.items())}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _flat(getattr(value, name)) for name in value.__dataclass_fields__}
    return [_flat(part) for part in value] if isinstance(value, tuple) else value


def test_a_term_is_read_and_sorted_by_id(small: Small) -> None:
    found = small.instance()
    assert found.students.ids == ("S1", "S2", "S3", "S4")
    assert found.students.names == ("Ng\nAn", "李", 'Jo "Ace", Jr.', "O'Neil")
    assert _texts(found.students.texts("program_id")) == ["P1", "P2", "P1", "P2"]
    assert _texts(found.students.texts("academic_year")) == ["2024", "2023", "2024", "2023"]
    assert _texts(found.students.texts("student_id")) == ["S1", "S2", "S3", "S4"]
    assert _lists(found.students.lists("enrolled_courses")) == [["C1", "C3"], ["C1", "C2"], ["C1", "C2"], ["C3"]]
    assert found.students.lists("enrolled_courses").labels == found.courses.ids == ("C1", "C2", "C3")
    assert _lists(found.students.lists("preferred_languages")) == [["en", "fr"], [], ["de", "en"], ["en"]]
    score = found.students.fields["score"]
    assert isinstance(score, Numbers)
    np.testing.assert_array_equal(score.values, [70, np.nan, 61.5, 55])
    assert found.programs.departments == ("D1", "D2")
    assert found.courses.departments == (None, "D2", None)
    assert found.courses.credits.tolist() == [4, 4, 2.5]
    assert found.faculty is None
    assert found.students.completed is None


def test_a_shift_may_be_written_by_its_name_and_rooms_say_when_they_are_open(small: Small) -> None:
    found = small.instance()
    assert found.shifts.ids == ("evening", "morning")
    assert _texts(found.students.texts("preferred_shift")) == ["evening", None, "morning", "evening"]
    assert found.rooms.ids == ("R1", "R2")
    assert found.rooms.open.tolist() == [[True, True], [True, True]]
    small.change("student_data.csv", "Evening", "LATE").change("rooms.csv", "morning;evening", '"[""Early""]"')
    found = small.instance()
    assert _texts(found.students.texts("preferred_shift"))[0] == "evening"
    assert found.rooms.open.tolist() == [[True, True], [False, True]]


def test_an_empty_list_of_shifts_is_never_and_none_at_all_is_always(small: Small) -> None:
    small.change("rooms.csv", "morning;evening", "[]").add("faculty.csv", FACULTY)
    found = small.instance()
    assert found.rooms.open.tolist() == [[True, True], [False, False]]
    assert found.faculty is not None
    assert found.faculty.shifts.tolist() == [[True, True], [False, True]]
    small.files["rooms.csv"] = "room_id,capacity,room_type\nR1,30,lab\n"
    assert small.instance().rooms.open.all()


def test_what_is_optional_may_be_absent(small: Small) -> None:
    small.files |= {
        "student_data.csv": "student_id,program_id,academic_year,enrolled_courses\nS1,P1,2024,\n",
        "courses.csv": "course_id,credits,weekly_hours\nC1,4,2\n",
        "programs.csv": "program_id,department_id\nP1,D1\n",
        "rooms.csv": "room_id,capacity\nR1,30\n",
        "shifts.csv": "shift_id\nmorning\n",
    }
    read = small.read()
    found = read.expect()
    assert found.students.names == ("",)
    assert found.courses.names == ("C1",)
    assert _texts(found.students.texts("preferred_shift")) == [None]
    assert _lists(found.students.lists("preferred_languages")) == [[]]
    assert _lists(found.students.lists("enrolled_courses")) == [[]]
    assert {problem.column for problem in of_code(read, Code.COLUMN_MISSING)} == {
        *("student_name", "preferred_shift", "preferred_languages", "course_name", "program_name", "room_type"),
        *("shift_name", "start", "end"),
    }


def test_the_default_rules_hold_where_there_are_none(small: Small) -> None:
    rules = {rule.words: rule.hard for rule in small.instance().rules}
    assert rules == {"no_mix(program_id)": True, "no_mix(academic_year)": True, "capacity_limit(size, 0.9)": True}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_columns_and_files_changes_nothing(small: Small, seed: int) -> None:
    expected = small.add("faculty.csv", FACULTY).instance()
    draw = random.Random(seed)  # noqa: S311 - no secret
    for name, text in list(small.files.items()):
        header, *rows = csv.reader(text.splitlines(keepends=True))
        columns = draw.sample(range(len(header)), len(header))
        draw.shuffle(rows)
        (small.folder / name).unlink()
        del small.files[name]
        path = small.folder / f"{draw.random()}-{name}"
        with path.open("w", newline="", encoding="utf-8") as sink:
            csv.writer(sink).writerows([row[at] for at in columns] for row in [header, *rows])
    assert _same(small.instance(), expected)


@pytest.mark.parametrize("how", ["semicolon", "tab", "utf-16", "latin-1", "gzip", "parquet", "json lines"])
def test_any_dialect_gives_the_same(small: Small, how: str) -> None:
    small.change("student_data.csv", "李", "Zoë")
    expected = small.instance()
    for path in sorted(small.folder.iterdir()):
        _rewrite(path, how)
    read = small.read_as_is(encoding="latin-1" if how == "latin-1" else "auto")
    assert _same(read.expect(), expected)
    student = next(file for file in read.files if file.role == "student_data")
    assert student.delimiter == {"semicolon": ";", "tab": "\t", "parquet": "", "json lines": ""}.get(how, ",")
    assert student.encoding == {"utf-16": "utf-16-le", "latin-1": "iso8859-1", "parquet": ""}.get(how, "utf-8")


def _rewrite(path: Path, how: str) -> None:
    text = path.read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines(keepends=True))
    if how in ("semicolon", "tab"):
        with path.open("w", newline="", encoding="utf-8") as sink:
            csv.writer(sink, delimiter=";" if how == "semicolon" else "\t").writerows([header, *rows])
    elif how in ("utf-16", "latin-1"):
        path.write_bytes(text.encode(how))
    elif how == "gzip":
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text.encode()))
        path.unlink()
    else:
        path.unlink()
        table = [dict(zip(header, row, strict=True)) for row in rows]
        if how == "parquet":
            pq.write_table(pa.Table.from_pylist(table), path.with_suffix(".parquet"))
        else:
            path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")


def test_a_json_line_may_hold_a_real_list(small: Small) -> None:
    rows = [
        {"student_id": "S1", "program_id": "P1", "academic_year": "2024", "enrolled_courses": ["C1", "C2"]},
        {"student_id": "S2", "program_id": "P1", "academic_year": "2024", "enrolled_courses": []},
    ]
    small.without("student_data.csv").add("student_data.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert _lists(small.instance().students.lists("enrolled_courses")) == [["C1", "C2"], []]


def test_every_file_is_reported_with_its_digest_and_books(small: Small) -> None:
    read = small.read()
    by_role = {file.role: file for file in read.files}
    assert by_role.keys() == {"student_data", "programs", "courses", "rooms", "shifts"}
    student = by_role["student_data"]
    raw = FILES["student_data.csv"].encode()
    assert (student.fact.sha256, student.fact.size) == (hashlib.sha256(raw).hexdigest(), len(raw))
    assert (student.path, student.encoding, student.delimiter, student.rows) == ("student_data.csv", "utf-8", ",", 4)
    assert student.columns[:2] == ("student_id", "student_name")
    assert all(file.ready for file in read.files)
    assert (read.counts.read, read.counts.kept) == (13, 13)


def test_all_problems_are_said_at_once_with_file_line_and_fix(small: Small) -> None:
    small.change("student_data.csv", "S4,O'Neil,P2", "S4,O'Neil,P9").change("rooms.csv", "R1,60", "R1,-5")
    small.change("courses.csv", "C2,Proof,4,3", "C2,Proof,four,3").change("shifts.csv", "shift_id", "shift_idd")
    read = small.read(sizes=Sizes(20, 10, 60), weights=Weights(0.4, 0.3, 0.29))
    assert read.instance is None
    found = {(problem.code, problem.file, problem.line, problem.column) for problem in read.errors}
    assert found == {
        (Code.BATCH_SIZE_BOUNDS_VIOLATED, "", None, "--min-size"),
        (Code.WEIGHT_NORMALIZATION_FAILED, "", None, "--weights"),
        (Code.COLUMN_MISSING, "shifts.csv", 1, "shift_id"),
        (Code.ORPHAN_REFERENCE, "student_data.csv", 6, "program_id"),
        (Code.BAD_VALUE, "rooms.csv", 3, "capacity"),
        (Code.BAD_VALUE, "courses.csv", 3, "credits"),
    }
    ready = {file.role: file.ready for file in read.files}
    assert ready == {"student_data": False, "rooms": False, "courses": False, "shifts": False, "programs": True}
    with pytest.raises(ContractError, match=r"and 5 more") as caught:
        read.expect()
    assert caught.value.code == ExitCode.CONTRACT
    assert caught.value.hint


BENT: list[tuple[str, str, str, Code, int, str, str]] = [
    ("student_data.csv", "S4,O'Neil,P2", "S4,O'Neil,", Code.BAD_VALUE, 6, "program_id", "is empty"),
    ("student_data.csv", "P2,2023,evening", "P2,,evening", Code.BAD_VALUE, 6, "academic_year", "is empty"),
    ("student_data.csv", "S4,", ",", Code.BAD_VALUE, 6, "student_id", "is empty"),
    ("student_data.csv", "evening,\"", "night,\"", Code.ORPHAN_REFERENCE, 6, "preferred_shift", "no such shift"),
    ("student_data.csv", ",C3,55", ",C33,55", Code.ORPHAN_REFERENCE, 6, "enrolled_courses", "did you mean `C3`?"),
    ("student_data.csv", ",C3,55", ",{C3,C1},55", Code.BAD_ROW, 6, "", "9 fields, expected 8"),
    ("student_data.csv", ",C3,55", ",[C3,55", Code.BAD_LIST, 6, "enrolled_courses", "is no list"),
    ("student_data.csv", ",C3,55", ",{C3;C1,55", Code.BAD_LIST, 6, "enrolled_courses", "is no list"),
    ("student_data.csv", "S4,O", "S2,O", Code.DUPLICATE_ID, 5, "student_id", "the same id with different contents"),
    ("rooms.csv", "R1,60", "R1,0", Code.BAD_VALUE, 3, "capacity", "must be at least 1"),
    ("rooms.csv", "R1,60", "R1,2.5", Code.BAD_VALUE, 3, "capacity", "not a whole number"),
    ("rooms.csv", "R1,60", "R1,", Code.BAD_VALUE, 3, "capacity", "is empty"),
    ("rooms.csv", "morning;evening", "morning;night", Code.ORPHAN_REFERENCE, 2, "shifts", "no such shift: `night`"),
    ("courses.csv", "C3,Rhetoric,2.5", "C3,Rhetoric,-1", Code.BAD_VALUE, 4, "credits", "must be at least 0"),
    ("courses.csv", "2.5,2,[]", "2.5,nan,[]", Code.BAD_VALUE, 4, "weekly_hours", "not a finite number"),
    ("courses.csv", "2.5,2,[]", "2.5,2,C4", Code.ORPHAN_REFERENCE, 4, "prerequisites", "no such course: `C4`"),
    ("courses.csv", "2.5,2,[]", "2.5,2,C3", Code.PREREQ_CYCLE, 4, "prerequisites", "C3 → C3"),
    ("programs.csv", "P2,Art,D2", "P2,Art,", Code.BAD_VALUE, 3, "department_id", "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "code", "line", "column", "said"), BENT)
def test_a_bad_row_is_named_by_its_line(
    small: Small, file: str, old: str, new: str, code: Code, line: int, column: str, said: str
) -> None:
    problem = only(small.change(file, old, new).read(), code)
    assert (problem.file, problem.line, problem.column, problem.warning) == (file, line, column, False)
    assert said in problem.message


def test_a_line_number_counts_the_lines_inside_quotes(small: Small) -> None:
    """S1's name holds a line end: S2 stands on line 5, not 4."""
    problem = only(small.change("student_data.csv", "李,P2", "李,P7").read(), Code.ORPHAN_REFERENCE)
    assert (problem.line, problem.lines) == (5, (5,))


def test_a_circle_of_prerequisites_is_named_with_its_courses(small: Small) -> None:
    small.change("courses.csv", "C1,Logic,4,2,", "C1,Logic,4,2,C3").change("courses.csv", "4,3,,D2", "4,3,C1,D2")
    problem = only(small.change("courses.csv", "[]", '"[""C2""]"').read(), Code.PREREQ_CYCLE)
    assert "C1 → C3 → C2 → C1" in problem.message
    assert problem.lines == (2, 3, 4)


def test_faculty_is_held_against_departments_and_shifts(small: Small) -> None:
    bad = FACULTY.replace("F1,D1,18,", "F1,D1,-1,night")
    read = small.add("faculty.csv", bad).change("courses.csv", "[],", "[],D9").read()
    found = {(problem.file, problem.column, problem.message) for problem in read.errors}
    assert ("faculty.csv", "max_hours_per_week", "must be at least 0") in found
    assert ("faculty.csv", "shifts", "no such shift: `night`") in found
    assert any(file == "courses.csv" and message.startswith("no such department: `D9`") for file, _, message in found)


def test_without_faculty_a_new_department_only_surprises(small: Small) -> None:
    read = small.change("courses.csv", "[],", "[],D9").read()
    assert only(read, Code.ORPHAN_REFERENCE).warning
    assert read.ready


def test_faculty_without_hours_is_for_the_timetable_to_say(small: Small) -> None:
    found = small.add("faculty.csv", FACULTY.replace("D1,18", "D1,0")).instance()
    assert found.faculty is not None
    assert found.faculty.hours.tolist() == [0, 12]


def test_a_repeated_row_counts_once_and_is_said(small: Small) -> None:
    row = FILES["student_data.csv"].splitlines()[-1] + "\n"
    read = small.add("student_data.csv", row).read()
    problem = only(read, Code.DUPLICATE_ID)
    assert (problem.warning, problem.line) == (True, 7)
    student = next(file for file in read.files if file.role == "student_data")
    assert student.counts is not None
    assert (student.counts.read, student.counts.kept, student.counts.duplicate) == (5, 4, 1)
    assert read.expect().students.count == 4


def test_a_course_that_stands_twice_in_a_list_counts_once_and_is_said(small: Small) -> None:
    read = small.change("student_data.csv", "C1;C3", "C1;C3;C1").read()
    problem = only(read, Code.REPEATED_ITEM)
    assert (problem.warning, problem.line, problem.column) == (True, 3, "enrolled_courses")
    assert _lists(read.expect().students.lists("enrolled_courses"))[0] == ["C1", "C3"]


def test_no_message_holds_what_a_student_row_says(small: Small) -> None:
    """A name that slipped into another column is found by its line, and not shown."""
    read = small.change("student_data.csv", "O'Neil,P2", "P2,Canary Jones").read()
    assert "Canary" not in " ".join(problem.text + problem.fix for problem in read.problems)
    assert only(read, Code.ORPHAN_REFERENCE).line == 6


def test_many_different_strangers_are_summed_up(small: Small) -> None:
    rows = "".join(f"X{number},n,Q{number},2024,,,,\n" for number in range(40))
    found = of_code(small.add("student_data.csv", rows).read(), Code.ORPHAN_REFERENCE)
    assert len(found) == 11
    assert sum(problem.count for problem in found) == 40
    assert "30 other values" in found[-1].message
    assert len(found[-1].lines) == 20


def test_empty_headers_alone_and_one_student(small: Small) -> None:
    header = FILES["student_data.csv"].splitlines()[0] + "\n"
    small.files["student_data.csv"] = header
    assert only(small.read(), Code.NO_ROWS).file == "student_data.csv"
    small.files["student_data.csv"] = ""
    assert only(small.read(), Code.FILE_EMPTY).file == "student_data.csv"
    small.files["student_data.csv"] = header + "S1,Ann,P1,2024,,,C1,\n"
    assert small.instance().students.count == 1


@pytest.mark.parametrize("file", ["faculty.csv", "rooms.csv", "programs.csv", "courses.csv", "shifts.csv"])
def test_a_header_alone_is_an_export_that_went_wrong(small: Small, file: str) -> None:
    text = FACULTY if file == "faculty.csv" else FILES[file]
    small.files[file] = text.splitlines()[0] + "\n"
    assert only_of_file(small.read(), file).code == Code.NO_ROWS


def only_of_file(read: Read, file: str) -> object:
    found = [problem for problem in read.errors if problem.file == file]
    assert len(found) == 1, [problem.text for problem in read.errors]
    return found[0]


def test_bytes_that_are_no_text_are_named_with_the_flag_that_helps(small: Small) -> None:
    small.write()
    (small.folder / "student_data.csv").write_bytes(FILES["student_data.csv"].replace("李", "Zoë").encode("latin-1"))
    problem = only(small.read_as_is(), Code.FILE_UNREADABLE)
    assert (problem.line, problem.file) == (5, "student_data.csv")
    assert "--encoding latin-1" in problem.fix
    assert "etl" not in problem.fix
    assert small.read_as_is(encoding="latin-1").expect().students.names[1] == "Zoë"


def test_a_folder_that_is_not_there_suggests_the_nearest(small: Small) -> None:
    small.write()
    small.folder = small.folder.with_name("tern")
    with pytest.raises(UsageError, match="no such folder") as caught:
        small.read_as_is()
    assert "term" in caught.value.hint


def test_a_huge_value_in_a_wrong_place_costs_no_more_than_itself(small: Small) -> None:
    """A text as long as a book among many short ones: nothing is padded to its length."""
    rows = "".join(f"X{number},n,Q{number % 7},2024,,,,\n" for number in range(2000))
    small.add("student_data.csv", rows + "XX,n," + "z" * 1_000_000 + ",2024,,,,\n")
    found = of_code(small.read(), Code.ORPHAN_REFERENCE)
    assert sum(problem.count for problem in found) == 2001
    assert max(len(problem.message) for problem in found) < 100


def test_rules_are_not_blamed_for_a_file_that_is_missing(small: Small) -> None:
    small.rules("A,course,department_id,no_mix,soft,1,", "B,student,program_id,no_mix,hard,1,")
    assert only(small.without("courses.csv").read(), Code.FILE_MISSING).file == "courses.csv"


def test_ids_keep_their_zeros_and_long_numbers_stay_ids(small: Small) -> None:
    small.change("student_data.csv", "S4,", "007,").change("student_data.csv", "score", "card")
    small.change("student_data.csv", "61.5", "9007199254740993").change("student_data.csv", ",70", ",9007199254740992")
    found = small.instance().students
    assert found.ids[0] == "007"
    assert isinstance(found.fields["card"], Texts)


def test_a_column_in_brackets_is_a_list_and_one_of_words_is_text(small: Small) -> None:
    lines = FILES["student_data.csv"].replace("Ng\nAn", "Ng An").splitlines()
    extra = ["clubs,town", "[],Oslo", '"{chess,go}",Oslo', ",Rome", '"[""go""]",Rome']
    small.files["student_data.csv"] = "\n".join(",".join(pair) for pair in zip(lines, extra, strict=True)) + "\n"
    found = small.instance().students
    assert _lists(found.lists("clubs")) == [["chess", "go"], [], [], ["go"]]
    assert _texts(found.texts("town")) == ["Oslo", "Rome", "Oslo", "Rome"]


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bent_bytes_never_end_in_a_defect(small: Small, data: st.DataObject) -> None:
    """Whatever stands in the files: an instance or findings, and the books are right."""
    small.files = dict(FILES)
    small.write()
    path = small.folder / data.draw(st.sampled_from(sorted(FILES)))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(
            st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"[", b"}", b";", b"-", b"\xff", b"\0", b"9" * 30])
        )
        raw[at : at + data.draw(st.integers(0, 3))] = piece
    path.write_bytes(bytes(raw))
    for lenient in (False, True):
        read = small.read_as_is(lenient=lenient)
        assert read.ready or read.errors
        for file in read.files:
            if file.counts is not None:
                file.counts.check(file.path)


def test_a_file_written_by_arrow_reads_the_same(small: Small) -> None:
    """Quotes around everything, as some exports have it."""
    expected = small.instance()
    for path in small.folder.iterdir():
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True))
        table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(header)})
        pacsv.write_csv(table, path)
    assert _same(small.read_as_is().expect(), expected)
