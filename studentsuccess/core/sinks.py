"""Rows of results into a file or a stream, in order: CSV, JSON lines, one JSON document or Parquet.

Workers turn batches into `EncodedRows`, and the sink only writes them. A file is written under the temporary name that
it is given; its owner makes it durable and renames it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from studentsuccess.core.sink_cells import check_finite, probability_field
from studentsuccess.core.sink_rows import csv_header, encode_csv, encode_json
from studentsuccess.errors import UsageError

__all__ = [
    "EncodedRows",
    "RowFormat",
    "RowSink",
    "encode_csv",
    "encode_json",
    "encode_rows",
    "format_of",
    "open_rows",
    "probability_field",
]

# Rows of a Parquet row group: what a reader must hold at once, and what makes its book worth the place.
ROW_GROUP = 1 << 16


class RowFormat(StrEnum):
    """How rows can be written."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON_LINES = "json lines"
    JSON = "json"


ENDINGS = {
    ".csv": RowFormat.CSV,
    ".parquet": RowFormat.PARQUET,
    ".jsonl": RowFormat.JSON_LINES,
    ".ndjson": RowFormat.JSON_LINES,
}
# What parts the objects of a JSON document.
BETWEEN = ",\n"
_POSSIBLE = "`.csv`, `.parquet`, `.jsonl` or `.ndjson`"


def format_of(path: Path) -> RowFormat:
    """The format that a file's name asks for."""
    ending = path.suffix.casefold()
    if ending in ENDINGS:
        return ENDINGS[ending]
    if ending == ".gz" and Path(path.stem).suffix:
        hint = f"compress it on its way: `ss … -o - | gzip > {path.name}`"
    else:
        hint = f"end its name in {_POSSIBLE}"
    said = f"rows can't be written as `{ending}`" if ending else "its name does not say how rows are written"
    raise UsageError(f"`{path.name}`: {said}, only as {_POSSIBLE}", hint)


@dataclass(frozen=True)
class EncodedRows:
    """Some consecutive rows, ready to be written: bytes, or a batch for the one format that is no text."""

    rows: int
    data: bytes | pa.RecordBatch


def encode_rows(batch: pa.RecordBatch, form: RowFormat, *, compiled: bool = False) -> EncodedRows:
    """Do in a worker whatever can be done before rows are in order."""
    if form is RowFormat.CSV:
        return EncodedRows(batch.num_rows, encode_csv(batch, compiled=compiled))
    if form is RowFormat.JSON_LINES:
        return EncodedRows(batch.num_rows, encode_json(batch, compiled=compiled))
    if form is RowFormat.JSON:
        return EncodedRows(batch.num_rows, encode_json(batch, compiled=compiled, end=BETWEEN))
    return EncodedRows(batch.num_rows, _bare(batch))


def _bare_schema(schema: pa.Schema) -> pa.Schema:
    """Text as text, whose dictionary is Parquet's own affair, and no notes of ours."""
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in schema.types]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))


def _bare(batch: pa.RecordBatch) -> pa.RecordBatch:
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_floating(values.type):
            check_finite(values, name)
    schema = _bare_schema(batch.schema)
    columns = [values.cast(kind) for values, kind in zip(batch.columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Writer(Protocol):
    """How one format is written to a stream."""

    def write(self, data: Any) -> None: ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


class _TextWriter:
    """Text needs no end: it is whole with its last row, and what was written of it is its beginning."""

    def __init__(self, stream: BinaryIO, header: bytes) -> None:
        self._stream = stream
        self.write(header)

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def finish(self) -> None:
        self._stream.flush()

    def abandon(self) -> None:
        pass


class _JsonWriter:
    """One array, an object a line. It begins with its first row, so that a run without a result leaves nothing."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._before = b"[\n"

    def write(self, data: bytes) -> None:
        if data:
            self._stream.write(self._before + data[: -len(BETWEEN)])
            self._before = BETWEEN.encode()

    def finish(self) -> None:
        self._stream.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")
        self._stream.flush()

    def abandon(self) -> None:
        pass


class _Gate:
    """A stream as Parquet's writer sees it. Shut, it swallows all: a writer that is thrown away still writes its end,
    and a part of a result must not look whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.closed = False

    def write(self, data: bytes) -> int:
        return len(data) if self.closed else self._stream.write(data)

    def flush(self) -> None:
        if not self.closed:
            self._stream.flush()

    def close(self) -> None:
        self.closed = True


class _ParquetWriter:
    """Row groups of one length, whatever the batches were."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._schema = _bare_schema(schema)
        self._gate = _Gate(stream)
        texts = [field.name for field in self._schema if pa.types.is_string(field.type)]
        self._file = pq.ParquetWriter(self._gate, self._schema, use_dictionary=texts)
        self._held: list[pa.RecordBatch] = []

    def write(self, data: pa.RecordBatch) -> None:
        self._held.append(data)
        if sum(batch.num_rows for batch in self._held) >= ROW_GROUP:
            table = pa.Table.from_batches(self._held, self._schema)
            whole = table.num_rows - table.num_rows % ROW_GROUP
            self._file.write_table(table.slice(0, whole), ROW_GROUP)
            self._held = table.slice(whole).to_batches()

    def finish(self) -> None:
        if self._held:
            self._file.write_table(pa.Table.from_batches(self._held, self._schema))
        self._file.close()
        self._gate.flush()

    def abandon(self) -> None:
        self._gate.close()
        with suppress(Exception):
            self._file.close()


class RowSink:
    """An open target. Rows are put in order, and counted; what the system says of a write is raised as it is.

    It writes on its caller's thread. Workers go on meanwhile, so a thread of its own gained next to nothing, and a
    Ctrl-C could not have ended a write into a pipe that nobody reads.
    """

    def __init__(self, stream: BinaryIO, writer: _Writer, *, owned: bool) -> None:
        self.rows = 0
        self._stream, self._writer, self._owned = stream, writer, owned
        self._open = True

    def put(self, rows: EncodedRows) -> None:
        """The next rows."""
        self._writer.write(rows.data)
        self.rows += rows.rows

    def close(self) -> None:
        """Write what is left; after that the target has all rows."""
        if not self._open:
            return
        try:
            self._writer.finish()
            self._release()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """End without the rest: what stands there is not a result."""
        self._writer.abandon()
        with suppress(OSError):
            self._release()

    def _release(self) -> None:
        self._open = False
        if self._owned:
            self._stream.close()

    def __enter__(self) -> RowSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def open_rows(target: Path | BinaryIO, form: RowFormat, schema: pa.Schema) -> RowSink:
    """A sink into a file (under the temporary name that its owner gives) or a stream, which stays open after it."""
    owned = isinstance(target, Path)
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream: BinaryIO = target.open("wb")
    else:
        stream = target
    try:
        return RowSink(stream, _writer(stream, form, schema), owned=owned)
    except BaseException:
        if owned:
            with suppress(OSError):
                stream.close()
        raise


def _writer(stream: BinaryIO, form: RowFormat, schema: pa.Schema) -> _Writer:
    if form is RowFormat.PARQUET:
        return _ParquetWriter(stream, schema)
    if form is RowFormat.JSON:
        return _JsonWriter(stream)
    return _TextWriter(stream, csv_header(schema) if form is RowFormat.CSV else b"")
