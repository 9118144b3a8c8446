"""A stream of bytes cut into blocks of whole records, each knowing the physical line it starts on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from studentsuccess.core.lines import (
    CACHE_BYTES,
    LF,
    QUOTE,
    Quotes,
    Records,
    as_bytes,
    from_ends,
    has_stray_quotes,
    line_ends,
    locate,
    lone_returns,
    look_at_quotes,
    scan_records,
)
from studentsuccess.core.origin import Origin, decode, decompressed, reading

BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class Block:
    """Whole records. `ends` is set only where quotes stand in odd places and the fast rules do not hold."""

    index: int
    data: bytes
    first_line: int
    last: bool = False
    ends: tuple[int, ...] | None = None


def read_blocks(
    origin: Origin, delimiter: int | None, max_record: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Every record of the origin, in order, in blocks of about `block_bytes`. Without a delimiter a line is one."""
    with reading(origin) as raw:
        yield from cut(decode(decompressed(raw, origin), origin, block_bytes), origin, delimiter, max_record)


def cut(chunks: Iterator[bytes], origin: Origin, delimiter: int | None, max_record: int) -> Iterator[Block]:
    """Cut decoded chunks at record boundaries, carrying the unfinished record over."""
    carry, line, index = b"", 1, 0
    for chunk in chunks:
        data = carry + chunk
        quotes = look_at_quotes(data, delimiter)
        stop, ends = _boundary(data, delimiter, quotes)
        carry = data[stop:]
        if stop > max_record:
            _refuse_long(Block(index, data[:stop], line, ends=ends), origin, quotes, max_record)
        if len(carry) - carry.endswith(b"\r") > max_record:
            raise _endless(carry, origin, line + _lines(data[:stop]), delimiter, max_record)
        if stop:
            whole = data[:stop]
            yield Block(index, whole, line, ends=ends)
            line, index = line + _lines(whole), index + 1
    if carry:
        yield _last_block(carry, origin, delimiter, Block(index, carry, line, last=True))


def _last_block(carry: bytes, origin: Origin, delimiter: int | None, block: Block) -> Block:
    """What stands after the last sure boundary: one or a few records, or a quote that was never closed."""
    if delimiter is None or b'"' not in carry:
        return block
    if not has_stray_quotes(carry, delimiter, at_end=True):
        return block
    ends, opened = scan_records(carry, delimiter)
    if opened >= 0:
        raise _unclosed(origin, block.first_line + _lines(carry[:opened]))
    return Block(block.index, carry, block.first_line, True, tuple(ends))


def _boundary(data: bytes, delimiter: int | None, quotes: Quotes) -> tuple[int, tuple[int, ...] | None]:
    """Where the last whole record ends, and all record ends where only the slow rules hold."""
    if delimiter is not None and quotes.stray:
        ends = [end for end in scan_records(data, delimiter)[0] if not _may_be_half(data, end)]
        return (ends[-1] + 1, tuple(ends)) if ends else (0, None)
    at = len(data)
    while (at := _last_line_end(data, at)) >= 0:
        if quotes.before(data, at) % 2 == 0:
            return at + 1, None
    return 0, None


def _may_be_half(data: bytes, end: int) -> bool:
    """A CR at the very end may be the first half of a CRLF."""
    return end == len(data) - 1 and data[end : end + 1] == b"\r"


def _last_line_end(data: bytes, before: int) -> int:
    """The last line end that starts before `before`: the position of its last byte, or -1."""
    feed = data.rfind(b"\n", 0, before)
    stop = min(before, len(data) - 1)
    ret = data.rfind(b"\r", max(feed, 0), stop)
    if ret >= 0 and data[ret + 1 : ret + 2] == b"\n":
        ret = -1 if ret + 1 >= before else ret
    return max(feed, ret)


def _lines(data: bytes) -> int:
    """How many line ends: LF, CRLF and a CR alone are one each."""
    view = as_bytes(data)
    pieces = range(0, len(view), CACHE_BYTES)
    feeds = sum(int(np.count_nonzero(view[first : first + CACHE_BYTES] == LF)) for first in pieces)
    return feeds + len(lone_returns(data, view))


def _refuse_long(block: Block, origin: Origin, quotes: Quotes, limit: int) -> None:
    """The limit holds for every record, not only for one that does not end within its block."""
    data, at, size = block.data, 0, len(block.data)
    while block.ends is None and size - at > limit:
        stop = data.rfind(b"\n", at, at + limit + 1)
        if stop < 0 or quotes.before(data, stop) % 2:
            break
        at = stop + 1
    if size - at <= limit:
        return
    records = records_of(block, quoted=bool(quotes.before_slice[-1]))
    for index in np.flatnonzero(records.ends - records.starts > limit).tolist():
        start, stop = records.span(index)
        if stop - start > limit:
            raise _too_long(origin, records.line(index), limit)


def records_of(block: Block, *, quoted: bool) -> Records:
    """The records of a block, whichever rules hold for it."""
    if quoted and block.ends is None:
        return locate(block.data, block.first_line)
    view = as_bytes(block.data)
    every = line_ends(block.data, view)
    ends = every if block.ends is None else np.array(block.ends, np.int64)
    return from_ends(block.data, view, ends, every, block.first_line)


def _endless(carry: bytes, origin: Origin, line: int, delimiter: int | None, limit: int) -> Exception:
    """A record that does not end: a quote left open, or a field beyond reason."""
    view = as_bytes(carry)
    quotes = np.flatnonzero(view == QUOTE)
    if delimiter is not None and len(quotes):
        opened = scan_records(carry, delimiter)[1]
        if opened >= 0 and carry.find(b"\n", opened) >= 0:
            return _unclosed(origin, line + _lines(carry[:opened]))
    return _too_long(origin, line, limit)


def _too_long(origin: Origin, line: int, limit: int) -> Exception:
    size = f"{limit / 1e6:g} MB"
    return origin.error(
        f"line {line}: a record is longer than the limit of {size}",
        f"is it really text? Raise the limit with `--set etl.max_record={2 * limit // 1_000_000 + 1}MB`",
    )


def _unclosed(origin: Origin, line: int) -> Exception:
    return origin.error(
        f'line {line}: a quote (") is opened here and never closed',
        f"close or double that quote in line {line}, or export the file again",
    )
