"""Batches become rows whose content does not show how they were cut, and books that know every value."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gathered import gathered, rows_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.rowhash import row_hashes
from studentsuccess.models.gather import NumberBook
from studentsuccess.models.roles import Role

ROW = st.tuples(
    st.sampled_from(["red", "green", "blue", "Ñandú", None]),
    st.sampled_from([3, 1, 4, 10**17, None]),
    st.sampled_from([0.5, -2.25, 1e300, None]),
    st.sampled_from([True, False, None]),
    st.sampled_from(["yes", "no", "maybe", None]),
)
TYPES = {"colour": pa.string(), "code": pa.int64(), "size": pa.float64(), "truth": pa.bool_(), "y": pa.string()}


def columns_of(rows: list[tuple[Any, ...]]) -> dict[str, pa.Array]:
    return {name: pa.array(one, kind) for (name, kind), one in zip(TYPES.items(), zip(*rows, strict=True), strict=True)}


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=25), step=st.integers(1, 25))
@example(rows=[("red", 1, 0.5, True, "yes"), ("red", 1, 0.5, True, None), ("blue", 3, 1e300, False, "no")], step=1)
def test_rows_and_books_do_not_show_how_the_table_was_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], step: int
) -> None:
    folder, columns = tmp_path_factory.mktemp("gather"), columns_of(rows)
    whole = gathered(folder / "a.rows", columns, "y")
    cut = gathered(folder / "b.rows", columns, "y", step=step)
    assert rows_of(cut.store()).tobytes() == rows_of(whole.store()).tobytes()
    told = [
        [
            (one.levels, one.present, one.width, one.numbers.origin, one.numbers.steady)
            for one in (*book.books, book.target)
        ]
        for book in (cut, whole)
    ]
    assert told[0] == told[1]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=25))
def test_a_row_holds_what_its_columns_say(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    columns = columns_of(rows)
    found = gathered(tmp_path_factory.mktemp("gather") / "a.rows", columns, "y", step=4)
    stored, books = rows_of(found.store()), {book.column.name: book for book in found.books}
    hashes = row_hashes(pa.record_batch(columns), list(columns))
    assert stored["content"].tolist() == stored["key"].tolist() == hashes.tolist()
    for name in ("colour", "code"):
        levels = [*books[name].levels, None]
        codes = stored["codes"][:, books[name].code]
        assert [levels[code] for code in codes] == [
            None if one is None else str(one) for one in columns[name].to_pylist()
        ]
    for name in ("code", "size", "truth"):
        origin = next((float(one) for one in columns[name].to_pylist() if one is not None), 0.0)
        limit = float(np.finfo(np.float32).max)
        around = [np.nan if one is None else float(one) - origin for one in columns[name].to_pylist()]
        expected = np.clip(around, -limit, limit).astype(np.float32)
        np.testing.assert_array_equal(stored["numbers"][:, books[name].number], expected)
    classes = [found.target.levels[int(one)] if one == one else None for one in stored["target"]]
    assert classes == columns["y"].to_pylist()


def test_a_piece_in_which_no_row_has_a_target_is_read_like_any_other(tmp_path: Path) -> None:
    columns = {"x": pa.array([1, 2, 3]), "y": pa.array([None, "a", None], pa.string())}
    found = gathered(tmp_path / "a.rows", columns, "y", step=1)
    np.testing.assert_array_equal(rows_of(found.store())["target"], [np.nan, 0.0, np.nan])


def test_the_id_is_the_key_and_no_column_of_the_row(tmp_path: Path) -> None:
    columns = {"id": pa.array(["a", "b", "a"]), "x": pa.array([1, 2, 3]), "y": pa.array(["p", "q", "p"])}
    found = gathered(tmp_path / "a.rows", columns, "y", keys=("id",))
    rows = rows_of(found.store())
    assert [book.column.name for book in found.books] == ["x"]
    assert rows["key"][0] == rows["key"][2] != rows["key"][1]
    assert len(set(rows["content"].tolist())) == 3


def test_days_and_moments_are_counted_in_days(tmp_path: Path) -> None:
    columns = {
        "day": pa.array([date(2024, 2, 28), date(2024, 3, 1), None]),
        "moment": pa.array([datetime(2024, 2, 28, 6), datetime(2024, 2, 29), None], pa.timestamp("us")),  # noqa: DTZ001
        "y": pa.array(["p", "q", "p"]),
    }
    numbers = rows_of(gathered(tmp_path / "a.rows", columns, "y").store())["numbers"]
    np.testing.assert_array_equal(numbers, np.array([[0, 0], [2, 0.75], [np.nan, np.nan]], np.float32))


def test_numbers_dates_and_truths_asked_for_as_categories_are_written_out(tmp_path: Path) -> None:
    columns = {
        "n": pa.array([10, 2, 10]),
        "f": pa.array([0.5, 2.0, None]),
        "b": pa.array([True, False, None]),
        "d": pa.array([date(2024, 2, 28), None, date(2024, 3, 1)]),
        "y": pa.array(["p", "q", "p"]),
    }
    types = dict.fromkeys("nfbd", Role.CATEGORY)
    books = gathered(tmp_path / "a.rows", columns, "y", types=types, step=1).books
    assert [book.levels for book in books] == [
        ("10", "2"), ("0.5", "2"), ("true", "false"), ("2024-02-28", "2024-03-01"),
    ]  # fmt: skip


@pytest.mark.parametrize("first", [0, 1, 20230000000000001])
@pytest.mark.parametrize("step", [1, 3, 50])
def test_a_counter_is_a_counter_also_beyond_what_a_double_tells_apart(first: int, step: int) -> None:
    book, other = NumberBook(), NumberBook()
    values = first + np.arange(50, dtype=np.int64)
    gap = values + (np.arange(50) == 49)
    nobody = np.zeros(0, np.bool_)
    for at in range(0, 50, step):
        book.see(values[at : at + step], nobody)
        other.see(gap[at : at + step], nobody)
    assert (book.steady, book.present, other.steady, other.present) == (True, 50, False, 50)
