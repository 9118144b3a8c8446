"""The leakage proof: whatever comes after the cut-off, not one bit of a prediction changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.features import risk as features
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.risk_score import RiskScorePlan, plan
from studentsuccess.warehouse.database import Connection, beside, connect


@dataclass(frozen=True)
class Proof:
    """One week: how many predictions there are, and how many another future would change."""

    week: int
    predictions: int
    changed: int


def prove(spec: str | None, context: Context, reporter: Reporter) -> tuple[Proof, ...]:
    """Predict the term once from the warehouse and once from a world with another future, week by week."""
    made = plan(spec, context)
    with phase(reporter, "predicting from what is known"):
        before = _before(made)
    with phase(reporter, "predicting in another future"):
        changed = [_changed(made, term, before) for term in made.term]
    counts = [sum(before[term, week].num_rows for term in made.term) for week in made.weeks]
    return tuple(Proof(*one) for one in zip(made.weeks, counts, map(sum, zip(*changed, strict=True)), strict=True))


def _before(made: RiskScorePlan) -> dict[tuple[str, int], pa.Table]:
    """Predictions as they are, by term and week. The file is closed again before another connection reads it."""
    context = made.context
    with connect(context.workspace, context.limits, read_only=True) as connection:
        features.prepare(connection, context.settings.marts.start_days)
        return {(term, week): _bits(made, connection, term, week) for week in made.weeks for term in made.term}


def _changed(made: RiskScorePlan, term: str, before: Mapping[tuple[str, int], pa.Table]) -> list[int]:
    """Of each week, how many predictions another future of this term would change."""
    context, found = made.context, []
    known = context.settings.marts.start_days
    with beside(context.workspace, context.limits) as connection:
        features.another_world(connection, term, known)
        for week in made.weeks:
            features.another_future(connection, week, term, made.lag)
            features.prepare(connection, known)
            found.append(_differing(before[term, week], _bits(made, connection, term, week)))
    return found


def _differing(before: pa.Table, after: pa.Table) -> int:
    if before.num_rows != after.num_rows or not before["enrollment_id"].equals(after["enrollment_id"]):
        return int(max(before.num_rows, after.num_rows))
    one, other = (np.asarray(table["probability"].to_numpy()).view(np.int64) for table in (before, after))
    return int((one != other).sum())


def _bits(made: RiskScorePlan, connection: Connection, term: str, number: int) -> pa.Table:
    """Predictions by enrolment."""
    table = features.week(connection, number, made.lag)
    mine = table.filter(pc.equal(table["term"], term))
    found = made.models[number].probability(mine)
    return pa.table({"enrollment_id": mine["enrollment_id"], "probability": found}).sort_by("enrollment_id")
