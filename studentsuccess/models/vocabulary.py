"""Codes for values as they appear: learned one by one, also late ones, and hashed when they never end."""

from __future__ import annotations

import zlib

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.jit import kernel, read
from studentsuccess.models.roles import Hashing

Codes = npt.NDArray[np.int32]
NONE = -1
# So many texts are learned by name; those that come later share buckets. A table of weights of this size is no burden.
MOST_LEVELS = 20_000
BUCKETS = 4_096
CRC32 = "crc32"
# Whole numbers with more values than this are quantities.
MOST_INTEGERS = 256
_SLOTS = 1_024


def bucket(text: str, buckets: int) -> int:
    """Where a text beyond the learned ones goes. CRC-32 is the same everywhere and always."""
    return zlib.crc32(text.encode("utf-8")) % buckets


class Vocabulary:
    """The texts of one column in the order of their first appearance."""

    def __init__(self, most: int = MOST_LEVELS) -> None:
        self._most = most
        self._codes: dict[str, int] = {}
        self.strangers = 0

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(self._codes)

    @property
    def hashing(self) -> Hashing | None:
        return Hashing(CRC32, BUCKETS) if self.strangers else None

    @property
    def width(self) -> int:
        return len(self._codes) + (BUCKETS if self.strangers else 0)

    def learn(self, texts: pa.StringArray) -> Codes:
        """The codes of some texts; those that were never seen are learned."""
        return np.array([self._code(text) for text in texts.to_pylist()], np.int32)

    def _code(self, text: str) -> int:
        known = self._codes.get(text)
        if known is not None:
            return known
        if len(self._codes) < self._most:
            return self._codes.setdefault(text, len(self._codes))
        self.strangers += 1
        return self._most + bucket(text, BUCKETS)


class Integers:
    """The distinct whole numbers of one column, until there are too many to be codes."""

    def __init__(self, most: int = MOST_INTEGERS) -> None:
        self._keys = np.zeros(_SLOTS, np.int64)
        self._slots = np.full(_SLOTS, NONE, np.int32)
        self._values = np.zeros(most, np.int64)
        self._count = np.zeros(1, np.int64)

    @property
    def too_many(self) -> bool:
        return bool(self._count[0] > len(self._values))

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(self._values[: min(int(self._count[0]), len(self._values))].tolist())

    def encode(self, values: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]) -> Codes:
        """A code for each value in the order of first appearance; of no use once there are too many."""
        found = np.full(len(values), NONE, np.int32)
        if not self.too_many:
            _code_integers(values, there, found, self._keys, self._slots, self._values, self._count)
        return found


_KNOWN = (nb.int64[::1], nb.int32[::1], nb.int64[::1], nb.int64[::1])


@kernel(nb.void(read(nb.int64), read(nb.bool_), nb.int32[::1], *_KNOWN), allocates=False)
def _code_integers(
    values: npt.NDArray[np.int64],
    there: npt.NDArray[np.bool_],
    found: Codes,
    keys: npt.NDArray[np.int64],
    slots: Codes,
    known: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
) -> None:
    most = len(known)
    for row in range(len(values)):
        if len(there) and not there[row]:
            continue
        value = values[row]
        slot = (value * 0x9E3779B1 >> 7) & (len(keys) - 1)
        while slots[slot] >= 0 and keys[slot] != value:
            slot = (slot + 1) & (len(keys) - 1)
        if slots[slot] < 0:
            if count[0] >= most:
                count[0] = most + 1
                return
            keys[slot] = value
            slots[slot] = count[0]
            known[count[0]] = value
            count[0] += 1
        found[row] = slots[slot]
