"""Bytes come in many wrappings and encodings; after this door they are UTF-8 without a mark, digested as they were."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.origin import Origin, decode, decompressed, first_bytes, read_block, reading
from studentsuccess.errors import ContractError, ExitCode, SsError

EXAMPLES = examples(2_000, daily=50)
TEXT = "id,name\n1,Zoë\n2,物理\r\n" + "".join(f"{n},x{n}\n" for n in range(500))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("origin")


def _read(path: Path, encoding: str = "auto", block: int = 64) -> tuple[str, Origin]:
    origin = Origin(path, path.name, encoding)
    with reading(origin) as raw:
        return b"".join(decode(decompressed(raw, origin), origin, block)).decode(), origin


def _file(folder: Path, data: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def pack_zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip of several members": lambda data: (
        gzip.compress(data[:700], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(data[700:], mtime=0)
    ),
    "zstd": pack_zstd,
    "zstd of several frames": lambda data: pack_zstd(data[:700]) + pack_zstd(data[700:]),
}
ENCODINGS = {
    "UTF-8": ("auto", b"", "utf-8"),
    "UTF-8 with a mark": ("auto", codecs.BOM_UTF8, "utf-8"),
    "UTF-16 LE with a mark": ("auto", codecs.BOM_UTF16_LE, "utf-16-le"),
    "UTF-16 BE with a mark": ("auto", codecs.BOM_UTF16_BE, "utf-16-be"),
    "UTF-16 LE as asked": ("utf-16", b"", "utf-16-le"),
    "UTF-16 BE by its mark, as asked": ("utf-16", codecs.BOM_UTF16_BE, "utf-16-be"),
    "UTF-16 BE as asked": ("utf-16-be", b"", "utf-16-be"),
    "UTF-8 as asked": ("utf-8-sig", codecs.BOM_UTF8, "utf-8"),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_wrapping_and_encoding_gives_the_same_text(tmp_path: Path, packing: str, encoding: str) -> None:
    asked, mark, codec = ENCODINGS[encoding]
    data = PACKINGS[packing](mark + TEXT.encode(codec))
    path = _file(tmp_path, data, "no-telling-name")
    text, origin = _read(path, asked)
    assert text == TEXT
    assert (origin.fact().size, origin.fact().sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_second_pass_over_an_origin_reads_and_digests_the_same(tmp_path: Path) -> None:
    path = _file(tmp_path, codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"))
    origin = Origin(path, "t.csv")
    for _ in range(2):
        with reading(origin) as raw:
            assert b"".join(decode(decompressed(raw, origin), origin, 100)).decode() == TEXT
        assert origin.fact().sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert origin.progress == path.stat().st_size


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\0"), min_size=4),
    size=st.integers(1, 9),
)
def test_characters_cut_by_a_block_are_whole_again(folder: Path, text: str, size: int) -> None:
    for codec, mark in (("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE)):
        path = _file(folder, mark + text.encode(codec))
        assert _read(path, block=size + len(mark))[0] == text


def test_latin_1_is_read_on_request(tmp_path: Path) -> None:
    path = _file(tmp_path, "id,name\n1,Zoë\n".encode("latin-1"))
    assert _read(path, "latin-1")[0] == "id,name\n1,Zoë\n"
    assert _read(path, "cp1252")[0] == "id,name\n1,Zoë\n"


@pytest.mark.parametrize(
    ("data", "encoding", "message", "hint"),
    [
        (
            TEXT[:40].encode("utf-16-le"),
            "auto",
            "t.csv: looks like UTF-16; use --encoding",
            "`ss etl t.csv --encoding utf-16`",
        ),
        ("id,name\n1,x\n".encode("utf-16-be"), "auto", "t.csv: looks like UTF-16; use --encoding", "--encoding utf-16"),
        (
            "ab\n".encode("utf-16") + b"c",
            "auto",
            "t.csv: the last character is not complete utf-16-le",
            "copy it again",
        ),
        (b"ab\x81\n", "cp1252", "t.csv: byte 2 is not valid cp1252", "--encoding latin-1"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-20], "auto", "t.csv: the compressed file is cut off", "copy it again"),
        (gzip.compress(TEXT.encode(), mtime=0)[:12], "auto", "t.csv: the compressed file is cut off", "copy it again"),
        (pack_zstd(TEXT.encode() * 9)[:-9], "auto", "compressed file", "copy it again"),
        (gzip.compress(TEXT.encode(), mtime=0)[:30] + b"\0" * 40, "auto", "t.csv: ", "copy it again"),
        (b"\x28\xb5\x2f\xfdnot really", "auto", "t.csv: is a damaged compressed file", "copy it again"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "auto", "t.csv: is an Excel file", "CSV UTF-8"),
        (b"PAR1....", "auto", "t.csv: is a Parquet file where text was expected", ""),
    ],
)
def test_what_cannot_be_read_is_named_with_a_way_out(
    tmp_path: Path, data: bytes, encoding: str, message: str, hint: str
) -> None:
    with pytest.raises(ContractError) as found:
        _read(_file(tmp_path, data), encoding)
    assert message in found.value.message
    assert hint in found.value.hint
    assert found.value.code == ExitCode.CONTRACT
    assert "\n" not in found.value.message


@pytest.mark.parametrize(
    ("member", "message"), [("xl/workbook.xml", "t.csv: is an Excel file"), ("data.csv", "t.csv: is a ZIP archive")]
)
def test_a_workbook_is_told_from_an_archive_by_what_is_in_it(tmp_path: Path, member: str, message: str) -> None:
    path = tmp_path / "t.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(ContractError) as found:
        _read(path)
    assert found.value.message == message


def test_an_unknown_encoding_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(SsError, match="unknown encoding `klingon`") as found:
        _read(_file(tmp_path, b"a\n"), "klingon")
    assert found.value.code == ExitCode.USAGE


@pytest.mark.parametrize(("name", "message"), [("gone.csv", "gone.csv: not there"), (".", "is a folder")])
def test_a_path_that_is_no_file_is_a_mistake_of_usage(tmp_path: Path, name: str, message: str) -> None:
    origin = Origin(tmp_path / name, name)
    with pytest.raises(SsError, match=message) as found, reading(origin):
        pass
    assert found.value.code == ExitCode.USAGE


@pytest.mark.posix
def test_a_file_that_may_not_be_read_is_a_matter_of_storage(tmp_path: Path) -> None:
    path = _file(tmp_path, b"a\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(SsError, match=r"t\.csv: can't be read: permission denied") as found:
        _read(path)
    assert found.value.code == ExitCode.STORAGE


def test_an_input_error_while_reading_is_a_matter_of_storage(tmp_path: Path) -> None:
    path = _file(tmp_path, b"a\n")
    with (
        pytest.raises(SsError, match=r"t\.csv: can't be read: input/output error") as found,
        reading(Origin(path, "t.csv")),
    ):
        raise OSError(5, "Input/output error", str(path))
    assert found.value.code == ExitCode.STORAGE


@pytest.mark.parametrize("text", ["", "a", "é", "id\n", "\0\0a", "aé" * 3])
def test_short_and_odd_texts_are_not_taken_for_utf16(tmp_path: Path, text: str) -> None:
    assert _read(_file(tmp_path, text.encode()))[0] == text


def test_a_slow_stream_still_gives_full_blocks() -> None:
    class Slow(io.RawIOBase):
        left = b"abcdefghij"

        def read(self, size: int = -1) -> bytes:
            piece, self.left = self.left[: min(size, 3)], self.left[min(size, 3) :]
            return piece

    slow = Slow()
    assert [read_block(slow, 4), read_block(slow, 4), read_block(slow, 4)] == [b"abcd", b"efgh", b"ij"]  # type: ignore[arg-type]


def test_the_first_bytes_tell_a_format(tmp_path: Path) -> None:
    assert first_bytes(_file(tmp_path, b"PAR1xxxxxxx"), 4) == b"PAR1"
