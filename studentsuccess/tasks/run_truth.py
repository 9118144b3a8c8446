"""What the demo's predictions make of the truth that its data was generated from."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.database import connect
from studentsuccess.warehouse.predictions import read_predictions
from studentsuccess.warehouse.tables import enrolments

# Features in which each planted effect shows, and the sign with which it must.
SEEN_IN: Mapping[str, tuple[str, ...]] = {
    "engagement": ("clicks_log", "active_days", "active_days_4", "clicks_4_log", "points_relative", "submitted_share"),
    "previous_attempts": ("previous_attempts",),
    "deprivation": ("deprivation",),
}
# In the data the band's first number falls as deprivation rises.
TURNED = ("deprivation",)


@dataclass(frozen=True)
class Truth:
    """Planted effects found of those planted; how far predicted and true probabilities lie apart, and how linked."""

    effects: int
    planted: int
    students: int
    error: float
    bias: float
    linked: float

    def words(self) -> str:
        return (
            f"generated data with a known truth: {self.effects} of {self.planted} planted effects found; predicted risk"
            f" is off by {self.error:.3f} on average ({self.bias:+.3f} overall), correlation {self.linked:.2f} with the"
            f" true probabilities of {self.students:,} students"
        )


def compare(folder: Path, explained: Mapping[str, Any], context: Context) -> Truth | None:
    """Hold the standing predictions against the demo's truth; nothing where that does not know the week."""
    planted = json.loads((folder / "planted_effects.json").read_text("utf-8"))["effects"]
    with connect(context.workspace, context.limits, read_only=True) as connection:
        scored = read_predictions(connection)
        known = enrolments(connection)
    week = int(pc.max(scored.prediction["week"]).as_py())
    truth = _true_probabilities(folder / "true_probability.csv", f"p_at_risk_week_{week}")
    if truth is None:
        return None
    last = scored.prediction.filter(pc.equal(scored.prediction["week"], week))
    pairs = _pairs(last, known, truth)
    found, real = pairs[:, 0], pairs[:, 1]
    right = sum(_found(one, explained) for one in planted)
    linked = float(np.corrcoef(found, real)[0, 1]) if len(pairs) > 1 else float("nan")
    apart = found - real
    return Truth(right, len(planted), len(pairs), float(np.abs(apart).mean()), float(apart.mean()), linked)


def _true_probabilities(path: Path, column: str) -> dict[tuple[str, str, str], float] | None:
    with path.open(encoding="utf-8", newline="") as source:
        reader = csv.DictReader(source)
        if column not in (reader.fieldnames or ()):
            return None
        return {
            (row["code_module"], row["code_presentation"], row["id_student"]): float(row[column])
            for row in reader
            if row[column]
        }


def _pairs(last: pa.Table, known: pa.Table, truth: Mapping[tuple[str, str, str], float]) -> Any:
    who = {row["enrollment_id"]: (row["course_id"], row["term"], row["student_id"]) for row in known.to_pylist()}
    rows = zip(last["enrollment_id"].to_pylist(), last["probability"].to_pylist(), strict=True)
    return np.array([(value, truth[who[one]]) for one, value in rows if who.get(one) in truth])


def _found(effect: Mapping[str, Any], explained: Mapping[str, Any]) -> bool:
    """Whether any feature that shows the effect moves the risk in its direction."""
    name = str(effect["name"])
    raises = (effect["sign"] > 0) != (name in TURNED)
    word = "higher values raise the risk" if raises else "higher values lower the risk"
    told = {one["name"]: one["direction"] for one in explained["features"]}
    return any(told.get(feature) == word for feature in SEEN_IN[name])
