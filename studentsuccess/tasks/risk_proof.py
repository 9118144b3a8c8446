"""The leakage proof: whatever comes after the cut-off, not one bit of a prediction changes."""

from __future__ import annotations

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
    with phase(reporter, "predicting in another future"):
        return tuple(_week(made, number) for number in made.weeks)


def _week(made: RiskScorePlan, number: int) -> Proof:
    context = made.context
    lag = context.settings.risk.marking_lag_days
    with connect(context.workspace, context.limits, read_only=True) as connection:
        before = _bits(made, connection, number)
    with beside(context.workspace, context.limits) as connection:
        for term in made.term:
            features.another_future(connection, number, term, lag)
        after = _bits(made, connection, number)
    same = before.num_rows == after.num_rows and before["enrollment_id"].equals(after["enrollment_id"])
    if not same:
        return Proof(number, before.num_rows, max(before.num_rows, after.num_rows))
    one, other = (np.asarray(table["probability"].to_numpy()).view(np.int64) for table in (before, after))
    return Proof(number, before.num_rows, int((one != other).sum()))


def _bits(made: RiskScorePlan, connection: Connection, number: int) -> pa.Table:
    """Predictions by enrolment."""
    features.prepare(connection, made.context.settings.marts.start_days)
    table = features.week(connection, number, made.context.settings.risk.marking_lag_days)
    mine = table.filter(pc.is_in(table["term"], pa.array(made.term)))
    found = made.models[number].probability(mine)
    return pa.table({"enrollment_id": mine["enrollment_id"], "probability": found}).sort_by("enrollment_id")
