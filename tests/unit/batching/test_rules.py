"""Rules: what each may be asked about, how they are refused by name, where they come from, what can't hold together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_terms import FACULTY, FILES, Small, of_code, only

from studentsuccess.batching.inputs import Code
from studentsuccess.batching.instance import Lists, Numbers, Rule, Sizes, Texts
from studentsuccess.batching.rule_conflicts import conflicts
from studentsuccess.batching.rules import ENTITIES, KINDS, LEVELS, Asked, Refusal, RuleFields, checked, number_of

FIELDS = RuleFields(
    {
        "program_id": "text",
        "preferred_languages": "list",
        "score": "number",
        "mark": "mixed",
        "enrolled_courses": "list",
    },
    {"program_id": "text", "department_id": "text", "seats": "number"},
    {"course_id": "text", "department_id": "text", "credits": "number"},
)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


def _rule(entity: str, field: str, kind: str, threshold: str | None = None, level: str = "hard") -> Rule:
    found = checked(Asked("R", entity, field, kind, level, None, threshold), FIELDS)
    assert isinstance(found, Rule), found
    return found


def _refused(*asked: str | None) -> tuple[Refusal, ...]:
    found = checked(Asked("R", *asked), FIELDS)  # type: ignore[arg-type]
    assert not isinstance(found, Rule)
    return found


@pytest.mark.parametrize(
    ("entity", "field", "kind", "threshold", "means"),
    [
        ("student", "program_id", "no_mix", None, ("student", "program_id", None)),
        ("student", "preferred_languages", "no_mix", None, ("student", "preferred_languages", None)),
        ("student", "program_id", "no_mix", ".5", ("student", "program_id", None)),
        ("Student", "Program ID", "NO_MIX", None, ("student", "program_id", None)),
        ("student", "program_id", "homogeneous", None, ("student", "program_id", 1.0)),
        ("student", "preferred_languages", "homogeneous", "0.6", ("student", "preferred_languages", 0.6)),
        ("student", "score", "max_variance", "1", ("student", "score", 1.0)),
        ("student", "mark", "max_variance", ".5", ("student", "mark", 0.5)),
        ("student", "program_id", "capacity_limit", ".25", ("student", "program_id", 0.25)),
        ("batch", "size", "capacity_limit", ".8", ("batch", "size", 0.8)),
        ("batch", "program_id", "no_mix", None, ("student", "program_id", None)),
        ("institution", "size", "capacity_limit", "1", ("batch", "size", 1.0)),
        ("program", "department_id", "no_mix", None, ("program", "program.department_id", None)),
        ("program", "seats", "max_variance", "0", ("program", "program.seats", 0.0)),
        ("program", "program_id", "no_mix", None, ("student", "program_id", None)),
        ("course", "department_id", "homogeneous", ".5", ("course", "course.department_id", 0.5)),
        ("course", "course_id", "capacity_limit", ".9", ("student", "enrolled_courses", 0.9)),
    ],
)
def test_what_a_rule_means(
    entity: str, field: str, kind: str, threshold: str | None, means: tuple[str, str, float | None]
) -> None:
    rule = _rule(entity, field, kind, threshold)
    assert (rule.entity, rule.field, rule.threshold) == means
    assert rule.hard


@pytest.mark.parametrize(
    ("asked", "column", "said"),
    [
        (("student", "colour", "no_mix", "hard"), "field_name", "student has no field `colour`"),
        (("student", "programid", "no_mix", "hard"), "field_name", "did you mean `program_id`?"),
        (("pupil", "program_id", "no_mix", "hard"), "entity_type", "unknown entity_type: `pupil`"),
        (("studnt", "program_id", "no_mix", "hard"), "entity_type", "did you mean `student`?"),
        (("student", "program_id", "no_mixx", "hard"), "rule_type", "did you mean `no_mix`?"),
        (("student", "program_id", "no_mix", "strict"), "constraint_level", "unknown constraint_level"),
        (("student", "program_id", "no_mix", "hard", "10.5"), "weight", "10.5 is outside 0 to 10"),
        (("student", "program_id", "no_mix", "hard", "-1"), "weight", "-1 is outside 0 to 10"),
        (("student", "program_id", "no_mix", "hard", "heavy"), "weight", "not a number"),
        (("student", "program_id", "no_mix", "hard", "nan"), "weight", "not a number"),
        (("student", "score", "max_variance", "hard", "1", "1.5"), "threshold", "1.5 is outside 0 to 1"),
        (("student", "score", "max_variance", "hard"), "threshold", "is missing, and `max_variance` needs one"),
        (("student", "program_id", "capacity_limit", "soft"), "threshold", "`capacity_limit` needs one"),
        (("batch", "size", "capacity_limit", "hard", "1", "0"), "threshold", "0 would allow no member"),
        (("student", "program_id", "max_variance", "hard", "1", ".5"), "rule_type", "which holds texts"),
        (("student", "preferred_languages", "max_variance", "hard", "1", ".5"), "rule_type", "which holds lists"),
        (("student", "size", "capacity_limit", "hard", "1", ".5"), "field_name", "`size` has no meaning for a student"),
        (("batch", "size", "no_mix", "hard"), "rule_type", "`no_mix` has no meaning for the size of a batch"),
        (("batch", "size", "homogeneous", "hard"), "rule_type", "`homogeneous` has no meaning"),
        (("institution", "program_id", "no_mix", "hard"), "field_name", "has no meaning for an institution"),
        (("course", "credits", "no_mix", "hard"), "field_name", "`credits` has no meaning for a course in a batch"),
        (("course", "score", "no_mix", "hard"), "field_name", "course has no field `score`"),
        (("program", "score", "no_mix", "hard"), "field_name", "program has no field `score`"),
    ],
)
def test_a_rule_without_a_meaning_is_refused_by_name(asked: tuple[str, ...], column: str, said: str) -> None:
    (refusal,) = _refused(*asked)
    assert refusal.column == column
    assert said in refusal.message
    assert refusal.fix


def test_everything_wrong_with_a_rule_is_said_at_once() -> None:
    found = _refused("pupil", "x", "mix", "firm", "99", "7")
    assert [one.column for one in found] == ["entity_type", "rule_type", "constraint_level", "weight", "threshold"]


TEXTS = st.one_of(
    st.sampled_from([*ENTITIES, *KINDS, *LEVELS, *FIELDS.student, "size", "credits"]), st.text(max_size=8)
)
NUMBERS = st.one_of(
    st.none(), st.sampled_from(["", "0", ".5", "1", "10", "1e9", "inf", "-.1", "1_0"]), st.text(max_size=4)
)


@given(TEXTS, TEXTS, TEXTS, TEXTS, NUMBERS, NUMBERS)
def test_a_rule_holds_or_is_refused_never_ignored(
    entity: str, field: str, kind: str, level: str, weight: str | None, threshold: str | None
) -> None:
    found = checked(Asked("R", entity, field, kind, level, weight, threshold), FIELDS)
    if isinstance(found, Rule):
        assert found.kind in KINDS
        assert 0 <= found.weight <= 10
        assert (found.threshold is None) == (found.kind == "no_mix")
        assert found.threshold is None or 0 <= found.threshold <= 1
    else:
        assert found
        assert all(one.message for one in found)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), (" .5 ", 0.5), ("1e-3", 0.001), ("1_0", None), ("inf", None), ("x", None), ("", None)],
)
def test_what_a_number_is(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_a_rule_of_the_file_is_refused_with_its_line(small: Small) -> None:
    small.rules("A,student,program_id,no_mix,hard,1,", "B,student,prefered_shift,no_mix,soft,11,")
    found = of_code(small.read(), Code.INVALID_CONSTRAINT_RULE)
    assert {(one.line, one.column) for one in found} == {(3, "field_name"), (3, "weight")}
    assert all("`B`" in one.message for one in found)
    assert "did you mean `preferred_shift`?" in found[0].message


@pytest.mark.parametrize("column", ["parameter_code", "entity_type", "field_name", "rule_type", "constraint_level"])
def test_a_rule_needs_all_its_parts(small: Small, column: str) -> None:
    names = ["parameter_code", "entity_type", "field_name", "rule_type", "constraint_level"]
    row = ["A", "student", "program_id", "no_mix", "hard"]
    row[names.index(column)] = ""
    problem = only(small.rules(",".join(row) + ",,").read(), Code.BAD_VALUE)
    assert (problem.line, problem.column) == (2, column)


def test_rules_come_sorted_and_the_margin_of_rooms_is_there_unless_one_is_given(small: Small) -> None:
    small.rules("B,student,score,max_variance,soft,2.5,.5", "A,student,preferred_languages,homogeneous,soft,,")
    rules = small.instance().rules
    assert [(rule.code, rule.weight, rule.threshold) for rule in rules] == [
        ("A", 1.0, 1.0), ("B", 2.5, 0.5), ("DEFAULT_ROOM_MARGIN", 1.0, 0.9),
    ]  # fmt: skip
    rules = small.add("dynamic_parameters.csv", "C,institution,size,capacity_limit,soft,1,.7\n").instance().rules
    assert [(rule.code, rule.entity, rule.hard) for rule in rules if rule.field == "size"] == [("C", "batch", False)]


def test_a_header_alone_means_the_default_rules_and_is_said(small: Small) -> None:
    read = small.rules().read()
    assert only(read, Code.NO_ROWS).warning
    assert [rule.code for rule in read.expect().rules] == ["DEFAULT_PROGRAM", "DEFAULT_YEAR", "DEFAULT_ROOM_MARGIN"]


def test_fields_of_programs_and_courses_become_fields_of_members(small: Small) -> None:
    small.rules(
        "A,program,department_id,no_mix,hard,1,", "B,course,department_id,homogeneous,soft,1,.5",
        "C,course,course_name,capacity_limit,soft,1,.9", "D,program,program_name,homogeneous,soft,1,",
    )  # fmt: skip
    fields = small.instance().students.fields
    home, taught, names = fields["program.department_id"], fields["course.department_id"], fields["course.course_name"]
    assert isinstance(home, Texts)
    assert [home.labels[code] for code in home.codes] == ["D1", "D2", "D1", "D2"]
    assert _lists(taught) == [["D1"], ["D2"], ["D1", "D2"], ["D2"]]
    assert _lists(names) == [["Logic", "Rhetoric"], ["Logic", "Proof"], ["Logic", "Proof"], ["Rhetoric"]]
    assert isinstance(fields["program.program_name"], Texts)


def _lists(found: object) -> list[list[str]]:
    assert isinstance(found, Lists)
    bounds = zip(found.start[:-1], found.start[1:], strict=True)
    return [[found.labels[item] for item in found.items[start:end]] for start, end in bounds]


def test_columns_that_no_rule_names_are_left_out_where_they_have_too_many_values(small: Small) -> None:
    header = "student_id,program_id,academic_year,enrolled_courses,address,town\n"
    rows = [f"S{at:05d},P1,2024,C1,street {at},{at % 3} hill\n" for at in range(5000)]
    small.files["student_data.csv"] = header + "".join(rows)
    assert "address" not in small.instance().students.fields
    assert "town" in small.instance().students.fields
    small.rules("A,student,address,capacity_limit,soft,1,.5")
    assert len(small.instance().students.texts("address").labels) == 5000


def test_a_column_of_numbers_with_one_that_is_none_is_mended_where_a_rule_needs_numbers(small: Small) -> None:
    small.change("student_data.csv", ",70", ",n/a")
    assert isinstance(small.instance().students.fields["score"], Texts)
    small.rules("A,student,score,max_variance,soft,1,.5")
    problem = only(small.read(), Code.BAD_VALUE)
    assert (problem.file, problem.line, problem.column) == ("student_data.csv", 3, "score")
    found = small.read(lenient=True).expect().students
    assert found.ids == ("S2", "S3", "S4")
    score = found.fields["score"]
    assert isinstance(score, Numbers)
    np.testing.assert_array_equal(score.values, [np.nan, 61.5, 55])


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("A,student,preferred_shift,no_mix,hard,1,", (5,)),
        ("A,student,preferred_shift,homogeneous,hard,1,", (5,)),
        ("A,student,preferred_shift,homogeneous,hard,1,1.0", (5,)),
        ("A,student,preferred_languages,no_mix,hard,1,", (5,)),
        ("A,student,score,no_mix,hard,1,", (5,)),
    ],
)
def test_a_gap_in_a_field_that_all_must_share_is_named_by_its_lines(
    small: Small, rule: str, lines: tuple[int, ...]
) -> None:
    problem = only(small.rules(rule).read(), Code.FEATURE_EXTRACTION_ERROR)
    assert (problem.file, problem.lines, problem.count) == ("student_data.csv", lines, 1)
    assert small.read(lenient=True).expect().students.count == 3


@pytest.mark.parametrize(
    "rule", ["A,student,preferred_shift,no_mix,soft,1,", "A,student,preferred_shift,homogeneous,hard,1,.5"]
)
def test_a_gap_where_not_all_must_agree_is_none(small: Small, rule: str) -> None:
    assert small.rules(rule).read().ready


def test_who_takes_nothing_can_not_share_a_course(small: Small) -> None:
    small.change("student_data.csv", "C3,55", ",55").rules("A,student,enrolled_courses,no_mix,hard,1,")
    problem = only(small.read(), Code.FEATURE_EXTRACTION_ERROR)
    assert (problem.line, problem.column) == (6, "enrolled_courses")
    assert small.read(lenient=True).expect().students.ids == ("S1", "S2", "S3")


def _hard(code: str, kind: str, field: str, threshold: float | None = None, *, hard: bool = True) -> Rule:
    return Rule(code, "student", field, kind, hard, 1.0, threshold)


@pytest.mark.parametrize("limit", [0.02, 0.3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.5, 1.0])
@pytest.mark.parametrize(("hard", "same"), [(True, True), (False, True), (True, False)])
def test_a_share_that_must_be_larger_than_it_may_be_is_a_conflict(
    limit: float, share: float, hard: bool, same: bool
) -> None:
    rules = [
        _hard("A", "homogeneous", "town" if same else "club", share),
        _hard("B", "capacity_limit", "town", limit, hard=hard),
    ]
    found = list(conflicts(rules, Sizes(), "f.csv"))
    assert len(found) == (hard and same and share > limit) + (hard and limit * 60 < 1)
    assert all(one.code == Code.CONFLICTING_RULES and one.file == "f.csv" and one.fix for one in found)


def test_one_value_for_all_and_a_limit_on_it_conflict_in_the_file(small: Small) -> None:
    small.rules("A,student,program_id,no_mix,hard,1,", "B,student,program_id,capacity_limit,hard,1,.5")
    problem = only(small.read(), Code.CONFLICTING_RULES)
    assert "A (no_mix(program_id)) and B (capacity_limit(program_id, 0.5)) can't both hold" in problem.message
    assert problem.file == "dynamic_parameters.csv"


def test_a_limit_on_size_is_no_share() -> None:
    assert not list(conflicts([Rule("A", "batch", "size", "capacity_limit", True, 1.0, 0.001)], Sizes(), ""))


def test_departments_of_courses_are_read_with_faculty_too(small: Small) -> None:
    small.add("faculty.csv", FACULTY).rules("B,course,department_id,no_mix,soft,1,")
    assert _lists(small.instance().students.fields["course.department_id"])[0] == ["D1"]
    assert FILES["courses.csv"].count("D2") == 1
