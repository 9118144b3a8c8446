"""Where bytes come from: a file or stdin, compressed or not, in whatever encoding, digested on the way.

Everything after this module sees UTF-8 bytes without a byte-order mark.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from studentsuccess.core.digest import FileFact
from studentsuccess.errors import ContractError, SsError, StorageError, UsageError

GZIP, ZSTD, PARQUET, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass
class Origin:
    """One input: the file that is read and the name that the user knows it by."""

    path: Path
    shown: str
    encoding: str = "auto"
    progress: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    _size: int = 0

    def fact(self) -> FileFact:
        """Size and digest of what was read: complete once the bytes have been exhausted."""
        return FileFact(self.shown, self._size, self._hash.hexdigest())

    def error(self, message: str, hint: str = "") -> ContractError:
        """A broken contract in this input, named as the user knows it."""
        return ContractError(f"{self.shown}: {message}", hint)

    def start(self) -> None:
        """Forget an earlier pass over the same bytes."""
        self._hash, self._size, self.progress = hashlib.sha256(), 0, 0

    def saw(self, chunk: bytes) -> None:
        """Count and digest raw bytes, before decompression and decoding."""
        self._hash.update(chunk)
        self._size += len(chunk)
        self.progress = self._size


class _Tee(io.RawIOBase):
    """A raw stream that shows its origin every byte that passes."""

    def __init__(self, source: BinaryIO, origin: Origin) -> None:
        self._source, self._origin = source, origin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        chunk = self._source.read(len(view))
        view[: len(chunk)] = chunk
        self._origin.saw(chunk)
        return len(chunk)


@contextmanager
def reading(origin: Origin) -> Iterator[BinaryIO]:
    """The raw bytes of an origin, with the system's refusals in our words."""
    origin.start()
    try:
        source = origin.path.open("rb", buffering=0)
    except FileNotFoundError:
        raise UsageError(f"{origin.shown}: not there", "check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{origin.shown}: is a folder", "name a file in it") from None
    except OSError as problem:
        raise unreadable(origin, problem) from None
    with source:
        try:
            yield cast(BinaryIO, source)
        except OSError as problem:
            if isinstance(problem, gzip.BadGzipFile):
                raise origin.error("is a damaged gzip file", "copy it again from where it came") from None
            if problem.filename is None and problem.errno is None:
                raise origin.error("is a damaged compressed file", "copy it again from where it came") from None
            raise unreadable(origin, problem) from None
        except (EOFError, zlib.error):
            raise origin.error("the compressed file is cut off", "copy it again from where it came") from None


def unreadable(origin: Origin, problem: OSError) -> SsError:
    """What to say of a file that the system does not let us read."""
    if isinstance(problem, PermissionError) or problem.errno is not None:
        reason = problem.strerror or "input or output error"
        return StorageError(f"{origin.shown}: can't be read: {reason.lower()}", "check its permissions and its disk")
    return StorageError(f"{origin.shown}: can't be read", "check its permissions and its disk")


def first_bytes(path: Path, count: int = 8) -> bytes:
    """The magic number of a file, for those who only need to know its kind."""
    with path.open("rb") as source:
        return source.read(count)


class _Plain:
    """An uncompressed stream that shows its origin every byte that passes, without a copy."""

    def __init__(self, source: BinaryIO, origin: Origin) -> None:
        self._source, self._origin = source, origin

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self._origin.saw(chunk)
        return chunk


def decompressed(raw: BinaryIO, origin: Origin) -> BinaryIO:
    """The content of a raw stream: compression is recognised by its bytes, never by the name."""
    head = raw.read(8)
    raw.seek(0)
    if head.startswith(GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(_Tee(raw, origin), 1 << 20)))
    if head.startswith(ZSTD):
        tee = io.BufferedReader(_Tee(raw, origin), 1 << 20)
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(tee, mode="r"), "zstd"))
    refuse_foreign(head, origin)
    return cast(BinaryIO, _Plain(raw, origin))


def refuse_foreign(head: bytes, origin: Origin) -> None:
    """Name the formats that people rename to .csv."""
    if head.startswith(OLD_EXCEL) or (head.startswith(ZIP) and _lists_workbook(origin.path)):
        raise origin.error("is an Excel file", "in Excel: File > Save As > CSV UTF-8, then give that file")
    if head.startswith(ZIP):
        raise origin.error("is a ZIP archive", f"unpack it first: `unzip {origin.shown}`")
    if head.startswith(PARQUET):
        raise origin.error("is a Parquet file where text was expected")


def _lists_workbook(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def decode(source: BinaryIO, origin: Origin, block_bytes: int) -> Iterator[bytes]:
    """UTF-8 blocks of about `block_bytes`, whatever the encoding was; the mark at the start is dropped."""
    head = read_block(source, block_bytes)
    encoding = resolve_encoding(head, origin)
    origin.encoding = encoding
    mark = next((mark for mark, name in BYTE_ORDER_MARKS if name == encoding and head.startswith(mark)), b"")
    head = head[len(mark) :]
    if encoding == "utf-8":
        yield from _blocks(head, source, block_bytes)
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = len(mark)
    for block in _blocks(head, source, block_bytes):
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as problem:
            at = offset + problem.start
            raise origin.error(f"byte {at} is not valid {encoding}", _encoding_hint(origin)) from None
        offset += len(block)
        yield text.encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        raise origin.error(f"the last character is not complete {encoding}", "copy it again from where it came")


def _encoding_hint(origin: Origin) -> str:
    return f"`ss etl {origin.shown} --encoding latin-1` reads Western European exports"


def _blocks(head: bytes, source: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    while head:
        yield head
        head = read_block(source, block_bytes)


def read_block(source: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes unless the stream ends: pipes and decompressors give less at a time."""
    first = source.read(size) or b""
    if len(first) == size or not first:
        return first
    parts, have = [first], len(first)
    while have < size and (more := source.read(size - have)):
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def resolve_encoding(head: bytes, origin: Origin) -> str:
    """The encoding asked for, else the one that the byte-order mark names, else UTF-8."""
    asked = _known_encoding(origin.encoding)
    if asked == "utf-16":
        return "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else "utf-16-le"
    if asked:
        return asked
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if looks_like_utf16(head):
        raise origin.error("looks like UTF-16; use --encoding", f"`ss etl {origin.shown} --encoding utf-16`")
    return "utf-8"


def _known_encoding(name: str) -> str | None:
    if name == "auto":
        return None
    try:
        found = codecs.lookup(name).name
    except LookupError:
        raise UsageError(f"unknown encoding `{name}`", "try utf-8, utf-16, latin-1 or cp1252") from None
    return "utf-8" if found == "utf-8-sig" else found


def looks_like_utf16(head: bytes) -> bool:
    """Every other byte of Western text is NUL in UTF-16."""
    probe = head[:4096]
    even, odd = probe[0::2].count(0), probe[1::2].count(0)
    return len(probe) >= 4 and max(even, odd) > 0.4 * (len(probe) // 2) and min(even, odd) == 0
