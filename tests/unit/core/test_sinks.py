"""Rows of results: the same bytes from both encoders and from any batches, and what readers make of them."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import subprocess
import sys
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.formula import formula_safe
from studentsuccess.core.sink_cells import scaled
from studentsuccess.core.sinks import (
    ROW_GROUP,
    EncodedRows,
    RowFormat,
    encode_csv,
    encode_json,
    encode_rows,
    format_of,
    open_rows,
    probability_field,
)
from studentsuccess.errors import SsError, UsageError

FEW = settings(max_examples=examples(150, daily=60), deadline=None)
ROOT = Path(__file__).parents[3]
# A double in full may have more than 300 digits.
WIDE = Context(prec=400)
AWKWARD = [
    "",
    " ",
    "plain",
    "a,b",
    'say "x"',
    '"',
    "two\nlines",
    "cr\ronly",
    " before",
    "behind\t",
    "=1+1",
    "@x",
    "-5",
    "+4.5",
    "-1e-5",
    "--5",
    "-2+3",
    "-",
    "\tx",
    "\rx",
    "=cmd|' /C calc'!A0",
    "é物\U0001f600",
    "\ufeffx",
    "\x00",
    "\x1f\x7f\\",
    "null",
    "'quoted",
    "-²",
]
texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=8))
doubles = st.floats(allow_nan=False, allow_infinity=False)
near_one = st.one_of(st.floats(0, 1), st.integers(0, 2**20).map(lambda whole: whole / 2**20), st.just(0.9999996))
KINDS: dict[str, tuple[pa.Field, st.SearchStrategy[Any]]] = {
    "id": (pa.field("id", pa.int64()), st.integers(-(2**63), 2**63 - 1)),
    "small": (pa.field("small", pa.int8()), st.integers(-128, 127)),
    "huge": (pa.field("huge", pa.uint64()), st.integers(0, 2**64 - 1)),
    "text": (pa.field("=text, of all", pa.string()), texts),
    "label": (pa.field('"label"', pa.dictionary(pa.int32(), pa.string())), texts),
    "code": (pa.field("code", pa.dictionary(pa.int8(), pa.int64())), st.integers(0, 5)),
    "p": (probability_field("p"), near_one),
    "fixed": (probability_field("fixed", 3), doubles),
    "amount": (pa.field("amount", pa.float64()), doubles),
    "flag": (pa.field("flag", pa.bool_()), st.booleans()),
    "day": (pa.field("day", pa.date32()), st.dates()),
    "time": (pa.field("time", pa.timestamp("us")), st.datetimes()),
    "none": (pa.field("none", pa.null()), st.none()),
}


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """A batch of any of our kinds, with nulls, maybe a slice of a longer one."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(0, 6))
    columns = []
    for name in names:
        field, values = KINDS[name]
        cells = st.one_of(st.none(), values) if draw(st.booleans()) else values
        columns.append(_array(draw(st.lists(cells, min_size=rows, max_size=rows)), field.type))
    whole = pa.RecordBatch.from_arrays(columns, schema=pa.schema([KINDS[name][0] for name in names]))
    start = draw(st.integers(0, rows))
    return whole.slice(start, draw(st.integers(0, rows - start)))


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        coded = pa.array(values, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(coded.indices.cast(kind.index_type), coded.dictionary)
    return pa.array(values, kind)


def _rows(batch: pa.RecordBatch) -> list[list[Any]]:
    """Values row by row; not by name, because names may repeat."""
    return [list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]


def _fixed(value: float, decimals: int) -> str:
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, WIDE)
    return format(abs(rounded) if rounded == 0 else rounded, "f")


def _decimals(field: pa.Field) -> int:
    return int((field.metadata or {}).get(b"decimals", 0))


# ---------------------------------------------------------------- both encoders


@FEW
@given(batch=batches())
def test_the_compiled_encoder_writes_the_same_bytes(batch: pa.RecordBatch) -> None:
    assert encode_csv(batch, compiled=True) == encode_csv(batch)
    assert encode_json(batch, compiled=True) == encode_json(batch)


@FEW
@given(batch=batches(), cuts=st.lists(st.integers(0, 6), max_size=3))
def test_any_split_into_batches_writes_the_same_bytes(batch: pa.RecordBatch, cuts: list[int]) -> None:
    bounds = sorted({0, batch.num_rows, *(cut for cut in cuts if cut < batch.num_rows)})
    for encode in (encode_csv, encode_json):
        parts = [encode(batch.slice(first, last - first)) for first, last in pairwise(bounds)]
        assert b"".join(parts) == encode(batch)


def test_many_rows_are_the_same_from_both_encoders() -> None:
    batch = _scores(20_000)
    assert encode_csv(batch, compiled=True) == encode_csv(batch)
    assert encode_json(batch, compiled=True) == encode_json(batch)


def test_nulls_that_hide_bytes_are_not_written() -> None:
    hidden = pa.StringArray.from_buffers(
        2, pa.array(["=x", "b"]).buffers()[1], pa.py_buffer(b"=xb"), pa.py_buffer(bytes([2]))
    )
    batch = pa.RecordBatch.from_arrays([hidden, pa.array([1, 2])], ["a", "b"])
    for compiled in (False, True):
        assert encode_csv(batch, compiled=compiled) == b",1\nb,2\n"
        assert encode_json(batch, compiled=compiled) == b'{"a":null,"b":1}\n{"a":"b","b":2}\n'


def test_a_dictionary_that_holds_a_null_writes_nothing_there() -> None:
    labels = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int32()), pa.array(["a", None, "=b"]))
    batch = pa.RecordBatch.from_arrays([labels, pa.array([1, 2, 3, 4])], ["a", "n"])
    for compiled in (False, True):
        assert encode_csv(batch, compiled=compiled) == b"a,1\n,2\n,3\n'=b,4\n"


def test_the_compiler_is_not_loaded_where_it_is_not_asked_for() -> None:
    code = (
        "import sys, pyarrow as pa\n"
        "from studentsuccess.core.sinks import encode_csv, encode_json\n"
        "batch = pa.record_batch({'id': [1], 'p': [0.5]})\n"
        "encode_csv(batch); encode_json(batch)\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ---------------------------------------------------------------- numbers


def test_a_whole_number_of_any_length_keeps_all_its_digits() -> None:
    tens = [sign * 10**digits + more for digits in range(19) for sign in (1, -1) for more in (-1, 0, 1)]
    values = [0, 2**63 - 1, -(2**63), *tens]
    batch = pa.RecordBatch.from_arrays([pa.array(values)], ["id"])
    for compiled in (False, True):
        assert encode_csv(batch, compiled=compiled).decode().split() == [str(value) for value in values]


@settings(max_examples=examples(500, daily=150), deadline=None)
@given(value=st.one_of(doubles, near_one, st.floats(-1e6, 1e6)), decimals=st.integers(1, 7))
@example(value=0.0078125, decimals=6)  # an exact half: the even neighbour
@example(value=0.0234375, decimals=6)
@example(value=-0.0078125, decimals=6)
@example(value=0.9999996, decimals=6)
@example(value=0.9999995, decimals=6)
@example(value=0.0000005, decimals=6)
@example(value=1e-320, decimals=6)
@example(value=-0.0, decimals=6)
@example(value=-1e-9, decimals=6)
@example(value=2.0**52 / 1e6, decimals=6)
@example(value=1.7976931348623157e308, decimals=6)
def test_a_fixed_decimal_is_the_nearest_one_and_a_half_goes_to_the_even(value: float, decimals: int) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([value, 0.5])], schema=pa.schema([probability_field("p", decimals)]))
    for compiled in (False, True):
        assert encode_csv(batch, compiled=compiled).decode().split("\n")[0] == _fixed(value, decimals)


def test_values_beside_every_half_fall_to_the_right_side() -> None:
    halves = (np.random.default_rng(7).integers(0, 10**6, 20_000) + 0.5) / 1e6
    values = np.concatenate([halves, np.nextafter(halves, 0), np.nextafter(halves, 1)])
    exact = [int(Decimal(value).scaleb(6, WIDE).quantize(Decimal(1), ROUND_HALF_EVEN)) for value in values.tolist()]
    assert scaled(values, 6).tolist() == exact


def test_probabilities_have_six_decimals_and_a_whole_one_is_written_out() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([0.1234564999, 0.9999996, 0.0, 1.0, 1e-7])], schema=pa.schema([probability_field("p")])
    )
    assert encode_csv(batch) == b"0.123456\n1.000000\n0.000000\n1.000000\n0.000000\n"


@FEW
@given(values=st.lists(doubles, min_size=1, max_size=5))
@example(values=[-0.0, 5e-324, 1e22, 0.1, 1.7976931348623157e308])
def test_any_other_decimal_reads_back_as_the_same_double(values: list[float]) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(values)], ["v"])
    for compiled in (False, True):
        cells = encode_csv(batch, compiled=compiled).decode().split()
        assert [(float(cell), math.copysign(1, float(cell))) for cell in cells] == [
            (value, math.copysign(1, value)) for value in values
        ]
        lines = encode_json(batch, compiled=compiled).decode().splitlines()
        assert [json.loads(line)["v"] for line in lines] == values


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", list(RowFormat))
def test_a_value_that_is_not_finite_is_refused_with_its_column(value: float, form: RowFormat) -> None:
    for field in (probability_field("p_a"), pa.field("p_a", pa.float64())):
        batch = pa.RecordBatch.from_arrays([pa.array([0.5, None, value])], schema=pa.schema([field]))
        with pytest.raises(SsError, match="`p_a`: a value is not a finite number"):
            encode_rows(batch, form)


@pytest.mark.parametrize("decimals", [0, 8, -1])
def test_decimals_that_can_not_be_rounded_exactly_are_refused(decimals: int) -> None:
    with pytest.raises(ValueError, match="decimals"):
        probability_field("p", decimals)


# ---------------------------------------------------------------- CSV


def _is_number(text: str) -> bool:
    try:
        return not set(text) - set("+-.eE0123456789") and not math.isnan(float(text))
    except ValueError:
        return False


def _csv_text(text: str) -> str:
    return "'" + text if text[:1] in tuple("=+-@\t\r") and not _is_number(text) else text


def _csv_value(value: Any, field: pa.Field) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _fixed(value, _decimals(field))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return _csv_text(value) if isinstance(value, str) else str(value)


@FEW
@given(batch=batches())
def test_a_csv_reader_gets_every_value_back(batch: pa.RecordBatch) -> None:
    data = encode_csv(batch, header=True).decode("utf-8")
    header, *rows = csv.reader(io.StringIO(data, newline=""))
    assert header == [_csv_text(name) for name in batch.schema.names]
    assert len(rows) == batch.num_rows
    for cells, values in zip(rows, _rows(batch), strict=True):
        for cell, value, field in zip(cells, values, batch.schema, strict=True):
            if isinstance(value, float) and not _decimals(field):
                assert float(cell) == value
            else:
                assert cell == _csv_value(value, field)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain text", "plain text"),
        ("", '""'),
        ("a,b", '"a,b"'),
        ('5" x', '"5"" x"'),
        ("a\nb", '"a\nb"'),
        ("a\rb", '"a\rb"'),
        (" a", '" a"'),
        ("a ", '"a "'),
        ("a\t", '"a\t"'),
        ("=1,2", '"\'=1,2"'),
        ("\t=x", "'\t=x"),
        ("@sum(a1)", "'@sum(a1)"),
        ("-5", "-5"),
        ("+49.5", "+49.5"),
        ("-1e5", "-1e5"),
        ("-.5", "-.5"),
        ("-", "'-"),
        ("-5-5", "'-5-5"),
        ("--5", "'--5"),
        ("-5\n", '"\'-5\n"'),
        ("-٣", "'-٣"),
        ("a=1", "a=1"),
    ],
)
def test_a_text_is_quoted_only_where_it_must_be_and_never_a_formula(text: str, cell: str) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([text, "x"]), pa.array(["y", text])], ["a", "b"])
    coded = pa.RecordBatch.from_arrays([column.dictionary_encode() for column in batch.columns], ["a", "b"])
    for compiled in (False, True):
        assert encode_csv(batch, compiled=compiled).decode() == f"{cell},y\nx,{cell}\n"
        assert encode_csv(coded, compiled=compiled).decode() == f"{cell},y\nx,{cell}\n"


@given(text=texts)
def test_making_a_text_safe_twice_changes_nothing(text: str) -> None:
    assert formula_safe(formula_safe(text)) == formula_safe(text)


def test_a_lone_null_is_no_blank_line() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["a", None, "b"])], ["x"])
    for compiled in (False, True):
        assert encode_csv(batch, header=True, compiled=compiled) == b'x\na\n""\nb\n'


# ---------------------------------------------------------------- JSON lines


@FEW
@given(batch=batches())
def test_a_json_reader_gets_every_value_back(batch: pa.RecordBatch) -> None:
    lines = encode_json(batch).decode("utf-8").split("\n")
    assert lines.pop() == ""
    found = [json.loads(line) for line in lines]
    assert len(found) == batch.num_rows
    for item, values in zip(found, _rows(batch), strict=True):
        assert list(item) == batch.schema.names
        for got, value, field in zip(item.values(), values, batch.schema, strict=True):
            if isinstance(value, float) and _decimals(field):
                assert got == float(_fixed(value, _decimals(field)))
            elif isinstance(value, datetime):
                assert got == value.isoformat(" ")
            else:
                assert got == (value.isoformat() if isinstance(value, date) else value)


def test_an_object_stands_on_one_line_with_the_numbers_of_a_csv() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([7]), pa.array(["é\n"]), pa.array([0.25])],
        schema=pa.schema([("id", pa.int64()), ("t", pa.string()), probability_field("p")]),
    )
    assert encode_json(batch).decode() == '{"id":7,"t":"é\\n","p":0.250000}\n'


# ---------------------------------------------------------------- targets


def _scores(rows: int) -> pa.RecordBatch:
    draws = np.random.default_rng(3).dirichlet([1, 1, 1], rows)
    labels = pa.DictionaryArray.from_arrays(pa.array(draws.argmax(1).astype(np.int32)), pa.array(["a", "b,", "ü"]))
    ids = pa.array([f"s{number}" if number % 7 else None for number in range(rows)], pa.string())
    fields = [pa.field("id", pa.string()), pa.field("predicted", labels.type), *map(probability_field, "xyz")]
    return pa.RecordBatch.from_arrays([ids, labels, *map(pa.array, draws.T)], schema=pa.schema(fields))


def _write(target: Path | BinaryIO, form: RowFormat, batch: pa.RecordBatch, size: int) -> int:
    with open_rows(target, form, batch.schema) as sink:
        for start in range(0, batch.num_rows, size):
            sink.put(encode_rows(batch.slice(start, size), form))
    return sink.rows


@pytest.mark.parametrize("form", list(RowFormat))
def test_a_file_and_a_stream_get_the_same_bytes_and_the_stream_stays_open(tmp_path: Path, form: RowFormat) -> None:
    batch, stream = _scores(500), io.BytesIO()
    assert _write(tmp_path / "new" / "rows", form, batch, 64) == 500
    assert _write(stream, form, batch, 64) == 500
    assert not stream.closed
    assert (tmp_path / "new" / "rows").read_bytes() == stream.getvalue()


@pytest.mark.parametrize("size", [1000, ROW_GROUP, 150_000])
def test_parquet_has_every_value_in_order_and_row_groups_of_one_length(tmp_path: Path, size: int) -> None:
    batch = _scores(150_000)
    _write(tmp_path / "rows", RowFormat.PARQUET, batch, size)
    with pq.ParquetFile(tmp_path / "rows") as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        found = file.read()
    assert groups == [ROW_GROUP, ROW_GROUP, 150_000 - 2 * ROW_GROUP]
    assert found.to_pydict() == pa.Table.from_batches([batch]).to_pydict()
    assert found.schema.field("predicted").type == pa.string()
    assert found.schema.field("x").metadata is None


@FEW
@given(batch=batches())
def test_a_parquet_reader_gets_every_value_back(batch: pa.RecordBatch) -> None:
    stream = io.BytesIO()
    _write(stream, RowFormat.PARQUET, batch, 2)
    found = pq.read_table(io.BytesIO(stream.getvalue()))
    assert _rows(found) == _rows(batch)


@pytest.mark.parametrize(("form", "data"), [(RowFormat.CSV, b"id,predicted,x,y,z\n"), (RowFormat.JSON_LINES, b"")])
def test_without_rows_there_is_still_a_header(form: RowFormat, data: bytes) -> None:
    batch, stream = _scores(0), io.BytesIO()
    with open_rows(stream, form, batch.schema) as sink:
        sink.put(encode_rows(batch, form))
        sink.put(encode_rows(batch, form, compiled=True))
    assert stream.getvalue() == data
    assert sink.rows == 0


def test_parquet_without_rows_can_be_read() -> None:
    stream = io.BytesIO()
    with open_rows(stream, RowFormat.PARQUET, _scores(0).schema):
        pass
    found = pq.read_table(io.BytesIO(stream.getvalue()))
    assert (found.num_rows, found.column_names) == (0, ["id", "predicted", "x", "y", "z"])


@pytest.mark.parametrize("form", list(RowFormat))
def test_closing_twice_writes_once(form: RowFormat) -> None:
    batch, stream = _scores(3), io.BytesIO()
    sink = open_rows(stream, form, batch.schema)
    sink.put(encode_rows(batch, form))
    sink.close()
    size = len(stream.getvalue())
    sink.close()
    assert len(stream.getvalue()) == size


@pytest.mark.parametrize("form", list(RowFormat))
def test_a_pipe_without_a_reader_is_a_broken_pipe(form: RowFormat) -> None:
    batch = _scores(ROW_GROUP)
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "wb", buffering=0)
    with pytest.raises(BrokenPipeError):
        _write(stream, form, batch, ROW_GROUP)
    stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("form", list(RowFormat))
@pytest.mark.parametrize("rows", [1, ROW_GROUP])
def test_a_full_disk_says_so_whether_it_is_noticed_early_or_at_the_end(form: RowFormat, rows: int) -> None:
    with pytest.raises(OSError, match="No space left") as found:
        _write(Path("/dev/full"), form, _scores(rows), ROW_GROUP)
    assert found.value.errno == errno.ENOSPC


def test_a_file_that_can_not_be_made_is_the_system_s_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError if os.name != "nt" else PermissionError):
        open_rows(tmp_path, RowFormat.CSV, _scores(0).schema)


class _Interrupt(BaseException):
    pass


def test_an_interrupted_parquet_does_not_look_whole() -> None:
    batch, stream = _scores(ROW_GROUP), io.BytesIO()

    def interrupted() -> None:
        with open_rows(stream, RowFormat.PARQUET, batch.schema) as sink:
            sink.put(encode_rows(batch, RowFormat.PARQUET))
            raise _Interrupt

    with pytest.raises(_Interrupt):
        interrupted()
    assert len(stream.getvalue()) > 1000
    assert not stream.getvalue().endswith(b"PAR1")


def test_an_interrupted_file_is_closed(tmp_path: Path) -> None:
    batch = _scores(10)
    sink = open_rows(tmp_path / "rows", RowFormat.CSV, batch.schema)
    sink.put(encode_rows(batch, RowFormat.CSV))
    sink.abandon()
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.put(EncodedRows(1, b"x"))


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", RowFormat.CSV),
        ("A.CSV", RowFormat.CSV),
        ("a.b.parquet", RowFormat.PARQUET),
        ("a.jsonl", RowFormat.JSON_LINES),
        ("a.ndjson", RowFormat.JSON_LINES),
    ],
)
def test_the_ending_chooses_the_format(name: str, form: RowFormat) -> None:
    assert format_of(Path("folder.tsv") / name) is form


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("a.tsv", "as `.tsv`", "end its name"),
        ("a.json", "as `.json`", "`.jsonl`"),
        ("a", "does not say", "end its name"),
        (".csv", "does not say", "end its name"),
        ("a.csv.gz", "as `.gz`", "-o - | gzip > a.csv.gz"),
        ("a.gz", "as `.gz`", "end its name"),
    ],
)
def test_an_ending_that_can_not_be_written_is_refused_with_those_that_can(name: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as found:
        format_of(Path(name))
    assert said in found.value.message
    assert all(ending in found.value.message for ending in (".csv", ".parquet", ".jsonl", ".ndjson"))
    assert hint in found.value.hint
