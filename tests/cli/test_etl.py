"""`ss etl`: what it prints, what it loads, and what it never does."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEADER = "id,score,name\n"
ROWS = "".join(f"{number},2,x\n" for number in range(400))
Tables = Callable[[Path], dict[str, Any]]
Bytes = Callable[[Path], dict[str, bytes]]


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, "utf-8")


def loaded(cli: Any, *words: str | Path, code: int = 0, **rest: Any) -> Any:
    done = cli("etl", *words, "-f", "json", **rest)
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


def dead_rows(found: Any) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name in found["dead_letters"]:
        rows += csv.DictReader(Path(name).read_text("utf-8").splitlines())
    return rows


def test_the_result_has_the_promised_shape(cli: Any, workspace: Path) -> None:
    put(workspace, marks=HEADER + ROWS + "1,2\n")
    found = loaded(cli, "marks.csv")
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", found["run_id"])
    assert found["kind"] == "table"
    assert found["tables"] == {"marks": {"read": 401, "kept": 400, "rejected": 1, "duplicate": 0}}
    assert found["dead_letters"] == [f"inputs/dlq/{found['run_id']}-marks.csv"]
    assert found["outputs"] == ["inputs/datasets/marks/data.parquet"]
    assert found["already_loaded"] is False


def test_every_command_output_shape_tells_the_same_numbers(cli: Any, workspace: Path) -> None:
    put(workspace, marks=HEADER + ROWS + "1,2\n")
    rows = cli("etl", "marks.csv", "-f", "csv").stdout.splitlines()
    assert rows == ["table,read,kept,rejected,duplicate", "marks,401,400,1,0"]


def test_twice_loads_nothing_new_and_leaves_the_same_data(
    cli: Any, workspace: Path, tables: Tables, every_byte: Bytes
) -> None:
    put(workspace, marks=HEADER + ROWS + "1,2\n")
    first = loaded(cli, "marks.csv")
    data, files = tables(workspace), every_byte(workspace / "inputs")
    again = loaded(cli, "marks.csv")
    assert (again["already_loaded"], again["run_id"]) == (True, first["run_id"])
    assert tables(workspace) == data
    assert every_byte(workspace / "inputs") == files


def test_a_changed_file_replaces_its_dataset(cli: Any, workspace: Path, tables: Tables) -> None:
    put(workspace, marks=HEADER + ROWS)
    loaded(cli, "marks.csv")
    put(workspace, marks=HEADER + "7,8,y\n")
    assert loaded(cli, "marks.csv")["already_loaded"] is False
    assert tables(workspace)["raw.marks"] == [(7, 8, "y")]


@pytest.mark.parametrize("before", [False, True], ids=["into nothing", "already loaded"])
def test_a_dry_run_changes_no_byte(cli: Any, workspace: Path, every_byte: Bytes, before: bool) -> None:
    put(workspace, marks=HEADER + ROWS)
    if before:
        loaded(cli, "marks.csv")
    there = every_byte(workspace)
    plan = loaded(cli, "marks.csv", "--dry-run")
    assert plan["already_loaded"] is before
    assert [one["path"] for one in plan["reads"]] == ["marks.csv"]
    assert every_byte(workspace) == there


def test_a_dry_run_of_the_demo_changes_no_byte(cli: Any, workspace: Path, every_byte: Bytes) -> None:
    assert loaded(cli, "--demo", "--students", "50", "-n")["students"] == 50
    assert every_byte(workspace) == {}


def test_a_dry_run_of_a_retry_changes_no_byte(cli: Any, demo: Path, every_byte: Bytes) -> None:
    (letters,) = sorted(demo.glob("inputs/dlq/*-studentVle.csv"))
    there = every_byte(demo)
    assert loaded(cli, "--retry", letters, "-n")["rows"] == 6
    assert every_byte(demo) == there


def test_name_id_and_target_are_taken(cli: Any, workspace: Path, tables: Tables) -> None:
    put(workspace, marks=HEADER + ROWS + "399,2,x\n")
    found = loaded(cli, "marks.csv", "--name", "term1", "--id", "id", "--target", "score")
    assert found["tables"] == {"term1": {"read": 401, "kept": 400, "rejected": 0, "duplicate": 1}}
    assert len(tables(workspace)["raw.term1"]) == 400


def test_two_ids_make_one_key(cli: Any, workspace: Path) -> None:
    put(workspace, marks="student,course,score\n1,A,2\n1,B,3\n2,A,4\n")
    for words in (("--id", "student", "--id", "course"), ("--id", "student, course", "--name", "other")):
        assert next(iter(loaded(cli, "marks.csv", *words)["tables"].values()))["kept"] == 3


def test_files_with_one_header_are_one_dataset(cli: Any, workspace: Path) -> None:
    put(workspace, autumn=HEADER + "1,2,a\n", spring="name,id,score\nb,2,3\n", rooms="room,seats\nA1,30\n")
    found = loaded(cli, "autumn.csv", "spring.csv", "rooms.csv")
    assert {name: one["kept"] for name, one in found["tables"].items()} == {"autumn": 2, "rooms": 1}


def test_one_name_for_different_headers_is_refused(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    put(workspace, marks=HEADER + ROWS, rooms="room,seats\nA1,30\n")
    done = cli("etl", "marks.csv", "rooms.csv", "--name", "both")
    assert done.exit_code == 2
    assert "2 different headers" in told(done.stderr).error


def test_a_folder_and_a_pattern_name_the_same_files(cli: Any, workspace: Path) -> None:
    (workspace / "drop").mkdir()
    put(workspace / "drop", a=HEADER + "1,2,a\n", b=HEADER + "2,3,b\n")
    (workspace / "drop/notes.docx").write_bytes(b"no table")
    assert loaded(cli, "drop")["tables"] == {"a": {"read": 2, "kept": 2, "rejected": 0, "duplicate": 0}}
    assert loaded(cli, "drop/*.csv")["already_loaded"] is True


def test_stdin_is_a_file(cli: Any, workspace: Path, tables: Tables) -> None:
    found = loaded(cli, "-", "--name", "piped", input=HEADER + "1,2,a\n")
    assert found["tables"]["piped"]["kept"] == 1
    assert tables(workspace)["raw.piped"] == [(1, 2, "a")]


def test_stdin_through_a_real_pipe(run_ss: Any) -> None:
    done = run_ss("etl", "-", "-f", "json", input=HEADER + "1,2,a\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)["tables"]["stdin"]["kept"] == 1


def test_a_mended_row_comes_in_by_retry_and_only_once(cli: Any, workspace: Path, tables: Tables) -> None:
    put(workspace, marks=HEADER + ROWS + "400,two,Ada\n401,3\n")
    first = loaded(cli, "marks.csv", "--id", "id")
    letters = workspace / first["dead_letters"][0]
    letters.write_text(letters.read_text("utf-8").replace("400,two,Ada", "400,2,Ada"), "utf-8")
    second = loaded(cli, "--retry", letters, "--max-rejects", "1")
    assert second["tables"]["marks"] == {"read": 2, "kept": 1, "rejected": 1, "duplicate": 0}
    assert [(row["source"], row["line"], row["raw"]) for row in dead_rows(second)] == [("marks.csv", "403", "401,3")]
    assert (400, 2, "Ada") in tables(workspace)["raw.marks"]
    assert loaded(cli, "--retry", letters, "--max-rejects", "1")["already_loaded"] is True
    assert len(tables(workspace)["raw.marks"]) == 401
    assert cli("verify").exit_code == 0


def test_a_retry_of_the_demo_brings_every_mended_row(cli: Any, demo: Path, tables: Tables) -> None:
    (letters,) = sorted(demo.glob("inputs/dlq/*-studentVle.csv"))
    before = len(tables(demo)["core.activity"])
    text = letters.read_text("utf-8")
    mended = text.replace(",12th,", ",12,")
    assert mended != text
    letters.write_text(mended, "utf-8")
    found = loaded(cli, "--retry", letters, "--max-rejects", "100%")
    assert found["tables"]["studentVle"] == {"read": 6, "kept": 1, "rejected": 5, "duplicate": 0}
    assert len(tables(demo)["core.activity"]) == before + 1


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("nowhere.csv", 2, "not there"),
        ("marks.csv", 2, "the name must stay as it was"),
        ("20260101T000000-abcdef-marks.csv", 4, "is not a dead-letter file"),
    ],
)
def test_a_retry_of_something_else_is_refused(
    cli: Any, workspace: Path, told: Callable[[str], Any], name: str, code: int, says: str
) -> None:
    if name != "nowhere.csv":
        (workspace / name).write_text(HEADER + ROWS, "utf-8")
    done = cli("etl", "--retry", name, "-f", "json")
    assert (done.exit_code, done.stdout) == (code, "")
    assert says in told(done.stderr).error


def test_two_sources_at_once_are_refused(cli: Any, told: Callable[[str], Any]) -> None:
    done = cli("etl", "marks.csv", "--demo")
    assert (done.exit_code, told(done.stderr).error) == (2, "files and --demo can't go together")


def test_the_demo_is_loaded_but_for_its_planted_rows(demo_once: Path, tables: Tables) -> None:
    found = json.loads((demo_once.parent / "result.json").read_text("utf-8"))
    truth = list(csv.DictReader((demo_once / "inputs/demo/truth/dirty_rows.csv").read_text("utf-8").splitlines()))
    planted = {(row["file"], row["line"], row["raw"]) for row in truth}
    dead: list[dict[str, str]] = []
    for name in found["dead_letters"]:
        dead += csv.DictReader((demo_once / name).read_text("utf-8").splitlines())
    assert {(Path(row["source"]).name, row["line"], row["raw"]) for row in dead} == planted
    assert len(dead) == len(planted)
    receipt = json.loads((demo_once / "inputs/demo/truth/request.json").read_text("utf-8"))
    good = {Path(file["path"]).stem: file["rows"] for file in receipt["files"]}
    assert {name: one["kept"] for name, one in found["tables"].items()} == {
        name: good[name] for name in found["tables"]
    }
    assert len(tables(demo_once)["core.activity"]) == good["studentVle"]


def test_the_whole_demo_rejects_its_eighteen_planted_rows(cli: Any, workspace: Path) -> None:
    found = loaded(cli, "--demo")
    truth = list(csv.DictReader((workspace / "inputs/demo/truth/dirty_rows.csv").read_text("utf-8").splitlines()))
    assert len(truth) == 18
    assert {(Path(row["source"]).name, row["line"], row["raw"]) for row in dead_rows(found)} == {
        (row["file"], row["line"], row["raw"]) for row in truth
    }
    assert sum(one["rejected"] for one in found["tables"].values()) == 18


def test_the_demo_twice_is_already_loaded(cli: Any, demo: Path, tables: Tables) -> None:
    before = tables(demo)
    assert loaded(cli, "--demo", "--students", "300")["already_loaded"] is True
    assert tables(demo) == before


def test_the_demo_of_an_old_variable_is_the_same(cli: Any) -> None:
    found = loaded(cli, "-n", env={"PIPELINE_DEMO_MODE": "true"})
    assert found["plan"] == "etl --demo"


@pytest.mark.usefixtures("demo")
def test_kind_auto_says_what_it_saw_and_table_overrules_it(cli: Any) -> None:
    auto = loaded(cli, "inputs/demo", "-n")
    assert auto["kind"] == "oulad"
    assert "the headers are those of OULAD" in auto["why"]
    lone = loaded(cli, "inputs/demo/studentInfo.csv", "-n", "--name", "lone")
    assert lone["kind"] == "table"
    assert "one table alone" in lone["why"]
    assert loaded(cli, "inputs/demo/courses.csv", "--kind", "table", "--name", "lone")["kind"] == "table"


def test_a_dead_letter_file_has_no_row_twice(cli: Any, workspace: Path) -> None:
    late = "".join(f"{number},2.5,x\n" for number in range(400, 70_000))
    put(workspace, marks=HEADER + ROWS + late + "1,2\n" * 3 + "70001,x1,y\n" + "5,9,z\n")
    rows = dead_rows(loaded(cli, "marks.csv", "--id", "id"))
    places = [(row["source"], row["line"]) for row in rows]
    assert len(places) == len(set(places)) == 6


def test_no_name_of_a_student_leaves_the_data(cli: Any, workspace: Path) -> None:
    name = "Zephyrine Quibblethwaite"
    bad = f"400,two,{name}\n401,3,{name},4\n1,3,{name}\n402,{name},x\n"
    put(workspace, marks=HEADER + ROWS + bad)
    done = [
        cli("etl", "marks.csv", "--id", "id", "-v", *words)
        for words in ((), ("-f", "json"), ("-n",), ("--max-rejects", "0", "--name", "strict"), ("--encoding", "utf-16"))
    ]
    letters = min(workspace.glob("inputs/dlq/*-marks.csv"))
    done += [cli("etl", "--retry", letters, "-v"), cli("verify"), cli("doctor"), cli("config", "show")]
    assert name in letters.read_text("utf-8")
    for one in done:
        assert "Quibblethwaite" not in one.stdout + one.stderr
    for log in workspace.glob("logs/*"):
        assert "Quibblethwaite" not in log.read_text("utf-8")


def test_a_failed_run_is_in_the_ledger_with_its_code_only(cli: Any, workspace: Path) -> None:
    put(workspace, marks=HEADER + ROWS + "1,2\n" * 99)
    assert cli("etl", "marks.csv").exit_code == 4
    (line,) = (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()
    assert {key: json.loads(line)[key] for key in ("status", "code", "command")} == {
        "status": "failed",
        "code": 4,
        "command": "etl",
    }
    assert cli("verify").exit_code == 0


def test_a_busy_warehouse_is_named_with_its_holder(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    from datetime import UTC, datetime

    from studentsuccess.core.locks import hold

    put(workspace, marks=HEADER + ROWS)
    with hold(workspace / "warehouse.lock", "train", 0.0, lambda: datetime.now(UTC)):
        done = cli("etl", "marks.csv", "-f", "json")
    assert (done.exit_code, done.stdout) == (5, "")
    assert "train" in told(done.stderr).error
    assert "--wait" in told(done.stderr).hint


def test_the_hint_after_a_reject_names_the_same_workspace(cli: Any, workspace: Path) -> None:
    put(workspace, marks=HEADER + ROWS + "400,two,x\n")
    done = cli("etl", "marks.csv", "-w", "school")
    command = re.search(r"`ss (etl --retry \S+ -w school)`", done.stderr)
    assert command
    assert cli(*command[1].split(), "--max-rejects", "100%").exit_code == 0
