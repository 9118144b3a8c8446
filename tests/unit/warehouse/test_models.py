"""The registry: versions are written once, an alias moves, and nothing that was true is forgotten."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import LIMITS, class_metrics, context_of, make_manifest, register

from studentsuccess.core.locks import utc_now
from studentsuccess.errors import BusyError, SsError, UsageError
from studentsuccess.models.records import data_digest, entry_of, figures_of
from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.ledger import read_chain
from studentsuccess.warehouse.models import (
    PRODUCTION,
    AliasEvent,
    MetricRow,
    ModelEntry,
    Registry,
    all_models,
    next_version,
    promote,
    register_model,
)
from studentsuccess.warehouse.verify import verify


@pytest.fixture
def school(tmp_path: Path) -> Context:
    return context_of(tmp_path / "it's a school")


def registry(school: Context) -> Registry:
    return all_models(school.workspace, LIMITS)


def rows(school: Context, query: str) -> list[tuple[Any, ...]]:
    with connect(school.workspace, LIMITS, read_only=True) as connection:
        return connection.execute(query).fetchall()


def committed(school: Context, work: Any) -> None:
    run_id = new_run_id()
    run = Run(run_id, f"key of {run_id}", "test", (), False, utc_now(), "c" * 64)
    commit(school.workspace, LIMITS, run, (), work)


def moved(school: Context, version: int, since: datetime, name: str = "risk") -> None:
    run_id = new_run_id()
    run = Run(run_id, f"key of {run_id}", "models promote", (), False, utc_now(), "c" * 64)
    event = AliasEvent(name, version, since, run_id, "a test")
    commit(school.workspace, LIMITS, run, (), lambda connection: promote(connection, event))


def test_a_workspace_without_a_warehouse_has_no_models_and_gets_none(school: Context) -> None:
    assert registry(school) == Registry()
    assert not school.workspace.root.exists()


def test_a_warehouse_of_before_the_registry_has_no_models(school: Context) -> None:
    committed(school, lambda connection: connection.execute("DROP TABLE ml.model"))
    assert registry(school) == Registry()


def test_an_entry_comes_back_as_it_was_registered(school: Context) -> None:
    entry = register(school, make_manifest())
    (found,) = registry(school).entries
    assert found == entry
    assert found.trained_at == datetime(2025, 1, 1, 10, 30, tzinfo=UTC)
    assert (found.label, found.path, found.features) == ("risk@1", "models/risk/1", 2)
    assert (school.workspace.root / found.path / "manifest.json").is_file()
    assert {finding.level for finding in verify(school.workspace, LIMITS)} == {"ok"}


def test_every_figure_is_a_row(school: Context) -> None:
    register(school, make_manifest())
    found = registry(school)
    (entry,) = found.entries
    assert found.figures(entry) == {"rows": 10, "accuracy": 0.78, "macro_f1": 0.7, "log_loss": 0.55}
    assert found.baselines(entry) == ("baseline:logistic", "baseline:majority")
    assert found.figures(entry, "baseline:majority") == {"accuracy": 0.5, "log_loss": 1.02}
    assert rows(school, "SELECT class, value FROM ml.metric WHERE class IS NOT NULL AND metric = 'f1' ORDER BY 1") == [
        ("Dropout", 0.7),
        ("Enrolled", 0.7),
        ("Graduate", 0.7),
    ]
    assert rows(school, "SELECT actual, predicted, rows FROM ml.confusion ORDER BY ALL") == [
        ("Dropout", "Dropout", 3),
        ("Dropout", "Enrolled", 1),
        ("Enrolled", "Enrolled", 2),
        ("Graduate", "Dropout", 1),
        ("Graduate", "Graduate", 3),
    ]
    assert rows(school, "SELECT bin, low, high, rows, confidence, accuracy FROM ml.calibration ORDER BY bin") == [
        (0, 0.0, 0.5, 0, None, None),
        (1, 0.5, 1.0, 10, 0.75, 0.8),
    ]


def test_the_figures_of_a_regression_are_rows_too(school: Context) -> None:
    register(school, make_manifest("grade", task="regression"))
    found = registry(school)
    assert found.figures(found.entries[0]) == {
        "rows": 10,
        "r2": 0.8,
        "rmse": 1.9,
        "mae": 1.2,
        "interval_level": 0.9,
        "interval_coverage": 0.91,
    }


def test_ranges_and_unknown_labels_have_their_rows() -> None:
    metrics = class_metrics() | {"intervals": {"accuracy": [0.7, 0.8]}, "confusion": [[1, 0, 0]] * 3 + [[0, 2, 0]]}
    found = figures_of(make_manifest(metrics=metrics))
    assert MetricRow("holdout", "accuracy_low", 0.7) in found.metrics
    assert MetricRow("holdout", "accuracy_high", 0.8) in found.metrics
    assert [(one.actual, one.predicted, one.rows) for one in found.confusion][-1] == (None, "Enrolled", 2)


def test_a_figure_that_is_not_finite_is_no_row() -> None:
    found = figures_of(make_manifest(metrics={"accuracy": float("nan"), "log_loss": float("inf"), "rows": 3}))
    assert [row.metric for row in found.metrics if row.source == "holdout"] == ["rows"]


def test_a_confusion_of_hundreds_of_classes_is_written_at_once(school: Context) -> None:
    classes = tuple(f"class {number}" for number in range(300))
    metrics = class_metrics() | {"classes": {}, "confusion": [[1] * 300] * 300}
    register(school, make_manifest(classes=classes, metrics=metrics))
    assert rows(school, "SELECT count(*), sum(rows) FROM ml.confusion") == [(90_000, 90_000)]


@given(st.permutations(["a" * 64, "b" * 64, "c" * 64]), st.text("xyz", min_size=1))
def test_the_data_digest_knows_contents_not_names(digests: list[str], name: str) -> None:
    manifest = make_manifest()
    facts = tuple(replace(manifest.trained.data[0], path=name, sha256=one) for one in digests)
    made = replace(manifest, trained=replace(manifest.trained, data=facts))
    other = replace(manifest, trained=replace(manifest.trained, data=facts[:2]))
    expected = replace(manifest.trained.data[0], sha256="a" * 64)
    ordered = (expected, replace(expected, sha256="b" * 64), replace(expected, sha256="c" * 64))
    assert data_digest(made) == data_digest(replace(manifest, trained=replace(manifest.trained, data=ordered)))
    assert data_digest(made) != data_digest(other)


def test_a_moment_without_a_zone_is_utc() -> None:
    manifest = make_manifest()
    local = replace(manifest, trained=replace(manifest.trained, finished="2025-06-01T12:00:00"))
    assert entry_of(local, "p", "s").trained_at == datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_a_version_is_registered_once_and_the_second_leaves_nothing(school: Context) -> None:
    register(school, make_manifest())
    before = {path: path.read_bytes() for path in school.workspace.models.rglob("*") if path.is_file()}
    with pytest.raises(BusyError, match="registered `risk@1` meanwhile"):
        register(school, make_manifest(algorithm="search"))
    assert [entry.algorithm for entry in registry(school).entries] == ["incremental"]
    assert {path: path.read_bytes() for path in school.workspace.models.rglob("*") if path.is_file()} == before


def test_a_name_that_differs_by_case_alone_is_refused(school: Context) -> None:
    register(school, make_manifest("Risk"))
    with pytest.raises(UsageError, match="there is a model `Risk` already"):
        register(school, make_manifest("risk"))


def test_versions_count_up_and_are_never_used_again(school: Context) -> None:
    assert next_version(school.workspace, registry(school), "risk") == 1
    for version in (1, 2):
        register(school, make_manifest(version=version))
    register(school, make_manifest("other"))
    assert next_version(school.workspace, registry(school), "risk") == 3
    shutil.rmtree(school.workspace.models / "risk")
    assert next_version(school.workspace, registry(school), "risk") == 3


def test_a_version_that_only_the_disk_remembers_is_not_used_again(school: Context) -> None:
    register(school, make_manifest())
    for name in ("7", "9x", "notes"):
        (school.workspace.models / "risk" / name).mkdir()
        (school.workspace.models / "risk" / name / "manifest.json").touch()
    assert next_version(school.workspace, registry(school), "risk") == 8


def test_the_folder_of_a_run_that_was_killed_before_its_commit_takes_no_number(school: Context) -> None:
    register(school, make_manifest())
    (school.workspace.models / "risk" / "2").mkdir()
    assert next_version(school.workspace, registry(school), "risk") == 2


def test_versions_are_in_the_order_of_their_numbers(school: Context) -> None:
    for version in (2, 10, 1):
        register(school, make_manifest(version=version))
    assert [entry.version for entry in registry(school).versions("risk")] == [1, 2, 10]


def test_production_is_nobody_until_someone_is_promoted(school: Context) -> None:
    entry = register(school, make_manifest())
    assert registry(school).production("risk") is None
    moved(school, 1, utc_now())
    assert registry(school).production("risk") == entry
    assert registry(school).is_production(entry)


def test_the_last_move_holds_whatever_the_clock_said(school: Context) -> None:
    for version in (1, 2):
        register(school, make_manifest(version=version))
    now = utc_now()
    moved(school, 1, now)
    moved(school, 2, now - timedelta(days=400))
    found = registry(school)
    assert found.production("risk") == found.find("risk", 2)
    moved(school, 1, now - timedelta(days=800))
    assert [event.version for event in registry(school).events] == [1, 2, 1]
    assert {event.alias for event in registry(school).events} == {PRODUCTION}


def test_a_move_inside_the_open_transaction_is_the_last(school: Context) -> None:
    for version in (1, 2):
        register(school, make_manifest(version=version), production=version == 1)
    seen: list[ModelEntry | None] = []

    def work(connection: Connection) -> None:
        from studentsuccess.warehouse.models import standing_models

        promote(connection, AliasEvent("risk", 2, datetime(2001, 1, 1, tzinfo=UTC), new_run_id(), "now"))
        seen.append(standing_models(connection).production("risk"))

    committed(school, work)
    assert seen == [registry(school).find("risk", 2)]


def test_models_have_aliases_of_their_own(school: Context) -> None:
    register(school, make_manifest(), production=True)
    other = register(school, make_manifest("other"))
    assert registry(school).production("other") is None
    assert not registry(school).is_production(other)


def test_what_is_not_registered_can_not_be_promoted(school: Context) -> None:
    register(school, make_manifest())
    with pytest.raises(UsageError, match="no model `risk@9`"):
        moved(school, 9, utc_now())
    assert registry(school).events == ()


def test_a_failed_work_registers_nothing(school: Context) -> None:
    manifest = make_manifest()

    def work(connection: Connection) -> None:
        register_model(connection, entry_of(manifest, "models/risk/1", "0" * 64), figures_of(manifest))
        raise SsError("the disk is on fire")

    with pytest.raises(SsError, match="fire"):
        committed(school, work)
    assert registry(school) == Registry()
    assert rows(school, "SELECT count(*) FROM ml.metric") == [(0,)]


def test_the_model_trained_last_is_not_the_risk_model(school: Context) -> None:
    assert registry(school).latest_trained() is None
    register(school, make_manifest("grades", version=2))
    register(school, make_manifest("marks", version=1))
    register(school, make_manifest("risk", version=9, algorithm="risk"))
    latest = registry(school).latest_trained()
    assert latest is not None
    assert latest.label == "grades@2"


def test_the_ledger_counts_the_registry(school: Context) -> None:
    register(school, make_manifest(), production=True)
    counted = read_chain(school.workspace.ledger).entries[-1].record.warehouse_rows
    assert (counted["ml.model"], counted["ml.alias_event"], counted["ml.confusion"]) == (1, 1, 5)
    with connect(school.workspace, LIMITS) as connection:
        connection.execute("DELETE FROM ml.alias_event")
    damaged = {finding.subject for finding in verify(school.workspace, LIMITS) if finding.level == "damage"}
    assert damaged == {"ml.alias_event"}
