"""The second opinion, held against plain loops; and whatever is bent in the files is seen."""

from __future__ import annotations

import ast
import csv
import gzip
import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_checked import Made, made, measures, objective, quality, safe, write_csv, write_out, write_term

from studentsuccess.batching import checker
from studentsuccess.batching.checker import Verified, verify
from studentsuccess.batching.checker.hours import _enough
from studentsuccess.batching.checker.lists import items_of
from studentsuccess.batching.checker.tables import read_table
from studentsuccess.errors import ContractError

Bend = Callable[[list[dict[str, str]]], None]
BATCHES, MEMBERS, COURSES, ROOMS = (
    "student_batches",
    "batch_student_membership",
    "batch_course_enrollment",
    "batch_resource_assignment",
)


def checked(folder: Path, term: Made, **how: str) -> Verified:
    return verify(write_out(folder / "out", term), write_term(folder / "term", term, **how))


def bent(folder: Path, table: str, bend: Bend) -> Verified:
    """One table of the output with other rows."""
    term = made()
    out = write_out(folder / "out", term)
    path = out / f"{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    bend(rows)
    write_csv(path, rows)
    return verify(out, write_term(folder / "term", term))


def broken(found: Verified) -> dict[str, int]:
    """What does not hold besides the run's own rules."""
    rules = {rule["code"] for rule in made().rules}
    return {one.rule: one.count for one in found.violations if one.count and one.rule not in rules}


def test_every_figure_is_that_of_plain_loops(tmp_path: Path) -> None:
    term = made()
    found = checked(tmp_path, term)
    assert found.disagreements == ()
    assert found.ok
    assert found.measures == pytest.approx(measures(term), rel=1e-12)
    assert found.objective == pytest.approx(objective(term), rel=1e-12)
    assert (found.students, found.batches, found.hard_violations) == (13, 4, 0)
    said = {one["rule"]: one["count"] for one in quality(term)["violations"]}
    assert {one.rule: one.count for one in found.violations} == said
    assert sum(said.values()) > 0, "a term in which every wish comes true shows nothing"


@pytest.mark.parametrize(
    "name", ["course.department_id", "program.department_id", "enrolled_courses", "student_id", "age"]
)
@pytest.mark.parametrize(("kind", "threshold"), [("no_mix", None), ("homogeneous", 0.6), ("capacity_limit", 0.6)])
def test_rules_about_any_field_are_judged_as_plain_loops_do(
    tmp_path: Path, name: str, kind: str, threshold: float | None
) -> None:
    term = made()
    rule = {"code": "X", "entity": "student", "field": name, "kind": kind, "hard": False, "weight": 3.0}
    term.rules += ({**rule, "threshold": threshold},)
    found = checked(tmp_path, term)
    assert found.disagreements == ()
    assert found.objective == pytest.approx(objective(term), rel=1e-12)


@given(st.permutations(range(6)), st.permutations(range(6, 13)))
@settings(max_examples=25, deadline=None)
def test_whoever_is_with_whom_the_figures_agree(
    tmp_path_factory: pytest.TempPathFactory, first: list[int], second: list[int]
) -> None:
    term = made()
    term.batches = [first[:3], first[3:], second[:4], second[4:]]
    found = checked(tmp_path_factory.mktemp("term"), term)
    assert found.disagreements == ()
    assert found.measures == pytest.approx(measures(term), rel=1e-12)


@pytest.mark.parametrize("listed", ["json", "braces", "marks"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_all_dialects_of_the_input_are_one(tmp_path: Path, listed: str, delimiter: str, encoding: str) -> None:
    found = checked(tmp_path, made(), listed=listed, delimiter=delimiter, encoding=encoding)
    assert found.ok, found.disagreements


def test_names_in_latin_1_are_read(tmp_path: Path) -> None:
    term = made()
    for row in term.students:
        row["student_name"] = "Zoë Ødegård"
    assert checked(tmp_path, term, encoding="latin-1").ok


def test_compressed_files_and_json_lines_are_read(tmp_path: Path) -> None:
    term = made()
    out, folder = write_out(tmp_path / "out", term), write_term(tmp_path / "term", term)
    packed = folder / "courses.csv"
    (folder / "courses.csv.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    (folder / "rooms.csv").unlink()
    lines = [{name: value for name, value in row.items() if value is not None} for row in term.files["rooms"]]
    lines[0]["shifts"] = []
    (folder / "rooms.jsonl").write_text("\n".join(json.dumps({"shifts": None} | row) for row in lines), "utf-8")
    assert verify(out, folder).ok


def test_columns_may_be_called_as_people_call_them(tmp_path: Path) -> None:
    term = made()
    out, folder = write_out(tmp_path / "out", term), write_term(tmp_path / "term", term)
    for name, old, new in (
        ("student_data", "student_id,", "Student ID,"),
        ("student_data", "enrolled_courses", "enrolled_courses[]"),
        ("courses", "credits", "Credit Hours"),
        ("rooms", "shifts", "available_shifts"),
    ):
        path = folder / f"{name}.csv"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
    assert verify(out, folder).ok


def test_enrolments_in_a_file_of_their_own_count_once(tmp_path: Path) -> None:
    term = made()
    out = write_out(tmp_path / "out", term)
    pairs = [
        {"student_id": row["student_id"], "course_id": one} for row in term.students for one in row["enrolled_courses"]
    ]
    for row in term.students[3:]:
        row["enrolled_courses"] = []
    folder = write_term(tmp_path / "term", term)
    strange = [{"student_id": "nobody", "course_id": "A"}]
    write_csv(folder / "student_course_enrollment.csv", pairs + pairs[:3] + strange)
    assert verify(out, folder).ok


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ('["a","b"]', ["a", "b"]), ("{a,b}", ["a", "b"]), ("a;b", ["a", "b"]), ("a", ["a"]), ("", []), ("[]", []),
        ("{}", []), (" { a , b } ", ["a", "b"]), ('{"a,b",c}', ["a,b", "c"]), ("'a;b';c", ["a;b", "c"]),
        ("['a', 'b']", ["a", "b"]), ('{"say ""x""",b}', ['say "x"', "b"]), ("[1, 2.50]", ["1", "2.50"]),
        ("a;;b;", ["a", "b"]), ('["a", null, ""]', ["a"]), ("{a,NULL}", ["a"]), (r'{"a\"b"}', ['a"b']),
    ],
)  # fmt: skip
def test_lists_in_all_three_ways(cell: str, items: list[str]) -> None:
    assert items_of(cell) == items


def set_all(name: str, value: str, rows: slice = slice(0, 1)) -> Bend:
    def bend(table: list[dict[str, str]]) -> None:
        for row in table[rows]:
            row[name] = value

    return bend


def dropped(table: list[dict[str, str]]) -> None:
    del table[0]


def doubled(table: list[dict[str, str]]) -> None:
    table.append(dict(table[0]))


def moved(table: list[dict[str, str]]) -> None:
    """A student of one batch into one of another program."""
    table[0]["batch_id"] = table[-1]["batch_id"]


def same_slot(table: list[dict[str, str]]) -> None:
    for name in ("room_id", "shift_id", "room_capacity"):
        table[1][name] = table[2][name]
    table[1]["utilization"] = str(3 / int(table[1]["room_capacity"]))


@pytest.mark.parametrize(
    ("table", "bend", "rule"),
    [
        (MEMBERS, dropped, "every student in one batch"),
        (MEMBERS, doubled, "every student in one batch"),
        (MEMBERS, doubled, "ids that are there once"),
        (MEMBERS, set_all("membership_id", "1"), "ids that are UUIDs"),
        (MEMBERS, set_all("membership_id", "7b0c1a52-6f0c-4d0e-9a57-1f3f2d6b8a11"), "ids that are UUIDs"),
        (MEMBERS, set_all("student_id", "nobody"), "members who are students"),
        (MEMBERS, set_all("batch_id", "nowhere"), "members of a batch that there is"),
        (MEMBERS, set_all("batch_id", "nowhere", slice(0, 2)), "sizes"),
        (BATCHES, dropped, "members of a batch that there is"),
        (BATCHES, dropped, "courses of a batch that there is"),
        (BATCHES, set_all("batch_code", "same", slice(0, 2)), "batch codes that are there once"),
        (COURSES, set_all("course_id", "Z"), "courses that there are"),
        (COURSES, doubled, "a course of a batch is there once"),
        (ROOMS, dropped, "one room and shift a batch"),
        (ROOMS, doubled, "one room and shift a batch"),
        (ROOMS, set_all("room_id", "cellar"), "a room that there is"),
        (ROOMS, set_all("shift_id", "night"), "a shift that there is"),
        (ROOMS, same_slot, "a room for one batch at a time"),
        (ROOMS, set_all("room_id", "R0"), "rooms that are open"),
    ],
)
def test_what_must_always_hold_is_looked_at(tmp_path: Path, table: str, bend: Bend, rule: str) -> None:
    found = bent(tmp_path, table, bend)
    assert rule in broken(found)
    assert not found.ok


def test_a_student_in_a_foreign_batch_breaks_the_rule_about_it(tmp_path: Path) -> None:
    found = bent(tmp_path, MEMBERS, moved)
    assert {one.rule: one.count for one in found.violations}["P"] == 1
    assert found.hard_violations >= 1
    assert any("violations of P" in said for said in found.disagreements)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (MEMBERS, "student_name", "Somebody"), (MEMBERS, "program_id", "P2"), (MEMBERS, "academic_year", "2023"),
        (MEMBERS, "enrollment_date", "2026-01-06"), (MEMBERS, "enrollment_date", "5.1.2026"),
        (MEMBERS, "membership_status", "GONE"), (COURSES, "course_name", "Else"), (COURSES, "credit_hours", "9"),
        (COURSES, "expected_students", "1"), (COURSES, "capacity_utilization", "0.5"),
        (COURSES, "enrollment_status", "POOLED"), (COURSES, "enrollment_status", "MAYBE"),
        (ROOMS, "room_capacity", "99"), (ROOMS, "utilization", "0.99"), (BATCHES, "size", "9"),
        (BATCHES, "coherence", "0.123"), (BATCHES, "program_consistency", "0.5"), (BATCHES, "violations", "9"),
        (BATCHES, "resource_efficiency", "0.1"), (BATCHES, "program_id", "P2"), (BATCHES, "academic_year", "1999"),
    ],
)  # fmt: skip
def test_a_cell_with_another_value_is_seen(tmp_path: Path, table: str, column: str, value: str) -> None:
    found = bent(tmp_path, table, set_all(column, value))
    assert [said for said in found.disagreements if said.startswith(f"{table}.csv, {column}: 1 row")]
    assert not found.ok


def test_a_course_that_is_left_out_is_seen(tmp_path: Path) -> None:
    said = f"{COURSES}.csv, course_id: 1 row with another value"
    assert said in bent(tmp_path, COURSES, dropped).disagreements


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("students",), 14), (("batches",), 5), (("objective",), 0.9), (("gap_closed",), 0.9), (("bound",), 0.2),
        (("hard_violations",), 1), (("measures", "silhouette", "value"), 0.1),
        (("measures", "section_fill", "verdict"), "FAIL"), (("measures", "size_balance", "ceiling"), 0.1),
        (("measures", "academic_coherence", "threshold"), 0.99), (("violations", 2, "count"), 0),
    ],
)  # fmt: skip
def test_what_a_run_says_of_itself_must_be_so(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    term = made()
    out, folder = write_out(tmp_path / "out", term), write_term(tmp_path / "term", term)
    said: Any = quality(term)
    place = said
    for step in path[:-1]:
        place = place[step]
    assert place[path[-1]] != value
    place[path[-1]] = value
    (out / "quality.json").write_text(json.dumps(said))
    found = verify(out, folder)
    assert found.disagreements
    assert found.hard_violations == 0


def test_a_measure_that_is_not_said_is_missed(tmp_path: Path) -> None:
    term = made()
    out, folder = write_out(tmp_path / "out", term), write_term(tmp_path / "term", term)
    said = quality(term)
    del said["measures"]["silhouette"]
    (out / "quality.json").write_text(json.dumps(said))
    assert any(one.startswith("silhouette is not said") for one in verify(out, folder).disagreements)


def test_a_batch_that_is_too_large_for_its_room_is_seen(tmp_path: Path) -> None:
    term = made()
    term.files["rooms"][2]["capacity"] = 3
    found = checked(tmp_path, term)
    assert broken(found) == {"seats for everyone": 1}
    assert {one.rule: one.count for one in found.violations}["MARGIN"] == 2


def test_hours_that_a_department_does_not_have_are_seen(tmp_path: Path) -> None:
    term = made()
    term.files["faculty"][1]["max_hours_per_week"] = 0
    assert broken(checked(tmp_path, term)) == {"hours of teachers": 1}
    del term.files["faculty"]
    (tmp_path / "term" / "faculty.csv").unlink()
    assert checked(tmp_path, term).ok


def test_a_hard_rule_about_shifts_ties_batches_to_them(tmp_path: Path) -> None:
    term = made()
    for row, student in enumerate(term.students):
        student["preferred_shift"] = "Evening" if row in (1, 3, 4, 6, 8, 10, 12) else "m"
    term.rules = tuple(
        {**rule, "kind": "no_mix", "hard": True} if rule["code"] == "SHIFT" else rule for rule in term.rules
    )
    for student in term.students:
        student["preferred_shift"] = {"m": "morning"}.get(student["preferred_shift"], student["preferred_shift"])
    found = checked(tmp_path, term)
    assert broken(found) == {"the shift that members prefer": 2}
    term.request = {"relax": ["preferred_shift"]}
    assert "the shift that members prefer" not in broken(checked(tmp_path, term))


def test_pins_are_looked_at(tmp_path: Path) -> None:
    term = made()
    term.request = {"pins": {"together": [["S00", "S02"], ["S00", "S01"]], "apart": [["S00", "S05"], ["S00", "S01"]]}}
    assert broken(checked(tmp_path, term)) == {"pinned together": 1, "pinned apart": 1}


def test_a_rule_that_was_relaxed_is_a_wish(tmp_path: Path) -> None:
    term = made()
    term.batches = [[0, 2, 6], [1, 3, 4], [5, 8, 10, 12], [7, 9, 11]]
    term.request = {"relax": ["program_id"]}
    found = checked(tmp_path, term)
    mixed = next(one for one in found.violations if one.rule == "P")
    assert (mixed.hard, mixed.count) == (False, 2)


def test_students_that_were_left_out_are_no_fault_of_a_lenient_run(tmp_path: Path) -> None:
    term = made()
    out = write_out(tmp_path / "out", term)
    term.students.append({**term.students[0], "student_id": "S99", "program_id": "unknown"})
    folder = write_term(tmp_path / "term", term)
    assert broken(verify(out, folder)) == {"every student in one batch": 1}
    term.request = {"lenient": True}
    term.students.pop()
    write_out(tmp_path / "out", term)
    assert verify(out, folder).ok


def with_history(term: Made) -> None:
    term.files["courses"] = [
        {**row, "prerequisites": ["A"] if row["course_id"] == "B" else []} for row in term.files["courses"]
    ]
    takers = [row["student_id"] for at, row in enumerate(term.students) if "B" in term.takes(at)]
    passed = [("yes" if at else "no") for at in range(len(takers))]
    term.files["student_course_history"] = [
        {"student_id": one, "course_id": "A", "passed": said} for one, said in zip(takers, passed, strict=True)
    ]


def test_courses_without_what_they_build_on_are_seen(tmp_path: Path) -> None:
    term = made()
    with_history(term)
    assert broken(checked(tmp_path, term)) == {"courses whose prerequisites are passed": 1}


def test_a_lenient_run_leaves_such_courses_out(tmp_path: Path) -> None:
    term = made()
    with_history(term)
    first = term.files["student_course_history"][0]["student_id"]
    folder = write_term(tmp_path / "term", term)
    row = next(row for row in term.students if row["student_id"] == first)
    row["enrolled_courses"] = [one for one in row["enrolled_courses"] if one != "B"]
    term.request = {"lenient": True}
    assert verify(write_out(tmp_path / "out", term), folder).ok


def test_an_input_that_changed_since_is_named(tmp_path: Path) -> None:
    term = made()
    folder = write_term(tmp_path / "term", term)
    term.request = {"files": [{"role": name, "path": f"{name}.csv", "sha256": "0" * 64} for name in term.files]}
    found = verify(write_out(tmp_path / "out", term), folder)
    assert "rooms.csv is not the file that was batched" in found.disagreements


def test_what_can_not_be_read_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    term = made()
    out, folder = write_out(tmp_path / "out", term), write_term(tmp_path / "term", term)
    (out / "student_batches.csv").rename(out / "away.csv")
    with pytest.raises(ContractError, match=r"student_batches\.csv is not there"):
        verify(out, folder)
    (out / "away.csv").rename(out / "student_batches.csv")
    (out / "quality.json").write_text("{")
    with pytest.raises(ContractError, match=r"quality\.json can't be read"):
        verify(out, folder)
    write_out(tmp_path / "out", term)
    (folder / "rooms.csv").unlink()
    with pytest.raises(ContractError, match="has no rooms"):
        verify(out, folder)


def test_no_student_is_named_in_what_differs(tmp_path: Path) -> None:
    found = bent(tmp_path, MEMBERS, set_all("student_name", "Somebody", slice(0, 5)))
    assert not any("Somebody" in said or "S00" in said for said in found.disagreements)


def test_texts_that_a_spreadsheet_would_run_are_compared_as_they_are_written(tmp_path: Path) -> None:
    term = made()
    assert any(safe(row["student_name"]) != row["student_name"] for row in term.students)
    assert checked(tmp_path, term).ok


SOME = st.dictionaries(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.5, 4.0, 7.0]), max_size=4)
STAFF = st.dictionaries(
    st.sets(st.integers(0, 3)).map(sorted).map(tuple), st.sampled_from([0.0, 1.5, 3.0, 6.0, 9.0]), max_size=5
)


@given(SOME, STAFF)
def test_a_flow_of_hours_is_there_exactly_when_every_set_of_shifts_has_enough(
    asked: dict[int, float], staff: dict[tuple[int, ...], float]
) -> None:
    enough = all(
        sum(asked[shift] for shift in some)
        <= sum(hours for works, hours in staff.items() if set(works) & set(some)) + 1e-6
        for many in range(1, len(asked) + 1)
        for some in combinations(asked, many)
    )
    assert _enough(asked, staff) == enough


def test_the_checker_shares_no_code_with_what_it_checks() -> None:
    """The standard library and numpy; pyarrow for two formats, where a function needs it."""
    allowed = {*sys.stdlib_module_names, "numpy", "pyarrow"}
    for path in Path(checker.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.startswith("studentsuccess.batching.checker") or name == "studentsuccess.errors"
                assert ours or name.split(".")[0] in allowed, f"{path.name} imports {name}"
        top = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
        assert not any("pyarrow" in ast.unparse(one) for one in top)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"course_id,title\nC1,\xc3\x90x\n", ["Ðx"]),
        (b'\xef"\xbb\xbf"course_id,title\nC1,\xc3\x90x\n', ["Ðx"]),  # 90 is nothing in cp1252
        (b"course_id,title\nC1,\xd0x\n", ["Ðx"]),
        (b"course_id,title\nC1,\xd0\x90\n", ["А"]),
        (b"course_id,title\nC1,\xd0x\x90\n", ["Ðx\x90"]),
    ],
)
def test_a_table_is_read_as_the_text_that_it_can_be(tmp_path: Path, raw: bytes, names: list[str]) -> None:
    (tmp_path / "courses.csv").write_bytes(raw)
    found = read_table(tmp_path / "courses.csv")
    assert [[column.text(0)] for column in found.values()] == [["C1"], names]
