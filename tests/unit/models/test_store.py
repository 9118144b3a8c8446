"""Rows on disk: what is written comes back, in any pieces, and a row that is taken out keeps its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.models.store import GONE, Rows, RowStore, RowWriter, Shape


def made_rows(count: int, shape: Shape, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, shape.dtype)
    rows["key"] = rng.integers(0, 2**64, count, dtype=np.uint64)
    rows["content"] = rng.integers(0, 2**64, count, dtype=np.uint64)
    rows["target"] = rng.integers(0, 3, count)
    rows["numbers"] = rng.normal(size=(count, shape.numbers))
    rows["codes"] = rng.integers(-1, 5, (count, shape.codes))
    return rows


def written(path: Path, rows: Rows, shape: Shape, step: int) -> RowStore:
    with RowWriter(path, shape) as sink:
        for first in range(0, len(rows), step):
            sink.put(rows[first : first + step])
        sink.put(rows[:0])
    return RowStore(path, shape, sink.rows)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 60), numbers=st.integers(0, 3), codes=st.integers(0, 3), step=st.integers(1, 70),
    scan=st.integers(1, 70),
)  # fmt: skip
def test_rows_come_back_bit_for_bit_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, count: int, numbers: int, codes: int, step: int, scan: int
) -> None:
    shape = Shape(numbers, codes)
    rows = made_rows(count, shape)
    store = written(tmp_path_factory.mktemp("rows") / "deep" / "a.rows", rows, shape, step)
    found = list(store.scan(scan))
    assert store.rows == count
    assert all(len(piece) == scan for piece in found[:-1])
    assert b"".join(piece.tobytes() for piece in found) == rows.tobytes()
    assert store.path.stat().st_size == rows.nbytes


def test_any_block_is_read_where_it_is_wanted(tmp_path: Path) -> None:
    shape = Shape(2, 1)
    rows = made_rows(100, shape)
    store = written(tmp_path / "a.rows", rows, shape, 33)
    buffer = np.zeros(30, shape.dtype)
    with store.open() as source:
        assert store.read(source, 90, 10).tobytes() == rows[90:].tobytes()
        store.read_into(source, 5, buffer[10:20])
    assert buffer[10:20].tobytes() == rows[5:15].tobytes()
    assert not buffer["key"][:10].any()
    assert not buffer["key"][20:].any()


@settings(max_examples=40, deadline=None)
@given(positions=st.lists(st.integers(0, 99), max_size=30, unique=True))
def test_contents_are_told_in_the_order_that_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, positions: list[int]
) -> None:
    shape = Shape(1, 0)
    rows = made_rows(100, shape)
    store = written(tmp_path_factory.mktemp("rows") / "a.rows", rows, shape, 40)
    wanted = np.array(positions, np.int64)
    assert store.contents(wanted).tolist() == rows["content"][wanted].tolist()


def test_a_row_taken_out_loses_its_target_and_nothing_else(tmp_path: Path) -> None:
    shape = Shape(2, 2)
    rows = made_rows(50, shape)
    store = written(tmp_path / "a.rows", rows, shape, 20)
    store.take_out(np.array([0, 7, 49]))
    rows["target"][[0, 7, 49]] = GONE
    assert np.concatenate(list(store.scan(9))).tobytes() == rows.tobytes()


def test_a_file_that_lost_its_end_is_not_read_as_if_it_had_one(tmp_path: Path) -> None:
    shape = Shape(1, 1)
    store = written(tmp_path / "a.rows", made_rows(10, shape), shape, 10)
    with store.path.open("r+b") as sink:
        sink.truncate(store.path.stat().st_size - 3)
    with pytest.raises(EOFError, match=r"a\.rows: 10 rows were written"):
        list(store.scan())


def test_what_went_wrong_while_writing_is_heard(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RowWriter(tmp_path / "a.rows", Shape(1, 0)) as sink:
            sink.put(made_rows(3, Shape(1, 0)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
