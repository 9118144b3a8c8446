"""What of a workspace may go, and why the rest stays: only what a run made or read, and nothing that stands on it.

Links are not followed and not moved; a file that somebody changed since its run wrote it holds their work.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import file_digest
from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.database import connect
from studentsuccess.warehouse.ledger import DONE, Record, head_path, read_chain
from studentsuccess.warehouse.load import DatasetEntry, standing_datasets
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.models import ModelEntry, Registry, standing_models
from studentsuccess.warehouse.predictions import predicting_models
from studentsuccess.warehouse.staging import RUN_ID, running
from studentsuccess.warehouse.trash import World, told


class Kind(StrEnum):
    """What can be cleaned, in the order in which it is listed."""

    INPUTS = "inputs"
    OUTPUTS = "outputs"
    LOGS = "logs"
    MODELS = "models"
    CACHE = "cache"
    DOWNLOADS = "downloads"


@dataclass(frozen=True)
class Item:
    """A file, or a model's folder. Without a `why` it goes; items of one `batch` are as young as each other."""

    kind: Kind
    path: str
    files: tuple[str, ...]
    size: int
    modified: float
    why: str = ""
    group: str = ""
    batch: str = ""

    def stays(self, why: str) -> Item:
        return replace(self, why=why)


@dataclass(frozen=True)
class Known:
    """What ledger, registry and warehouse say; gathered once, by reading only."""

    workspace: Workspace
    records: tuple[Record, ...] = ()
    world: World = field(default_factory=lambda: World({}, {}))
    registry: Registry = field(default_factory=Registry)
    predicting: frozenset[tuple[str, int]] = frozenset()
    datasets: tuple[DatasetEntry, ...] = ()

    def why_kept(self, entry: ModelEntry) -> str:
        """Why a version stays whatever was asked, or nothing."""
        if self.registry.is_production(entry):
            return "in production"
        if (entry.name, entry.version) in self.predicting:
            return "the standing predictions are its"
        if self.registry.production(entry.name) is None and entry == self.registry.versions(entry.name)[-1]:
            return "the newest, and none is in production"
        return ""


def look(context: Context) -> Known:
    """Everything that decides what may go. Without a warehouse nothing is known of models and tables, so they stay."""
    workspace = context.workspace
    entries = read_chain(workspace.ledger).entries
    records = tuple(entry.record for entry in entries if entry.record.status == DONE)
    known = Known(workspace, records, told(records))
    if not workspace.warehouse.is_file():
        return known
    with connect(workspace, context.limits, read_only=True, wait=context.wait) as connection:
        pending(connection)
        registry, datasets = standing_models(connection), standing_datasets(connection)
        return replace(known, registry=registry, predicting=predicting_models(connection), datasets=datasets)


def candidates(known: Known, kinds: Collection[Kind]) -> Iterator[Item]:
    """Everything of some kinds, and of each whether it goes."""
    gather: Mapping[Kind, Callable[[Known], Iterable[Item]]] = {
        Kind.INPUTS: _inputs,
        Kind.OUTPUTS: _outputs,
        Kind.LOGS: _logs,
        Kind.MODELS: _models,
        Kind.CACHE: _cache,
        Kind.DOWNLOADS: _downloads,
    }
    for kind in Kind:
        if kind in kinds:
            yield from gather[kind](known)


def _inputs(known: Known) -> Iterator[Item]:
    workspace = known.workspace
    read = _files_read(known)
    for item in _files(workspace, Kind.INPUTS, workspace.inputs):
        path = workspace.root / item.path
        if item.why:
            yield item
        elif path.is_relative_to(workspace.datasets):
            yield _dataset_file(known, item)
        elif path.is_relative_to(workspace.dead_letters):
            yield _letters(known, item)
        else:
            yield _brought(read, item, path)


def _dataset_file(known: Known, item: Item) -> Item:
    for entry in known.datasets:
        if entry.path and item.path.startswith(f"{entry.path}/"):
            return item.stays(f"`raw.{entry.name}` stands on it")
    return item if item.path in known.world.placed else item.stays("no run wrote it")


_LETTERS = re.compile(rf"(?P<run>{RUN_ID})-(?P<table>.+)\.csv")


def _letters(known: Known, item: Item) -> Item:
    """Dead letters go when they were fed back, or when what their run made is no more: then nothing is lost in them."""
    name = Path(item.path).name
    named = _LETTERS.fullmatch(name)
    if named is None:
        return item.stays("is no dead-letter file")
    item = replace(item, group=f"dlq/{named['table']}", batch=named["run"])
    retried = any(Path(fact.path).name == name for record in known.records for fact in record.inputs)
    if retried or _is_replaced(known, named["run"], named["table"]):
        return item
    return item.stays("dead letters that nobody fed back: `ss etl --retry` does")


def _is_replaced(known: Known, run_id: str, table: str) -> bool:
    entry = next((one for one in known.datasets if one.name == table), None)
    if entry is not None:
        return entry.run_id > run_id and run_id not in entry.spec.get("runs", ())
    made = [fact.path for record in known.records if record.run_id == run_id for fact in record.outputs]
    results = [path for path in made if not path.startswith("inputs/dlq/")]
    standing = [path for path in results if run_id in known.world.placed.get(path, (None, ""))[1]]
    return bool(results) and not standing


def _files_read(known: Known) -> dict[tuple[int, str], str]:
    """Every file that a run has read, by its content, and why it must stay if it must."""
    found = {(fact.size, fact.sha256): "" for record in known.records for fact in record.inputs}
    by_run = {record.run_id: record for record in known.records}
    for entry in known.registry.entries:
        record = by_run.get(entry.run_id)
        if record is not None and known.why_kept(entry):
            found.update({(fact.size, fact.sha256): f"`{entry.label}` was trained on it" for fact in record.inputs})
    return found


def _brought(read: Mapping[tuple[int, str], str], item: Item, path: Path) -> Item:
    """A file of the user's own: by its content, because they may have called it by any path."""
    unread = "no run has read it"
    if item.size not in {size for size, _ in read}:
        return item.stays(unread)
    return item.stays(read.get((item.size, file_digest(path)), unread))


def _outputs(known: Known) -> Iterator[Item]:
    workspace = known.workspace
    for folder in (workspace.outputs, workspace.reports):
        for item in _files(workspace, Kind.OUTPUTS, folder):
            yield item if item.why else _result(known, item)


def _result(known: Known, item: Item) -> Item:
    if item.path not in known.world.placed:
        return item.stays("no run wrote it")
    fact, wrote = known.world.placed[item.path]
    if item.size != fact.size or file_digest(known.workspace.root / item.path) != fact.sha256:
        return item.stays("changed since its run wrote it")
    run_id, command = re.split(r" \(", wrote.removeprefix("run "), maxsplit=1)
    return replace(item, group=command, batch=run_id)


def _logs(known: Known) -> Iterator[Item]:
    ledger = (known.workspace.ledger, head_path(known.workspace.ledger))
    for item in _files(known.workspace, Kind.LOGS, known.workspace.logs):
        yield item.stays("the ledger") if known.workspace.root / item.path in ledger else item


def _models(known: Known) -> Iterator[Item]:
    workspace = known.workspace
    if workspace.models.is_symlink():
        yield _link(workspace, Kind.MODELS, workspace.models)
        return
    by_path = {entry.path: entry for entry in known.registry.entries}
    for folder in sorted(workspace.models.glob("*/*")):
        path = folder.relative_to(workspace.root).as_posix()
        if not folder.is_relative_to(workspace.unfinished_models):
            yield _version(known, folder, by_path.get(path))


def _version(known: Known, folder: Path, entry: ModelEntry | None) -> Item:
    """One version as a whole: half a model is none."""
    workspace = known.workspace
    if folder.is_symlink() or folder.parent.is_symlink():
        return _link(workspace, Kind.MODELS, folder)
    files = list(_files(workspace, Kind.MODELS, folder)) if folder.is_dir() else []
    whole = _together(Kind.MODELS, folder.relative_to(workspace.root).as_posix(), files)
    if whole.why:
        return whole
    if entry is None:
        return whole.stays("the registry does not know it")
    stamp = entry.trained_at.timestamp()
    whole = replace(whole, modified=stamp, group=entry.name, batch=f"{entry.version:09}")
    return whole.stays(known.why_kept(entry))


def _together(kind: Kind, path: str, files: list[Item]) -> Item:
    why = next((f"{one.path} {one.why}" for one in files if one.why), "")
    names = tuple(name for one in files for name in one.files)
    return Item(kind, path, names, sum(one.size for one in files), max((one.modified for one in files), default=0), why)


def _cache(known: Known) -> Iterator[Item]:
    """What an interrupted training would go on from, and whatever else is made again by itself."""
    workspace = known.workspace
    busy = "a run is going on" if running(workspace) else ""
    for folder in (workspace.unfinished_models, workspace.cache):
        for item in _files(workspace, Kind.CACHE, folder):
            yield item if item.why else item.stays(busy)


def _downloads(known: Known) -> Iterator[Item]:
    yield from _files(known.workspace, Kind.DOWNLOADS, known.workspace.downloads)


def _files(workspace: Workspace, kind: Kind, folder: Path) -> Iterator[Item]:
    """Every file below a folder, in order. What can't be moved within the workspace says why it stays."""
    if any(place.is_symlink() for place in (folder, *_between(folder, workspace.root))):
        yield _link(workspace, kind, folder)
        return
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in (one for one in folders if Path(here, one).is_symlink()):
            yield _link(workspace, kind, Path(here, name))
        for name in sorted(names):
            yield _file(workspace, kind, Path(here, name))


def _between(folder: Path, root: Path) -> Iterator[Path]:
    return (place for place in folder.parents if place.is_relative_to(root) and place != root)


def _file(workspace: Workspace, kind: Kind, path: Path) -> Item:
    found = path.lstat()
    name = path.relative_to(workspace.root).as_posix()
    item = Item(kind, name, (name,), found.st_size, found.st_mtime, batch=name)
    if stat.S_ISLNK(found.st_mode):
        return item.stays("is a link")
    if not stat.S_ISREG(found.st_mode):
        return item.stays("is no plain file")
    if path.name.startswith(".") and path.name.endswith(".part"):
        return item.stays("is unfinished: `ss verify` knows more")
    if found.st_dev != workspace.root.stat().st_dev:
        return item.stays("is on another disk than the workspace")
    return item if os.access(path.parent, os.W_OK | os.X_OK) else item.stays("its folder can't be written to")


def _link(workspace: Workspace, kind: Kind, path: Path) -> Item:
    return Item(kind, path.relative_to(workspace.root).as_posix(), (), 0, 0, "is a link")
