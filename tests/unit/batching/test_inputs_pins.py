"""Who must be together or apart, where everyone was before, and the numbers of the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_terms import Small, of_code, only

from studentsuccess.batching.input_arguments import Arguments, check_arguments
from studentsuccess.batching.input_pins import _pins
from studentsuccess.batching.inputs import Code
from studentsuccess.batching.instance import Sizes, Weights
from studentsuccess.errors import UsageError

HEADER = "student_id,group,relation\n"


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path / "term")


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    return tmp_path / "pins.csv"


def test_groups_of_a_pin_file(small: Small, pins: Path) -> None:
    pins.write_text(HEADER + "S3,twins,together\nS1,twins,Together\nS2,x,apart\nS1,x,apart\nS4,x,apart\n")
    found = small.instance(pins=pins).pins
    assert found.together == ((0, 2),)
    assert found.apart == ((0, 1), (0, 3), (1, 3))


def test_groups_that_share_a_student_are_one(small: Small, pins: Path) -> None:
    small.change("student_data.csv", "李,P2,2023", "李,P1,2024")
    pins.write_text(HEADER + "S1,a,together\nS2,a,together\nS2,b,together\nS3,b,together\nS4,c,together\n")
    assert small.instance(pins=pins).pins.together == ((0, 1, 2),)


GROUPS = st.dictionaries(
    st.tuples(st.sampled_from(["together", "apart"]), st.sampled_from("abcd")),
    st.lists(st.integers(0, 7), min_size=1, max_size=4),
)


@given(GROUPS)
def test_together_is_what_a_chain_of_groups_connects(groups: dict[tuple[str, str], list[int]]) -> None:
    found = _pins(groups)
    linked = {row: {row} for row in range(8)}
    for _ in range(8):
        for (relation, _name), rows in groups.items():
            if relation == "together":
                whole = set().union(*(linked[row] for row in rows))
                for row in whole:
                    linked[row] = whole
    assert {frozenset(rows) for rows in found.together} == {frozenset(one) for one in linked.values() if len(one) > 1}
    apart = {(a, b) for (kind, _), rows in groups.items() if kind == "apart" for a in rows for b in rows if a < b}
    assert set(found.apart) == apart


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        ("S9,a,together", Code.ORPHAN_REFERENCE, "student_id"),
        ("S1,a,togehter", Code.INVALID_PIN, "relation"),
        ("S1,,apart", Code.BAD_VALUE, "group"),
        ("S1,a,", Code.BAD_VALUE, "relation"),
    ],
)
def test_a_pin_that_is_none_is_named_by_its_line(small: Small, pins: Path, row: str, code: Code, column: str) -> None:
    pins.write_text(f"{HEADER}S2,z,apart\n{row}\n")
    problem = only(small.read(pins=pins), code)
    assert (problem.file, problem.line, problem.column) == ("pins.csv", 3, column)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("S1,a,together\nS3,a,together\nS3,b,apart\nS1,b,apart\n", "1 pairs must be together and apart"),
        ("S1,a,together\nS2,a,together\n", "differ in `program_id`"),
        ("S2,a,together\nS4,a,together\n", "differ in `preferred_shift`"),
    ],
)
def test_pins_that_can_not_hold_are_a_conflict(small: Small, pins: Path, rows: str, said: str) -> None:
    small.change("student_data.csv", "2023,,{}", "2023,morning,{}").rules("A,student,preferred_shift,no_mix,hard,1,")
    pins.write_text(HEADER + rows)
    found = of_code(small.read(pins=pins), Code.CONFLICTING_RULES)
    assert any(said in problem.message for problem in found)


def test_more_together_than_a_batch_holds_is_a_conflict(small: Small, pins: Path) -> None:
    pins.write_text(HEADER + "S1,a,together\nS3,a,together\n")
    problem = only(small.read(pins=pins, sizes=Sizes(1, 1, 1)), Code.CONFLICTING_RULES)
    assert "2 students must be together, and a batch has at most 1" in problem.message
    assert "--max-size 2" in problem.fix


def test_a_group_too_large_to_keep_apart_is_refused(small: Small, pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studentsuccess.batching.input_pins.LARGEST_APART", 3)
    pins.write_text(HEADER + "".join(f"S{number},a,apart\n" for number in range(1, 5)) + "S1,b,apart\nS2,b,apart\n")
    problem = only(small.read(pins=pins), Code.INVALID_PIN)
    assert (problem.count, problem.line) == (4, 2)


def test_the_files_of_the_command_line_are_reported_too(small: Small, pins: Path) -> None:
    pins.write_text(HEADER + "S1,a,together\nS3,a,together\n")
    report = next(file for file in small.read(pins=pins).files if file.role == "pins")
    assert (report.path, report.rows, report.ready) == ("pins.csv", 2, True)


def test_a_pin_file_that_is_not_there_is_usage(small: Small, pins: Path) -> None:
    with pytest.raises(UsageError, match=r"pins\.csv"):
        small.read(pins=pins)


def test_former_batches_are_found_by_student(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    text = "membership_id,batch_id,student_id,student_name\nm1,B9,S1,x\nm2,B2,S3,x\nm3,B9,GONE,x\nm4,B9,S4,x\n"
    (out / "batch_student_membership.csv").write_text(text)
    for previous in (out, out / "batch_student_membership.csv"):
        found = small.instance(previous=previous).previous
        assert found is not None
        assert found.tolist() == [1, -1, 0, 1]
    assert small.instance().previous is None


def test_an_id_that_was_quoted_for_spreadsheets_is_known_again(small: Small, tmp_path: Path) -> None:
    small.change("student_data.csv", "S4,", "=S4,")
    text = "batch_id,student_id\nB1,'=S4\n"
    (tmp_path / "batch_student_membership.csv").write_text(text)
    found = small.instance(previous=tmp_path)
    assert found.previous is not None
    assert dict(zip(found.students.ids, found.previous.tolist(), strict=True))["=S4"] == 0


def test_a_former_output_that_is_none_is_usage(small: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no batch_student_membership\.csv"):
        small.read(previous=tmp_path)


def test_what_may_be_merged_must_be_a_field(small: Small) -> None:
    assert small.instance(relax=("Academic Year", "preferred_shift")).relax == ("academic_year", "preferred_shift")
    problem = only(small.read(relax=("academic_yaer",)), Code.INVALID_ARGUMENT)
    assert problem.column == "--relax"
    assert "did you mean `academic_year`?" in problem.message


@given(st.integers(-3, 120), st.integers(-3, 120), st.integers(-3, 120))
def test_sizes_are_held_to_their_order(least: int, target: int, most: int) -> None:
    found = list(check_arguments(Arguments(Sizes(least, target, most))))
    errors = [problem for problem in found if not problem.warning]
    assert bool(errors) == (not (1 <= least <= target <= most))
    assert {problem.code for problem in errors} <= {Code.BATCH_SIZE_BOUNDS_VIOLATED}
    unusual = {
        "--min-size": not 5 <= least <= 25,
        "--target-size": not 15 <= target <= 80,
        "--max-size": not 30 <= most <= 100,
    }
    assert {problem.column for problem in found if problem.warning} == {flag for flag, is_ in unusual.items() if is_}


def test_equal_sizes_are_fine() -> None:
    assert not [problem for problem in check_arguments(Arguments(Sizes(35, 35, 35))) if not problem.warning]


@pytest.mark.parametrize(
    ("weights", "fine"),
    [
        ((0.4, 0.3, 0.3), True),
        ((1 / 3, 1 / 3, 1 / 3), True),
        ((1.0, 0.0, 0.0), True),
        ((0.4, 0.3, 0.29), False),
        ((0.5, 0.4, 0.3), False),
        ((0.0, 1.0, 0.0), False),
        ((1.5, -0.5, 0.0), False),
        ((float("nan"), 0.5, 0.5), False),
    ],
)
def test_weights_must_sum_to_one(weights: tuple[float, float, float], fine: bool) -> None:
    found = list(check_arguments(Arguments(weights=Weights(*weights))))
    assert [problem.code for problem in found] == ([] if fine else [Code.WEIGHT_NORMALIZATION_FAILED])


@pytest.mark.parametrize(
    ("iterations", "convergence", "codes"),
    [
        (100, 1e-4, []),
        (None, None, []),
        (5, 1e-4, [(Code.UNUSUAL_VALUE, True)]),
        (2000, 0.1, [(Code.UNUSUAL_VALUE, True), (Code.UNUSUAL_VALUE, True)]),
        (0, 1e-4, [(Code.INVALID_ARGUMENT, False), (Code.UNUSUAL_VALUE, True)]),
        (100, 0.0, [(Code.INVALID_ARGUMENT, False), (Code.UNUSUAL_VALUE, True)]),
    ],
)
def test_how_long_to_try(iterations: int | None, convergence: float | None, codes: list[tuple[Code, bool]]) -> None:
    given_ = replace(Arguments(), max_iterations=iterations, convergence=convergence)
    assert [(problem.code, problem.warning) for problem in check_arguments(given_)] == codes


def test_the_sizes_and_weights_of_the_request_are_those_of_the_instance(small: Small) -> None:
    sizes, weights = Sizes(5, 15, 30), Weights(0.5, 0.25, 0.25)
    found = small.instance(sizes=sizes, weights=weights, seed=7)
    assert (found.sizes, found.weights, found.seed) == (sizes, weights, 7)
