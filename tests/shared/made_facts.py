"""What a report is made of, without a warehouse: a term of four courses, and everything that can be known of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact
from studentsuccess.insights.report_setting import Setting
from studentsuccess.warehouse.experiment import SIMULATION, TRIAL, Result
from studentsuccess.warehouse.report import (
    Alert,
    BacktestFigure,
    CourseRisk,
    Facts,
    Load,
    MadeBy,
    Published,
    Reason,
    ScoredRun,
    Shown,
    TrainedModel,
    WeekRisk,
)

EVERYTHING = Shown(students=True, mean=True, rate=True)
NOTHING = Shown(students=False, mean=False, rate=False)
SIZES = {"AAA": 120, "BBB": 90, "CCC": 60, "DDD": 30}
RATES = {"AAA": 0.3, "BBB": 0.4, "CCC": 0.25, "DDD": 0.5}
RISKS = np.sort(np.random.default_rng(5).beta(2, 3, sum(SIZES.values())))


def made_setting(**changed: Any) -> Setting:
    usual = Setting("Who needs help", "Hill College", "", 10, 0.5, 0.25, 40, 50, 1200.0, 150.0)
    return replace(usual, **changed)


def course(name: str, students: int | None = 100, rate: float | None = 0.3, mean: float | None = 0.4) -> CourseRisk:
    return CourseRisk(name, "2014B", date(2014, 3, 29), students, mean, rate)


def made_result(uplift: float = 0.05, **changed: Any) -> Result:
    simulated = Result(
        datetime(2014, 3, 29, tzinfo=UTC), uplift, 0.4, 0.4 + uplift, uplift, 0.6, -0.1, 0.2, SIMULATION, "simulation",
        25, 25, -0.2, 0.3, 0.07, 1_000, None, None, None, "d", "20140329T100000-000001",
    )  # fmt: skip
    return replace(simulated, **changed)


def made_trial(**changed: Any) -> Result:
    return made_result(
        uplift_scenario=None, kind=TRIAL, name="spring", rate_diff=0.08, ci_low=0.02, ci_high=0.14, **changed
    )


def backtest() -> tuple[BacktestFigure, ...]:
    figures = {"auc": (0.71, 0.83), "recall_at_20": (0.31, 0.43), "brier": (0.21, 0.16), "ece": (0.03, 0.02)}
    rows = [
        BacktestFigure("2013B,2013J", "2014B", "use", week, "all", "all", 300, name, both[at], both[at] - 0.01, 0.9)
        for at, week in enumerate((0, 8))
        for name, both in figures.items()
    ]
    for at in range(15):
        middle, n = (at + 0.5) / 15, 5 if at == 14 else 20
        for name in ("mean_predicted", "base_rate"):
            rows.append(
                BacktestFigure(
                    "2013B,2013J", "2014B", "use", 8, "bin", f"{at + 1:02}", n, name, middle, middle * 0.8, middle
                )
            )
    return tuple(rows)


def made_facts(**changed: Any) -> Facts:
    """Everything has been made; `changed` says otherwise."""
    names = ("etl", "train local", "train local --backtest", "score", "marts build", "alerts", "experiment simulate")
    weeks = tuple(WeekRisk(week, 300, 0.4 + week / 100, 100 + week) for week in range(9))
    usual = Facts(
        terms=("2013B", "2013J", "2014B"),
        enrolments=900,
        runs=tuple(ScoredRun("2014B", "risk", 1, 8, 56, size, 0, 5, 0) for size in SIZES.values()),
        risks=RISKS,
        weeks=weeks,
        reasons=(
            Reason("days_silent", actionable=True, students=150, push=0.8),
            Reason("missed", actionable=True, students=100, push=0.9),
            Reason("previous_attempts", actionable=False, students=60, push=0.7),
            Reason("left_beside", actionable=False, students=9, push=3.0),
        ),
        published=Published(
            tuple(course(name, size, RATES[name]) for name, size in SIZES.items()),
            EVERYTHING,
            dict.fromkeys(range(9), EVERYTHING),
            stale=False,
        ),
        alerts=(Alert("threshold", None, None), Alert("threshold_and_spike", "BBB", "2014B")),
        results=tuple(made_result(uplift) for uplift in (0.03, 0.05, 0.08)),
        candidates=RISKS[::-1],
        stale_results=False,
        model=TrainedModel(
            "20140329T090000-000002", 600, 300, "term:2014B", "a" * 64, {"accuracy": 0.7594, "ece": 0.0213}
        ),
        backtest=backtest(),
        made=tuple(MadeBy(name, f"20140329T1000{at:02}-abcdef", "c" * 64, "0.1.0") for at, name in enumerate(names)),
        loads=(
            Load(
                "20140329T100000-abcdef",
                extends=False,
                inputs=(FileFact("/home/ada lovelace/exports/studentInfo.csv", 1234, "b" * 64),),
                counts={"studentInfo": Counts(905, 900, 5, 0), "studentVle": Counts(10_000, 10_000, 0, 0)},
            ),
        ),
    )
    return replace(usual, **changed)
