"""What counts as a number, a date, a truth value: one written grammar, the same for every format and every path.

A value either is of its type exactly or it is not: nothing is rounded, no separator is guessed away, and an
identifier with leading zeros stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]


class Kind(StrEnum):
    """The types a column can have."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "timestamp"
    TEXT = "text"
    LABEL = "label"


ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.INTEGER: pa.int64(),
    Kind.DECIMAL: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.timestamp("us"),
    Kind.TEXT: pa.string(),
    Kind.LABEL: pa.dictionary(pa.int32(), pa.string()),
}
REASONS: dict[Kind, str] = {
    Kind.INTEGER: "not a whole number",
    Kind.DECIMAL: "not a number",
    Kind.BOOLEAN: "not true or false",
    Kind.DATE: "not a date (YYYY-MM-DD)",
    Kind.TIME: "not a date and time (YYYY-MM-DD HH:MM:SS)",
}
# 18 digits always fit 64 bits; a whole number of up to 15 digits is exact as a double.
MAX_INTEGER = 10**18
MAX_EXACT = 10**15
FEW = 256
_PADDING = "[ \\t]*"
# The calendar in full: a day that was never must be refused here, not only by the cast, or its column has no type.
_DAY = (
    "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?"
PATTERNS: dict[Kind, str] = {
    Kind.INTEGER: f"^{_PADDING}([+-]0*[0-9]{{1,18}}|0|[1-9][0-9]{{0,17}}){_PADDING}$",
    Kind.DECIMAL: (
        f"^{_PADDING}([+-]?0*[0-9]{{1,15}}"
        "|[+-]?([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[0-9]+[eE][+-]?[0-9]+)"
        f"{_PADDING}$"
    ),
    Kind.BOOLEAN: "^(true|false|True|False|TRUE|FALSE)$",
    Kind.DATE: f"^{_DAY}$",
    Kind.TIME: f"^{_DAY}([T ]{_CLOCK}Z?)?$",
}
_LEADING_ZERO = f"^{_PADDING}0[0-9]"
_NOT_FINITE = "^[ \\t]*[+-]?(?i:nan|inf|infinity)[ \\t]*$"


@dataclass(frozen=True)
class Typed:
    """A column after conversion: bad values are null in `values` and marked in `bad`."""

    values: pa.Array
    bad: Mask | None = None


def convert(texts: pa.Array, kind: Kind) -> Typed:
    """Text values as `kind`, exactly."""
    if kind is Kind.TEXT:
        return Typed(texts)
    if kind is Kind.LABEL:
        return Typed(texts.dictionary_encode())
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        return _number(texts, kind)
    return _by_pattern(texts, kind)


def reason(text: str, kind: Kind) -> str:
    """Why this one value is not of its kind."""
    one = pa.array([text], pa.string())
    endless = _matches(one, _NOT_FINITE) | (_matches(one, PATTERNS[kind]) & ~_matches(one, _LEADING_ZERO))
    if kind is Kind.DECIMAL and endless[0]:
        return "not a finite number"
    return REASONS[kind]


def _matches(texts: pa.Array, pattern: str) -> Mask:
    """Which values match; for a handful Python's own engine, because RE2 compiles its pattern at every call."""
    if len(texts) <= FEW:
        one = _compiled(pattern)
        return np.array([value is not None and bool(one.search(value)) for value in texts.to_pylist()], bool)
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.removesuffix("$") + "\\Z" if pattern.endswith("$") else pattern)


def fits(texts: pa.Array, kind: Kind) -> Mask:
    """Which values the grammar accepts; nulls are not asked (False)."""
    good = _matches(texts, PATTERNS[kind])
    if kind is Kind.DECIMAL:
        good &= ~_matches(texts, _LEADING_ZERO)
        good &= ~_overflows(texts, good)
    return good


def _overflows(texts: pa.Array, good: Mask) -> Mask:
    """Numbers that no double holds, by their exponent (1e999) or their length."""
    endless = np.zeros(len(texts), bool)
    long = pc.fill_null(pc.greater(pc.binary_length(texts), 300), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(good & (_matches(texts, "[eE]") | long))
    if len(rows):
        values = pc.cast(pc.utf8_trim(texts.take(pa.array(rows)), " \t"), pa.float64())
        endless[rows] = np.isinf(values.to_numpy(zero_copy_only=False))
    return endless


def _by_pattern(texts: pa.Array, kind: Kind) -> Typed:
    good = fits(texts, kind)
    bad = ~good & _present(texts)
    values, failed = _cast_by_value(_without(texts, bad), kind)
    bad |= failed
    return Typed(values, bad if bad.any() else None)


def _cast_by_value(texts: pa.Array, kind: Kind) -> tuple[pa.Array, Mask]:
    """Cast; where the calendar refuses what the pattern allowed (31 June), find those values one by one."""
    failed = np.zeros(len(texts), bool)
    cast = _CASTS[kind]
    try:
        return cast(texts), failed
    except pa.ArrowInvalid:
        for index, value in enumerate(texts):
            try:
                cast(pa.array([value.as_py()], pa.string()))
            except pa.ArrowInvalid:
                failed[index] = True
        return cast(_without(texts, failed)), failed


def _cast_time(texts: pa.Array) -> pa.Array:
    bare = pc.replace_substring_regex(texts, "Z$", "")
    return pc.cast(bare, pa.timestamp("us"))


_CASTS: dict[Kind, Callable[[pa.Array], pa.Array]] = {
    Kind.BOOLEAN: lambda texts: pc.cast(pc.utf8_lower(texts), pa.bool_()),
    Kind.DATE: lambda texts: pc.cast(texts, pa.date32()),
    Kind.TIME: _cast_time,
}


def _present(texts: pa.Array) -> Mask:
    if not texts.null_count:
        return np.ones(len(texts), bool)
    return np.asarray(texts.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def _without(texts: pa.Array, dropped: Mask) -> pa.Array:
    """The array with some values made null: text shares its bytes, and only the bitmap is new."""
    if not dropped.any():
        return texts
    if not pa.types.is_string(texts.type):
        return pc.if_else(pa.array(~dropped), texts, None)
    data, offsets = texts.buffers()[2], texts.buffers()[1]
    valid = np.zeros(texts.offset + len(texts), bool)
    valid[texts.offset :] = _present(texts) & ~dropped
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(len(texts), offsets, data, bitmap, -1, texts.offset)


def _number(texts: pa.Array, kind: Kind) -> Typed:
    """Numbers: only values with an unusual byte or shape are held against the grammar; the cast sees the rest."""
    doubtful = _unusual(texts, kind)
    bad = np.zeros(len(texts), bool)
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        subset = texts.take(pa.array(rows))
        good = fits(subset, kind)
        bad[rows[~good]] = True
        texts = _tidied(texts, rows[good], subset.filter(pa.array(good)))
    values = _cast_number(_without(texts, bad), kind)
    if values is None and kind is Kind.DECIMAL:
        bad |= _two_points(texts) & ~doubtful
        values = _cast_number(_without(texts, bad), kind)
    if values is None:
        # Doubtful values are judged, and what is tidied (`+007` is `007` then) must not be judged again.
        bad |= _refused(texts, kind, doubtful)
        values = _cast_number(_without(texts, bad), kind)
    if kind is Kind.DECIMAL and (endless := _not_finite(values)) is not None:
        bad |= endless
        values = _without(values, endless)
    return Typed(values, bad if bad.any() else None)


def _tidied(texts: pa.Array, rows: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    """Good values without padding and plus signs, which the grammar allows and the cast does not."""
    if not len(rows):
        return texts
    tidy = pc.replace_substring_regex(pc.utf8_trim(values, " \t"), "^\\+", "")
    if tidy.equals(values):
        return texts
    mask = np.zeros(len(texts), bool)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), tidy)


def _refused(texts: pa.Array, kind: Kind, known: Mask) -> Mask:
    """Values of usual bytes in an unusual order (`--5`, `1.2.3`): found by halving what the cast refuses."""
    refused = np.zeros(len(texts), bool)
    waiting = [(0, len(texts))]
    while waiting:
        start, stop = waiting.pop()
        part = _without(texts.slice(start, stop - start), known[start:stop])
        if stop - start <= FEW:
            refused[start:stop] = ~fits(part, kind) & _present(part)
        elif _cast_number(part, kind) is None:
            middle = (start + stop) // 2
            waiting += [(start, middle), (middle, stop)]
    return refused


def _cast_number(texts: pa.Array, kind: Kind) -> pa.Array | None:
    try:
        return pc.cast(texts, ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        return None


def _not_finite(values: pa.Array) -> Mask | None:
    numbers = np.asarray(values.to_numpy(zero_copy_only=False)) if not values.null_count else None
    if numbers is not None and np.isfinite(numbers).all():
        return None
    endless = ~np.asarray(pc.fill_null(pc.is_finite(values), True).to_numpy(zero_copy_only=False), dtype=bool)
    return endless if endless.any() else None


_MINUS, _POINT, _ZERO, _NINE = b"-.09"
_ODD = {Kind.INTEGER: np.ones(256, bool), Kind.DECIMAL: np.ones(256, bool)}
_ODD[Kind.INTEGER][list(b"0123456789-")] = False
_ODD[Kind.DECIMAL][list(b"0123456789-.")] = False


def _unusual(texts: pa.Array, kind: Kind) -> Mask:
    """Values that need a closer look: an odd byte or one in an odd place, a leading zero, too many digits, nothing."""
    data, offsets = text_buffers(texts)
    starts, lengths = offsets[:-1], np.diff(offsets)
    doubtful = lengths > (18 if kind is Kind.INTEGER else 15)
    if len(starts) and offsets[-1] > starts[0]:
        content, places = data[starts[0] : offsets[-1]], offsets - starts[0]
        _mark_odd_bytes(doubtful, content, places, kind)
        doubtful |= _odd_shape(content, places[:-1], lengths)
    if texts.null_count:
        return doubtful & _present(texts)
    return np.asarray(doubtful | (lengths == 0), dtype=bool)


def _mark_odd_bytes(doubtful: Mask, content: npt.NDArray[np.uint8], places: npt.NDArray[Any], kind: Kind) -> None:
    """Any byte but digits, a minus in front, and in a decimal a point."""
    odd = _ODD[kind][content]
    minus = content == _MINUS
    if minus.any():
        firsts = places[:-1][np.diff(places) > 0]
        minus[firsts] = False
        odd |= minus
    found = np.flatnonzero(odd)
    if len(found):
        doubtful[np.searchsorted(places, found, side="right") - 1] = True


def _two_points(texts: pa.Array) -> Mask:
    """Values with more than one point: too rare to look for before a cast fails."""
    data, offsets = text_buffers(texts)
    twice = np.zeros(len(texts), bool)
    points = np.flatnonzero(data[offsets[0] : offsets[-1]] == _POINT) + offsets[0]
    rows = np.searchsorted(offsets, points, side="right") - 1
    twice[rows[1:][rows[1:] == rows[:-1]]] = True
    return twice


def _odd_shape(content: npt.NDArray[np.uint8], starts: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Mask:
    """A zero before another digit, or a lone sign or point."""
    last = len(content) - 1
    first = content[np.minimum(starts, last)]
    second = content[np.minimum(starts + 1, last)]
    leading = (first == _ZERO) & (lengths > 1) & (second >= _ZERO) & (second <= _NINE)
    return np.asarray(leading | ((lengths == 1) & (first < _ZERO)), dtype=bool)


_OPENS_A_KIND = np.zeros(256, bool)
_OPENS_A_KIND[list(b"0123456789+-. \ttfTF")] = True


def plainly_text(texts: pa.Array) -> int:
    """How many present values no kind but text can hold, by their first byte alone."""
    data, offsets = text_buffers(texts)
    if not len(data) or offsets[-1] == offsets[0]:
        return 0
    filled = np.diff(offsets) > 0
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    return int((filled & ~_OPENS_A_KIND[first] & _present(texts)).sum())


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """The bytes and the offsets of a string array, without copying."""
    buffers = texts.buffers()
    raw = np.frombuffer(buffers[1], np.int32) if buffers[1] is not None else np.zeros(1, np.int32)
    offsets = raw[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.zeros(0, np.uint8)
    return data, offsets
