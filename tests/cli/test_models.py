"""`ss models`: the registry as people and programs see it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_models import class_metrics, context_of, make_manifest, register, value_metrics

from studentsuccess.errors import UsageError
from studentsuccess.tasks.models import open_model, resolve_model

Bytes = Callable[[Path], dict[str, bytes]]
Told = Callable[[str], Any]
KEY = "a key of thirty-two random bytes"


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]


def production(cli: Any) -> list[str]:
    listed = document(cli("models", "list", "-f", "json"))["models"]
    return [f"{one['name']}@{one['version']}" for one in listed if one["production"]]


@pytest.fixture
def trained(workspace: Path) -> Path:
    """Two versions of `risk`, the first in production, and a regression that nothing was promoted of."""
    context = context_of(workspace)
    register(context, make_manifest(), production=True)
    register(context, make_manifest(version=2, metrics=class_metrics(0.8, 0.5)))
    register(context, make_manifest("grade", task="regression"))
    return workspace


@pytest.mark.parametrize("called", [("models",), ("models", "list")])
def test_without_a_model_the_list_is_empty_and_says_how_to_train(cli: Any, workspace: Path, called: Any) -> None:
    done = cli(*called)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "`ss train local --data FILE --target COLUMN` trains one" in done.stderr
    assert document(cli(*called, "-f", "json")) == {"models": []}
    assert list(workspace.iterdir()) == []


def test_bare_it_lists_and_takes_the_options_of_list(cli: Any, trained: Path) -> None:
    assert cli("models").stdout == cli("models", "list").stdout
    assert cli("models", "-f", "json", "-w", trained).stdout == cli("models", "list", "-f", "json").stdout
    assert cli("models", "-h").stdout.startswith(cli("models", "--help").stdout[:20])
    assert "promote" in cli("models", "-h").stdout


@pytest.mark.usefixtures("trained")
def test_the_list_shows_the_figure_beside_the_best_baseline(cli: Any) -> None:
    rows = list(csv.DictReader(cli("models", "list", "-f", "csv").stdout.splitlines()))
    told = [(one["name"], one["version"], one["in use"], one["figure"], one["value"], one["baseline"]) for one in rows]
    assert told == [
        ("grade", "1", "", "r2", "0.800", "0.750 (ridge)"),
        ("risk", "1", "production", "accuracy", "0.780", "0.770 (logistic)"),
        ("risk", "2", "", "accuracy", "0.800", "0.770 (logistic)"),
    ]
    assert rows[1]["trained at"] == "2025-01-01 10:30 UTC"
    assert (rows[1]["trained on"], rows[1]["held out"], rows[1]["where"]) == ("40", "10", "local")


@pytest.mark.usefixtures("trained")
def test_the_list_is_one_document(cli: Any) -> None:
    grade, first, second = document(cli("models", "list", "-f", "json"))["models"]
    assert (first["name"], first["version"], first["production"]) == ("risk", 1, True)
    assert first["rows"] == {"train": 40, "holdout": 10}
    assert first["metrics"]["log_loss"] == 0.55
    assert first["baseline"]["majority"] == {"accuracy": 0.5, "log_loss": 1.02}
    assert first["where"] == "models/risk/1"
    assert (second["production"], grade["task"], grade["target"]) == (False, "regression", "G3")


def test_reading_changes_no_byte(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained)
    for words in (("list",), ("show", "risk"), ("compare", "risk@1", "risk@2"), ("promote", "risk", "-n")):
        assert cli("models", *words).exit_code == 0
    assert every_byte(trained) == before


def test_show_prints_what_matters(cli: Any, trained: Path) -> None:
    done = cli("models", "show", "risk@1")
    assert (done.exit_code, done.stderr) == (0, "there is a newer version: `risk@2`\n")
    for part in (
        "risk@1 (in production)",
        "Target (classification, incremental)",
        "40 rows of grades",
        "10 rows (20%, by content)",
        "grades.csv, 1,234 bytes, sha256 dddddddddddd…",
        "0.780 (logistic 0.770, majority 0.500)",
        "precision 0.800, recall 0.600, f1 0.700, 4 rows",
        "both (integer, 2 levels): a code or a number: both views",
        "category (label, 2 levels)",
        "ignore (text): it identifies",
        "models/risk/1/weights.safetensors, ",
    ):
        assert part in done.stdout
    assert {name for name in ("feature Straße", "class Graduate", "library numpy") if name in done.stdout} == {
        "feature Straße",
        "class Graduate",
        "library numpy",
    }
    written = json.loads((trained / "models/risk/1/manifest.json").read_bytes())
    expected = written | {"production": True, "where": "models/risk/1"}
    assert document(cli("models", "show", "risk@1", "-f", "json")) == expected


@pytest.mark.usefixtures("trained")
def test_a_regression_is_shown_with_its_interval(cli: Any) -> None:
    shown = cli("models", "show", "grade").stdout
    assert "0.800 (mean 0.000, ridge 0.750)" in shown
    assert "interval_coverage" in shown


def test_a_range_is_told_beside_its_figure(cli: Any, workspace: Path) -> None:
    metrics = class_metrics() | {"intervals": {"accuracy": [0.71, 0.84]}}
    made = make_manifest(metrics=metrics)
    register(context_of(workspace), replace(made, trained=replace(made.trained, dataset="", refit=True)))
    shown = cli("models", "show", "risk").stdout
    assert "0.780, 0.710 to 0.840 with 95% confidence (logistic 0.770, majority 0.500)" in shown
    assert "accuracy_low" not in shown
    assert "40 rows, then on all of them" in shown
    register(context_of(workspace), replace(made, version=2))
    side_by_side = cli("models", "compare", "risk@1", "risk@2").stdout
    assert "macro_f1" in side_by_side
    assert "accuracy_low" not in side_by_side
    assert document(cli("models", "list", "-f", "json"))["models"][0]["metrics"]["accuracy_low"] == 0.71


@pytest.mark.parametrize(
    ("spec", "version"), [("risk", 1), ("risk@2", 2), ("risk@production", 1), ("grade", 1), ("grade@1", 1)]
)
@pytest.mark.usefixtures("trained")
def test_a_model_is_named_by_number_by_alias_or_alone(cli: Any, spec: str, version: int) -> None:
    assert document(cli("models", "show", spec, "-f", "json"))["version"] == version


@pytest.mark.parametrize(
    ("spec", "error", "hint"),
    [
        ("riks", "there is no model `riks`", "did you mean `risk`? `ss models list` shows all"),
        ("zzz", "there is no model `zzz`", "`ss models list` shows all"),
        ("risk@7", "there is no `risk@7`", "the newest are `risk@1`, `risk@2`, and `risk@production`"),
        ("risk@newest", "there is no `risk@newest`", "the newest are `risk@1`, `risk@2`, and `risk@production`"),
        ("risk@01", "there is no `risk@01`", "the newest are `risk@1`, `risk@2`, and `risk@production`"),
        ("grade@production", "no version of `grade` is in production", "choose one: `ss models promote grade@1`"),
    ],
)
@pytest.mark.parametrize("command", ["show", "promote"])
@pytest.mark.usefixtures("trained")
def test_a_model_that_is_not_there_is_named_with_the_nearest(
    cli: Any, command: str, spec: str, error: str, hint: str, told: Told
) -> None:
    done = cli("models", command, spec)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told(done.stderr).error == error
    assert told(done.stderr).hint == hint


@pytest.mark.parametrize("command", ["show", "compare", "promote"])
def test_without_a_model_a_name_leads_to_training(cli: Any, command: str, told: Told) -> None:
    done = cli("models", command, "risk", *(("risk@2",) if command == "compare" else ()))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "none is registered yet" in told(done.stderr).error
    assert "`ss train local" in told(done.stderr).hint


@pytest.mark.usefixtures("trained")
def test_on_the_same_holdout_the_better_one_is_named(cli: Any) -> None:
    found = document(cli("models", "compare", "risk@1", "risk@2", "-f", "json"))
    assert (found["same_holdout"], found["by"], found["winner"]) == (True, "log_loss", "risk@2")
    assert [one["version"] for one in found["models"]] == [1, 2]
    shown = cli("models", "compare", "risk@1", "risk@2").stdout
    assert "evaluated on the same hold-out rows" in shown
    assert "better: risk@2" in shown
    assert "log_loss of majority" in shown


def test_on_other_rows_no_winner_is_named(cli: Any, trained: Path) -> None:
    other = make_manifest(version=3, metrics=class_metrics(0.99, 0.01))
    register(context_of(trained), replace(other, holdout=replace(other.holdout, digest="e" * 64)))
    found = document(cli("models", "compare", "risk@1", "risk@2", "risk@3", "-f", "json"))
    assert (found["same_holdout"], found["winner"]) == (False, None)
    shown = cli("models", "compare", "risk@1", "risk@3").stdout
    assert "they were evaluated on different hold-out rows: no winner can be named" in shown
    assert "better" not in shown


@pytest.mark.parametrize("figures", [class_metrics(0.9, 0.55), {"rows": 10, "accuracy": 0.99}], ids=["equal", "none"])
def test_an_equal_or_unknown_score_makes_no_winner(cli: Any, trained: Path, figures: dict[str, Any]) -> None:
    register(context_of(trained), make_manifest(version=3, metrics=figures))
    found = document(cli("models", "compare", "risk@1", "risk@3", "-f", "json"))
    assert (found["same_holdout"], found["winner"]) == (True, None)


def test_models_without_a_holdout_are_not_on_the_same_one(cli: Any, workspace: Path) -> None:
    for version in (1, 2):
        made = make_manifest(version=version)
        register(context_of(workspace), replace(made, holdout=replace(made.holdout, digest="")))
    assert document(cli("models", "compare", "risk@1", "risk@2", "-f", "json"))["same_holdout"] is False


def test_the_less_error_wins_a_regression(cli: Any, trained: Path) -> None:
    register(context_of(trained), make_manifest("grade", 2, "regression", metrics=value_metrics(0.9, 1.1)))
    found = document(cli("models", "compare", "grade@1", "grade@2", "-f", "json"))
    assert (found["by"], found["winner"]) == ("rmse", "grade@2")


@pytest.mark.usefixtures("trained")
def test_what_predicts_different_things_is_not_ranked(cli: Any) -> None:
    found = document(cli("models", "compare", "risk", "grade", "-f", "json"))
    assert (found["winner"], found["why"]) == (None, "they predict different things: no winner can be named")


@pytest.mark.parametrize("specs", [(), ("risk",), ("risk", "risk@1", "risk@production")])
@pytest.mark.usefixtures("trained")
def test_one_version_is_not_compared_with_itself(cli: Any, specs: tuple[str, ...], told: Told) -> None:
    done = cli("models", "compare", *specs)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "two versions are needed" in told(done.stderr).error


@pytest.mark.usefixtures("trained")
def test_show_alone_shows_what_scores(cli: Any, told: Told) -> None:
    assert document(cli("models", "show", "-f", "json"))["name"] == "risk"
    done = cli("models", "promote")
    assert (done.exit_code, done.stdout) == (2, "")
    assert told(done.stderr).error == "no model is named"


def test_show_alone_without_a_model_leads_to_training(cli: Any, told: Told) -> None:
    done = cli("models", "show")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss train local" in told(done.stderr).hint


def test_promote_moves_production_with_a_line_in_the_ledger(cli: Any, trained: Path) -> None:
    done = document(cli("models", "promote", "risk", "-f", "json"))
    assert (done["model"], done["before"], done["changed"]) == ("risk@2", "risk@1", True)
    assert production(cli) == ["risk@2"]
    last = ledger(trained)[-1]
    assert (last["command"], last["run_id"], last["status"]) == ("models promote", done["run_id"], "done")
    assert last["inputs"][0]["path"] == "models/risk/2/manifest.json"
    assert document(cli("verify", "-f", "json"))["ok"]


@pytest.mark.usefixtures("trained")
def test_promote_back_and_forth_is_each_time_a_move(cli: Any) -> None:
    for version in (2, 1, 2, 1):
        assert document(cli("models", "promote", f"risk@{version}", "-f", "json", "--yes"))["changed"]
        assert production(cli) == [f"risk@{version}"]


def test_a_promotion_by_a_training_in_between_is_undone_by_the_same_command(cli: Any, trained: Path) -> None:
    assert cli("models", "promote", "risk@2").exit_code == 0
    register(context_of(trained), make_manifest(version=3), production=True)
    assert production(cli) == ["risk@3"]
    assert document(cli("models", "promote", "risk@2", "-f", "json"))["changed"]
    assert production(cli) == ["risk@2"]


def test_what_is_in_production_stays_and_is_said(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained)
    done = cli("models", "promote", "risk@1")
    assert done.exit_code == 0
    assert "in production already, nothing changed" in done.stdout
    found = document(cli("models", "promote", "risk@production", "-f", "json"))
    assert (found["changed"], found["run_id"]) == (False, None)
    assert every_byte(trained) == before


def test_a_dry_run_says_what_would_be_and_changes_nothing(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained)
    done = cli("models", "promote", "risk", "-n")
    assert done.exit_code == 0
    assert "would be put into production" in done.stdout
    assert document(cli("models", "promote", "risk", "-n", "-f", "json")) == {
        "model": "risk@2",
        "before": "risk@1",
        "changed": True,
        "run_id": None,
    }
    assert every_byte(trained) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "card.md", "manifest.json"])
@pytest.mark.parametrize("more", [(), ("-n",)], ids=["run", "dry run"])
def test_a_damaged_model_is_not_promoted(cli: Any, trained: Path, name: str, more: tuple[str, ...], told: Told) -> None:
    path = trained / "models/risk/2" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    done = cli("models", "promote", "risk@2", *more)
    assert (done.exit_code, done.stdout) == (4, "")
    assert name in told(done.stderr).error
    assert "`ss verify`" in told(done.stderr).hint
    assert production(cli) == ["risk@1"]
    assert document(cli("verify", "-f", "json"), 4)["damage"] > 0


def test_a_folder_put_in_place_of_another_is_refused(cli: Any, trained: Path, told: Told) -> None:
    for path in (trained / "models/risk/1").iterdir():
        (trained / "models/risk/2" / path.name).write_bytes(path.read_bytes())
    done = cli("models", "show", "risk@2")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "is not the one that was registered" in told(done.stderr).error


def test_with_a_key_unsigned_and_foreign_models_are_refused(cli: Any, workspace: Path, told: Told) -> None:
    register(context_of(workspace), make_manifest())
    register(context_of(workspace, {"SS_TRAIN__SIGNING_KEY": KEY}), make_manifest(version=2))
    env = {"SS_TRAIN__SIGNING_KEY": KEY}
    assert cli("models", "show", "risk@2", env=env).exit_code == 0
    assert cli("models", "show", "risk@2").exit_code == 0
    done = cli("models", "promote", "risk@1", env=env)
    assert (done.exit_code, done.stdout) == (4, "")
    assert "unsigned" in told(done.stderr).error
    done = cli("models", "show", "risk@2", env={"SS_TRAIN__SIGNING_KEY": KEY[::-1]})
    assert (done.exit_code, done.stdout) == (4, "")
    assert KEY[::-1] not in done.stderr


def test_a_short_key_is_refused_without_being_shown(cli: Any, told: Told) -> None:
    done = cli("models", env={"SS_TRAIN__SIGNING_KEY": "tooshort"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert "at least 16 characters" in told(done.stderr).error
    assert "tooshort" not in done.stderr


@pytest.mark.posix
def test_promote_while_another_holds_the_warehouse_is_busy(cli: Any, trained: Path, told: Told) -> None:
    from studentsuccess.core.locks import hold

    with hold(trained / "warehouse.lock", "etl"):
        done = cli("models", "promote", "risk@2")
    assert (done.exit_code, done.stdout) == (5, "")
    assert str(os.getpid()) in told(done.stderr).error
    assert production(cli) == ["risk@1"]


def test_columns_from_data_move_no_cursor(cli: Any, workspace: Path) -> None:
    made = make_manifest(target="\x1b[2Jgrade\nss: error: forged")
    register(context_of(workspace), made)
    for words in (("list",), ("show", "risk"), ("show", "risk", "-f", "json")):
        done = cli("models", *words)
        assert "\x1b" not in done.stdout
        assert "\nss: error" not in done.stdout + done.stderr


def test_a_command_without_a_name_means_production_of_the_model_trained_last(trained: Path) -> None:
    context = context_of(trained)
    register(context, make_manifest("enrolments", 9, algorithm="risk"), production=True)
    assert resolve_model(None, context.workspace, context.limits).label == "risk@1"
    register(context, make_manifest("grade", 5, "regression"))
    with pytest.raises(UsageError, match="no version of `grade` is in production"):
        resolve_model(None, context.workspace, context.limits)
    assert resolve_model("grade", context.workspace, context.limits).label == "grade@5"
    register(context, make_manifest("grade", 6, "regression"), production=True)
    assert resolve_model(None, context.workspace, context.limits).label == "grade@6"
    assert resolve_model("risk@2", context.workspace, context.limits).label == "risk@2"


def test_a_command_without_any_model_leads_to_training(workspace: Path) -> None:
    context = context_of(workspace)
    with pytest.raises(UsageError, match="no model is registered yet"):
        resolve_model(None, context.workspace, context.limits)


def test_an_opened_model_is_the_registered_one(trained: Path) -> None:
    context = context_of(trained)
    kept = open_model(context, resolve_model("risk@2", context.workspace, context.limits))
    assert kept.manifest.label == "risk@2"
    assert set(kept.files) == {"weights.safetensors", "card.md"}
