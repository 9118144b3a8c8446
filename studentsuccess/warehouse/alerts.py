"""What alerts and calls need of the warehouse, and what they leave in it: rows of the log, the reasons of the week."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from io import BytesIO

import pyarrow as pa
from duckdb import DuckDBPyConnection
from pyarrow import csv

from studentsuccess.config.workspace import Workspace
from studentsuccess.errors import UsageError
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.experiment import TRIAL, Result, standing_results
from studentsuccess.warehouse.interventions import Contact, standing_contacts
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.predictions import nothing_scored
from studentsuccess.warehouse.sql import statement


@dataclass(frozen=True)
class LoggedAlert:
    """A row of `mart.alert_log`, in its order."""

    run_ts: datetime
    alert_type: str
    high_risk_rate: float | None
    spike_pct: float | None
    message: str
    code_module: str | None
    code_presentation: str | None
    week: int | None
    students: int | None
    run_id: str
    alerts_digest: str


@dataclass(frozen=True)
class Week:
    """All that the alerts and calls of a week are made of.

    `classes` has every week of every course run, `predictions` the newest and the one before it by student, `reasons`
    what raises each risk, `seen` who had which reason in the week before. The digest is another when any of them is.
    """

    classes: pa.Table
    predictions: pa.Table
    reasons: pa.Table
    seen: pa.Table
    gone: int
    trial: Result | None
    contacts: tuple[Contact, ...]
    digest: str


def read_week(workspace: Workspace, limits: EngineLimits, high_risk: float) -> Week:
    """What stands, for plans: reads only; without predictions the step that makes them is named."""
    if not workspace.warehouse.is_file():
        raise nothing_scored()
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return standing_week(connection, high_risk)


def standing_week(connection: DuckDBPyConnection, high_risk: float) -> Week:
    """As `read_week`, on a connection that is open."""
    if not has_table(connection, "ml", "prediction"):
        raise nothing_scored()
    classes = connection.execute(statement("alert_classes"), {"high_risk": high_risk}).to_arrow_table()
    if not classes.num_rows:
        raise _nothing_unseen(connection)
    predictions, reasons = _table(connection, "alert_predictions"), _table(connection, "alert_reasons")
    seen = _table(connection, "alert_seen") if has_table(connection, "ops", "reason_seen") else _NOTHING_SEEN
    gone = connection.execute(statement("alert_gone")).fetchone()
    trials = [one for one in standing_results(connection) if one.kind == TRIAL]
    trial = max(trials, key=lambda one: (one.run_ts, one.name), default=None)
    contacts = standing_contacts(connection)
    digest = _digest((classes, predictions, reasons, seen), (gone, trial, contacts))
    count = int(gone[0]) if gone else 0
    return Week(classes, predictions, reasons, seen, count, trial, contacts, digest)


def _table(connection: DuckDBPyConnection, name: str) -> pa.Table:
    return connection.execute(statement(name)).to_arrow_table()


def _nothing_unseen(connection: DuckDBPyConnection) -> UsageError:
    row = connection.execute("SELECT count(*) FROM ml.prediction").fetchone()
    if not row or not row[0]:
        return nothing_scored()
    return UsageError(
        "the model has learned from every student that it scored: alerts on such risks would say nothing",
        "score a term that it has not seen: load it with `ss etl`, then `ss score`",
    )


def _digest(tables: Sequence[pa.Table], more: object) -> str:
    """The same for the same content, whichever run made it."""
    found = hashlib.sha256(repr(more).encode("utf-8", "surrogatepass"))
    for table in tables:
        text = BytesIO()
        csv.write_csv(table, text)
        found.update(text.getvalue() + b"\0")
    return found.hexdigest()


def log_alerts(connection: DuckDBPyConnection, alerts: Sequence[LoggedAlert]) -> None:
    """Add a run's rows, and keep the reasons of the week for the next one; for the `work` of a commit."""
    connection.register("incoming", pa.Table.from_pylist([asdict(one) for one in alerts], _SCHEMA))
    connection.execute(statement("log_alerts"))
    connection.unregister("incoming")
    connection.execute(statement("forget_reasons_seen"))
    connection.execute(statement("keep_reasons_seen"))


_TYPES = {"datetime": pa.timestamp("us"), "float": pa.float64(), "str": pa.string(), "int": pa.int32()}
_SCHEMA = pa.schema([(one.name, _TYPES[str(one.type).split(" ")[0]]) for one in fields(LoggedAlert)])
_TEXTS = [(name, pa.string()) for name in ("course_run_id", "student_id", "feature")]
_NOTHING_SEEN = pa.schema(_TEXTS).empty_table()
