"""Encoded rows in a file of fixed width: any block of them is one seek away, and memory never grows with the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from studentsuccess.core.writer import OrderedWriter

Rows = npt.NDArray[np.void]
Positions = npt.NDArray[np.int64]
SCAN_ROWS = 1 << 15
# A row that is out (a repeat that was dropped, one id with two contents) keeps its place and has this target.
GONE = np.inf


@dataclass(frozen=True)
class Shape:
    """How wide a row is: its numbers and its codes."""

    numbers: int
    codes: int

    @property
    def dtype(self) -> np.dtype[np.void]:
        """`key` chooses the hold-out, `content` tells repeats; a missing `target` is NaN, one that is out infinite."""
        return np.dtype(
            [
                ("key", np.uint64),
                ("content", np.uint64),
                ("target", np.float64),
                ("numbers", np.float32, (self.numbers,)),
                ("codes", np.int32, (self.codes,)),
            ]
        )


class RowWriter:
    """Appends rows behind the back of whoever encodes them."""

    def __init__(self, path: Path, shape: Shape) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.shape, self.rows = path, shape, 0
        self._sink = path.open("wb")
        self._queue: OrderedWriter[Rows] = OrderedWriter(self._write)

    def _write(self, rows: Rows) -> None:
        self._sink.write(memoryview(rows.data).cast("B"))

    def put(self, rows: Rows) -> None:
        if len(rows):
            self.rows += len(rows)
            self._queue.put(rows)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._queue.__exit__(kind, problem, trace)
        finally:
            self._sink.close()


class RowStore:
    """A finished file of rows."""

    def __init__(self, path: Path, shape: Shape, rows: int) -> None:
        self.path, self.shape, self.rows = path, shape, rows
        self._dtype = shape.dtype

    def scan(self, step: int = SCAN_ROWS) -> Iterator[Rows]:
        """All rows in order, in pieces that do not depend on how they were written."""
        with self.open() as source:
            for first in range(0, self.rows, step):
                yield self.read(source, first, min(step, self.rows - first))

    def open(self) -> BinaryIO:
        return self.path.open("rb", buffering=0)

    def read(self, source: BinaryIO, first: int, count: int) -> Rows:
        rows = np.empty(count, self._dtype)
        self.read_into(source, first, rows)
        return rows

    def read_into(self, source: BinaryIO, first: int, rows: Rows) -> None:
        """Fill `rows` from the row `first` on."""
        source.seek(first * self._dtype.itemsize)
        view = memoryview(rows.data).cast("B")
        while len(view):
            got = source.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise EOFError(f"{self.path.name}: {self.rows} rows were written, and they are not there")
            view = view[got:]

    def contents(self, positions: Positions) -> npt.NDArray[np.uint64]:
        """The content hashes of some rows."""
        order = np.sort(positions)
        found, first = [], 0
        for rows in self.scan():
            mine = order[np.searchsorted(order, first) : np.searchsorted(order, first + len(rows))] - first
            found.append(rows["content"][mine])
            first += len(rows)
        sorted_contents = np.concatenate(found)
        return sorted_contents[np.searchsorted(order, positions)]

    def take_out(self, positions: Positions) -> None:
        """Mark rows (sorted) that must not be used."""
        at = self._dtype.fields["target"][1] if self._dtype.fields else 0
        mark = np.float64(GONE).tobytes()
        with self.path.open("r+b") as sink:
            for position in positions.tolist():
                sink.seek(position * self._dtype.itemsize + at)
                sink.write(mark)
