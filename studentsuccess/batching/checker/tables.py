"""Files as columns: CSV of any delimiter, UTF-8 or UTF-16, plain or compressed; JSON lines; Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
NULLS = frozenset({"", "?", "NA", "NULL"})
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR = re.compile(r"^sep=(.)\s*$", re.IGNORECASE)
_LONGEST_CELL = 1 << 30
# Characters that are looked at first, and rows that are taken apart at once.
_HEAD, _ROWS = 1 << 16, 1 << 12


@dataclass(frozen=True)
class Column:
    """One text a row, by its place among the labels, which stand in the order of their first row; -1 for none."""

    codes: Ints
    labels: tuple[str, ...]

    def text(self, row: int) -> str:
        code = int(self.codes[row])
        return self.labels[code] if code >= 0 else ""

    def texts(self) -> list[str]:
        known = (*self.labels, "")
        return [known[code] for code in self.codes.tolist()]

    def numbers(self) -> npt.NDArray[np.float64]:
        """NaN where there is no number."""
        values = [_number(label) for label in self.labels] + [float("nan")]
        return np.array(values)[self.codes]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def nothing(rows: int) -> Column:
    """A column without any value."""
    return Column(np.full(rows, -1, np.int64), ())


class _Codes(dict[str, int]):
    """The code of every text that was seen; a new one gets the next."""

    def __init__(self, nulls: frozenset[str]) -> None:
        super().__init__(dict.fromkeys(nulls, -1))
        self.labels: list[str] = []

    def __missing__(self, text: str) -> int:
        self[text] = len(self.labels)
        self.labels.append(text)
        return self[text]


def folded(name: str) -> str:
    """`Student ID` and `student_id[]` are `student_id`."""
    bare = name.replace("\ufeff", "").strip()
    bare = bare[:-2] if bare.endswith("[]") else bare
    return re.sub(r"[\W_]+", "_", bare.casefold()).strip("_") or name


def read_table(
    path: Path, known: Iterable[str] = (), nulls: frozenset[str] = NULLS, wanted: Iterable[str] | None = None
) -> dict[str, Column]:
    """The columns by their folded names, or those of them that are wanted. `known` names help to find the delimiter.

    Records of another width than the header have no place in any column, and are left out.
    """
    names = frozenset(known)
    for encoding, errors in (("utf-8", "strict"), ("utf-8", "surrogateescape"), ("cp1252", "strict")):
        try:
            records = _records(path, names, encoding, errors)
            return _columns(records if errors == "strict" else _valid(records), nulls, wanted)
        except UnicodeError:
            continue
    return _columns(_records(path, names, "latin-1", "strict"), nulls, wanted)


def _valid(records: Iterator[Sequence[str]]) -> Iterator[Sequence[str]]:
    """A header may hold what is no text, in a name that nobody asks for; a row may not."""
    header = next(records, None)
    if header is None:
        return
    yield [name.encode("utf-8", "replace").decode("utf-8") for name in header]
    for row in records:
        "".join(row).encode("utf-8")
        yield row


def _columns(
    records: Iterator[Sequence[str]], nulls: frozenset[str], wanted: Iterable[str] | None
) -> dict[str, Column]:
    header = [folded(name) for name in next(records, ())]
    chosen = frozenset(header if wanted is None else wanted)
    found = {name: (at, array("i"), _Codes(nulls)) for at, name in enumerate(header) if name in chosen}
    width = len(header)
    while rows := list(islice(records, _ROWS)):
        columns = list(zip(*(row for row in rows if len(row) == width), strict=True))
        for at, codes, seen in found.values() if columns else ():
            codes.extend(map(seen.__getitem__, columns[at]))
    return {name: Column(np.array(codes, np.int64), tuple(seen.labels)) for name, (_, codes, seen) in found.items()}


def _records(path: Path, known: frozenset[str], encoding: str, errors: str) -> Iterator[Sequence[str]]:
    """The header, then the rows, as texts."""
    with path.open("rb") as raw:
        start = raw.read(4)
    if start == b"PAR1":
        yield from _parquet(path)
        return
    with _opened(path, start) as stream:
        text = io.TextIOWrapper(stream, _encoding(path, start, encoding), errors, newline="")
        first = text.read(_HEAD) + text.readline()
        if first.lstrip()[:1] == "{":
            yield from _json(chain(io.StringIO(first, newline=""), text))
        else:
            yield from _csv(first, text, known)


def _opened(path: Path, start: bytes) -> BinaryIO:
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    if start == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        return cast(BinaryIO, pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _encoding(path: Path, start: bytes, otherwise: str) -> str:
    with _opened(path, start) as stream:
        mark = stream.read(4)
    if mark.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig" if otherwise == "utf-8" else otherwise


def _csv(first: str, rest: Iterable[str], known: frozenset[str]) -> Iterator[Sequence[str]]:
    csv.field_size_limit(_LONGEST_CELL)
    lines = chain(io.StringIO(first, newline=""), rest)
    top = next(lines, "")
    mark = None
    if found := _SEPARATOR.match(top):
        mark, top = found.group(1), next(lines, "")
    mark = mark or max(_DELIMITERS, key=lambda one: _fit(top, one, known))
    return filter(None, csv.reader(chain([top], lines), delimiter=mark))


def _fit(header: str, mark: str, known: frozenset[str]) -> tuple[int, int]:
    """How many names that we know a delimiter makes of the header, and how many at all."""
    names = next(csv.reader([header], delimiter=mark), [])
    return len({folded(name) for name in names} & known), len(names)


def _json(lines: Iterator[str]) -> Iterator[Sequence[str]]:
    names: list[str] = []
    for line in filter(str.strip, lines):
        row: dict[str, Any] = json.loads(line)
        if not names:
            names = list(row)
            yield names
        yield [_said(row.get(name)) for name in names]


def _parquet(path: Path) -> Iterator[Sequence[str]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    yield file.schema_arrow.names
    for batch in file.iter_batches():
        yield from zip(*([_said(one) for one in column.to_pylist()] for column in batch.columns), strict=True)


def _said(value: object) -> str:
    """A value of JSON or Parquet as a CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
