"""Unfinished work is deleted only when its owner is certainly gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.locks import this_process
from studentsuccess.warehouse.runs import new_run_id
from studentsuccess.warehouse.staging import dead_runs, promise, staging_folder, sweep, temp_files


def give_to(workspace: Workspace, run_id: str, pid: int, host: str | None = None) -> None:
    owner = replace(this_process(), pid=pid)
    owner = replace(owner, host=host) if host else owner
    (workspace.staging / run_id / "owner.json").write_text(json.dumps(asdict(owner)))


@pytest.fixture
def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def staged(workspace: Workspace, run_id: str) -> Path:
    (workspace.staging / run_id).mkdir(parents=True)
    temp = temp_path(workspace.outputs / "x.csv", run_id)
    temp.parent.mkdir(exist_ok=True)
    temp.write_text("half")
    return temp


def test_the_folder_is_there_for_the_block_only(workspace: Workspace) -> None:
    run_id = new_run_id()
    with staging_folder(workspace, run_id) as folder:
        (folder / "part").write_text("x")
        with staging_folder(workspace, run_id) as same:
            assert same == folder
        assert folder.is_dir()
    assert list(workspace.staging.iterdir()) == []


def test_a_live_run_keeps_everything(workspace: Workspace) -> None:
    run_id = new_run_id()
    with staging_folder(workspace, run_id) as folder:
        workspace.outputs.mkdir()
        temp = temp_path(workspace.outputs / "x.csv", run_id)
        temp.write_text("half")
        sweep(workspace)
        assert folder.is_dir()
        assert temp.exists()


def test_a_dead_run_loses_its_folder_and_its_unfinished_files(workspace: Workspace, ended_pid: int) -> None:
    run_id = new_run_id()
    temp = staged(workspace, run_id)
    give_to(workspace, run_id, ended_pid)
    assert dead_runs(workspace) == (run_id,)
    sweep(workspace)
    assert not temp.exists()
    assert not (workspace.staging / run_id).exists()


@pytest.mark.parametrize("content", [None, "", "{}", "[]"])
def test_without_a_proof_of_death_nothing_is_deleted(workspace: Workspace, content: str | None) -> None:
    run_id = new_run_id()
    temp = staged(workspace, run_id)
    if content is not None:
        (workspace.staging / run_id / "owner.json").write_text(content)
    sweep(workspace)
    assert temp.exists()


def test_the_run_of_another_machine_is_left_alone(workspace: Workspace, ended_pid: int) -> None:
    run_id = new_run_id()
    temp = staged(workspace, run_id)
    give_to(workspace, run_id, ended_pid, host="elsewhere")
    sweep(workspace)
    assert temp.exists()


def test_a_users_own_part_files_are_not_ours(workspace: Workspace, ended_pid: int) -> None:
    run_id = new_run_id()
    staged(workspace, run_id)
    give_to(workspace, run_id, ended_pid)
    download = workspace.outputs / ".film.mkv.part"
    download.write_text("mine")
    sweep(workspace)
    assert download.exists()
    assert temp_files(workspace) == ()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_linked_staging_folder_is_never_swept(workspace: Workspace, ended_pid: int, tmp_path: Path) -> None:
    elsewhere = Workspace(tmp_path / "elsewhere")
    run_id = new_run_id()
    staged(elsewhere, run_id)
    give_to(elsewhere, run_id, ended_pid)
    (elsewhere.staging / "spill-1").mkdir()
    workspace.root.mkdir()
    workspace.staging.symlink_to(elsewhere.staging)
    sweep(workspace)
    assert (elsewhere.staging / run_id).is_dir()
    assert (elsewhere.staging / "spill-1").is_dir()


def test_a_promised_run_keeps_its_folder_for_the_next_command(workspace: Workspace) -> None:
    run_id = new_run_id()
    with staging_folder(workspace, run_id) as folder:
        promise(workspace, run_id)
    assert folder.is_dir()


def test_run_ids_sort_by_time_and_differ_in_one_second() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert [run_id[:15] for run_id in ids] == sorted(run_id[:15] for run_id in ids)


@pytest.mark.parametrize("living", [True, False])
def test_a_folder_that_got_no_name_goes_with_its_owner(workspace: Workspace, ended_pid: int, living: bool) -> None:
    """Killed between making the folder and naming it; without an owner in it nobody knows whose it is."""
    pid = os.getpid() if living else ended_pid
    folder = workspace.staging / f"{new_run_id()}.{pid}.new"
    (workspace.staging / f"{new_run_id()}.{ended_pid}.new").mkdir(parents=True)
    folder.mkdir()
    give_to(workspace, folder.name, pid)
    sweep(workspace)
    assert folder.exists() == living
    assert len(list(workspace.staging.iterdir())) == (2 if living else 1)


@pytest.mark.parametrize("content", [None, ""])
def test_a_folder_whose_owner_died_before_it_wrote_its_name_goes_after_an_hour(
    workspace: Workspace, content: str | None
) -> None:
    folder = workspace.staging / f"{new_run_id()}.1.new"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "owner.json").write_text(content)
    sweep(workspace)
    assert folder.exists()
    hours_ago = folder.stat().st_mtime - 7200
    os.utime(folder, (hours_ago, hours_ago))
    sweep(workspace)
    assert not folder.exists()


def test_the_owner_is_the_last_to_leave_its_folder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while a folder is removed, what is left is a dead run's or empty, and the next sweep takes it away."""
    removed: list[str] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok)

    with staging_folder(workspace, new_run_id()) as folder:
        (folder / "a.part").write_text("x")
        (folder / "z.part").write_text("x")
        monkeypatch.setattr(Path, "unlink", noted)
    assert removed[-1] == "owner.json"
    assert set(removed) == {"a.part", "z.part", "owner.json"}
    (workspace.staging / new_run_id()).mkdir()
    sweep(workspace)
    assert list(workspace.staging.iterdir()) == []
