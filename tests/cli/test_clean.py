"""`ss clean` as it is typed: what is listed, what is asked, what stays when nobody says yes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_models import context_of, make_manifest, register

posix = pytest.mark.posix
PATIENCE = 60  # seconds until a program that says nothing is given up; never waited for otherwise


@pytest.fixture
def full(demo: Path) -> Path:
    """The demo, a model that is used and one that is not, and a log."""
    context = context_of(demo)
    register(context, make_manifest("grade", 1), production=True)
    register(context, make_manifest("grade", 2))
    (demo / "logs" / "follow.log").write_text("followed\n")
    return demo


def test_it_moves_lists_and_brings_back(cli: Any, full: Path, every_byte: Callable[[Path], dict[str, bytes]]) -> None:
    before = {name: raw for name, raw in every_byte(full).items() if not name.startswith(("logs/ledger", "ware"))}
    done = cli("clean", "--what", "models,logs", "--what", "inputs", "--yes", "-f", "json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    gone = {item["path"] for item in said["goes"]}
    assert {"models/grade/2", "logs/follow.log", "inputs/demo/studentVle.csv"} <= gone
    assert said["files"] == sum(item["files"] for item in said["goes"])
    assert {item["path"]: item["why"] for item in said["stays"]}["models/grade/1"] == "in production"
    assert not (full / "models" / "grade" / "2").exists()
    assert said["run_id"] in done.stderr
    assert json.loads(cli("verify", "-f", "json").stdout)["ok"] is True
    back = cli("clean", "--undo", "-f", "json")
    assert json.loads(back.stdout)["of"] == said["run_id"]
    after = {name: raw for name, raw in every_byte(full).items() if not name.startswith(("logs/ledger", "ware"))}
    assert after == before


def test_a_dry_run_says_the_same_and_changes_no_byte(
    cli: Any, full: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(full)
    planned = json.loads(cli("clean", "--what", "models,logs", "-n", "-f", "json").stdout)
    assert every_byte(full) == before
    done = json.loads(cli("clean", "--what", "models,logs", "-y", "-f", "json").stdout)
    assert {**done, "run_id": None} == planned


@pytest.mark.parametrize("call", [("--what", "logs"), ("--empty",)])
def test_nobody_to_ask_means_nothing_is_done(
    cli: Any, full: Path, call: tuple[str, ...], told: Callable[[str], Any]
) -> None:
    if call == ("--empty",):
        cli("clean", "--what", "models", "-y")
    done = cli("clean", *call, "--no-input", "-q")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`--yes`" in told(done.stderr).hint
    assert (full / "logs" / "follow.log").exists()
    assert (full / ".trash").exists() == (call == ("--empty",))


@posix
@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_person_is_asked_after_the_list(full: Path, clean_env: dict[str, str], answer: str) -> None:
    pexpect = pytest.importorskip("pexpect")
    spawned = pexpect.spawn(
        sys.executable,
        ["-m", "studentsuccess", "clean"],
        env={**clean_env, "TERM": "dumb"},
        cwd=str(full),
        encoding="utf-8",
        timeout=PATIENCE,
    )
    spawned.expect("logs/follow.log")
    spawned.expect(r"move 1 file \(9 bytes\) to the trash \[y/N\]")
    spawned.sendline(answer)
    spawned.expect(pexpect.EOF)
    spawned.wait()
    assert spawned.exitstatus == (0 if answer == "y" else 2)
    assert (full / "logs" / "follow.log").exists() == (answer == "n")


def test_nothing_to_clean_is_no_error_and_asks_nobody(cli: Any, workspace: Path) -> None:
    done = cli("clean", "--no-input", "-f", "json")
    assert (done.exit_code, json.loads(done.stdout)["files"]) == (0, 0)
    assert list(workspace.iterdir()) == []
    assert cli("clean", "--empty", "--no-input").exit_code == 0


@pytest.mark.usefixtures("full")
def test_an_empty_trash_has_nothing_to_bring_back(cli: Any) -> None:
    done = cli("clean", "--undo", "-f", "json")
    assert (done.exit_code, json.loads(done.stdout)["files"]) == (0, 0)
    assert "nothing to bring back" in done.stderr


@pytest.mark.parametrize(
    "call", [("--undo", "--empty"), ("--undo", "--what", "logs"), ("--empty", "--older-than", "3d")]
)
@pytest.mark.usefixtures("full")
def test_undo_and_empty_stand_alone(cli: Any, call: tuple[str, ...], told: Callable[[str], Any]) -> None:
    done = cli("clean", *call, "-y")
    assert done.exit_code == 2
    assert "stand alone" in told(done.stderr).error


@pytest.mark.parametrize(("call", "says"), [(("--what", "modls"), "`models`"), (("--older-than", "soon"), "30d")])
@pytest.mark.usefixtures("full")
def test_a_wrong_value_is_told_a_right_one(
    cli: Any, call: tuple[str, ...], says: str, told: Callable[[str], Any]
) -> None:
    done = cli("clean", *call)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in told(done.stderr).hint


def test_emptied_it_frees_the_space_and_verify_misses_nothing(cli: Any, full: Path) -> None:
    cli("clean", "--what", "models,logs", "-y")
    assert cli("clean", "--empty", "-y").exit_code == 0
    assert not (full / ".trash").exists()
    assert json.loads(cli("verify", "-f", "json").stdout)["ok"] is True
    rows = json.loads(cli("models", "list", "-f", "json").stdout)["models"]
    assert [row["cleaned"] for row in rows] == [None, "was cleaned, and the trash emptied"]


def test_scoring_with_a_cleaned_model_says_how_to_get_it_back(cli: Any, full: Path, told: Callable[[str], Any]) -> None:
    (full / "rows.csv").write_text("age\n17\n")
    cli("clean", "--what", "models", "-y")
    assert "is in the trash" in cli("models", "list").stdout
    done = cli("score", "rows.csv", "-m", "grade@2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss clean --undo`" in told(done.stderr).hint


def test_demo_data_that_was_cleaned_is_generated_again(cli: Any, full: Path) -> None:
    cli("clean", "--what", "inputs", "-y")
    done = cli("etl", "--demo", "--students", "300")
    assert done.exit_code == 0, done.stderr
    assert (full / "inputs" / "demo" / "studentVle.csv").exists()
