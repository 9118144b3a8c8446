"""Folders for unfinished work, each with the name of the process that owns it.

A run that makes anything before its commit (parts in here, `.part` files beside their targets) does it inside
`staging_folder`: the folder is what proves later that the run is dead, and only of dead runs anything is deleted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.locks import Owner, is_gone, this_process

RUN_ID = r"\d{8}T\d{6}-[0-9a-f]{6}"
_RUN_FOLDER = re.compile(RUN_ID)
_TEMP = re.compile(rf"\..+\.(?P<run_id>{RUN_ID})\.part")
OWNER, UNNAMED = "owner.json", ".new"
_NAMED_WITHIN = 3600  # seconds
_PROMISED = "promised"


@contextmanager
def staging_folder(workspace: Workspace, run_id: str) -> Iterator[Path]:
    """A folder for run `run_id`, gone when the block ends; within a block for the same run, that block's folder.

    It stays where a COMMIT was begun and not brought to its end: the next command decides what became of the run.
    """
    folder = workspace.staging / run_id
    if folder.is_dir():
        yield folder
        return
    make_owned(folder)
    try:
        yield folder
    finally:
        if not is_promised(workspace, run_id):
            with suppress(OSError):
                _unlink_files(workspace, (run_id,))
            remove_owned(folder)


def remove_owned(folder: Path) -> None:
    """The owner goes last: killed in between, what is left can still be told to be nobody's."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != OWNER:
                entry.unlink(missing_ok=True)
        (folder / OWNER).unlink(missing_ok=True)
        folder.rmdir()


def promise(workspace: Workspace, run_id: str) -> None:
    """From now on only the database knows whether the run happened."""
    (workspace.staging / run_id / _PROMISED).touch()


def is_promised(workspace: Workspace, run_id: str) -> bool:
    """Whether a COMMIT was begun and not brought to its end: what it promised must stay where it is."""
    return (workspace.staging / run_id / _PROMISED).exists()


def keep_promise(workspace: Workspace, run_id: str) -> None:
    """The files and the ledger are as the COMMIT promised."""
    (workspace.staging / run_id / _PROMISED).unlink(missing_ok=True)


def make_owned(folder: Path) -> None:
    """Folder and owner appear together: one without the other could be taken for a dead run's."""
    unnamed = folder.with_name(f"{folder.name}.{os.getpid()}{UNNAMED}")
    unnamed.mkdir(parents=True, exist_ok=True)
    (unnamed / OWNER).write_text(json.dumps(asdict(this_process())), "utf-8")
    unnamed.rename(folder)


def dead_runs(workspace: Workspace) -> tuple[str, ...]:
    """The runs whose process is certainly gone and that left a staging folder."""
    return tuple(folder.name for folder in _run_folders(workspace) if _is_dead(folder))


def hollow_folders(workspace: Workspace) -> tuple[Path, ...]:
    """Folders without even an owner."""
    return tuple(folder for folder in _run_folders(workspace) if _is_hollow(folder))


def _is_hollow(folder: Path) -> bool:
    """Without even an owner: each appears with one in it, so that this one was being removed."""
    return folder.is_dir() and not any(folder.iterdir())


def is_left(folder: Path) -> bool:
    """Whether nobody will come back to a folder that has, had or was to have an owner."""
    if folder.suffix == UNNAMED:
        return _is_dead(folder) or _is_forgotten(folder)
    return _is_dead(folder) or _is_hollow(folder)


def running(workspace: Workspace) -> tuple[str, ...]:
    """The runs that may come back to what they began."""
    return tuple(folder.name for folder in _run_folders(workspace) if not _is_dead(folder))


def _run_folders(workspace: Workspace) -> list[Path]:
    if not _is_own_folder(workspace.staging):
        return []
    return [entry for entry in sorted(workspace.staging.iterdir()) if _RUN_FOLDER.fullmatch(entry.name)]


def _is_own_folder(path: Path) -> bool:
    """A link instead of the folder could lead the sweep to somebody else's files."""
    return path.is_dir() and not path.is_symlink()


def _is_dead(folder: Path) -> bool:
    try:
        said = json.loads((folder / OWNER).read_text("utf-8"))
        owner = Owner(int(said["pid"]), str(said["birth"]), str(said["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return is_gone(owner)


def temp_files(workspace: Workspace) -> tuple[tuple[Path, str], ...]:
    """Every unfinished file in the workspace with its run, found without following a link out of it."""
    found: list[tuple[Path, str]] = []
    for folder in _places(workspace):
        for here, folders, names in os.walk(folder):
            if folder == workspace.root:
                folders.clear()
            for name in names:
                match = _TEMP.fullmatch(name)
                if match:
                    found.append((Path(here, name), match["run_id"]))
    return tuple(sorted(found))


def _places(workspace: Workspace) -> tuple[Path, ...]:
    """Where runs write: the root itself, and what is below the folders of results."""
    below = (workspace.datasets, workspace.dead_letters, workspace.models, workspace.outputs, workspace.reports)
    return (workspace.root, *below)


def spill_folders(workspace: Workspace) -> tuple[Path, ...]:
    """DuckDB's folders of other processes. Whoever holds the lock and the database open may delete them."""
    if not _is_own_folder(workspace.staging):
        return ()
    return tuple(path for path in workspace.staging.glob("spill-*") if path.name != f"spill-{os.getpid()}")


def sweep(workspace: Workspace) -> None:
    """Delete what dead runs left: unfinished files first, so that the proof of death goes last."""
    dead = dead_runs(workspace)
    _unlink_files(workspace, dead)
    for run_id in dead:
        remove_owned(workspace.staging / run_id)
    for folder in hollow_folders(workspace):
        with suppress(OSError):
            folder.rmdir()
    for folder in (*spill_folders(workspace), *_unnamed(workspace)):
        shutil.rmtree(folder, ignore_errors=True)


def _unnamed(workspace: Workspace) -> tuple[Path, ...]:
    """Folders of processes that died while they made them, where that is certain."""
    if not _is_own_folder(workspace.staging):
        return ()
    return tuple(folder for folder in workspace.staging.glob(f"*{UNNAMED}") if is_left(folder))


def _is_forgotten(folder: Path) -> bool:
    """Its owner died before it had written its name: no process takes an hour for that."""
    try:
        nameless = not (folder / OWNER).exists() or (folder / OWNER).stat().st_size == 0
        return nameless and time.time() - folder.stat().st_mtime > _NAMED_WITHIN
    except OSError:
        return False


def _unlink_files(workspace: Workspace, runs: Collection[str]) -> None:
    """Delete the unfinished files of runs that will not come back to them."""
    for path, run_id in temp_files(workspace):
        if run_id in runs:
            path.unlink(missing_ok=True)


def is_staged(workspace: Workspace, run_id: str) -> bool:
    """Whether the run still has its folder, and may come back to its files."""
    return (workspace.staging / run_id).is_dir()
