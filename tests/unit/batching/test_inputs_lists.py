"""Lists in a cell, in all three ways of writing them, held against a reading that goes letter by letter."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.batching.input_fields import coded_lists, unique
from studentsuccess.batching.input_lists import looks_like_lists, read_list, split_lists

ITEMS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6).map(
    str.strip
)
LISTS = st.lists(ITEMS.filter(bool), max_size=5)
SOUP = st.lists(st.sampled_from([*"ab ,;[]{}\"'\\\n", "NULL"]), max_size=12).map("".join)


def _read(cells: list[str | None]) -> list[tuple[str, ...] | None]:
    split = split_lists(pa.array(cells, pa.string()))
    items = split.labels.take(pa.array(split.items)).to_pylist()
    rows = [tuple(items[start:end]) for start, end in zip(split.start[:-1], split.start[1:], strict=True)]
    assert all(not row for row, bad in zip(rows, split.bad, strict=True) if bad)
    return [None if bad else row for row, bad in zip(rows, split.bad, strict=True)]


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ('["a","b"]', ("a", "b")),
        ('[ "a" , "b c" ]', ("a", "b c")),
        ("{a,b}", ("a", "b")),
        ('{"a,x",b}', ("a,x", "b")),
        ('{"say \\"hi\\"",b}', ('say "hi"', "b")),
        ("a;b", ("a", "b")),
        (" a ; b ", ("a", "b")),
        ('"a;x";b', ("a;x", "b")),
        ('"a";"say ""hi"""', ("a", 'say "hi"')),
        ("['a', 'b']", ("a", "b")),
        ("[a,b]", ("a", "b")),
        ("[101, 2.50]", ("101", "2.50")),
        ("a", ("a",)),
        ("O'Neil;b", ("O'Neil", "b")),
        ("a;;b;", ("a", "b")),
        ("{a,NULL}", ("a",)),
        ("[null]", ()),
        ('["NULL"]', ("NULL",)),
        ("[]", ()),
        ("{}", ()),
        ("", ()),
        ("a,b", ("a,b",)),
        ('["a","a"]', ("a", "a")),
    ],
)
def test_all_ways_to_write_a_list(cell: str, items: tuple[str, ...]) -> None:
    assert read_list(cell) == items
    assert _read([None, cell, cell]) == [(), items, items]


@pytest.mark.parametrize(
    "cell", ["[", '["a"', "{a", "a]", "a}", '[["a"]]', '[{"a": 1}]', "[true]", '{"a}', '"a', "{a}b"]
)
def test_what_is_no_list_is_said_and_has_no_items(cell: str) -> None:
    assert read_list(cell) is None
    assert _read([cell, "a;b"]) == [None, ("a", "b")]


@given(LISTS)
def test_json_comes_back_whatever_it_holds(items: list[str]) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        for ascii_only in (False, True):
            assert read_list(json.dumps(items, separators=separators, ensure_ascii=ascii_only)) == tuple(items)


@given(LISTS)
def test_quoted_items_in_braces_come_back(items: list[str]) -> None:
    quoted = ["".join("\\" + letter if letter in '"\\' else letter for letter in item) for item in items]
    assert read_list("{" + ",".join(f'"{item}"' for item in quoted) + "}") == tuple(items)


@given(st.lists(st.one_of(st.none(), SOUP, LISTS.map(json.dumps)), max_size=8))
@settings(deadline=None)
def test_a_column_is_taken_apart_as_each_cell_is(cells: list[str | None]) -> None:
    """The quick way by patterns gives what the letter-by-letter reading gives, in the cells' order."""
    assert _read(cells) == [() if cell is None else read_list(cell) for cell in cells]


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=6), max_size=6))
def test_coded_lists_are_sets_in_order(rows: list[list[str]]) -> None:
    found = coded_lists(split_lists(pa.array([json.dumps(row) for row in rows], pa.string())), "abd")
    bounds = zip(found.start[:-1], found.start[1:], strict=True)
    items = [[found.labels[item] for item in found.items[start:end]] for start, end in bounds]
    assert items == [sorted(set(row) & set("abd")) for row in rows]


@given(st.lists(st.integers(-50, 50)))
def test_unique_is_the_sorted_set(keys: list[int]) -> None:
    import numpy as np

    assert unique(np.array(keys, np.int64)).tolist() == sorted(set(keys))


@pytest.mark.parametrize(
    ("cells", "are"),
    [(["[]", None, "{a}"], True), (["[1]", "x"], False), ([None], False), (["a;b"], False), (["[a]\n", "{\n}"], True)],
)
def test_brackets_around_everything_make_a_column_lists(cells: list[str | None], are: bool) -> None:
    assert looks_like_lists(pa.array(cells, pa.string())) is are
