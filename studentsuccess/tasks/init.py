"""`ss init`: a folder with a config.toml that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studentsuccess.config.template import render_template
from studentsuccess.config.workspace import CONFIG_NAME
from studentsuccess.core.atomic import atomic_write_text
from studentsuccess.errors import StorageError, UsageError


@dataclass(frozen=True)
class InitPlan:
    """The workspace that will be, or is."""

    folder: Path
    config: Path
    exists: bool


def plan(folder: Path) -> InitPlan:
    """See whether a workspace can stand there."""
    place = folder.expanduser()
    try:
        place.absolute()
    except FileNotFoundError:
        raise UsageError("the current folder is gone", "`cd` into one that is there") from None
    blocking = next((path for path in (place, *place.parents) if path.exists()), None)
    if blocking is not None and not blocking.is_dir():
        said = "is a file" if blocking == place else f"can't be a folder: {blocking} is a file"
        raise UsageError(f"{folder}: {said}", "name a folder, new or there already: `ss init FOLDER`")
    config = place / CONFIG_NAME
    return InitPlan(place, config, config.exists())


def run(made: InitPlan) -> None:
    """Write the template; a config.toml that is there is never touched."""
    try:
        made.folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(made.config, render_template())
    except PermissionError:
        raise StorageError(
            f"{made.folder}: can't be written", "choose another folder, or mend its permissions"
        ) from None
