"""Scorings and trials of a known law: predictions as a scoring leaves them, and outcomes drawn from them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.locks import utc_now
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, EngineLimits
from studentsuccess.warehouse.predictions import Scored, replace_predictions

LIMITS = EngineLimits(memory_bytes=256 * 2**20, threads=1)
REASON = pa.schema(
    [
        ("run_id", pa.string()),
        ("enrollment_id", pa.int32()),
        ("week", pa.int32()),
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("effect", pa.float64()),
        ("actionable", pa.bool_()),
        ("words", pa.string()),
    ]
)


@dataclass(frozen=True)
class Risk:
    """One prediction."""

    student: str
    probability: float
    week: int = 8
    run: str = "AAA 2014J"
    out_of_sample: bool = True


def spread(count: int, low: float = 0.05, high: float = 0.95) -> list[Risk]:
    """Students `s0` … with risks from low to high."""
    return [Risk(f"s{place}", float(risk)) for place, risk in enumerate(np.linspace(low, high, count))]


def score(folder: Path, risks: Iterable[Risk], run_id: str | None = None) -> None:
    """Make these the standing predictions of a workspace."""
    chosen = list(risks)
    token = run_id or new_run_id()
    prediction = pa.Table.from_pylist(
        [
            {
                "run_id": token,
                "name": "risk",
                "version": 1,
                "course_run_id": one.run,
                "enrollment_id": place,
                "student_id": one.student,
                "week": one.week,
                "cutoff_day": 7 * one.week,
                "probability": one.probability,
                "decision": "unsure",
                "out_of_sample": one.out_of_sample,
            }
            for place, one in enumerate(chosen)
        ]
    )
    runs = sorted({one.run for one in chosen})
    population = [
        {"run_id": token, "course_run_id": run, "week": 8, "scored": len(chosen), "gone": 0, "later": 0} for run in runs
    ]
    scored = Scored(prediction, REASON.empty_table(), pa.Table.from_pylist(population))

    def work(connection: Connection) -> None:
        connection.execute("DELETE FROM core.course_run")
        for run in runs:
            module, _, term = run.partition(" ")
            connection.execute("INSERT INTO core.course_run VALUES (?, ?, ?, 240)", [run, module, term])
        replace_predictions(connection, scored)

    fresh = new_run_id()
    commit(
        Workspace(folder), LIMITS, Run(fresh, fresh, "score", ("predictions",), False, utc_now(), "c" * 64), (), work
    )


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """A CSV file, as somebody would write it."""
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink, lineterminator="\n").writerows(rows)
    return path


def a_trial(path: Path, arms: Sequence[tuple[str, int, int]], header: Sequence[str] = ("id", "arm", "outcome")) -> Path:
    """A trial with so many passed of so many in each arm."""
    rows = [(f"{arm}-{place}", arm, int(place < passed)) for arm, passed, count in arms for place in range(count)]
    return write_rows(path, [header, *rows])
