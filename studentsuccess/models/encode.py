"""Columns into the places of rows, in one pass each."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from studentsuccess.core.jit import kernel, part, read

Mask = npt.NDArray[np.bool_]
NONE = -1
# What single precision can't hold is as large as it can.
LIMIT = float(np.finfo(np.float32).max)
_NUMBERS = nb.types.Array(nb.float32, 2, "A")
_CODES = nb.types.Array(nb.int32, 2, "A")


def put_numbers(
    values: npt.NDArray[Any],
    there: Mask,
    origin: float,
    scale: float,
    into: npt.NDArray[np.float32],
    column: int,
) -> None:
    """Numbers around their origin, in single precision; what is missing is NaN."""
    put = _put_decimals if values.dtype == np.float64 else _put_integers
    put(values, there, origin, scale, into, column)


@part
def _centred(value: float, origin: float, scale: float) -> np.float32:
    return np.float32(min(max((value - origin) * scale, -LIMIT), LIMIT))


@kernel(nb.void(read(nb.float64), read(nb.bool_), nb.float64, nb.float64, _NUMBERS, nb.int64), allocates=False)
def _put_decimals(
    values: npt.NDArray[np.float64],
    there: Mask,
    origin: float,
    scale: float,
    into: npt.NDArray[np.float32],
    column: int,
) -> None:
    for row in range(len(values)):
        if len(there) and not there[row]:
            into[row, column] = np.nan
        else:
            into[row, column] = _centred(values[row], origin, scale)


@kernel(nb.void(read(nb.int64), read(nb.bool_), nb.float64, nb.float64, _NUMBERS, nb.int64), allocates=False)
def _put_integers(
    values: npt.NDArray[np.int64], there: Mask, origin: float, scale: float, into: npt.NDArray[np.float32], column: int
) -> None:
    for row in range(len(values)):
        if len(there) and not there[row]:
            into[row, column] = np.nan
        else:
            into[row, column] = _centred(float(values[row]), origin, scale)


@kernel(nb.int64(read(nb.int32), read(nb.bool_), read(nb.int32), _CODES, nb.int64), allocates=False)
def put_codes(
    codes: npt.NDArray[np.int32], there: Mask, ours: npt.NDArray[np.int32], into: npt.NDArray[np.int32], column: int
) -> int:
    """A block's own codes as the codes of the whole; returns how many present values have none."""
    missed = 0
    for row in range(len(codes)):
        if len(there) and not there[row]:
            into[row, column] = NONE
        else:
            into[row, column] = ours[codes[row]]
            missed += ours[codes[row]] == NONE
    return missed
