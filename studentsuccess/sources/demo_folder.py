"""The folder of a generated demo: its receipt, whether it can be used again, and how a new one takes its place.

A folder is replaced only when every file in it is one that the generator wrote and nobody changed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from studentsuccess.core.atomic import sync_file, sync_folder, temp_path
from studentsuccess.errors import SsError, StorageError, UsageError
from studentsuccess.sources.demo_request import VERSION, DemoRequest

NEW = "new"
GENERATOR = "studentsuccess demo"
RECEIPT = "truth/request.json"
TABLES = ("courses", "assessments", "vle", "studentInfo", "studentRegistration", "studentAssessment", "studentVle")
TRUTH = ("truth/true_probability.csv", "truth/planted_effects.json", "truth/dirty_rows.csv")
OWN = frozenset([*(f"{table}.csv" for table in TABLES), *TRUTH, RECEIPT])


@dataclass(frozen=True)
class DemoFile:
    """One generated file: `rows` are the good ones, `dirty` the planted bad ones among them."""

    path: str
    size: int
    rows: int = 0
    dirty: int = 0


@dataclass(frozen=True)
class DemoFiles:
    """A generated demo as it stands on the disk."""

    folder: Path
    files: tuple[DemoFile, ...]
    reused: bool = False

    @property
    def truth(self) -> Path:
        return self.folder / "truth"

    @property
    def tables(self) -> tuple[Path, ...]:
        """The seven files that the OULAD source reads."""
        return tuple(self.folder / f"{table}.csv" for table in TABLES)

    @property
    def dirty_rows(self) -> int:
        return sum(file.dirty for file in self.files)


@dataclass(frozen=True)
class Receipt:
    """What the generator notes of a folder it has written."""

    version: int
    request: DemoRequest
    files: tuple[DemoFile, ...]

    def to_json(self) -> str:
        parts = {"generator": GENERATOR, "version": self.version, "request": asdict(self.request)}
        return json.dumps({**parts, "files": [asdict(file) for file in self.files]}, indent=1) + "\n"


def receipt_of(folder: Path) -> Receipt | None:
    """The receipt in a folder, None where there is none that can be understood."""
    try:
        known = json.loads((folder / RECEIPT).read_text("utf-8"))
        if known["generator"] != GENERATOR:
            return None
        files = tuple(DemoFile(**file) for file in known["files"])
        return Receipt(int(known["version"]), DemoRequest(**known["request"]), files)
    except (OSError, ValueError, KeyError, TypeError, SsError):
        return None


def reusable(folder: Path, request: DemoRequest) -> DemoFiles | None:
    """The demo that stands in the folder, if it is just the one asked for."""
    receipt = receipt_of(folder)
    if receipt is None or receipt.request != request or receipt.version != VERSION:
        return None
    intact = all(_is_unchanged(folder, file) for file in receipt.files)
    return DemoFiles(folder, receipt.files, reused=True) if intact else None


def refuse_foreign(folder: Path) -> None:
    """Stop before anything is lost that the generator can't make again."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, and the demo needs a folder", "name another folder")
    receipt = receipt_of(folder)
    known = {file.path: file for file in receipt.files} if receipt else {}
    for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()):
        if name == RECEIPT and receipt:
            continue
        if name not in OWN or name not in known or not _is_unchanged(folder, known[name]):
            message = f"{folder}: `{name}` is not as the demo wrote it, so the folder is not replaced"
            raise UsageError(message, "move the folder away or name another one, then run the command again")


def _is_unchanged(folder: Path, file: DemoFile) -> bool:
    try:
        return (folder / file.path).stat().st_size == file.size
    except OSError:
        return False


@contextmanager
def replacing(folder: Path, token: str) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends without an error.

    What a killed run with the same token left behind is removed first.
    """
    temp, aside = temp_path(folder, token), temp_path(folder, f"{token}-old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove(temp)
        _remove(aside)
        (temp / "truth").mkdir(parents=True)
        yield temp
        _sync(temp)
        _swap(temp, folder, aside)
    except OSError as problem:
        _remove(temp)
        reason = (problem.strerror or "input or output error").lower()
        raise StorageError(f"{folder}: can't be written: {reason}", "free some space, or name another folder") from None
    except BaseException:
        _remove(temp)
        raise


def _sync(folder: Path) -> None:
    for name in sorted(OWN):
        sync_file(folder / name)
    sync_folder(folder / "truth")
    sync_folder(folder)


def _swap(temp: Path, folder: Path, aside: Path) -> None:
    """A folder can't be renamed over another: the old one steps aside, and comes back if the new one can't come."""
    if folder.exists():
        folder.replace(aside)
    try:
        temp.replace(folder)
    except OSError:
        if aside.exists():
            aside.replace(folder)
        raise
    sync_folder(folder.parent)
    with suppress(OSError):
        _remove(aside)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
