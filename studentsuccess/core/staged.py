"""The staging file: every row that stayed, uncompressed, for a second look and the final file.

Arrow IPC: writing costs next to nothing, reading is sequential or by batch. It is read, never mapped, because mapped
pages count as this process's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from studentsuccess.core.layout import Rows
from studentsuccess.core.writer import OrderedWriter

# No column of a user's has a name with a line end in it.
HASH = "\nhash"
# From this many rows on a dataset is two files, encoded side by side.
ROWS_OF_TWO_FILES = 1 << 18
ROW_GROUP = 1 << 16


def _has_dictionary(schema: pa.Schema) -> bool:
    return any(pa.types.is_dictionary(field.type) for field in schema)


class StagingWriter:
    """Writes batches behind the parsing. `schema` is theirs; a column of hashes may stand beside it."""

    def __init__(self, path: Path, schema: pa.Schema, *, hashed: bool) -> None:
        self.schema = schema
        stored = schema.append(pa.field(HASH, pa.uint64())) if hashed else schema
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = pa.OSFile(str(path), "wb")
        # Only the stream format allows a dictionary that differs from batch to batch, only the file format a jump.
        new = pa.ipc.new_stream if _has_dictionary(schema) else pa.ipc.new_file
        self._file = new(self._sink, stored)
        self._queue: OrderedWriter[pa.RecordBatch] = OrderedWriter(self._file.write_batch)

    def put(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._queue.put(batch)

    def __enter__(self) -> StagingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._queue.__exit__(kind, problem, trace)
            self._file.close()
        finally:
            self._sink.close()


@dataclass(frozen=True)
class Staged:
    """A finished staging file."""

    path: Path
    schema: pa.Schema

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All batches in order, all columns or some."""
        with pa.OSFile(str(self.path), "rb") as source:
            if _has_dictionary(self.schema):
                yield from pa.ipc.open_stream(source)
                return
            reader = _reader(source, columns)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def kept(self, gone: Rows) -> Iterator[pa.RecordBatch]:
        """The rows without those that are gone, and without the hashes."""
        offset = 0
        for batch in self.batches(self.schema.names):
            yield from _without(batch, gone, offset)
            offset += batch.num_rows


def _reader(source: pa.OSFile, columns: Sequence[str] | None) -> pa.RecordBatchFileReader:
    if columns is None:
        return pa.ipc.open_file(source)
    schema = pa.ipc.open_file(source).schema
    wanted = [schema.get_field_index(name) for name in columns]
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=wanted))


def _without(batch: pa.RecordBatch, gone: Rows, offset: int) -> Iterator[pa.RecordBatch]:
    mine = gone[np.searchsorted(gone, offset) : np.searchsorted(gone, offset + batch.num_rows)] - offset
    if len(mine):
        keep = np.ones(batch.num_rows, bool)
        keep[mine] = False
        batch = batch.filter(pa.array(keep))
    if batch.num_rows:
        yield batch


def write_parquet(staged: Staged, gone: Rows, schema: pa.Schema, targets: Sequence[Path]) -> int:
    """The kept rows as Parquet files of about the same length, in order, written side by side; returns their number."""
    with pa.OSFile(str(staged.path), "rb") as source:
        reader = pa.ipc.open_file(source)
        sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        coded = _coded(reader.get_batch(0), schema) if sizes else []
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    bounds = [round(len(sizes) * part / len(targets)) for part in range(len(targets) + 1)]
    parts = [_Part(staged, gone, schema, coded, starts, *bound) for bound in pairwise(bounds)]
    with ThreadPoolExecutor(len(targets), thread_name_prefix="ss-parquet") as executor:
        return sum(executor.map(lambda part, target: part.write(target), parts, targets))


def _coded(first: pa.RecordBatch, schema: pa.Schema) -> list[str]:
    """Text columns for which a dictionary pays: those with fewer distinct values than half their rows."""
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    samples = {name: first.column(name).slice(0, 4096) for name in texts}
    return [name for name, sample in samples.items() if 2 * len(sample.unique()) <= len(sample)]


def _encoding(schema: pa.Schema, coded: list[str]) -> dict[str, Any]:
    """Whole numbers as differences, which need no compression and hold more than compressed ones: a fifth faster and
    a sixth smaller. Extremes are kept where someone may skip by them."""
    whole = [field.name for field in schema if pa.types.is_integer(field.type)]
    ordered = [field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_temporal(field.type)]
    return {
        "use_dictionary": coded,
        "compression": {field.name: "none" if field.name in whole else "snappy" for field in schema},
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED") or None,
        "write_statistics": ordered or False,
    }


@dataclass(frozen=True)
class _Part:
    """Some consecutive batches, to be one file."""

    staged: Staged
    gone: Rows
    schema: pa.Schema
    coded: list[str]
    starts: Rows
    first: int
    last: int

    def write(self, target: Path) -> int:
        import pyarrow.parquet as pq

        rows = 0
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            pa.OSFile(str(self.staged.path), "rb") as source,
            pq.ParquetWriter(target, self.schema, **_encoding(self.schema, self.coded)) as writer,
        ):
            reader = _reader(source, self.staged.schema.names)
            for group in _grouped(self._batches(reader)):
                writer.write_table(pa.Table.from_batches(group).cast(self.schema))
                rows += sum(batch.num_rows for batch in group)
        return rows

    def _batches(self, reader: pa.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
        for number in range(self.first, self.last):
            yield from _without(reader.get_batch(number), self.gone, int(self.starts[number]))


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches in groups that are worth a row group: the book of many small ones is what would grow with a table."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(one.num_rows for one in group) >= ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
