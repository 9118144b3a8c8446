"""The warehouse's shape: built in order, once, and refused where it is not understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from studentsuccess.errors import StorageError
from studentsuccess.warehouse.migrate import Migration, known_migrations, migrate, pending

CORE = {
    "course_run": "course_run_id course_id term length_days",
    "enrollment": "enrollment_id course_run_id student_id registered_day unregistered_day credits "
    "previous_attempts outcome",
    "demographic": "enrollment_id gender region education deprivation age_band disability",
    "assessment": "assessment_id course_run_id type due_day weight",
    "submission": "assessment_id enrollment_id submitted_day score banked",
    "activity": "enrollment_id day activity_type clicks",
}


@pytest.fixture
def connection() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_the_core_tables_are_those_of_the_design(connection: DuckDBPyConnection) -> None:
    migrate(connection)
    found = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()"
        " WHERE schema_name = 'core' GROUP BY table_name"
    ).fetchall()
    assert dict(found) == {table: columns.split() for table, columns in CORE.items()}


def test_a_second_migration_does_nothing(connection: DuckDBPyConnection) -> None:
    assert migrate(connection) == tuple(migration.name for migration in known_migrations())
    assert migrate(connection) == ()


def test_a_warehouse_is_brought_up_from_any_earlier_state(connection: DuckDBPyConnection) -> None:
    known = known_migrations()
    assert migrate(connection, known[:1]) == ("0001_schemas",)
    assert pending(connection) == known[1:]
    migrate(connection)
    assert pending(connection) == ()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in known_migrations()] == list(range(1, len(known_migrations()) + 1))


def test_a_warehouse_of_a_newer_program_is_refused(connection: DuckDBPyConnection) -> None:
    known = known_migrations()
    migrate(connection, [*known, Migration(len(known) + 1, "9999_future", "CREATE TABLE core.future (a INTEGER)")])
    with pytest.raises(StorageError, match="newer ss"):
        migrate(connection)


def test_a_changed_old_migration_is_refused(connection: DuckDBPyConnection) -> None:
    migrate(connection)
    first, *rest = known_migrations()
    with pytest.raises(StorageError, match="0001_schemas"):
        migrate(connection, [replace(first, sql=first.sql + "-- changed"), *rest])


def test_a_migration_that_fails_leaves_nothing(connection: DuckDBPyConnection) -> None:
    known = known_migrations()
    broken = Migration(len(known) + 1, "bad", "CREATE TABLE core.half (a INTEGER); CREATE TABLE core.half (a INTEGER)")
    with pytest.raises(duckdb.CatalogException):
        migrate(connection, [*known, broken])
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'half'").fetchone() == (0,)
    assert pending(connection, [*known, broken]) == (broken,)
