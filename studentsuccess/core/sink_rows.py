"""A batch of results as the bytes of its rows: made in the workers, so that writing them is all that is left to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.sink_cells import (
    CSV,
    JSON,
    LONE_CSV,
    Cells,
    Dialect,
    Numbers,
    column_cells,
    csv_cell,
    json_text,
    number_texts,
    text_parts,
)


def encode_csv(batch: pa.RecordBatch, header: bool = False, *, compiled: bool = False) -> bytes:
    """The rows as CSV. `compiled` changes the time, never a byte: its library takes a moment to load."""
    pieces = ["", *[","] * (batch.num_columns - 1), "\n"]
    rows = _encode(batch, CSV if batch.num_columns > 1 else LONE_CSV, pieces, compiled)
    return csv_header(batch.schema) + rows if header else rows


def csv_header(schema: pa.Schema) -> bytes:
    """The first line of a CSV."""
    return (",".join(map(csv_cell, schema.names)) + "\n").encode()


def encode_json(batch: pa.RecordBatch, *, compiled: bool = False, end: str = "\n") -> bytes:
    """The rows as JSON, one object a line; `end` stands behind each of them."""
    names = [json_text(name) for name in batch.schema.names]
    pieces = [f"{mark}{name}:" for mark, name in zip(["{", *[","] * (len(names) - 1)], names, strict=True)]
    return _encode(batch, JSON, [*pieces, f"}}{end}"], compiled)


def _encode(batch: pa.RecordBatch, dialect: Dialect, pieces: Sequence[str], compiled: bool) -> bytes:
    """The cells of every row between the pieces that stand around them."""
    columns = [column_cells(values, field, dialect) for values, field in zip(batch.columns, batch.schema, strict=True)]
    if not batch.num_rows:
        return b""
    if compiled:
        return _compiled(columns, dialect.null, pieces, batch.num_rows)
    return _joined(columns, dialect.null, pieces)


def _joined(columns: Sequence[Numbers | Cells], null: str, pieces: Sequence[str]) -> bytes:
    """The way without a compiler."""
    parts: list[pa.Array | pa.Scalar] = []
    for piece, column in zip(pieces, columns, strict=False):
        texts = number_texts(column) if isinstance(column, Numbers) else column.spread()
        parts += [pa.scalar(piece), texts]
    lines = pc.binary_join_element_wise(
        *parts, pa.scalar(pieces[-1]), "", null_handling="replace", null_replacement=null
    )
    return text_parts(lines)[1].tobytes()


def _compiled(columns: Sequence[Numbers | Cells], null: str, pieces: Sequence[str], rows: int) -> bytes:
    """The way through a compiled loop over all rows, which holds no lock of the interpreter's."""
    from studentsuccess.core.sink_kernel import MOST_DIGITS, write_rows

    numbers: list[Numbers] = []
    store, slots = _Store(null), []
    for column in columns:
        if isinstance(column, Numbers):
            slots.append(len(numbers))
            numbers.append(column)
        else:
            slots.append(~store.add(column))
    offsets, data = text_parts(pa.concat_arrays(store.texts))
    at = np.array(store.at, np.int32).reshape(-1, rows)
    frame_ends = np.cumsum([len(piece.encode()) for piece in pieces])
    room = int(np.diff(offsets)[at].sum()) + rows * (int(frame_ends[-1]) + MOST_DIGITS * len(numbers))
    out = np.empty(room, np.uint8)
    length = write_rows(
        np.array(slots, np.int64),
        np.array([column.values for column in numbers], np.int64).reshape(-1, rows),
        np.array([column.point for column in numbers], np.int64),
        at,
        offsets,
        data,
        frame_ends,
        np.frombuffer("".join(pieces).encode(), np.uint8),
        out,
    )
    return out[:length].tobytes()


class _Store:
    """The texts of all columns one behind the other, what stands for nothing first, and where each row's text is."""

    def __init__(self, null: str) -> None:
        self.texts: list[pa.Array] = [pa.array([null], pa.string())]
        self.at: list[npt.NDArray[np.int32]] = []
        self._count = 1

    def add(self, cells: Cells) -> int:
        """Take one column; returns its number."""
        texts, at = cells.texts, cells.at
        index = pa.array(np.arange(len(texts), dtype=np.int32)) if at is None else at
        if texts.null_count:
            index = pc.if_else(texts.is_valid().take(index), index, None)
        self.at.append(index.fill_null(-self._count).to_numpy() + np.int32(self._count))
        self.texts.append(texts)
        self._count += len(texts)
        return len(self.at) - 1
