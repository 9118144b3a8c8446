"""Scoring the current enrolments and explaining it: once, whole, only with a model that is as it was registered."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_risk import WEEKS, bits, changed, context, copied, loaded, rows, score, train

from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import SsError, UsageError
from studentsuccess.features.risk_words import actionable
from studentsuccess.tasks import risk_explain, risk_score
from studentsuccess.tasks.risk_explain import RiskExplained

NEWEST = "course_run_id IN (SELECT course_run_id FROM core.course_run WHERE term = '2014J')"
PREDICTIONS, METRICS = "outputs/predictions_latest.csv", "outputs/metrics_latest.json"
FEATURES, PICTURE = "outputs/shap_top_features.json", "outputs/shap_summary.png"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = loaded(tmp_path_factory.mktemp("scored") / "it's a term")
    train(workspace)
    assert not score(workspace).already_scored
    return workspace


@pytest.fixture
def mine(scored: Path, tmp_path: Path) -> Path:
    return copied(scored, tmp_path / "mine")


def explain(workspace: Path, **settings: object) -> RiskExplained:
    return risk_explain.run(risk_explain.plan(None, context(workspace, **settings)), SilentReporter())


def lines(workspace: Path) -> list[dict[str, str]]:
    with (workspace / PREDICTIONS).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_everyone_registered_and_not_gone_is_predicted_and_the_others_are_counted(scored: Path) -> None:
    for week in WEEKS:
        present = rows(
            scored,
            f"SELECT enrollment_id FROM core.enrollment WHERE {NEWEST} AND coalesce(registered_day, -1) <= {7 * week}"  # noqa: S608
            f" AND coalesce(unregistered_day, 9999) > {7 * week} ORDER BY ALL",
        )
        assert rows(scored, f"SELECT enrollment_id FROM ml.prediction WHERE week = {week} ORDER BY ALL") == present  # noqa: S608
        everyone = rows(scored, f"SELECT count(*) FROM core.enrollment WHERE {NEWEST}")[0][0]  # noqa: S608
        gone = rows(scored, f"SELECT count(*) FROM core.enrollment WHERE {NEWEST} AND unregistered_day <= {7 * week}")  # noqa: S608
        told = rows(scored, f"SELECT sum(scored), sum(gone), sum(later) FROM ml.population WHERE week = {week}")[0]  # noqa: S608
        assert (told[0], told[1]) == (len(present), gone[0][0])
        assert sum(told) == everyone
    silent = rows(
        scored,
        "SELECT count(*) FROM ml.prediction AS p ANTI JOIN core.activity AS a"
        " ON a.enrollment_id = p.enrollment_id AND a.day <= p.cutoff_day WHERE week = 4",
    )
    assert silent[0][0] > 0, "students without any activity are predicted too"


def test_the_files_hold_the_newest_week_and_the_figures(scored: Path) -> None:
    newest = rows(
        scored,
        "SELECT course_run_id, student_id, probability, decision FROM ml.prediction WHERE week = 4 ORDER BY ALL",
    )
    found = [
        (row["course_run_id"], row["student_id"], float(row["probability"]), row["decision"]) for row in lines(scored)
    ]
    assert [one[:2] + one[3:] for one in sorted(found)] == [one[:2] + one[3:] for one in newest]
    assert np.allclose([one[2] for one in sorted(found)], [one[2] for one in newest], rtol=0, atol=1e-6)
    told = json.loads((scored / METRICS).read_text("utf-8"))
    assert told["model"] == "risk@1"
    assert told["terms"] == ["2014J"]
    assert [one["week"] for one in told["weeks"]] == list(WEEKS)


def test_reasons_are_the_strongest_of_the_newest_week(scored: Path) -> None:
    found = rows(
        scored, "SELECT enrollment_id, week, rank, feature, effect, actionable, words FROM ml.reason ORDER BY 1, 3"
    )
    by_student: dict[int, list[tuple[object, ...]]] = {}
    for row in found:
        by_student.setdefault(row[0], []).append(row)
    newest = {number for (number,) in rows(scored, "SELECT enrollment_id FROM ml.prediction WHERE week = 4")}
    assert set(by_student) == newest
    for reasons in by_student.values():
        assert [row[2] for row in reasons] == [1, 2, 3, 4, 5, 6]
        effects = [abs(float(str(row[4]))) for row in reasons]
        assert effects == sorted(effects, reverse=True)
        assert all(row[5] == actionable(str(row[3])) and row[6] for row in reasons)


def test_scoring_again_does_nothing_and_says_so(mine: Path) -> None:
    before = bits(mine), (mine / PREDICTIONS).read_bytes()
    first = rows(mine, "SELECT DISTINCT run_id FROM ml.prediction")
    again = score(mine)
    assert again.already_scored
    assert [(again.run_id,)] == first
    assert again.scored == len(lines(mine))
    assert (bits(mine), (mine / PREDICTIONS).read_bytes()) == before


def test_the_same_data_gives_the_same_bits(mine: Path, scored: Path) -> None:
    changed(mine, "SELECT 1")
    assert not score(mine).already_scored
    assert bits(mine) == bits(scored)
    assert (mine / PREDICTIONS).read_bytes() == (scored / PREDICTIONS).read_bytes()


def test_a_new_load_makes_the_old_scoring_old_and_a_new_one_replaces_it_whole(mine: Path) -> None:
    number, student = rows(mine, "SELECT enrollment_id, student_id FROM ml.prediction WHERE week = 4 ORDER BY 1")[0]
    changed(mine, f"UPDATE core.enrollment SET unregistered_day = 0 WHERE enrollment_id = {number}")  # noqa: S608
    assert not risk_score.plan(None, context(mine)).done
    before = score(mine)
    for name in ("prediction", "reason", "population"):
        assert rows(mine, f"SELECT DISTINCT run_id FROM ml.{name}") == [(before.run_id,)]  # noqa: S608
    assert not rows(mine, f"SELECT 1 FROM ml.prediction WHERE enrollment_id = {number}")  # noqa: S608
    assert not rows(mine, f"SELECT 1 FROM ml.reason WHERE enrollment_id = {number}")  # noqa: S608
    run = rows(mine, f"SELECT course_run_id FROM core.enrollment WHERE enrollment_id = {number}")[0][0]  # noqa: S608
    assert (run, student) not in {(row["course_run_id"], row["student_id"]) for row in lines(mine)}


def test_other_term_days_are_another_scoring_and_another_explanation(mine: Path) -> None:
    explain(mine)
    settings = {"marts__term_starts": ("2014J=2014-09-01",)}
    assert not risk_score.plan(None, context(mine, **settings)).done
    assert not risk_explain.plan(None, context(mine, **settings)).done
    assert risk_explain.plan(None, context(mine)).done


def test_a_new_version_in_production_is_what_scores_from_then_on(mine: Path) -> None:
    train(mine, train__seed=7, train__promote="always")
    again = score(mine)
    assert (again.model, again.already_scored) == ("risk@2", False)
    assert rows(mine, "SELECT DISTINCT version FROM ml.prediction") == [(2,)]


@pytest.mark.parametrize("name", ["weights.safetensors", "week_04.lightgbm.txt", "manifest.json"])
def test_a_damaged_model_is_refused_before_it_is_read(mine: Path, name: str) -> None:
    path = mine / "models/risk/1" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    changed(mine, "UPDATE core.enrollment SET credits = 1")
    before = bits(mine)
    with pytest.raises(SsError) as refused:
        score(mine)
    assert "risk" in refused.value.message
    assert refused.value.hint
    assert bits(mine) == before


def test_a_missing_file_of_a_model_is_refused(mine: Path) -> None:
    (mine / "models/risk/1/week_02.lightgbm.txt").unlink()
    with pytest.raises(SsError, match="risk"):
        risk_score.plan(None, context(mine))


def test_deleted_files_are_made_again(mine: Path) -> None:
    wanted = (mine / PREDICTIONS).read_bytes()
    (mine / PREDICTIONS).unlink()
    assert not score(mine).already_scored
    assert (mine / PREDICTIONS).read_bytes() == wanted


def test_an_explanation_is_two_files_and_done_once(mine: Path) -> None:
    first = explain(mine)
    told = json.loads((mine / FEATURES).read_text("utf-8"))
    assert told == first.document
    assert (mine / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert (told["week"], told["terms"], told["model"]) == (4, ["2014J"], "risk@1")
    strengths = [one["mean_abs"] for one in told["features"]]
    assert strengths == sorted(strengths, reverse=True)
    assert sum(one["share"] for one in told["features"]) == pytest.approx(1, abs=1e-3)
    again = explain(mine)
    assert (again.already_done, again.run_id, again.document) == (True, first.run_id, first.document)


def test_mean_effects_are_those_of_the_reasons(mine: Path) -> None:
    """For a feature that is everywhere among the reasons both say the same."""
    told = {one["name"]: one for one in explain(mine).document["features"]}
    made = risk_score.plan(None, context(mine))
    from studentsuccess.features import risk as features
    from studentsuccess.warehouse.database import connect

    with connect(made.context.workspace, made.context.limits, read_only=True) as connection:
        features.prepare(connection, {})
        table = features.week(connection, 4, 0)
    table = table.filter(np.array([term == "2014J" for term in table["term"].to_pylist()]))
    names, effects, _ = made.models[4].reasons(table)
    for place, name in enumerate(names):
        centred = effects[:, place] - effects[:, place].mean()
        assert told[name]["mean_abs"] == pytest.approx(np.abs(centred).mean(), abs=1e-6)


def test_a_student_is_explained_in_every_course(mine: Path) -> None:
    twice = rows(mine, "SELECT student_id FROM ml.prediction WHERE week = 4 GROUP BY 1 ORDER BY count(*) DESC, 1")[0][0]
    courses = risk_explain.student(twice, context(mine))
    wanted = rows(
        mine,
        f"SELECT course_run_id, probability FROM ml.prediction WHERE week = 4 AND student_id = '{twice}'"  # noqa: S608
        " ORDER BY probability DESC",
    )
    assert [(one.course, one.probability) for one in courses] == wanted
    for one in courses:
        assert one.can or one.cannot
        assert all(text.endswith(("raises the risk)", "lowers the risk)")) for text in (*one.can, *one.cannot))
        assert one.before is not None


def test_someone_who_left_in_between_is_not_explained_from_an_old_week(mine: Path) -> None:
    left = rows(
        mine,
        "SELECT student_id FROM ml.prediction GROUP BY student_id HAVING max(week) < 4 ORDER BY 1",
    )
    assert left, "the demo has students who leave between the weeks"
    with pytest.raises(UsageError) as refused:
        risk_explain.student(left[0][0], context(mine))
    assert "withdrawn" in refused.value.message
    assert left[0][0] not in refused.value.message + refused.value.hint


def test_an_unknown_student_is_refused_without_a_word_about_others(mine: Path) -> None:
    known = rows(mine, "SELECT student_id FROM ml.prediction ORDER BY 1")[0][0]
    with pytest.raises(UsageError) as refused:
        risk_explain.student(known[:-1] + "x", context(mine))
    everyone = {one for (one,) in rows(mine, "SELECT DISTINCT student_id FROM core.enrollment")}
    assert not any(one in refused.value.message + refused.value.hint for one in everyone)


def test_a_model_is_scored_with_the_marking_lag_that_it_learned_with(mine: Path) -> None:
    before = bits(mine)
    again = score(mine, risk__marking_lag_days=14)
    assert again.already_scored
    assert any("marking lag of 0 days" in note for note in again.notes)
    assert bits(mine) == before
