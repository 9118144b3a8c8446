"""A stream is cut anywhere, and still every record is whole, in order, on its own line, and no byte is lost."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from csv_texts import LINE, PIECES
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.blocks import Block, cut, read_blocks
from studentsuccess.core.origin import Origin
from studentsuccess.core.stream import records_of, skip_records
from studentsuccess.errors import ContractError, ExitCode

EXAMPLES = examples(5_000, daily=150)
FOREVER = 10**6
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def walk(text: str, delimiter: str = ",") -> tuple[list[tuple[int, str]], int | None]:
    """An oracle of its own: line and raw text of each record, and the line of a quote that is never closed."""
    records, raw, state = [], "", "start"
    line = start = 1
    opened = None
    for char in re.findall(r"\r\n|.", text, re.DOTALL):
        ends = char in ("\n", "\r", "\r\n")
        if state == "quoted":
            state = "closed" if char == '"' else state
        elif char == '"' and state in ("start", "closed"):
            opened = line if state == "start" else opened
            state = "quoted"
        elif char == delimiter:
            state = "start"
        elif not ends:
            state = "plain"
        elif raw:
            records.append((start, raw))
        line += ends
        if ends and state != "quoted":
            raw, state, start = "", "start", line
        else:
            raw += char
    return ([*records, (start, raw)] if raw else records), opened if state == "quoted" else None


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _cut(text: str, size: int, limit: int = FOREVER) -> list[Block]:
    return list(cut(_chunks(text.encode(), size), Origin(Path("t.csv"), "t.csv"), ord(","), limit))


def _records(blocks: list[Block]) -> list[tuple[int, str]]:
    found = []
    for block in blocks:
        records = records_of(block, quoted=True)
        found += [records.place(index) for index in range(len(records))]
    return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS, size=st.integers(1, 64))
@example(text='a,b\r\n"x""\r\ny"\r\n', size=1)
@example(text='a"\r\rb', size=3)
def test_whatever_the_blocks_are_the_records_are_those_of_the_whole_text(text: str, size: int) -> None:
    expected, opened = walk(text)
    if opened is not None:
        with pytest.raises(ContractError) as problem:
            _cut(text, size)
        assert problem.value.message == f't.csv: line {opened}: a quote (") is opened here and never closed'
        return
    blocks = _cut(text, size)
    assert b"".join(block.data for block in blocks) == text.encode()
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert not any(block.last for block in blocks[:-1])
    assert _records(blocks) == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS)
def test_the_oracle_itself_agrees_with_pythons_csv(text: str) -> None:
    records, opened = walk(text)
    fields = [record for record in csv.reader(LINE.findall(text)) if record]
    assert [next(csv.reader(LINE.findall(raw))) for _, raw in records] == fields
    swallowed = list(csv.reader(LINE.findall(text + "\n\x1e")))[-1] != ["\x1e"]
    assert (opened is not None) == swallowed


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=TEXTS, size=st.integers(1, 64), count=st.integers(1, 3))
def test_skipping_the_header_leaves_the_other_records_on_their_lines(text: str, size: int, count: int) -> None:
    expected, opened = walk(text)
    if opened is not None:
        return
    rest, left = [], count
    for block in _cut(text, size):
        kept, left = skip_records(block, left) if left else (block, 0)
        rest.append(kept)
    assert _records([block for block in rest if block.data]) == expected[count:]
    assert left == max(0, count - len(expected))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_unterminated_quote_names_the_line_that_opens_it(size: int, end: str) -> None:
    text = end.join(["a,b", '"x', 'y",2', '3,"open', "4,5", "6,7", ""])
    with pytest.raises(ContractError, match=r'^t\.csv: line 4: a quote \("\) is opened here'):
        _cut(text, size)


def test_an_unterminated_quote_in_a_long_file_is_named_before_the_whole_file_is_in_memory() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'a,b\n1,"open\n'
        for _ in range(1000):
            taken += 1
            yield b"2,3\n" * 100

    with pytest.raises(ContractError, match=r"line 2: a quote"):
        list(cut(endless(), Origin(Path("t.csv"), "t.csv"), ord(","), 4_000))
    assert taken < 20


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    size=st.integers(1, 400),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoted=st.booleans(),
)
@example(lengths=[5, 40, 5], size=400, end="\n", quoted=False)
def test_a_record_above_the_limit_is_refused_wherever_the_blocks_are_cut(
    lengths: list[int], size: int, end: str, quoted: bool
) -> None:
    limit = 30
    records = ['"' + "\n" * (length - 2) + '"' if quoted and length > 1 else "x" * length for length in lengths]
    text = end.join([*records, ""])
    longest = max(lengths)
    if longest > limit:
        line = 1 + sum(len(LINE.findall(one + end)) for one in records[: [n > limit for n in lengths].index(True)])
        with pytest.raises(ContractError, match=f"line {line}: (a record is longer than the limit of|a quote)"):
            _cut(text, size, limit)
    elif longest < limit:
        assert b"".join(block.data for block in _cut(text, size, limit)) == text.encode()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_field_of_three_megabytes_is_refused_with_its_line(tmp_path: Path, place: str) -> None:
    rows = ["1,2\n"] * 3
    rows[["first", "middle", "last"].index(place)] = "1," + "x" * 3_000_000 + "\n"
    path = tmp_path / "wide.csv"
    path.write_text("a,b\n" + "".join(rows))
    line = 2 + ["first", "middle", "last"].index(place)
    with pytest.raises(
        ContractError, match=rf"^wide\.csv: line {line}: a record is longer than the limit of 2 MB"
    ) as found:
        list(read_blocks(Origin(path, "wide.csv"), ord(","), 2_000_000))
    assert found.value.code == ExitCode.CONTRACT
    assert "etl.max_record=5MB" in found.value.hint


def test_a_file_without_a_last_line_end_says_that_its_last_block_is_the_last() -> None:
    assert [block.last for block in _cut("a\nb\nc", 2)][-1]
    assert not any(block.last for block in _cut("a\nb\n", 2))


def test_an_empty_file_has_no_blocks() -> None:
    assert _cut("", 8) == []


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(text=TEXTS, size=st.integers(1, 64))
def test_without_a_delimiter_each_line_is_a_record_and_quotes_mean_nothing(text: str, size: int) -> None:
    blocks = list(cut(_chunks(text.encode(), size), Origin(Path("t"), "t"), None, FOREVER))
    found = []
    for block in blocks:
        records = records_of(block, quoted=False)
        found += [records.place(index) for index in range(len(records))]
    lines = enumerate((line.rstrip("\r\n") for line in LINE.findall(text)), 1)
    assert found == [(number, line) for number, line in lines if line]
