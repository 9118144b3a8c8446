"""`ss run`: the steps in their order, each once; killed and gone on with; the demo and its truth."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_risk import rows

Told = Callable[[str], Any]
Bytes = Callable[[Path], dict[str, bytes]]
SMALL = ("--set", "etl.demo_students=400", "--set", "etl.demo_weeks=20", "--set", "experiment.bootstraps=200")
RUN = ("run", *SMALL, "--week", "4", "-f", "json")
DEMO = (*RUN, "--demo")
STEPS = ["etl", "train", "score", "explain", "marts", "alerts", "experiment", "roi", "report"]
TABLES = ("courses", "assessments", "studentInfo", "studentRegistration", "studentAssessment", "studentVle", "vle")
# In a process of its own: the program, which dies as a step begins.
DIES = """
import os, signal, sys
from studentsuccess.tasks import run
step, *words = sys.argv[1:]
run._WORK = {**run._WORK, step: lambda *_: os.kill(os.getpid(), signal.SIGKILL)}
sys.argv = ["ss", *words]
from studentsuccess.__main__ import main
main()
"""


def environment() -> dict[str, str]:
    """Without what would steer the program."""
    steering = re.compile(
        r"_?SS_.*|CI|[A-Z_]*COLOR[A-Z_]*|PIPELINE_DEMO_MODE|DATABASE_URL|SPLIT_WEEK|[A-Z_]*THRESHOLD[A-Z_]*"
    )
    kept = {name: value for name, value in os.environ.items() if not steering.fullmatch(name)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A workspace after all steps, and what the program said of them."""
    folder = tmp_path_factory.mktemp("whole") / "workspace"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "studentsuccess", *DEMO],
        cwd=folder, env=environment(), capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def ran(whole: tuple[Path, Any], workspace: Path) -> Path:
    return shutil.copytree(whole[0], workspace, dirs_exist_ok=True)


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def committed(workspace: Path) -> list[tuple[str, str]]:
    return [(run, command) for run, command in rows(workspace, "SELECT run_id, command FROM ops.run ORDER BY sequence")]


def ids(told: Any) -> dict[str, str]:
    return {one["step"]: one["run_id"] for one in told["steps"]}


def test_every_step_runs_once_in_its_order_and_the_run_has_an_entry_of_its_own(whole: tuple[Path, Any]) -> None:
    workspace, told = whole
    assert [one["step"] for one in told["steps"]] == STEPS
    assert not any(one["repeated"] for one in told["steps"])
    runs = committed(workspace)
    assert [run for run, _ in runs] == [*ids(told).values(), told["run_id"]]
    assert runs[-1][1] == "run"
    ledger = [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]
    children = [fact["path"] for fact in ledger[-1]["inputs"]]
    assert children == [f"run:{step}:{run}" for step, run in ids(told).items()]
    assert (workspace / told["report"]).is_file()
    for name in (
        "outputs/predictions_latest.csv", "outputs/metrics_latest.json", "outputs/shap_top_features.json",
        "outputs/shap_summary.png", "outputs/marts/student_risk_latest.csv", "outputs/alerts/alert_latest.md",
        "outputs/experiments/assignment_latest.csv", "reports/ab_test_report.md", "reports/roi_sensitivity.csv",
        "reports/executive_summary.md",
    ):  # fmt: skip
        assert (workspace / name).is_file(), name


def test_the_demo_tells_how_near_it_came_to_its_truth(whole: tuple[Path, Any]) -> None:
    workspace, told = whole
    assert told["demo"] is True
    assert "known truth" in told["truth"]
    letters = list((workspace / "inputs/dlq").glob("*.csv"))
    planted = (workspace / "inputs/demo/truth/dirty_rows.csv").read_text("utf-8").splitlines()[1:]
    assert sum(len(path.read_text("utf-8").splitlines()) - 1 for path in letters) == len(planted) > 0


def test_a_second_run_repeats_nothing_and_changes_nothing(cli: Any, ran: Path, whole: tuple[Path, Any]) -> None:
    before, files = committed(ran), _artifacts(ran)
    told = document(cli(*DEMO))
    assert all(one["repeated"] for one in told["steps"])
    assert ids(told) == ids(whole[1])
    assert told["run_id"] == whole[1]["run_id"]
    assert committed(ran) == before
    assert _artifacts(ran) == files
    assert document(cli("verify", "-f", "json"))["ok"]


def _artifacts(workspace: Path) -> dict[str, bytes]:
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for folder in ("outputs", "reports", "models", "inputs")
        for path in sorted((workspace / folder).rglob("*"))
        if path.is_file()
    }


def test_part_of_the_way_by_from_and_until(cli: Any, ran: Path, told: Told) -> None:
    found = document(cli(*DEMO, "--from", "score", "--until", "marts"))
    assert [one["step"] for one in found["steps"]] == ["score", "explain", "marts"]
    wrong = cli("run", "--from", "marts", "--until", "score")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "--from marts" in told(wrong.stderr).error
    assert ran.is_dir()


@pytest.mark.posix
@pytest.mark.parametrize(
    ("step", "last"),
    [("score", "explain"), *(pytest.param(step, "report", marks=pytest.mark.full) for step in STEPS[1:])],
)
def test_killed_between_steps_it_goes_on_where_it_was(cli: Any, workspace: Path, step: str, last: str) -> None:
    words = (*DEMO, "--until", last)
    killed = subprocess.run(
        [sys.executable, "-c", DIES, step, *words], cwd=workspace, env=environment(), capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    finished, before = committed(workspace), STEPS[: STEPS.index(step)]
    assert len(finished) == len(before)
    told = document(cli(*words))
    assert [one["step"] for one in told["steps"]] == STEPS[: STEPS.index(last) + 1]
    assert [one["step"] for one in told["steps"] if one["repeated"]] == before
    assert [ids(told)[name] for name in before] == [run for run, _ in finished]
    assert document(cli("verify", "-f", "json"))["ok"]


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(cli: Any, workspace: Path, every_byte: Bytes) -> None:
    told = document(cli(*DEMO, "-n"))
    assert told["steps"] == STEPS
    assert every_byte(workspace) == {}


def test_a_dry_run_over_a_finished_workspace_changes_nothing(cli: Any, ran: Path, every_byte: Bytes) -> None:
    before = every_byte(ran)
    assert document(cli(*DEMO, "-n"))["demo"] is True
    assert document(cli("run", "-n", "-f", "json"))["steps"] == STEPS[1:]
    assert every_byte(ran) == before


def test_publishing_comes_last_where_a_database_is_configured(cli: Any, ran: Path, workspace: Path) -> None:
    there = cli("run", "-n", "-f", "json", env={"DATABASE_URL": f"sqlite:///{workspace}/bi.db"})
    assert document(there)["steps"][-1] == "publish"
    assert ran == workspace


def test_without_anything_to_work_on_it_points_to_the_demo(cli: Any, told: Told) -> None:
    done = cli("run")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "ss run --demo" in told(done.stderr).hint


def export(ran: Path, folder: Path, *without: str) -> Path:
    folder.mkdir()
    for name in TABLES:
        if name not in without:
            shutil.copy(ran / f"inputs/demo/{name}.csv", folder)
    return folder


def test_an_export_without_clicks_works_and_says_what_it_lost(
    cli: Any, whole: tuple[Path, Any], workspace: Path
) -> None:
    folder = export(whole[0], workspace / "exports", "studentVle")
    done = cli(*RUN, "--input", folder)
    told = document(done)
    assert [one["step"] for one in told["steps"]] == STEPS
    assert any("studentVle is missing" in note for note in told["notes"])
    assert any("no clicks" in note for note in told["notes"])
    assert "no clicks" in done.stderr
    assert told["truth"] == ""


@pytest.mark.parametrize("missing", ["studentInfo", "courses"])
def test_what_an_export_lacks_is_said_before_anything_is_done(
    cli: Any, whole: tuple[Path, Any], workspace: Path, missing: str, every_byte: Bytes
) -> None:
    folder = export(whole[0], workspace / "exports", missing)
    before = every_byte(workspace)
    dry, wet = cli("run", "--input", folder, "-n"), cli("run", "--input", folder)
    assert dry.exit_code == wet.exit_code == 4
    assert missing in dry.stderr
    assert every_byte(workspace) == before


def test_the_demo_is_never_made_of_real_students(
    cli: Any, whole: tuple[Path, Any], workspace: Path, told: Told, every_byte: Bytes
) -> None:
    folder = export(whole[0], workspace / "exports")
    assert cli("etl", folder).exit_code == 0
    before = every_byte(workspace)
    for words in (DEMO, (*DEMO, "--from", "train"), (*DEMO, "-n")):
        done = cli(*words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "-w demo" in told(done.stderr).hint
    assert every_byte(workspace) == before


def test_the_demo_does_not_look_at_files_that_lie_around(cli: Any, whole: tuple[Path, Any], workspace: Path) -> None:
    export(whole[0], workspace / "exports")
    shutil.copy(whole[0] / "inputs/demo/studentInfo.csv", workspace)
    assert cli(*DEMO, "--until", "etl").exit_code == 0
    ledger = json.loads((workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()[0])
    assert {fact["path"] for fact in ledger["inputs"]} == {f"inputs/demo/{name}.csv" for name in TABLES}


def test_an_input_that_nobody_would_read_is_refused(
    cli: Any, whole: tuple[Path, Any], workspace: Path, told: Told
) -> None:
    folder = export(whole[0], workspace / "exports")
    for words in (("--demo",), ("--from", "train")):
        done = cli("run", "--input", folder, *words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "--input" in told(done.stderr).error


def test_an_error_in_a_step_says_how_to_go_on(cli: Any, ran: Path, told: Told) -> None:
    shutil.rmtree(ran / "models")
    done = cli("run", "--from", "score", "--until", "score", "--no-progress")
    assert done.exit_code not in (0, 130)
    assert "go on with `ss run --from score`" in told(done.stderr).hint


def test_every_step_has_its_line_as_it_ends(cli: Any, ran: Path) -> None:
    done = cli("run", "--demo", *SMALL, "--week", "4")
    lines = [line.split()[0] for line in done.stderr.splitlines() if line.startswith(" ")]
    assert lines == STEPS
    assert "Yours next:  ss run --input FOLDER" in done.stderr
    assert ran.is_dir()


def _scored(cli: Any, workspace: Path, seed: int, students: int = 3000) -> Any:
    import csv

    told = document(
        cli("run", "--demo", "--until", "explain", "-w", workspace, "-f", "json",
            "--set", f"etl.demo_students={students}", "--set", f"etl.seed={seed}")
    )  # fmt: skip
    with (workspace / "inputs/demo/truth/true_probability.csv").open(encoding="utf-8", newline="") as source:
        truth = {
            (f"{row['code_module']}-{row['code_presentation']}", row["id_student"]): float(row["p_at_risk_week_8"])
            for row in csv.DictReader(source)
            if row["p_at_risk_week_8"]
        }
    found = rows(workspace, "SELECT course_run_id, student_id, probability FROM ml.prediction WHERE week = 8")
    return told, [(probability, truth[run, student]) for run, student, probability in found]


@pytest.mark.full
@pytest.mark.parametrize("seed", [7, 1001, 20260101])
def test_predictions_come_near_the_true_probabilities_for_any_seed(cli: Any, tmp_path: Path, seed: int) -> None:
    told, pairs = _scored(cli, tmp_path / "demo", seed)
    assert len(pairs) > 700
    apart = [found - real for found, real in pairs]
    assert abs(sum(apart)) / len(apart) < 0.04
    assert sum(map(abs, apart)) / len(apart) < 0.16
    assert "3 of 3 planted effects found" in told["truth"]


@pytest.mark.full
def test_two_runs_leave_identical_marts(cli: Any, whole: tuple[Path, Any], workspace: Path) -> None:
    """But for what names the run: its id and its clock."""
    document(cli(*DEMO))
    for name in ("student_risk_daily", "course_summary_daily"):
        described = rows(workspace, f"DESCRIBE mart.{name}")
        columns = [row[0] for row in described if row[0] == "run_date" or not row[0].startswith("run_")]
        query = f"SELECT {', '.join(columns)} FROM mart.{name} ORDER BY ALL"  # noqa: S608 - names of ours
        assert "run_date" in columns
        assert rows(workspace, query) == rows(whole[0], query)


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_with_too_little_memory_it_says_what_it_needs_and_begins_nothing(
    cli: Any, workspace: Path, told: Callable[[str], Any], how: tuple[str, ...]
) -> None:
    done = cli("run", "--demo", "--set", "budget.memory=384MB", *how)
    assert (done.exit_code, done.stdout) == (1, "")
    assert told(done.stderr).error.startswith("the whole way needs 480 MB of memory or more, and 384 MB are there")
    assert list(workspace.iterdir()) == []
