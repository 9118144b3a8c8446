"""What the report says, read from the warehouse: counts and means, never a person.

A table that is not there yet, or has nothing in it, is no error: its section of the report says how to make it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from duckdb import DuckDBPyConnection

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact
from studentsuccess.errors import UsageError
from studentsuccess.warehouse.experiment import SIMULATION, Result, standing_candidates, standing_results
from studentsuccess.warehouse.load import OULAD
from studentsuccess.warehouse.migrate import has_table
from studentsuccess.warehouse.sql import statement

Floats = npt.NDArray[np.float64]
# What the report is made of, as the runs that made it name it.
TARGETS = (OULAD, "predictions", "backtest", "marts", "alerts", "experiment:simulation")


@dataclass(frozen=True)
class ScoredRun:
    """One course run as it was scored last; `taught` are those whom the model had learned from."""

    term: str
    name: str
    version: int
    week: int
    cutoff_day: int
    scored: int
    taught: int
    gone: int
    later: int

    @property
    def model(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class WeekRisk:
    """Everyone who was scored in a week."""

    week: int
    students: int
    mean: float
    high: int


@dataclass(frozen=True)
class Reason:
    """How many students something pushes towards failing, and by how much in log-odds."""

    feature: str
    actionable: bool
    students: int
    push: float


@dataclass(frozen=True)
class CourseRisk:
    """A class as the marts publish it: what is hidden there is None."""

    course: str
    term: str
    on: date
    students: int | None
    mean: float | None
    high_rate: float | None


@dataclass(frozen=True)
class Shown:
    """Of which totals the published summary lets a reader know: see `insights.suppress`."""

    students: bool
    mean: bool
    rate: bool


@dataclass(frozen=True)
class Published:
    """The marts, and whether they are of the predictions that stand."""

    courses: tuple[CourseRisk, ...]
    newest: Shown
    weeks: Mapping[int, Shown]
    stale: bool


@dataclass(frozen=True)
class Alert:
    """An alert of a class, or of all together when it has no course."""

    kind: str
    course: str | None
    term: str | None


@dataclass(frozen=True)
class TrainedModel:
    """What the registry knows of the model."""

    run_id: str
    rows_train: int
    rows_holdout: int
    holdout_basis: str
    manifest_sha256: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class BacktestFigure:
    """One figure of the backtest; `member` is the number of a bin where the scope is `bin`."""

    train_terms: str
    test_terms: str
    demographics: str
    week: int
    scope: str
    member: str
    n: int
    metric: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MadeBy:
    """A run that something in the report comes from."""

    command: str
    run_id: str
    config_digest: str
    program_version: str


@dataclass(frozen=True)
class Load:
    """A load of course data."""

    run_id: str
    extends: bool
    inputs: tuple[FileFact, ...]
    counts: Mapping[str, Counts]


@dataclass(frozen=True)
class Facts:
    """Everything that the report is made of, but for the settings."""

    terms: tuple[str, ...]
    enrolments: int
    runs: tuple[ScoredRun, ...]
    risks: Floats
    weeks: tuple[WeekRisk, ...]
    reasons: tuple[Reason, ...]
    published: Published | None
    alerts: tuple[Alert, ...]
    results: tuple[Result, ...]
    candidates: Floats
    stale_results: bool
    model: TrainedModel | None
    backtest: tuple[BacktestFigure, ...]
    made: tuple[MadeBy, ...]
    loads: tuple[Load, ...]

    def last(self, command: str) -> MadeBy | None:
        """The last run of a command, if there was one."""
        return next((one for one in self.made if one.command == command), None)


def read_facts(connection: DuckDBPyConnection, high_risk: float) -> Facts:
    """Read it all; a warehouse into which no course was loaded has nothing to report."""
    found = _rows(connection, "core", "course_run", "SELECT DISTINCT term FROM core.course_run ORDER BY term")
    if not found:
        raise nothing_loaded()
    enrolments = _rows(connection, "core", "enrollment", "SELECT count(*) FROM core.enrollment")
    runs = tuple(ScoredRun(*row) for row in _named(connection, "ml", "prediction", "report_scoring"))
    candidates, digest = _candidates(connection) if any(one.scored for one in runs) else (np.empty(0), "")
    results, model = standing_results(connection), _model(connection, runs)
    return Facts(
        tuple(str(row[0]) for row in found),
        int(enrolments[0][0]),
        runs,
        np.array([row[0] for row in _named(connection, "ml", "prediction", "report_risks")], np.float64),
        tuple(
            WeekRisk(week, students, float(mean), high)
            for week, students, mean, high in _named(
                connection, "ml", "prediction", "report_weeks", high_risk=high_risk
            )
        ),
        tuple(
            Reason(feature, actionable, students, float(push))
            for feature, actionable, students, push in _named(connection, "ml", "reason", "report_reasons")
        ),
        _published(connection),
        tuple(Alert(*row) for row in _named(connection, "mart", "alert_log", "report_alerts")),
        results,
        candidates,
        any(one.kind == SIMULATION and one.predictions_digest != digest for one in results),
        model,
        tuple(BacktestFigure(*row) for row in _named(connection, "ml", "backtest", "report_backtest")),
        tuple(MadeBy(*row[1:]) for row in _made(connection, model)),
        tuple(_load(*row) for row in _named(connection, "ops", "run", "report_loads", target=OULAD)),
    )


def nothing_loaded() -> UsageError:
    """What the report says where there is nothing to report."""
    return UsageError(
        "there is no course data to report on yet",
        "load some: `ss etl FOLDER` with an OULAD export; or everything at once on generated data: `ss run --demo`",
    )


def _named(connection: DuckDBPyConnection, schema: str, table: str, query: str, **values: object) -> list[Any]:
    return _rows(connection, schema, table, statement(query), **values)


def _rows(connection: DuckDBPyConnection, schema: str, table: str, query: str, **values: object) -> list[Any]:
    if not has_table(connection, schema, table):
        return []
    return connection.execute(query, values or None).fetchall()


def _candidates(connection: DuckDBPyConnection) -> tuple[Floats, str]:
    """The risks of everyone who could be contacted, the highest first, and what binds a simulation to them."""
    found = standing_candidates(connection)
    return found.risk, found.digest


def _published(connection: DuckDBPyConnection) -> Published | None:
    rows = _named(connection, "mart", "course_summary_daily", "report_courses")
    if not rows:
        return None
    shown = {week: Shown(*flags) for week, *flags in connection.execute(statement("report_shown")).fetchall()}
    differing = connection.execute(statement("report_stale_marts")).fetchone()
    courses = (
        CourseRisk(course, term, on, students, None if mean is None else float(mean), rate)
        for course, term, on, students, mean, rate in rows
    )
    newest = shown.pop(None)
    return Published(tuple(courses), newest, shown, bool(differing and differing[0]))


def _model(connection: DuckDBPyConnection, runs: tuple[ScoredRun, ...]) -> TrainedModel | None:
    if not runs or not has_table(connection, "ml", "model"):
        return None
    which = {"name": runs[0].name, "version": runs[0].version}
    row = connection.execute(statement("report_model"), which).fetchone()
    if row is None:
        return None
    run_id, train, holdout, basis, sha256 = row
    figures = dict(connection.execute(statement("report_metrics"), which).fetchall())
    return TrainedModel(run_id, train, holdout, basis, sha256, figures)


def _made(connection: DuckDBPyConnection, model: TrainedModel | None) -> list[Any]:
    values = {"targets": list(TARGETS), "model": model.run_id if model else ""}
    return _named(connection, "ops", "run", "report_runs", **values)


def _load(run_id: str, extends: bool, inputs: str, counts: str) -> Load:
    read = {name: Counts(**one) for name, one in json.loads(counts).items()}
    return Load(run_id, extends, _facts(inputs), read)


def _facts(inputs: str) -> tuple[FileFact, ...]:
    return tuple(FileFact(**one) for one in json.loads(inputs))
