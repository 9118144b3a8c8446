"""`ss roi`: fed by the model and by the experiment, and silent about nothing that it does not know."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import context_of
from made_trials import a_trial, score, spread

from studentsuccess.core.reporter import SilentReporter

TABLE, PICTURE = "reports/roi_sensitivity.csv", "reports/roi_sensitivity.png"
Told = Callable[[str], Any]


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def simulated(cli: Any, workspace: Path) -> Path:
    score(workspace, spread(200))
    assert cli("experiment").exit_code == 0
    return workspace


def test_before_an_experiment_the_step_is_named(cli: Any, workspace: Path, told: Told) -> None:
    score(workspace, spread(200))
    done = cli("roi")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss experiment`" in told(done.stderr).hint


@pytest.mark.usefixtures("simulated")
def test_the_grid_is_the_models_passes_and_the_experiments_interval(cli: Any) -> None:
    experiment = document(cli("experiment", "-f", "json"))["scenarios"]
    told = document(cli("roi", "-f", "json"))
    passes = float((1 - np.linspace(0.05, 0.95, 200)[-50:]).sum())
    assert (told["contacted"], told["value_per_pass"]) == (50, 1200)
    assert told["expected_passes"] == pytest.approx(passes)
    cells = {(one["uplift_scenario"], one["cost_per_contact"]): one for one in told["grid"]}
    assert sorted({cost for _, cost in cells}) == [15, 37.5, 75, 150, 300]
    for scenario in experiment:
        uplift = scenario["uplift_scenario"]
        low, high = scenario["simulated"]
        cell = cells[uplift, 150]
        assert cell["roi"]["mid"] == pytest.approx(50 * uplift * 1200 - 150 * 50)
        assert cell["roi"]["low"] == pytest.approx(max(50 * low, -passes) * 1200 - 7500)
        assert cell["roi"]["high"] == pytest.approx(50 * high * 1200 - 7500)
        assert cell["intervention_cost"] == 7500
    assert [one["cost_per_contact"] for one in told["break_even"]] == pytest.approx([36, 60, 96])
    assert "a plan, not evidence" in told["note"]


def test_the_table_and_the_picture_are_there(cli: Any, simulated: Path) -> None:
    done = cli("roi")
    assert done.exit_code == 0
    assert "a plan, not evidence" in done.stderr
    rows = list(csv.DictReader((simulated / TABLE).read_text("utf-8").splitlines()))
    assert len(rows) == 15
    assert (simulated / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert cli("verify").exit_code == 0


def test_the_second_run_changes_nothing(cli: Any, simulated: Path) -> None:
    first = document(cli("roi", "-f", "json"))
    before = [(simulated / name).read_bytes() for name in (TABLE, PICTURE)]
    again = cli("roi", "-f", "json")
    assert "already computed by run" in again.stderr
    assert document(again) == first | {"already_done": True}
    assert [(simulated / name).read_bytes() for name in (TABLE, PICTURE)] == before
    cli("roi", "--intervention-cost", "20")
    assert (simulated / TABLE).read_bytes() != before[0]
    cli("roi")
    assert [(simulated / name).read_bytes() for name in (TABLE, PICTURE)] == before


def test_a_dry_run_shows_the_grid_and_changes_no_byte(
    cli: Any, simulated: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(simulated)
    told = document(cli("roi", "-n", "-f", "json"))
    assert told["run_id"] is None
    assert [Path(one).name for one in told["writes"]] == [Path(TABLE).name, Path(PICTURE).name]
    assert len(told["grid"]) == 15
    assert every_byte(simulated) == before


@pytest.mark.usefixtures("simulated")
def test_the_users_own_costs_and_worth_are_used(cli: Any) -> None:
    told = document(cli("roi", "--set", "roi.costs=10,40", "--value-per-pass", "2000", "-f", "json"))
    assert sorted({one["cost_per_contact"] for one in told["grid"]}) == [10, 40]
    assert [one["cost_per_contact"] for one in told["break_even"]] == pytest.approx([60, 100, 160])


def test_a_real_trial_stands_beside_the_scenarios(cli: Any, simulated: Path) -> None:
    cli("experiment", "analyze", a_trial(simulated / "t.csv", [("treatment", 56, 70), ("control", 48, 80)]))
    trial = document(cli("roi", "-f", "json"))["break_even"][-1]
    assert (trial["kind"], trial["name"]) == ("trial", "t")
    assert trial["cost_per_contact"] == pytest.approx(0.2 * 1200)
    assert trial["low"] == pytest.approx(0.0524 * 1200, abs=0.1)


def test_worthless_passes_never_pay(cli: Any, simulated: Path) -> None:
    done = cli("roi", "--value-per-pass", "0", "--intervention-cost", "0")
    assert done.exit_code == 0
    assert "never" in done.stdout
    text = (simulated / TABLE).read_text("utf-8")
    assert "inf" not in text
    assert "nan" not in text


@pytest.mark.parametrize("flag", ["--intervention-cost", "--value-per-pass"])
@pytest.mark.parametrize("wrong", ["nan", "-1", "inf"])
def test_an_amount_that_is_none_is_refused(cli: Any, simulated: Path, flag: str, wrong: str, told: Told) -> None:
    done = cli("roi", f"{flag}={wrong}")
    assert (done.exit_code, done.stdout) == (2, "")
    assert flag in told(done.stderr).error
    assert not (simulated / TABLE).exists()


def test_an_old_simulation_is_told(cli: Any, simulated: Path) -> None:
    assert "ss: warning" not in cli("roi").stderr
    assert "another number of students" in cli("roi", "--set", "experiment.top_k=30").stderr
    score(simulated, spread(150))
    assert "of an earlier scoring" in cli("roi").stderr
    cli("experiment")
    assert "ss: warning" not in cli("roi").stderr


def test_the_gist_of_both_steps_is_one_line_each(simulated: Path) -> None:
    from studentsuccess.tasks import experiment, roi

    context = context_of(simulated)
    told = experiment.run(experiment.plan(context), SilentReporter())
    needed = next(one.needed_per_arm for one in told.scenarios if one.uplift_scenario == 0.05)
    assert told.words() == f"needs {needed:,} students per arm to see 5 points (simulation)"
    for _ in range(2):
        assert roi.run(roi.plan(context), SilentReporter()).words() == "breaks even at 60 per contact (+5 points)"
