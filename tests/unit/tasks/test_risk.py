"""Learning from terms: which teach, which judge, what is missing; and the proof that no prediction sees the future."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from effort import sample
from made_risk import WEEKS, changed, context, copied, loaded, rows, score, train

from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import ContractError, ExitCode, UsageError
from studentsuccess.features import risk as features
from studentsuccess.tasks import risk, risk_backtest, risk_proof, risk_score
from studentsuccess.tasks.risk import RiskRequest
from studentsuccess.warehouse.database import connect

TERMS = ("2013B", "2013J", "2014B", "2014J")
NEWEST = "course_run_id IN (SELECT course_run_id FROM core.course_run WHERE term = '2014J')"
NOT_OVER = f"UPDATE core.enrollment SET outcome = NULL WHERE {NEWEST}"  # noqa: S608 - a text of ours


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loaded(tmp_path_factory.mktemp("risk") / "demo")


@pytest.fixture(scope="module")
def learned(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = copied(demo, tmp_path_factory.mktemp("risk") / "learned")
    train(workspace)
    return workspace


@pytest.fixture(scope="module")
def overlapping(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores a term that began before the one before it had ended, with marks that are known after two weeks."""
    workspace = copied(demo, tmp_path_factory.mktemp("risk") / "overlapping")
    learns = context(workspace, risk__marking_lag_days=14)
    risk.run(risk.plan(RiskRequest(WEEKS, TERMS[:2], ("2014B",)), learns), SilentReporter())
    return workspace


@pytest.fixture
def mine(demo: Path, tmp_path: Path) -> Path:
    return copied(demo, tmp_path / "mine")


def manifest(workspace: Path, version: int = 1) -> dict[str, object]:
    found = json.loads((workspace / f"models/risk/{version}/manifest.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_latest_term_is_judged_and_all_before_it_teach(learned: Path) -> None:
    made = risk.plan(RiskRequest(WEEKS), context(learned))
    assert (made.train_terms, made.test_terms, made.split_students) == (TERMS[:3], TERMS[3:], False)
    assert manifest(learned)["extra"]["judged"] == {"train": list(TERMS[:3]), "test": ["2014J"]}  # type: ignore[index]
    assert made.done


def test_terms_may_be_named_in_any_order_and_together(demo: Path) -> None:
    made = risk.plan(RiskRequest((), ("2013J,2013B",), ("2014B", "2014J")), context(demo))
    assert (made.train_terms, made.test_terms) == (TERMS[:2], TERMS[2:])
    assert made.weeks == (0, 1, 2, 3, 4)


def test_an_unknown_term_names_the_nearest(demo: Path) -> None:
    with pytest.raises(UsageError) as refused:
        risk.plan(RiskRequest((), (), ("2014K",)), context(demo))
    assert "--test-terms 2014K" in refused.value.message
    assert "2014" in refused.value.hint
    with pytest.raises(UsageError) as refused:
        risk.plan(RiskRequest((), ("autumn",), ()), context(demo))
    assert all(term in refused.value.hint for term in TERMS)


def test_a_term_that_teaches_and_judges_is_refused(demo: Path) -> None:
    with pytest.raises(UsageError, match="2014B") as refused:
        risk.plan(RiskRequest((), TERMS[:3], ("2014B",)), context(demo))
    assert "--train-terms" in refused.value.hint


def test_models_do_not_depend_on_the_number_of_workers(learned: Path, mine: Path) -> None:
    train(mine, budget__cpus=1)
    files = sorted(path.name for path in (mine / "models/risk/1").iterdir())
    for name in files:
        if name.endswith((".txt", ".safetensors")):
            assert (mine / "models/risk/1" / name).read_bytes() == (learned / "models/risk/1" / name).read_bytes()
    assert sum(name.endswith(".lightgbm.txt") for name in files) == len(WEEKS)


def test_learning_again_is_already_done_and_another_setting_is_not(learned: Path, tmp_path: Path) -> None:
    workspace = copied(learned, tmp_path / "again")
    again = train(workspace)
    assert (again.already_trained, again.entry.version) == (True, 1)
    for settings in ({"risk__marking_lag_days": 14}, {"risk__demographics": "exclude"}, {"train__seed": 1}):
        assert not risk.plan(RiskRequest(WEEKS), context(workspace, **settings)).done
    dated = context(workspace, marts__term_starts=("2013J=2013-09-01",))
    assert not risk.plan(RiskRequest(WEEKS), dated).done
    changed(workspace, "UPDATE core.enrollment SET credits = 1")
    assert not risk.plan(RiskRequest(WEEKS), context(workspace)).done


def test_without_demographics_no_model_looks_at_one(mine: Path) -> None:
    train(mine, risk__demographics="exclude")
    names = {one["name"] for one in manifest(mine)["features"]}  # type: ignore[attr-defined]
    parts = {part[0] for week in manifest(mine)["extra"]["weeks"] for part in week["parts"]}  # type: ignore[index]
    assert names == parts
    assert not names & set(features.DEMOGRAPHICS)
    assert len(names) > 30
    score(mine)
    before = rows(mine, "SELECT * EXCLUDE (run_id) FROM ml.prediction ORDER BY ALL")
    columns = ", ".join(f"{name} = 'other'" for name in features.DEMOGRAPHICS)
    changed(mine, f"UPDATE core.demographic SET {columns}")  # noqa: S608 - names of ours
    assert not score(mine).already_scored
    assert rows(mine, "SELECT * EXCLUDE (run_id) FROM ml.prediction ORDER BY ALL") == before
    told = {name for (name,) in rows(mine, "SELECT DISTINCT feature FROM ml.reason")}
    assert told
    assert not told & set(features.DEMOGRAPHICS)


def test_without_clicks_it_works_and_says_what_it_lost(mine: Path) -> None:
    changed(mine, "DELETE FROM core.activity")
    result = train(mine)
    assert any("no clicks" in note for note in result.notes)
    used = {one["name"] for one in manifest(mine)["features"]}  # type: ignore[attr-defined]
    assert not used & {"clicks_log", "active_days", "days_silent", "clicks_relative", "first_day", "longest_silence"}
    assert score(mine).scored > 50


def test_a_single_term_is_split_by_student_and_every_page_says_so(mine: Path) -> None:
    only = f"DELETE FROM core.enrollment WHERE NOT ({NEWEST})"  # noqa: S608 - a text of ours
    changed(mine, only, "DELETE FROM core.course_run WHERE term <> '2014J'", *_twice())
    result = train(mine)
    assert manifest(mine)["extra"]["split_students"] is True  # type: ignore[index]
    assert any("only one term" in note for note in result.notes)
    scored = score(mine)
    assert any("only one term" in note for note in scored.notes)
    halves = dict(rows(mine, "SELECT student_id, count(DISTINCT out_of_sample) FROM ml.prediction GROUP BY student_id"))
    assert set(halves.values()) == {1}, "all rows of a student are in one half"
    shares = dict(rows(mine, "SELECT out_of_sample, count(DISTINCT student_id) FROM ml.prediction GROUP BY ALL"))
    assert 0.3 < shares[True] / len(halves) < 0.7
    trained = manifest(mine)["trained"]["rows"]  # type: ignore[index]
    taught = rows(mine, "SELECT count(*) FROM ml.prediction WHERE NOT out_of_sample AND week = 4")[0][0]
    assert trained == taught


def _twice() -> list[str]:
    """A single term of the small demo has too few students: as many again, who are others."""
    more = 100_000
    return [
        f"INSERT INTO core.enrollment SELECT enrollment_id + {more}, course_run_id, 'x' || student_id,"  # noqa: S608
        " registered_day, unregistered_day, credits, previous_attempts, outcome FROM core.enrollment",
        f"INSERT INTO core.activity SELECT enrollment_id + {more}, day, activity_type, clicks FROM core.activity",  # noqa: S608
        f"INSERT INTO core.submission SELECT assessment_id, enrollment_id + {more}, submitted_day, score, banked"  # noqa: S608
        " FROM core.submission",
    ]


def test_a_term_whose_end_is_not_known_is_judged_one_term_earlier(mine: Path) -> None:
    changed(mine, NOT_OVER)
    train(mine)
    extra = manifest(mine)["extra"]
    assert extra["judged"] == {"train": list(TERMS[:2]), "test": ["2014B"]}  # type: ignore[index]
    assert extra["train_terms"] == list(TERMS[:3])  # type: ignore[index]
    assert score(mine).scored > 50


def test_those_who_withdrew_do_not_make_a_term_look_over(mine: Path) -> None:
    """An export in the middle of a term knows the outcome of those who left, and of nobody else."""
    changed(mine, NOT_OVER + " AND outcome <> 'Withdrawn'")
    train(mine)
    assert manifest(mine)["extra"]["judged"] == {"train": list(TERMS[:2]), "test": ["2014B"]}  # type: ignore[index]
    with pytest.raises(UsageError, match="2014J"):
        risk_backtest.run(risk_backtest.prepare(RiskRequest((4,)), context(mine)), SilentReporter())


def test_a_backtest_of_a_term_that_goes_on_is_refused(mine: Path) -> None:
    changed(mine, NOT_OVER)
    with pytest.raises(UsageError) as refused:
        risk_backtest.run(risk_backtest.prepare(RiskRequest((4,)), context(mine)), SilentReporter())
    assert "2014J" in refused.value.message
    assert "--test-terms" in refused.value.hint


def test_too_few_enrolments_are_said_with_exit_code_4(mine: Path) -> None:
    changed(mine, "DELETE FROM core.enrollment WHERE enrollment_id % 20 <> 0")
    with pytest.raises(ContractError) as refused:
        train(mine)
    assert refused.value.code is ExitCode.CONTRACT
    assert "too few" in refused.value.message
    assert not (mine / "models/risk/1").exists()


def test_weeks_after_the_end_of_the_courses_can_be_learned_and_are_not_scored(mine: Path) -> None:
    """No week is predicted that the data has not reached: silence would look like a reason."""
    train(mine, weeks=(4, 50))
    scored = score(mine)
    assert scored.week == 4
    assert any("week 50 can't be scored yet" in note for note in scored.notes)
    assert rows(mine, "SELECT DISTINCT week FROM ml.prediction") == [(4,)]


def test_a_term_in_its_third_week_is_scored_up_to_there(learned: Path, tmp_path: Path) -> None:
    workspace = copied(learned, tmp_path / "early")
    ids = f"(SELECT enrollment_id FROM core.enrollment WHERE {NEWEST})"  # noqa: S608 - a text of ours
    changed(
        workspace,
        NOT_OVER,
        f"DELETE FROM core.activity WHERE day > 15 AND enrollment_id IN {ids}",  # noqa: S608
        f"DELETE FROM core.submission WHERE submitted_day > 15 AND enrollment_id IN {ids}",  # noqa: S608
        f"UPDATE core.enrollment SET unregistered_day = NULL WHERE unregistered_day > 15 AND {NEWEST}",  # noqa: S608
        f"DELETE FROM core.enrollment WHERE registered_day > 15 AND {NEWEST}",  # noqa: S608
    )
    scored = score(workspace)
    assert scored.week == 2
    assert any("ends on day 15" in note and "week 4" in note for note in scored.notes)
    assert {week for (week,) in rows(workspace, "SELECT DISTINCT week FROM ml.prediction")} == {0, 2}
    assert {week for (week,) in rows(workspace, "SELECT DISTINCT week FROM ml.reason")} == {2}


def test_a_week_in_which_nobody_is_there_is_scored_as_such(learned: Path, tmp_path: Path) -> None:
    workspace = copied(learned, tmp_path / "nobody")
    changed(workspace, f"UPDATE core.enrollment SET registered_day = 25 WHERE {NEWEST}")  # noqa: S608
    scored = score(workspace)
    assert scored.scored > 50
    assert rows(workspace, "SELECT count(*) FROM ml.prediction WHERE week < 4") == [(0,)]
    assert rows(workspace, "SELECT sum(scored), sum(later) > 50 FROM ml.population WHERE week = 0") == [(0, True)]


def test_the_backtest_is_done_once_and_its_picture_is_there(learned: Path, tmp_path: Path) -> None:
    workspace = copied(learned, tmp_path / "backtest")
    made = risk_backtest.prepare(RiskRequest((2,)), context(workspace))
    first = risk_backtest.run(made, SilentReporter())
    again = risk_backtest.run(risk_backtest.prepare(RiskRequest((2,)), context(workspace)), SilentReporter())
    assert (first.already_done, again.already_done, again.run_id) == (False, True, first.run_id)
    assert sorted(map(str, again.rows)) == sorted(map(str, first.rows))
    assert (workspace / "outputs/backtest.png").read_bytes().startswith(b"\x89PNG")
    told = risk_backtest.document(first)
    assert [one["week"] for one in told["weeks"]] == [2]
    assert {"n", "base_rate", "auc", "ap", "brier", "ece"} <= set(told["weeks"][0])
    assert {one["scope"] for one in told["groups"]} >= {"gender", "deprivation", "disability", "age_band"}
    assert [one["week"] for one in told["without_demographics"]] == [2]


NOW = "p.start_day + 7 * $week"
LEAKS = {
    "clicks of the next week": ("engagement", "w.week <= $week", "w.week <= $week + 1"),
    "marks before they are given": ("assessed", "s.submitted_day + $lag <= 7 * $week", "$lag >= 0"),
    "submissions to come": ("assessed", "WHERE s.submitted_day <= 7 * $week", "WHERE true"),
    "how other courses end": ("history", f"run.start_day + run.length_days <= {NOW} AS ended", "true AS ended"),
    "who leaves others": ("history", f"run.start_day + e.unregistered_day <= {NOW}", "e.unregistered_day IS NOT NULL"),
    "registrations to come": ("history", f"run.start_day + e.registered_day <= {NOW}", "true"),
    "who will be there": ("population", "coalesce(e.registered_day, -1000) <= 7 * $week", "true"),
    "who will leave": ("population", "e.unregistered_day > 7 * $week", "false"),
}


def test_the_proof_holds(learned: Path, overlapping: Path) -> None:
    for workspace in (learned, overlapping):
        found = risk_proof.prove(None, context(workspace), SilentReporter())
        assert [one.week for one in found] == list(WEEKS)
        assert all(one.predictions > 50 for one in found)
        assert [one.changed for one in found] == [0] * len(WEEKS)


@pytest.mark.parametrize("leak", sample(list(LEAKS), daily=list(LEAKS)[::2]))
def test_the_proof_fails_when_a_query_looks_ahead(
    overlapping: Path, monkeypatch: pytest.MonkeyPatch, leak: str
) -> None:
    where, honest, leaky = LEAKS[leak]
    original = features._query

    def planted(name: str) -> str:
        text = original(name)
        assert name != where or text.count(honest) == 1
        return text.replace(honest, leaky) if name == where else text

    monkeypatch.setattr(features, "_query", planted)
    found = risk_proof.prove(None, context(overlapping), SilentReporter())
    assert sum(one.changed for one in found) > 0


def test_another_future_leaves_the_past_and_the_warehouse_alone(learned: Path) -> None:
    from studentsuccess.warehouse.database import beside

    made = context(learned)
    before = (learned / "warehouse.duckdb").read_bytes()
    with beside(made.workspace, made.limits) as connection:
        features.another_world(connection, "2014J", {})
        features.another_future(connection, 2, "2014J", 0)
        mine = f"(SELECT enrollment_id FROM world.core.enrollment WHERE {NEWEST})"  # noqa: S608
        for table, day in (("activity", "day"), ("submission", "submitted_day")):
            past = f"WHERE {day} <= 14 AND enrollment_id IN {mine}"
            for one, other in (("core", "world.core"), ("world.core", "core")):
                differing = connection.execute(
                    f"SELECT count(*) FROM (FROM {one}.{table} {past} EXCEPT ALL FROM {other}.{table} {past})"  # noqa: S608
                ).fetchone()
                assert differing == (0,)
            later = f"WHERE {day} > 14 AND enrollment_id IN {mine}"
            both = f"FROM core.{table} {later} INTERSECT ALL FROM world.core.{table} {later}"
            kept, there = (
                connection.execute(f"SELECT count(*) FROM ({query})").fetchone()  # noqa: S608
                for query in (both, f"FROM world.core.{table} {later}")
            )
            assert kept is not None
            assert there is not None
            assert kept[0] < 0.2 * there[0]
    assert (learned / "warehouse.duckdb").read_bytes() == before


def test_several_terms_are_proved_each_on_its_own_calendar(mine: Path) -> None:
    made = risk.plan(RiskRequest(WEEKS, TERMS[:2], TERMS[2:]), context(mine))
    risk.run(made, SilentReporter())
    found = risk_proof.prove(None, context(mine), SilentReporter())
    assert [one.changed for one in found] == [0] * len(WEEKS)
    with connect(context(mine).workspace, context(mine).limits, read_only=True) as connection:
        features.prepare(connection, {})
        terms = features.week(connection, 4, 0)["term"].to_pylist()
    assert found[-1].predictions == sum(term in TERMS[2:] for term in terms)


def test_scores_are_the_models_probabilities_of_the_features(learned: Path, tmp_path: Path) -> None:
    workspace = copied(learned, tmp_path / "scores")
    score(workspace)
    made = risk_score.plan(None, context(workspace))
    with connect(made.context.workspace, made.context.limits, read_only=True) as connection:
        features.prepare(connection, {})
        table = features.week(connection, 4, 0)
    mine = table.filter(np.array([term == "2014J" for term in table["term"].to_pylist()]))
    expected = dict(zip(mine["enrollment_id"].to_pylist(), made.models[4].probability(mine).tolist(), strict=True))
    assert dict(rows(workspace, "SELECT enrollment_id, probability FROM ml.prediction WHERE week = 4")) == expected
