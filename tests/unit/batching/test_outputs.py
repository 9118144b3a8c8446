"""The tables that a solution is written as: their columns, ids, order and sums."""

from __future__ import annotations

import csv
import io
import uuid
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from made_batches import a_grouping, a_placement, a_problem

from studentsuccess.batching.instance import Grouping, Instance
from studentsuccess.batching.outputs import (
    NAMESPACE,
    Solution,
    assignment_rows,
    batch_rows,
    enrolment_rows,
    membership_rows,
    names_of,
)
from studentsuccess.batching.quality import assess
from studentsuccess.tasks.batch_files import write_table

DAY = date(2025, 9, 1)
COLUMNS = {
    "student_batches": "batch_id batch_code program_id academic_year size coherence program_consistency"
    " resource_efficiency violations",
    "batch_student_membership": "membership_id batch_id student_id student_name program_id academic_year"
    " enrollment_date membership_status",
    "batch_course_enrollment": "enrollment_id batch_id course_id course_name credit_hours enrollment_status"
    " expected_students capacity_utilization",
    "batch_resource_assignment": "assignment_id batch_id room_id shift_id room_capacity utilization",
}


def written(instance: Instance, grouping: Grouping, tenant: str = "") -> dict[str, pa.Table]:
    """All four tables, each batch in a room of 20 or of 40 and in the evening."""
    rooms = [1 + at % 2 for at in range(grouping.count)]
    placement = a_placement(rooms, [0] * grouping.count, best=1.0)
    figures = assess(instance, grouping, placement, {}).figures
    solution = Solution(instance, grouping, placement)
    named = names_of(instance, grouping, tenant)
    return {
        "student_batches": batch_rows(solution, named, figures),
        "batch_student_membership": membership_rows(solution, named, DAY),
        "batch_course_enrollment": enrolment_rows(solution, named),
        "batch_resource_assignment": assignment_rows(solution, named),
    }


def usual() -> dict[str, pa.Table]:
    takes = ["ab", "ab", "abc", "ab", "bd", "bd", "bd"]
    instance = a_problem(takes, programs=["P"] * 4 + ["Q"] * 3)
    return written(instance, a_grouping([0, 0, 0, 0, 1, 1, 1], [0, 1]))


def test_the_columns_are_those_that_other_systems_read() -> None:
    assert {name: " ".join(table.column_names) for name, table in usual().items()} == COLUMNS


def test_every_reference_leads_somewhere_and_no_id_stands_twice() -> None:
    tables = usual()
    batches = set(tables["student_batches"]["batch_id"].to_pylist())
    for name, key in (
        ("student_batches", "batch_id"),
        ("batch_student_membership", "membership_id"),
        ("batch_course_enrollment", "enrollment_id"),
        ("batch_resource_assignment", "assignment_id"),
    ):
        ids = tables[name][key].to_pylist()
        assert len(set(ids)) == len(ids)
        assert set(tables[name]["batch_id"].to_pylist()) == batches
        assert {uuid.UUID(one).version for one in ids} == {5}


def test_an_id_is_the_digest_of_what_it_names() -> None:
    """As the standard library makes it, so that others can."""
    tables, space = usual(), uuid.UUID(bytes=NAMESPACE)
    batch = tables["student_batches"]["batch_id"][0].as_py()
    assert batch == str(uuid.uuid5(space, "batch\0\0P-2024-001"))
    member = tables["batch_student_membership"]
    student = member["student_id"][0].as_py()
    assert member["membership_id"][0].as_py() == str(uuid.uuid5(space, f"membership\0{batch}\0{student}"))


def test_another_tenant_has_other_ids_and_the_same_codes() -> None:
    instance, grouping = a_problem(["a"] * 4), a_grouping([0, 0, 1, 1])
    one, other = written(instance, grouping, "north"), written(instance, grouping, "south")
    assert one["student_batches"]["batch_code"] == other["student_batches"]["batch_code"]
    assert not set(one["student_batches"]["batch_id"].to_pylist()) & set(
        other["student_batches"]["batch_id"].to_pylist()
    )


def test_codes_count_within_program_and_year() -> None:
    instance = a_problem(["a"] * 6, programs=["P", "P", "Q", "Q", "P", "P"])
    codes = written(instance, a_grouping([0, 0, 1, 1, 2, 2]))["student_batches"]["batch_code"].to_pylist()
    assert codes == ["P-2024-001", "Q-2024-001", "P-2024-002"]


def test_programs_whose_codes_look_alike_are_counted_on() -> None:
    fields = {"academic_year": a_problem(["a"] * 4, programs=["1-2", "1-2", "2", "2"]).students.texts("program_id")}
    instance = a_problem(["a"] * 4, programs=["A", "A", "A-1", "A-1"], fields=fields)
    codes = written(instance, a_grouping([0, 0, 1, 1]))["student_batches"]["batch_code"].to_pylist()
    assert codes == ["A-1-2-001", "A-1-2-002"]


def test_a_mixed_batch_is_of_the_program_that_most_are_of() -> None:
    instance = a_problem(["a"] * 3, programs=["P", "Q", "Q"])
    table = written(instance, a_grouping([0, 0, 0]))["student_batches"]
    assert table["program_id"].to_pylist() == ["Q"]
    assert table["program_consistency"].to_pylist() == [2 / 3]


def test_members_stand_batch_by_batch_and_by_their_ids() -> None:
    instance = a_problem(["a"] * 4)
    table = written(instance, a_grouping([1, 0, 1, 0]))["batch_student_membership"]
    assert table["student_id"].to_pylist() == ["S001", "S003", "S000", "S002"]
    assert set(table["enrollment_date"].to_pylist()) == {DAY}
    assert set(table["membership_status"].to_pylist()) == {"ACTIVE"}


def test_expected_are_those_who_take_it_and_what_few_take_is_pooled() -> None:
    rows = usual()["batch_course_enrollment"].to_pylist()
    found = {(row["course_id"], row["expected_students"], row["enrollment_status"]) for row in rows}
    assert found == {
        ("a", 4, "ENROLLED"),
        ("b", 4, "ENROLLED"),
        ("c", 1, "POOLED"),
        ("b", 3, "ENROLLED"),
        ("d", 3, "ENROLLED"),
    }
    first = next(row for row in rows if row["course_id"] == "c")
    assert first["capacity_utilization"] == 1 / 20
    assert (first["course_name"], first["credit_hours"]) == ("About c", 3.0)


def test_use_of_a_room_is_members_by_its_seats() -> None:
    tables = usual()
    assert tables["batch_resource_assignment"]["utilization"].to_pylist() == [4 / 20, 3 / 40]
    assert tables["batch_resource_assignment"]["room_id"].to_pylist() == ["R1", "R2"]
    assert tables["student_batches"]["resource_efficiency"].to_pylist() == [4 / 20, 3 / 40]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sets(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=8),
    st.data(),
)
def test_no_student_and_no_enrolment_is_lost(takes: list[set[str]], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.integers(0, 2), min_size=len(takes), max_size=len(takes)))
    numbers = {one: at for at, one in enumerate(sorted(set(drawn)))}
    batch = [numbers[one] for one in drawn]
    tables = written(a_problem([sorted(one) for one in takes]), a_grouping(batch))
    ids = tables["student_batches"]["batch_id"].to_pylist()
    members = tables["batch_student_membership"].to_pylist()
    assert {row["student_id"]: row["batch_id"] for row in members} == {
        f"S{at:03}": ids[one] for at, one in enumerate(batch)
    }
    expected = Counter((ids[batch[at]], course) for at, mine in enumerate(takes) for course in mine)
    rows = tables["batch_course_enrollment"].to_pylist()
    assert {(row["batch_id"], row["course_id"]): row["expected_students"] for row in rows} == expected
    sizes = Counter(ids[one] for one in batch)
    assert dict(zip(ids, tables["student_batches"]["size"].to_pylist(), strict=True)) == sizes


def test_awkward_names_are_safe_in_a_spreadsheet_and_whole_for_a_reader(tmp_path: Path) -> None:
    names = ['Ann "Ace" O\'Neil', "Ng,\nAn", "=1+1", "@me", "王", "-5"]
    tables = written(a_problem(["a"] * 6, names=names), a_grouping([0] * 3 + [1] * 3))
    write_table(tmp_path, "members", tables["batch_student_membership"])
    text = (tmp_path / "members.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["student_name"] for row in rows] == ['Ann "Ace" O\'Neil', "Ng,\nAn", "'=1+1", "'@me", "王", "-5"]
    assert "\r" not in text
