"""Lists in a cell: `["a","b"]`, `{a,b}` or `a;b`, items in quotes or not."""

from __future__ import annotations

import json

import numpy as np

from studentsuccess.batching.checker.tables import Column, Ints

_NO_ITEM = {"", "NULL", "null", "None"}
_QUOTES = "\"'"


def items_of(cell: str) -> list[str]:
    """The items of one list, those that are empty or null left out. What is no list has none."""
    body = cell.strip()
    if body.startswith("["):
        found = _json(body)
        return _plain(body[1:-1], ",") if found is None else found
    if body.startswith("{"):
        return _plain(body[1:-1], ",")
    return _plain(body, ";")


def _json(body: str) -> list[str] | None:
    try:
        found = json.loads(body, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return [one.strip() for one in found if isinstance(one, str) and one.strip()]


def _plain(body: str, mark: str) -> list[str]:
    """Letter by letter. In quotes, which a backslash or a second one escapes, the mark is a letter like any other."""
    found: list[str] = []
    item, quoted, at = "", False, 0
    while at < len(body):
        letter = body[at]
        if letter in _QUOTES and not item.strip() and not quoted:
            item, at = _quoted(body, at)
            quoted = True
            continue
        if letter == mark:
            found += _kept(item, quoted)
            item, quoted = "", False
        elif not quoted:
            item += letter
        at += 1
    return found + _kept(item, quoted)


def _quoted(body: str, at: int) -> tuple[str, int]:
    """The text of the quotes that open at `at`, and where they are closed."""
    quote, text = body[at], ""
    at += 1
    while at < len(body):
        if body[at] == "\\" and at + 1 < len(body):
            text += body[at + 1]
            at += 2
        elif body[at] == quote and body[at + 1 : at + 2] == quote:
            text += quote
            at += 2
        elif body[at] == quote:
            return text, at + 1
        else:
            text += body[at]
            at += 1
    return text, at


def _kept(item: str, quoted: bool) -> list[str]:
    text = item.strip()
    return [text] if text and (quoted or text not in _NO_ITEM) else []


def looks_like_lists(column: Column) -> bool:
    """Whether every value stands in brackets or braces."""
    ends = [(label.strip()[:1], label.strip()[-1:]) for label in column.labels]
    return bool(ends) and all(pair in {("[", "]"), ("{", "}")} for pair in ends)


def pairs_of(column: Column, places: dict[str, int] | None = None) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Rows and items of a column of lists, each once, by row; items by their place, those without one left out."""
    known = dict(places or {})
    lists = [[_place(item, known, places is None) for item in items_of(label)] for label in column.labels]
    lengths = np.array([len(one) for one in lists] + [0], np.int64)
    start = np.cumsum(lengths) - lengths
    flat = np.array([item for one in lists for item in one], np.int64)
    rows = np.repeat(np.arange(len(column.codes)), lengths[column.codes])
    first = np.cumsum(lengths[column.codes]) - lengths[column.codes]
    at = np.arange(len(rows)) - np.repeat(first, lengths[column.codes]) + start[column.codes][rows]
    found = flat[at] if len(at) else np.zeros(0, np.int64)
    rows, found = once(rows[found >= 0], found[found >= 0], len(known))
    return rows, found, tuple(known)


def _place(item: str, known: dict[str, int], learn: bool) -> int:
    return known.setdefault(item, len(known)) if learn else known.get(item, -1)


def once(rows: Ints, items: Ints, many: int) -> tuple[Ints, Ints]:
    """Each pair once, by row, then by item."""
    width = max(many, 1)
    keys = np.sort(rows * width + items)
    keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
    return keys // width, keys % width
