"""Jobs that run elsewhere: what was sent from this workspace, and what became of it as far as is known here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import FileFact, canonical
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.sql import statement

SUBMITTED, CANCELLED, FETCHED = "submitted", "cancelled", "fetched"


@dataclass(frozen=True)
class JobEntry:
    """One job. `place` is the Azure workspace; `data` has no digest where only Azure can read it."""

    job: str
    parent: str
    key: str
    model: str
    place: str
    experiment: str
    compute: str
    command: str
    data: tuple[FileFact, ...]
    data_digest: str
    submitted_at: datetime
    run_id: str
    state: str = SUBMITTED
    fetched_model: str | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True)
class Jobs:
    """All jobs of a workspace, oldest first."""

    entries: tuple[JobEntry, ...] = ()

    def find(self, name: str) -> JobEntry | None:
        return next((entry for entry in self.entries if entry.job == name), None)

    def trials(self, parent: str) -> tuple[JobEntry, ...]:
        """The jobs of a sweep."""
        return tuple(entry for entry in self.entries if entry.parent == parent)

    def meant(self, name: str) -> tuple[JobEntry, ...]:
        """The jobs that a name means: one, or those of a sweep; none when nobody here has sent it."""
        found = self.find(name)
        return (found,) if found else self.trials(name)

    @property
    def names(self) -> tuple[str, ...]:
        found = (name for entry in self.entries for name in (entry.parent, entry.job) if name)
        return tuple(dict.fromkeys(found))


def all_jobs(workspace: Workspace, limits: EngineLimits) -> Jobs:
    """For plans: reads only."""
    if not workspace.warehouse.is_file():
        return Jobs()
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return standing_jobs(connection)


def standing_jobs(connection: DuckDBPyConnection) -> Jobs:
    """The jobs of a warehouse that may never have had one."""
    if not has_table(connection, "ops", "job"):
        return Jobs()
    return Jobs(tuple(_entry(row) for row in connection.execute(statement("jobs")).fetchall()))


def _entry(row: Sequence[Any]) -> JobEntry:
    named = dict(zip(JobEntry.__dataclass_fields__, row, strict=True))
    named["data"] = tuple(FileFact(**fact) for fact in json.loads(named["data"]))
    for moment in ("submitted_at", "archived_at"):
        named[moment] = named[moment].replace(tzinfo=UTC) if named[moment] else None
    return JobEntry(**named)


def note_job(connection: DuckDBPyConnection, entry: JobEntry) -> None:
    """Add a job; for the `work` of a commit. One that is noted already stays as it is."""
    if standing_jobs(connection).find(entry.job) is None:
        named = asdict(entry) | {"data": canonical([asdict(fact) for fact in entry.data])}
        del named["fetched_model"], named["archived_at"]
        connection.execute(statement("insert_job"), named | {"submitted_at": _stamp(entry.submitted_at)})


def move_job(connection: DuckDBPyConnection, job: str, state: str, fetched_model: str | None = None) -> None:
    """Note what became of a job; for the `work` of a commit."""
    connection.execute(statement("move_job"), {"job": job, "state": state, "fetched_model": fetched_model})


def archive_job(connection: DuckDBPyConnection, job: str, moment: datetime) -> None:
    """Note that a job is archived, with the first moment at which it was; for the `work` of a commit."""
    connection.execute(statement("archive_job"), {"job": job, "archived_at": _stamp(moment)})


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
