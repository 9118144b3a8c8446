"""What the compiled loops over a block share: its types, and how its bytes are looked at.

A field is the bytes between two neighbours in `bounds`, both left out; row r begins at `bounds[r * stride]`.
numba does not see that a part has changed when the kernel's own file has not: whoever changes this file removes the
kept machine code (`*.nbi` beside it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types as nb

from studentsuccess.core.jit import part

LF, CR, QUOTE = 10, 13, 34
# Loops go over the columns in short runs of rows, so that bytes read once are still in the processor's cache.
RUN = 256
# What a field can be: nothing, read, written so long that a slower way must read it, or not of its kind (odd).
NULL, READ, LONG, ODD = 0, 1, 2, 3

U64 = np.uint64
ONES, LOW7 = U64(0x0101010101010101), U64(0x7F7F7F7F7F7F7F7F)

BYTES = nb.Array(nb.uint8, 1, "C", readonly=True)
TARGET = nb.Array(nb.uint8, 1, "C")
BOUNDS = nb.Array(nb.int32, 1, "C")
COUNTS = nb.Array(nb.int64, 1, "C")
TABLE = nb.Array(nb.int32, 2, "C")
FLAGS = nb.Array(nb.uint8, 2, "C")
# The texts that mean nothing: by first byte where to look closer, their bytes, and where each begins.
NULL_TEXTS = (BYTES, BYTES, BOUNDS)


@part
def word_at(data: Any, place: Any) -> Any:
    """Eight bytes as one number, the first lowest; by unsigned places LLVM makes one load of it."""
    at = U64(place)
    return (
        U64(data[at])
        | U64(data[at + U64(1)]) << U64(8)
        | U64(data[at + U64(2)]) << U64(16)
        | U64(data[at + U64(3)]) << U64(24)
        | U64(data[at + U64(4)]) << U64(32)
        | U64(data[at + U64(5)]) << U64(40)
        | U64(data[at + U64(6)]) << U64(48)
        | U64(data[at + U64(7)]) << U64(56)
    )


@part
def bytes_like(word: Any, wanted: Any) -> Any:
    """The high bit of every byte that is the wanted one, and no other bit."""
    odd = word ^ wanted
    return ~(((odd & LOW7) + LOW7) | odd | LOW7)


@part
def is_null(data: Any, start: Any, size: Any, opens: Any, nulls: Any, places: Any) -> Any:
    """Whether a field is one of the texts that mean nothing; `opens` says by its first byte where to look closer."""
    if size == U64(0):
        return opens[U64(256)] != 0
    if opens[U64(data[start])] == 0:
        return False
    for number in range(places.size - 1):
        first = U64(places[number])
        if U64(places[number + 1]) - first == size:
            at = U64(0)
            while at < size and data[start + at] == nulls[first + at]:
                at += U64(1)
            if at == size:
                return True
    return False
