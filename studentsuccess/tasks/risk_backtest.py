"""`--backtest`: what the risk model would have said of a term that is over, with and without demographics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from studentsuccess import __version__
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import UsageError
from studentsuccess.features.risk import DEMOGRAPHICS
from studentsuccess.models.risk import WeekModel
from studentsuccess.models.risk_figures import BacktestRow, Parts, Rows, backtest_rows
from studentsuccess.models.risk_plot import backtest_png
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.risk import (
    RiskPlan,
    RiskRequest,
    Week,
    divided,
    fit_weeks,
    has_ended,
    notes_of,
    plan,
    student_numbers,
    tables_of,
)
from studentsuccess.warehouse.backtests import read_backtest, replace_backtest
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "train local --backtest"
TARGET = "backtest"
WEEKS = (0, 4, 8, 12, 20)
USE, EXCLUDE = "use", "exclude"
COLUMNS = ("week", "scope", "member", "n", "metric", "value", "low", "high", "demographics")


@dataclass(frozen=True)
class BacktestResult:
    """All figures, and where the picture is."""

    run_id: str
    train_terms: tuple[str, ...]
    test_terms: tuple[str, ...]
    rows: tuple[BacktestRow, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    already_done: bool = False


@dataclass(frozen=True)
class BacktestPlan:
    """A risk plan whose later term is over."""

    risk: RiskPlan
    done: str | None


def prepare(request: RiskRequest, context: Context) -> BacktestPlan:
    """The weeks of the protocol unless others are asked for."""
    made = plan(replace(request, weeks=request.weeks or WEEKS), context)
    return BacktestPlan(made, is_done(context.workspace, context.limits, _key(made), (TARGET,)))


def _key(made: RiskPlan) -> str:
    facts = {
        "command": COMMAND,
        "program": __version__,
        "data": made.data.sha256,
        "weeks": made.weeks,
        "terms": [made.train_terms, made.test_terms],
        "settings": [made.lag, made.context.settings.train.seed],
        "term_starts": made.context.settings.marts.term_starts,
    }
    return text_digest(canonical(facts))


def run(planned: BacktestPlan, reporter: Reporter) -> BacktestResult:
    """Fit on the earlier terms twice, with and without demographics, and judge both on the later one."""
    made, context = planned.risk, planned.risk.context
    if planned.done:
        return _as_before(made, planned.done)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        weeks = divided(made, tables_of(made, reporter))
        _refuse_unfinished(made, weeks)
        rows: list[BacktestRow] = []
        for words in (USE, EXCLUDE):
            models = fit_weeks(made, weeks, reporter, demographics=words == USE)
            with phase(reporter, "judging, with intervals by student"):
                for week, model in zip(weeks, models, strict=True):
                    rows += _judged(week, model, words)
        picture = context.workspace.outputs / "backtest.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        staged = StagedFile(temp_path(picture, run_id), picture)
        staged.temp.write_bytes(backtest_png(rows))
        record = Run(run_id, _key(made), COMMAND, (TARGET,), False, started, context.configuration.digest, (made.data,))

        def work(connection: Connection) -> None:
            replace_backtest(connection, _table(made, rows, run_id))

        written = commit(context.workspace, context.limits, record, [staged], work, context.wait)
    return BacktestResult(
        written.run_id, made.train_terms, made.test_terms, tuple(rows), (context.shown(picture),), tuple(notes_of(made))
    )


def _refuse_unfinished(made: RiskPlan, weeks: Sequence[Week]) -> None:
    if not any(map(has_ended, weeks)):
        raise UsageError(
            f"it is not known yet how {', '.join(made.test_terms)} ended: there is nothing to judge by",
            "judge on a term that is over: `--test-terms TERM`",
        )


def _judged(week: Week, model: WeekModel, demographics: str) -> list[BacktestRow]:
    known = week.judged.filter(week.judged["at_risk"].is_valid())
    if not known.num_rows:
        return []
    rows = Rows(
        np.asarray(known["at_risk"].to_numpy(zero_copy_only=False), np.bool_),
        model.probability(known),
        student_numbers(known),
        np.asarray(known["course_id"].to_pylist(), object),
    )
    groups = {name: np.asarray(known[name].to_pylist(), object) for name in DEMOGRAPHICS if name != "region"}
    parts = Parts(groups, set(week.training["course_id"].to_pylist()), student_numbers(week.training))
    return backtest_rows(rows, week.number, demographics, parts)


def _table(made: RiskPlan, rows: Sequence[BacktestRow], run_id: str) -> pa.Table:
    terms = {"train_terms": ",".join(made.train_terms), "test_terms": ",".join(made.test_terms)}
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    fixed = {"run_id": run_id, **terms}
    return pa.table({**{name: [value] * len(rows) for name, value in fixed.items()}, **columns})


def _as_before(made: RiskPlan, run_id: str) -> BacktestResult:
    context = made.context
    with connect(context.workspace, context.limits, read_only=True) as connection:
        found = read_backtest(connection).to_pylist()
    rows = tuple(BacktestRow(**{name: one[name] for name in COLUMNS}) for one in found)
    picture = context.shown(context.workspace.outputs / "backtest.png")
    return BacktestResult(run_id, made.train_terms, made.test_terms, rows, (picture,), (), already_done=True)


def document(result: BacktestResult) -> dict[str, Any]:
    """As `-f json` prints it: weeks, modules and groups, each with its figures and their intervals."""
    found: dict[tuple[int, str, str, str], dict[str, Any]] = {}
    for row in result.rows:
        key = (row.week, row.scope, row.member, row.demographics)
        entry = found.setdefault(key, {"week": row.week, "n": row.n})
        entry[row.metric] = row.value
        if row.low is not None:
            entry.setdefault("intervals", {})[row.metric] = [row.low, row.high]
    return {
        "run_id": result.run_id,
        "train_terms": list(result.train_terms),
        "test_terms": list(result.test_terms),
        "weeks": [one for key, one in found.items() if key[1::2] == ("all", USE)],
        "without_demographics": [one for key, one in found.items() if key[1::2] == ("all", EXCLUDE)],
        "modules": list(_named(found, ("module", "unseen module", "new students"), "module")),
        "groups": list(_named(found, DEMOGRAPHICS, "member")),
        "outputs": list(result.outputs),
        "notes": list(result.notes),
    }


def _named(found: Mapping[tuple[int, str, str, str], dict[str, Any]], scopes: Sequence[str], word: str) -> Any:
    for (_, scope, member, words), one in found.items():
        if scope in scopes:
            yield {"scope": scope, word: member, "demographics": words, **one}
