"""Batches in the warehouse, and the stages of a run in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import duckdb
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.counts import Counts
from studentsuccess.warehouse.batches import TABLES, replace_batches
from studentsuccess.warehouse.database import EngineLimits
from studentsuccess.warehouse.ledger import read_chain
from studentsuccess.warehouse.migrate import known_migrations, migrate
from studentsuccess.warehouse.stages import Stage, record_stages
from studentsuccess.warehouse.tables import table_rows
from studentsuccess.warehouse.verify import verify

LIMITS = EngineLimits(200_000_000, 1)
START = datetime(2025, 9, 1, 8, tzinfo=UTC)


def made(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))


def batches(count: int) -> dict[str, pa.Table]:
    ids = [made(f"batch {at}") for at in range(count)]
    each = range(count)
    return {
        "student_batches": pa.table(
            {
                "batch_id": ids,
                "batch_code": [f"P-{at}" for at in each],
                "program_id": ["P"] * count,
                "academic_year": ["2024"] * count,
                "size": [20] * count,
                "coherence": [0.5] * count,
                "program_consistency": [1.0] * count,
                "resource_efficiency": [0.8] * count,
                "violations": [0] * count,
            }
        ),
        "batch_student_membership": pa.table(
            {
                "membership_id": [made(f"member {at}") for at in each],
                "batch_id": ids,
                "student_id": [f"S{at}" for at in each],
                "student_name": ["Ada Lovelace"] * count,
                "program_id": ["P"] * count,
                "academic_year": ["2024"] * count,
                "enrollment_date": [date(2025, 9, 1)] * count,
                "membership_status": ["ACTIVE"] * count,
            }
        ),
        "batch_course_enrollment": pa.table(
            {
                "enrollment_id": [made(f"enrolment {at}") for at in each],
                "batch_id": ids,
                "course_id": ["C"] * count,
                "course_name": ["Logic"] * count,
                "credit_hours": pa.array([None] * count, pa.float64()),
                "enrollment_status": ["ENROLLED"] * count,
                "expected_students": [20] * count,
                "capacity_utilization": [0.8] * count,
            }
        ),
        "batch_resource_assignment": pa.table(
            {
                "assignment_id": [made(f"assignment {at}") for at in each],
                "batch_id": ids,
                "room_id": ["R"] * count,
                "shift_id": ["morning"] * count,
                "room_capacity": [25] * count,
                "utilization": [0.8] * count,
            }
        ),
    }


@pytest.fixture
def connection() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as connection:
        migrate(connection)
        yield connection


def test_a_place_has_what_was_written_there_last(connection: DuckDBPyConnection) -> None:
    replace_batches(connection, "autumn", batches(5))
    replace_batches(connection, "spring", batches(2))
    replace_batches(connection, "autumn", batches(3))
    for name in TABLES:
        found = connection.execute(f"SELECT output, count(*) FROM batch.{name} GROUP BY ALL ORDER BY ALL").fetchall()  # noqa: S608
        assert found == [("autumn", 3), ("spring", 2)]


def test_names_stay_out(connection: DuckDBPyConnection) -> None:
    replace_batches(connection, "autumn", batches(2))
    said = connection.execute("SELECT * FROM batch.batch_student_membership").fetchall()
    assert "Lovelace" not in str(said)
    assert "S1" in str(said)


def test_a_place_with_a_quote_in_it_is_a_place(connection: DuckDBPyConnection) -> None:
    replace_batches(connection, "'; DROP TABLE batch.student_batches; --", batches(1))
    assert connection.execute("SELECT count(*) FROM batch.student_batches").fetchall() == [(1,)]


def test_batches_are_data_that_the_ledger_counts(connection: DuckDBPyConnection) -> None:
    replace_batches(connection, "autumn", batches(4))
    assert {name: rows for name, rows in table_rows(connection).items() if name.startswith("batch.")} == {
        f"batch.{name}": 4 for name in TABLES
    }


def test_an_older_warehouse_gets_the_schema() -> None:
    earlier = [one for one in known_migrations() if not one.name.endswith("_batch")]
    with duckdb.connect() as connection:
        migrate(connection, earlier)
        assert [name for name in table_rows(connection) if name.startswith("batch.")] == []
        migrate(connection)
        assert len([name for name in table_rows(connection) if name.startswith("batch.")]) == 4


def stages(run_id: str) -> list[Stage]:
    return [
        Stage(run_id, "validate", START, START + timedelta(seconds=1), {"rooms.csv": Counts(3, 2, 1)}),
        Stage(run_id, "clustering", START + timedelta(seconds=1), START + timedelta(seconds=9)),
    ]


def test_stages_have_lines_that_follow_each_other(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    record_stages(workspace, LIMITS, "batch process", stages("RUN-1"), "digest")
    record_stages(workspace, LIMITS, "batch process", stages("RUN-2"), "digest")
    chain = read_chain(workspace.ledger)
    assert chain.damage == ()
    assert [(one.record.run_id, one.record.command, one.record.status) for one in chain.entries] == [
        ("RUN-1:validate", "batch process: validate", "stage"),
        ("RUN-1:clustering", "batch process: clustering", "stage"),
        ("RUN-2:validate", "batch process: validate", "stage"),
        ("RUN-2:clustering", "batch process: clustering", "stage"),
    ]
    assert chain.entries[0].record.counts == {"rooms.csv": Counts(3, 2, 1)}
    assert chain.entries[1].record.finished == "2025-09-01T08:00:09.000+00:00"


def test_stages_alone_are_no_damage(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    record_stages(workspace, LIMITS, "batch process", stages("RUN"), "digest")
    assert [one for one in verify(workspace, LIMITS) if one.level != "ok"] == []
