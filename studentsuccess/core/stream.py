"""Any number of inputs as one ordered stream of judged blocks: files in, typed batches and rejects out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from studentsuccess.core.blocks import BLOCK_BYTES, Block, read_blocks, records_of
from studentsuccess.core.extract import Dialect, extract_csv
from studentsuccess.core.formats import Format, extract_json, extract_parquet, parquet_batches
from studentsuccess.core.judge import Guessing, judge
from studentsuccess.core.layout import Extracted, Layout, Parsed, Rows, Rules
from studentsuccess.core.lines import QUOTE, as_bytes, line_ends, outside_quotes
from studentsuccess.core.origin import GZIP, ZSTD, Origin, first_bytes
from studentsuccess.core.parallel import Engine, ordered_map

# From how many bytes of CSV loops of our own are worth having. They spare 2 to 6 s of CPU a GB; numba costs 0.4 s and
# 100 MB to load, and where it is there already they cost 0.05 s.
COMPILE_FROM, COMPILE_FROM_LOADED = 128 << 20, 16 << 20
# How many times its size a compressed CSV has when it is unpacked, often.
PACKED = 5


@dataclass(frozen=True)
class Input:
    """One source file, its format, and how it writes a table."""

    origin: Origin
    format: Format
    dialect: Dialect
    header_records: int = 1


@dataclass
class Hints:
    """What earlier blocks taught: shared by the workers, changes speed and never a result."""

    suspects: set[str] = field(default_factory=set)
    open_guesses: set[str] = field(default_factory=set)
    exact_guesses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is read: limits and sizes from the budget and the settings."""

    max_record: int = 2_000_000
    block_bytes: int = BLOCK_BYTES
    batch_rows: int = 65_536
    engine: Engine = field(default_factory=Engine)


@dataclass(frozen=True)
class _Work:
    source: int
    given: Input
    piece: Block | pa.RecordBatch
    first_row: int = 0


def stream(
    inputs: Sequence[Input],
    layout: Layout,
    settings: StreamSettings,
    rules: Rules | None = None,
    hints: Hints | None = None,
) -> Iterator[Parsed]:
    """Every block of every input, judged, in order."""
    known = hints or Hints()
    compiled = _worth_compiling(inputs)

    def work(item: _Work) -> Parsed:
        size = len(item.piece.data) if isinstance(item.piece, Block) else item.piece.nbytes
        extracted = _extract(item, layout, known, compiled=compiled)
        parsed = judge(
            extracted, layout, item.source, rules, Guessing(frozenset(known.open_guesses), known.exact_guesses), size
        )
        known.suspects.update(name for name, tally in parsed.tallies.items() if tally.bad)
        return parsed

    yield from ordered_map(work, _pieces(inputs, settings), settings.engine)


def _pieces(inputs: Sequence[Input], settings: StreamSettings) -> Iterator[_Work]:
    for source, given in enumerate(inputs):
        if given.format is Format.PARQUET:
            row = 0
            for batch in parquet_batches(given.origin, settings.batch_rows):
                yield _Work(source, given, batch, row)
                row += batch.num_rows
            continue
        for block in text_blocks(given, settings.max_record, settings.block_bytes):
            yield _Work(source, given, block)


def _worth_compiling(inputs: Sequence[Input]) -> bool:
    """Whether there is enough CSV for loops of our own."""
    least = COMPILE_FROM_LOADED if "numba" in sys.modules else COMPILE_FROM
    return sum(_text_bytes(given) for given in inputs) >= least


def _text_bytes(given: Input) -> int:
    """How much CSV an input holds, nearly; a compressed one is not unpacked to know. What is wrong, its reader says."""
    if given.format is not Format.CSV:
        return 0
    path = given.origin.path
    try:
        packed = first_bytes(path).startswith((GZIP, ZSTD))
        return path.stat().st_size * (PACKED if packed else 1)
    except OSError:
        return 0


def _extract(item: _Work, layout: Layout, hints: Hints, *, compiled: bool) -> Extracted:
    given = item.given
    if isinstance(item.piece, Block):
        if given.format is Format.JSON_LINES:
            return extract_json(item.piece, given.origin, layout, given.dialect.names)
        typed = frozenset(layout.names) - hints.suspects
        return extract_csv(item.piece, given.origin, given.dialect, layout, typed, compiled=compiled)
    return extract_parquet(item.piece, given.dialect.names, layout, item.first_row)


def _delimiter(given: Input) -> int | None:
    """What parts the fields; in JSON lines nothing does, and a line is a record."""
    return ord(given.dialect.delimiter) if given.format is Format.CSV else None


def text_blocks(given: Input, max_record: int, block_bytes: int) -> Iterator[Block]:
    """The blocks of a text without the records that are its header (blank lines before it count for nothing)."""
    left = given.header_records
    for block in read_blocks(given.origin, _delimiter(given), max_record, block_bytes):
        if not left:
            yield block
            continue
        rest, left = skip_records(block, left)
        if rest.data:
            yield rest


def skip_records(block: Block, count: int) -> tuple[Block, int]:
    """The block without its first `count` records that are not blank, and how many are left to skip."""
    view = as_bytes(block.data)
    every = line_ends(block.data, view)
    ends = list(block.ends) if block.ends is not None else outside_quotes(every, _quotes(block.data)).tolist()
    start, left = 0, count
    for end in [*ends, len(block.data) - 1]:
        blank = not block.data[start : end + 1].strip(b"\r\n")
        if start >= len(block.data):
            break
        start, left = end + 1, left - (not blank)
        if left == 0:
            break
    lines = int((every < start).sum())
    rest = tuple(end - start for end in block.ends if end >= start) if block.ends is not None else None
    return Block(block.index, block.data[start:], block.first_line + lines, block.last, rest), left


def _quotes(data: bytes) -> Rows:
    return np.flatnonzero(as_bytes(data) == QUOTE)


def find_records(given: Input, wanted: Rows, settings: StreamSettings) -> Iterator[tuple[int, str]]:
    """The physical line and the raw text of some records of an input (sorted ordinals), by reading it once more."""
    if given.format is Format.PARQUET:
        yield from _find_rows(given, wanted, settings)
        return
    offset = 0
    for block in text_blocks(given, settings.max_record, settings.block_bytes):
        records = records_of(block, quoted=_delimiter(given) is not None)
        count = len(records)
        for record in wanted[(wanted >= offset) & (wanted < offset + count)] - offset:
            yield records.place(int(record))
        offset += count


def _find_rows(given: Input, wanted: Rows, settings: StreamSettings) -> Iterator[tuple[int, str]]:
    offset = 0
    for batch in parquet_batches(given.origin, settings.batch_rows):
        locate = extract_parquet(batch, given.dialect.names, Layout((), ()), offset).locate
        for record in wanted[(wanted >= offset) & (wanted < offset + batch.num_rows)] - offset:
            yield locate(int(record))
        offset += batch.num_rows
