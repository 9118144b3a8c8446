"""Records are found by the parity of quotes; Python's csv module and a walk byte by byte say whether that is right."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest
from csv_texts import LINE, PIECES
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.lines import as_bytes, has_stray_quotes, line_ends, locate, scan_records

EXAMPLES = examples(5_000, daily=120)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def records_by_csv(text: str, delimiter: str = ",") -> Iterator[tuple[int, str, list[str]]]:
    """Physical line, raw text and fields of every record that is not blank, as Python's csv reads the whole text."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in LINE.findall(text):
            taken.append(line)
            yield line

    reader, line = csv.reader(lines(), delimiter=delimiter), 1
    for fields in reader:
        raw = "".join(taken)
        raw = raw[:-2] if raw.endswith("\r\n") else raw[:-1] if raw.endswith(("\r", "\n")) else raw
        if raw:
            yield line, raw, fields
        taken.clear()
        line = reader.line_num + 1


def never_closed(text: str, delimiter: str = ",") -> bool:
    """Whether the last quoted field swallows what comes after it."""
    return list(csv.reader(LINE.findall(text + "\n\x1e"), delimiter=delimiter))[-1:] != [["\x1e"]]


def _stray(text: str, *, at_end: bool) -> bool:
    return has_stray_quotes(text.encode(), ord(","), at_end=at_end)


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS, first_line=st.integers(1, 10**9))
@example(text='"a\r\n\r"\r', first_line=1)
@example(text="\r\n\r\r\n\n", first_line=7)
def test_every_record_of_a_clean_block_has_its_physical_line_and_its_own_text(text: str, first_line: int) -> None:
    if _stray(text, at_end=True):
        return
    block = text.encode()
    found = locate(block, first_line)
    ours = [found.place(index) for index in range(len(found))]
    assert ours == [(line + first_line - 1, raw) for line, raw, _ in records_by_csv(text)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS)
def test_the_slow_walk_ends_records_where_python_does_and_finds_the_quote_left_open(text: str) -> None:
    block = text.encode()
    ends, opened = scan_records(block, ord(","))
    assert (opened >= 0) == never_closed(text)
    if opened >= 0:
        assert block[opened : opened + 1] == b'"'
        return
    starts = [0, *(end + 1 for end in ends)]
    stops = [*(end + 1 for end in ends), len(block)]
    pieces = [block[start:stop].decode() for start, stop in zip(starts, stops, strict=True)]
    raws = [re.sub(r"(\r\n|\r|\n)\Z", "", piece) for piece in pieces]
    assert [raw for raw in raws if raw] == [raw for _, raw, _ in records_by_csv(text)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS)
def test_a_text_without_stray_quotes_is_closed(text: str) -> None:
    assert not (never_closed(text) and not _stray(text, at_end=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.text(alphabet="a\r\n", max_size=20))
def test_a_lone_cr_a_lone_lf_and_a_pair_are_one_line_end_each(text: str) -> None:
    block = text.encode()
    ends = line_ends(block, as_bytes(block)).tolist()
    assert ends == [found.end() - 1 for found in re.finditer(r"\r\n|\r|\n", text)]


@pytest.mark.parametrize(
    ("text", "stray"),
    [
        ('a,"b",c\n', False),
        ('"a""b"\n', False),
        ('"a\n""b"\n', False),
        ('""\n', False),
        ('a"b\n', True),
        ('"a"b\n', True),
        ('a, "b"\n', True),
        ('"a" ,b\n', True),
        ('a,"b', True),
    ],
)
def test_a_quote_is_stray_where_it_neither_opens_nor_closes_nor_escapes(text: str, stray: bool) -> None:
    assert _stray(text, at_end=True) is stray


def test_a_block_that_may_go_on_has_no_stray_quote_at_its_end() -> None:
    assert not _stray('a,"b', at_end=False)


def test_raw_text_that_is_no_utf8_is_shown_and_not_lost() -> None:
    found = locate(b"a,\xff\nb\n", 1)
    assert [found.raw(index) for index in (0, 1)] == ["a,�", "b"]
