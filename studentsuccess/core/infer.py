"""The type of every column, decided over the whole table: a sample only says where to begin.

A column is of a kind when all but a small share of its present values are; of several such kinds it is the one that
refuses fewest, and then the narrowest. When a pass shows that the beginning misled, the table is read once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from studentsuccess.core.blocks import Block
from studentsuccess.core.extract import extract_csv
from studentsuccess.core.formats import Format, extract_json
from studentsuccess.core.grammar import Kind, fits
from studentsuccess.core.judge import GUESSABLE, WIDER
from studentsuccess.core.landing import Pass
from studentsuccess.core.layout import Column, Layout, Tally
from studentsuccess.core.stream import Input, text_blocks

SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 2_000
DEFAULT_ROW_BYTES = 64
MOST_PASSES = 6


@dataclass(frozen=True)
class Sample:
    """What the beginning of an input suggests: the kinds to begin with, and how wide a row is."""

    layout: Layout
    row_bytes: int


def sample(given: Input, names: Sequence[str], nulls: tuple[str, ...], tolerance: float, limit: int) -> Sample:
    """A first guess from the beginning of one input: all columns text, then whatever the sample allows."""
    texts = Layout(tuple(Column(name, Kind.TEXT) for name in names), nulls)
    block = next(text_blocks(given, limit, SAMPLE_BYTES), None)
    if block is None:
        return Sample(texts, DEFAULT_ROW_BYTES)
    found = texts_of(block, given, texts)
    columns = tuple(Column(name, _sampled(found[name].slice(0, SAMPLE_ROWS), tolerance)) for name in names)
    rows = max((len(values) for values in found.values()), default=1)
    return Sample(Layout(columns, nulls), max(1, len(block.data) // max(rows, 1)))


def look(given: Input, names: Sequence[str], nulls: tuple[str, ...], limit: int) -> None:
    """Raise what a run would raise over the beginning of an input: of a small one, all of it."""
    if given.format is Format.PARQUET:
        return
    texts = Layout(tuple(Column(name, Kind.TEXT) for name in names), nulls)
    for block in islice(text_blocks(given, limit, SAMPLE_BYTES), 2):
        texts_of(block, given, texts)


def texts_of(block: Block, given: Input, layout: Layout) -> dict[str, pa.Array]:
    """The columns of a block as they are written."""
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
        refused: dict[Kind, int] = {column.kind: tally.bad}
        if (wider := WIDER.get(column.kind)) is not None:
            refused[wider] = tally.wider_bad
        return choose(tally.present, refused, tolerance)
    if column.name in found.closed:
        return Kind.TEXT
    return choose(tally.present, found.guesses.get(column.name, {}), tolerance)


def closed_too_early(found: Pass, tolerance: float) -> frozenset[str]:
    """Text columns that an estimate gave up on, though what they refused by then is little of the whole.

    A packed file is longer than its size says: those columns are tried again in full.
    """
    return frozenset(name for name, least in found.closed.items() if least <= tolerance * found.tallies[name].present)
