"""`ss archive`: jobs put aside in Azure, and marked in our own books."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.errors import UsageError
from studentsuccess.remote.azure_client import Place, place_of
from studentsuccess.remote.azure_jobs import AzureJobs
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.train_status import meant
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.jobs import JobEntry, all_jobs, archive_job

COMMAND = "archive"
_AGE = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>[hdw])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


@dataclass(frozen=True)
class ArchivePlan:
    """Which jobs are put aside; those that are already are left alone."""

    context: Context
    place: Place
    names: tuple[str, ...]
    entries: tuple[JobEntry, ...]
    already: tuple[str, ...]


@dataclass(frozen=True)
class Archived:
    """What was done; without a run nothing was."""

    run_id: str | None
    names: tuple[str, ...]
    already: tuple[str, ...]


def age(text: str) -> timedelta:
    """`30d`, `12h`, `4w`."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"`--older-than {text}` is no age", "such as `--older-than 30d`, `12h` or `4w`")
    return timedelta(hours=int(found["number"]) * _HOURS[found["unit"]])


def plan(name: str | None, older_than: str | None, context: Context, now: datetime | None = None) -> ArchivePlan:
    """The jobs that are meant: one by name, or all that were sent before some time. Azure is not asked."""
    if (name is None) == (older_than is None):
        raise UsageError("say which jobs: a name, or an age", "`ss archive JOB`, or `ss archive --older-than 30d`")
    place = place_of(context.settings.azure)
    if name is not None:
        names, noted = meant(name, context)
        entries = tuple(entry for one in names if (entry := noted.find(one)))
    else:
        before = (now or datetime.now(UTC)) - age(str(older_than))
        standing = all_jobs(context.workspace, context.limits).entries
        entries = tuple(entry for entry in standing if entry.submitted_at < before and entry.place == place.whole)
        names = tuple(entry.job for entry in entries)
    already = tuple(entry.job for entry in entries if entry.archived_at)
    return ArchivePlan(context, place, tuple(one for one in names if one not in already), entries, already)


def run(made: ArchivePlan) -> Archived:
    """Put them aside, then note it. One that Azure has put aside already is only noted."""
    if not made.names:
        return Archived(None, (), made.already)
    context, jobs = made.context, AzureJobs(made.place, made.context.settings.azure)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND):
        for name in made.names:
            if not jobs.state(name).archived:
                jobs.archive(name)
        mine = [entry.job for entry in made.entries if entry.job in made.names]
        key = text_digest(canonical([COMMAND, list(made.names), run_id]))
        targets = tuple(f"job:{name}" for name in made.names)
        record = Run(run_id, key, COMMAND, targets, True, started, context.configuration.digest)

        def work(connection: Connection) -> None:
            for name in mine:
                archive_job(connection, name, started)

        commit(context.workspace, context.limits, record, (), work, context.wait)
    return Archived(run_id, made.names, made.already)
