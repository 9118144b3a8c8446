"""The benchmark's truth, held against Python's csv module and a grammar written down a second time."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from loading import load_module

INTEGER = re.compile(r"-?[0-9]{1,18}")
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?")
NULLS = {"", "NA", "?", "NULL"}


dirty = load_module("dirty_under_test", Path(__file__).with_name("dirty.py"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of more than one chunk; its truth stands beside it."""
    path = tmp_path_factory.mktemp("dirty") / "table.csv"
    dirty.write_dirty(path, path.with_suffix(".truth.csv"), dirty.CHUNK + 20_000, 3)
    return path


def _records(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """The physical line, the raw text and the fields of every record, as Python's csv reads them."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        with path.open(encoding="utf-8", newline="") as source:
            for line in source:
                taken.append(line)
                yield line

    reader, line = csv.reader(lines()), 1
    for fields in reader:
        yield line, "".join(taken).removesuffix("\n"), fields
        taken.clear()
        line = reader.line_num + 1


def _bad_column(fields: list[str]) -> str:
    for name, text in zip(dirty.COLUMNS, fields, strict=True):
        grammar = DECIMAL if name in dirty.DECIMALS else INTEGER
        if name in dirty.NUMBERS and text not in NULLS and not grammar.fullmatch(text):
            return str(name)
    return ""


def test_every_reject_stands_in_the_truth_with_its_physical_line_and_text(table: Path) -> None:
    found = []
    for line, raw, fields in list(_records(table))[1:]:
        if len(fields) != len(dirty.COLUMNS):
            found.append(dirty.Rejected(line, raw, "ragged", ""))
        elif column := _bad_column(fields):
            found.append(dirty.Rejected(line, raw, "value", column))
    assert found == dirty.read_truth(table.with_suffix(".truth.csv"))
    assert {one.kind for one in found} == {"ragged", "value"}


def test_the_totals_balance_and_count_what_a_plain_reader_counts(table: Path) -> None:
    totals = dirty.read_totals(table.with_suffix(".truth.csv"))
    seen: set[str] = set()
    read = repeats = points = 0
    for _, raw, fields in list(_records(table))[1:]:
        read += 1
        if len(fields) != len(dirty.COLUMNS) or _bad_column(fields):
            continue
        repeats += raw in seen
        value = fields[dirty.COLUMNS.index("points")]
        points += int(value) if raw not in seen and value not in NULLS else 0
        seen.add(raw)
    assert (read, len(seen), repeats) == (totals.read, totals.kept, totals.duplicate)
    assert totals.read == totals.kept + totals.rejected + totals.duplicate
    assert points == totals.sums["points"]


def test_an_id_stands_for_one_content_only(table: Path) -> None:
    contents: dict[str, str] = {}
    for _, raw, fields in list(_records(table))[1:]:
        if len(fields) == len(dirty.COLUMNS) and not _bad_column(fields):
            assert contents.setdefault(fields[0], raw) == raw


def test_line_numbers_and_record_numbers_differ(table: Path) -> None:
    records = list(_records(table))
    assert records[-1][0] > len(records) * (1 + dirty.TWO_LINES / 2)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        dirty.write_dirty(tmp_path / name, tmp_path / f"{name}.truth.csv", 2_000, seed)
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second
    assert first != other
