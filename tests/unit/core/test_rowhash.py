"""A row's hash is its content's: not its batch's, its file's, its columns' order or its texts' encoding."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.duplicates import Suspicion
from studentsuccess.core.rowhash import raw_values, row_hashes, text_hashes

EXAMPLES = examples(2_000, daily=60)
TEXTS = st.sampled_from(["", "a", "b", "ab", "é", "物", "1", "0", "true"]) | st.text(max_size=6)
NAMES = ("text", "whole", "decimal", "truth", "day", "moment")
TYPES = (pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"))
Row = tuple[Any, ...]
ROW = st.tuples(
    TEXTS | st.none(),
    st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2) | st.none(),
    st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0]) | st.none(),
    st.booleans() | st.none(),
    st.dates(date(1970, 1, 1), date(2100, 1, 1)) | st.none(),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)) | st.none(),  # noqa: DTZ001 - tables have no zones
)
ROWS = st.lists(ROW, min_size=1, max_size=12)


def batch_of(rows: list[Row]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(NAMES)
    return pa.record_batch([pa.array(one, kind) for one, kind in zip(columns, TYPES, strict=True)], NAMES)


def mix(value: int) -> int:
    """The finaliser of splitmix64, in Python's own numbers."""
    value ^= value >> 30
    value = value * 0xBF58476D1CE4E5B9 % 2**64
    value ^= value >> 27
    value = value * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def of_text(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return mix(value)


def of_value(value: Any) -> int:
    """What a present value adds to the salt of its column."""
    if isinstance(value, str):
        return of_text(value)
    if isinstance(value, datetime):
        value = (value - datetime(1970, 1, 1)) // (datetime(1970, 1, 1, 0, 0, 0, 1) - datetime(1970, 1, 1))  # noqa: DTZ001
    elif isinstance(value, date):
        value = (value - date(1970, 1, 1)).days
    if isinstance(value, float) or abs(value) <= 2**53:
        return mix(int(np.float64(value).view(np.uint64)))
    return mix((int(value) + 2) % 2**64)


def by_hand(row: Row) -> int:
    total = 0
    for name, value in zip(NAMES, row, strict=True):
        salt = of_text(name)
        if value is None:
            total += mix(salt)
        elif not isinstance(value, str | date) and value == 0:
            total += mix((salt + 1) % 2**64)
        else:
            hashed = of_value(value)
            total += mix((salt + 1) % 2**64) if hashed == mix(0) and not isinstance(value, str) else mix(salt ^ hashed)
    return mix(total % 2**64)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS)
@example(rows=[(None,) * 6])
@example(rows=[("", 0, -0.0, False, date(1970, 1, 1), datetime(1970, 1, 1))])  # noqa: DTZ001
def test_the_hash_is_the_one_that_is_written_down(rows: list[Row]) -> None:
    assert row_hashes(batch_of(rows), NAMES).tolist() == [by_hand(row) for row in rows]


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS, step=st.integers(1, 5), order=st.permutations(NAMES))
def test_neither_batches_nor_the_order_of_columns_matter(rows: list[Row], step: int, order: list[str]) -> None:
    batch = batch_of(rows)
    whole = row_hashes(batch, NAMES).tolist()
    cut = [row_hashes(batch.slice(at, step), order).tolist() for at in range(0, len(rows), step)]
    assert [one for piece in cut for one in piece] == whole
    assert [row_hashes(batch_of([row]), NAMES)[0] for row in rows] == whole


@settings(max_examples=EXAMPLES, deadline=None)
@given(texts=st.lists(TEXTS | st.none(), min_size=1, max_size=12), unused=st.lists(TEXTS, max_size=4))
def test_a_dictionary_of_any_order_hashes_as_its_texts(texts: list[str | None], unused: list[str]) -> None:
    plain = pa.array(texts, pa.string())
    known = list(dict.fromkeys([*unused, *(text for text in texts if text is not None)]))
    codes = pa.array([None if text is None else known.index(text) for text in texts], pa.int32())
    coded = pa.DictionaryArray.from_arrays(codes, pa.array(known, pa.string()))
    ours = [
        row_hashes(pa.record_batch([one], ["c"]), ["c"]).tolist() for one in (plain, coded, plain.dictionary_encode())
    ]
    assert ours[0] == ours[1] == ours[2]


@settings(max_examples=EXAMPLES, deadline=None)
@given(numbers=st.lists(st.integers(-(2**53), 2**53) | st.none(), min_size=1, max_size=12))
@example(numbers=[1, 0, -1, None, 2**53])
def test_a_whole_number_is_the_same_content_as_the_equal_decimal(numbers: list[int | None]) -> None:
    whole = pa.record_batch([pa.array(numbers, pa.int64())], ["c"])
    decimal = pa.record_batch([pa.array([None if one is None else float(one) for one in numbers], pa.float64())], ["c"])
    assert row_hashes(whole, ["c"]).tolist() == row_hashes(decimal, ["c"]).tolist()


def test_missing_is_neither_zero_nor_empty_nor_false_nor_missing_elsewhere() -> None:
    rows = pa.record_batch(
        {
            "a": pa.array(["x", None, "x", "x", "x"]),
            "b": pa.array([0, 0, None, 0, 0]),
            "c": pa.array(["", "", "", None, ""]),
            "d": pa.array([False, False, False, False, None]),
        }
    )
    assert len(set(row_hashes(rows, rows.schema.names).tolist())) == rows.num_rows


def test_the_same_value_in_another_column_is_another_row() -> None:
    rows = pa.record_batch({"a": pa.array(["x", "y"]), "b": pa.array(["y", "x"])})
    swapped = row_hashes(rows, ["a", "b"])
    assert swapped[0] != swapped[1]


def test_a_column_of_nothing_hashes_like_one_whose_values_are_missing() -> None:
    nothing = pa.record_batch([pa.nulls(2), pa.array([1, 2])], ["a", "b"])
    missing = pa.record_batch([pa.array([None, None], pa.string()), pa.array([1, 2])], ["a", "b"])
    assert row_hashes(nothing, ["a", "b"]).tolist() == row_hashes(missing, ["a", "b"]).tolist()


def test_an_empty_batch_and_an_empty_dictionary_are_no_trouble() -> None:
    assert row_hashes(batch_of([]), NAMES).tolist() == []
    assert text_hashes(pa.array([], pa.string())).tolist() == []
    coded = pa.array([None, None], pa.string()).dictionary_encode()
    assert len(set(row_hashes(pa.record_batch([coded], ["a"]), ["a"]).tolist())) == 1


@pytest.mark.parametrize("offset", [0, 1, 3, 9])
def test_raw_values_respect_where_a_slice_begins(offset: int) -> None:
    columns: list[tuple[pa.Array, list[float]]] = [
        (pa.array([True, False] * 6), [1, 0] * 6),
        (pa.array(range(12)), list(range(12))),
        (pa.array(np.arange(12) / 4), [one / 4 for one in range(12)]),
        (pa.array([date(1970, 1, 1 + day) for day in range(12)]), list(range(12))),
    ]
    for column, expected in columns:
        values, there = raw_values(column.slice(offset))
        assert (values.tolist(), len(there)) == (expected[offset:], 0)
        thin = pa.array([None if at % 3 == 0 else one for at, one in enumerate(column.to_pylist())], column.type)
        values, there = raw_values(thin.slice(offset))
        assert there.tolist() == [at % 3 != 0 for at in range(12)][offset:]
        assert values[there].tolist() == [one for at, one in enumerate(expected) if at % 3][offset - -(-offset // 3) :]


def distinct_rows(count: int) -> pa.RecordBatch:
    """Rows that differ by little: whole numbers in a row, codes, halves; no two are the same."""
    number = np.arange(count)
    return pa.record_batch(
        {
            "a": pa.array(number % 1000),
            "b": pa.array((number // 1000) / 2),
            "c": pa.array((number % 7).astype(str)).dictionary_encode(),
            "d": pa.array(number % 2 == 0),
        }
    )


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_of_distinct_rows_none_is_called_a_repeat_and_planted_ones_are_all_found(count: int) -> None:
    batch = distinct_rows(count)
    hashes = row_hashes(batch, batch.schema.names)
    assert len(np.unique(hashes)) == count
    again = np.random.default_rng(3).choice(count, 500, replace=False)
    repeats = row_hashes(batch.take(pa.array(again)), batch.schema.names)
    everything = np.concatenate([hashes, repeats])
    suspicion = Suspicion(count)
    for part in np.array_split(everything, 13):
        suspicion.see(part)
    positions, _ = suspicion.candidates(iter(np.array_split(everything, 7)))
    assert positions.tolist() == sorted([*again.tolist(), *range(count, count + 500)])


def test_a_number_is_the_same_in_any_width() -> None:
    numbers = [1, None, 300, 7]
    kinds = (pa.int16(), pa.int32(), pa.uint32(), pa.int64(), pa.float32(), pa.float64())
    found = [row_hashes(pa.record_batch({"a": pa.array(numbers, kind)}), ["a"]).tolist() for kind in kinds]
    assert all(one == found[0] for one in found)
    sliced = pa.record_batch({"a": pa.array([5, *numbers], pa.int32()).slice(1)})
    assert row_hashes(sliced, ["a"]).tolist() == found[0]
