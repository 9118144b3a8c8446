"""Who was contacted and when: written by hand or from a file, read by the calls, never published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.sql import statement


@dataclass(frozen=True, order=True)
class Contact:
    """One student was contacted on one day; two that are equal are one."""

    student_id: str
    on: date
    by: str = ""
    note: str = ""


@dataclass(frozen=True)
class Contacts:
    """What a plan knows of contacts: those that are noted, and who of the students asked about is in no course."""

    noted: tuple[Contact, ...]
    unknown: frozenset[str]


def read_contacts(workspace: Workspace, limits: EngineLimits, students: Iterable[str] = ()) -> Contacts:
    """For plans: reads only; a workspace without a warehouse has no contacts and knows nobody."""
    asked = sorted(set(students))
    if not workspace.warehouse.is_file():
        return Contacts((), frozenset(asked))
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return Contacts(standing_contacts(connection), unknown_students(connection, asked))


def standing_contacts(connection: DuckDBPyConnection) -> tuple[Contact, ...]:
    """Every contact, the newest first; an older warehouse has none."""
    if not has_table(connection, "ops", "intervention"):
        return ()
    return tuple(Contact(*row) for row in connection.execute(statement("contacts")).fetchall())


def unknown_students(connection: DuckDBPyConnection, students: Sequence[str]) -> frozenset[str]:
    """Those that are in no course."""
    if not has_table(connection, "core", "enrollment"):
        return frozenset(students)
    connection.register("incoming", pa.table({"student_id": pa.array(students, pa.string())}))
    found = connection.execute(statement("unknown_students")).fetchall()
    connection.unregister("incoming")
    return frozenset(row[0] for row in found)


def log_contacts(connection: DuckDBPyConnection, contacts: Sequence[Contact], run_id: str, now: datetime) -> None:
    """Note contacts, each once; for the `work` of a commit."""
    rows = _table(contacts)
    stamp = pa.array([now.astimezone(UTC).replace(tzinfo=None)] * rows.num_rows, pa.timestamp("us"))
    rows = rows.append_column("logged_at", stamp).append_column("run_id", pa.array([run_id] * rows.num_rows))
    connection.register("incoming", rows)
    connection.execute(statement("log_contacts"))
    connection.unregister("incoming")


def forget_contacts(connection: DuckDBPyConnection, contacts: Sequence[Contact]) -> None:
    """Take back what is noted of these students on these days; for the `work` of a commit."""
    connection.register("incoming", _table(contacts))
    connection.execute(statement("forget_contacts"))
    connection.unregister("incoming")


def _table(contacts: Sequence[Contact]) -> pa.Table:
    return pa.table(
        {
            "student_id": pa.array([one.student_id for one in contacts], pa.string()),
            "contacted_on": pa.array([one.on for one in contacts], pa.date32()),
            "contacted_by": pa.array([one.by for one in contacts], pa.string()),
            "note": pa.array([one.note for one in contacts], pa.string()),
        }
    )
