"""`ss experiment`: a plan that says it is one, sizes, and a real trial's file with all that can be wrong with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from made_trials import Risk, a_trial, score, spread, write_rows

FILES = ("outputs/experiments/assignment_latest.csv", "reports/ab_test_report.md")
FACTS = [
    "run_ts", "uplift_scenario", "control_rate", "treatment_rate", "rate_diff", "p_value", "ci_low", "ci_high",
]  # fmt: skip
Told = Callable[[str], Any]
Bytes = Callable[[Path], dict[str, bytes]]


def rows(workspace: Path) -> list[dict[str, Any]]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT * FROM mart.experiment_results ORDER BY kind, name, uplift_scenario")
        names = [one[0] for one in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def scored(workspace: Path) -> Path:
    score(workspace, spread(200))
    return workspace


def test_the_rows_have_the_columns_that_bi_users_bind_to(cli: Any, scored: Path) -> None:
    told = document(cli("experiment", "-f", "json"))
    found = rows(scored)
    assert list(found[0])[:8] == FACTS
    assert [row["uplift_scenario"] for row in found] == [0.03, 0.05, 0.08]
    chosen = np.sort(np.linspace(0.05, 0.95, 200))[-50:]
    for row, one in zip(found, told["scenarios"], strict=True):
        assert row["control_rate"] == pytest.approx(1 - chosen.mean())
        assert row["treatment_rate"] == pytest.approx(row["control_rate"] + row["uplift_scenario"])
        assert row["rate_diff"] == row["uplift_scenario"]
        assert row["ci_low"] < row["rate_diff"] < row["ci_high"]
        assert row["boot_low"] <= row["rate_diff"] <= row["boot_high"]
        assert (row["kind"], row["n_control"], row["n_treatment"]) == ("simulation", 25, 25)
        assert row["run_id"] == told["run_id"]
        assert one["p_value"] == row["p_value"]


def test_bare_it_simulates(cli: Any, scored: Path) -> None:
    bare, named = cli("experiment", "-n"), cli("experiment", "simulate", "-n")
    assert bare.exit_code == 0
    assert bare.stdout == named.stdout
    assert cli("experiment", "-h").stdout != cli("experiment", "simulate", "-h").stdout
    assert not (scored / "outputs").exists()


def test_every_page_says_that_it_is_a_plan(cli: Any, scored: Path) -> None:
    from studentsuccess.cli.experiment import PLAN_NOT_EVIDENCE
    from studentsuccess.insights import experiment_report

    assert experiment_report.PLAN_NOT_EVIDENCE.rstrip(".").casefold() == PLAN_NOT_EVIDENCE.casefold()
    assert PLAN_NOT_EVIDENCE in cli("experiment").stderr
    assert document(cli("experiment", "-f", "json"))["note"] == PLAN_NOT_EVIDENCE
    assert "a plan, not evidence" in (scored / FILES[1]).read_text("utf-8")


def test_the_assignment_is_half_by_lot_of_those_at_the_highest_risk(cli: Any, scored: Path) -> None:
    cli("experiment", "--top-k", "20")
    found = list(csv.DictReader((scored / FILES[0]).read_text("utf-8").splitlines()))
    assert list(found[0]) == ["id_student", "arm", "risk_score", "code_module", "code_presentation", "week"]
    assert [row["id_student"] for row in found] == [f"s{place}" for place in range(199, 179, -1)]
    assert sum(row["arm"] == "treatment" for row in found) == 10
    assert {(row["code_module"], row["code_presentation"], row["week"]) for row in found} == {("AAA", "2014J", "8")}


def test_the_second_run_changes_nothing_and_shows_the_same(cli: Any, scored: Path) -> None:
    first = cli("experiment", "-f", "json")
    before, files = rows(scored), [(scored / name).read_bytes() for name in FILES]
    again = cli("experiment", "-f", "json")
    assert "already simulated by run" in again.stderr
    assert document(again) == document(first) | {"already_done": True}
    assert rows(scored) == before
    assert [(scored / name).read_bytes() for name in FILES] == files


def test_a_scoring_with_the_same_risks_is_the_same_simulation(cli: Any, scored: Path) -> None:
    cli("experiment")
    before = rows(scored)
    score(scored, spread(200))
    assert document(cli("experiment", "-f", "json"))["already_done"]
    assert rows(scored) == before


def test_the_newest_simulation_takes_the_place_of_the_last(cli: Any, scored: Path) -> None:
    cli("experiment")
    cli("experiment", "--set", "experiment.uplifts=0.1", "--top-k", "30")
    assert [(row["uplift_scenario"], row["n_control"]) for row in rows(scored)] == [(0.1, 15)]
    score(scored, spread(200, 0.3, 0.6))
    cli("experiment", "--set", "experiment.uplifts=0.1", "--top-k", "30")
    (row,) = rows(scored)
    assert row["control_rate"] == pytest.approx(0.4 + 0.3 * 14.5 / 199)


def test_a_deleted_file_is_made_again_to_the_byte(cli: Any, scored: Path) -> None:
    cli("experiment")
    for name in FILES:
        content = (scored / name).read_bytes()
        (scored / name).unlink()
        assert cli("experiment").exit_code == 0
        assert (scored / name).read_bytes() == content


def test_each_student_is_in_once_in_the_newest_week_and_never_one_that_was_learned_from(
    cli: Any, workspace: Path
) -> None:
    score(
        workspace,
        [
            Risk("twice", 0.6),
            Risk("twice", 0.9, run="BBB 2014J"),
            Risk("early", 0.99, week=7),
            Risk("early", 0.2),
            Risk("known", 0.95, out_of_sample=False),
            Risk("late", 0.7, week=5, run="CCC 2014J"),
        ],
    )
    done = cli("experiment", "--set", "experiment.uplifts=0.05")
    assert done.exit_code == 0, done.stderr
    found = list(csv.DictReader((workspace / FILES[0]).read_text("utf-8").splitlines()))
    assert [(row["id_student"], row["code_module"], row["risk_score"], row["week"]) for row in found] == [
        ("twice", "BBB", "0.900000", "8"),
        ("late", "CCC", "0.700000", "5"),
        ("early", "AAA", "0.200000", "8"),
    ]


def test_more_than_there_are_and_an_odd_number_are_said(cli: Any, workspace: Path) -> None:
    score(workspace, spread(21))
    done = cli("experiment")
    assert done.exit_code == 0
    assert "50 students were asked for and 21 are scored: all of them are in (`--top-k 21`" in done.stderr
    assert "21 students can't be halved" in done.stderr
    assert "can't be halved" in (workspace / FILES[1]).read_text("utf-8")


def test_a_lone_student_is_no_trial(cli: Any, workspace: Path, told: Told) -> None:
    score(workspace, [Risk("only", 0.5)])
    done = cli("experiment")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "a student in each arm" in told(done.stderr).error


@pytest.mark.parametrize(
    "call", [("experiment",), ("experiment", "simulate", "-n"), ("experiment", "design"), ("roi",)]
)
def test_before_a_scoring_the_step_is_named(cli: Any, workspace: Path, call: tuple[str, ...], told: Told) -> None:
    done = cli(*call)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss score`" in told(done.stderr).hint
    assert list(workspace.iterdir()) == []


def test_risks_of_students_that_were_learned_from_are_refused(cli: Any, workspace: Path, told: Told) -> None:
    score(workspace, [Risk(f"s{place}", 0.5, out_of_sample=False) for place in range(10)])
    done = cli("experiment")
    assert done.exit_code == 2
    assert "learned from" in told(done.stderr).error


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("experiment.uplifts=0.9", "no uplift of 0.9 is possible"),
        ("experiment.uplifts=1.2", "experiment.uplifts"),
        ("experiment.uplifts=nan", "experiment.uplifts"),
        ("experiment.top_k=1", "experiment.top_k"),
        ("experiment.alpha=0", "experiment.alpha"),
    ],
)
def test_settings_that_cannot_be_are_refused(cli: Any, scored: Path, setting: str, names: str, told: Told) -> None:
    done = cli("experiment", "--set", setting)
    assert (done.exit_code, done.stdout) == (2, "")
    assert names in told(done.stderr).error
    assert not (scored / "reports").exists()


def test_a_dry_run_changes_no_byte(cli: Any, scored: Path, every_byte: Bytes) -> None:
    trial = a_trial(scored / "trial.csv", [("treatment", 40, 60), ("control", 30, 60)])
    before = every_byte(scored)
    plan = document(cli("experiment", "-n", "-f", "json"))
    assert plan["arms"] == {"treatment": 25, "control": 25}
    shown = document(cli("experiment", "analyze", trial, "-n", "-f", "json"))
    assert (shown["recorded"], shown["run_id"]) == (False, None)
    assert every_byte(scored) == before


def test_a_student_named_like_a_formula_stays_text(cli: Any, workspace: Path) -> None:
    score(workspace, [Risk("=cmd|' /C calc'!A0", 0.9), Risk("+49", 0.8), Risk("plain", 0.7), Risk("-1", 0.6)])
    cli("experiment")
    text = (workspace / FILES[0]).read_text("utf-8")
    assert [row["id_student"] for row in csv.DictReader(text.splitlines())] == [
        "'=cmd|' /C calc'!A0",
        "+49",
        "plain",
        "-1",
    ]


def test_design_says_how_many_it_takes(cli: Any) -> None:
    told = document(cli("experiment", "design", "--base-rate", "0.5", "--uplift", "0.1", "-f", "json"))
    assert told["rows"] == [
        {"uplift": 0.1, "n_per_arm": 388, "power": pytest.approx(0.801, abs=1e-3), "approximate": False}
    ]
    assert told["base_rate_from"] == "as given"


def test_design_says_what_so_many_can_prove(cli: Any) -> None:
    told = document(cli("experiment", "design", "--base-rate", "0.5", "--n", "388", "-f", "json"))
    assert told["smallest"] == {"n_per_arm": 388, "uplift": pytest.approx(0.1, abs=2e-4)}
    assert [row["n_per_arm"] for row in told["rows"]] == [388] * 3
    stricter = document(
        cli(
            "experiment",
            "design",
            "--base-rate",
            "0.5",
            "--n",
            "388",
            "--power",
            "0.9",
            "--alpha",
            "0.01",
            "-f",
            "json",
        )
    )
    assert stricter["smallest"]["uplift"] > 0.13


def test_design_starts_from_the_models_pass_rate(cli: Any, scored: Path, every_byte: Bytes) -> None:
    before = every_byte(scored)
    told = document(cli("experiment", "design", "-f", "json"))
    assert told["base_rate"] == pytest.approx(1 - np.linspace(0.05, 0.95, 200)[-50:].mean())
    assert told["smallest"]["n_per_arm"] == 25
    assert every_byte(scored) == before


@pytest.mark.parametrize(
    "asked",
    [
        ("--base-rate", "nan"),
        ("--base-rate", "1"),
        ("--base-rate", "-0.1"),
        ("--base-rate", "0.9", "--uplift", "0.2"),
        ("--base-rate", "0.5", "--uplift", "0"),
        ("--base-rate", "0.5", "--uplift", "inf"),
        ("--base-rate", "0.5", "--n", "1"),
        ("--base-rate", "0.5", "--n", "99999999999"),
        ("--base-rate", "0.5", "--uplift", "1e-9"),
        ("--base-rate", "0.99"),
        ("--power", "1"),
        ("--alpha", "nan"),
    ],
)
def test_sizes_that_cannot_be_are_refused(cli: Any, asked: tuple[str, ...], told: Told) -> None:
    done = cli("experiment", "design", *asked)
    assert (done.exit_code, done.stdout) == (2, ""), done.stdout
    told(done.stderr)


def test_a_trial_goes_from_the_assignment_to_the_result(cli: Any, scored: Path) -> None:
    """Our own file with a column more comes back: matched, balanced, adjusted, recorded."""
    cli("experiment", "--top-k", "100")
    header, *body = list(csv.reader((scored / FILES[0]).read_text("utf-8").splitlines()))
    chance = np.random.default_rng(2)
    outcomes = [int(chance.random() < 1 - float(row[2]) + 0.3 * (row[1] == "treatment")) for row in body]
    outcomes[5] = ""  # type: ignore[call-overload]
    file = write_rows(
        scored / "autumn.csv", [[*header, "outcome"], *([*row, one] for row, one in zip(body, outcomes, strict=True))]
    )
    done = cli("experiment", "analyze", file, "-f", "json")
    told = document(done)
    assert told["name"] == "autumn"
    assert told["risk_from"] == "the file's risk_score"
    assert told["arms"]["treatment"]["assigned"] == told["arms"]["control"]["assigned"] == 50
    assert sum(arm["known"] for arm in told["arms"].values()) == 99
    for name, arm in told["arms"].items():
        mine = [one for row, one in zip(body, outcomes, strict=True) if row[1] == name and one != ""]
        assert (arm["passed"], arm["known"]) == (sum(mine), len(mine))
    assert told["adjusted"]["students"] == 99
    assert told["balance"]["students"] == 100
    found = {row["kind"]: row for row in rows(scored)}
    assert found["trial"]["rate_diff"] == told["effect"]["difference"]
    assert found["trial"]["adjusted_diff"] == told["adjusted"]["difference"]
    assert (found["trial"]["uplift_scenario"], found["trial"]["name"]) == (None, "autumn")
    assert len(rows(scored)) == 4


def test_ids_find_their_risk_among_the_predictions(cli: Any, scored: Path) -> None:
    body = [(f"s{place}", "AB"[place % 2], place % 3 % 2) for place in range(60)]
    file = write_rows(scored / "t.csv", [("student_id", "group", "passed"), *body, ("stranger", "A", 1)])
    done = cli("experiment", "analyze", file, "--control", "A", "-f", "json")
    told = document(done)
    assert told["columns"] == {"arm": "group", "outcome": "passed", "id": "student_id"}
    assert told["arms"]["control"]["label"] == "a"
    assert told["balance"]["students"] == 60
    assert told["risk_from"] == "the predictions"
    assert "1 of 61 students are not scored" in done.stderr
    assert "if contact began before it" in done.stderr


def test_without_a_warehouse_a_trial_still_has_its_effect(cli: Any, workspace: Path) -> None:
    file = a_trial(workspace / "t.csv", [("treatment", 56, 70), ("control", 48, 80)])
    done = cli("experiment", "analyze", file, "-f", "json")
    told = document(done)
    assert told["effect"]["interval"] == [pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5)]
    assert (told["balance"], told["adjusted"]) == (None, None)
    assert "nobody is scored yet" in done.stderr
    assert len(rows(workspace)) == 1


def test_the_same_trial_again_is_known_and_a_corrected_one_takes_its_place(cli: Any, workspace: Path) -> None:
    file = a_trial(workspace / "t.csv", [("treatment", 56, 70), ("control", 48, 80)])
    first = document(cli("experiment", "analyze", file, "-f", "json"))
    again = cli("experiment", "analyze", file, "-f", "json")
    assert "already recorded" in again.stderr
    assert document(again) == first | {"already_done": True}
    a_trial(workspace / "t.csv", [("treatment", 50, 70), ("control", 48, 80)])
    cli("experiment", "analyze", file)
    assert [row["rate_diff"] for row in rows(workspace)] == [pytest.approx(50 / 70 - 0.6)]
    cli("experiment", "analyze", file, "--trial", "second look")
    assert [row["name"] for row in rows(workspace)] == ["second look", "t"]


@pytest.mark.parametrize(
    ("passed", "failed"), [("1", "0"), ("yes", "No"), ("TRUE", "false"), (" Pass ", "Withdrawn"), ("passed", "failed")]
)
def test_outcomes_are_read_as_people_write_them(cli: Any, workspace: Path, passed: str, failed: str) -> None:
    body = [(place, "treated" if place < 40 else "control", (failed, passed)[place % 4 == 0]) for place in range(80)]
    file = write_rows(workspace / "t.csv", [("id", "arm", "outcome"), *body])
    arms = document(cli("experiment", "analyze", file, "-f", "json"))["arms"]
    assert [(arms[name]["passed"], arms[name]["known"]) for name in ("treatment", "control")] == [(10, 40)] * 2


def test_semicolons_utf16_and_stdin_are_read_too(cli: Any, run_ss: Any, workspace: Path) -> None:
    file = a_trial(workspace / "t.csv", [("treatment", 56, 70), ("control", 48, 80)])
    text = file.read_text("utf-8").replace(",", ";")
    (workspace / "u.csv").write_text(text, "utf-16")
    first = document(cli("experiment", "analyze", file, "-n", "-f", "json"))
    assert document(cli("experiment", "analyze", "u.csv", "-n", "-f", "json"))["effect"] == first["effect"]
    piped = json.loads(run_ss("experiment", "analyze", "-", "-n", "-f", "json", input=text).stdout)
    assert (piped["effect"], piped["name"]) == (first["effect"], "stdin")


def _two_arms(*extra: object) -> list[tuple[object, ...]]:
    return [("id", "arm", "outcome"), *((place, ("treatment", "control")[place % 2], 1) for place in range(8)), *extra]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("made", "code", "says"),
    [
        (_two_arms((8, "control", "maybe")), 4, "line 10: `outcome` is neither passed"),
        (_two_arms((8, "control", "maybe"), (9, "treatment", "x")), 4, "(2 rows like this)"),
        (_two_arms((8, "", 1)), 4, "line 10: `arm` is empty"),
        (_two_arms(("", "control", 1)), 4, "line 10: `id` is empty"),
        (_two_arms((8, "control")), 4, "2 fields, expected 3"),
        (_two_arms((8, "third", 1)), 4, "must hold two arms and holds 3: `control`, `third`, `treatment`"),
        ([("id", "arm", "outcome"), *((place, "control", 1) for place in range(9))], 4, "holds 1: `control`"),
        ([("id", "arm", "outcome"), *((place, f"arm {place}", 1) for place in range(9))], 4, "holds 9"),
        ([("id", "arm", "outcome"), (1, "red", 1), (2, "blue", 0)], 2, "which of `blue` and `red` is the control"),
        (_two_arms((3, "treatment", 1)), 4, "1 ids that stand for two different rows"),
        ([("id", "arm", "outcome"), *((p, ("treatment", "control")[p % 2], (1, "")[p % 2]) for p in range(8))], 4,
         "the control arm is empty"),
        ([("id", "arm", "outcome", "risk_score"), (1, "treatment", 1, 0.5), (2, "control", 0, 1.5)], 4,
         "line 3: `risk_score` is no share from 0 to 1"),
        ([("id", "amr", "outcome"), (1, "treatment", 1)], 2, "there is no column `arm` for `--arm`"),
        ([("id", "arm", "outcome")], 4, "0 data rows"),
    ],
)  # fmt: skip
def test_a_trial_that_cannot_be_read_is_refused_by_line_and_column(
    cli: Any, workspace: Path, made: list[tuple[object, ...]], code: int, says: str, told: Told
) -> None:
    done = cli("experiment", "analyze", write_rows(workspace / "t.csv", made))
    assert (done.exit_code, done.stdout) == (code, ""), done.stdout + done.stderr
    assert says in told(done.stderr).error
    assert not (workspace / "warehouse.duckdb").exists()


def test_a_misspelt_column_suggests_the_nearest(cli: Any, workspace: Path, told: Told) -> None:
    file = a_trial(workspace / "t.csv", [("treatment", 3, 5), ("control", 2, 5)], ("student", "grupe", "ended"))
    said = told(cli("experiment", "analyze", file, "--arm", "gruope", "--outcome", "ended").stderr)
    assert said.hint == "did you mean `--arm grupe`?"
    done = cli("experiment", "analyze", file, "--arm", "grupe", "--outcome", "grupe")
    assert "different columns" in told(done.stderr).error


def test_the_same_row_twice_is_counted_once_and_said(cli: Any, workspace: Path) -> None:
    made = _two_arms((3, "control", 1), (3, "control", 1))
    told = document(cli("experiment", "analyze", write_rows(workspace / "t.csv", made), "-f", "json"))
    assert told["repeats"] == 2
    assert told["arms"]["control"]["assigned"] == 4


def test_no_student_is_named_in_an_error_or_the_ledger(cli: Any, workspace: Path) -> None:
    canary = "Canary-Lovelace"
    for made in (
        _two_arms((canary, "control", canary)),
        _two_arms((canary, "control", 1), (canary, "control", 0)),
        _two_arms((canary, "control", 0)),
    ):
        done = cli("experiment", "analyze", write_rows(workspace / "t.csv", made))
        assert canary not in done.stdout + done.stderr
    score(workspace, [Risk(canary, 0.9), *spread(20)])
    done = cli("experiment", "-v")
    assert canary not in done.stdout + done.stderr + (workspace / FILES[1]).read_text("utf-8")
    assert canary not in (workspace / "logs/ledger.jsonl").read_text("utf-8")


def test_the_ledger_names_the_trials_file_and_verify_agrees(cli: Any, scored: Path) -> None:
    a_trial(scored / "t.csv", [("treatment", 56, 70), ("control", 48, 80)])
    cli("experiment")
    cli("experiment", "analyze", "t.csv")
    simulated, analysed = (
        json.loads(line) for line in (scored / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-2:]
    )
    assert simulated["command"] == "experiment simulate"
    assert sorted(one["path"] for one in simulated["outputs"]) == sorted(FILES)
    assert [one["path"] for one in analysed["inputs"]] == ["t.csv"]
    assert cli("verify").exit_code == 0


def test_a_scoring_that_comes_between_plan_and_run_stops_it(workspace: Path) -> None:
    from made_models import context_of

    from studentsuccess.core.reporter import SilentReporter
    from studentsuccess.errors import BusyError
    from studentsuccess.tasks import experiment as task

    score(workspace, spread(200))
    made = task.plan(context_of(workspace))
    score(workspace, spread(180))
    with pytest.raises(BusyError, match="scored anew meanwhile"):
        task.run(made, SilentReporter())
    assert rows(workspace) == []
    assert not any((workspace / name).exists() for name in FILES)
