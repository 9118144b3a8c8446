"""What `ss clean` took out of its place, and where it is: by the ledger's word, and by a manifest beside the files.

`.trash/<run>/manifest.json` names every file below `.trash/<run>/files/`. It appears before the first of them, by the
same promise of the same COMMIT, so that a file is in its place or in a trash that names it, whenever we are killed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from studentsuccess.config.workspace import TRASH, Workspace
from studentsuccess.core.digest import FileFact
from studentsuccess.errors import StorageError
from studentsuccess.warehouse.ledger import DONE, Entry, Record, read_chain

CLEAN, UNDO, EMPTY = "clean", "clean --undo", "clean --empty"
COMMANDS = frozenset({CLEAN, UNDO, EMPTY})
MANIFEST = "manifest.json"
_FILES = "files"


@dataclass(frozen=True)
class Trash:
    """What one clean took: files by the places that they had, and when that was."""

    run_id: str
    cleaned_at: str
    files: tuple[FileFact, ...]

    @property
    def size(self) -> int:
        return sum(fact.size for fact in self.files)

    def document(self) -> dict[str, object]:
        return {"run_id": self.run_id, "cleaned_at": self.cleaned_at, "files": [asdict(fact) for fact in self.files]}


@dataclass(frozen=True)
class Taken:
    """A file that is out of its place by a clean. `known` is what the ledger said of it before, if anything."""

    run_id: str
    fact: FileFact
    known: tuple[FileFact, str] | None = None
    emptied: bool = False

    @property
    def where(self) -> str:
        return trash_path(self.run_id, self.fact.path)


@dataclass(frozen=True)
class World:
    """Where every file is that the ledger knows: in its place (with the run that wrote it), or taken by a clean."""

    placed: Mapping[str, tuple[FileFact, str]]
    taken: Mapping[str, Taken]

    def taken_below(self, folder: str) -> Taken | None:
        """The clean that took something of a folder, such as a model's."""
        return next((one for path, one in self.taken.items() if path.startswith(f"{folder}/")), None)


def trash_path(run_id: str, path: str) -> str:
    """Where the clean `run_id` puts what stood at `path`; both from the workspace."""
    return f"{TRASH}/{run_id}/{_FILES}/{path}"


def manifest_path(workspace: Workspace, run_id: str) -> Path:
    """What names the files of a trash."""
    return workspace.trash / run_id / MANIFEST


def _split(path: str) -> tuple[str, str] | None:
    """The clean and the old place of a file in the trash."""
    parts = PurePosixPath(path).parts
    return (parts[1], "/".join(parts[3:])) if len(parts) > 3 and parts[0] == TRASH and parts[2] == _FILES else None


def told(records: Iterable[Record]) -> World:
    """Where the files of these runs are now, told by their lines in order."""
    placed: dict[str, tuple[FileFact, str]] = {}
    taken: dict[str, Taken] = {}
    for record in records:
        for fact in record.outputs:
            _follow(placed, taken, record, fact)
        if record.command == EMPTY:
            gone = {PurePosixPath(fact.path).name for fact in record.inputs}
            taken.update({path: replace(one, emptied=True) for path, one in taken.items() if one.run_id in gone})
    return World(placed, taken)


def _follow(placed: dict[str, tuple[FileFact, str]], taken: dict[str, Taken], record: Record, fact: FileFact) -> None:
    cleaned = _split(fact.path)
    if cleaned is not None:
        run_id, path = cleaned
        taken[path] = Taken(run_id, replace(fact, path=path), placed.pop(path, None))
    elif record.command == UNDO:
        back = taken.pop(fact.path, None)
        if back is not None and back.known is not None:
            placed[fact.path] = back.known
    elif not fact.path.startswith(f"{TRASH}/"):
        taken.pop(fact.path, None)
        placed[fact.path] = (fact, f"run {record.run_id} (`{record.command}`)")


def world(workspace: Workspace) -> World:
    """By the ledger as it stands; only reads."""
    return told(_done(read_chain(workspace.ledger).entries))


def _done(entries: Iterable[Entry]) -> Iterable[Record]:
    return (entry.record for entry in entries if entry.record.status == DONE)


def standing_trash(workspace: Workspace) -> tuple[Trash, ...]:
    """Every trash that still holds something, the oldest first."""
    _refuse_link(workspace)
    emptied = _emptied(workspace)
    found = [read_manifest(path) for path in sorted(workspace.trash.glob(f"*/{MANIFEST}"))]
    standing = (one for one in found if one and one.run_id not in emptied and _holds_any(workspace, one))
    return tuple(sorted(standing, key=lambda one: (one.cleaned_at, one.run_id)))


def _emptied(workspace: Workspace) -> frozenset[str]:
    records = (record for record in _done(read_chain(workspace.ledger).entries) if record.command == EMPTY)
    return frozenset(PurePosixPath(fact.path).name for record in records for fact in record.inputs)


def _refuse_link(workspace: Workspace) -> None:
    if workspace.trash.is_symlink():
        raise StorageError(
            f"`{workspace.trash}` is a link, and the trash never leaves the workspace",
            f"delete the link: `rm '{workspace.trash}'`",
        )


def lost_manifests(workspace: Workspace, world: World) -> tuple[Path, ...]:
    """Those that the ledger knows of and nobody can read: their trash is not empty."""
    runs = dict.fromkeys(one.run_id for one in world.taken.values() if not one.emptied)
    paths = (manifest_path(workspace, run_id) for run_id in runs)
    return tuple(path for path in paths if read_manifest(path) is None)


def read_manifest(path: Path) -> Trash | None:
    """The manifest of a trash, unless it is none: then nothing of it is believed."""
    try:
        said = json.loads(path.read_bytes())
        files = tuple(FileFact(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in said["files"])
        made = Trash(str(said["run_id"]), str(said["cleaned_at"]), files)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    inside = all(is_inside(fact.path) for fact in files)
    return made if inside and made.run_id == path.parent.name else None


def is_inside(path: str) -> bool:
    """Whether a path of a manifest or ledger stays in the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and ":" not in parts[0] and "\\" not in path


def _holds_any(workspace: Workspace, trash: Trash) -> bool:
    return any((workspace.root / trash_path(trash.run_id, fact.path)).is_file() for fact in trash.files)


def tidy(workspace: Workspace) -> None:
    """Remove the rest of what was emptied or brought back: call it with the lock held, after a recovery.

    A trash that holds files and was not emptied is left alone, whatever else is wrong with it.
    """
    if not workspace.trash.is_dir() or workspace.trash.is_symlink():
        return
    emptied = _emptied(workspace)
    for folder in sorted(workspace.trash.iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            continue
        if folder.name in emptied:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        _drop_if_hollow(folder)
    with suppress(OSError):
        workspace.trash.rmdir()


def _drop_if_hollow(folder: Path) -> None:
    """Empty folders go, and the manifest with the last of them."""
    remove_hollow(folder / _FILES)
    if not os.path.lexists(folder / _FILES):
        with suppress(OSError):
            (folder / MANIFEST).unlink(missing_ok=True)
            folder.rmdir()


def remove_hollow(folder: Path) -> None:
    """Delete a folder and those in it as far as they are empty; links are not followed."""
    for here, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(here).rmdir()
