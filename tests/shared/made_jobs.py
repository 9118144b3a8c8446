"""Jobs that nobody sent: rows of the books as a submission leaves them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from made_models import LIMITS, context_of

from studentsuccess.core.digest import FileFact
from studentsuccess.core.locks import utc_now
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.jobs import JobEntry, archive_job, note_job

JOB = "ss-outcome-0123456789ab"
# An Azure ML workspace that is nowhere: what is said about it needs no network.
NOWHERE = ("--set=azure.subscription_id=0-1", "--set=azure.resource_group=school", "--set=azure.workspace=risk")
PLACE = "0-1/school/risk"


def an_entry(job: str = JOB, **changed: Any) -> JobEntry:
    facts: dict[str, Any] = {
        "job": job,
        "parent": "",
        "key": f"key of {job}",
        "model": "Outcome",
        "place": PLACE,
        "experiment": "studentsuccess",
        "compute": "cpu-small",
        "command": "train local --target Outcome --name Outcome",
        "data": (FileFact("learn.csv", 10, "d" * 64),),
        "data_digest": "e" * 64,
        "submitted_at": datetime(2025, 3, 1, 12, tzinfo=UTC),
        "run_id": "20250301T120000-000001",
    }
    return JobEntry(**{**facts, **changed})


def noted(workspace: Path, *entries: JobEntry, archived: bool = False) -> None:
    """In the books of a workspace, by a commit like any other."""
    run_id = new_run_id()
    targets = tuple(f"job:{entry.job}" for entry in entries)
    run = Run(run_id, run_id, "train remote", targets, True, utc_now(), "c" * 64)

    def work(connection: Connection) -> None:
        for entry in entries:
            note_job(connection, entry)
            if archived:
                archive_job(connection, entry.job, utc_now())

    commit(context_of(workspace).workspace, LIMITS, run, (), work)
