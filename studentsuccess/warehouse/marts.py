"""The tables of schema `mart`: what they are made of, replaced in one transaction, and what leaves the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.errors import UsageError
from studentsuccess.warehouse.migrate import has_table, known_migrations
from studentsuccess.warehouse.predictions import nothing_scored
from studentsuccess.warehouse.sql import identifier, statement

STUDENTS = "student_risk_daily"
SUMMARY = "course_summary_daily"
ALERTS = "alert_log"
# Made anew by every build.
BUILT = (STUDENTS, SUMMARY, "calendar", "course", "model_version")
_MIGRATION = "0006_marts"
# Made by the steps after it, and published with them.
KNOWN = (*BUILT[:2], "experiment_results", ALERTS, *BUILT[2:])
BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class TermDay:
    """A course run's term, and the day of the load for terms that nobody can date."""

    course_run_id: str
    term: str
    load_day: date


@dataclass(frozen=True)
class RawMarts:
    """The marts before anything is hidden; `summary` counts those at high risk in `high`."""

    students: pa.Table
    summary: pa.Table
    calendar: pa.Table
    course: pa.Table
    model_version: pa.Table


@dataclass(frozen=True)
class Content:
    """How much a table holds, and a digest that two tables with the same rows share, in whatever order."""

    rows: int
    digest: str


@dataclass(frozen=True)
class MartInputs:
    """What the marts are made of: how many predictions, and a text that is another one for every other state."""

    predictions: int
    digest: str


@dataclass(frozen=True)
class Standing:
    """What stands: rows by table, rows of the summary that hide something, terms without a day on a calendar."""

    rows: Mapping[str, int]
    suppressed: int
    undated: tuple[str, ...]


def mart_inputs(connection: DuckDBPyConnection) -> MartInputs:
    """What the next build would be made of; a warehouse without predictions is refused."""
    if not has_table(connection, "ml", "prediction"):
        raise nothing_scored()
    found = connection.execute(statement("mart_inputs")).fetchall()
    predictions = next(int(rows) for name, rows, _ in found if name == "prediction")
    if not predictions:
        raise nothing_scored()
    return MartInputs(predictions, text_digest(canonical([[str(part) for part in row] for row in sorted(found)])))


def standing_marts(connection: DuckDBPyConnection) -> Standing:
    """A look at marts that were built."""
    counts = {name: connection.execute(f"SELECT count(*) FROM mart.{identifier(name)}").fetchone() for name in BUILT}  # noqa: S608
    suppressed, undated = connection.execute(statement("mart_standing")).fetchone() or (0, None)
    return Standing({name: row[0] if row else 0 for name, row in counts.items()}, suppressed, tuple(undated or ()))


def term_days(connection: DuckDBPyConnection) -> tuple[TermDay, ...]:
    """Every course run with its term."""
    return tuple(TermDay(*row) for row in connection.execute(statement("mart_starts")).fetchall())


def read_marts(
    connection: DuckDBPyConnection, starts: Mapping[str, date | None], load_day: date, lag: int, high_risk: float
) -> RawMarts:
    """Make the marts of the standing predictions; changes nothing but tables of this connection's own."""
    kinds = [("course_run_id", pa.string()), ("start_date", pa.date32()), ("load_day", pa.date32())]
    days = [(run, start, load_day) for run, start in starts.items()]
    columns = [pa.array(column, kind) for column, (_, kind) in zip(zip(*days, strict=True), kinds, strict=True)]
    connection.register("starts", pa.table(columns, [name for name, _ in kinds]))
    connection.execute(statement("mart_student_risk"), {"lag": lag, "high_risk": high_risk})
    students = connection.execute(
        "SELECT * FROM student_risk ORDER BY run_date, week, code_module, code_presentation, id_student"
    ).to_arrow_table()
    names = ("course_summary", "calendar", "course", "model_version")
    rest = [connection.execute(statement(f"mart_{name}")).to_arrow_table() for name in names]
    connection.unregister("starts")
    return RawMarts(students, *rest)


def replace_marts(connection: DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
    """These tables in place of the ones before, or of nothing; for the `work` of a commit."""
    if not all(has_table(connection, "mart", name) for name in BUILT):
        made = next(one.sql for one in known_migrations() if one.name == _MIGRATION)
        connection.execute(made.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "))
    for name in BUILT:
        connection.execute(f"DELETE FROM mart.{identifier(name)}")  # noqa: S608
        connection.register("incoming", tables[name])
        connection.execute(f"INSERT INTO mart.{identifier(name)} BY NAME SELECT * FROM incoming")  # noqa: S608
        connection.unregister("incoming")


def standing_tables(connection: DuckDBPyConnection) -> tuple[str, ...]:
    """The marts that there are, in the order in which they are told; before the first build that is an error."""
    there = {str(row[0]) for row in connection.execute(statement("mart_tables")).fetchall()}
    if STUDENTS not in there or not connection.execute(f"SELECT 1 FROM mart.{STUDENTS} LIMIT 1").fetchone():  # noqa: S608
        raise UsageError("the marts are not built yet", "build them first: `ss marts build`; or all at once: `ss run`")
    return tuple(name for name in KNOWN if name in there)


def students_of(connection: DuckDBPyConnection) -> pa.Table:
    """Every `id_student` that a mart names."""
    return connection.execute(statement("mart_students")).to_arrow_table()


@contextmanager
def outgoing(connection: DuckDBPyConnection, aliases: pa.Table | None) -> Iterator[tuple[Outgoing, ...]]:
    """The marts as they leave the warehouse, the students under their pseudonyms where `aliases` has them."""
    if aliases is not None:
        connection.register("alias", aliases)
    try:
        yield tuple(_outgoing(connection, name, aliases is not None) for name in standing_tables(connection))
    finally:
        if aliases is not None:
            connection.unregister("alias")


@dataclass(frozen=True)
class Outgoing:
    """A table on its way out."""

    name: str
    schema: pa.Schema
    content: Content
    _query: str
    _connection: DuckDBPyConnection

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in one order, whatever order the warehouse keeps them in."""
        query = f"SELECT * FROM ({self._query}) ORDER BY ALL"  # noqa: S608
        yield from self._connection.execute(query).to_arrow_reader(BATCH_ROWS)


def _outgoing(connection: DuckDBPyConnection, name: str, pseudonymous: bool) -> Outgoing:
    query = f"SELECT * FROM mart.{identifier(name)}"  # noqa: S608
    if name == ALERTS or (name == STUDENTS and pseudonymous):
        query = statement(f"outgoing_{name}")
    schema = connection.execute(f"SELECT * FROM ({query}) LIMIT 0").to_arrow_table().schema  # noqa: S608
    row = connection.execute(f"SELECT count(*), sum(hash(line)) FROM ({query}) AS line").fetchone()  # noqa: S608
    assert row is not None
    columns = [[field.name, str(field.type)] for field in schema]
    return Outgoing(name, schema, Content(row[0], text_digest(canonical([columns, *map(str, row)]))), query, connection)
