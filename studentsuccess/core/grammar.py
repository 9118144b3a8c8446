"""What counts as a number, a date, a truth value: one written grammar, the same for every format and every path.

A value either is of its type exactly or it is not: nothing is rounded, no separator is guessed away, and an
identifier with leading zeros stays text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
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
_PADDING = "[ \\t]*"
_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?"
PATTERNS: dict[Kind, str] = {
    Kind.INTEGER: f"^{_PADDING}([+-][0-9]{{1,18}}|0|[1-9][0-9]{{0,17}}){_PADDING}$",
    Kind.DECIMAL: (
        f"^{_PADDING}([+-]?[0-9]{{1,15}}"
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

    @property
    def bad_count(self) -> int:
        return 0 if self.bad is None else int(self.bad.sum())


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
    if kind is Kind.DECIMAL and (_matches(one, _NOT_FINITE)[0] or _matches(one, PATTERNS[kind])[0]):
        return "not a finite number"
    return REASONS[kind]


def _matches(texts: pa.Array, pattern: str) -> Mask:
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def fits(texts: pa.Array, kind: Kind) -> Mask:
    """Which values the grammar accepts; nulls are not asked (False)."""
    good = _matches(texts, PATTERNS[kind])
    if kind is Kind.DECIMAL:
        good &= ~_matches(texts, _LEADING_ZERO)
        good &= ~_overflows(texts, good)
    return good


def _overflows(texts: pa.Array, good: Mask) -> Mask:
    """Numbers written with an exponent that no double holds: 1e999."""
    endless = np.zeros(len(texts), bool)
    rows = np.flatnonzero(good & _matches(texts, "[eE]"))
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
    return texts if not dropped.any() else pc.if_else(pa.array(~dropped), texts, None)


def _number(texts: pa.Array, kind: Kind) -> Typed:
    """Numbers: only values with an unusual byte or shape are held against the grammar; the cast sees the rest."""
    doubtful = _unusual(texts, kind)
    bad = np.zeros(len(texts), bool)
    padded = False
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        good = fits(texts.take(pa.array(rows)), kind)
        bad[rows[~good]] = True
        padded = bool(good.any())
    values = _cast_number(_without(texts, bad), kind, padded)
    if values is None:
        bad = ~fits(texts, kind) & _present(texts)
        values = _cast_number(_without(texts, bad), kind, True)
    if kind is Kind.DECIMAL and (endless := _not_finite(values)) is not None:
        bad |= endless
        values = _without(values, endless)
    return Typed(values, bad if bad.any() else None)


def _cast_number(texts: pa.Array, kind: Kind, padded: bool) -> pa.Array | None:
    if padded:
        texts = pc.replace_substring_regex(pc.utf8_trim(texts, " \t"), "^\\+", "")
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


def _allowed(characters: bytes) -> Mask:
    table = np.zeros(256, bool)
    table[list(characters)] = True
    return table


_USUAL = {Kind.INTEGER: _allowed(b"0123456789-"), Kind.DECIMAL: _allowed(b"0123456789-.eE")}


def _unusual(texts: pa.Array, kind: Kind) -> Mask:
    """Values that need a closer look: an odd byte, a leading zero, too many digits, or nothing at all."""
    data, offsets = text_buffers(texts)
    starts, lengths = offsets[:-1], np.diff(offsets)
    doubtful = lengths > (18 if kind is Kind.INTEGER else 15)
    content = data[starts[0] : offsets[-1]] if len(starts) else data[:0]
    odd = np.flatnonzero(~_USUAL[kind][content])
    if len(odd):
        doubtful[np.searchsorted(offsets, odd + starts[0], side="right") - 1] = True
    if len(content):
        padded = np.append(data, np.zeros(2, np.uint8))
        second = padded[starts + 1]
        doubtful |= (padded[starts] == ord("0")) & (lengths > 1) & (second >= ord("0")) & (second <= ord("9"))
    if texts.null_count:
        return doubtful & _present(texts)
    return doubtful | (lengths == 0)


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """The bytes and the offsets of a string array, without copying."""
    buffers = texts.buffers()
    raw = np.frombuffer(buffers[1], np.int32) if buffers[1] is not None else np.zeros(1, np.int32)
    offsets = raw[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.zeros(0, np.uint8)
    return data, offsets
