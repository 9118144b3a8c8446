"""The marts against an independent recount from the core tables, and what must not change them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from made_predictions import LIMITS, load_demo, make_predictions

from studentsuccess.config.workspace import Workspace
from studentsuccess.insights.marts import MartRules, Marts, build, latest, sample, under_pseudonyms
from studentsuccess.insights.pseudonyms import aliases
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.marts import STUDENTS, SUMMARY, mart_inputs
from studentsuccess.warehouse.terms import term_start

RULES = MartRules(least=1, high_risk=0.5, marking_lag_days=0, start_days={})
KNOWN_RISK = [
    "run_date",
    "id_student",
    "code_module",
    "week",
    "risk_score",
    "high_risk_flag",
    "weekly_score_mean",
    "cum_submissions",
]
KNOWN_SUMMARY = ["run_date", "week", "code_module", "student_count", "avg_risk_score", "high_risk_rate"]


@pytest.fixture(scope="module")
def scored_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = load_demo(tmp_path_factory.mktemp("marts") / "workspace")
    make_predictions(folder)
    return folder


@pytest.fixture
def scored(scored_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(scored_once, tmp_path / "workspace")


def built(folder: Path, rules: MartRules = RULES, limits: EngineLimits = LIMITS) -> Marts:
    with connect(Workspace(folder), limits, read_only=True) as connection:
        return build(connection, rules)


def change(folder: Path, sql: str) -> None:
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(sql)


def core(folder: Path, table: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(f"SELECT * FROM {table}").to_arrow_table().to_pylist()  # noqa: S608


def by_key(marts: Marts) -> Mapping[tuple[str, str, int], dict[str, Any]]:
    rows = marts.tables[STUDENTS].to_pylist()
    return {(row["course_run_id"], row["id_student"], row["week"]): row for row in rows}


def test_the_first_columns_are_those_that_users_know(scored_once: Path) -> None:
    tables = built(scored_once).tables
    assert tables[STUDENTS].column_names[:8] == KNOWN_RISK
    assert tables[SUMMARY].column_names[:6] == KNOWN_SUMMARY


@pytest.mark.parametrize("lag", [0, 14])
def test_every_row_of_a_student_is_as_a_recount_says(scored_once: Path, lag: int) -> None:
    found = by_key(built(scored_once, replace(RULES, marking_lag_days=lag)))
    submissions = defaultdict(list)
    for one in core(scored_once, "core.submission"):
        submissions[one["enrollment_id"]].append((one["submitted_day"], one["score"]))
    predictions = core(scored_once, "ml.prediction")
    assert len(found) == len(predictions)
    for one in predictions:
        row, mine = found[one["course_run_id"], one["student_id"], one["week"]], submissions[one["enrollment_id"]]
        day = one["cutoff_day"]
        marks = [score for made, score in mine if made + lag <= day and score is not None]
        assert row["cum_submissions"] == sum(made <= day for made, _ in mine)
        assert row["weekly_score_mean"] == (pytest.approx(sum(marks) / len(marks)) if marks else None)
        assert row["risk_score"] == one["probability"]
        assert row["high_risk_flag"] == int(one["probability"] >= 0.5)
        assert row["run_date"] == date(2014, 10, 1) + timedelta(day)
    assert any(row["weekly_score_mean"] is not None for row in found.values())


def test_every_row_of_a_class_is_the_count_of_its_students(scored_once: Path) -> None:
    marts = built(scored_once)
    classes = defaultdict(list)
    for row in marts.tables[STUDENTS].to_pylist():
        classes[row["run_date"], row["week"], row["code_module"]].append(row)
    summary = marts.tables[SUMMARY].to_pylist()
    assert len(summary) == len(classes)
    for row in summary:
        mine = classes[row["run_date"], row["week"], row["code_module"]]
        assert row["student_count"] == len(mine)
        assert row["avg_risk_score"] == pytest.approx(sum(one["risk_score"] for one in mine) / len(mine))
        assert row["high_risk_rate"] == pytest.approx(sum(one["high_risk_flag"] for one in mine) / len(mine))
        assert row["suppressed"] is False


def test_students_who_never_submitted_are_there(scored_once: Path) -> None:
    rows = built(scored_once).tables[STUDENTS].to_pylist()
    assert any(row["week"] == 8 and row["cum_submissions"] == 0 for row in rows)


def test_only_predictions_out_of_sample_are_in_a_mart(scored: Path) -> None:
    change(scored, "UPDATE ml.prediction SET out_of_sample = false WHERE week = 3")
    marts = built(scored)
    assert set(marts.tables[STUDENTS].column("week").to_pylist()) == set(range(9)) - {3}
    assert set(marts.tables[SUMMARY].column("week").to_pylist()) == set(range(9)) - {3}


def test_what_happens_later_does_not_change_a_row(scored: Path) -> None:
    before = by_key(built(scored))
    change(
        scored,
        "INSERT INTO core.submission SELECT 'later', enrollment_id, 7 * 5 + 1, 3.0, false FROM core.enrollment;"
        "UPDATE core.submission SET score = 0 WHERE submitted_day > 35",
    )
    after = by_key(built(scored))
    assert {key: row for key, row in after.items() if key[2] <= 5} == {
        key: row for key, row in before.items() if key[2] <= 5
    }
    assert after != before


def test_the_number_of_threads_and_the_order_of_rows_change_no_bit(scored: Path) -> None:
    rules = replace(RULES, least=10)
    once = built(scored, rules)
    for table in ("core.submission", "ml.prediction", "core.course_run"):
        change(scored, f"CREATE OR REPLACE TABLE {table} AS SELECT line.* FROM {table} AS line ORDER BY hash(line)")  # noqa: S608
    again = built(scored, rules, replace(LIMITS, threads=2))
    assert all(once.tables[name].equals(again.tables[name]) for name in once.tables)


def test_small_numbers_are_nothing_and_their_row_says_so(scored_once: Path) -> None:
    every = built(scored_once).tables[SUMMARY].to_pylist()
    marts = built(scored_once, replace(RULES, least=30))
    found = marts.tables[SUMMARY].to_pylist()
    assert marts.suppressed == sum(row["suppressed"] for row in found) > 0
    for row, whole in zip(found, every, strict=True):
        figures = ("student_count", "avg_risk_score", "high_risk_rate")
        assert row["suppressed"] == any(row[name] is None for name in figures)
        assert all(row[name] in (None, whole[name]) for name in figures)
        assert row["student_count"] is None or row["student_count"] >= 30


def test_the_calendar_has_every_day_of_its_years_once(scored_once: Path) -> None:
    days = built(scored_once).tables["calendar"].to_pylist()
    assert [row["date"] for row in days] == [date(2014, 1, 1) + timedelta(n) for n in range(365)]
    for row in days:
        year, week, weekday = row["date"].isocalendar()
        assert (row["iso_year"], row["iso_week"], row["weekday"]) == (year, week, weekday)
        assert (row["year"], row["month"], row["day"]) == (row["date"].year, row["date"].month, row["date"].day)
        assert row["quarter"] == (row["month"] + 2) // 3


def test_courses_and_models_are_those_of_the_rows(scored_once: Path) -> None:
    tables = built(scored_once).tables
    courses = {row["course_run_id"]: row for row in tables["course"].to_pylist()}
    assert set(courses) == set(tables[STUDENTS].column("course_run_id").to_pylist())
    assert {row["newest_week"] for row in courses.values()} == {8}
    assert {row["start_date"] for row in courses.values()} == {date(2014, 10, 1)}
    assert tables["model_version"].column("model").to_pylist() == ["risk@1"]
    assert set(tables[STUDENTS].column("model").to_pylist()) == {"risk@1"}


def test_a_term_that_no_calendar_knows_has_the_day_of_the_load(scored: Path) -> None:
    change(scored, "UPDATE core.course_run SET term = 'Autumn' WHERE term = '2014J'")
    marts = built(scored)
    loaded = core(scored, "ops.dataset")[0]["loaded_at"].date()
    assert set(marts.tables[STUDENTS].column("run_date").to_pylist()) == {loaded}
    assert marts.undated == ("Autumn",)
    said = built(scored, replace(RULES, start_days={"Autumn": date(2025, 9, 1)}))
    assert min(said.tables[STUDENTS].column("run_date").to_pylist()) == date(2025, 9, 1)
    assert said.undated == ()


@pytest.mark.parametrize(
    ("term", "start"),
    [
        ("2013B", date(2013, 2, 1)),
        ("2014J", date(2014, 10, 1)),
        ("2014X", None),
        ("2014b", None),
        ("12014B", None),
        ("", None),
    ],
)
def test_a_term_begins_as_its_letter_says(term: str, start: date | None) -> None:
    assert term_start(term) == start


def test_settings_beat_a_letter() -> None:
    assert term_start("2014J", {"2014J": date(2014, 10, 4)}) == date(2014, 10, 4)


def test_the_latest_rows_are_those_of_each_course_runs_newest_week(scored: Path) -> None:
    change(scored, "DELETE FROM ml.prediction WHERE week > 5 AND course_run_id LIKE 'BBB-%'")
    found = latest(built(scored).tables, STUDENTS).to_pylist()
    assert {(row["code_module"], row["week"]) for row in found} == {("AAA", 8), ("BBB", 5), ("CCC", 8), ("DDD", 8)}


def test_a_sample_is_spread_over_all_rows_and_the_same_every_time(scored_once: Path) -> None:
    table = built(scored_once).tables[STUDENTS]
    few = sample(table, 20)
    assert few.num_rows == 20
    assert few.equals(sample(table, 20))
    assert set(few.column("week").to_pylist()) == set(range(9))
    assert sample(table, table.num_rows).equals(table)


def test_under_pseudonyms_no_id_and_no_row_of_a_hidden_class_is_left(scored_once: Path) -> None:
    tables = built(scored_once, replace(RULES, least=30)).tables
    found = under_pseudonyms(
        tables, aliases(tables[STUDENTS].select(["id_student"]).group_by("id_student").aggregate([]), b"k" * 16)
    )
    ids = set(tables[STUDENTS].column("id_student").to_pylist())
    named = found[STUDENTS].column("id_student").to_pylist()
    assert not ids & set(named)
    assert all(len(name) == 64 for name in named)
    hidden = {row["course_run_id"] for row in tables[SUMMARY].to_pylist() if row["student_count"] is None}
    shown = set(found[STUDENTS].column("course_run_id").to_pylist())
    assert hidden
    assert hidden | shown == set(tables[STUDENTS].column("course_run_id").to_pylist())
    assert not hidden & shown
    rows = [
        tuple(row[name] for name in ("run_date", "code_module", "id_student")) for row in found[STUDENTS].to_pylist()
    ]
    assert rows == sorted(rows)


def test_a_run_id_is_no_reason_to_build_again_and_a_mark_is(scored: Path) -> None:
    def state() -> str:
        with connect(Workspace(scored), LIMITS, read_only=True) as connection:
            return mart_inputs(connection).digest

    first = state()
    change(scored, "UPDATE ml.prediction SET run_id = 'another'")
    assert state() == first
    change(
        scored,
        "UPDATE core.submission SET score = score + 1 WHERE submitted_day > 200",
    )
    assert state() != first
