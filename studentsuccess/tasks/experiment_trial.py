"""`ss experiment analyze`: what a real trial showed, and a row about it beside the simulations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.errors import UsageError
from studentsuccess.insights.trial import Trial, analyse
from studentsuccess.sources.table import dataset_name
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.experiment import rules_of
from studentsuccess.tasks.experiment_rows import Asked, TrialRows, looked_up, read_trial
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.commit import Run, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.experiment import TRIAL, Result, candidates, replace_results

COMMAND = "experiment analyze"
FROM_FILE, FROM_PREDICTIONS = "the file's risk_score", "the predictions"


@dataclass(frozen=True)
class TrialPlan:
    """A trial, read and judged; what is left is to record it."""

    context: Context
    name: str
    rows: TrialRows
    found: Trial
    risk_from: str | None
    warnings: tuple[str, ...]
    key: str
    done: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        return (f"experiment:trial:{self.name}",)


@dataclass(frozen=True)
class TrialResult:
    """The run that holds it."""

    run_id: str
    already_done: bool


def plan(asked: Asked, files: Sequence[NamedFile], context: Context, name: str | None = None) -> TrialPlan:
    """Read the whole trial and say what it shows; nothing is written."""
    if len(files) != 1:
        raise UsageError(
            f"a trial is one file, and {len(files)} were given",
            "put its rows into one table: `ss experiment analyze FILE`",
        )
    chosen = name or dataset_name(files[0].shown)
    if not re.fullmatch(r"[\w .-]{1,80}", chosen):
        raise UsageError(
            "the name of a trial is up to 80 letters, digits, blanks, dots and dashes", "for example: `--name autumn`"
        )
    rows = read_trial(files[0], asked, context)
    rows, risk_from, warnings = _with_risk(rows, context)
    found = analyse(rows.observed, rules_of(context))
    key = _key(chosen, rows, context)
    done = is_done(context.workspace, context.limits, key, (f"experiment:trial:{chosen}",))
    return TrialPlan(context, chosen, rows, found, risk_from, (*warnings, *found.warnings), key, done)


def _with_risk(rows: TrialRows, context: Context) -> tuple[TrialRows, str | None, tuple[str, ...]]:
    """The risk before the trial: as the file has it, or else as the newest predictions have it for these ids."""
    if rows.columns.risk is not None:
        return rows, FROM_FILE, ()
    if not rows.ids:
        return rows, None, ("no column holds the students' ids: balance and adjustment are left out (`--id COLUMN`)",)
    try:
        everyone = candidates(context.workspace, context.limits)
    except UsageError:
        return rows, None, ("nobody is scored yet: balance and adjustment are left out",)
    risk = looked_up(rows.ids, everyone.students, everyone.risk)
    matched = int(np.isfinite(risk).sum())
    if not matched:
        return rows, None, ("none of these ids is scored: balance and adjustment are left out",)
    weeks = f"week {everyone.weeks[-1]}"
    said = [
        f"risks are those of {weeks}: if contact began before it, they hold some of its effect already; a column"
        " `risk_score` from the day of the assignment is better"
    ]
    if matched < len(rows.ids):
        said.append(
            f"{len(rows.ids) - matched:,} of {len(rows.ids):,} students are not scored, and not in the adjustment"
        )
    return replace(rows, observed=replace(rows.observed, risk=risk)), FROM_PREDICTIONS, tuple(said)


def _key(name: str, rows: TrialRows, context: Context) -> str:
    one = context.settings.experiment
    risk = text_digest(rows.observed.risk.tobytes().hex())
    columns = [rows.columns.names, rows.control]
    return text_digest(canonical([COMMAND, name, rows.fact.sha256, columns, risk, one.alpha, one.bootstraps, one.seed]))


def run(made: TrialPlan) -> TrialResult:
    """Record what the trial showed, in place of an earlier analysis of that name."""
    if made.done:
        return TrialResult(made.done, already_done=True)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    row = _row(made, run_id, started)

    def work(connection: Connection) -> None:
        replace_results(connection, (row,))

    facts = (made.rows.fact,)
    with recorded(context, run_id, started, COMMAND):
        record = Run(run_id, made.key, COMMAND, made.targets, False, started, context.configuration.digest, facts)
        written = commit(context.workspace, context.limits, record, (), work, context.wait)
    return TrialResult(written.run_id, written.already_done)


def _row(made: TrialPlan, run_id: str, started: datetime) -> Result:
    found, adjusted = made.found, made.found.adjusted
    return Result(
        run_ts=started.astimezone(UTC).replace(tzinfo=None),
        uplift_scenario=None,
        control_rate=found.control.rate,
        treatment_rate=found.treatment.rate,
        rate_diff=found.effect.difference,
        p_value=found.effect.p_value,
        ci_low=found.effect.interval.low,
        ci_high=found.effect.interval.high,
        kind=TRIAL,
        name=made.name,
        n_control=found.control.known,
        n_treatment=found.treatment.known,
        boot_low=found.simulated.low,
        boot_high=found.simulated.high,
        power=None,
        needed_per_arm=None,
        adjusted_diff=adjusted.difference if adjusted else None,
        adjusted_low=adjusted.interval.low if adjusted else None,
        adjusted_high=adjusted.interval.high if adjusted else None,
        predictions_digest=None,
        run_id=run_id,
    )
