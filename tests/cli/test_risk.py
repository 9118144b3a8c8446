"""The risk model as it is typed: train, backtest, prove, score, explain; and nobody's name in any log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_risk import changed, context, copied, loaded, rows, score, train

from studentsuccess.features import risk as features

Told = Callable[[str], Any]
Bytes = Callable[[Path], dict[str, bytes]]
SETTINGS = ("--set", "etl.demo_students=400", "--set", "etl.demo_weeks=20", "--week", "4")
TRAIN = ("train", "local", "--algorithm", "risk")
CANARY = "CANARY-4711"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with a student of a telling name in every term, scored."""
    workspace = loaded(tmp_path_factory.mktemp("cli") / "risk")
    newest = "FROM core.enrollment JOIN core.course_run USING (course_run_id) WHERE term = '2014J'"
    busy = f"(SELECT student_id {newest} AND unregistered_day IS NULL ORDER BY enrollment_id LIMIT 1)"
    changed(workspace, f"UPDATE core.enrollment SET student_id = '{CANARY}' WHERE student_id = {busy}")  # noqa: S608
    train(workspace)
    score(workspace)
    return workspace


@pytest.fixture
def risky(made: Path, workspace: Path) -> Path:
    return copied(made, workspace)


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_training_says_how_good_each_week_is(cli: Any, risky: Path) -> None:
    told = document(cli(*TRAIN, "--weeks", "0,2", "-f", "json"))
    assert (told["model"], told["version"], told["train_terms"][-1], told["test_terms"]) == (
        "risk",
        2,
        "2014B",
        ["2014J"],
    )
    assert [one["week"] for one in told["weeks"]] == [0, 2]
    again = document(cli(*TRAIN, "--weeks", "2,0", "-f", "json"))
    assert (again["already_trained"], again["version"]) == (True, 2)
    assert (risky / "models/risk/2/card.md").is_file()
    shown = cli("models", "show", "risk@2")
    assert shown.exit_code == 0


def test_a_dry_run_of_each_changes_nothing(cli: Any, risky: Path, every_byte: Bytes) -> None:
    changed(risky, "UPDATE core.enrollment SET credits = 1")
    before = every_byte(risky)
    for words in ((*TRAIN, "--weeks", "2"), (*TRAIN, "--backtest"), ("score",), ("explain",)):
        told = document(cli(*words, "-n", "-f", "json"))
        assert told["plan"]
        assert not any(value for name, value in told.items() if name.startswith("already"))
    assert every_byte(risky) == before


@pytest.mark.parametrize("weeks", ["x", "1,-2", "61", "2.5"])
def test_a_week_that_is_none_is_refused(cli: Any, told: Told, weeks: str) -> None:
    done = cli(*TRAIN, f"--weeks={weeks}")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--weeks" in told(done.stderr).error


@pytest.mark.parametrize(
    "flag", [("--backtest",), ("--prove",), ("--weeks", "1"), ("--train-terms", "x"), ("--test-terms", "x")]
)
def test_flags_of_the_risk_model_are_refused_elsewhere(cli: Any, told: Told, flag: tuple[str, ...]) -> None:
    done = cli("train", "local", *flag)
    assert done.exit_code == 2
    assert f"`{flag[0]}`" in told(done.stderr).error


def test_terms_that_overlap_or_are_unknown_are_refused(cli: Any, risky: Path, told: Told) -> None:
    same = cli(*TRAIN, "--train-terms", "2013J,2014B", "--test-terms", "2014B")
    assert same.exit_code == 2
    assert "2014B" in told(same.stderr).error
    near = cli(*TRAIN, "--test-terms", "2014K")
    assert near.exit_code == 2
    assert "2014" in told(near.stderr).hint
    assert risky.is_dir()


def test_too_few_enrolments_end_with_exit_code_4(cli: Any, risky: Path, told: Told) -> None:
    changed(risky, "DELETE FROM core.enrollment WHERE enrollment_id % 20 <> 0")
    done = cli(*TRAIN, "--weeks", "2", "--no-progress")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "too few" in told(done.stderr).error


def test_the_backtest_is_a_table_and_a_document(cli: Any, risky: Path) -> None:
    told = document(cli(*TRAIN, "--backtest", "--weeks", "0,2", "-f", "json"))
    assert [one["week"] for one in told["weeks"]] == [0, 2]
    for one in told["weeks"]:
        assert 0 <= one["intervals"]["auc"][0] <= one["auc"] <= one["intervals"]["auc"][1] <= 1
    shown = cli(*TRAIN, "--backtest", "--weeks", "0,2")
    assert "auc without demographics" in shown.stdout
    assert "already done" in shown.stderr
    assert len(rows(risky, "SELECT DISTINCT week FROM ml.backtest")) == 2


def test_the_proof_holds_and_says_so(cli: Any, risky: Path, every_byte: Bytes) -> None:
    before = every_byte(risky)
    done = cli(*TRAIN, "--prove", "-f", "json")
    told = document(done)
    assert told["holds"] is True
    assert all(one["predictions"] > 50 and one["changed"] == 0 for one in told["weeks"])
    assert "not one bit" in done.stderr
    assert every_byte(risky) == before


def test_the_proof_fails_with_exit_code_1_when_a_query_looks_a_week_ahead(
    cli: Any, risky: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    original = features._query
    monkeypatch.setattr(
        features, "_query", lambda name: original(name).replace("w.week <= $week", "w.week <= $week + 1")
    )
    done = cli(*TRAIN, "--prove", "-f", "json", "--no-progress")
    found = document(done, code=1)
    assert found["holds"] is False
    assert sum(one["changed"] for one in found["weeks"]) > 50
    assert "depend on what came after" in told(done.stderr).error
    assert risky.is_dir()


def test_the_proof_and_the_scoring_need_a_model(cli: Any, workspace: Path, told: Told) -> None:
    loaded(workspace)
    for words in ((*TRAIN, "--prove"), ("score",)):
        done = cli(*words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "risk" in told(done.stderr).error


def test_scoring_without_an_input_is_of_the_current_enrolments(cli: Any, risky: Path) -> None:
    changed(risky, "SELECT 1")
    first, again = (document(cli("score", "-f", "json")) for _ in range(2))
    assert (first["already_scored"], again["already_scored"]) == (False, True)
    assert first["run_id"] == again["run_id"]
    assert first["scored"] == sum(first["decisions"].values()) == again["scored"]
    assert first["outputs"] == ["outputs/predictions_latest.csv", "outputs/metrics_latest.json"]
    assert again["gone"] == rows(risky, "SELECT sum(gone) FROM ml.population WHERE week = 4")[0][0]
    assert "already scored" in cli("score").stderr


def test_the_strongest_features_are_told_and_kept(cli: Any, risky: Path) -> None:
    told = document(cli("explain", "-f", "json"))
    assert told["outputs"] == ["outputs/shap_top_features.json", "outputs/shap_summary.png"]
    assert all((risky / path).is_file() for path in told["outputs"])
    shown = cli("explain", "--top", "3")
    assert len(shown.stdout.splitlines()) == 4
    assert "the strongest 3 of" in shown.stderr
    assert "already explained" in shown.stderr


def test_one_student_is_explained_in_words(cli: Any, risky: Path) -> None:
    shown = cli("explain", "--student", CANARY)
    assert shown.exit_code == 0
    assert "risk of not passing" in shown.stdout
    assert "to talk about:" in shown.stdout
    assert "_" not in shown.stdout, "words, not the names of columns"
    told = document(cli("explain", "--student", CANARY, "-f", "json"))
    probability = rows(risky, f"SELECT probability FROM ml.prediction WHERE week = 4 AND student_id = '{CANARY}'")  # noqa: S608
    assert {one["probability"] for one in told["courses"]} == {value for (value,) in probability}


def test_several_students_are_one_document(cli: Any, risky: Path) -> None:
    newest = rows(risky, "SELECT student_id FROM ml.prediction WHERE week = 4 ORDER BY enrollment_id")
    other = next(name for (name,) in newest if name != CANARY)
    told = document(cli("explain", "--student", CANARY, "--student", other, "-f", "json"))
    assert [one["student"] for one in told["students"]] == [CANARY, other]
    shown = cli("explain", "--student", CANARY, "--student", other)
    assert shown.stdout.count("risk of not passing") >= 2


def test_an_unknown_student_is_refused_and_nobody_else_is_named(cli: Any, risky: Path, told: Told) -> None:
    done = cli("explain", "--student", CANARY[:-1])
    assert (done.exit_code, done.stdout) == (2, "")
    said = told(done.stderr)
    assert CANARY not in said.error + said.hint
    assert risky.is_dir()


def test_a_damaged_model_is_refused_by_every_command(cli: Any, risky: Path) -> None:
    path = risky / "models/risk/1/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    for words in (("score",), ("explain",), (*TRAIN, "--prove")):
        done = cli(*words)
        assert (done.exit_code, done.stdout) != (0, "")
        assert done.exit_code not in (0, 1) or "risk" in done.stderr
        assert "Traceback" not in done.stderr


def test_nobody_is_named_in_logs_models_or_messages(cli: Any, risky: Path) -> None:
    """The files for people hold students' ids; nothing else does."""
    said = ""
    for words in (
        (*TRAIN, "--weeks", "2"),
        (*TRAIN, "--backtest", "--weeks", "2"),
        (*TRAIN, "--prove"),
        ("score", "-v"),
        ("explain",),
        ("models", "show", "risk@2"),
        ("explain", "--student", "nobody"),
        ("verify",),
    ):
        done = cli(*words)
        said += done.stdout + done.stderr
    assert CANARY not in said
    for folder in ("logs", "models"):
        for path in (risky / folder).rglob("*"):
            assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
    assert CANARY in (risky / "outputs/predictions_latest.csv").read_text("utf-8")
    for name in ("outputs/metrics_latest.json", "outputs/shap_top_features.json"):
        assert CANARY not in (risky / name).read_text("utf-8")
    assert context(risky).workspace.root == risky
