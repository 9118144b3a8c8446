"""The type of every column, decided over the whole table: a sample only says where to begin.

A column is of a kind when all but a small share of its present values are; of several such kinds it is the one that
refuses fewest, and then the narrowest. When a pass shows that the beginning misled, the table is read once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from studentsuccess.core.blocks import Block, read_blocks
from studentsuccess.core.extract import extract_csv
from studentsuccess.core.formats import Format, extract_json
from studentsuccess.core.grammar import Kind, fits
from studentsuccess.core.judge import GUESSABLE, WIDER
from studentsuccess.core.landing import Pass
from studentsuccess.core.layout import Column, Layout, Tally
from studentsuccess.core.stream import Input, StreamSettings, skip_records

SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 2_000
MOST_PASSES = 6


def first_layout(given: Input, names: Sequence[str], nulls: tuple[str, ...], tolerance: float, limit: int) -> Layout:
    """A first guess from the beginning of one input: all columns text, then whatever the sample allows."""
    texts = Layout(tuple(Column(name, Kind.TEXT) for name in names), nulls)
    sample = _sample(given, texts, limit)
    return Layout(
        tuple(Column(name, _sampled(sample[name].slice(0, SAMPLE_ROWS), tolerance)) for name in names), nulls
    )


def _sample(given: Input, layout: Layout, limit: int) -> dict[str, pa.Array]:
    delimiter = ord(given.dialect.delimiter) if given.format is Format.CSV else None
    empty = {name: pa.array([], pa.string()) for name in layout.names}
    blocks = read_blocks(given.origin, delimiter, limit, SAMPLE_BYTES)
    block, left = next(blocks, None), given.header_records
    if block is None:
        return empty
    last = block.last
    block, _ = skip_records(block, left) if left else (block, 0)
    if not block.data and not last and (more := next(blocks, None)) is not None:
        block = more
    if not block.data:
        return empty
    return _texts(block, given, layout)


def _texts(block: Block, given: Input, layout: Layout) -> dict[str, pa.Array]:
    if given.format is Format.JSON_LINES:
        return extract_json(block, given.origin, layout, given.dialect.names).columns
    return extract_csv(block, given.origin, given.dialect, layout, frozenset()).columns


def _sampled(texts: pa.Array, tolerance: float) -> Kind:
    present = len(texts) - texts.null_count
    refused = {kind: present - int(fits(texts, kind).sum()) for kind in GUESSABLE}
    return choose(present, refused, tolerance)


def choose(present: int, refused: Mapping[Kind, int], tolerance: float) -> Kind:
    """The kind that refuses fewest within the tolerance, the narrowest of equals; text where none is."""
    within = [kind for kind in GUESSABLE if kind in refused and refused[kind] <= tolerance * present]
    return min(within, key=lambda kind: refused[kind], default=Kind.TEXT) if present else Kind.TEXT


def revise(layout: Layout, found: Pass, tolerance: float, fixed: frozenset[str] = frozenset()) -> Layout:
    """The layout that the whole table asks for; the same one when the pass confirmed it."""
    return Layout(
        tuple(
            column if column.name in fixed else Column(column.name, _revised(column, found, tolerance), column.required)
            for column in layout.columns
        ),
        layout.null_values,
    )


def _revised(column: Column, found: Pass, tolerance: float) -> Kind:
    tally = found.tallies.get(column.name, Tally(0))
    if column.kind is not Kind.TEXT:
        refused = {column.kind: tally.bad}
        if (wider := WIDER.get(column.kind)) is not None:
            refused[wider] = tally.wider_bad
        return choose(tally.present, refused, tolerance)
    least = found.closed.get(column.name)
    if least is not None:
        # Closed by an estimate: right when even the values seen by then were too many.
        return Kind.TEXT if least > tolerance * tally.present else Kind.DECIMAL
    return choose(tally.present, found.guesses.get(column.name, {}), tolerance)
