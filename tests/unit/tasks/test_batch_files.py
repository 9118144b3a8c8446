"""The folder that a run writes into: when it is there, when it goes, and what of it is promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.locks import Owner, this_process
from studentsuccess.errors import StorageError
from studentsuccess.tasks.batch_files import (
    as_json,
    beside,
    clear_leftovers,
    possible_now,
    staged,
    write_impossible,
    write_table,
    write_text,
)
from studentsuccess.warehouse.staging import OWNER, promise, staging_folder

RUN = "20250901T080000-abcdef"


def test_the_folder_stands_beside_the_target_and_is_gone_afterwards(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "batches"
    with beside(target, Workspace(tmp_path), RUN) as folder:
        assert folder.parent == target.parent
        write_text(folder, "logs/run.jsonl", "{}\n")
    assert not folder.exists()
    assert not target.exists()


def test_it_is_gone_after_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), beside(tmp_path / "out", Workspace(tmp_path), RUN) as folder:
        raise ValueError("broken")
    assert not folder.exists()


def test_what_a_commit_has_promised_stays(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with suppress(ValueError), staging_folder(workspace, RUN), beside(tmp_path / "out", workspace, RUN) as folder:
        write_text(folder, "quality.json", "{}")
        promise(workspace, RUN)
        raise ValueError("broken")
    assert (folder / "quality.json").read_text() == "{}"


def dead() -> Owner:
    """A process that has certainly ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return Owner(done.pid, "0", this_process().host)


def left(target: Path, owner: Owner | None, name: str = RUN) -> Path:
    folder = target.with_name(f".{target.name}.{name}.part")
    folder.mkdir()
    (folder / "student_batches.csv").write_text("x")
    if owner is not None:
        (folder / OWNER).write_text(json.dumps(asdict(owner)), "utf-8")
    return folder


def test_only_what_dead_runs_left_is_cleared(tmp_path: Path) -> None:
    target = tmp_path / "out"
    gone = left(target, dead(), "20250901T080000-000001")
    kept = [
        left(target, this_process(), "20250901T080000-000002"),
        left(target, None, "20250901T080000-000003"),
        left(tmp_path / "other", dead(), "20250901T080000-000004"),
        left(target, dead(), "mine"),
    ]
    clear_leftovers(target)
    assert not gone.exists()
    assert all(one.exists() for one in kept)


def test_a_folder_that_was_being_cleared_is_cleared(tmp_path: Path) -> None:
    """Killed between the last file, which says whose it was, and the folder itself."""
    target = tmp_path / "out"
    hollow = target.with_name(f".{target.name}.{RUN}.part")
    hollow.mkdir()
    clear_leftovers(target)
    assert not hollow.exists()


def test_a_folder_whose_owner_died_before_it_had_written_its_name_goes_after_an_hour(tmp_path: Path) -> None:
    target = tmp_path / "out"
    unnamed = target.with_name(f".{target.name}.{RUN}.part.77.new")
    unnamed.mkdir()
    clear_leftovers(target)
    assert unnamed.exists()
    os.utime(unnamed, (1, 1))
    clear_leftovers(target)
    assert not unnamed.exists()


def test_every_file_has_its_place_and_the_owner_has_none(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with beside(target, Workspace(tmp_path), RUN) as folder:
        write_text(folder, "quality.json", "{}")
        write_text(folder, "logs/run.jsonl", "{}")
        found = {one.target: one.temp for one in staged(folder, target)}
        assert found == {
            target / "logs" / "run.jsonl": folder / "logs" / "run.jsonl",
            target / "quality.json": folder / "quality.json",
        }


def test_tables_are_the_same_bytes_however_they_are_cut(tmp_path: Path) -> None:
    whole = pa.table({"id": pa.array([f"S{at}" for at in range(100)]), "share": [at / 7 for at in range(100)]})
    write_table(tmp_path, "whole", whole)
    write_table(tmp_path, "cut", pa.concat_tables([whole.slice(0, 33), whole.slice(33)]))
    write_table(tmp_path, "none", whole.slice(0, 0))
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "cut.csv").read_bytes()
    assert (tmp_path / "none.csv").read_text() == "id,share\n"


def test_what_is_no_number_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        as_json({"gap_closed": float("nan")})


def test_reasons_are_written_whole_and_go_once_there_is_a_solution(tmp_path: Path) -> None:
    path = write_impossible(tmp_path / "out", {"feasible": False})
    assert json.loads(path.read_text("utf-8")) == {"feasible": False}
    possible_now(tmp_path / "out")
    possible_now(tmp_path / "out")
    assert not path.exists()


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError), beside(tmp_path / "file" / "out", Workspace(tmp_path), RUN):
        pass
