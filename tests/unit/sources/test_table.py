"""A table of anyone's: named, typed, its repeats settled, and every note true."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading import load_module

from studentsuccess.config.values import RejectLimit
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetter, read_dead_letters
from studentsuccess.core.grammar import Kind
from studentsuccess.core.parallel import Engine
from studentsuccess.core.probe import probe
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.core.stream import StreamSettings
from studentsuccess.errors import ContractError, ExitCode, UsageError
from studentsuccess.sources.landed import SPREADSHEET_ROWS, Landed, Places, Reading, TooManyRejectsError, enforce_limit
from studentsuccess.sources.table import Dataset, dataset_name, group, land

NULLS = ("", "?", "NA", "NULL")
GOLDEN = Path(__file__).parents[2] / "golden"


class Lander:
    """Lands files the way that `ss etl` does, without a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str | bytes) -> list[Path]:
        paths = []
        for name, content in files.items():
            path = self.folder / f"{name}.csv"
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            paths.append(path)
        return paths

    def group(self, paths: Sequence[Path], name: str | None = None, ids: Sequence[str] = ()) -> tuple[Dataset, ...]:
        return group([probe(path, path.name) for path in paths], name, ids, None)

    def __call__(self, paths: Sequence[Path], ids: Sequence[str] = (), duplicates: str = "auto") -> Landed:
        (dataset,) = self.group(paths, ids=ids)
        stream = StreamSettings(block_bytes=1 << 14, engine=Engine("threads", 2))
        reading = Reading(stream, NULLS, 0.01, RejectLimit(share=1), duplicates)
        places = Places("r", self.folder / "staging", self.folder / "dlq", self.folder / "datasets")
        return land(dataset, reading, places, SilentReporter())


@pytest.fixture
def lander(tmp_path: Path) -> Lander:
    return Lander(tmp_path)


def _rows(landed: Landed) -> list[dict[str, Any]]:
    return [row for file in landed.files for row in pq.read_table(file.temp).to_pylist()]


def _letters(landed: Landed) -> list[DeadLetter]:
    return list(read_dead_letters(landed.letters.temp)) if landed.letters.count else []


def _kinds(landed: Landed) -> dict[str, Kind]:
    return {column.name: column.kind for column in landed.layout.columns}


def test_files_with_one_header_are_one_dataset_in_any_order_of_its_columns(lander: Lander) -> None:
    landed = lander(lander.write(a="id,name\n1,x\n", b="name,id\ny,2\nz,bad\n"))
    assert _rows(landed)[:2] == [{"id": "1", "name": "x"}, {"id": "2", "name": "y"}]
    assert landed.counts == Counts(3, 3, 0, 0)
    assert landed.name == "a"


def test_files_with_different_headers_are_datasets_named_after_their_files(lander: Lander) -> None:
    found = lander.group(lander.write(students="id,name\n1,x\n", grades="id,grade\n1,2\n"))
    assert [one.name for one in found] == ["students", "grades"]


def test_one_name_for_two_headers_is_refused(lander: Lander) -> None:
    paths = lander.write(a="id,name\n1,x\n", b="id,grade\n1,2\n")
    with pytest.raises(UsageError, match="2 different headers"):
        lander.group(paths, name="both")


def test_two_files_that_would_take_one_name_are_refused(lander: Lander) -> None:
    (lander.folder / "deeper").mkdir()
    other = lander.folder / "deeper" / "A.csv"
    other.write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match="two files with different headers would both become the dataset"):
        lander.group([*lander.write(a="id,name\n1,x\n"), other])


@pytest.mark.parametrize("wanted", ["nmae", "zzz"])
def test_a_column_that_is_not_there_is_refused_with_the_nearest(lander: Lander, wanted: str) -> None:
    with pytest.raises(UsageError, match=f"there is no column `{wanted}` for `--id`") as found:
        lander.group(lander.write(a="id,name\n1,x\n"), ids=[wanted])
    assert found.value.hint == ("did you mean `name`?" if wanted == "nmae" else "its columns begin with id, name")


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("exports/Student Data (2024).csv", "Student_Data_2024"),
        ("C:\\data\\x.CSV.GZ", "x"),
        ("stdin", "stdin"),
        ("../..", "dataset"),
        ("données.jsonl", "données"),
        (".csv", "dataset"),
        ("a.b.parquet", "a_b"),
        ("x" * 300 + ".csv", "x" * 80),
    ],
)
def test_a_dataset_is_named_after_its_file_safely(shown: str, name: str) -> None:
    assert dataset_name(shown) == name


def test_the_types_of_a_file_are_those_of_the_whole_of_it_and_the_rest_is_rejected(lander: Lander) -> None:
    rows = [
        f"{n},{n}.5,{'2024-01-01' if n % 2 else ''},{n:03d},{'true' if n % 3 else 'false'}" for n in range(1, 2_001)
    ]
    rows[1_500] = "x" + rows[1_500]
    landed = lander(lander.write(t="id,d,day,code,ok\n" + "\n".join(rows) + "\n"))
    assert list(_kinds(landed).values()) == [Kind.INTEGER, Kind.DECIMAL, Kind.DATE, Kind.TEXT, Kind.BOOLEAN]
    (letter,) = _letters(landed)
    assert (letter.source, letter.reject.line, letter.reject.column) == ("t.csv", 1_502, "id")
    assert (letter.reject.reason, letter.reject.raw) == ("not a whole number", rows[1_500])
    assert landed.counts == Counts(2_000, 1_999, 1, 0)


def test_with_an_id_repeats_go_and_contradictions_are_rejected(lander: Lander) -> None:
    landed = lander(lander.write(a="id,v\n1,a\n2,b\n1,a\n3,c\n", b="id,v\n2,B\n3,c\n,x\n"), ids=["id"])
    assert [row["id"] for row in _rows(landed)] == [1, 3]
    assert landed.counts == Counts(7, 2, 3, 2)
    assert [(one.source, one.reject.line, one.reject.raw) for one in _letters(landed)] == [
        ("b.csv", 4, ",x"),
        ("a.csv", 3, "2,b"),
        ("b.csv", 2, "2,B"),
    ]
    assert any("2 rows share an id" in note for note in landed.notes)


@pytest.mark.parametrize(("duplicates", "kept"), [("auto", 3), ("keep", 3), ("drop", 2)])
def test_without_an_id_repeats_are_kept_and_said_unless_asked(lander: Lander, duplicates: str, kept: int) -> None:
    landed = lander(lander.write(a="v,w\n1,\n2,\n1,\n"), duplicates=duplicates)
    assert landed.counts == Counts(3, kept, 0, 3 - kept)
    assert landed.repeats == 1
    assert any("repeat" in note and "--id" in note for note in landed.notes) is (kept == 3)


def test_rows_of_nothing_but_nulls_repeat_each_other(lander: Lander) -> None:
    landed = lander(lander.write(a="v,w\n,\nNA,?\n1,2\n"), duplicates="drop")
    assert (landed.counts, _rows(landed)[0]) == (Counts(3, 2, 0, 1), {"v": None, "w": None})


def test_original_headers_are_kept_beside_the_clean_ones(lander: Lander) -> None:
    landed = lander(lander.write(a="\ufeff id ,first\tname,plain\n1,x,y\n"))
    schema = pq.read_schema(landed.files[0].temp)
    assert schema.names == ["id", "first name", "plain"]
    assert schema.field("id").metadata[b"original"] == b" id "
    assert schema.field("first name").metadata[b"original"] == b"first\tname"
    assert b"original" not in (schema.field("plain").metadata or {})


def test_a_decimal_comma_is_named(lander: Lander) -> None:
    landed = lander(lander.write(a="id;score\n" + "".join(f"{n};{n},5\n" for n in range(50))))
    assert _kinds(landed)["score"] is Kind.TEXT
    assert any("`score` is text, because its numbers are written with a comma" in note for note in landed.notes)


def test_a_column_of_codes_is_not_taken_for_decimal_commas(lander: Lander) -> None:
    landed = lander(lander.write(a="id;name\n1;x\n2;y\n"))
    assert landed.notes == ()


def test_exactly_a_spreadsheet_of_rows_is_said(lander: Lander) -> None:
    landed = lander(lander.write(a="n,m\n" + "1,2\n" * SPREADSHEET_ROWS), duplicates="keep")
    assert any("a spreadsheet's limit: rows are probably missing" in note for note in landed.notes)
    assert landed.counts.kept == SPREADSHEET_ROWS


def test_more_rows_than_one_file_takes_come_back_in_order(lander: Lander) -> None:
    landed = lander(lander.write(a="n\n" + "".join(f"{n}\n" for n in range(300_000))), ids=["n"])
    assert [row["n"] for row in _rows(landed)] == list(range(300_000))


@pytest.mark.parametrize("name", ["__hash", "index", "select", "a b", "ÄÖ", "place"])
def test_a_column_may_have_any_name(lander: Lander, name: str) -> None:
    landed = lander(lander.write(a=f"{name},other\n1,x\n1,x\n2,y\n"), duplicates="drop")
    assert _rows(landed) == [
        {name: "1" if _kinds(landed)[name] is Kind.TEXT else 1, "other": "x"},
        {name: 2, "other": "y"},
    ]


def test_parquet_and_json_lines_land_like_csv(lander: Lander) -> None:
    rows = [{"id": n, "x": n / 4, "t": f"é{n}"} for n in range(1, 40)]
    pq.write_table(pa.Table.from_pylist(rows), lander.folder / "p.parquet")
    (lander.folder / "j.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (lander.folder / "c.csv").open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, ["id", "x", "t"])
        writer.writeheader()
        writer.writerows(rows)
    for name in ("p.parquet", "j.jsonl", "c.csv"):
        landed = lander([lander.folder / name], ids=["id"])
        assert _rows(landed) == rows
        assert landed.counts == Counts(39, 39, 0, 0)


def test_too_many_rejects_refuse_the_load_and_say_what_would_allow_it(lander: Lander) -> None:
    landed = lander(lander.write(a="id,v\n1,x\n1,y\n2,z\n"), ids=["id"])
    given = {"a": landed.counts}, {"a": landed.letters}
    enforce_limit(given[0], RejectLimit(count=2), given[1])
    enforce_limit(given[0], RejectLimit(share=0.67), given[1])
    for limit in (RejectLimit(count=1), RejectLimit(share=0.66)):
        with pytest.raises(TooManyRejectsError, match=r"a: 2 of 3 rows rejected .* nothing was loaded") as found:
            enforce_limit(given[0], limit, given[1])
        assert found.value.code == ExitCode.CONTRACT
        assert "--max-rejects 67%" in found.value.hint


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone_is_no_table(lander: Lander, text: str) -> None:
    with pytest.raises(ContractError, match="0 data rows"):
        lander(lander.write(t=text))


def _dirty() -> ModuleType:
    return load_module("dirty_for_table", Path(__file__).parents[2] / "bench" / "dirty.py")


@pytest.mark.parametrize("ids", [[], ["id"]])
def test_a_dirty_table_of_unknown_types_gives_exactly_its_truth(lander: Lander, ids: list[str]) -> None:
    dirty = _dirty()
    path = lander.folder / "dirty.csv"
    truth_path = lander.folder / "dirty.truth.csv"
    dirty.write_dirty(path, truth_path, 30_000, 9)
    landed = lander([path], ids=ids, duplicates="drop")
    totals = dirty.read_totals(truth_path)
    assert landed.counts == Counts(totals.read, totals.kept, totals.rejected, totals.duplicate)
    assert [(one.reject.line, one.reject.column, one.reject.raw) for one in _letters(landed)] == [
        (one.line, one.column, one.raw) for one in dirty.read_truth(truth_path)
    ]
    rows = _rows(landed)
    for name, wanted in totals.sums.items():
        assert sum(row[name] or 0 for row in rows) == wanted
    for name, wanted in totals.present.items():
        assert sum(row[name] is not None for row in rows) == wanted


@pytest.mark.parametrize("source", sorted(GOLDEN.glob("*.csv")), ids=lambda path: path.stem)
def test_an_awkward_file_gives_its_golden_rows(lander: Lander, source: Path) -> None:
    landed = lander([source])
    expected = json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))
    found = {
        "kinds": {name: kind.value for name, kind in _kinds(landed).items()},
        "rows": [
            [
                None if value is None else repr(value) if isinstance(value, float) else str(value)
                for value in row.values()
            ]
            for row in _rows(landed)
        ],
        "rejected": [
            [one.reject.line, one.reject.column, one.reject.reason, one.reject.raw] for one in _letters(landed)
        ],
    }
    assert found == expected
