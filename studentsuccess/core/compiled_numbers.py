"""Compiled loops that read the numbers of a block as the grammar has them: exactly, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types as nb

from studentsuccess.core.compiled_parts import (
    BOUNDS,
    BYTES,
    FLAGS,
    LONG,
    NULL,
    NULL_TEXTS,
    ODD,
    READ,
    RUN,
    U64,
    bytes_like,
    is_null,
    word_at,
)
from studentsuccess.core.jit import kernel, part

SPACE, TAB, MINUS, PLUS, POINT, ZERO, NINE, BIG_E, SMALL_E = 32, 9, 45, 43, 46, 48, 57, 69, 101
# The grammar's own limits, checked by a test: numba keeps compiled code when another file changes.
MOST_INTEGER, MOST_WHOLE = 18, 15
EXACT_MANTISSA, MOST_POWER = 1 << 53, 22
_POWERS = np.array([10.0**power for power in range(MOST_POWER + 1)])

_ZEROS, _POINTS = U64(0x3030303030303030), U64(0x2E2E2E2E2E2E2E2E)
_TENS, _SIXES = U64(0xF0F0F0F0F0F0F0F0), U64(0x0606060606060606)
_PLACE_OF = U64(0x0706050403020100)

_WHOLES = nb.Array(nb.int64, 2, "C")
_DOUBLES = nb.Array(nb.float64, 2, "C")


@part
def _eight_digits(word: Any) -> Any:
    """The number that eight digits are, the first lowest in the word."""
    word -= _ZEROS
    word = (word * U64(10)) + (word >> U64(8))
    low = (word & U64(0x000000FF000000FF)) * U64(0x000F424000000064)
    high = ((word >> U64(16)) & U64(0x000000FF000000FF)) * U64(0x0000271000000001)
    return (low + high) >> U64(32)


@part
def _short(data: Any, start: Any, size: Any) -> Any:
    """A number of one to eight plain bytes, almost without a branch: whether it is one, its digits, places and sign."""
    word, width = word_at(data, start), size << U64(3)
    first, second = word & U64(0xFF), (word >> U64(8)) & U64(0xFF)
    negative = U64(first == U64(MINUS))
    lead = U64(64) - width
    word = (word << lead) ^ (negative * U64(MINUS ^ ZERO) << lead)
    word |= (_ZEROS >> (width >> U64(1))) >> (width >> U64(1))
    point = bytes_like(word, _POINTS)
    point &= ~point + U64(1)
    places, digits = U64(0), size - negative
    if point:
        places, digits = ((point >> U64(7)) * _PLACE_OF) >> U64(56), digits - U64(1)
        above, below = ~((point << U64(1)) - U64(1)), (point >> U64(7)) - U64(1)
        word = (word & above) | ((word & below) << U64(8)) | U64(ZERO)
    odd = ((word & _TENS) ^ _ZEROS) | (((word + _SIXES) & _TENS) ^ _ZEROS)
    identifier = first == U64(ZERO) and size > U64(1) and second != U64(POINT)
    return odd == U64(0) and digits > U64(0) and not identifier, _eight_digits(word), places, negative != U64(0)


@part
def _digits(data: Any, at: Any, stop: Any, mantissa: Any, significant: Any) -> Any:
    """Read on while there are digits: where they end, and the number so far; more than 19 of them it can't hold."""
    while at < stop and ZERO <= data[at] <= NINE:
        if significant or data[at] != ZERO:
            significant += 1
        if significant <= 19:
            mantissa = mantissa * U64(10) + U64(data[at] - ZERO)
        at += 1
    return at, mantissa, significant


@part
def _exponent(data: Any, at: Any, stop: Any) -> Any:
    """The exponent that begins here, as far as it matters; the place is -1 where it is none."""
    at += 1
    negative = at < stop and data[at] == MINUS
    if at < stop and (negative or data[at] == PLUS):
        at += 1
    if at == stop:
        return -1, 0
    power = 0
    while at < stop and ZERO <= data[at] <= NINE:
        power = min(power * 10 + data[at] - ZERO, 99_999)
        at += 1
    return (at if at == stop else -1), (-power if negative else power)


@part
def _trimmed(data: Any, start: Any, stop: Any) -> Any:
    """A field without the blanks around it, which the grammar allows a number."""
    while start < stop and (data[start] == SPACE or data[start] == TAB):
        start += 1
    while start < stop and (data[stop - 1] == SPACE or data[stop - 1] == TAB):
        stop -= 1
    return start, stop


@part
def _whole(data: Any, start: Any, stop: Any) -> Any:
    """Sign and digits of a number: (where they end, how many there are, the number, its digits that count, sign).

    Nothing where the first of several digits is a zero without a sign: that is an identifier.
    """
    negative = start < stop and data[start] == MINUS
    signed = negative or (start < stop and data[start] == PLUS)
    at = start + signed
    after, mantissa, significant = _digits(data, at, stop, U64(0), 0)
    if not signed and after - at > 1 and data[at] == ZERO:
        return at, -1, mantissa, significant, negative
    return after, after - at, mantissa, significant, negative


@part
def _any_integer(data: Any, start: Any, stop: Any) -> Any:
    """A whole number of any length that the grammar allows."""
    at, digits, mantissa, significant, negative = _whole(data, start, stop)
    if at != stop or digits < 1 or significant > MOST_INTEGER:
        return ODD, 0, 0, False
    return READ, np.int64(mantissa), 0, negative


@part
def _any_decimal(data: Any, start: Any, stop: Any) -> Any:
    """A decimal of any spelling that the grammar allows; what two exact doubles do not make is left to others."""
    at, digits, mantissa, significant, negative = _whole(data, start, stop)
    if digits < 0 or (at == stop and (digits == 0 or significant > MOST_WHOLE)):
        return ODD, 0, 0, False
    places = 0
    if at < stop and data[at] == POINT:
        after, mantissa, significant = _digits(data, at + 1, stop, mantissa, significant)
        places = after - at - 1
        at = after
    power = 0
    if at < stop and (data[at] == SMALL_E or data[at] == BIG_E):
        at, power = _exponent(data, at, stop)
    if at != stop or digits + places < 1:
        return ODD, 0, 0, False
    places -= power
    exact = significant <= 19 and mantissa <= EXACT_MANTISSA and -MOST_POWER <= places <= MOST_POWER
    return (READ if exact else LONG), np.int64(mantissa), places, negative


@part
def _as_double(mantissa: Any, places: Any, negative: Any) -> Any:
    """Exact, because number and power are exact doubles and one rounding is the right one (Clinger)."""
    value = np.float64(mantissa)
    value = value / _POWERS[places] if places >= 0 else value * _POWERS[-places]
    return -value if negative else value


@part
def _long_way(data: Any, span: Any, decimal: Any, at: Any, wholes: Any, doubles: Any) -> Any:
    """Read a number of any spelling to where it belongs, and say what it was."""
    start, stop = _trimmed(data, *span)
    if not decimal:
        kind, mantissa, _, negative = _any_integer(data, start, stop)
        wholes[at] = -mantissa if negative else mantissa
        return kind
    kind, mantissa, places, negative = _any_decimal(data, start, stop)
    if kind == READ:
        doubles[at] = _as_double(mantissa, places, negative)
    return kind


@kernel(
    nb.void(BYTES, BOUNDS, nb.int64, nb.int64, BOUNDS, BOUNDS, *NULL_TEXTS, _WHOLES, _DOUBLES, FLAGS, _WHOLES),
    allocates=False,
)
def read_numbers(
    data: Any,
    bounds: Any,
    stride: Any,
    rows: Any,
    columns: Any,
    decimals: Any,
    opens: Any,
    nulls: Any,
    places: Any,
    wholes: Any,
    doubles: Any,
    kinds: Any,
    tally: Any,
) -> None:
    """The numbers of some columns, the kind of each, and how many there are of each kind; an odd one ends its column.

    Most are short, are read at once and counted by what is left over.
    """
    most = U64(data.size)
    for first in range(0, rows, RUN):
        for column in range(columns.size):
            if tally[column, ODD]:
                continue
            decimal = decimals[column] != 0
            place = U64(first * stride + columns[column])
            for row in range(U64(first), U64(min(first + RUN, rows))):
                start, stop = U64(bounds[place] + 1), U64(bounds[place + U64(1)])
                place += U64(stride)
                size = stop - start
                if is_null(data, start, size, opens, nulls, places):
                    kinds[column, row] = NULL
                    wholes[column, row] = 0
                    tally[column, NULL] += 1
                    continue
                if U64(1) <= size <= U64(8) and start + U64(8) <= most:
                    good, number, points, negative = _short(data, start, size)
                    if good and decimal:
                        value = np.float64(number) / _POWERS[points]
                        doubles[column, row] = -value if negative else value
                        continue
                    if good and points == U64(0) and data[stop - U64(1)] != POINT:
                        wholes[column, row] = -np.int64(number) if negative else np.int64(number)
                        continue
                span = (np.int64(start), np.int64(stop))
                kind = _long_way(data, span, decimal, (column, row), wholes, doubles)
                if kind != READ:
                    kinds[column, row] = kind
                    tally[column, kind] += 1
