"""The compiled loop that writes rows of finished cells one behind the other.

Places among bytes are made unsigned: of a signed one numba asks each time whether it counts from the end, which took a
third of the loop's time.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from studentsuccess.core.jit import kernel, part, read

# A sign and 19 digits; or a sign, 16 digits and a point.
MOST_DIGITS = 20
_MINUS, _POINT, _ZERO, _TEN = np.uint8(ord("-")), np.uint8(ord(".")), np.uint64(ord("0")), np.uint64(10)


@part
def _copy(source: Any, start: Any, stop: Any, out: Any, end: Any) -> Any:
    for place in range(stop - start):
        out[np.uint64(end + place)] = source[np.uint64(start + place)]
    return end + stop - start


@part
def _digits(value: Any, point: Any, out: Any, end: Any) -> Any:
    """The digits of a whole number, with a point before the last `point` of them and a zero where none is left."""
    rest = np.uint64(value)
    if value < 0:
        out[end] = _MINUS
        end += 1
        rest = ~rest + np.uint64(1)
    least = point + 1 if point else 0
    digits, limit = 1, _TEN
    while digits < least or (digits < 19 and rest >= limit):
        digits += 1
        limit *= _TEN
    stop = end + digits + (1 if point else 0)
    place = stop - 1
    for digit in range(digits):
        if point and digit == point:
            out[place] = _POINT
            place -= 1
        out[np.uint64(place)] = np.uint8(_ZERO + rest % _TEN)
        rest //= _TEN
        place -= 1
    return stop


@kernel(
    nb.int64(
        read(nb.int64),
        read(nb.int64, 2),
        read(nb.int64),
        read(nb.int32, 2),
        read(nb.int32),
        read(nb.uint8),
        read(nb.int64),
        read(nb.uint8),
        nb.uint8[::1],
    ),
    allocates=False,
)
def write_rows(
    slots: Any, numbers: Any, points: Any, at: Any, offsets: Any, data: Any, frame_ends: Any, frame: Any, out: Any
) -> Any:
    """Write all rows into `out`, which must have the room; returns how many bytes they took.

    Column c is row `slots[c]` of `numbers`, or row `~slots[c]` of `at`, which says where among the texts each cell is.
    Before it stands the frame up to `frame_ends[c]`, and behind the last column what is left of it.
    """
    rows = numbers.shape[1] if len(numbers) else at.shape[1]
    end = 0
    for row in range(rows):
        start = 0
        for column in range(len(slots)):
            end = _copy(frame, start, frame_ends[column], out, end)
            start = frame_ends[column]
            slot = slots[column]
            if slot >= 0:
                end = _digits(numbers[slot, row], points[slot], out, end)
            else:
                cell = at[~slot, row]
                end = _copy(data, offsets[cell], offsets[cell + 1], out, end)
        end = _copy(frame, start, len(frame), out, end)
    return end
