"""From an export to scores with their reasons, through the command line: each step on what the last one left."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trained import HEADER, OUTCOMES, put, students

Read = Callable[[str], Any]
# What an export of a German Excel has: a mark of order, semicolons, CR LF, and a header with a TAB in it.
EXPORTED = [*HEADER[:5], "fee paid\t", *HEADER[6:]]


@pytest.fixture
def ss(run_ss: Any, document: Read) -> Callable[..., Any]:
    """A command that must succeed, and what it says on stdout."""

    def call(*words: str | Path) -> Any:
        done = run_ss(*words, "-f", "json")
        assert done.returncode == 0, done.stderr
        return document(done.stdout)

    return call


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as source:
        return [row[name] for row in csv.DictReader(source)]


def test_the_whole_way_on_a_semicolon_export(ss: Callable[..., Any], workspace: Path) -> None:
    rows = students(400)
    export = put(workspace / "export.csv", rows, EXPORTED, delimiter=";")
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes().replace(b"\n", b"\r\n"))
    loaded = ss("etl", export, "--id", "student_id", "--target", "Outcome")
    assert loaded["tables"]["export"]["kept"] == 400

    trained = ss("train", "local", "--data", "export", "--epochs", "5")
    assert (trained["model"], trained["version"], trained["task"]) == ("Outcome", 1, "classification")
    assert trained["rows"]["train"] + trained["rows"]["holdout"] == 400
    assert trained["metrics"]["log_loss"] < trained["baseline"]["majority"]["log_loss"]
    assert trained["promoted"]

    scored = ss("score", export, "--explain", "2", "--evaluate")
    assert scored["rows"] == {"read": 400, "scored": 400, "rejected": 0}
    assert (scored["unseen"], scored["metrics"]["rows"]) == ({}, 400)
    output = workspace / scored["output"]
    assert column(output, "student_id") == [row[0] for row in rows]
    assert set(column(output, "predicted_Outcome")) <= set(OUTCOMES)
    assert set(column(output, "reason_1")) <= set(HEADER[1:7])

    explained = ss("explain", "export")
    assert {one["name"] for one in explained["features"]} == set(HEADER[1:7])
    assert all((workspace / path).is_file() for path in explained["outputs"])
    one = ss("explain", export, "--student", "000007")
    assert one["row"] == 8

    listed = ss("models", "list")["models"]
    assert [(model["name"], model["version"], model["production"]) for model in listed] == [("Outcome", 1, True)]
    assert (workspace / listed[0]["where"] / "card.md").is_file()
    assert ss("verify")["ok"]
    ledger = [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]
    assert [line["command"] for line in ledger] == ["etl", "train local", "score", "explain"]


def test_uci_697_as_it_was_downloaded(ss: Callable[..., Any], real_data: Path) -> None:
    original = real_data / "uci697" / "data.csv"
    assert ss("etl", original, "--name", "uci", "--target", "Target")["tables"]["uci"]["kept"] == 4_424
    trained = ss("train", "local", "--data", "uci")
    assert trained["metrics"]["log_loss"] < trained["baseline"]["majority"]["log_loss"] - 0.3
    scored = ss("score", original, "-o", "scores.parquet", "--evaluate")
    assert scored["rows"] == {"read": 4_424, "scored": 4_424, "rejected": 0}
    assert scored["unseen"] == {} or max(scored["unseen"].values()) < 10
    assert 0.75 < scored["metrics"]["accuracy"] < 0.85
    assert ss("explain", "uci")["features"][0]["name"].startswith("Curricular units 2nd sem")
    assert ss("verify")["ok"]


def test_the_grades_of_uci_320_as_they_were_downloaded(
    ss: Callable[..., Any], workspace: Path, real_data: Path
) -> None:
    original = real_data / "uci_student" / "student-mat.csv"
    trained = ss("train", "local", "--data", original, "--target", "G3")
    assert trained["task"] == "regression"
    assert trained["metrics"]["r2"] > 0.6
    scored = ss("score", original, "--evaluate")
    assert scored["rows"] == {"read": 395, "scored": 395, "rejected": 0}
    low, high = (list(map(float, column(workspace / scored["output"], f"{end}_G3"))) for end in ("low", "high"))
    assert all(one < other for one, other in zip(low, high, strict=True))
