"""A block of CSV taken apart by compiled loops: a third of the work of a general parser, and the same columns.

What the loops do not cover they do not guess. A block that they can't take goes the general way, and a number column
with a value that is none is handed over as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.compiled_marks import arrange, count_marks, find_marks, find_marks_outside_quotes
from studentsuccess.core.compiled_numbers import read_numbers
from studentsuccess.core.compiled_parts import LONG, NULL, ODD, READ
from studentsuccess.core.compiled_texts import MOST_LEVELS, SLOTS, copy_texts, measure_texts, read_labels
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Layout
from studentsuccess.core.lines import Bytes, as_bytes

# Places in a block are 32-bit numbers, and a word without marks writes two places all the same.
MOST_BYTES, ROOM = (1 << 31) - 64, 4
Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Taken:
    """The columns of a block, and its rows with the wrong number of fields: record and fields of each."""

    columns: dict[str, pa.Array]
    rows: int
    ragged: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Fields:
    """Where the fields of a block are (see `compiled_parts`)."""

    data: Bytes
    bounds: Numbers
    stride: int
    step: int
    rows: int
    ragged: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Nulls:
    """The texts that mean nothing, as the loops want them."""

    opens: Flags
    texts: Flags
    places: Numbers


def take_apart(
    data: bytes, delimiter: str, names: Sequence[str], layout: Layout, typed: frozenset[str]
) -> Taken | None:
    """The columns of a block of whole records; None where it must go the general way."""
    if (
        not 0 < len(data) <= MOST_BYTES
        or len(delimiter) != 1
        or not delimiter.isascii()
        or not set(layout.names) <= set(names)
    ):
        return None
    found = _find(data, ord(delimiter), len(names))
    if found is None or not found.rows:
        return None
    nulls = _nulls(layout.null_values)
    places = {name: place for place, name in enumerate(names)}
    wanted = {column.name: (places[column.name], column.kind) for column in layout.columns}
    numbers = {n: w for n, w in wanted.items() if n in typed and w[1] in (Kind.INTEGER, Kind.DECIMAL)}
    labels = {name: place for name, (place, kind) in wanted.items() if kind is Kind.LABEL}
    columns = _numbers(found, nulls, numbers) | _labels(found, nulls, labels)
    texts = _texts(found, nulls, [places[name] for name in wanted if name not in columns])
    columns |= zip((name for name in wanted if name not in columns), texts, strict=True)
    for name in labels:
        if pa.types.is_string(columns[name].type):
            columns[name] = columns[name].dictionary_encode()
    return Taken({name: columns[name] for name in wanted}, found.rows, found.ragged)


def _find(data: bytes, delimiter: int, width: int) -> _Fields | None:
    view = as_bytes(data)
    marks = np.empty(count_marks(view, delimiter) + ROOM, np.int32)
    quoted = b'"' in data
    if quoted or b"\r" in data:
        count, lines, quotes, returns = find_marks_outside_quotes(view, delimiter, marks)
    else:
        (count, lines), quotes, returns = find_marks(view, delimiter, marks), 0, 0
        if _regular(view, marks[:count], width, lines):
            return _Fields(view, marks[:count], width, 1, lines)
    rows, ragged = np.empty((lines, 2 * width), np.int32), np.empty((lines, 2), np.int32)
    target = view.copy() if b'""' in data else np.empty(0, np.uint8)
    good, wrong, *accounted = arrange(view, marks[:count], width, target, rows, ragged)
    if accounted != [quotes, returns]:
        return None
    pairs = tuple((record, fields) for record, fields in ragged[:wrong].tolist())
    return _Fields(target if len(target) else view, rows[:good].reshape(-1), 2 * width, 2, good, pairs)


def _regular(view: Bytes, marks: Numbers, width: int, lines: int) -> bool:
    """Whether every line has the right number of fields, and none is blank: then bounds need no second look."""
    if len(marks) != lines * width + 1:
        return False
    last = marks[width::width]
    if width == 1:
        return bool((np.diff(marks) > 1).all())
    return bool((view[last[:-1]] == ord("\n")).all()) and int(last[-1]) >= len(view) - 1


@lru_cache
def _nulls(values: tuple[str, ...]) -> _Nulls:
    texts = [value.encode() for value in values]
    opens = np.zeros(257, np.uint8)
    opens[[text[0] if text else 256 for text in texts]] = 1
    places = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return _Nulls(opens, as_bytes(b"".join(texts)), places)


def _numbers(found: _Fields, nulls: _Nulls, wanted: dict[str, tuple[int, Kind]]) -> dict[str, pa.Array]:
    """The number columns that hold nothing else."""
    if not wanted:
        return {}
    columns = np.array([place for place, _ in wanted.values()], np.int32) * found.step
    decimals = np.array([kind is Kind.DECIMAL for _, kind in wanted.values()], np.int32)
    values = np.empty((len(wanted), found.rows), np.int64)
    kinds, tally = np.full(values.shape, READ, np.uint8), np.zeros((len(wanted), 4), np.int64)
    doubles = values.view(np.float64)
    read_numbers(
        found.data, found.bounds, found.stride, found.rows, columns, decimals,
        nulls.opens, nulls.texts, nulls.places, values, doubles, kinds, tally,
    )  # fmt: skip
    arrays = {}
    for at, (name, (place, kind)) in enumerate(wanted.items()):
        if tally[at, ODD] or (tally[at, LONG] and not _read_long(found, place, kinds[at], doubles[at])):
            continue
        of = pa.float64() if kind is Kind.DECIMAL else pa.int64()
        arrays[name] = _array(of, values[at], kinds[at], int(tally[at, NULL]))
    return arrays


def _read_long(found: _Fields, place: int, kinds: Flags, doubles: npt.NDArray[np.float64]) -> bool:
    """Fill in the decimals that only a full parser reads exactly; False where one is beyond any double."""
    rows = np.flatnonzero(kinds == LONG)
    texts = _gather(found, place, rows)
    try:
        values = pc.cast(texts, pa.float64())
    except pa.ArrowInvalid:
        values = pc.cast(pc.utf8_ltrim(pc.utf8_trim(texts, " \t"), "+"), pa.float64())
    doubles[rows] = values.to_numpy(zero_copy_only=False)
    return bool(np.isfinite(doubles[rows]).all())


def _gather(found: _Fields, place: int, rows: npt.NDArray[np.int64]) -> pa.Array:
    """Some fields of one column as text."""
    pairs = rows * found.stride + place * found.step
    bounds = np.stack([found.bounds[pairs], found.bounds[pairs + 1]], axis=1).reshape(-1)
    (texts,) = _texts(_Fields(found.data, bounds, 2, 2, len(rows)), _nulls(()), [0])
    return texts


def _array(of: pa.DataType, values: Any, kinds: Flags, nulls: int) -> pa.Array:
    return pa.Array.from_buffers(of, len(values), [_validity(kinds, nulls), pa.py_buffer(values)], nulls)


def _validity(kinds: Flags, nulls: int) -> pa.Buffer | None:
    return pa.py_buffer(np.packbits(kinds != NULL, bitorder="little")) if nulls else None


def _labels(found: _Fields, nulls: _Nulls, wanted: dict[str, int]) -> dict[str, pa.Array]:
    """The label columns that have few levels, each with its levels in order of appearance."""
    if not wanted:
        return {}
    count = len(wanted)
    slots, known = np.full((count, SLOTS), -1, np.int32), np.zeros(count, np.int64)
    keys, starts = np.empty((count, MOST_LEVELS), np.uint64), np.empty((count, MOST_LEVELS), np.int32)
    sizes, codes = np.empty((count, MOST_LEVELS), np.int32), np.empty((count, found.rows), np.int32)
    kinds = np.empty(codes.shape, np.uint8)
    read_labels(
        found.data, found.bounds, found.stride, found.rows, np.array([*wanted.values()], np.int32) * found.step,
        nulls.opens, nulls.texts, nulls.places, slots, keys, starts, sizes, codes, kinds, known,
    )  # fmt: skip
    few = {name: at for at, name in enumerate(wanted) if known[at] <= MOST_LEVELS}
    dictionaries = _levels(found, [(starts[at, : known[at]], sizes[at, : known[at]]) for at in few.values()])
    arrays = {}
    for (name, at), levels in zip(few.items(), dictionaries, strict=True):
        indices = _array(pa.int32(), codes[at], kinds[at], found.rows - int(np.count_nonzero(kinds[at])))
        arrays[name] = pa.DictionaryArray.from_arrays(indices, levels)
    return arrays


def _levels(found: _Fields, spans: list[tuple[Numbers, Numbers]]) -> list[pa.Array]:
    """The levels of several columns as texts, by where each begins and how long it is."""
    if not spans:
        return []
    starts, sizes = (np.concatenate([np.zeros(0, np.int32), *parts]) for parts in zip(*spans, strict=True))
    bounds = np.stack([starts - 1, starts + sizes], axis=1).reshape(-1)
    (texts,) = _texts(_Fields(found.data, bounds, 2, 2, len(starts)), _nulls(()), [0])
    ends = np.cumsum([len(begins) for begins, _ in spans]).tolist()
    return [texts.slice(end - len(begins), len(begins)) for end, (begins, _) in zip(ends, spans, strict=True)]


def _texts(found: _Fields, nulls: _Nulls, columns: list[int]) -> list[pa.Array]:
    """Columns as text, each with its own offsets and all with one piece of memory."""
    places = np.array(columns, np.int32) * found.step
    offsets = np.zeros((len(columns), found.rows + 1), np.int32)
    kinds = np.empty((len(columns), found.rows), np.uint8)
    measure_texts(
        found.data, found.bounds, found.stride, found.rows, places,
        nulls.opens, nulls.texts, nulls.places, offsets, kinds,
    )  # fmt: skip
    begins = np.concatenate([[0], np.cumsum(offsets[:, -1], dtype=np.int64)])
    target = np.empty(int(begins[-1]), np.uint8)
    copy_texts(found.data, found.bounds, found.stride, found.rows, places, offsets, target, begins)
    whole = pa.py_buffer(target)
    return [
        _text_array(offsets[at], whole.slice(begins[at], begins[at + 1] - begins[at]), kinds[at])
        for at in range(len(columns))
    ]


def _text_array(offsets: Numbers, content: pa.Buffer, kinds: Flags) -> pa.Array:
    nulls = len(kinds) - int(np.count_nonzero(kinds))
    return pa.StringArray.from_buffers(len(kinds), pa.py_buffer(offsets), content, _validity(kinds, nulls), nulls)
