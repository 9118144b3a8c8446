"""A dead letter keeps the rejected text to the letter, because a person will mend it and send it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.deadletters import HEADER, DeadLetter, DeadLetters, read_dead_letters
from studentsuccess.core.layout import Reject
from studentsuccess.errors import ContractError, ExitCode

EXAMPLES = examples(3_000, daily=120)
# A carriage return stands in a rejected row only between quotes: elsewhere it ends the row.
RAW = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20) | st.sampled_from(
    [
        'a,"b',
        '"a\nb"',
        '"a\r\nb"',
        '"x\ry"',
        "=cmd|'/c calc'!A0",
        " lead",
        "tail ",
        "é,物理",
        '""',
        "",
        "\ufeffx",
        "a\tb",
        "\\,\\",
    ]
)
LETTERS = st.lists(
    st.builds(
        DeadLetter,
        st.sampled_from(["a.csv", 'folder/it\'s, "b".csv']),
        st.builds(Reject, st.integers(1, 10**12), st.sampled_from(["", "id", "a, b"]), st.just("not a number"), RAW),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("letters")


def _write(folder: Path, letters: list[DeadLetter]) -> Path:
    sink = DeadLetters(folder / ".x.csv.part", folder / "x.csv")
    for letter in letters:
        sink.add(letter.source, [letter.reject])
    sink.close()
    assert sink.count == len(letters)
    return sink.temp


@settings(max_examples=EXAMPLES, deadline=None)
@given(letters=LETTERS)
@example(letters=[DeadLetter("a", Reject(1, "", "r", '"a\rb"'))])
def test_letters_come_back_to_the_letter(folder: Path, letters: list[DeadLetter]) -> None:
    assert list(read_dead_letters(_write(folder, letters))) == letters


def test_a_very_wide_row_comes_back_whole(tmp_path: Path) -> None:
    letters = [DeadLetter("a.csv", Reject(2, "x", "r", "w" * 1_900_000))]
    assert list(read_dead_letters(_write(tmp_path, letters))) == letters


def test_without_a_reject_there_is_no_file(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "new" / "t", tmp_path / "t.csv")
    letters.add("a.csv", [])
    letters.close()
    assert (letters.count, list(tmp_path.iterdir())) == (0, [])


def test_letters_can_be_added_after_a_close_only_by_starting_again(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "t", tmp_path / "t.csv")
    letters.add("a.csv", [Reject(1, "", "r", "old")])
    letters.restart()
    assert (letters.count, letters.temp.exists()) == (0, False)
    letters.add("a.csv", [Reject(2, "", "r", "new")])
    letters.close()
    assert [one.reject.raw for one in read_dead_letters(letters.temp)] == ["new"]


def test_letters_that_come_in_parts_are_all_kept(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "t", tmp_path / "t.csv")
    letters.add("a.csv", [Reject(1, "", "r", "first")])
    letters.close()
    letters.add("a.csv", [Reject(2, "", "r", "second")])
    letters.close()
    assert [one.reject.raw for one in read_dead_letters(letters.temp)] == ["first", "second"]


def _mended(folder: Path, data: str | bytes) -> Path:
    path = folder / "m.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_file_that_a_spreadsheet_saved_again_is_read(tmp_path: Path) -> None:
    path = _mended(tmp_path, '\ufeffsource,line,column,reason,raw\r\na.csv,7,x,why,"1,2"\r\n')
    assert list(read_dead_letters(path)) == [DeadLetter("a.csv", Reject(7, "x", "why", "1,2"))]


@pytest.mark.parametrize("line", ["", "x", "²", "-1"])
def test_a_line_number_that_is_none_gives_way_to_the_place_in_this_file(tmp_path: Path, line: str) -> None:
    path = _mended(tmp_path, f"{','.join(HEADER)}\na.csv,{line},x,why,raw\n")
    assert [one.reject.line for one in read_dead_letters(path)] == [2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is not a dead-letter file"),
        ("a,b\n1,2\n", "is not a dead-letter file"),
        ("source;line;column;reason;raw\n", "is not a dead-letter file"),
        ("source,line,column,reason,raw\na.csv,1,x,why,1,2\n", "line 2: 6 fields, expected 5"),
        ("source,line,column,reason,raw\na.csv,1,x,why,ok\na.csv\n", "line 3: 1 fields, expected 5"),
        (b"source,line,column,reason,raw\na.csv,1,x,why,Zo\xeb\n", "not valid UTF-8"),
    ],
)
def test_a_file_that_was_mended_too_much_is_refused_with_its_name(
    tmp_path: Path, data: str | bytes, message: str
) -> None:
    with pytest.raises(ContractError, match=rf"^m\.csv: .*{message}") as found:
        list(read_dead_letters(_mended(tmp_path, data)))
    assert found.value.code == ExitCode.CONTRACT
    assert found.value.hint
