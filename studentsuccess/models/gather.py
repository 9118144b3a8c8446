"""Typed batches as encoded rows: what is read once is kept so that it can be learned from many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column
from studentsuccess.core.rowhash import as_codes, raw_values, row_hashes
from studentsuccess.models.encode import put_codes, put_numbers
from studentsuccess.models.roles import Role
from studentsuccess.models.store import RowStore, RowWriter, Shape
from studentsuccess.models.vocabulary import Integers, Vocabulary

Mask = npt.NDArray[np.bool_]
TEXTS = (Kind.TEXT, Kind.LABEL)
MICROSECONDS_OF_A_DAY = 86_400_000_000


@dataclass
class NumberBook:
    """A column of numbers on its way: single precision around the first value keeps large ones apart."""

    scale: float = 1.0
    origin: float | None = None
    present: int = 0
    steady: bool = True
    last: np.float64 | np.int64 | None = None

    def see(self, values: npt.NDArray[np.float64 | np.int64], there: Mask) -> None:
        """Note the first value, and whether the column only counts its rows: each value one more than the last."""
        if not self.steady and self.origin is not None:
            self.present += int(there.sum()) if len(there) else len(values)
            return
        given = values if not len(there) else values[there]
        self.present += len(given)
        if len(given):
            self.origin = float(given[0]) if self.origin is None else self.origin
            joined = self.last is None or given[0] - self.last == 1
            self.steady = self.steady and bool(joined and (np.diff(given) == 1).all())
            self.last = given[-1]


def as_texts(column: pa.Array) -> pa.Array:
    """Numbers and dates that were asked for as categories, written out; texts as they are."""
    texts = pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)
    return column if texts else pc.cast(column, pa.string())


def scale_of(kind: Kind) -> float:
    """Moments are counted in days, as dates are."""
    return 1.0 / MICROSECONDS_OF_A_DAY if kind is Kind.TIME else 1.0


@dataclass
class ColumnBook:
    """One column while it is read: where its number and its code stand in a row, and what was learned of it."""

    column: Column
    as_text: bool = False
    number: int | None = None
    code: int | None = None
    numbers: NumberBook = field(default_factory=NumberBook)
    texts: Vocabulary = field(default_factory=Vocabulary)
    integers: Integers = field(default_factory=Integers)
    present: int = 0

    @property
    def is_text(self) -> bool:
        return self.as_text or self.column.kind in TEXTS

    @property
    def levels(self) -> tuple[str, ...]:
        return self.texts.levels if self.is_text else tuple(str(value) for value in self.integers.values)

    @property
    def width(self) -> int:
        """How many codes there are."""
        return self.texts.width if self.is_text else len(self.integers.values)


class Gatherer:
    """Encodes batches into a file of rows, and learns the values of every column on the way."""

    def __init__(
        self, path: Path, columns: Sequence[Column], target: str, keys: Sequence[str], types: Mapping[str, Role]
    ) -> None:
        self.columns = tuple(columns)
        self.keys = tuple(keys)
        self.target = ColumnBook(next(column for column in columns if column.name == target))
        self.books = [
            ColumnBook(column, as_text=types.get(column.name) is Role.CATEGORY)
            for column in columns
            if column.name != target and column.name not in keys
        ]
        self._places()
        self._writer = RowWriter(path, self.shape)

    def _places(self) -> None:
        numbers = codes = 0
        for book in self.books:
            book.numbers.scale = scale_of(book.column.kind)
            if not book.is_text:
                book.number, numbers = numbers, numbers + 1
            if book.is_text or book.column.kind is Kind.INTEGER:
                book.code, codes = codes, codes + 1
        self.shape = Shape(numbers, codes)

    def put(self, batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
        """Encode one batch; returns its keys, by which repeats are told."""
        rows = np.empty(batch.num_rows, self.shape.dtype)
        rows["content"] = row_hashes(batch, [column.name for column in self.columns])
        rows["key"] = row_hashes(batch, self.keys) if self.keys else rows["content"]
        rows["target"] = self._target(batch.column(self.target.column.name))
        for book in self.books:
            self._encode(book, batch.column(book.column.name), rows)
        self._writer.put(rows)
        keys: npt.NDArray[np.uint64] = rows["key"].copy()
        return keys

    def _encode(self, book: ColumnBook, column: pa.Array, rows: npt.NDArray[np.void]) -> None:
        book.present += len(column) - column.null_count
        if book.is_text:
            codes, there, texts = as_codes(as_texts(column))
            put_codes(codes, there, book.texts.learn(texts), rows["codes"], book.code or 0)
            return
        values, there = raw_values(column)
        book.numbers.see(values, there)
        put_numbers(values, there, book.numbers.origin or 0.0, book.numbers.scale, rows["numbers"], book.number or 0)
        if book.code is not None:
            rows["codes"][:, book.code] = book.integers.encode(values.astype(np.int64, copy=False), there)

    def _target(self, column: pa.Array) -> npt.NDArray[np.float64]:
        """Texts as codes, numbers as they are, what is missing as NaN."""
        self.target.present += len(column) - column.null_count
        if self.target.is_text:
            codes, there, texts = as_codes(column)
            ours = self.target.texts.learn(texts).astype(np.float64)
            if not len(there):
                return ours[codes]
            labels = np.full(len(codes), np.nan)
            labels[there] = ours[codes[there]]
            return labels
        values, there = raw_values(column)
        found = values.astype(np.float64)
        if len(there):
            found[~there] = np.nan
        return found

    def store(self) -> RowStore:
        """The finished rows."""
        return RowStore(self._writer.path, self.shape, self._writer.rows)

    def __enter__(self) -> Gatherer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, problem, trace)
