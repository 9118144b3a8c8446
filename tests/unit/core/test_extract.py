"""A block taken apart: whichever of the three ways it goes, the fields are those that Python's csv reads."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from csv_texts import LINE, LINE_ENDS, QUOTES
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.blocks import Block, cut
from studentsuccess.core.extract import Dialect, check_bytes, extract_csv, split
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Extracted, Layout
from studentsuccess.core.origin import Origin
from studentsuccess.errors import ContractError, ExitCode

EXAMPLES = examples(5_000, daily=150)
NAMES = ("a", "b")
ORIGIN = Origin(Path("t.csv"), "t.csv")
PIECES = ["a", "1", " ", "é", "\ufeff", ",", ",", "\n", *LINE_ENDS, *QUOTES, "0x"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def _layout(*kinds: Kind, nulls: tuple[str, ...] = ("", "NA")) -> Layout:
    return Layout(tuple(Column(name, kind) for name, kind in zip("abc", kinds, strict=False)), nulls)


def _extract(
    text: str, layout: Layout, size: int = 1 << 20, typed: bool = False, delimiter: str = ","
) -> list[Extracted]:
    data = text.encode()
    chunks = (data[at : at + size] for at in range(0, len(data), size))
    dialect = Dialect(delimiter, layout.names)
    chosen = frozenset(layout.names if typed else ())
    blocks = cut(chunks, ORIGIN, ord(delimiter), 10**6)
    return [extract_csv(block, ORIGIN, dialect, layout, chosen) for block in blocks]


def _rows(pieces: list[Extracted]) -> list[tuple[object, ...]]:
    return [row for piece in pieces for row in zip(*(one.to_pylist() for one in piece.columns.values()), strict=True)]


def _ragged(pieces: list[Extracted]) -> list[tuple[int, str, str]]:
    return [(*piece.locate(record), why) for piece in pieces for record, why in piece.ragged]


def _reference(text: str) -> tuple[list[list[str]], list[tuple[int, str, str]], bool]:
    """Rows of two fields, the others with line, text and reason, and whether the file looks cut off."""
    taken: list[str] = []

    def lines() -> object:
        for line in LINE.findall(text):
            taken.append(line)
            yield line

    reader, line = csv.reader(lines()), 1  # type: ignore[arg-type]
    rows, ragged, cut_off = [], [], False
    for fields in reader:
        raw = re.sub(r"(\r\n|\n|\r)\Z", "", "".join(taken))
        if raw and len(fields) == len(NAMES):
            rows.append(fields)
        elif raw:
            ragged.append((line, raw, f"{len(fields)} field{'s' if len(fields) != 1 else ''}, expected 2"))
        if raw:
            cut_off = len(fields) < len(NAMES) and not "".join(taken).endswith(("\n", "\r"))
        taken.clear()
        line = reader.line_num + 1
    return rows, ragged, cut_off


def _closed(text: str) -> bool:
    return list(csv.reader(LINE.findall(text + "\n\x1e")))[-1:] == [["\x1e"]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS, size=st.integers(1, 64))
@example(text="a,b\n\ufeff1,2\n", size=4)
@example(text='"a",x"\r"b,\n', size=64)
def test_fields_lines_and_ragged_rows_are_those_of_pythons_csv(text: str, size: int) -> None:
    if not _closed(text):
        return
    rows, ragged, cut_off = _reference(text)
    layout = _layout(Kind.TEXT, Kind.TEXT, nulls=())
    if cut_off:
        with pytest.raises(ContractError, match=r"last row has \d+ of 2 fields: the file looks cut off"):
            _extract(text, layout, size)
        return
    pieces = _extract(text, layout, size)
    assert _rows(pieces) == [tuple(row) for row in rows]
    assert _ragged(pieces) == ragged
    assert sum(piece.records for piece in pieces) == len(rows) + len(ragged)


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS, size=st.integers(1, 64), delimiter=st.sampled_from([";", "\t", "|"]))
def test_every_delimiter_is_read_like_a_comma(text: str, size: int, delimiter: str) -> None:
    rows, _, cut_off = _reference(text)
    if not _closed(text) or cut_off:
        return
    layout = _layout(Kind.TEXT, Kind.TEXT, nulls=())
    found = _rows(_extract(text.replace(",", delimiter), layout, size, delimiter=delimiter))
    assert found == [tuple(field.replace(",", delimiter) for field in row) for row in rows]


@pytest.mark.parametrize("cell", ["0x1F", "007", '"007"', " 007", "\t00", "1e999", "NaN", "inf", "9" * 19, "1" * 16])
def test_a_number_that_only_a_parser_would_take_comes_as_text(cell: str) -> None:
    layout = _layout(Kind.INTEGER if cell[0] == "9" else Kind.DECIMAL, Kind.TEXT)
    pieces = _extract(f"1,x\n{cell},y\n", layout, typed=True)
    assert _rows(pieces) == [("1", "x"), (cell.strip('"'), "y")]


def test_plain_numbers_come_typed_when_they_are_asked_for() -> None:
    pieces = _extract('1,2.5\n"-3",\nNA,1e3\n', _layout(Kind.INTEGER, Kind.DECIMAL), typed=True)
    assert [str(one.type) for one in pieces[0].columns.values()] == ["int64", "double"]
    assert _rows(pieces) == [(1, 2.5), (-3, None), (None, 1000.0)]


def test_null_texts_are_null_quoted_or_not_and_nothing_else_is() -> None:
    text = '"",x\n,x\nNA,x\n"NA",x\nna,x\n NA,x\n'
    for source in (text, text + 'odd"quote,x\n'):
        found = [row[0] for row in _rows(_extract(source, _layout(Kind.TEXT, Kind.TEXT)))]
        assert found[:6] == [None, None, None, None, "na", " NA"]


def test_columns_are_found_by_name_in_any_order_and_others_left_out() -> None:
    block = Block(0, b"1,2,3\n4,5,6\n", 2)
    layout = Layout((Column("z", Kind.TEXT), Column("x", Kind.TEXT)), ())
    for odd in (b"", b'7",8,9\n'):
        whole = Block(0, block.data + odd, 2, ends=(5, 11, 18) if odd else None)
        found = extract_csv(whole, ORIGIN, Dialect(",", ("x", "y", "z")), layout, frozenset())
        assert list(found.columns) == ["z", "x"]
        assert found.columns["z"].to_pylist()[:2] == ["3", "6"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\nx,\xe9t\xe9\n", r"line 11, byte 3: not valid UTF-8 \(0xE9\)"),
        (b"a,b\r\nx,y\r\n\xff,z\r\n", r"line 12, byte 1: not valid UTF-8 \(0xFF\)"),
        ("a,é\rx,\x00\r".encode(), r"line 11, column 3: a NUL byte"),
    ],
)
def test_broken_bytes_are_named_by_their_place_in_the_file(data: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message) as found:
        check_bytes(Block(0, data, 10), ORIGIN)
    assert found.value.code == ExitCode.CONTRACT
    assert "--encoding" in found.value.hint


def test_a_short_last_row_is_an_error_only_without_a_line_end() -> None:
    layout = _layout(Kind.TEXT, Kind.TEXT)
    with pytest.raises(ContractError, match=r"^t\.csv: last row has 1 of 2 fields"):
        _extract("1,2\n3", layout)
    assert _ragged(_extract("1,2\n3\n", layout)) == [(2, "3", "1 field, expected 2")]
    assert _ragged(_extract("1,2\n3,4,5", layout)) == [(2, "3,4,5", "3 fields, expected 2")]


def test_a_record_is_split_even_with_a_very_wide_field() -> None:
    assert split('"' + "x" * 200_000 + '",b', ",") == ["x" * 200_000, "b"]
