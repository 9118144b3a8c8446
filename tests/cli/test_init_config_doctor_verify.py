"""The commands around the data: a workspace, its settings, this machine, and whether all is as it was left."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bytes = Callable[[Path], dict[str, bytes]]


def verified(cli: Any, code: int) -> list[dict[str, str]]:
    done = cli("verify", "-f", "json")
    assert done.exit_code == code, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    return [one for one in found["findings"] if one["level"] == "damage"]


def test_init_writes_a_config_that_sets_nothing(cli: Any, workspace: Path) -> None:
    done = cli("init", "school", "-f", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"workspace": "school", "config": "school/config.toml", "exists": False}
    assert all(table == {} for table in tomllib.loads((workspace / "school/config.toml").read_text("utf-8")).values())
    assert cli("config", "validate", "-w", "school").exit_code == 0


def test_init_leaves_a_config_that_is_there(cli: Any, workspace: Path) -> None:
    (workspace / "config.toml").write_text("# mine\n", "utf-8")
    done = cli("init")
    assert done.exit_code == 0
    assert "there already, left as it is" in done.stdout
    assert (workspace / "config.toml").read_text("utf-8") == "# mine\n"


def test_init_dry_run_writes_nothing(cli: Any, workspace: Path, every_byte: Bytes) -> None:
    assert "would be written" in cli("init", "school", "-n").stdout
    assert every_byte(workspace) == {}


def test_init_into_a_file_is_refused(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "school").touch()
    assert told(cli("init", "school").stderr).error == "school: is a file"
    assert told(cli("init", "school/term").stderr).error == "school/term: can't be a folder: school is a file"
    assert cli("init", "school").exit_code == 2


def test_what_init_says_comes_next_works(cli: Any) -> None:
    done = cli("init", "school")
    assert "`ss etl --demo -w school`" in done.stderr
    assert cli("etl", "--demo", "-w", "school", "-n").exit_code == 0


def test_config_is_found_upwards(cli: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "config.toml").write_text("[risk]\nweek = 9\n", "utf-8")
    (workspace / "deep/down").mkdir(parents=True)
    monkeypatch.chdir(workspace / "deep/down")
    shown = json.loads(cli("config", "show", "-f", "json").stdout)
    assert Path(shown["workspace"]) == workspace
    assert {one["key"]: one["value"] for one in shown["settings"]}["risk.week"] == 9


def test_validate_without_a_file_is_well(cli: Any) -> None:
    done = cli("config", "validate")
    assert (done.exit_code, done.stdout) == (0, "no config.toml: the defaults are complete\n")


def test_validate_prints_its_findings_as_data(cli: Any, workspace: Path) -> None:
    (workspace / "config.toml").write_text("[etl]\nsead = 5\n", "utf-8")
    done = cli("config", "validate", "-f", "json")
    assert done.exit_code == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["where"], problem["key"], problem["nearest"]) == ("config.toml", "etl.sead", "etl.seed")


def test_doctor_shows_budget_disk_and_workspace(cli: Any, demo: Path, every_byte: Bytes) -> None:
    before = every_byte(demo)
    done = cli("doctor", "-f", "json")
    assert done.exit_code == 0
    topics = {one["topic"]: one["value"] for one in json.loads(done.stdout)["checks"]}
    assert {
        "program",
        "python",
        "ss command",
        "memory",
        "processors",
        "workspace",
        "disk",
        "warehouse",
    } <= topics.keys()
    assert every_byte(demo) == before


def test_doctor_says_how_to_make_ours_win(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ss", "ss.exe"):
        (tmp_path / name).write_text("#!/bin/sh\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = cli("doctor")
    assert "is another program" in done.stdout
    assert "export PATH=" in done.stdout


def test_doctor_obeys_the_budget(cli: Any) -> None:
    done = cli("doctor", "-f", "json", "--set", "budget.memory=512MB")
    assert {one["topic"]: one["value"] for one in json.loads(done.stdout)["checks"]}["memory"].startswith("512.0 MB")


def test_verify_of_nothing_is_well(cli: Any) -> None:
    assert verified(cli, 0) == []


def test_verify_of_an_untouched_workspace_is_well_and_changes_nothing(cli: Any, demo: Path, every_byte: Bytes) -> None:
    before = every_byte(demo)
    assert verified(cli, 0) == []
    assert every_byte(demo) == before


@pytest.fixture
def dataset(cli: Any, demo: Path) -> Path:
    """The Parquet file of a dataset beside the demo."""
    assert cli("etl", "inputs/demo/studentInfo.csv", "--name", "marks").exit_code == 0
    return demo / "inputs/datasets/marks/data.parquet"


def test_verify_finds_a_flipped_byte(cli: Any, dataset: Path) -> None:
    content = bytearray(dataset.read_bytes())
    content[len(content) // 2] ^= 1
    dataset.write_bytes(content)
    (damage,) = verified(cli, 4)
    assert damage["subject"] == "inputs/datasets/marks/data.parquet"
    assert "has other content" in damage["what"]
    assert damage["fix"]


def test_verify_finds_a_missing_dataset(cli: Any, dataset: Path) -> None:
    dataset.unlink()
    subjects = {one["subject"] for one in verified(cli, 4)}
    assert "inputs/datasets/marks/data.parquet" in subjects


@pytest.mark.parametrize("line", [0, 1], ids=["the first line", "the last line"])
@pytest.mark.usefixtures("dataset")
def test_verify_finds_a_deleted_ledger_line(cli: Any, demo: Path, line: int) -> None:
    ledger = demo / "logs/ledger.jsonl"
    lines = ledger.read_text("utf-8").splitlines(keepends=True)
    ledger.write_text("".join(lines[:line] + lines[line + 1 :]), "utf-8")
    assert "logs/ledger.jsonl" in {one["subject"] for one in verified(cli, 4)}


def test_verify_finds_a_changed_ledger_line(cli: Any, demo: Path) -> None:
    ledger = demo / "logs/ledger.jsonl"
    ledger.write_text(ledger.read_text("utf-8").replace('"rejected":0', '"rejected":1', 1), "utf-8")
    assert "logs/ledger.jsonl" in {one["subject"] for one in verified(cli, 4)}


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_verify_finds_a_truncated_warehouse(cli: Any, demo: Path, share: float) -> None:
    warehouse = demo / "warehouse.duckdb"
    content = warehouse.read_bytes()
    warehouse.write_bytes(content[: int(len(content) * share)])
    done = cli("verify", "-f", "json")
    assert done.exit_code in (4, 6)
    assert "warehouse.duckdb" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_verify_finds_a_warehouse_that_is_gone(cli: Any, demo: Path) -> None:
    (demo / "warehouse.duckdb").unlink()
    (damage,) = verified(cli, 4)
    assert (damage["subject"], damage["what"]) == ("warehouse.duckdb", "is gone; the ledger knows 1 runs that it held")


def test_a_mended_dead_letter_is_no_damage(cli: Any, demo: Path) -> None:
    for letters in demo.glob("inputs/dlq/*.csv"):
        letters.write_text(letters.read_text("utf-8").replace("12th", "12"), "utf-8")
    assert verified(cli, 0) == []


def test_etl_into_a_damaged_warehouse_names_it(cli: Any, demo: Path, told: Callable[[str], Any]) -> None:
    (demo / "warehouse.duckdb").write_bytes(b"no database at all" * 1000)
    (demo / "marks.csv").write_text("id\n1\n", "utf-8")
    done = cli("etl", "marks.csv", "-f", "json")
    assert (done.exit_code, done.stdout) == (6, "")
    assert "warehouse.duckdb" in told(done.stderr).error
