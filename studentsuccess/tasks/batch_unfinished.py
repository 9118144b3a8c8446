"""What a killed run had ready: kept under the digest of all that decides it, so that the same run goes on with it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from studentsuccess.batching.instance import Grouping, Placement
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import atomic_writer
from studentsuccess.tasks.batch_journal import stage_of, stage_text
from studentsuccess.warehouse.stages import Stage

PREFIX = "batch-"
# A month: the term has begun by then.
KEPT_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Unfinished:
    """The folder of one run's intermediate results. What can't be read again is made again."""

    folder: Path

    def grouping(self) -> tuple[Grouping, Stage] | None:
        found = self._load("clustering", ("batch", "cell"))
        if found is None:
            return None
        arrays, facts, stage = found
        facts["cells"] = {key: (one[0], one[1], one[2]) for key, one in facts["cells"].items()}
        facts |= {name: tuple(facts[name]) for name in ("cell_keys", "notes")}
        return Grouping(arrays["batch"], arrays["cell"], **facts), stage

    def keep_grouping(self, made: Grouping, stage: Stage) -> None:
        arrays = ("batch", "cell")
        facts = {one.name: getattr(made, one.name) for one in fields(made) if one.name not in arrays}
        self._keep("clustering", {name: getattr(made, name) for name in arrays}, facts, stage)

    def placement(self) -> tuple[Placement, Stage] | None:
        found = self._load("rooms", ("room", "shift"))
        if found is None:
            return None
        arrays, facts, stage = found
        return Placement(arrays["room"], arrays["shift"], float(facts["best_utilisation"])), stage

    def keep_placement(self, made: Placement, stage: Stage) -> None:
        arrays = {"room": made.room, "shift": made.shift}
        self._keep("rooms", arrays, {"best_utilisation": made.best_utilisation}, stage)

    def clear(self) -> None:
        """The run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, name: str, arrays: Mapping[str, Any], facts: Mapping[str, Any], stage: Stage) -> None:
        """Whole or not at all. It is not synced: after a power cut the stage is done again."""
        with atomic_writer(self._path(name), stage.run_id, durable=False) as sink:
            np.savez(sink, facts=np.array(json.dumps(facts, default=dict)), stage=np.array(stage_text(stage)), **arrays)

    def _load(self, name: str, arrays: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any], Stage] | None:
        """Every part of the file has a checksum, which is looked at when it is read."""
        try:
            with np.load(self._path(name), allow_pickle=False) as kept:
                found = {part: kept[part] for part in arrays}
                return found, json.loads(str(kept["facts"])), stage_of(str(kept["stage"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile):
            return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def unfinished(workspace: Workspace, key: str) -> Unfinished:
    """The one of the run that `key` decides."""
    return Unfinished(workspace.staging / f"{PREFIX}{key[:24]}")


def forget_old(workspace: Workspace, now: float) -> None:
    """What was left by runs that nobody went on with; a run that is still going on is younger."""
    with suppress(OSError):
        for folder in workspace.staging.glob(f"{PREFIX}*"):
            if now - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
