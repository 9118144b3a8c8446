"""Parquet and JSON lines, brought into the same shape as CSV: columns, records, and where each stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.blocks import Block
from studentsuccess.core.extract import check_bytes, null_out
from studentsuccess.core.grammar import ARROW_TYPES, Kind
from studentsuccess.core.layout import Extracted, Layout
from studentsuccess.core.lines import as_bytes, from_ends, line_ends
from studentsuccess.core.origin import Origin, reading


class Format(StrEnum):
    """What a file is, by its content."""

    CSV = "csv"
    JSON_LINES = "json lines"
    PARQUET = "parquet"


def parquet_batches(origin: Origin, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file; its digest is taken first, because its reader jumps about."""
    import pyarrow.parquet as pq

    with reading(origin) as raw:
        while chunk := raw.read(1 << 20):
            origin.saw(chunk)
    try:
        with pq.ParquetFile(origin.path) as file:
            yield from file.iter_batches(batch_size=rows)
    except (pa.ArrowInvalid, OSError):
        raise origin.error("is a damaged Parquet file", "copy it again from where it came") from None


def parquet_kinds(origin: Origin) -> tuple[tuple[str, Kind], ...]:
    """The columns of a Parquet file, of which two may have one name, and what ours they are."""
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(origin.path)
    except pa.ArrowInvalid:
        raise origin.error("is a damaged Parquet file", "copy it again from where it came") from None
    return tuple((field.name, _kind(field, origin)) for field in schema)


def _kind(field: pa.Field, origin: Origin) -> Kind:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    tests = (
        (pa.types.is_boolean, Kind.BOOLEAN),
        (pa.types.is_integer, Kind.INTEGER),
        (pa.types.is_floating, Kind.DECIMAL),
        (pa.types.is_decimal, Kind.DECIMAL),
        (pa.types.is_date, Kind.DATE),
        (pa.types.is_timestamp, Kind.TIME),
        (pa.types.is_string, Kind.TEXT),
        (pa.types.is_large_string, Kind.TEXT),
        (pa.types.is_string_view, Kind.TEXT),
        (pa.types.is_null, Kind.TEXT),
    )
    found = next((ours for test, ours in tests if test(kind)), None)
    if found is None:
        raise origin.error(
            f"column `{field.name}` holds {kind}, which no table of ours can", "flatten that column, or leave it out"
        )
    return found


def extract_parquet(batch: pa.RecordBatch, names: Sequence[str], layout: Layout, first_row: int) -> Extracted:
    """Typed columns; a value that does not fit, or is not finite, comes as text and is judged like any other."""
    by_name = dict(zip(names, batch.columns, strict=True))
    columns = {column.name: _fitting(by_name[column.name], column.kind, layout) for column in layout.columns}

    def locate(record: int) -> tuple[int, str]:
        row = {name: values[record].as_py() for name, values in by_name.items()}
        return first_row + record + 1, json.dumps(row, default=str, ensure_ascii=False)

    return Extracted(columns, batch.num_rows, (), locate)


def _fitting(values: pa.Array, kind: Kind, layout: Layout) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type) and kind in (Kind.DECIMAL, Kind.INTEGER):
        finite = pc.fill_null(pc.is_finite(values), True)
        if not pc.all(finite).as_py():
            return pc.cast(values, pa.string())
    try:
        if kind in (Kind.TEXT, Kind.LABEL):
            texts = null_out(pc.cast(values, pa.string()), layout)
            return texts if kind is Kind.TEXT else texts.dictionary_encode()
        return pc.cast(values, ARROW_TYPES[kind])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pc.cast(values, pa.string())


def extract_json(block: Block, origin: Origin, layout: Layout, names: Sequence[str]) -> Extracted:
    """One object a line; numbers keep the text they were written with, so that the same grammar judges them."""
    check_bytes(block, origin)
    view = as_bytes(block.data)
    every = line_ends(block.data, view)
    records = from_ends(block.data, view, every, every, block.first_line)
    known = frozenset(names)
    cells: dict[str, list[str | None]] = {name: [] for name in layout.names}
    broken: list[tuple[int, str]] = []
    for index in range(len(records)):
        found = _object(records.raw(index), known)
        if isinstance(found, str):
            broken.append((index, found))
            continue
        for name, values in cells.items():
            values.append(found.get(name))
    columns = {name: null_out(pa.array(values, pa.string()), layout) for name, values in cells.items()}
    return Extracted(
        columns,
        len(records),
        tuple(broken),
        records.place,
    )


def _object(line: str, known: frozenset[str]) -> dict[str, str | None] | str:
    """The fields of one line as text, or why it is none."""
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
        if "\\u" in line:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return "not valid JSON"
    if not isinstance(found, dict):
        return "not a JSON object"
    if unknown := sorted(set(found) - known):
        return f"unknown field `{unknown[0]}`"
    if any(isinstance(value, (dict, list)) for value in found.values()):
        found |= {name: value for name, value in json.loads(line).items() if isinstance(value, (dict, list))}
    return {name: _as_text(value) for name, value in found.items()}


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def json_fields(lines: Iterator[str]) -> list[str]:
    """All field names, in order of appearance."""
    names: dict[str, None] = {}
    for line in lines:
        try:
            found = json.loads(line)
            fresh = dict.fromkeys(found) if isinstance(found, dict) else {}
            "".join(fresh).encode("utf-8")
        except (ValueError, RecursionError):
            continue
        names.update(fresh)
    return list(names)
