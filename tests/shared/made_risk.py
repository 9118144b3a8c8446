"""The demo, loaded, learned from and scored: a workspace to copy and to do anything with."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from made_predictions import LIMITS
from trained import context_of

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import text_digest
from studentsuccess.core.locks import utc_now
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.tasks import etl_demo, risk, risk_score
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.risk import RiskRequest, RiskResult
from studentsuccess.tasks.risk_score import RiskScoreResult
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection

STUDENTS = 400
WEEKS = (0, 2, 4)
SETTINGS = {"etl__demo_students": STUDENTS, "etl__demo_weeks": 20, "risk__week": 4, "budget__cpus": 2}


def context(workspace: Path, **settings: object) -> Context:
    return context_of(workspace, **{**SETTINGS, **settings})


def loaded(folder: Path, **settings: object) -> Path:
    """A workspace with the demo in it."""
    folder.mkdir(parents=True, exist_ok=True)
    etl_demo.run(etl_demo.plan(context(folder, **settings)), SilentReporter())
    return folder


def copied(workspace: Path, folder: Path) -> Path:
    return shutil.copytree(workspace, folder, dirs_exist_ok=True)


def train(workspace: Path, weeks: Sequence[int] = WEEKS, **settings: object) -> RiskResult:
    return risk.run(risk.plan(RiskRequest(tuple(weeks)), context(workspace, **settings)), SilentReporter())


def score(workspace: Path, **settings: object) -> RiskScoreResult:
    return risk_score.run(risk_score.plan(None, context(workspace, **settings)), SilentReporter())


def changed(workspace: Path, *queries: str) -> None:
    """As if another export had been loaded: rows of `core` that these statements change."""

    def work(connection: Connection) -> None:
        for query in queries:
            connection.execute(query)

    run_id = new_run_id()
    run = Run(run_id, text_digest(run_id), "etl", ("oulad",), False, utc_now(), "c" * 64)
    commit(Workspace(workspace), LIMITS, run, (), work)


def rows(workspace: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def bits(workspace: Path) -> list[list[tuple[Any, ...]]]:
    """Everything that stands in the warehouse as predicted, but for run ids."""
    return [
        rows(workspace, f"SELECT * EXCLUDE (run_id) FROM ml.{name} ORDER BY ALL")  # noqa: S608 - names of ours
        for name in ("prediction", "reason", "population")
    ]
