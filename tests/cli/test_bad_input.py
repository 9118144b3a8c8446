"""Every kind of broken file that `ss etl` may be given: what is said, the exit code, and that nothing is loaded."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HEADER = b"id,score,name\n"
GOOD = b"".join(b"%d,2,Ada\n" % number for number in range(1000, 1400))
LATIN = HEADER + "1,2,René\n".encode("latin-1")
WIDE = "id,score,name\n1,2,René\n"


@dataclass(frozen=True)
class Case:
    """A file, how it is loaded, and what must be said of it."""

    content: bytes
    says: tuple[str, ...]
    flags: tuple[str, ...] = ()
    code: int = 4
    name: str = "bad.csv"


def workbook() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as inner:
        inner.writestr("rows.csv", "id\n1\n")
    return packed.getvalue()


REFUSED = {
    "zero bytes": Case(b"", ("bad.csv: is empty",)),
    "only blank lines": Case(b"\n\r\n  \n", ("bad.csv: is empty",)),
    "header only": Case(HEADER, ("bad.csv: 0 data rows",)),
    "header only without a line end": Case(HEADER.rstrip(), ("bad.csv: 0 data rows",)),
    "header only, compressed": Case(gzip.compress(HEADER), ("bad.csv: 0 data rows",)),
    "UTF-16 without its mark": Case(
        WIDE.encode("utf-16-le"), ("looks like UTF-16; use --encoding", "--encoding utf-16")
    ),
    "big-endian UTF-16 without its mark": Case(WIDE.encode("utf-16-be"), ("looks like UTF-16; use --encoding",)),
    "latin-1": Case(LATIN, ("line 2, byte 8: not valid UTF-8 (0xE9)", "--encoding latin-1")),
    "latin-1 far down": Case(
        HEADER + GOOD * 100 + b"1,2,Ren\xe9\n", ("line 40002, byte 8: not valid UTF-8", "--encoding latin-1")
    ),
    "NUL": Case(HEADER + b"1,2,a\n2,3,b\x00c\n", ("line 3, column 6: a NUL byte",)),
    "cut mid-row": Case(b"a,b,c,d\n1,2,3,4\n5,6,7", ("last row has 3 of 4 fields", "cut off")),
    "unterminated quote": Case(
        HEADER + b'1,2,a\n2,3,"b\n' + GOOD, ('line 3: a quote (") is opened here and never closed',)
    ),
    "a field of 3 MB": Case(
        HEADER + b"1,2," + b"x" * 3_000_000 + b"\n",
        ("line 2: a record is longer than the limit of 2 MB", "etl.max_record"),
    ),
    "duplicate header": Case(b"id,score,score\n1,2,3\n", ("line 1: the header has `score` twice",)),
    "header that differs in case": Case(b"id,score,Score\n1,2,3\n", ("`Score` beside `score`",)),
    "Excel": Case(workbook(), ("bad.csv: is an Excel file", "CSV UTF-8")),
    "old Excel": Case(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ("bad.csv: is an Excel file",)),
    "ZIP": Case(archive(), ("bad.csv: is a ZIP archive", "unzip")),
    "damaged gzip": Case(gzip.compress(HEADER + GOOD)[:-20], ("bad.csv: the compressed file is cut off",)),
    "damaged Parquet": Case(b"PAR1" + b"\0" * 100, ("bad.csv: is a damaged Parquet file",)),
    "a missing id column": Case(
        HEADER + GOOD, ("there is no column `nmae` for `--id`", "did you mean `name`?"), ("--id", "nmae"), 2
    ),
    "a missing target column": Case(
        HEADER + GOOD, ("there is no column `scor` for `--target`", "did you mean `score`?"), ("--target", "scor"), 2
    ),
    "too many rejects": Case(
        HEADER + GOOD + b"1,2\n" * 5,
        ("bad: 5 of 405 rows rejected (1.2%), more than 1%: nothing was loaded", "--max-rejects 2%"),
    ),
    "too many rejects by count": Case(
        HEADER + GOOD + b"1,2\n" * 3, ("more than 2: nothing was loaded",), ("--max-rejects", "2")
    ),
    "unknown encoding": Case(HEADER + GOOD, ("`etl.encoding` must be",), ("--encoding", "utf-99"), 2),
    "wrong encoding asked for": Case(LATIN, ("bad.csv: byte 21 is not valid ascii",), ("--encoding", "ascii")),
    "delimiter of two characters": Case(HEADER + GOOD, ("`etl.delimiter` must be",), ("--delimiter", "||"), 2),
}


@pytest.fixture(scope="module")
def standing_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that holds a good dataset."""
    import subprocess

    folder = tmp_path_factory.mktemp("standing") / "workspace"
    folder.mkdir()
    (folder / "bad.csv").write_bytes(HEADER + b"1,2,Grace\n")
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "studentsuccess", "etl", "bad.csv", "-q"]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": root}, check=True, capture_output=True)
    (folder / "bad.csv").unlink()
    return folder


@pytest.fixture
def standing(standing_once: Path, workspace: Path) -> Path:
    return shutil.copytree(standing_once, workspace, dirs_exist_ok=True)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_broken_file_is_named_and_loads_nothing(
    cli: Any, standing: Path, case: Case, told: Callable[[str], Any], tables: Callable[[Path], dict[str, Any]]
) -> None:
    before = tables(standing)
    (standing / case.name).write_bytes(case.content)
    done = cli("etl", case.name, *case.flags, "-f", "json")
    assert (done.exit_code, done.stdout) == (case.code, "")
    said = told(done.stderr)
    for words in case.says:
        assert words in f"{said.error}\n{said.hint}"
    assert tables(standing) == before
    assert cli("verify", "-q").exit_code == 0
    assert not [path for path in standing.rglob("*") if path.name.endswith(".part") or path.parent.name == ".staging"]


# All of these files are small: only what must count every row is left to the run.
SEEN_BY_A_PLAN = [name for name in REFUSED if not name.startswith("too many rejects")]


@pytest.mark.parametrize("name", SEEN_BY_A_PLAN)
def test_a_dry_run_finds_what_a_look_at_the_beginning_tells(
    cli: Any, standing: Path, name: str, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    case = REFUSED[name]
    (standing / case.name).write_bytes(case.content)
    before = every_byte(standing)
    done = cli("etl", case.name, *case.flags, "-f", "json", "--dry-run")
    assert (done.exit_code, done.stdout) == (case.code, "")
    assert every_byte(standing) == before


ACCEPTED = {
    "UTF-8 with its mark": (codecs.BOM_UTF8 + HEADER + b"1,2,Ada\n", ()),
    "UTF-16 with its mark": (WIDE.encode("utf-16"), ()),
    "big-endian UTF-16 with its mark": (codecs.BOM_UTF16_BE + WIDE.encode("utf-16-be"), ()),
    "UTF-16 on request": (WIDE.encode("utf-16-le"), ("--encoding", "utf-16")),
    "latin-1 on request": (LATIN, ("--encoding", "latin-1")),
    "semicolons": (b"id;score;name\n1;2;a,b\n2;3;c,d\n", ()),
    "pipes": (b"id|score|name\n1|2|a\n2|3|b\n", ()),
    "tabs": (b"id\tscore\tname\n1\t2\ta\n2\t3\tb\n", ()),
    "a delimiter on request": (b"id~score~name\n1~2~a\n", ("--delimiter", "~")),
    "a header with blanks and a TAB": (b" id ,score\t,name\n1,2,a\n", ()),
    "gzip": (gzip.compress(HEADER + b"1,2,a\n"), ()),
    "CR only": (b"id,score,name\r1,2,a\r2,3,b\r", ()),
    "mixed line ends": (b"id,score,name\r\n1,2,a\n2,3,b\r3,4,c\r\n", ()),
    "no last line end": (HEADER + b"1,2,a", ()),
    "a line end in quotes": (HEADER + b'1,2,"a\nb"\n', ()),
    "JSON lines": (b'{"id": 1, "score": 2, "name": "a"}\n', ()),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
def test_an_unusual_file_is_read_as_meant(
    cli: Any, workspace: Path, content: tuple[bytes, tuple[str, ...]], tables: Callable[[Path], dict[str, Any]]
) -> None:
    (workspace / "odd.csv").write_bytes(content[0])
    done = cli("etl", "odd.csv", *content[1], "-f", "json")
    assert done.exit_code == 0, done.stderr
    counts = json.loads(done.stdout)["tables"]["odd"]
    rows = tables(workspace)["raw.odd"]
    assert counts == {"read": len(rows), "kept": len(rows), "rejected": 0, "duplicate": 0}
    assert rows[0][:2] == (1, 2)
    assert len(rows[0]) == 3


def test_zstd_is_known_by_its_content(cli: Any, workspace: Path, tables: Callable[[Path], dict[str, Any]]) -> None:
    import pyarrow as pa

    (workspace / "odd.csv").write_bytes(pa.compress(HEADER + b"1,2,a\n", codec="zstd", asbytes=True))
    assert cli("etl", "odd.csv").exit_code == 0
    assert tables(workspace)["raw.odd"] == [(1, 2, "a")]


def letters(document: dict[str, Any]) -> list[list[str]]:
    """The dead letters of a run: line, column, reason, raw."""
    (name,) = document["dead_letters"]
    return [row[1:] for row in list(csv.reader(Path(name).read_text("utf-8").splitlines()))[1:]]


REJECTED = {
    "too few and too many fields": (
        HEADER + GOOD + b"1,2\n" + b"1,2,a,b\n",
        [["402", "", "2 fields, expected 3", "1,2"], ["403", "", "4 fields, expected 3", "1,2,a,b"]],
    ),
    "not finite": (
        b"id,score\n" + b"".join(b"%d,2.5\n" % n for n in range(400)) + b"400,NaN\n401,inf\n402,1e999\n",
        [
            ["402", "score", "not a finite number", "400,NaN"],
            ["403", "score", "not a finite number", "401,inf"],
            ["404", "score", "not a finite number", "402,1e999"],
        ],
    ),
    "text in a number at row 30,002": (
        b"id,score\n" + b"".join(b"%d,2\n" % n for n in range(30_000)) + b"30000,abc\n" + b"1,2\n" * 100,
        [["30002", "score", "not a whole number", "30000,abc"]],
    ),
}


@pytest.mark.parametrize("case", REJECTED.values(), ids=REJECTED)
def test_a_bad_row_goes_to_the_dead_letters_with_its_line(
    cli: Any, workspace: Path, case: tuple[bytes, list[list[str]]]
) -> None:
    (workspace / "rows.csv").write_bytes(case[0])
    done = cli("etl", "rows.csv", "-f", "json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert letters(found) == case[1]
    counts = found["tables"]["rows"]
    assert counts["rejected"] == len(case[1])
    assert counts["read"] == counts["kept"] + counts["rejected"] + counts["duplicate"]
    assert "rejected, none lost" in done.stderr
    assert "ss etl --retry" in done.stderr


def test_a_decimal_comma_is_named(cli: Any, workspace: Path) -> None:
    (workspace / "marks.csv").write_bytes(b"id;score\n" + b"1;3,5\n" * 50)
    assert (
        "`score` is text, because its numbers are written with a comma, such as `3,5`" in cli("etl", "marks.csv").stderr
    )


def test_null_texts_are_nulls(cli: Any, workspace: Path, tables: Callable[[Path], dict[str, Any]]) -> None:
    (workspace / "marks.csv").write_bytes(b"id,score\n1,?\n2,NA\n3,NULL\n4,\n5,7\n")
    assert cli("etl", "marks.csv").exit_code == 0
    assert tables(workspace)["raw.marks"] == [(1, None), (2, None), (3, None), (4, None), (5, 7)]


def test_an_id_with_two_contents_is_counted_with_an_example(cli: Any, workspace: Path) -> None:
    (workspace / "marks.csv").write_bytes(HEADER + GOOD + b"1,2,a\n" * 3 + b"2,3,b\n2,4,b\n")
    done = cli("etl", "marks.csv", "--id", "id", "-f", "json")
    found = json.loads(done.stdout)
    assert found["tables"]["marks"] == {"read": 405, "kept": 401, "rejected": 2, "duplicate": 2}
    assert "2 rows share an id (id) with other contents, first in line 405 of marks.csv" in done.stderr
    assert [row[0] for row in letters(found)] == ["405", "406"]


def test_repeats_without_an_id_are_kept_and_said(cli: Any, workspace: Path) -> None:
    (workspace / "marks.csv").write_bytes(HEADER + b"1,2,a\n1,2,a\n")
    done = cli("etl", "marks.csv", "-f", "json")
    assert json.loads(done.stdout)["tables"]["marks"]["kept"] == 2
    assert "marks: rows that repeat an earlier one: 1, all kept" in done.stderr


def test_the_same_file_again_is_already_loaded(
    cli: Any, workspace: Path, tables: Callable[[Path], dict[str, Any]]
) -> None:
    (workspace / "marks.csv").write_bytes(HEADER + GOOD)
    first = json.loads(cli("etl", "marks.csv", "-f", "json").stdout)
    before = tables(workspace)
    done = cli("etl", "marks.csv", "-f", "json")
    again = json.loads(done.stdout)
    assert (again["already_loaded"], again["run_id"]) == (True, first["run_id"])
    assert again["tables"]["marks"] == {"read": 0, "kept": 0, "rejected": 0, "duplicate": 0}
    assert "already loaded" in done.stderr
    assert tables(workspace) == before


def test_a_path_that_is_not_there_suggests_the_nearest(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "students.csv").write_bytes(HEADER + GOOD)
    done = cli("etl", "studens.csv", "-f", "json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert told(done.stderr).error == "studens.csv: not there"
    assert told(done.stderr).hint == "did you mean `students.csv`?"


def test_a_folder_without_tables_is_a_wrong_path(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "empty").mkdir()
    done = cli("etl", "empty")
    assert done.exit_code == 2
    assert told(done.stderr).error == "empty: no table in this folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_storage_error(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "marks.csv").write_bytes(HEADER + GOOD)
    (workspace / "marks.csv").chmod(0)
    done = cli("etl", "marks.csv", "-f", "json")
    assert (done.exit_code, done.stdout) == (6, "")
    assert "marks.csv: can't be read: permission denied" in told(done.stderr).error


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_file_whose_reading_fails_is_a_storage_error(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "marks.csv").symlink_to("/proc/self/mem")
    done = cli("etl", "marks.csv", "-f", "json")
    assert (done.exit_code, done.stdout) == (6, "")
    assert "marks.csv: can't be read: input/output error" in told(done.stderr).error


def test_a_file_that_vanishes_after_the_plan_is_named(
    cli: Any, workspace: Path, told: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from studentsuccess.tasks import etl

    (workspace / "marks.csv").write_bytes(HEADER + GOOD)
    really = etl.run

    def late(*asked: Any) -> Any:
        (workspace / "marks.csv").unlink()
        return really(*asked)

    monkeypatch.setattr(etl, "run", late)
    done = cli("etl", "marks.csv")
    assert done.exit_code == 2
    assert told(done.stderr).error == "marks.csv: not there"


OULAD = ("courses", "assessments", "vle", "studentInfo", "studentRegistration", "studentAssessment", "studentVle")


@pytest.fixture
def export(demo_once: Path, workspace: Path) -> Path:
    """The seven files of a small OULAD export."""
    folder = workspace / "export"
    folder.mkdir()
    for name in OULAD:
        shutil.copy(demo_once / f"inputs/demo/{name}.csv", folder)
    return folder


def reheaded(file: Path, old: str, new: str) -> None:
    header, rest = file.read_text("utf-8").split("\n", 1)
    assert old in header
    file.write_text(f"{header.replace(old, new)}\n{rest}", "utf-8")


def test_a_missing_oulad_column_names_the_nearest(cli: Any, export: Path, told: Callable[[str], Any]) -> None:
    reheaded(export / "studentInfo.csv", "highest_education", "higest_education")
    done = cli("etl", "export", "-f", "json")
    assert (done.exit_code, done.stdout) == (4, "")
    said = told(done.stderr)
    assert said.error == (
        "export/studentInfo.csv: line 1: the column `highest_education` of studentInfo is missing;"
        " `higest_education` is there"
    )
    assert said.hint == "rename `higest_education` to `highest_education`"


def test_a_wrong_oulad_header_of_the_right_width_is_refused(
    cli: Any, export: Path, workspace: Path, told: Callable[[str], Any]
) -> None:
    columns = (export / "studentAssessment.csv").read_text("utf-8").split("\n", 1)[0].split(",")
    reheaded(export / "studentAssessment.csv", ",".join(columns), ",".join(f"c{n}" for n in range(len(columns))))
    done = cli("etl", "export", "-f", "json")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "of studentAssessment is missing" in told(done.stderr).error
    assert not (workspace / "warehouse.duckdb").exists()


def test_a_missing_oulad_table_is_named_with_its_columns(cli: Any, export: Path, told: Callable[[str], Any]) -> None:
    (export / "studentRegistration.csv").unlink()
    done = cli("etl", "export", "--kind", "oulad")
    assert done.exit_code == 4
    assert told(done.stderr).error == "no file has the header of studentRegistration"
    assert "date_registration" in told(done.stderr).hint


def test_an_oulad_table_that_is_only_a_header_is_refused(cli: Any, export: Path, told: Callable[[str], Any]) -> None:
    header = (export / "studentInfo.csv").read_text("utf-8").split("\n", 1)[0]
    (export / "studentInfo.csv").write_text(f"{header}\n", "utf-8")
    done = cli("etl", "export")
    assert done.exit_code == 4
    assert "export/studentInfo.csv: 0 data rows" in told(done.stderr).error


def test_orphan_keys_are_counted_with_an_example(cli: Any, export: Path) -> None:
    rows = (export / "studentRegistration.csv").read_text("utf-8").splitlines()
    first = rows[1].split(",")
    strangers = [",".join([*first[:2], student, *first[3:]]) for student in ("97000001", "97000002")]
    (export / "studentRegistration.csv").write_text("\n".join([*rows, *strangers]) + "\n", "utf-8")
    done = cli("etl", "export", "--max-rejects", "5%", "-f", "json")
    assert done.exit_code == 0, done.stderr
    assert "studentRegistration: 2 rows with no such enrolment in studentInfo, first in line" in done.stderr
    assert "97000001" not in done.stderr
