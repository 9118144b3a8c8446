"""What somebody put there on purpose: no code of theirs runs, nothing outside is touched, no student's name leaks."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from effort import sample
from harness import Lab
from trained import csv_text, students

import studentsuccess as ss
from studentsuccess.core.digest import file_digest
from studentsuccess.errors import ExitCode

pytestmark = pytest.mark.posix
Tally = Callable[..., None]
CANARY = "Ariadne-Quillfeather-4711"


@pytest.fixture
def trained(lab: Lab, folder: Path) -> Path:
    return shutil.copytree(lab.template(("train incremental",)), folder)


class Bomb:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


def crafted(folder: Path, trace: Path, how: str) -> None:
    """A model's folder, as somebody would send it to be scored with."""
    model = folder / "models" / "Outcome" / "1"
    manifest = json.loads((model / "manifest.json").read_bytes())
    bomb = pickle.dumps(Bomb(trace))
    if how == "pickle for weights":
        (model / "weights.safetensors").write_bytes(bomb)
    elif how == "pickle beside":
        (model / "model.pkl").write_bytes(bomb)
    elif how == "pickle with a matching manifest":
        (model / "weights.safetensors").write_bytes(bomb)
        for fact in manifest["files"]:
            if fact["path"] == "weights.safetensors":
                fact |= {"size": len(bomb), "sha256": file_digest(model / "weights.safetensors")}
        (model / "manifest.json").write_text(json.dumps(manifest))
    elif how == "file outside":
        manifest["files"].append({"path": "../../../learn.csv", "size": 1, "sha256": "0" * 64})
        (model / "manifest.json").write_text(json.dumps(manifest))
    else:
        (model / "weights.safetensors").rename(folder / "elsewhere")
        (model / "weights.safetensors").symlink_to(folder / "elsewhere")


CRAFTED = ("pickle for weights", "pickle beside", "pickle with a matching manifest", "file outside", "link")


@pytest.mark.parametrize("how", CRAFTED)
def test_a_crafted_model_is_refused_before_it_is_parsed(trained: Path, tmp_path: Path, how: str, tally: Tally) -> None:
    trace = tmp_path / "trace"
    crafted(trained, trace, how)
    with pytest.raises(ss.SsError) as caught:
        ss.score(trained / "learn.csv", trained)
    tally("crafted models")
    assert caught.value.code == ExitCode.CONTRACT
    assert not trace.exists()
    assert not list((trained / "outputs").glob("*")) if (trained / "outputs").exists() else True


@pytest.mark.parametrize("what", ["file", "folder"])
def test_an_output_that_is_a_link_does_not_write_over_what_it_leads_to(
    trained: Path, tmp_path: Path, what: str, tally: Tally
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.csv").write_text("precious")
    if what == "file":
        (trained / "outputs").mkdir()
        (trained / "outputs" / "learn.scored.csv").symlink_to(outside / "precious.csv")
        ss.score(trained / "learn.csv", trained)
        assert not (trained / "outputs" / "learn.scored.csv").is_symlink()
    else:
        (trained / "outputs").symlink_to(outside)
        ss.score(trained / "learn.csv", trained)
        ss.verify(trained)
    tally("links in the way")
    assert (outside / "precious.csv").read_text() == "precious"


NAMES = (
    "Robert'); DROP TABLE ops.run;--",
    'a"b',
    "x\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "a;b,c",
    "naïve\u202etxt",
    "select",
)


def test_names_with_sql_and_escapes_in_them_are_names(lab: Lab, folder: Path, tally: Tally) -> None:
    folder.mkdir()
    header = ",".join('"' + name.replace('"', '""') + '"' for name in ("id", *NAMES))
    rows = "".join(f"{number}," + ",".join("=1+1" for _ in NAMES) + "\n" for number in range(50))
    (folder / "odd.csv").write_text(f"{header}\n{rows}", "utf-8")
    done = lab.call(["etl", "odd.csv", "--id", "id"], folder, expect=0)
    tally("hostile names", len(NAMES))
    assert "\x1b" not in done.out + done.err
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        columns = [row[0] for row in connection.execute("DESCRIBE raw.odd").fetchall()]
        assert columns == ["id", *NAMES]
        assert connection.execute("SELECT count(*) FROM ops.run").fetchone() == (1,)
    assert not [one for one in ss.verify(folder) if one.level == "damage"]
    for words in (
        ["etl", "odd.csv", "--id", NAMES[2] + "x"],
        ["train", "local", "--data", "odd", "--target", NAMES[2] + "x"],
    ):
        refused = lab.call(words, folder)
        assert refused.is_told(), refused
        assert "\x1b" not in refused.out + refused.err
        assert refused.code == ExitCode.USAGE, refused


def test_cells_that_a_spreadsheet_would_run_are_neutral_in_what_we_write(folder: Path, tally: Tally) -> None:
    folder.mkdir()
    rows = [[f"=cmd|{row[0]}", *row[1:]] for row in students(80)]
    (folder / "learn.csv").write_text(csv_text(rows), "utf-8")
    ss.train(folder / "learn.csv", "Outcome", folder, ids=["student_id"], settings={"train.epochs": "1"})
    ss.score(folder / "learn.csv", folder)
    tally("formula cells", len(rows))
    lines = (folder / "outputs" / "learn.scored.csv").read_text("utf-8").splitlines()[1:]
    assert len(lines) == len(rows)
    assert not [line for line in lines if line.lstrip('"').startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    "place",
    sample(["/etc/passwd", "../../../../etc/passwd", "/", "\x1b[2J", "a\0b"], daily=["/etc/passwd", "\x1b[2J"]),
)
def test_a_config_that_points_outside_shows_and_writes_nothing_of_it(
    lab: Lab, folder: Path, place: str, tally: Tally
) -> None:
    folder.mkdir()
    key = f"pseudonymous_ids = true\npseudonym_key_file = {json.dumps(place)}\n"
    (folder / "config.toml").write_text(f"[privacy]\n{key}", "utf-8")
    for words in (["config", "show"], ["config", "validate"], ["doctor"], ["marts"]):
        done = lab.call(words, folder)
        tally("settings that point outside")
        assert done.is_told(), (words, done)
        assert "root:" not in done.out + done.err
        assert "\x1b" not in done.out + done.err
    assert [path.name for path in folder.iterdir()] == ["config.toml"]


def test_canary_names_are_in_no_log_error_or_ledger_line(lab: Lab, folder: Path, tally: Tally) -> None:
    """In ids, in cells, in rejected rows and in column texts; data may hold them, the rest must not."""
    folder.mkdir()
    rows = [[CANARY + row[0], *row[1:7], CANARY, row[8]] for row in students(120)]
    rows[3][1] = CANARY
    rows[4] = [CANARY]
    (folder / "names.csv").write_text(csv_text(rows), "utf-8")
    calls = [
        ["etl", "names.csv", "--id", "student_id", "-v"],
        ["etl", "names.csv", "--id", "student_id", "--max-rejects", "10%", "-v"],
        ["etl", "names.csv", "--id", "student_id", "--name", "strict", "--max-rejects", "0"],
        [
            "train",
            "local",
            "--data",
            "names.csv",
            "--target",
            "Outcome",
            "--id",
            "student_id",
            "--epochs",
            "1",
            "--max-rejects",
            "10%",
        ],
        ["train", "local", "--data", "names.csv", "--target", "note", "--max-rejects", "10%"],
        ["score", "names.csv", "--max-rejects", "10%", "-v"],
        ["score", "names.csv", "--max-rejects", "0"],
        ["explain", "names.csv", "--student", CANARY + "999999", "--max-rejects", "10%"],
        ["verify"],
        ["clean", "--what", "outputs", "-y", "-v"],
        ["clean", "--undo", "-v"],
    ]
    for words in calls:
        done = lab.call(words, folder)
        tally("commands with a canary in their data")
        assert done.is_told(), (words, done)
        told = [line for line in done.err.splitlines() if CANARY in line and CANARY + "999999" not in line]
        assert told == [], words
    for path in [*(folder / "logs").rglob("*"), *(folder / "models").rglob("manifest.json")]:
        assert CANARY not in path.read_text("utf-8", "replace") if path.is_file() else True, path
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        assert CANARY not in repr(connection.execute("SELECT * FROM ops.run").fetchall())
    found = subprocess.run(["grep", "-rl", CANARY, str(folder)], capture_output=True, text=True, check=False).stdout
    places = {Path(line).relative_to(folder).parts[0] for line in found.splitlines()}
    assert places <= {"names.csv", "inputs", "outputs", "warehouse.duckdb", "models"}, found
