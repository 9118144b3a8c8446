"""Which rows are held out and which decide when to stop: by a hash of the row, never by its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]
# Of the rows to learn from, the share that only says when to stop (and how wide an interval must be).
INNER_SHARE = 0.1
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_RANGE = float(1 << 32)


@dataclass(frozen=True)
class Split:
    """Shares of the hash's two halves: the upper one holds out, the lower one sets the inner slice apart."""

    share: float

    def held_out(self, keys: Keys) -> Mask:
        return np.asarray((keys >> _HALF) < np.uint64(self.share * _RANGE))

    def inner(self, keys: Keys) -> Mask:
        """Whether a row belongs to the inner slice, if it is not held out."""
        return np.asarray((keys & _LOW) < np.uint64(INNER_SHARE * _RANGE))


def digest(keys: Keys, so_far: int = 0) -> int:
    """The set of held-out rows as one number, whatever their order."""
    mixed = keys * np.uint64(0x9E3779B97F4A7C15) ^ (keys >> np.uint64(29))
    return (so_far + int(mixed.sum(dtype=np.uint64))) & ((1 << 64) - 1)
