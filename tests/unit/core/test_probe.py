"""What a file says of itself before anything is decided: format, delimiter, header."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout
from studentsuccess.core.probe import Probe, clean_header, probe
from studentsuccess.core.stream import StreamSettings, stream
from studentsuccess.errors import ContractError, ExitCode, UsageError


class Look:
    """Probes a file of these bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, data: bytes | str, encoding: str = "auto", delimiter: str = "auto") -> Probe:
        path = self._folder / "t.csv"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return probe(path, "t.csv", encoding, delimiter)


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)


def _rows(found: Probe) -> list[tuple[object, ...]]:
    layout = Layout(tuple(Column(name, Kind.TEXT) for name in found.names), ())
    return [
        tuple(row.values())
        for parsed in stream([found.given], layout, StreamSettings())
        for row in parsed.batch.to_pylist()
    ]


@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_delimiter_is_found_by_itself(look: Look, mark: str, end: str) -> None:
    rows = [["id", "name", "score"], ["1", "Ann, the first", "3.5"], ["2", "x;y", "4"], ["3", "p|q", "5"]]
    text = end.join(mark.join(f'"{cell}"' if not cell.isalnum() else cell for cell in row) for row in rows) + end
    found = look(text)
    assert found.given.dialect.delimiter == mark
    assert found.names == ("id", "name", "score")
    assert _rows(found) == [tuple(row) for row in rows[1:]]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("a\tb\n1,2\t3,4\n5,6\t7,8\n", "\t"),
        ("a,b\n1;2,3\n4;5,6\n", ","),
        ("a|b,c|d\n1|2,3|4\n", "|"),
        ('a,b\n"x;y;z","1"\n"p;q;r","2"\n', ","),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", ","),
        ("a;b;c\n1;2;3\n\n\n4;5;6", ";"),
    ],
)
def test_other_marks_in_the_cells_do_not_mislead(look: Look, text: str, mark: str) -> None:
    assert look(text).given.dialect.delimiter == mark


@pytest.mark.parametrize("text", ["id\n1\n2\n", "id\n", "id", 'name\n"a,b"\n"c,d"\n'])
def test_a_single_column_is_a_table_too(look: Look, text: str) -> None:
    assert len(look(text).names) == 1


@pytest.mark.parametrize("line", ["sep=;\n", "sep=;\r\n", "SEP=;\n"])
def test_a_line_for_spreadsheets_names_the_delimiter_and_is_no_header(look: Look, line: str) -> None:
    found = look(f"{line}a;b,c\n1;2\n")
    assert found.names == ("a", "b,c")
    assert _rows(found) == [("1", "2")]


def test_the_delimiter_asked_for_wins(look: Look) -> None:
    assert look("a;b,c\n1;2,3\n", delimiter=",").names == ("a;b", "c")
    assert look("sep=;\na;b,c\n1;2,3\n", delimiter="comma").names == ("a;b", "c")
    assert look("a\tb\n", delimiter="tab").names == look("a\tb\n", delimiter="\\t").names == ("a", "b")
    assert look("a|b\n", delimiter="PIPE").names == ("a", "b")


@pytest.mark.parametrize("asked", ["", ",,", '"', "\n", "é"])
def test_a_delimiter_that_can_be_none_is_refused(look: Look, asked: str) -> None:
    with pytest.raises(UsageError, match="the delimiter must be one character"):
        look("a,b\n", delimiter=asked)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (" id , name\t,na  me", ("id", "name", "na me")),
        ('"id","first\nname"', ("id", "first name")),
        ("id,,", ("id", "column_2", "column_3")),
        ("\ufeffid,\ufeffname", ("id", "name")),
        ("Größe,日本", ("Größe", "日本")),
        ('"say ""hi""",b', ('say "hi"', "b")),
    ],
)
def test_headers_are_cleaned_and_the_originals_kept(look: Look, header: str, names: tuple[str, ...]) -> None:
    found = look(f"{header}\n{','.join('1' * len(names))}\n")
    assert found.names == names
    assert len(found.originals) == len(names)
    assert clean_header(found.originals) == names


@settings(max_examples=200, deadline=None)
@given(header=st.lists(st.text(max_size=6), max_size=5))
def test_a_cleaned_header_is_clean_and_has_no_empty_name(header: list[str]) -> None:
    names = clean_header(header)
    assert len(names) == len(header)
    assert all(name and name == name.strip() and not set(name) & set("\t\r\n\ufeff") for name in names)
    assert clean_header(names) == names


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,name,id", "`id` twice"),
        ("id, id", "`id` twice"),
        ("id,e,e", "`e` twice"),  # Python has one object for each such letter
        ("id,ID", "`ID` beside `id`, which differs only in case"),
    ],
)
def test_a_duplicate_header_is_named(look: Look, header: str, words: str) -> None:
    with pytest.raises(ContractError) as found:
        look(f"{header}\n1,2,3\n")
    assert found.value.message == f"t.csv: line 1: the header has {words}"
    assert found.value.code == ExitCode.CONTRACT


def test_a_duplicate_field_of_json_lines_that_differs_in_case_is_named_too(look: Look) -> None:
    with pytest.raises(ContractError, match="the table has `ID` beside `id`"):
        look('{"id": 1}\n{"ID": 2}\n')


@pytest.mark.parametrize("data", [b"", b"\n\n", b"  \r\n", codecs.BOM_UTF8, gzip.compress(b"", mtime=0)])
def test_nothing_is_said_to_be_empty(look: Look, data: bytes) -> None:
    with pytest.raises(ContractError, match=r"^t\.csv: is empty$"):
        look(data)


def test_blank_lines_before_the_header_count_for_nothing(look: Look) -> None:
    found = look("\n\r\n\na,b\n\n1,2\n")
    assert found.names == ("a", "b")
    assert _rows(found) == [("1", "2")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_content_is_seen_through_encoding_and_compression(look: Look, encoding: str, pack: object) -> None:
    data = pack("größe;n\n1;2\n".encode(encoding))  # type: ignore[operator]
    found = look(data)
    assert (found.names, found.given.format) == (("größe", "n"), Format.CSV)
    assert _rows(found) == [("1", "2")]


def test_json_lines_are_known_by_their_first_brace(look: Look) -> None:
    found = look('\n {"b": 1}\n{"a": null, "b": 2}\n')
    assert (found.given.format, found.names) == (Format.JSON_LINES, ("b", "a"))


def test_a_parquet_file_is_known_by_its_content_and_brings_its_kinds(look: Look, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1], "t": ["x"]}), tmp_path / "p")
    found = look((tmp_path / "p").read_bytes())
    assert (found.given.format, found.kinds) == (Format.PARQUET, {"n": Kind.INTEGER, "t": Kind.TEXT})


def test_two_columns_of_one_name_in_parquet_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["e", "e"]), path)
    with pytest.raises(ContractError, match="the table has `e` twice"):
        probe(path, "t.parquet")


def test_a_damaged_parquet_file_is_named(look: Look) -> None:
    with pytest.raises(ContractError, match=r"^t\.csv: is a damaged Parquet file"):
        look(b"PAR1" + b"\0" * 40)


def test_a_wide_table_is_probed_by_its_header_alone(look: Look) -> None:
    names = [f"c{number}" for number in range(3_000)]
    found = look(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert found.names == tuple(names)
