"""`ss train local` as people and programs meet it: what it says, what it keeps, what it refuses, and after a kill."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from trained import csv_text, put, students

Bytes = Callable[[Path], dict[str, bytes]]
Told = Callable[[str], Any]
FILES = {"manifest.json", "metrics.json", "card.md", "calibration.png", "weights.safetensors"}
LEARN = ("train", "local", "--data", "learn.csv", "--target", "Outcome", "--id", "student_id", "--epochs", "3")
PATIENCE = 60


def document(done: Any, code: int = 0) -> Any:
    exit_code = done.exit_code if hasattr(done, "exit_code") else done.returncode
    assert exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]


def weights(workspace: Path, label: str = "Outcome/1") -> bytes:
    return (workspace / "models" / label / "weights.safetensors").read_bytes()


def production(cli: Any) -> list[str]:
    listed = document(cli("models", "list", "-f", "json"))["models"]
    return [f"{one['name']}@{one['version']}" for one in listed if one["production"]]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with `learn.csv` and a model that the command line trained; what it said stands beside it."""
    folder = tmp_path_factory.mktemp("trained") / "workspace"
    put(folder / "learn.csv", students(400))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SS_", "GITHUB_"))}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "studentsuccess", *LEARN, "-f", "json"],
        cwd=folder,
        env=env | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=True,
    )
    (folder.parent / "stdout.json").write_bytes(done.stdout)
    (folder.parent / "stderr.txt").write_bytes(done.stderr)
    return folder


@pytest.fixture
def trained(once: Path, workspace: Path) -> Path:
    """A copy of it, to do anything with; `cli` and `run_ss` start there."""
    return shutil.copytree(once, workspace, dirs_exist_ok=True)


@pytest.fixture
def learn(workspace: Path) -> Path:
    """The same file in a workspace in which nothing was done."""
    return put(workspace / "learn.csv", students(400))


# --- what it says and keeps


def test_the_result_is_one_document_with_the_figures_of_the_held_out_rows(once: Path) -> None:
    told = json.loads((once.parent / "stdout.json").read_text("utf-8"))
    assert (told["model"], told["version"], told["task"], told["algorithm"]) == (
        "Outcome", 1, "classification", "incremental",
    )  # fmt: skip
    rows, unlabelled = told["rows"], told["rows"]["unlabelled"]
    assert rows["read"] == 400 == rows["train"] + rows["holdout"] + unlabelled + rows["rejected"] + rows["duplicate"]
    assert set(told["metrics"]) == {"accuracy", "macro_f1", "weighted_f1", "log_loss", "brier", "ece"}
    assert set(told["baseline"]) == {"majority", "logistic"}
    assert told["metrics"]["log_loss"] < told["baseline"]["majority"]["log_loss"]
    assert (told["promoted"], told["refit"], told["path"]) == (True, False, "models/Outcome/1")


def test_everything_a_model_is_lies_in_its_folder_and_nothing_else(once: Path) -> None:
    folder = once / "models" / "Outcome" / "1"
    assert {path.name for path in folder.iterdir()} == FILES
    assert sorted(path.name for path in (once / "models").iterdir()) == ["Outcome"]
    told = json.loads((once.parent / "stdout.json").read_text("utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert metrics["metrics"] == manifest["metrics"]
    assert {name: metrics["metrics"][name] for name in told["metrics"]} == told["metrics"]
    assert manifest["trained"]["rows"] == told["rows"]["train"]
    assert [fact["path"] for fact in manifest["trained"]["data"]] == ["learn.csv"]
    assert (folder / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert "# Model card: Outcome@1" in (folder / "card.md").read_text("utf-8")


def test_the_ledger_tells_the_training_and_verify_is_content(cli: Any, trained: Path) -> None:
    last = ledger(trained)[-1]
    assert (last["command"], last["status"]) == ("train local", "done")
    assert document(cli("verify", "-f", "json"))["ok"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_flipped_byte_of_a_model_is_found_by_verify(cli: Any, trained: Path, name: str) -> None:
    path = trained / "models/Outcome/1" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    found = cli("verify", "-f", "json")
    assert found.exit_code != 0
    assert not json.loads(found.stdout)["ok"]
    assert f"models/Outcome/1/{name}" in found.stdout


def test_stdout_holds_the_table_and_everything_else_is_on_stderr(cli: Any, learn: Path) -> None:
    done = cli(*LEARN)
    lines = done.stdout.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == ["held-out rows", "Outcome@1", "majority", "logistic"]
    assert [line.split()[0] for line in lines[1:]] == [
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "log_loss",
        "brier",
        "ece",
    ]
    assert "Outcome@1 is the production version now: the first version" in done.stderr
    assert re.search(r"run \S+: learned from \d+ rows, held out \d+", done.stderr)
    assert learn.exists()


def test_a_regression_says_its_own_figures(cli: Any, learn: Path) -> None:
    told = document(cli("train", "local", "--data", "learn.csv", "--target", "gpa", "--epochs", "2", "-f", "json"))
    assert told["task"] == "regression"
    assert set(told["metrics"]) == {"r2", "rmse", "mae"}
    assert set(told["baseline"]) == {"mean", "ridge"}
    assert {path.name for path in learn.parent.glob("models/gpa/1/*")} == FILES - {"calibration.png"}
    assert told["rows"]["unlabelled"] > 0
    assert any("have no `gpa`: left out" in note for note in told["notes"])


def test_neither_batches_nor_workers_change_a_byte_of_the_weights(cli: Any, trained: Path, tmp_path: Path) -> None:
    for number, more in enumerate((["--batch-rows", "1"], ["--batch-rows", "100", "--set", "budget.cpus=1"])):
        told = document(cli(*LEARN, *more, "-w", tmp_path / f"w{number}", "-f", "json"))
        assert weights(tmp_path / f"w{number}") == weights(trained)
        figures = json.loads((trained / "models/Outcome/1/metrics.json").read_text("utf-8"))["metrics"]
        assert told["metrics"] == {name: figures[name] for name in told["metrics"]}


# --- again, and once more


def test_the_same_command_again_says_so_and_changes_nothing(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained / "models")
    lines = len(ledger(trained))
    done = cli(*LEARN)
    assert done.exit_code == 0
    assert "already trained by run" in done.stderr
    assert document(cli(*LEARN, "-f", "json")) == {"model": "Outcome", "version": 1, "already_trained": True}
    assert every_byte(trained / "models") == before
    assert len(ledger(trained)) == lines
    assert [one["version"] for one in document(cli("models", "list", "-f", "json"))["models"]] == [1]


def test_another_seed_is_the_next_version_of_the_same_hold_out(cli: Any, trained: Path) -> None:
    told = document(cli(*LEARN, "--seed", "1", "-f", "json"))
    assert told["version"] == 2
    assert weights(trained, "Outcome/2") != weights(trained)
    manifests = [json.loads((trained / f"models/Outcome/{n}/manifest.json").read_text("utf-8")) for n in (1, 2)]
    assert manifests[0]["holdout"] == manifests[1]["holdout"]


def test_if_better_means_a_lower_loss_on_the_same_rows(cli: Any, trained: Path) -> None:
    first = json.loads((trained.parent / "workspace/models/Outcome/1/metrics.json").read_text("utf-8"))["metrics"]
    worse = document(cli(*LEARN[:-1], "1", "-f", "json"))
    assert worse["metrics"]["log_loss"] > first["log_loss"]
    assert (worse["promoted"], production(cli)) == (False, ["Outcome@1"])
    better = document(cli(*LEARN[:-1], "30", "-f", "json"))
    assert better["metrics"]["log_loss"] < first["log_loss"]
    assert (better["promoted"], production(cli)) == (True, ["Outcome@3"])
    other = document(cli(*LEARN[:-1], "60", "--holdout", "0.3", "-f", "json"))
    assert (other["promoted"], production(cli)) == (False, ["Outcome@3"])


def test_always_and_never_are_obeyed_also_for_the_first_version(cli: Any, learn: Path) -> None:
    never = cli(*LEARN, "--promote", "never")
    assert never.exit_code == 0
    assert production(cli) == []
    assert "another version stays in production" not in never.stderr
    assert "`ss models promote Outcome@1` makes `ss score` use it" in never.stderr
    first = document(cli(*LEARN, "--seed", "1", "-f", "json"))
    assert (first["promoted"], production(cli)) == (True, ["Outcome@2"])
    worse = document(cli(*LEARN[:-1], "1", "--promote", "always", "-f", "json"))
    assert (worse["promoted"], production(cli)) == (True, ["Outcome@3"])
    assert learn.exists()


def test_a_refit_is_said_and_has_the_figures_of_the_evaluation(cli: Any, trained: Path) -> None:
    done = cli(*LEARN, "--refit", "-f", "json")
    told = document(done)
    first = json.loads((trained / "models/Outcome/1/metrics.json").read_text("utf-8"))["metrics"]
    assert told["refit"]
    assert told["metrics"] == {name: first[name] for name in told["metrics"]}
    assert weights(trained, "Outcome/2") != weights(trained)
    assert "then trained again on all of them, which no figure here covers" in done.stderr


def test_a_dry_run_changes_no_byte_and_tells_what_a_run_would_do(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained)
    told = document(cli(*LEARN, "--seed", "5", "-n", "-f", "json"))
    assert (told["plan"], told["model"], told["version"], told["target"]) == ("train local", "Outcome", 2, "Outcome")
    assert (told["ids"], told["writes"], told["already_trained"]) == (["student_id"], ["models/Outcome/2"], False)
    assert document(cli(*LEARN, "-n", "-f", "json"))["already_trained"]
    assert "already trained" in cli(*LEARN, "-n").stdout
    assert every_byte(trained) == before


def test_a_dry_run_in_an_empty_workspace_leaves_it_empty(cli: Any, learn: Path) -> None:
    assert cli(*LEARN, "-n").exit_code == 0
    assert list(learn.parent.iterdir()) == [learn]


# --- where the rows come from


def test_a_dataset_is_learned_from_with_the_id_and_the_target_it_was_loaded_with(cli: Any, learn: Path) -> None:
    assert cli("etl", "learn.csv", "--name", "grades", "--id", "student_id", "--target", "Outcome").exit_code == 0
    told = document(cli("train", "local", "--data", "grades", "--epochs", "3", "-f", "json"))
    manifest = json.loads((learn.parent / "models/Outcome/1/manifest.json").read_text("utf-8"))
    assert (manifest["ids"], manifest["target"], manifest["trained"]["dataset"]) == (
        ["student_id"],
        "Outcome",
        "grades",
    )
    direct = document(cli(*LEARN, "--name", "direct", "-f", "json"))
    assert direct["metrics"] == told["metrics"]
    assert weights(learn.parent, "direct/1") == weights(learn.parent)
    other = document(cli("train", "local", "--data", "grades", "--target", "gpa", "--epochs", "1", "-f", "json"))
    assert other["model"] == "gpa"


def test_stdin_is_a_file_like_any_other(run_ss: Any, trained: Path) -> None:
    words = [word if word != "learn.csv" else "-" for word in LEARN]
    told = document(run_ss(*words, "--name", "piped", "-f", "json", input=(trained / "learn.csv").read_bytes()))
    assert told["model"] == "piped"
    assert weights(trained, "piped/1") == weights(trained)


def test_semicolons_quotes_and_a_byte_order_mark_need_no_flag(cli: Any, trained: Path) -> None:
    text = csv_text(students(400), delimiter=";").replace("\n", "\r\n")
    (trained / "other.csv").write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8"))
    told = document(cli(*(word if word != "learn.csv" else "other.csv" for word in LEARN), "--name", "o", "-f", "json"))
    assert told["rows"]["read"] == 400
    assert weights(trained, "o/1") == weights(trained)


def test_a_folder_of_files_with_one_header_is_one_table(cli: Any, trained: Path) -> None:
    rows = students(400)
    for part in range(4):
        put(trained / "parts" / f"p{part}.csv", rows[part * 100 : part * 100 + 100])
    document(cli(*(word if word != "learn.csv" else "parts" for word in LEARN), "--name", "p", "-f", "json"))
    assert weights(trained, "p/1") == weights(trained)


def test_rejects_within_the_limit_are_told_and_kept(cli: Any, learn: Path) -> None:
    rows = students(400)
    rows[7] = rows[7][:-2]
    put(learn, rows)
    done = cli(*LEARN, "-f", "json")
    told = document(done)
    assert (told["rows"]["read"], told["rows"]["rejected"]) == (400, 1)
    letters = list(csv.DictReader((learn.parent / told["dead_letters"][0]).read_text("utf-8").splitlines()))
    assert [one["line"] for one in letters] == ["9"]
    assert "1 row rejected, none lost" in done.stderr
    assert document(cli("verify", "-f", "json"))["ok"]


def test_more_rejects_than_allowed_are_exit_4_with_the_dead_letters_kept(cli: Any, learn: Path, told: Told) -> None:
    rows = students(400)
    for at in range(10):
        rows[at * 3] = rows[at * 3][:-2]
    put(learn, rows)
    done = cli(*LEARN, "--max-rejects", "9")
    assert (done.exit_code, done.stdout) == (4, "")
    said = told(done.stderr)
    assert "10 of 400 rows rejected" in said.error
    kept = re.search(r"`([^`]*\.csv)`", said.hint)
    assert kept is not None
    assert len((learn.parent / kept[1]).read_text("utf-8").splitlines()) >= 11
    assert not (learn.parent / "models").exists()
    assert cli(*LEARN, "--max-rejects", "10").exit_code == 0


def test_repeats_are_told_with_a_hint_that_this_command_understands(cli: Any, learn: Path) -> None:
    put(learn, [*students(400), *students(3)])
    words = [word for word in LEARN if word not in ("--id", "student_id")]
    kept = cli(*words, "-f", "json")
    assert document(kept)["rows"]["duplicate"] == 0
    assert "rows that repeat an earlier one: 3, all kept" in kept.stderr
    flag = re.search(r"or `(--[^`]+)`", kept.stderr)
    assert flag is not None
    assert document(cli(*words, *flag[1].split(), "-f", "json"))["rows"]["duplicate"] == 3


# --- what it refuses

TABLE = [["S1", "4", "a", "yes"], ["S2", "5", "b", "no"], ["S3", "6", "a", "yes"]] * 40


@pytest.fixture
def wrong(workspace: Path) -> Path:
    """Files that something is wrong with, each in its own way."""
    header = ("sid", "age", "group", "final")
    numbered = [[f"S{at}", *row[1:]] for at, row in enumerate(TABLE)]
    put(workspace / "good.csv", numbered, header)
    put(workspace / "other.csv", [row[:2] for row in numbered], header[:2])
    put(workspace / "one.csv", [[*row[:3], "yes"] for row in numbered], header)
    put(workspace / "none.csv", [[*row[:3], ""] for row in numbered], header)
    put(workspace / "few.csv", numbered[:2], header)
    put(workspace / "many.csv", [[f"S{at}", "4", "a", f"c{at}"] for at in range(1_200)], header)
    put(workspace / "bare.csv", [], header)
    (workspace / "zero.csv").write_bytes(b"")
    (workspace / "empty").mkdir()
    return workspace


GOOD = ("--data", "good.csv", "--target", "final")
REFUSED: list[tuple[str, tuple[str, ...], int, str, str]] = [
    ("no data", (), 2, "nothing to learn from", "--data FILE"),
    ("no target", ("--data", "good.csv"), 2, "no target", "--target COLUMN"),
    ("unknown target", ("--data", "good.csv", "--target", "finale"), 2, "no column `finale`", "`final`"),
    ("unknown id", (*GOOD, "--id", "sidd"), 2, "no column `sidd`", "`sid`"),
    ("target is the id", (*GOOD, "--id", "final"), 2, "both the target and an id", "--id"),
    ("missing file", ("--data", "goood.csv", "--target", "final"), 2, "goood.csv: not there", "`good.csv`"),
    ("one class", ("--data", "one.csv", "--target", "final"), 4, "only one class", "two classes"),
    ("empty target", ("--data", "none.csv", "--target", "final"), 4, "`final` is empty in every row", "another target"),
    ("too few rows", ("--data", "few.csv", "--target", "final"), 4, "too few", "more rows"),
    ("text regression", (*GOOD, "--task", "regression"), 4, "holds texts", "--task"),
    ("too many classes", ("--data", "many.csv", "--target", "final"), 4, "more than 1,000 classes", "another target"),
    ("types without a role", (*GOOD, "--types", "age"), 2, "`--types age`", "--types Course=category"),
    ("types with a wrong role", (*GOOD, "--types", "age=categry"), 2, "`--types age=categry`", "age=category"),
    ("types of no column", (*GOOD, "--types", "agee=number"), 2, "no column `agee`", "`age`"),
    ("numbers of texts", (*GOOD, "--types", "group=number"), 2, "its values are texts", "group=category"),
    ("hold-out above one", (*GOOD, "--holdout", "1.5"), 2, "holdout", ""),
    ("no hold-out", (*GOOD, "--holdout", "0"), 2, "holdout", ""),
    ("no epochs", (*GOOD, "--epochs", "0"), 2, "epochs", ""),
    ("epochs in words", (*GOOD, "--epochs", "x"), 2, "epochs", ""),
    ("no batch", (*GOOD, "--batch-rows", "0"), 2, "batch", ""),
    (
        "two headers",
        ("--data", "good.csv", "--data", "other.csv", "--target", "age"),
        2,
        "2 different headers",
        "same columns",
    ),
    ("no tables", ("--data", "empty", "--target", "final"), 2, "no table in this folder", ".csv"),
    ("zero bytes", ("--data", "zero.csv", "--target", "final"), 4, "is empty", ""),
    ("header only", ("--data", "bare.csv", "--target", "final"), 4, "0 data rows", "export"),
    ("another algorithm's flag", (*GOOD, "--backtest"), 2, "`--backtest` does not go with", "--backtest"),
    ("unknown promotion", (*GOOD, "--promote", "sometimes"), 2, "", ""),
]


@pytest.mark.parametrize(
    ("asked", "code", "error", "hint"), [case[1:] for case in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_what_can_not_be_done_is_one_line_and_a_way_out(
    cli: Any, wrong: Path, told: Told, asked: Sequence[str], code: int, error: str, hint: str
) -> None:
    done = cli("train", "local", *asked)
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    said = told(done.stderr)
    assert error in said.error
    assert hint in said.hint
    assert not (wrong / "models").exists()


def test_a_dataset_that_is_not_there_suggests_the_nearest(cli: Any, wrong: Path, told: Told) -> None:
    assert cli("etl", "good.csv", "--name", "grades").exit_code == 0
    done = cli("train", "local", "--data", "grade", "--target", "final")
    assert (done.exit_code, told(done.stderr).hint) == (2, "did you mean `grades`?")
    assert wrong.exists()


CANARY = "Zebulon Quackenbush"


@pytest.mark.parametrize("case", ["one class", "empty", "types", "rejects", "cut off", "encoding", "good"])
def test_no_word_it_says_and_no_line_it_logs_holds_a_name(cli: Any, workspace: Path, case: str) -> None:
    """Every row holds the name: in a column of its own, and in a text that many rows share."""
    rows = [[f"{CANARY} {at}", str(at % 7), CANARY, "yes" if at % 3 else "no"] for at in range(200)]
    more: tuple[str, ...] = ()
    if case in ("one class", "empty"):
        rows = [[*row[:3], "yes" if case == "one class" else ""] for row in rows]
    if case == "types":
        more = ("--types", "name=number")
    if case == "rejects":
        rows = [row[:2] if at % 5 == 0 else row for at, row in enumerate(rows)]
    text = csv_text(rows, ("name", "age", "teacher", "final"))
    raw = text[:-9].encode() if case == "cut off" else text.encode()
    raw = raw.replace(b" 199,", b" \xff,") if case == "encoding" else raw
    (workspace / "t.csv").write_bytes(raw)
    done = cli("train", "local", "--data", "t.csv", "--target", "final", "--epochs", "1", *more)
    assert (done.exit_code == 0) == (case == "good")
    for said in (done.stdout, done.stderr, *(path.read_text("utf-8") for path in workspace.glob("logs/*"))):
        assert "Zebulon" not in said
        assert "Quackenbush" not in said


# --- killed, and resumed


def long_table(workspace: Path) -> Path:
    return put(workspace / "long.csv", students(1_500, seed=3))


def killed_at_a_checkpoint(env: dict[str, str], folder: Path, words: Sequence[str]) -> None:
    """Start the command, and kill it once an epoch is on disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "studentsuccess", *words], cwd=folder, env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    try:
        while not any((folder / "models").glob(".unfinished/*.safetensors")):
            assert process.poll() is None, "it was over before its first checkpoint was seen"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert any((folder / "models").glob(".unfinished/*.safetensors"))


@pytest.mark.posix
def test_a_killed_training_goes_on_to_the_same_bits(
    cli: Any, clean_env: dict[str, str], workspace: Path, tmp_path: Path
) -> None:
    long_table(workspace)
    words = ("train", "local", "--data", "long.csv", "--target", "Outcome", "--epochs", "400", "--name", "m")
    killed_at_a_checkpoint(clean_env, workspace, words)
    damaged = shutil.copytree(workspace, tmp_path / "damaged")
    fresh = shutil.copytree(workspace, tmp_path / "fresh")
    done = cli(*words, "--resume", "-f", "json")
    resumed = document(done)
    assert "nothing to resume" not in done.stderr
    assert "begun anew" not in done.stderr
    again = document(cli(*words, "-w", fresh, "-f", "json"))
    assert any("an unfinished training of the same data was begun anew; `--resume`" in note for note in again["notes"])
    assert resumed["metrics"] == again["metrics"]
    assert weights(workspace, "m/1") == weights(fresh, "m/1")
    for path in damaged.glob("models/.unfinished/*"):
        path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    document(cli(*words, "--resume", "-w", damaged, "-f", "json"))
    assert weights(damaged, "m/1") == weights(workspace, "m/1")
    for place in (workspace, fresh, damaged):
        assert not (place / "models/.unfinished").exists()
        assert document(cli("verify", "-w", place, "-f", "json"))["ok"]


@pytest.mark.posix
@pytest.mark.full
@pytest.mark.parametrize("more", [("--refit",), ("--set", "budget.cpus=1")])
def test_a_training_that_stops_by_itself_is_resumed_as_well(
    cli: Any, clean_env: dict[str, str], workspace: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    put(workspace / "long.csv", students(20_000, seed=3))
    words = ("train", "local", "--data", "long.csv", "--target", "Outcome", "--name", "m", *more)
    killed_at_a_checkpoint(clean_env, workspace, words)
    document(cli(*words, "--resume", "-f", "json"))
    document(cli(*words, "-w", tmp_path / "other", "-f", "json"))
    assert weights(workspace, "m/1") == weights(tmp_path / "other", "m/1")


def test_with_nothing_to_resume_it_says_so_and_trains(cli: Any, learn: Path) -> None:
    told = document(cli(*LEARN, "--resume", "-f", "json"))
    assert any("nothing to resume" in note for note in told["notes"])
    assert weights(learn.parent)


@pytest.mark.posix
def test_rows_that_the_disk_refuses_end_it_in_words(workspace: Path, clean_env: dict[str, str]) -> None:
    lines = ["a,b,y", *(f"{at},{at * 7 % 1000},{'yes' if at % 3 else 'no'}" for at in range(20_000))]
    (workspace / "many.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    call = [sys.executable, "-m", "studentsuccess", "train", "local", "--data", "many.csv", "--target", "y", "-q"]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 200; exec "$@"', "-", *call],
        cwd=workspace,
        env=clean_env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6, done.stderr
    assert "defect" not in done.stderr
    assert done.stdout == ""
    assert not (workspace / "models" / "y").exists()
