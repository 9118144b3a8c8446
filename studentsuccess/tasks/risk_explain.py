"""`ss explain` for the risk model: what it looks at over all students, and one student's reasons in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import UsageError
from studentsuccess.features import risk as features
from studentsuccess.features.risk_words import WORDS, actionable
from studentsuccess.models.draw import importance_png
from studentsuccess.models.risk_inputs import ordered
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.risk_score import RiskScorePlan, key_of
from studentsuccess.tasks.risk_score import plan as score_plan
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.models import RISK, all_models
from studentsuccess.warehouse.predictions import Scored, read_predictions
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "explain"
TARGET = "explanation:risk"
FILES = ("shap_top_features.json", "shap_summary.png")  # in `outputs/`
CAN, CANNOT = "can be acted on", "cannot be changed"


@dataclass(frozen=True)
class RiskExplainPlan:
    """Which predictions are explained."""

    scoring: RiskScorePlan
    done: str | None

    @property
    def week(self) -> int:
        return self.scoring.weeks[-1]


@dataclass(frozen=True)
class RiskExplained:
    """The strongest features over all students of the newest week."""

    run_id: str
    document: dict[str, Any]
    outputs: tuple[str, ...]
    already_done: bool = False


@dataclass(frozen=True)
class Course:
    """One course of a student: the risk, what it was a week before, and why."""

    course: str
    week: int
    probability: float
    before: float | None
    decision: str
    can: tuple[str, ...]
    cannot: tuple[str, ...]


def meant(spec: str | None, context: Context) -> bool:
    """Whether the risk model is what is to be explained, when no input is named."""
    if spec is not None:
        return spec.partition("@")[0] == RISK
    registry = all_models(context.workspace, context.limits)
    newest = max(registry.entries, key=lambda entry: (entry.trained_at, entry.run_id), default=None)
    return newest is not None and newest.algorithm == RISK


def plan(spec: str | None, context: Context) -> RiskExplainPlan:
    """The model in production and the term that it scores."""
    made = RiskExplainPlan(score_plan(spec or RISK, context), None)
    return replace(made, done=is_done(context.workspace, context.limits, _key(made), (TARGET,)))


def _key(made: RiskExplainPlan) -> str:
    return text_digest(canonical({"command": "explain risk", "predictions": key_of(made.scoring)}))


def run(made: RiskExplainPlan, reporter: Reporter) -> RiskExplained:
    """A document and a picture: means of effects, exact for every row."""
    context = made.scoring.context
    folder = context.workspace.outputs
    targets = tuple(folder / name for name in FILES)
    shown = tuple(context.shown(target) for target in targets)
    if made.done:
        return RiskExplained(made.done, json.loads(targets[0].read_bytes()), shown, already_done=True)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        with phase(reporter, "explaining"):
            document = _document(made)
        staged = [StagedFile(temp_path(target, run_id), target) for target in targets]
        folder.mkdir(parents=True, exist_ok=True)
        staged[0].temp.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        staged[1].temp.write_bytes(_picture(document))
        fact = FileFact(f"{made.scoring.entry.path}/manifest.json", 0, made.scoring.entry.manifest_sha256)
        inputs = (made.scoring.data, fact)
        record = Run(run_id, _key(made), COMMAND, (TARGET,), False, started, context.configuration.digest, inputs)
        written = commit(context.workspace, context.limits, record, staged, _nothing, context.wait)
    return RiskExplained(written.run_id, document, shown, written.already_done)


def _nothing(_connection: Connection) -> None:
    """An explanation is two files."""


def _document(made: RiskExplainPlan) -> dict[str, Any]:
    scoring, context = made.scoring, made.scoring.context
    with connect(context.workspace, context.limits, read_only=True) as connection:
        features.prepare(connection, context.settings.marts.start_days)
        table = features.week(connection, made.week, scoring.lag)
    mine = table.filter(pc.is_in(table["term"], pa.array(scoring.term)))
    names, effects, _ = scoring.models[made.week].reasons(mine)
    centred = effects - effects.mean(0)
    strength = np.abs(centred).mean(0)
    order = np.argsort(-strength, kind="stable")
    return {
        "model": scoring.entry.label,
        "terms": list(scoring.term),
        "week": made.week,
        "rows": mine.num_rows,
        "unit": "log-odds of not passing, beside the average student",
        "features": [
            {
                "name": names[place],
                "mean_abs": round(float(strength[place]), 6),
                "share": round(float(strength[place] / max(strength.sum(), 1e-12)), 6),
                "actionable": actionable(names[place]),
                "direction": _direction(names[place], mine[names[place]], centred[:, place]),
            }
            for place in order.tolist()
        ],
    }


def _direction(name: str, column: pa.ChunkedArray, effects: Any) -> str:
    """What a higher value does, where values have an order."""
    values = ordered(name, column)
    if values is None:
        return "depends on the value"
    there = ~np.isnan(values)
    if there.sum() <= 1 or np.ptp(values[there]) == 0 or np.ptp(effects[there]) == 0:
        return "hardly moves anything"
    linked = float(np.corrcoef(values[there], effects[there])[0, 1])
    return "higher values raise the risk" if linked > 0 else "higher values lower the risk"


def _picture(document: dict[str, Any]) -> bytes:
    told = document["features"]
    names = [WORDS[one["name"]].title if one["name"] in WORDS else one["name"] for one in told]
    groups = [CAN if one["actionable"] else CANNOT for one in told]
    title = f"What {document['model']} looks at, week {document['week']}"
    return importance_png(names, [one["mean_abs"] for one in told], title, groups)


def student(student_id: str, context: Context) -> tuple[Course, ...]:
    """All courses of one student, riskiest first. Whoever asks knows the id; an unknown one is not guessed at."""
    with connect(context.workspace, context.limits, read_only=True) as connection:
        scored = read_predictions(connection)
    mine = scored.prediction.filter(pc.equal(scored.prediction["student_id"], student_id))
    newest = pc.max(scored.prediction["week"]).as_py()
    courses = [one for one in _courses(mine, scored) if one.week == newest]
    if not courses:
        raise UsageError(
            "no prediction for this student: not enrolled in the term that is scored, or withdrawn by now",
            "`ss score` scores the current term; check the id",
        )
    return tuple(sorted(courses, key=lambda one: -one.probability))


def _courses(mine: pa.Table, scored: Scored) -> Iterator[Course]:
    rows = mine.to_pylist()
    for enrollment in dict.fromkeys(row["enrollment_id"] for row in rows):
        weeks = sorted((row for row in rows if row["enrollment_id"] == enrollment), key=lambda row: row["week"])
        last, earlier = weeks[-1], weeks[-2] if len(weeks) > 1 else None
        reasons = scored.reason.filter(pc.equal(scored.reason["enrollment_id"], enrollment)).to_pylist()
        told = [(_sentence(one), one["actionable"]) for one in reasons]
        yield Course(
            last["course_run_id"],
            last["week"],
            last["probability"],
            earlier["probability"] if earlier else None,
            last["decision"],
            tuple(text for text, can in told if can),
            tuple(text for text, can in told if not can),
        )


def _sentence(reason: dict[str, Any]) -> str:
    return f"{reason['words']} ({'raises' if reason['effect'] > 0 else 'lowers'} the risk)"
