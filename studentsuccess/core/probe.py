"""A look at the beginning of a file: its format, encoding, delimiter and header, before anything is decided."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.core.extract import Dialect
from studentsuccess.core.formats import Format, json_fields, parquet_kinds
from studentsuccess.core.grammar import Kind
from studentsuccess.core.origin import PARQUET, Origin, decode, decompressed, first_bytes, reading
from studentsuccess.core.stream import Input
from studentsuccess.errors import UsageError

HEAD_BYTES = 1 << 20
DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 50
_SEPARATOR_LINE = re.compile(r"^sep=(.)\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Probe:
    """What a file says of itself: how to read it, its columns, and their original spelling."""

    given: Input
    originals: tuple[str, ...]
    kinds: dict[str, Kind] | None = None
    has_rows: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return self.given.dialect.names


def probe(path: Path, shown: str, encoding: str = "auto", delimiter: str = "auto") -> Probe:
    """Recognise one file. Broken contracts that show in the first megabyte are raised here already."""
    origin = Origin(path, shown, encoding)
    head, whole = _head(origin)
    if first_bytes(path).startswith(PARQUET):
        kinds = parquet_kinds(origin)
        names = tuple(name for name, _ in kinds)
        _refuse_duplicates(names, origin, "the table")
        return Probe(Input(origin, Format.PARQUET, Dialect(",", names)), names, dict(kinds))
    if not head.strip():
        raise origin.error("is empty", "export the file again, or leave it out")
    if head.lstrip()[:1] == b"{":
        names = tuple(json_fields(_lines(origin)))
        _refuse_duplicates(names, origin, "the table")
        return Probe(Input(origin, Format.JSON_LINES, Dialect(",", names), header_records=0), names)
    return _probe_csv(head.decode("utf-8", "replace"), whole, origin, delimiter)


def _head(origin: Origin) -> tuple[bytes, bool]:
    """The first megabyte as UTF-8, and whether that is all."""
    with reading(origin) as raw:
        if first_bytes(origin.path).startswith(PARQUET):
            return b"", False
        blocks = decode(decompressed(raw, origin), origin, HEAD_BYTES)
        head = next(blocks, b"")
        return head, len(head) < HEAD_BYTES // 4 and not next(blocks, b"")


def _lines(origin: Origin) -> Iterator[str]:
    with reading(origin) as raw:
        rest = b""
        for block in decode(decompressed(raw, origin), origin, HEAD_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
        yield rest.decode("utf-8", "replace")


def _probe_csv(text: str, whole: bool, origin: Origin, delimiter: str) -> Probe:
    header_records = 1
    if found := _SEPARATOR_LINE.match(text):
        delimiter = found.group(1) if delimiter == "auto" else delimiter
        text, header_records = text[found.end() :], 2
    mark = _delimiter(text, whole, delimiter)
    header = next(iter(_records(text, mark, 1)), [])
    names = clean_header(header)
    _refuse_duplicates(names, origin, "line 1: the header")
    given = Input(origin, Format.CSV, Dialect(mark, names), header_records)
    return Probe(given, tuple(header), has_rows=not whole or len(_records(text, mark, 2)) > 1)


def _delimiter(text: str, whole: bool, asked: str) -> str:
    named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}.get(asked.lower(), asked)
    if named != "auto":
        if len(named) != 1 or named in '"\r\n' or not named.isascii():
            raise UsageError(f"the delimiter must be one character, not `{asked}`", "try `,` `;` `|` or `tab`")
        return named
    sample = text if whole else text[: text.rfind("\n") + 1] or text
    return max(DELIMITERS, key=lambda mark: _fit(sample, mark))


def _fit(sample: str, mark: str) -> tuple[float, int]:
    """How well a delimiter explains the sample: the share of records that agree on more than one field."""
    widths = Counter(len(record) for record in _records(sample, mark, SAMPLE_RECORDS))
    if not widths:
        return 0.0, 0
    header = len(next(iter(_records(sample, mark, 1)), []))
    width, agreeing = max(widths.items(), key=lambda item: (item[1], item[0]))
    if header <= 1:
        return 0.0, 0
    share = widths[header] / widths.total()
    return max(share, 0.5 * agreeing / widths.total() if width > 1 else 0.0), header


def _records(text: str, mark: str, most: int) -> list[list[str]]:
    """The first records of a text that are not blank."""
    csv.field_size_limit(1 << 30)
    lines = re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+$", text[: 1 << 18])
    reader = csv.reader(iter(lines), delimiter=mark)
    found: list[list[str]] = []
    for record in reader:
        if record:
            found.append(record)
        if len(found) == most:
            break
    return found


def clean_header(header: Sequence[str]) -> tuple[str, ...]:
    """Column names as people mean them: no mark, no blanks around, no tabs or line ends, never empty."""
    cleaned = (re.sub(r"\s+", " ", name.replace("\ufeff", "")).strip() for name in header)
    return tuple(name or f"column_{position}" for position, name in enumerate(cleaned, 1))


def _refuse_duplicates(names: Sequence[str], origin: Origin, where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (first := seen.get(name.casefold())) is not None:
            same = "twice" if first == name else f"beside `{first}`, which differs only in case"
            raise origin.error(f"{where} has `{name}` {same}", "rename one of the two columns")
        seen[name.casefold()] = name
