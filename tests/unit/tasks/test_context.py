"""What is done is whole: a run that was killed after its commit gets its files before anybody calls it done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_models import context_of
from trained import put, students

import studentsuccess as ss
from studentsuccess.models.checkpoint import Checkpoints
from studentsuccess.tasks.context import settle

_DIES = """
import os, sys
import studentsuccess as ss
from studentsuccess.warehouse import recovery
recovery._step = lambda name: os._exit(9) if name == "committed" else None
ss.{call}("learn.csv", *{more!r}, workspace=".")
"""


def die(folder: Path, call: str, *more: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES.format(call=call, more=more)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    put(folder / "learn.csv", students(150))
    ss.train(folder / "learn.csv", "Outcome", folder, ids=["student_id"], settings={"train.epochs": "1"})
    return folder


def test_a_result_that_was_promised_is_there_when_the_command_says_it_was_done(
    learned: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(learned, workspace, dirs_exist_ok=True)
    monkeypatch.chdir(workspace)
    die(workspace, "score")
    assert not (workspace / "outputs" / "learn.scored.csv").exists()
    again = ss.score("learn.csv", workspace=".")
    assert again.already_scored
    assert (workspace / "outputs" / "learn.scored.csv").exists()
    assert {one.level for one in ss.verify(".")} == {"ok"}


def test_without_anything_to_settle_nothing_is_touched(learned: Path, workspace: Path) -> None:
    shutil.copytree(learned, workspace, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    settle(context_of(workspace))
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


def test_a_training_killed_after_its_commit_leaves_no_checkpoint_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(workspace / "learn.csv", students(150))
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "clear", lambda _self: None)
        ss.train(workspace / "learn.csv", "Outcome", workspace, settings={"train.epochs": "1"})
    assert list((workspace / "models" / ".unfinished").iterdir())
    assert ss.train(workspace / "learn.csv", "Outcome", workspace, settings={"train.epochs": "1"}).already_trained
    assert not (workspace / "models" / ".unfinished").exists()
