"""Parquet and JSON lines come out in the very shape of CSV, and what does not fit has a place and a text."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.blocks import Block
from studentsuccess.core.formats import Format, extract_json, json_fields, parquet_kinds
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout, Parsed, Reject
from studentsuccess.core.origin import Origin
from studentsuccess.core.probe import probe
from studentsuccess.core.stream import StreamSettings, find_records, stream
from studentsuccess.errors import ContractError

NULLS = ("", "NA")


def _layout(**kinds: Kind) -> Layout:
    return Layout(tuple(Column(name, kind) for name, kind in kinds.items()), NULLS)


def _stream(path: Path, layout: Layout | None = None, rows: int = 3) -> list[Parsed]:
    found = probe(path, path.name)
    kinds = found.kinds or dict.fromkeys(found.names, Kind.TEXT)
    return list(stream([found.given], layout or _layout(**kinds), StreamSettings(batch_rows=rows, block_bytes=32)))


def _rows(parsed: list[Parsed]) -> list[dict[str, Any]]:
    return [row for one in parsed for row in one.batch.to_pylist()]


def _rejects(parsed: list[Parsed]) -> list[Reject]:
    return [reject for one in parsed for reject in one.rejects]


def _parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_keeps_every_value_of_every_type_that_has_a_kind(tmp_path: Path) -> None:
    moment = datetime(2024, 2, 29, 10, 30, 0, 5)  # noqa: DTZ001 - a table's times have no zone
    columns = {
        "i8": pa.array([1, None], pa.int8()),
        "u64": pa.array([2, None], pa.uint64()),
        "f32": pa.array([0.5, None], pa.float32()),
        "dec": pa.array([Decimal("1.25"), None]),
        "flag": pa.array([True, None]),
        "day": pa.array([date(2024, 2, 29), None]),
        "day64": pa.array([date(2024, 2, 29), None], pa.date64()),
        "time": pa.array([moment, None], pa.timestamp("ns")),
        "zone": pa.array([moment, None], pa.timestamp("us", "UTC")),
        "text": pa.array(["é", None]),
        "large": pa.array(["x", None], pa.large_string()),
        "coded": pa.array(["x", None]).dictionary_encode(),
        "nothing": pa.array([None, None], pa.null()),
    }
    parsed = _stream(_parquet(tmp_path, **columns))
    day = date(2024, 2, 29)
    values = [1, 2, 0.5, 1.25, True, day, day, moment, moment, "é", "x", "x", None]
    assert _rows(parsed) == [dict(zip(columns, values, strict=True)), dict.fromkeys(columns)]
    assert _rejects(parsed) == []


def test_numbers_of_parquet_that_are_not_finite_are_rejected_with_row_and_text(tmp_path: Path) -> None:
    path = _parquet(tmp_path, n=[1, 2, 3, 4, 5], x=[0.5, math.nan, None, math.inf, -1.0])
    parsed = _stream(path, rows=2)
    assert [row["n"] for row in _rows(parsed)] == [1, 3, 5]
    assert _rejects(parsed) == [
        Reject(2, "x", "not a finite number", '{"n": 2, "x": NaN}'),
        Reject(4, "x", "not a finite number", '{"n": 4, "x": Infinity}'),
    ]
    assert sum(one.read for one in parsed) == 5


def test_null_texts_are_null_in_parquet_too(tmp_path: Path) -> None:
    parsed = _stream(_parquet(tmp_path, t=["", "NA", "x", None], c=pa.array(["NA", "y", "", "y"]).dictionary_encode()))
    assert _rows(parsed) == [
        {"t": None, "c": None},
        {"t": None, "c": "y"},
        {"t": "x", "c": None},
        {"t": None, "c": "y"},
    ]


def test_a_column_of_parquet_under_another_kind_is_judged_value_by_value(tmp_path: Path) -> None:
    path = _parquet(tmp_path, n=[1.0, 2.5, 3.0], t=["4", "x", "6"], b=[2**60, 5, 6])
    parsed = _stream(path, _layout(n=Kind.INTEGER, t=Kind.INTEGER, b=Kind.DECIMAL))
    assert _rows(parsed) == [{"n": 3, "t": 6, "b": 6.0}]
    assert [(one.line, one.column) for one in _rejects(parsed)] == [(1, "b"), (2, "n")]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"raw"], ids=["list", "struct", "binary"])
def test_a_nested_column_of_parquet_is_refused_by_name(tmp_path: Path, value: object) -> None:
    path = _parquet(tmp_path, n=[1], deep=[value])
    with pytest.raises(ContractError, match=r"t\.parquet: column `deep` holds .*, which no table of ours can"):
        parquet_kinds(Origin(path, "t.parquet"))


def test_rows_of_parquet_are_found_again(tmp_path: Path) -> None:
    found = probe(_parquet(tmp_path, n=list(range(10))), "t.parquet")
    places = list(find_records(found.given, np.array([0, 4, 9]), StreamSettings(batch_rows=4)))
    assert places == [(1, '{"n": 0}'), (5, '{"n": 4}'), (10, '{"n": 9}')]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_parquet_file_that_is_damaged_in_its_data_is_named(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": list(range(50_000))}), path, compression=compression, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:2_000] = b"\xff" * 1_996
    path.write_bytes(data)
    with pytest.raises(ContractError, match=r"^t\.parquet: is a damaged Parquet file"):
        _stream(path, rows=100_000)


def _json(folder: Path, *lines: str) -> Path:
    path = folder / "t.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_json_lines_keep_the_text_of_their_numbers_for_the_one_grammar(tmp_path: Path) -> None:
    path = _json(tmp_path, '{"n": 1.10, "t": "007"}', '{"n": 12345678901234567890, "t": true}', '{"n": NaN, "t": null}')
    assert _rows(_stream(path)) == [
        {"n": "1.10", "t": "007"},
        {"n": "12345678901234567890", "t": "true"},
        {"n": "NaN", "t": None},
    ]
    parsed = _stream(path, _layout(n=Kind.DECIMAL, t=Kind.TEXT))
    assert [(one.line, one.column, one.reason) for one in _rejects(parsed)] == [
        (2, "n", "not a number"),
        (3, "n", "not a finite number"),
    ]


def test_broken_lines_are_rejected_with_line_and_text_and_the_others_stay(tmp_path: Path) -> None:
    lines = ['{"a": 1}', "", '{"a": 2', "[1]", '"x"', '{"a": 3} {"a": 4}', "nonsense", '{"a": 5}', '{"a": "\\ud800"}']
    parsed = _stream(_json(tmp_path, *lines))
    assert [row["a"] for row in _rows(parsed)] == ["1", "5"]
    assert [(one.line, one.raw) for one in _rejects(parsed)] == [
        (number, line) for number, line in enumerate(lines, 1) if number not in (1, 2, 8)
    ]
    assert {one.reason for one in _rejects(parsed)} == {"not valid JSON", "not a JSON object"}
    assert sum(one.read for one in parsed) == 8


def test_a_field_that_appears_late_is_a_column_and_null_before(tmp_path: Path) -> None:
    path = _json(tmp_path, *['{"a": 1}'] * 50, '{"a": 2, "late": "x"}')
    rows = _rows(_stream(path))
    assert rows[0] == {"a": "1", "late": None}
    assert rows[-1] == {"a": "2", "late": "x"}


def test_nested_values_are_kept_as_the_json_they_are(tmp_path: Path) -> None:
    deep = {"list": [1, 2.5, "é"], "object": {"n": 1, "ok": True, "none": None}}
    (row,) = _rows(_stream(_json(tmp_path, json.dumps(deep, ensure_ascii=False))))
    assert {name: json.loads(text) for name, text in row.items()} == deep


def test_a_field_that_no_line_had_before_is_refused_when_rows_are_read_again() -> None:
    block = Block(0, b'{"a": 1, "new": 2}\n{"a": 3}\n', 1)
    found = extract_json(block, Origin(Path("t"), "t"), _layout(a=Kind.TEXT), ("a",))
    assert found.ragged == ((0, "unknown field `new`"),)
    assert found.columns["a"].to_pylist() == ["3"]


def test_json_lines_are_found_again(tmp_path: Path) -> None:
    found = probe(_json(tmp_path, '{"a": "x,\\"y"}', "", '{"a": 2}'), "t.jsonl")
    assert found.given.format is Format.JSON_LINES
    assert list(find_records(found.given, np.array([0, 1]), StreamSettings(block_bytes=8))) == [
        (1, '{"a": "x,\\"y"}'),
        (3, '{"a": 2}'),
    ]


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), JSON_VALUES, min_size=1), min_size=1, max_size=8))
def test_any_objects_come_out_as_they_went_in(rows: list[dict[str, object]]) -> None:
    rows = [{k: v for k, v in row.items() if not isinstance(v, str) or v.isprintable()} for row in rows]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    names = json_fields(iter(lines))
    assert names == list(dict.fromkeys(name for row in rows for name in row))
    layout = Layout(tuple(Column(name, Kind.TEXT) for name in names), ())
    block = Block(0, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"), 1)
    found = extract_json(block, Origin(Path("t"), "t"), layout, names)
    assert not found.ragged
    for name in names:
        expected = [row.get(name) for row in rows]
        texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in expected]
        assert found.columns[name].to_pylist() == texts
