"""Repeated rows, in bounded memory: a Bloom filter nominates while the rows stream by, an exact pass confirms.

The filter's mistakes cost a second look, never a row. It is sized from the number of rows (from m = -n ln p / ln 2
squared), and works on one 64-bit hash a row, of the key columns or of everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.layout import Rows

Hashes = npt.NDArray[np.uint64]
FALSE_POSITIVES = 0.01
# Two probes, one for each half of a hash, are the fastest. With a quarter more than the formula's bits one row in forty
# is looked at a second time for nothing, which costs less than the memory for a smaller share.
ROOM = 1.25
SEED = 0x5EED


def fingerprints(batch: pa.RecordBatch, keys: Sequence[str]) -> Hashes:
    """One 64-bit hash a row of the key columns; equal rows have equal hashes."""
    import polars as pl

    frame = pl.from_arrow(batch.select(list(keys)), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame.hash_rows(seed=SEED).to_numpy()


class Bloom:
    """Which hashes may have been seen: two probes, one by each half of the 64 bits."""

    def __init__(self, rows: int) -> None:
        bits = math.ceil(-max(rows, 1) * math.log(FALSE_POSITIVES) / math.log(2) ** 2 * ROOM)
        self._bits = np.uint64(min(max(bits, 1024), (1 << 32) - 1))
        self._words = np.zeros(int(self._bits) // 64 + 1, np.uint64)

    def nominate(self, hashes: Hashes) -> Hashes:
        """Add the hashes; return those that may stand for a row seen before, in this batch or an earlier one."""
        seen = self._known(hashes)
        repeated = _repeated_within(hashes)
        fresh = hashes[~seen]
        for index, bit in self._places(fresh):
            np.bitwise_or.at(self._words, index, bit)
        return np.unique(np.concatenate([hashes[seen], repeated]))

    def _known(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        known = np.ones(len(hashes), bool)
        for index, bit in self._places(hashes):
            known &= (self._words[index] & bit) != 0
        return known

    def _places(self, hashes: Hashes) -> Iterator[tuple[npt.NDArray[np.int64], Hashes]]:
        for half in (hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)):
            bit = (half * self._bits) >> np.uint64(32)
            yield (bit >> np.uint64(6)).view(np.int64), np.uint64(1) << (bit & np.uint64(63))


def _repeated_within(hashes: Hashes) -> Hashes:
    """The hashes that stand more than once in one batch."""
    ordered = np.sort(hashes)
    return np.asarray(ordered[1:][ordered[1:] == ordered[:-1]], dtype=np.uint64)


@dataclass(frozen=True)
class Repeats:
    """Confirmed: rows that repeat an earlier one, and rows whose key stands for more than one content."""

    duplicates: Rows
    conflicts: Rows
    conflict_first: Rows


class Suspicion:
    """Collects nominations while rows stream by, and settles them against the rows themselves."""

    def __init__(self, expected_rows: int) -> None:
        self._bloom = Bloom(expected_rows)
        self._nominated: list[Hashes] = []

    def see(self, hashes: Hashes) -> None:
        nominated = self._bloom.nominate(hashes)
        if len(nominated):
            self._nominated.append(nominated)

    def candidates(self, all_hashes: Iterator[Hashes]) -> tuple[Rows, Hashes]:
        """Positions (and hashes) of the rows that share their hash with another row."""
        if not self._nominated:
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        wanted = np.unique(np.concatenate(self._nominated))
        positions, found, offset = [], [], 0
        for hashes in all_hashes:
            hit = np.flatnonzero(_contained(hashes, wanted))
            positions.append(hit + offset)
            found.append(hashes[hit])
            offset += len(hashes)
        rows, values = np.concatenate(positions), np.concatenate(found)
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        shared = counts[inverse] > 1
        return rows[shared], values[shared]


def _contained(hashes: Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    import polars as pl

    return pl.Series(hashes).is_in(pl.Series(wanted).implode()).to_numpy()


def settle(rows: pa.Table, positions: Rows, keys: Sequence[str]) -> Repeats:
    """Tell candidates apart by their content: repeats of an earlier row, and one key with two contents."""
    names = [name for name in rows.column_names if name not in keys]
    by_key = _groups(rows.select(list(keys)))
    by_content = _groups(rows.select([*keys, *names])) if names else by_key
    order = np.argsort(positions, kind="stable")
    first_key, first_content = _first(by_key[order]), _first(by_content[order])
    contents_per_key = _distinct(by_key, by_content)
    conflicting = (contents_per_key[by_key] > 1)[order]
    repeated = ~first_content & ~conflicting
    ordered = positions[order]
    return Repeats(ordered[repeated], ordered[conflicting], ordered[conflicting & first_key])


def _groups(rows: pa.Table) -> npt.NDArray[np.int64]:
    """A number per row; equal rows (nulls included) have equal numbers."""
    import polars as pl

    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame.select(pl.struct(pl.all()).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()


def _first(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    _, index = np.unique(groups, return_index=True)
    first = np.zeros(len(groups), bool)
    first[index] = True
    return first


def _distinct(by_key: npt.NDArray[np.int64], by_content: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    pairs = np.unique(np.stack([by_key, by_content]), axis=1)
    return np.bincount(pairs[0], minlength=int(by_key.max(initial=-1)) + 1)
