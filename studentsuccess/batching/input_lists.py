"""Lists in a cell: JSON, `{a,b}` or `a;b`, with or without quotes around the items.

Plain ones, which nearly all are, are taken apart by the column; the rest one by one, exactly.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.batching.instance import Codes, Flags, Ints

_JSON = r'^\["[^"\\]+"(, ?"[^"\\]+")*\]$'
_BRACES = r'^\{[^\s"\'\\{},]+(,[^\s"\'\\{},]+)*\}$'
_PLAIN = r'^[^\s"\'\[\]{}\\;]+(;[^\s"\'\[\]{}\\;]+)*$'
_ENDS = {"[": "]", "{": "}"}
_NULLS = frozenset({"", "NULL", "null", "None"})
_MAY_BE_NULL = "(?i)null|none"


@dataclass(frozen=True)
class Split:
    """The items of each cell, in the order they are written: those of cell i are items[start[i]:start[i + 1]].

    A cell that is no list has none, and is marked in `bad`; so has a missing one, which is not.
    """

    start: Ints
    items: Codes
    labels: pa.Array
    bad: Flags


def split_lists(cells: pa.Array) -> Split:
    """Every cell of a column taken apart."""
    coded = cells.dictionary_encode()
    distinct = _split(coded.dictionary.cast(pa.string()))
    rows = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _spread(distinct, rows)


def _spread(distinct: Split, rows: Ints) -> Split:
    """The lists of distinct texts as those of the rows that have them."""
    if not len(distinct.bad):
        return Split(
            np.zeros(len(rows) + 1, np.int64), np.zeros(0, np.int32), distinct.labels, np.zeros(len(rows), bool)
        )
    present = rows >= 0
    lengths = np.where(present, np.diff(distinct.start)[rows], 0)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    at = np.repeat(distinct.start[:-1][rows] - start[:-1], lengths) + np.arange(start[-1])
    return Split(start, distinct.items[at], distinct.labels, present & distinct.bad[rows])


def _split(texts: pa.Array) -> Split:
    cells, lengths, items = [], [], []
    left = np.ones(len(texts), bool)
    plain = ~_matching(texts, _MAY_BE_NULL)
    for pattern, brackets, mark in ((_JSON, 2, '","'), (_BRACES, 1, ","), (_PLAIN, 0, ";")):
        mine = np.flatnonzero(left & plain & _matching(texts, pattern))
        left[mine] = False
        bodies = pc.utf8_slice_codeunits(texts.take(pa.array(mine)), brackets, -brackets or None)
        lists = pc.split_pattern(pc.replace_substring(bodies, '", "', '","'), mark)
        cells.append(mine)
        lengths.append(pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64))
        items.append(lists.flatten())
    slow = np.flatnonzero(left)
    read = [read_list(text) for text in texts.take(pa.array(slow)).to_pylist()]
    cells.append(slow)
    lengths.append(np.array([len(found or ()) for found in read], np.int64))
    items.append(pa.array([item for found in read for item in found or ()], pa.string()))
    bad = np.zeros(len(texts), bool)
    bad[slow] = [found is None for found in read]
    return _in_order(np.concatenate(cells), np.concatenate(lengths), pa.concat_arrays(items), bad)


def _in_order(cells: Ints, lengths: Ints, items: pa.Array, bad: Flags) -> Split:
    """Lists that were read kind by kind, put in the order of their cells."""
    coded = items.dictionary_encode()
    order = np.argsort(np.repeat(cells, lengths), kind="stable")
    counts = np.zeros(len(bad), np.int64)
    counts[cells] = lengths
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Split(start, coded.indices.to_numpy(zero_copy_only=False)[order].astype(np.int32), coded.dictionary, bad)


def _matching(texts: pa.Array, pattern: str) -> Flags:
    return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), bool)


def read_list(text: str) -> tuple[str, ...] | None:
    """The items of one list, or None where it is none."""
    body = text.strip()
    if body.startswith("["):
        try:
            return _scalars(json.loads(body, parse_int=str, parse_float=str, parse_constant=str))
        except (ValueError, RecursionError):
            pass  # other quotes than JSON has, or none
    end = _ENDS.get(body[:1])
    if end is None:
        return _items(body, ";") if body[-1:] not in _ENDS.values() else None
    return _items(body[1:-1], ",") if len(body) > 1 and body.endswith(end) else None


def _scalars(found: list[object]) -> tuple[str, ...] | None:
    """The items of a JSON list; what is neither text nor number is no item."""
    if not all(item is None or isinstance(item, str) for item in found):
        return None
    texts = [item.strip() for item in found if isinstance(item, str)]
    return tuple(item for item in texts if item)


def _items(body: str, mark: str) -> tuple[str, ...] | None:
    """Items between marks. In quotes an item may hold anything; a quote is written `\\"` or `""`."""
    item = re.compile(
        rf"""\s*(?:"(?P<double>(?:[^"\\]|\\.|"")*)"|'(?P<single>(?:[^'\\]|\\.|'')*)'|(?P<bare>[^{mark}"\[\]{{}}]*?))"""
        rf"""\s*(?P<end>{mark}|$)""",
        re.DOTALL,
    )
    found, at = [], 0
    while at <= len(body):
        match = item.match(body, at)
        if match is None:
            return None
        found.append(_item(match))
        at = match.end()
        if not match["end"]:
            break
    return tuple(text for text in found if text)


def _item(match: re.Match[str]) -> str:
    for name, quote in (("double", '"'), ("single", "'")):
        if (text := match[name]) is not None:
            return re.sub(r"\\(.)", r"\1", text.replace(quote * 2, quote), flags=re.DOTALL).strip()
    bare = match["bare"].strip()
    return "" if bare in _NULLS else bare


def looks_like_lists(cells: pa.Array) -> bool:
    """Whether a column that nobody described holds lists: every present value stands in brackets or braces."""
    texts = cells.drop_null()
    return len(texts) > 0 and bool(_matching(texts, r"^\s*(\[(.|\n)*\]|\{(.|\n)*\})\s*$").all())
