"""Compiled loops that copy the texts of a block, and that number the levels of its labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types as nb

from studentsuccess.core.compiled_parts import (
    BOUNDS,
    BYTES,
    COUNTS,
    FLAGS,
    NULL,
    NULL_TEXTS,
    READ,
    RUN,
    TABLE,
    TARGET,
    U64,
    is_null,
    word_at,
)
from studentsuccess.core.jit import kernel, part

# A label column with more levels than this in one block is text that somebody called labels.
MOST_LEVELS, SLOT_BITS = 1024, 12
SLOTS = 1 << SLOT_BITS
_MIX = U64(0x9E3779B97F4A7C15)

_KEYS = nb.Array(nb.uint64, 2, "C")


@kernel(nb.void(BYTES, BOUNDS, nb.int64, nb.int64, BOUNDS, *NULL_TEXTS, TABLE, FLAGS), allocates=False)
def measure_texts(
    data: Any,
    bounds: Any,
    stride: Any,
    rows: Any,
    columns: Any,
    opens: Any,
    nulls: Any,
    places: Any,
    offsets: Any,
    kinds: Any,
) -> None:
    """Where each text of some columns will begin among the bytes of its column, and which are null."""
    for first in range(0, rows, RUN):
        for column in range(columns.size):
            to = offsets[column, first]
            for row in range(first, min(first + RUN, rows)):
                place = row * stride + columns[column]
                start, stop = bounds[place] + 1, bounds[place + 1]
                null = is_null(data, U64(start), U64(stop - start), opens, nulls, places)
                kinds[column, row] = NULL if null else READ
                to += 0 if null else stop - start
                offsets[column, row + 1] = to


@part
def _copy_eight(data: Any, start: Any, target: Any, to: Any) -> None:
    word = word_at(data, start)
    for byte in range(8):
        target[to + byte] = np.uint8((word >> U64(8 * byte)) & U64(0xFF))


@kernel(nb.void(BYTES, BOUNDS, nb.int64, nb.int64, BOUNDS, TABLE, TARGET, COUNTS), allocates=False)
def copy_texts(
    data: Any,
    bounds: Any,
    stride: Any,
    rows: Any,
    columns: Any,
    offsets: Any,
    target: Any,
    begins: Any,
) -> None:
    """The bytes of every text to where `measure_texts` found room for it; column after column in one target.

    Eight bytes at a time where there is room: what is too much is written over by the next text.
    """
    for first in range(0, rows, RUN):
        for column in range(columns.size):
            room = begins[column + 1] - 8
            for row in range(first, min(first + RUN, rows)):
                start = bounds[row * stride + columns[column]] + 1
                to = begins[column] + offsets[column, row]
                stop = begins[column] + offsets[column, row + 1]
                while to < stop and to <= room and start + 8 <= data.size:
                    _copy_eight(data, start, target, to)
                    start += 8
                    to += 8
                while to < stop:
                    target[to] = data[start]
                    start += 1
                    to += 1


@part
def _key(data: Any, start: Any, size: Any) -> Any:
    """Up to eight bytes as they are, longer texts mixed into one number."""
    if 0 < size <= 8 and start + 8 <= data.size:
        return word_at(data, start) & (~U64(0) >> U64(64 - 8 * size))
    key = U64(0)
    if size <= 8:
        for offset in range(size):
            key |= U64(data[start + offset]) << U64(8 * offset)
        return key
    for offset in range(size):
        key = (key ^ U64(data[start + offset])) * _MIX
        key ^= key >> U64(29)
    return key


@part
def _equal(data: Any, one: Any, other: Any, size: Any) -> Any:
    offset = 0
    while offset < size and data[one + offset] == data[other + offset]:
        offset += 1
    return offset == size


@part
def _level(data: Any, start: Any, size: Any, slots: Any, keys: Any, starts: Any, sizes: Any, known: Any) -> Any:
    """The level that a text is, a new one where it is not known yet."""
    key = _key(data, start, size)
    slot = ((key ^ U64(size)) * _MIX) >> U64(64 - SLOT_BITS)
    while slots[slot] >= 0:
        level = slots[slot]
        if keys[level] == key and sizes[level] == size and (size <= 8 or _equal(data, starts[level], start, size)):
            return level
        slot = (slot + U64(1)) & U64(SLOTS - 1)
    if known < MOST_LEVELS:
        slots[slot] = known
        keys[known] = key
        starts[known] = start
        sizes[known] = size
    return known


@kernel(
    nb.void(BYTES, BOUNDS, nb.int64, nb.int64, BOUNDS, *NULL_TEXTS, TABLE, _KEYS, TABLE, TABLE, TABLE, FLAGS, COUNTS),
    allocates=False,
)
def read_labels(
    data: Any,
    bounds: Any,
    stride: Any,
    rows: Any,
    columns: Any,
    opens: Any,
    nulls: Any,
    places: Any,
    slots: Any,
    keys: Any,
    starts: Any,
    sizes: Any,
    codes: Any,
    kinds: Any,
    known: Any,
) -> None:
    """The levels of some columns in order of appearance, and the level of each row; too many levels end a column."""
    for first in range(0, rows, RUN):
        for column in range(columns.size):
            levels = known[column]
            if levels > MOST_LEVELS:
                continue
            for row in range(first, min(first + RUN, rows)):
                place = row * stride + columns[column]
                start, stop = bounds[place] + 1, bounds[place + 1]
                if is_null(data, U64(start), U64(stop - start), opens, nulls, places):
                    kinds[column, row], codes[column, row] = NULL, 0
                    continue
                level = _level(
                    data, start, stop - start, slots[column], keys[column], starts[column], sizes[column], levels
                )
                kinds[column, row], codes[column, row] = READ, level
                levels = max(levels, level + 1)
                if levels > MOST_LEVELS:
                    break
            known[column] = levels
