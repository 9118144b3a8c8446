"""Predictions that nobody made: the demo's true probabilities, blurred less from week to week.

The demo must be loaded (`ss etl --demo`), with its truth in `inputs/demo/truth`.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.locks import utc_now
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, EngineLimits, connect
from studentsuccess.warehouse.predictions import AT_RISK, NOT_AT_RISK, UNSURE, Scored, replace_predictions

LIMITS = EngineLimits(memory_bytes=256 * 2**20, threads=1)
MODEL, VERSION = "risk", 1
# Words of an adviser, and whether something can be done about it.
REASONS = (
    ("silent_weeks", "three weeks without a login", True),
    ("late_first", "the first assignment came late", True),
    ("previous_attempts", "has taken this course before", False),
)


@dataclass(frozen=True)
class Enrolled:
    """An enrolment of the term that is scored, and how likely it truly ends badly."""

    enrollment_id: int
    course_run_id: str
    student_id: str
    registered: int
    unregistered: int | None
    truth: float


def load_demo(folder: Path, students: int = 300) -> Path:
    """A workspace with the demo in it, made by the program itself."""
    steering = re.compile(r"_?SS_.*|PIPELINE_DEMO_MODE")
    env = {name: value for name, value in os.environ.items() if not steering.fullmatch(name)}
    subprocess.run(
        [sys.executable, "-m", "studentsuccess", "etl", "--demo", "--students", str(students), "-q", "-w", folder],
        env=env | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=True,
    )
    return folder


def make_predictions(workspace: Workspace | Path, weeks: Iterable[int] = range(9), seed: int = 7) -> Scored:
    """Fill `ml.prediction`, `ml.reason` and `ml.population` of the latest term; returns what was written."""
    place = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    run_id, days = new_run_id(), {week: 7 * week for week in weeks}
    scored = _scored(_enrolled(place), days, run_id, seed)

    def work(connection: Connection) -> None:
        replace_predictions(connection, scored)

    key = text_digest(canonical(["made predictions", sorted(days), seed]))
    commit(place, LIMITS, Run(run_id, key, "score", ("predictions",), False, utc_now(), "c" * 64), (), work)
    return scored


def _enrolled(workspace: Workspace) -> list[Enrolled]:
    with connect(workspace, LIMITS, read_only=True) as connection:
        rows = connection.execute(
            "SELECT enrollment_id, course_run_id, student_id, registered_day, unregistered_day, course_id, term"
            " FROM core.enrollment JOIN core.course_run USING (course_run_id)"
            " WHERE term = (SELECT max(term) FROM core.course_run) ORDER BY enrollment_id"
        ).fetchall()
    truth = _truth(workspace.inputs / "demo/truth/true_probability.csv")
    return [
        Enrolled(number, run, student, registered or 0, gone, truth[course, term, student])
        for number, run, student, registered, gone, course, term in rows
    ]


def _truth(path: Path) -> dict[tuple[str, str, str], float]:
    with path.open(encoding="utf-8", newline="") as source:
        return {
            (row["code_module"], row["code_presentation"], row["id_student"]): float(row["p_at_risk"])
            for row in csv.DictReader(source)
        }


def _scored(enrolled: list[Enrolled], days: dict[int, int], run_id: str, seed: int) -> Scored:
    draws = np.random.default_rng(seed)
    predictions, population = [], []
    for week, day in days.items():
        blur = draws.normal(0, 1.2 / (1 + week), len(enrolled))
        for one, noise in zip(enrolled, blur, strict=True):
            if one.registered <= day and (one.unregistered is None or one.unregistered > day):
                predictions.append(_prediction(one, week, day, float(noise), run_id))
        population += _population(enrolled, week, day, run_id)
    newest = [row for row in predictions if row["week"] == max(days)]
    reasons = [_reason(row, rank, run_id) for row in newest for rank in range(len(REASONS))]
    return Scored(*(pa.Table.from_pylist(rows) for rows in (predictions, reasons, population)))


def _prediction(one: Enrolled, week: int, day: int, noise: float, run_id: str) -> dict[str, object]:
    logit = np.log(one.truth / (1 - one.truth)) + noise
    probability = round(float(1 / (1 + np.exp(-logit))), 9)
    return {
        "run_id": run_id,
        "name": MODEL,
        "version": VERSION,
        "course_run_id": one.course_run_id,
        "enrollment_id": one.enrollment_id,
        "student_id": one.student_id,
        "week": week,
        "cutoff_day": day,
        "probability": probability,
        "decision": AT_RISK if probability > 0.6 else NOT_AT_RISK if probability < 0.3 else UNSURE,
        "out_of_sample": True,
    }


def _reason(row: dict[str, object], rank: int, run_id: str) -> dict[str, object]:
    feature, words, actionable = REASONS[(int(str(row["enrollment_id"])) + rank) % len(REASONS)]
    return {
        "run_id": run_id,
        "enrollment_id": row["enrollment_id"],
        "week": row["week"],
        "rank": rank + 1,
        "feature": feature,
        "effect": 0.9 / (rank + 1),
        "actionable": actionable,
        "words": words,
    }


def _population(enrolled: list[Enrolled], week: int, day: int, run_id: str) -> list[dict[str, object]]:
    found = []
    for run in sorted({one.course_run_id for one in enrolled}):
        mine = [one for one in enrolled if one.course_run_id == run]
        later = sum(one.registered > day for one in mine)
        gone = sum(one.registered <= day and one.unregistered is not None and one.unregistered <= day for one in mine)
        facts = {"scored": len(mine) - later - gone, "gone": gone, "later": later}
        found.append({"run_id": run_id, "course_run_id": run, "week": week, **facts})
    return found
