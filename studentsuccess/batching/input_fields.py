"""Columns as fields of an instance: texts, lists or numbers, coded against ids or against what is there.

What a column is: program, year, semester and preferred shift are texts, languages and courses are lists. Of the others,
one whose present values are all written in brackets or braces is lists, one whose present values are all numbers is
numbers (unless they are too long to be exact), and everything else is text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.batching.input_lists import Split, looks_like_lists, split_lists
from studentsuccess.batching.instance import Codes, Field, Flags, Floats, Ints, Lists, Numbers, Texts
from studentsuccess.core.grammar import Kind, convert, fits

# Whole numbers beyond this are not exact as doubles: they are ids, not measures.
EXACT = 2**53


def coded_texts(column: pa.Array, labels: Sequence[str] | None = None) -> Texts:
    """A column against sorted labels: those given, or its own. What is no label of those given is none."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = coded.dictionary.cast(pa.string())
    chosen = _sorted(distinct) if labels is None else tuple(labels)
    codes = code_of(distinct, chosen)
    return Texts(through(coded, codes), chosen)


def _sorted(texts: pa.Array) -> tuple[str, ...]:
    """By code points, which is the order of the bytes as well."""
    return tuple(sorted(texts.to_pylist()))


def code_of(texts: pa.Array, labels: Sequence[str]) -> Codes:
    """The place of each text among the labels, -1 where it has none."""
    found = pc.index_in(texts, pa.array(labels, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int32)


def through(coded: pa.DictionaryArray, codes: Codes) -> Codes:
    """Each row's code, by the code of the text it stands for; -1 where it has none."""
    rows = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(codes, np.int32(-1))[rows], np.int32)


def coded_lists(split: Split, labels: Sequence[str] | None = None) -> Lists:
    """Lists against sorted labels, each item once and ascending; items that are no label are left out."""
    chosen = _sorted(split.labels) if labels is None else tuple(labels)
    items = code_of(split.labels, chosen)[split.items] if len(split.items) else split.items
    rows = np.repeat(np.arange(len(split.bad)), np.diff(split.start))
    return lists_of(rows[items >= 0], items[items >= 0], len(split.bad), chosen)


def lists_of(rows: npt.NDArray[Any], items: npt.NDArray[Any], count: int, labels: Sequence[str]) -> Lists:
    """Lists from pairs of row and item, in any order and with repeats."""
    width = max(len(labels), 1)
    keys = unique(rows.astype(np.int64) * width + items)
    start = np.searchsorted(keys, np.arange(count + 1, dtype=np.int64) * width)
    return Lists(start.astype(np.int64), (keys % width).astype(np.int32), tuple(labels))


def unique(keys: Ints) -> Ints:
    """Each key once, ascending. numpy's own does it by hashing, which takes ten times as long for millions."""
    if len(keys) < 2:
        return keys
    steps = np.diff(keys)
    if (steps > 0).all():
        return keys
    ordered = np.sort(keys)
    return np.asarray(ordered[np.append(True, ordered[1:] != ordered[:-1])], np.int64)


def taken(field: Field, rows: Ints) -> Field:
    """The same field for some rows, in that order."""
    if isinstance(field, Numbers):
        return Numbers(field.values[rows])
    if isinstance(field, Texts):
        return Texts(field.codes[rows], field.labels)
    lengths = np.diff(field.start)[rows]
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    at = np.repeat(field.start[:-1][rows] - start[:-1], lengths) + np.arange(start[-1])
    return Lists(start, field.items[at], field.labels)


def owners(lists: Lists) -> Ints:
    """The row that each item belongs to."""
    return np.repeat(np.arange(len(lists.start) - 1), np.diff(lists.start))


def guessed(column: pa.Array) -> Field:
    """A column that nobody described."""
    if looks_like_lists(column):
        return coded_lists(split_lists(column))
    present = column.drop_null()
    if len(present) and fits(present, Kind.DECIMAL).all():
        values = as_numbers(column)
        if not (np.abs(values) > EXACT).any():
            return Numbers(values)
    return coded_texts(column)


def as_numbers(column: pa.Array) -> Floats:
    """The numbers of a column, NaN for what is none."""
    values = pc.cast(convert(column, Kind.DECIMAL).values, pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def absent(field: Field) -> Flags:
    """The rows without a value."""
    if isinstance(field, Numbers):
        return np.isnan(field.values)
    if isinstance(field, Texts):
        return np.asarray(field.codes < 0)
    return np.asarray(np.diff(field.start) == 0)
