"""The folder that everything of one school lives in, and how it is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.errors import UsageError

CONFIG_NAME = "config.toml"
TRASH = ".trash"


@dataclass(frozen=True)
class Workspace:
    """The places in a workspace. Nothing of it needs to exist before a command first writes."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / CONFIG_NAME

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def lock(self) -> Path:
        return self.root / "warehouse.lock"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def datasets(self) -> Path:
        return self.inputs / "datasets"

    @property
    def dead_letters(self) -> Path:
        return self.inputs / "dlq"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def ledger(self) -> Path:
        return self.logs / "ledger.jsonl"

    @property
    def staging(self) -> Path:
        return self.root / ".staging"

    @property
    def trash(self) -> Path:
        return self.root / TRASH

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def cache(self) -> Path:
        return self.root / ".cache"

    @property
    def unfinished_models(self) -> Path:
        return self.models / ".unfinished"

    def name_of(self, path: Path) -> str:
        """A file as the books name it: by the way from here where it is inside, so that a workspace can be moved."""
        whole = path.absolute()
        return (whole.relative_to(self.root) if whole.is_relative_to(self.root) else whole).as_posix()


def find_workspace(given: Path | None, config: Path | None, environ: Mapping[str, str], cwd: Path) -> Workspace:
    """The workspace meant: `-w`, `SS_WORKSPACE`, the folder of `-c`, the nearest config.toml upwards, or `cwd`."""
    here = cwd.absolute()
    if given is not None:
        return _named(here, given, "-w")
    if named := environ.get("SS_WORKSPACE"):
        return _named(here, Path(named), "SS_WORKSPACE")
    if config is not None:
        return Workspace(from_here(here, config).parent)
    above = (folder for folder in (here, *here.parents) if os.path.lexists(folder / CONFIG_NAME))
    return Workspace(next(above, here))


def from_here(here: Path, path: Path) -> Path:
    """An absolute path; `~` is the home folder also where no shell has expanded it."""
    try:
        return here / path.expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no home folder for `~`", "write the whole path") from None


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder as far as we are allowed to know: Python before 3.14 raises where we are not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _named(here: Path, given: Path, where: str) -> Workspace:
    root = from_here(here, given)
    existing = next((place for place in (root, *root.parents) if os.path.lexists(place)), None)
    if existing is not None and not is_folder(existing):
        said = "is not a folder" if existing == root else f"can't be a folder: {existing} is none"
        raise UsageError(f"{where}: {given} {said}", "`ss init FOLDER` makes a workspace of a folder")
    return Workspace(root)
