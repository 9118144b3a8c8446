"""The stages of a long run in the ledger: each has a line of its own, before that of the run that they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from studentsuccess import __version__
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.counts import Counts
from studentsuccess.core.locks import hold
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.ledger import Record, append_line, build_line
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.recovery import next_head, recover, storage_errors
from studentsuccess.warehouse.runs import StoredRun, stored_runs

# Neither done nor failed: a stage changes no table and no file of the user's.
STAGE = "stage"


@dataclass(frozen=True)
class Stage:
    """A stage that has ended: of which run, when, and what went through it."""

    run_id: str
    name: str
    started: datetime
    finished: datetime
    counts: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return (self.finished - self.started).total_seconds()


def record_stages(
    workspace: Workspace,
    limits: EngineLimits,
    command: str,
    stages: Sequence[Stage],
    config_digest: str,
    wait: float = 0.0,
) -> None:
    """Write the lines of these stages, in their order."""
    with hold(workspace.lock, command, wait), storage_errors(workspace.ledger):
        runs = _stored(workspace, limits)
        for stage in stages:
            record = Record(
                run_id=f"{stage.run_id}:{stage.name}",
                command=f"{command}: {stage.name}",
                status=STAGE,
                started=_stamp(stage.started),
                finished=_stamp(stage.finished),
                config_digest=config_digest,
                version=__version__,
                counts=stage.counts,
            )
            append_line(workspace.ledger, build_line(record, next_head(workspace, runs)))


def _stored(workspace: Workspace, limits: EngineLimits) -> tuple[StoredRun, ...]:
    """What was committed and not yet written comes first, so that numbers are given once."""
    if not workspace.warehouse.is_file():
        return ()
    with connect(workspace, limits) as connection:
        pending(connection)
        recover(workspace, connection)
        return stored_runs(connection)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
