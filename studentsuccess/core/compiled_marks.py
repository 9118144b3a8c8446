"""Compiled loops that find the fields of a block: in one pass over its bytes, eight at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types as nb

from studentsuccess.core.compiled_parts import (
    BOUNDS,
    BYTES,
    CR,
    LF,
    ONES,
    QUOTE,
    TABLE,
    TARGET,
    U64,
    bytes_like,
    word_at,
)
from studentsuccess.core.jit import kernel, part

_TUPLE: Any = nb.UniTuple
_TWO, _FOUR = _TUPLE(nb.int64, 2), _TUPLE(nb.int64, 4)
# Where the marks of eight bytes are, by the bits that say which are marks, and how many.
_BITS = [[place for place in range(8) if bits >> place & 1] for bits in range(256)]
_PLACES = np.array([places + [0] * (8 - len(places)) for places in _BITS], np.int32)
_COUNTS = np.array([len(places) for places in _BITS], np.int64)
# So many bytes at most are counted in one byte.
_FEW = 128
# Times this, bits that stand apart by a byte come together in the highest byte.
_GATHER = U64(0x0102040810204080)
_FEEDS, _RETURNS = ONES * U64(LF), ONES * U64(CR)
# Which of eight bytes stand behind an odd number of quotes.
_INSIDE = np.array(
    [sum(((bits & (2 << place) - 1).bit_count() & 1) << place for place in range(8)) for bits in range(256)], np.uint64
)


@part
def _bits(word: Any, byte: Any) -> Any:
    """One bit for each byte of a word: whether it is this one."""
    return ((bytes_like(word, ONES * U64(byte)) >> U64(7)) * _GATHER) >> U64(56)


@part
def _last_word(data: Any, at: Any) -> Any:
    """The last bytes, fewer than eight, as the lowest of a word that is zero otherwise."""
    word = U64(0)
    for place in range(U64(0), U64(data.size) - at):
        word |= U64(data[at + place]) << (U64(8) * place)
    return word


@kernel(nb.int64(BYTES, nb.int64), allocates=False)
def count_marks(data: Any, delimiter: Any) -> Any:
    """How many delimiters and line feeds there are: counted in single bytes, of which a processor adds many at once."""
    found, mark, feed = np.int64(0), np.uint8(delimiter), np.uint8(LF)
    for first in range(U64(0), U64(data.size), U64(_FEW)):
        few = np.uint8(0)
        for at in range(first, min(first + U64(_FEW), U64(data.size))):
            few = np.uint8(few + np.uint8((data[at] == mark) | (data[at] == feed)))
        found += np.int64(few)
    return found


@kernel(_TWO(BYTES, nb.int64, BOUNDS), allocates=False)
def find_marks(data: Any, delimiter: Any, bounds: Any) -> Any:
    """The place of every delimiter and line feed behind a first -1, and how many of both and of line feeds there are.

    The end of the bytes ends a last line too.
    """
    bounds[0] = -1
    count, lines, at, left = U64(1), U64(0), U64(0), U64(data.size)
    while left:
        few = min(left, U64(8))
        word = word_at(data, at) if few == U64(8) else _last_word(data, at)
        ends = _bits(word, LF)
        bits = ends | _bits(word, delimiter)
        bounds[count] = at + _PLACES[bits, 0]
        bounds[count + U64(1)] = at + _PLACES[bits, 1]
        for more in range(2, _COUNTS[bits]):
            bounds[count + U64(more)] = at + _PLACES[bits, more]
        if ends:
            lines += U64(_COUNTS[ends])
        count += U64(_COUNTS[bits])
        at, left = at + few, left - few
    if at and data[at - U64(1)] != LF:
        bounds[count] = at
        count, lines = count + U64(1), lines + U64(1)
    return np.int64(count), np.int64(lines)


@kernel(_FOUR(BYTES, nb.int64, BOUNDS), allocates=False)
def find_marks_outside_quotes(data: Any, delimiter: Any, bounds: Any) -> Any:
    """What `find_marks` says, of the marks outside quotes by parity; then the quotes, and the returns outside them."""
    bounds[0] = -1
    count, lines, quotes, returns, at = U64(1), U64(0), U64(0), U64(0), U64(0)
    word, left = U64(0), U64(data.size)
    while left:
        few = min(left, U64(8))
        word = word_at(data, at) if few == U64(8) else _last_word(data, at)
        quoted, bits = _bits(word, QUOTE), _bits(word, LF) | _bits(word, delimiter)
        inside = _INSIDE[quoted] ^ (U64(0) - (quotes & U64(1)))
        quotes += U64(_COUNTS[quoted])
        bits &= ~inside
        bounds[count] = at + _PLACES[bits, 0]
        bounds[count + U64(1)] = at + _PLACES[bits, 1]
        for more in range(2, _COUNTS[bits]):
            bounds[count + U64(more)] = at + _PLACES[bits, more]
        count += U64(_COUNTS[bits])
        if bytes_like(word, _FEEDS):
            lines += U64(_COUNTS[_bits(word, LF) & ~inside])
        if bytes_like(word, _RETURNS):
            returns += U64(_COUNTS[_bits(word, CR) & ~inside])
        at, left = at + few, left - few
    if at and (data[at - U64(1)] != LF or bounds[count - U64(1)] != at - U64(1)):
        bounds[count] = at
        count, lines = count + U64(1), lines + U64(1)
    return np.int64(count), np.int64(lines), np.int64(quotes), np.int64(returns)


@part
def _without_quotes(data: Any, start: Any, stop: Any, target: Any) -> Any:
    """A field that begins with a quote, without its quotes: its end, and how many it had; 0 where one is stray."""
    if stop - start < 2 or data[stop - 1] != QUOTE:
        return stop, 0
    at, to, last, quotes = start + 1, start + 1, stop - 1, 2
    while at < last:
        byte = data[at]
        at += 1
        if byte == QUOTE:
            if at == last or data[at] != QUOTE:
                return stop, 0
            at += 1
            quotes += 2
        if quotes > 2:
            target[to] = byte
        to += 1
    return to, quotes


@kernel(_FOUR(BYTES, BOUNDS, nb.int64, TARGET, TABLE, TABLE), allocates=False)
def arrange(data: Any, marks: Any, width: Any, target: Any, rows: Any, ragged: Any) -> Any:
    """Bounds of their own for every field of the rows of the right width; the others, and blank lines, stand aside.

    Fields lose their quotes, and in `target` the quotes within them are single. Returned are the rows of the right
    width, the others, and how many quotes and returns all that accounts for: the caller compares.
    """
    good, wrong, quotes, returns, mark = 0, 0, 0, 0, 0
    while mark + 1 < marks.size:
        fields, blank = 0, False
        while True:
            start, stop = np.int64(marks[mark]) + 1, np.int64(marks[mark + 1])
            mark += 1
            ends = mark + 1 == marks.size or data[stop] == LF
            if ends and stop > start and stop < data.size and data[stop - 1] == CR:
                stop -= 1
                returns += 1
            blank = fields == 0 and ends and stop == start
            if stop > start and data[start] == QUOTE:
                stop, had = _without_quotes(data, start, stop, target)
                start += 1
                quotes += had
            if fields < width:
                rows[good, 2 * fields] = start - 1
                rows[good, 2 * fields + 1] = stop
            fields += 1
            if ends:
                break
        if blank:
            continue
        if fields == width:
            good += 1
        else:
            ragged[wrong, 0] = good + wrong
            ragged[wrong, 1] = fields
            wrong += 1
    return good, wrong, quotes, returns
