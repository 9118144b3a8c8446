from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from studentsuccess.errors import UsageError
from studentsuccess.warehouse.migrate import migrate
from studentsuccess.warehouse.predictions import Scored, replace_predictions
from studentsuccess.warehouse.report import Facts, read_facts

# Enrolment, week, risk, whether the model had not learned from it. The first course run ends a week before the other.
PREDICTED = (
    *((1, "A", 3, 0.9, True), (2, "A", 3, 0.2, True), (3, "A", 3, 0.99, False), (1, "A", 2, 0.8, True)),
    *((4, "B", 4, 0.6, True), (5, "B", 4, 0.1, True), (4, "B", 3, 0.5, True)),
)
REASONS = (
    *((1, 3, "missed", 0.8), (2, 3, "missed", -0.5), (3, 3, "missed", 0.7), (4, 4, "missed", 0.4)),
    *((1, 3, "score_mean", 0.1), (5, 4, "score_mean", -0.2), (1, 2, "old", 5.0)),
)


@pytest.fixture
def connection(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    found = duckdb.connect(str(tmp_path / "warehouse.duckdb"))
    migrate(found)
    found.execute("INSERT INTO core.course_run VALUES ('A', 'Algebra', '2014B', 100), ('B', 'Biology', '2014B', 100)")
    return found


def scored() -> Scored:
    prediction = [
        {
            "run_id": "r", "name": "risk", "version": 2, "course_run_id": run, "enrollment_id": enrolment,
            "student_id": f"s{enrolment}", "week": week, "cutoff_day": 7 * week, "probability": risk,
            "decision": "unsure", "out_of_sample": unseen,
        }
        for enrolment, run, week, risk, unseen in PREDICTED
    ]  # fmt: skip
    reason = [
        {
            "run_id": "r", "enrollment_id": enrolment, "week": week, "rank": 1, "feature": feature, "effect": effect,
            "actionable": True, "words": "",
        }
        for enrolment, week, feature, effect in REASONS
    ]  # fmt: skip
    population = [
        {"run_id": "r", "course_run_id": run, "week": week, "scored": 2, "gone": gone, "later": 1}
        for run, week, gone in (("A", 2, 1), ("A", 3, 4), ("B", 3, 2), ("B", 4, 3))
    ]
    return Scored(*(pa.Table.from_pylist(rows) for rows in (prediction, reason, population)))


@pytest.fixture
def facts(connection: duckdb.DuckDBPyConnection) -> Facts:
    replace_predictions(connection, scored())
    return read_facts(connection, 0.5)


def test_those_whom_the_model_learned_from_are_counted_apart(facts: Facts) -> None:
    assert [(one.week, one.scored, one.taught, one.gone, one.model) for one in facts.runs] == [
        (3, 2, 1, 4, "risk@2"),
        (4, 2, 0, 3, "risk@2"),
    ]
    np.testing.assert_array_equal(facts.risks, [0.1, 0.2, 0.6, 0.9])


def test_each_course_run_is_seen_in_its_own_newest_week(facts: Facts) -> None:
    np.testing.assert_array_equal(facts.candidates, [0.9, 0.6, 0.2, 0.1])


def test_a_week_has_everyone_of_that_week(facts: Facts) -> None:
    assert [(one.week, one.students, one.high) for one in facts.weeks] == [(2, 1, 1), (3, 3, 2), (4, 2, 1)]
    assert facts.weeks[1].mean == pytest.approx((0.9 + 0.2 + 0.5) / 3)


def test_only_what_raises_a_risk_that_is_shown_is_a_reason(facts: Facts) -> None:
    found = {one.feature: (one.students, one.push) for one in facts.reasons}
    assert found == {"missed": (2, pytest.approx(0.6)), "score_mean": (1, pytest.approx(0.1))}


def summary(connection: duckdb.DuckDBPyConnection, *rows: tuple[object, ...]) -> Facts:
    connection.execute("DELETE FROM mart.course_summary_daily")
    for week, course, term, count, mean, rate in rows:
        connection.execute(
            "INSERT INTO mart.course_summary_daily VALUES (DATE '2014-03-01', ?, ?, ?, ?, ?, ?, ?, false)",
            [week, course, count, mean, rate, term, f"{course} {term}"],
        )
    return read_facts(connection, 0.5)


def test_a_total_is_told_only_where_every_term_shows_a_figure(connection: duckdb.DuckDBPyConnection) -> None:
    found = summary(
        connection, (1, "A", "t", 20, 0.4, 0.5), (1, "B", "t", None, None, None), (2, "A", "t", 20, 0.4, None),
        (2, "B", "t", None, None, None), (2, "A", "u", None, None, None),
    ).published  # fmt: skip
    assert found is not None
    flags = {week: (one.students, one.mean, one.rate) for week, one in found.weeks.items()}
    assert flags == {1: (True, True, True), 2: (False, False, False)}
    assert (found.newest.students, found.newest.mean, found.newest.rate) == (False, False, False)


def test_the_newest_week_is_told_by_what_it_shows_itself(connection: duckdb.DuckDBPyConnection) -> None:
    rows = ((1, "A", "t", 20, 0.4, 0.5), (2, "A", "t", 20, 0.4, None), (2, "B", "t", 30, None, None))
    found = summary(connection, *rows).published
    assert found is not None
    assert (found.newest.students, found.newest.mean, found.newest.rate) == (True, True, False)
    assert [(one.course, one.students, one.mean, one.high_rate) for one in found.courses] == [
        ("A", 20, 0.4, None),
        ("B", 30, None, None),
    ]


def test_marts_of_other_predictions_are_stale(connection: duckdb.DuckDBPyConnection) -> None:
    replace_predictions(connection, scored())
    rows = ((3, "A", "t", 20, 0.4, 0.5),)
    assert (found := summary(connection, *rows).published)
    assert found.stale
    connection.execute(
        "INSERT INTO mart.student_risk_daily SELECT DATE '2014-03-01', student_id, 'm', week, probability, 0, NULL, 0,"
        " 't', course_run_id, decision, 'risk@2' FROM ml.prediction WHERE out_of_sample"
    )
    assert (found := summary(connection, *rows).published)
    assert not found.stale
    connection.execute("DELETE FROM mart.student_risk_daily WHERE id_student = 's5'")
    assert (found := summary(connection, *rows).published)
    assert found.stale


def test_the_last_run_of_each_target_is_told_and_no_other(connection: duckdb.DuckDBPyConnection) -> None:
    runs = (
        *(("etl", "oulad"), ("score", "predictions"), ("score", "scores:somebody's"), ("marts build", "marts")),
        *(("score", "predictions"), ("run", "pipeline"), ("report", "report")),
    )
    for at, (command, target) in enumerate(runs):
        connection.execute(
            "INSERT INTO ops.run VALUES (?, ?, 'k', ?, false, now(), now(), 'c', '1', '[]', '[]', '{}', '')",
            [f"r{at}", at, command],
        )
        connection.execute("INSERT INTO ops.run_target VALUES (?, ?)", [f"r{at}", target])
    made = read_facts(connection, 0.5).made
    assert [(one.command, one.run_id) for one in made] == [("etl", "r0"), ("marts build", "r3"), ("score", "r4")]


def test_a_warehouse_without_courses_has_nothing_to_report(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "new.duckdb")) as empty, pytest.raises(UsageError, match="no course data"):
        read_facts(empty, 0.5)
