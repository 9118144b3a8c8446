"""`ss score` as a process: pipes, one document, signals, a full disk, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained import HEADER, context_of, csv_text, put, registered_copy, students, trained_workspace

from studentsuccess.models.keep import dump_weights, load_weights
from studentsuccess.tasks.models import resolve_model

FRESH = students(80, seed=9)
PATIENCE = 60
posix = pytest.mark.posix
Told = Callable[[str], Any]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_workspace(tmp_path_factory.mktemp("trained"), 200)


@pytest.fixture
def school(once: Path, workspace: Path) -> Path:
    """A workspace with models, and `new.csv` in it; `run_ss` and `cli` start there."""
    shutil.copytree(once, workspace, dirs_exist_ok=True)
    put(workspace / "new.csv", FRESH)
    return workspace


@pytest.fixture
def long(school: Path) -> Path:
    """A file that takes a moment to score, and whose scores fit into no pipe."""
    rows = csv_text(students(2_000, seed=7)).partition("\n")[2]
    file = school / "long.csv"
    file.write_text(",".join(HEADER) + "\n" + rows * 150, "utf-8")
    return file


def shell(clean_env: dict[str, str], folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    env = clean_env | {"SS": f"{sys.executable} -m studentsuccess"}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


# --- streams


def test_a_pipe_a_redirect_and_a_file_have_the_same_bytes(run_ss: Any, school: Path) -> None:
    piped = run_ss("score", "-", "-o", "-", input=(school / "new.csv").read_bytes())
    assert piped.returncode == 0
    assert run_ss("score", "new.csv", "-o", "out.csv").stdout.splitlines()[1].split()[:3] == ["Outcome@1", "80", "80"]
    assert (school / "out.csv").read_text("utf-8") == piped.stdout == run_ss("score", "new.csv", "-o", "-").stdout
    assert [row["student_id"] for row in csv.DictReader(io.StringIO(piped.stdout))] == [row[0] for row in FRESH]
    assert piped.stderr.startswith("run ")
    assert "80 rows scored with Outcome@1 into stdout" in piped.stderr


def test_rows_as_json_are_one_document(cli: Any, school: Path, document: Callable[[str], Any]) -> None:
    rows = document(cli("score", "new.csv", "-o", "-", "-f", "json").stdout)
    assert [row["student_id"] for row in rows] == [row[0] for row in FRESH]
    assert cli("score", "new.csv", "-o", "out.jsonl").exit_code == 0
    assert rows == [json.loads(line) for line in (school / "out.jsonl").read_text("utf-8").splitlines()]


def test_rows_on_stdout_are_no_table(cli: Any, school: Path, told: Told) -> None:
    done = cli("score", "new.csv", "-o", "-", "-f", "table")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`-f csv`" in told(done.stderr).hint
    assert not (school / "outputs").exists()


def test_a_refusal_leaves_stdout_empty_also_as_json(cli: Any, school: Path, told: Told) -> None:
    put(school / "less.csv", [row[:3] for row in FRESH], HEADER[:3])
    for shape in ("csv", "json"):
        done = cli("score", "less.csv", "-o", "-", "-f", shape)
        assert (done.exit_code, done.stdout) == (4, "")
        assert "less.csv: `Outcome@1` needs 6 columns" in told(done.stderr).error


@posix
def test_a_reader_that_has_enough_ends_it_quietly(school: Path, long: Path, clean_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "studentsuccess", "score", long.name, "-o", "-"]
    with subprocess.Popen(
        command, cwd=school, env=clean_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stderr
        assert running.stdout.readline().startswith("student_id,predicted_Outcome,")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141
    assert not list((school / ".staging").iterdir())


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_and_a_closed_stream_are_said_as_such(school: Path, clean_env: dict[str, str], told: Told) -> None:
    full = shell(clean_env, school, "$SS score new.csv -o - > /dev/full")
    assert full.returncode == 6
    assert told(full.stderr).error == "stdout can't be written: no space left on device"
    closed = shell(clean_env, school, "$SS score new.csv -o - >&-")
    assert closed.returncode == 6
    assert told(closed.stderr).error.startswith("stdout is closed")
    last = json.loads((school / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-1])
    assert (last["command"], last["status"], last["code"]) == ("score", "failed", 6)


# --- stopped


def unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*.part")]


@posix
def test_killed_halfway_it_leaves_no_half_result_and_the_next_run_is_as_the_first(
    run_ss: Any, school: Path, long: Path, clean_env: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "studentsuccess", "score", long.name, "-o", "outputs/long.csv", "-q"]
    with subprocess.Popen(command, cwd=school, env=clean_env, stdout=subprocess.DEVNULL) as running:
        begun = time.monotonic()
        while not unfinished(school / "outputs") and running.poll() is None:
            assert time.monotonic() < begun + PATIENCE
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not (school / "outputs/long.csv").exists()
    assert run_ss("score", long.name, "-o", "outputs/long.csv", "-q").returncode == 0
    assert unfinished(school / "outputs") == []
    assert (school / "outputs/long.csv").read_bytes().count(b"\n") == 300_001
    assert run_ss("verify", "-f", "json").returncode == 0


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_takes_the_part_that_was_written_away(
    school: Path, long: Path, tmp_path: Path, clean_env: dict[str, str], number: signal.Signals, code: int
) -> None:
    """Outside of the workspace no later run would look for it."""
    elsewhere = tmp_path / "elsewhere"
    command = [sys.executable, "-m", "studentsuccess", "score", long.name, "-o", str(elsewhere / "out.csv")]
    with subprocess.Popen(command, cwd=school, env=clean_env, stderr=subprocess.PIPE, text=True) as running:
        begun = time.monotonic()
        while not unfinished(elsewhere) and running.poll() is None:
            assert time.monotonic() < begun + PATIENCE
        running.send_signal(number)
        assert running.stderr
        said = running.stderr.read()
    assert running.returncode == code
    assert said.splitlines()[-1].endswith("nothing half-done was kept")
    assert list(elsewhere.iterdir()) == []


# --- what is said


def test_the_result_as_json_has_rows_unseen_and_output(cli: Any, school: Path, document: Callable[[str], Any]) -> None:
    rows = [list(row) for row in FRESH]
    rows[0][3] = rows[1][3] = "never met"
    put(school / "odd.csv", [*rows, ["x"]])
    done = cli("score", "odd.csv", "--max-rejects", "2%", "-f", "json")
    found = document(done.stdout)
    assert found["rows"] == {"read": 81, "scored": 80, "rejected": 1}
    assert (found["model"], found["unseen"]) == ("Outcome@1", {"Course": 2})
    assert found["output"] == "outputs/odd.scored.csv"
    assert (school / found["output"]).is_file()
    (letters,) = found["dead_letters"]
    assert "odd.csv,82," in (school / letters).read_text("utf-8")
    assert "2 in `Course`" in done.stderr
    assert f"1 row rejected, none lost: {letters}" in done.stderr


def test_rejects_are_told_with_their_file_every_time(cli: Any, school: Path) -> None:
    put(school / "odd.csv", [*FRESH, ["x"]])
    for _ in range(2):
        said = cli("score", "odd.csv", "--max-rejects", "2%", "-o", "-").stderr
        name = said.partition("none lost: ")[2].splitlines()[0]
        assert (school / name).is_file()


def test_too_many_rejects_exit_with_4_and_keep_only_the_dead_letters(cli: Any, school: Path, told: Told) -> None:
    put(school / "odd.csv", [*FRESH, ["x"]])
    done = cli("score", "odd.csv")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "1 of 81 rows rejected" in told(done.stderr).error
    assert not list((school / "outputs").glob("**/*"))
    assert len(list((school / "inputs/dlq").iterdir())) == 1


def test_figures_against_the_truth_are_said_and_flattery_is_named(cli: Any, school: Path) -> None:
    done = cli("score", "new.csv", "--evaluate", "-f", "json")
    assert json.loads(done.stdout)["metrics"]["rows"] == 80
    assert "against the truth of 80 rows: accuracy" in done.stderr
    assert "flatter" not in done.stderr
    learned = put(school / "learned.csv", students(200))
    assert "ss: warning: the model learned from this very file" in cli("score", learned, "--evaluate").stderr
    assert "flatter" not in cli("score", learned).stderr


def test_rows_without_a_score_are_exit_1_and_named(cli: Any, school: Path) -> None:
    context = context_of(school)
    entry = resolve_model("Outcome", context.workspace, context.limits)
    weights = dict(load_weights((school / entry.path / "weights.safetensors").read_bytes()))
    sick = np.array(weights["weights"])
    sick[weights["owner"] == 2] = np.nan  # the levels of `Course`: a row without one is well
    registered_copy(context, entry, "sick", {"weights.safetensors": dump_weights({**weights, "weights": sick})})
    done = cli("score", "new.csv", "-m", "sick", "-o", "out.csv")
    assert done.exit_code == 1
    well = [row[0] for row in FRESH if not row[3]]
    assert [row["student_id"] for row in csv.DictReader((school / "out.csv").open(encoding="utf-8"))] == well
    error = next(line for line in done.stderr.splitlines() if line.startswith("ss: error: "))
    first, last = (n for n, row in list(enumerate(FRESH, 2))[:: len(FRESH) - 1] if row[3])
    assert f"{80 - len(well)} rows between lines {first} and {last} of new.csv could not be scored" in error
    letters = next((school / "inputs/dlq").iterdir()).read_text("utf-8")
    assert letters.count("the score is not finite") == 80 - len(well)


def test_the_same_again_changes_nothing_and_says_so(
    cli: Any, school: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    cli("score", "new.csv")
    before = every_byte(school)
    done = cli("score", "new.csv", "-f", "json")
    assert json.loads(done.stdout)["already_scored"] is True
    assert "nothing new, nothing changed" in done.stderr
    assert every_byte(school) == before


def test_a_workspace_that_was_moved_knows_what_it_scored(cli: Any, school: Path, tmp_path: Path) -> None:
    cli("score", "new.csv")
    moved = school.rename(tmp_path / "moved")
    school.mkdir()
    done = cli("score", moved / "new.csv", "-w", moved, "-f", "json")
    assert json.loads(done.stdout)["already_scored"] is True


def test_a_dry_run_changes_nothing_and_fails_as_the_run_would(
    cli: Any, school: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    put(school / "less.csv", [row[:3] for row in FRESH], HEADER[:3])
    before = every_byte(school)
    done = cli("score", "new.csv", "-n", "-f", "json")
    assert (done.exit_code, json.loads(done.stdout)["writes"]) == (0, "outputs/new.scored.csv")
    for call, code in ((("less.csv",), 4), (("new.csv", "-o", "new.csv"), 2), (("new.csv", "-m", "no"), 2)):
        assert cli("score", *call, "-n").exit_code == cli("score", *call).exit_code == code
    assert {name: content for name, content in every_byte(school).items() if not name.startswith("logs")} == {
        name: content for name, content in before.items() if not name.startswith("logs")
    }


def test_no_name_of_a_student_is_in_what_is_said(cli: Any, school: Path) -> None:
    rows = [["Ada Lovelace", *row[1:]] for row in FRESH]
    put(school / "named.csv", [*rows, ["Ada Lovelace"]])
    for call in ((), ("--evaluate", "--max-rejects", "5%"), ("--id", "student_id", "-v")):
        done = cli("score", "named.csv", "-f", "json", *call)
        assert "Lovelace" not in done.stdout + done.stderr
    assert "Lovelace" not in (school / "logs/ledger.jsonl").read_text("utf-8")


def test_before_anything_was_trained_the_way_there_is_named(cli: Any, workspace: Path, told: Told) -> None:
    put(workspace / "new.csv", FRESH)
    done = cli("score", "new.csv")
    assert done.exit_code == 2
    assert "`ss train local --data FILE --target COLUMN`" in told(done.stderr).hint
    assert [path.name for path in workspace.iterdir()] == ["new.csv"]
