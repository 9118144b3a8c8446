"""Where records begin and end in a block of CSV bytes, by numpy, exactly.

Records end at a line end outside quotes. That is decided by the parity of the quotes before it, which is right as
long as every quote stands where RFC 4180 allows one; `has_stray_quotes` says when that does not hold, and then
`scan_records` walks the bytes as Python's csv module would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

QUOTE, LF, CR = 34, 10, 13
# Slices of this size keep temporary arrays in the processor's cache: measured four times as fast as whole blocks.
CACHE_BYTES = 1 << 17
Positions = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


def as_bytes(block: bytes) -> Bytes:
    """A view, not a copy."""
    return np.frombuffer(block, np.uint8)


def line_ends(block: bytes, view: Bytes) -> Positions:
    """The position of the last byte of each line end: LF, CRLF or a CR alone."""
    ends = np.flatnonzero(view == LF)
    alone = lone_returns(block, view)
    return ends if not len(alone) else np.sort(np.concatenate([ends, alone]))


def lone_returns(block: bytes, view: Bytes) -> Positions:
    """The CRs that are not followed by an LF: line ends of their own."""
    if b"\r" not in block:
        return np.zeros(0, np.int64)
    alone = view == CR
    alone[:-1] &= view[1:] != LF
    return np.flatnonzero(alone) if alone.any() else np.zeros(0, np.int64)


def outside_quotes(ends: Positions, quotes: Positions) -> Positions:
    """The line ends that end a record."""
    if not len(quotes):
        return ends
    outside = (np.searchsorted(quotes, ends) & 1) == 0
    return ends if outside.all() else ends[outside]


@dataclass(frozen=True)
class Quotes:
    """The quotes of a block: whether any is stray, and how many stand before each slice of it."""

    stray: bool
    before_slice: tuple[int, ...]

    def before(self, block: bytes, at: int) -> int:
        """How many stand before a position."""
        number = at // CACHE_BYTES
        return self.before_slice[number] + block.count(b'"', number * CACHE_BYTES, at)


def look_at_quotes(block: bytes, delimiter: int | None) -> Quotes:
    """Count the quotes, and see whether any stands where it can neither open, close nor escape.

    Without a delimiter a line is a record, and quotes mean nothing.

    By parity each even quote opens: a delimiter, a line end, a quote or the start of the block must precede it. Each
    odd one closes: the same must follow it.
    """
    counts = [0]
    if delimiter is None or b'"' not in block:
        return Quotes(False, tuple(counts * (len(block) // CACHE_BYTES + 2)))
    view = as_bytes(block)
    last, stray = len(view) - 1, False
    for start in range(0, len(view), CACHE_BYTES):
        quotes = np.flatnonzero(view[start : start + CACHE_BYTES] == QUOTE) + start
        parity = counts[-1] % 2
        opening, closing = quotes[parity::2], quotes[1 - parity :: 2]
        stray = stray or not _all_marks(view[opening[opening > 0] - 1], delimiter)
        stray = stray or not _all_marks(view[closing[closing < last] + 1], delimiter)
        counts.append(counts[-1] + len(quotes))
    return Quotes(stray, (*counts, counts[-1]))


def has_stray_quotes(block: bytes, delimiter: int, *, at_end: bool) -> bool:
    """Whether parity can't be trusted here; at the end of the data an open quote is stray too."""
    quotes = look_at_quotes(block, delimiter)
    return quotes.stray or (at_end and quotes.before_slice[-1] % 2 == 1)


def _all_marks(found: Bytes, delimiter: int) -> bool:
    """Whether all bytes are ones that may stand beside a quote from the outside, or are quotes themselves."""
    return bool(((found == delimiter) | (found == LF) | (found == CR) | (found == QUOTE)).all())


@dataclass(frozen=True)
class Records:
    """The records of a block: where each starts, and the last byte of its line end (or the end of the block).

    Only rejects ask for lines and texts, and they are few: both are worked out for one record at a time.
    """

    block: bytes
    starts: Positions
    ends: Positions
    line_ends: Positions
    first_line: int

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, index: int) -> int:
        """The physical line on which a record starts."""
        return self.first_line + int(np.searchsorted(self.line_ends, self.starts[index]))

    def span(self, index: int) -> tuple[int, int]:
        """The bytes of a record without its line end."""
        start, stop = int(self.starts[index]), int(self.ends[index])
        is_crlf = stop > start and self.block[stop - 1 : stop + 1] == b"\r\n"
        return start, stop - is_crlf

    def raw(self, index: int) -> str:
        """The text of a record as it stands."""
        start, stop = self.span(index)
        return self.block[start:stop].decode("utf-8", "replace")

    def place(self, index: int) -> tuple[int, str]:
        """What a dead letter needs: line and text."""
        return self.line(index), self.raw(index)


def locate(block: bytes, first_line: int) -> Records:
    """All records of a clean block (no stray quotes); blank lines are none."""
    view = as_bytes(block)
    if b"\r" in block:
        every = line_ends(block, view)
        ends = outside_quotes(every, np.flatnonzero(view == QUOTE))
    else:
        every, ends = _ends_by_slices(view)
    return from_ends(block, view, ends, every, first_line)


def _ends_by_slices(view: Bytes) -> tuple[Positions, Positions]:
    """All line feeds, and those outside quotes, found slice by slice."""
    every, outside, before = [], [], 0
    for start in range(0, len(view), CACHE_BYTES):
        part = view[start : start + CACHE_BYTES]
        ends, quotes = np.flatnonzero(part == LF), np.flatnonzero(part == QUOTE)
        every.append(ends + start)
        inside = (np.searchsorted(quotes, ends) + before) % 2 == 1
        outside.append(every[-1][~inside] if inside.any() else every[-1])
        before += len(quotes)
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *every]), np.concatenate([empty, *outside])


def from_ends(block: bytes, view: Bytes, ends: Positions, every: Positions, first_line: int) -> Records:
    """Records from the positions where they end."""
    if len(block) and (not len(ends) or ends[-1] != len(block) - 1):
        ends = np.append(ends, len(block))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts
    blank = lengths == 0
    if b"\r" in block:
        blank |= (lengths == 1) & (view[np.minimum(starts, len(view) - 1)] == CR) & (ends < len(view))
    return Records(block, starts[~blank], ends[~blank], every, first_line)


def scan_records(block: bytes, delimiter: int) -> tuple[list[int], int]:
    """Record ends by walking the fields as Python's csv does, and where an unclosed quote opened (or -1).

    Slow and exact: only blocks with a quote in an odd place come here.
    """
    import re

    mark = re.escape(bytes([delimiter]))
    field = re.compile(rb'"(?:[^"]|"")*"?[^' + mark + rb"\r\n]*|[^" + mark + rb'"\r\n][^' + mark + rb"\r\n]*|")
    ends: list[int] = []
    at, size = 0, len(block)
    while at < size:
        found: Any = field.match(block, at)
        stop = found.end()
        if block[at : at + 1] == b'"' and _unclosed(block, at, stop):
            return ends, at
        if stop < size and block[stop] != delimiter:
            stop += block[stop : stop + 2] == b"\r\n"
            ends.append(stop)
        at = stop + 1
    return ends, -1


def _unclosed(block: bytes, start: int, stop: int) -> bool:
    """Whether the quoted field that starts here runs to the end of the block without its closing quote."""
    if stop < len(block):
        return False
    inside = block[start + 1 : stop].replace(b'""', b"")
    return b'"' not in inside
