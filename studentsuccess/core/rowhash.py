"""A hash of a row's content that stays: the same for any batch, order of columns, file format or version of a library.

It decides which rows are held out and which repeat others, so it is ours: libraries reserve the right to change theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.duplicates import Hashes
from studentsuccess.core.jit import kernel, part, read

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]
# Whole numbers up to here are the same as decimals, so `1` and `1.0` are one content.
EXACT = 1 << 53
EVERYTHING = np.zeros(0, np.bool_)
_HASHES = nb.uint64[::1]


def row_hashes(batch: pa.RecordBatch, names: Sequence[str]) -> Hashes:
    """One 64-bit hash a row of the named columns; equal rows have equal hashes."""
    total = np.zeros(batch.num_rows, np.uint64)
    for name in names:
        _add(total, batch.column(name), _text_hash(name))
    _finish(total)
    return total


def raw_values(column: pa.Array) -> tuple[Numbers, Mask]:
    """The numbers of a column as they lie in memory, and which of them are there (nothing: all)."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8()).cast(pa.int64())
    elif pa.types.is_date32(column.type):
        column = column.cast(pa.int32()).cast(pa.int64())
    elif not pa.types.is_floating(column.type):
        column = column.cast(pa.int64())
    elif not pa.types.is_float64(column.type):
        column = column.cast(pa.float64())
    kind = np.float64 if pa.types.is_floating(column.type) else np.int64
    values = np.frombuffer(column.buffers()[1] or b"", kind)[column.offset : column.offset + len(column)]
    return values, present(column)


def present(column: pa.Array) -> Mask:
    """Which values are there; nothing means all."""
    if not column.null_count:
        return EVERYTHING
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def as_codes(column: pa.Array) -> tuple[npt.NDArray[np.int32], Mask, pa.StringArray]:
    """A column of texts as codes, which of them are there, and the texts behind the codes."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    indices = coded.indices
    codes = np.frombuffer(indices.buffers()[1] or b"", np.int32)[indices.offset : indices.offset + len(indices)]
    return codes, present(indices), coded.dictionary


def text_hashes(texts: pa.StringArray) -> Hashes:
    """One hash a text: FNV-1a over its bytes, mixed."""
    texts = texts.cast(pa.string())
    offsets = np.frombuffer(texts.buffers()[1] or b"", np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    return _hash_texts(offsets, data, len(texts))


@cache
def _text_hash(text: str) -> np.uint64:
    return np.uint64(text_hashes(pa.array([text], pa.string()))[0])


def _add(total: Hashes, column: pa.Array, salt: np.uint64) -> None:
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        codes, there, texts = as_codes(column)
        _add_codes(total, codes, there, text_hashes(texts), salt)
        return
    if pa.types.is_null(column.type):
        column = pc.cast(column, pa.int64())
    values, there = raw_values(column)
    if values.dtype == np.float64:
        _add_decimals(total, values, there, salt)
    else:
        _add_integers(total, values, there, salt)


@part
def _mix(value: np.uint64) -> np.uint64:
    """The finaliser of splitmix64: every bit of the value reaches every bit of the hash."""
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    return np.uint64(value ^ (value >> np.uint64(31)))


@kernel(_HASHES(read(nb.int32), read(nb.uint8), nb.int64))
def _hash_texts(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8], count: int) -> Hashes:
    found = np.empty(count, np.uint64)
    for text in range(count):
        value = np.uint64(0xCBF29CE484222325)
        for at in range(offsets[text], offsets[text + 1]):
            value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
        found[text] = _mix(value)
    return found


@kernel(nb.void(_HASHES, read(nb.float64), read(nb.bool_), nb.uint64), allocates=False)
def _add_decimals(total: Hashes, values: npt.NDArray[np.float64], there: Mask, salt: np.uint64) -> None:
    bits = values.view(np.uint64)
    for row in range(len(values)):
        if len(there) and not there[row]:
            total[row] += _mix(salt)
        elif values[row] == 0.0:
            total[row] += _mix(salt + np.uint64(1))
        else:
            total[row] += _mix(salt ^ _mix(bits[row]))


@kernel(nb.void(_HASHES, read(nb.int64), read(nb.bool_), nb.uint64))
def _add_integers(total: Hashes, values: npt.NDArray[np.int64], there: Mask, salt: np.uint64) -> None:
    one = np.empty(1, np.float64)
    bits = one.view(np.uint64)
    for row in range(len(values)):
        value = values[row]
        if len(there) and not there[row]:
            total[row] += _mix(salt)
        elif value == 0:
            total[row] += _mix(salt + np.uint64(1))
        elif -EXACT <= value <= EXACT:
            one[0] = value
            total[row] += _mix(salt ^ _mix(bits[0]))
        else:
            total[row] += _mix(salt ^ _mix(np.uint64(value) + np.uint64(2)))


@kernel(nb.void(_HASHES, read(nb.int32), read(nb.bool_), read(nb.uint64), nb.uint64), allocates=False)
def _add_codes(total: Hashes, codes: npt.NDArray[np.int32], there: Mask, hashes: Hashes, salt: np.uint64) -> None:
    for row in range(len(codes)):
        if len(there) and not there[row]:
            total[row] += _mix(salt)
        else:
            total[row] += _mix(salt ^ hashes[codes[row]])


@kernel(nb.void(_HASHES), allocates=False)
def _finish(total: Hashes) -> None:
    for row in range(len(total)):
        total[row] = _mix(total[row])
