"""The rows that an explanation looks at: evenly spread, the same however they come, and the right one by its place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import context_of, make_manifest

from studentsuccess.core.grammar import Kind
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import ContractError, SsError, UsageError
from studentsuccess.models.roles import Feature, Role
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.explain_rows import EvenSample, Gathered, Wanted, read_rows
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.tasks.score_input import ScoreInput, examine

SCHEMA = pa.schema([("place", pa.int64()), ("text", pa.string())])
CANARY = "Ada-Lovelace-4711"
MANIFEST = make_manifest(
    features=(Feature("hours", Kind.INTEGER, Role.NUMBER), Feature("city", Kind.TEXT, Role.CATEGORY, ("Graz",)))
)
CSV = f'student_id,city,hours\na1,Graz,1\na2,Łódź,2\n{CANARY},Graz,many\na4,"two\nlines",4\na2,Wien,5\n,Graz,6\n'


def blocks(rows: int, cuts: list[int]) -> list[pa.RecordBatch]:
    """Numbered rows in blocks of any lengths, texts as codes of the block's own."""
    texts = pa.array([f"t{place % 7}" for place in range(rows)], pa.string()).dictionary_encode()
    whole = pa.RecordBatch.from_arrays([pa.array(range(rows), pa.int64()), texts], ["place", "text"])
    ends = sorted({min(cut, rows) for cut in cuts} | {0, rows})
    return [whole.slice(first, last - first) for first, last in pairwise(ends)]


def sampled(rows: int, cuts: list[int], most: int) -> list[int]:
    sample = EvenSample(most, SCHEMA)
    for block in blocks(rows, cuts):
        sample.put(block)
    found = sample.rows()
    places: list[int] = found.column("place").to_pylist()
    assert found.column("text").to_pylist() == [f"t{place % 7}" for place in places]
    return places


@given(rows=st.integers(0, 900), cuts=st.lists(st.integers(0, 900), max_size=12), most=st.integers(1, 60))
def test_a_sample_is_even_and_the_same_whatever_the_blocks(rows: int, cuts: list[int], most: int) -> None:
    found = sampled(rows, cuts, most)
    assert found == sampled(rows, [], most)
    assert len(found) == min(rows, most)
    assert found == sorted(set(found))
    if rows > most:
        gaps = [later - earlier for earlier, later in zip([-1, *found], [*found, rows], strict=True)]
        assert max(gaps) <= 3 * rows / most + 1


def given_rows(tmp_path: Path, text: str = CSV) -> tuple[ScoreInput, Context]:
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    context = context_of(tmp_path, {"SS_ETL__MAX_REJECTS": "20%"})
    return examine([NamedFile(path, "rows.csv")], MANIFEST, context), context


def read(tmp_path: Path, wanted: Wanted, text: str = CSV) -> Gathered:
    found, context = given_rows(tmp_path, text)
    return read_rows(found, context.reading(), 100, wanted, SilentReporter())


def refused(tmp_path: Path, wanted: Wanted, text: str = CSV) -> SsError:
    with pytest.raises(SsError) as raised:
        read(tmp_path, wanted, text)
    assert CANARY not in raised.value.message + raised.value.hint
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize(
    ("row", "values"),
    [(1, {"city": "Graz", "hours": 1}), (4, {"city": "two\nlines", "hours": 4}), (6, {"city": "Graz", "hours": 6})],
)
def test_a_row_is_named_by_its_place_also_behind_one_that_can_not_be_read(
    tmp_path: Path, row: int, values: dict[str, object]
) -> None:
    found = read(tmp_path, Wanted(row)).found
    assert found is not None
    assert (found.row, found.shown, found.alike) == (row, "rows.csv", 1)
    assert found.batch.to_pylist() == [values]


def test_books_balance_and_the_first_reject_is_told_without_its_text(tmp_path: Path) -> None:
    found = read(tmp_path, Wanted())
    assert (found.counts.read, found.counts.kept, found.counts.rejected) == (6, 5, 1)
    assert found.first_reject == "rows.csv, line 4: `hours` not a whole number"
    assert found.sample.num_rows == 5
    assert set(found.sample.schema.names) == {"city", "hours"}


def test_an_id_names_the_first_of_its_rows_and_how_many_there_are(tmp_path: Path) -> None:
    found = read(tmp_path, Wanted(student=("a2",))).found
    assert found is not None
    assert (found.row, found.alike, found.batch.to_pylist()) == (2, 2, [{"city": "Łódź", "hours": 2}])


@pytest.mark.parametrize("unknown", ["a", "A1", " a1", "a1 ", "missing"])
def test_an_unknown_id_is_told_without_anybodys_id(tmp_path: Path, unknown: str) -> None:
    problem = refused(tmp_path, Wanted(student=(unknown,)))
    assert isinstance(problem, UsageError)
    assert problem.message == ("rows.csv: no row has the `student_id` that was asked for, and 1 row could not be read")
    assert not {"a1", "a2", "a4"} & set(problem.message.split())


def test_a_row_beyond_the_end_is_told_how_many_there_are(tmp_path: Path) -> None:
    problem = refused(tmp_path, Wanted(7))
    assert (problem.message, int(problem.code)) == ("rows.csv: there is no row 7: it has 6", 2)


def test_a_row_that_can_not_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    problem = refused(tmp_path, Wanted(3))
    assert problem.message == "rows.csv: row 3 can't be read: line 4: `hours` not a whole number"
    assert isinstance(problem, ContractError)


def test_too_many_rejects_are_a_broken_contract(tmp_path: Path) -> None:
    bad = "".join(f"b{place},Graz,{'x' if place % 3 == 0 else place}\n" for place in range(30))
    problem = refused(tmp_path, Wanted(), f"student_id,city,hours\n{bad}")
    assert problem.message == (
        "rows.csv: 10 of 30 rows can't be read, the first in rows.csv, line 2: `hours` not a whole number"
    )
    assert int(problem.code) == 4


def test_a_header_alone_has_nothing_to_explain(tmp_path: Path) -> None:
    assert refused(tmp_path, Wanted(), "student_id,city,hours\n").message.startswith("rows.csv: 0 data rows")
