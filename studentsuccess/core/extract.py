"""A block of CSV bytes taken apart into columns: fast where the bytes are plain, exact everywhere."""

from __future__ import annotations

import csv
import io
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from studentsuccess.core.blocks import Block
from studentsuccess.core.grammar import ARROW_TYPES, MAX_EXACT, MAX_INTEGER, Kind, Mask
from studentsuccess.core.layout import Extracted, Layout
from studentsuccess.core.lines import CACHE_BYTES, Bytes, Records, as_bytes, from_ends, line_ends, locate
from studentsuccess.core.origin import Origin

if TYPE_CHECKING:
    from studentsuccess.core.compiled import Taken

FAST_KINDS = (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True)
class Dialect:
    """How one file writes a table: its delimiter and its own column names, in its own order."""

    delimiter: str
    names: tuple[str, ...]


def extract_csv(
    block: Block, origin: Origin, dialect: Dialect, layout: Layout, typed: frozenset[str], *, compiled: bool = False
) -> Extracted:
    """The columns of a block. Those named in `typed` come as numbers when the whole block allows it.

    With `compiled`, loops of our own go first where that is faster.
    """
    check_bytes(block, origin)
    # pyarrow drops a byte-order mark at the start of what it reads; here it is the middle of a file, and data.
    if block.ends is not None or block.data.startswith(BOM_UTF8):
        return _slowly(block, origin, dialect, layout)
    if compiled and (found := _compiled(block, origin, dialect, layout, typed)) is not None:
        return found
    kinds = {c.name: c.kind for c in layout.columns if c.name in typed and c.kind in FAST_KINDS}
    ragged: list[tuple[int, str]] = []
    if kinds and not _hides_numbers(block.data, dialect.delimiter):
        table = _read(block, dialect, layout, kinds, ragged)
        if table is not None:
            return _extracted(block, origin, _columns(table), table.num_rows, ragged)
    ragged.clear()
    table = _read(block, dialect, layout, {}, ragged)
    if table is None:
        return _slowly(block, origin, dialect, layout)
    return _extracted(block, origin, _columns(table), table.num_rows, ragged)


def check_bytes(block: Block, origin: Origin) -> None:
    """Broken encoding and NUL bytes mean that the file is not what it seems: nothing of it is guessed."""
    data = block.data
    if (problem := _broken_utf8(data)) is not None:
        line, column = _place(block, problem.start)
        raise origin.error(
            f"line {line}, byte {column}: not valid UTF-8 (0x{data[problem.start]:02X})",
            f"`ss etl {origin.shown} --encoding latin-1` reads Western European exports",
        )
    if b"\x00" in data:
        line, column = _place(block, data.index(b"\x00"))
        raise origin.error(
            f"line {line}, column {column}: a NUL byte, which no text file holds",
            "export the file again; if it is UTF-16 say `--encoding utf-16`",
        )


def _broken_utf8(data: bytes) -> UnicodeDecodeError | None:
    """Where the bytes stop being UTF-8. pyarrow's check is many times as fast as decoding, but names no place."""
    if data.isascii():
        return None
    offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as problem:
            return problem
    return None


def _place(block: Block, at: int) -> tuple[int, int]:
    ends = line_ends(block.data, as_bytes(block.data))
    before = int(np.searchsorted(ends, at))
    start = int(ends[before - 1]) + 1 if before else 0
    return block.first_line + before, at - start + 1


def _hides_numbers(data: bytes, delimiter: str) -> bool:
    """Whether the block holds what a number parser would take and our grammar does not: 0x1F and leading zeros."""
    if (b"x" in data and b"0x" in data) or (b"X" in data and b"0X" in data):
        return True
    view = as_bytes(data)
    marks = _marks(delimiter)
    return any(
        _leading_zero(view[max(start - 2, 0) : start + CACHE_BYTES], marks, start == 0)
        for start in range(0, len(view), CACHE_BYTES)
    )


@cache
def _marks(delimiter: str) -> Mask:
    """The bytes that may stand before the first byte of a field."""
    table = np.zeros(256, bool)
    table[[ord(delimiter), *b'\n"\r \t']] = True
    return table


def _leading_zero(view: Bytes, marks: Mask, at_start: bool) -> bool:
    """Whether a field in this slice begins with a zero and another digit."""
    leading = view[:-1] == ord("0")
    leading &= (view[1:] - ord("0")) < 10
    zeros = np.flatnonzero(leading)
    return bool(marks[view[zeros[zeros > 0] - 1]].any()) or (at_start and bool(leading[:1].any()))


def _read(
    block: Block, dialect: Dialect, layout: Layout, kinds: dict[str, Kind], ragged: list[tuple[int, str]]
) -> pa.Table | None:
    """The block through pyarrow's parser; None where a number does not parse or would not be exact."""

    def on_ragged(row: pacsv.InvalidRow) -> str:
        ragged.append((row.number - 1, _fields(row.actual_columns, row.expected_columns)))
        return "skip"

    types = {
        column.name: ARROW_TYPES[kinds.get(column.name, Kind.LABEL if column.kind is Kind.LABEL else Kind.TEXT)]
        for column in layout.columns
    }
    try:
        table = pacsv.read_csv(
            pa.BufferReader(block.data),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(block.data) + 1, column_names=list(dialect.names)
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter,
                newlines_in_values=b'"' in block.data,
                invalid_row_handler=on_ragged,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(layout.names),
                null_values=list(layout.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table if all(_exact(table.column(name), kind) for name, kind in kinds.items()) else None


def _compiled(
    block: Block, origin: Origin, dialect: Dialect, layout: Layout, typed: frozenset[str]
) -> Extracted | None:
    """The block by loops of our own; with quotes they spare too little to load numba for them."""
    loops = None if b'"' in block.data and "numba" not in sys.modules else _loops()
    taken = loops(block.data, dialect.delimiter, dialect.names, layout, typed) if loops else None
    if taken is None:
        return None
    expected = len(dialect.names)
    ragged = [(record, _fields(fields, expected)) for record, fields in taken.ragged]
    return _extracted(block, origin, taken.columns, taken.rows, ragged)


@cache
def _loops() -> Callable[[bytes, str, Sequence[str], Layout, frozenset[str]], Taken | None] | None:
    """Our own loops, where numba works: loading it takes a moment, and a library of its own."""
    try:
        from studentsuccess.core.compiled import take_apart
    except (ImportError, OSError):
        return None
    return take_apart


def _exact(column: pa.ChunkedArray, kind: Kind) -> bool:
    """Whether typed numbers stay within what the grammar accepts (finite, and not too long to be exact)."""
    extremes = pc.min_max(column)
    low, high = extremes["min"].as_py(), extremes["max"].as_py()
    if low is None:
        return True
    limit = MAX_INTEGER if kind is Kind.INTEGER else MAX_EXACT
    if not -limit < low <= high < limit:
        return False
    return kind is Kind.INTEGER or bool(pc.all(pc.is_finite(column)).as_py())


def _fields(actual: int, expected: int) -> str:
    return f"{actual} field{'s' if actual != 1 else ''}, expected {expected}"


def _columns(table: pa.Table) -> dict[str, pa.Array]:
    return {name: _one_chunk(table.column(name)) for name in table.column_names}


def _extracted(
    block: Block, origin: Origin, columns: dict[str, pa.Array], rows: int, ragged: list[tuple[int, str]]
) -> Extracted:
    located: list[Records] = []
    records = rows + len(ragged)

    def find(record: int) -> tuple[int, str]:
        if not located:
            located.append(locate(block.data, block.first_line))
            _same_count(len(located[0]), records, origin)
        return located[0].place(record)

    _refuse_cut(block, origin, records, ragged)
    return Extracted(columns, records, tuple(ragged), find)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _same_count(located: int, parsed: int, origin: Origin) -> None:
    """The conservation law at byte level: the parser and the bytes must agree on the number of records."""
    if located != parsed:
        raise AssertionError(f"{origin.shown}: {located} records by bytes, {parsed} by the parser")


def _refuse_cut(block: Block, origin: Origin, records: int, ragged: list[tuple[int, str]]) -> None:
    """A last line without a line end and with fields missing is a file cut off, not a bad row."""
    if not block.last or block.data.endswith(b"\r") or not ragged or ragged[-1][0] != records - 1:
        return
    have, expected = (int(number) for number in re.findall(r"\d+", ragged[-1][1]))
    if have < expected:
        raise origin.error(
            f"last row has {have} of {expected} fields: the file looks cut off",
            "get the whole file again; if it is complete, end it with a line feed and that row alone is rejected",
        )


def _slowly(block: Block, origin: Origin, dialect: Dialect, layout: Layout) -> Extracted:
    """Quotes in odd places: record by record with Python's csv, whose reading of them is the reference."""
    view = as_bytes(block.data)
    every = line_ends(block.data, view)
    if block.ends is None:
        records = locate(block.data, block.first_line)
    else:
        records = from_ends(block.data, view, np.array(block.ends, np.int64), every, block.first_line)
    wanted = [dialect.names.index(name) for name in layout.names]
    cells: list[list[str]] = [[] for _ in wanted]
    ragged: list[tuple[int, str]] = []
    for index in range(len(records)):
        fields = split(records.raw(index), dialect.delimiter)
        if len(fields) != len(dialect.names):
            ragged.append((index, _fields(len(fields), len(dialect.names))))
            continue
        for values, position in zip(cells, wanted, strict=True):
            values.append(fields[position])
    _refuse_cut(block, origin, len(records), ragged)
    columns = {
        name: null_out(pa.array(values, pa.string()), layout) for name, values in zip(layout.names, cells, strict=True)
    }
    return Extracted(
        columns,
        len(records),
        tuple(ragged),
        records.place,
    )


def split(raw: str, delimiter: str) -> list[str]:
    """The fields of one record."""
    csv.field_size_limit(1 << 30)
    return next(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter), [])


def null_out(texts: pa.Array, layout: Layout) -> pa.Array:
    """The configured null texts become nulls."""
    nulls = pc.is_in(texts, value_set=pa.array(list(layout.null_values), pa.string()))
    return pc.if_else(nulls, None, texts)
