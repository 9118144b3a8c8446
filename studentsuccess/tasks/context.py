"""What every task starts from: the settings, and what they and the machine allow."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from studentsuccess.config.layers import Configuration
from studentsuccess.config.schema import Settings
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.budget import Budget, measure
from studentsuccess.core.parallel import Engine
from studentsuccess.core.stream import StreamSettings
from studentsuccess.errors import SsError
from studentsuccess.sources.landed import Reading
from studentsuccess.warehouse.commit import finish
from studentsuccess.warehouse.database import EngineLimits


@dataclass(frozen=True)
class Context:
    """The settings of this call with the budget that follows from them."""

    configuration: Configuration
    wait: float = 0.0

    @property
    def settings(self) -> Settings:
        return self.configuration.settings

    @property
    def workspace(self) -> Workspace:
        return self.configuration.workspace

    @cached_property
    def budget(self) -> Budget:
        configured = self.settings.budget
        return measure(configured.memory_bytes, configured.cpus, configured.batch_rows)

    @property
    def limits(self) -> EngineLimits:
        return EngineLimits(self.budget.database_memory, self.budget.workers)

    def reading(self) -> Reading:
        """How sources read under these settings."""
        etl = self.settings.etl
        stream = StreamSettings(
            max_record=etl.max_record_bytes,
            block_bytes=self.budget.block_bytes,
            batch_rows=self.budget.batch_rows(),
            engine=Engine("threads" if self.budget.workers > 1 else "serial", self.budget.workers),
        )
        return Reading(stream, tuple(etl.null_values), etl.type_tolerance, etl.reject_limit, etl.duplicates)

    def shown(self, path: Path) -> str:
        """A path as the user would type it: relative to where they stand, when that is shorter."""
        try:
            return path.relative_to(Path.cwd()).as_posix()
        except ValueError:
            return str(path)


def settle(context: Context) -> tuple[str, ...]:
    """Before a plan that will be run: what was killed after its COMMIT gets its files and its line, so that whatever
    the plan finds done is whole. What stands in the way of that is for the command itself to meet and to tell.

    The commands that came to their end now."""
    with suppress(SsError):
        return finish(context.workspace, context.limits, "recovery", context.wait)
    return ()


def free_space(path: Path) -> int:
    """Bytes free on the disk that a path is or will be on."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(existing).free
