"""The run that the tests commit, kill and repeat. As a program: `job.py ROOT STEP` dies when STEP is reached."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact
from studentsuccess.core.locks import utc_now
from studentsuccess.warehouse import recovery
from studentsuccess.warehouse.commit import Committed, Run, StagedFile, commit, new_run_id
from studentsuccess.warehouse.database import EngineLimits
from studentsuccess.warehouse.staging import staging_folder

LIMITS = EngineLimits(memory_bytes=256 * 2**20, threads=1)
KILLED = 9


def make_run(key: str = "key-1", extends: bool = False, targets: tuple[str, ...] = ("core.course_run",)) -> Run:
    return Run(
        run_id=new_run_id(),
        key=key,
        command="ss etl",
        targets=targets,
        extends=extends,
        started_at=utc_now(),
        config_digest="c" * 64,
        inputs=(FileFact("exports/courses.csv", 120, "a" * 64),),
        counts={"courses": Counts(read=4, kept=3, rejected=1)},
    )


def replace_courses(connection: DuckDBPyConnection) -> None:
    connection.execute("DELETE FROM core.course_run")
    connection.execute("INSERT INTO core.course_run SELECT 'run-' || range, 'BBB', '2014J', 240 FROM range(3)")
    connection.execute('CREATE OR REPLACE TABLE raw."odd ""name" AS SELECT \'a\' AS cell')


def load(
    workspace: Workspace,
    run: Run | None = None,
    work: Callable[[DuckDBPyConnection], None] = replace_courses,
    files: tuple[str, ...] = ("courses.csv", "reasons.csv"),
    wait: float = 0.0,
) -> Committed:
    """Stage two files, then commit them with three rows."""
    run = run or make_run()
    with staging_folder(workspace, run.run_id):
        workspace.outputs.mkdir(parents=True, exist_ok=True)
        staged = []
        for name in files:
            target = workspace.outputs / name
            temp = temp_path(target, run.run_id)
            temp.write_bytes(f"{name}: 3 rows\n".encode())
            staged.append(StagedFile(temp, target))
        return commit(workspace, LIMITS, run, staged, work, wait)


def die_at(step: str) -> Callable[[str], None]:
    def reached(name: str) -> None:
        if name == step:
            os._exit(KILLED)

    return reached


if __name__ == "__main__":
    recovery._step = die_at(sys.argv[2])
    load(Workspace(Path(sys.argv[1])))
