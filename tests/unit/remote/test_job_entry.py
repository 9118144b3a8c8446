"""What a job does on the other machine, with the training taken for granted."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from studentsuccess.remote import job_entry
from studentsuccess.remote.job_manifest import is_safe, parse, sign_key

RESULT = {"model": "final", "version": 1, "path": "models/final/1", "metrics": {"accuracy": 0.8, "log_loss": 0.5}}


def trained(here: Path, extra: dict[str, Any], result: dict[str, Any] = RESULT) -> Any:
    """Stands for `ss train local`: a workspace as a training leaves it, and its result on stdout."""

    def run(words: list[str], *, stdout: Any, check: bool) -> subprocess.CompletedProcess[bytes]:  # noqa: ARG001
        model = here / "workspace/models/final/1"
        model.mkdir(parents=True)
        (model / "manifest.json").write_text(json.dumps({"extra": extra}), "utf-8")
        (model / "weights.safetensors").write_bytes(b"weights")
        for name in ("logs/ledger.jsonl", "inputs/dlq/x-final.csv", "warehouse.duckdb", ".staging/x", "warehouse.lock"):
            (here / "workspace" / name).parent.mkdir(parents=True, exist_ok=True)
            (here / "workspace" / name).write_bytes(name.encode())
        stdout.write(json.dumps(result).encode())
        return subprocess.CompletedProcess(words, 0)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(here: Path, key: bytes | None = None) -> Any:
    return parse((here / "outputs/ss_manifest.json").read_bytes(), "job-1", key)


def test_models_ledger_and_rejected_rows_come_home_and_the_warehouse_does_not(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", trained(here, {"inner_loss": 0.4}))
    assert job_entry.main(["job-1", "data.csv", "--", "--target", "final"]) == 0
    found = listed(here)
    assert {fact.path for fact in found.files} == {
        "result.json",
        "workspace/models/final/1/manifest.json",
        "workspace/models/final/1/weights.safetensors",
        "workspace/logs/ledger.jsonl",
        "workspace/inputs/dlq/x-final.csv",
    }
    for fact in found.files:
        content = (here / "outputs" / fact.path).read_bytes()
        assert (fact.size, fact.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert is_safe(fact.path)
    assert (found.model, found.model_path) == ("final@1", "workspace/models/final/1")
    assert found.command[:6] == ("train", "local", "--data", "data.csv", "--target", "final")
    assert capsys.readouterr().err == "held out: accuracy 0.8 · log_loss 0.5\n"


@pytest.mark.parametrize(
    ("extra", "metrics", "inner", "held_out"),
    [
        ({"inner_loss": 0.4}, {"log_loss": 0.5}, 0.4, 0.5),
        ({"inner_loss": None}, {"rmse": 2.0, "r2": None}, None, 2.0),
        (
            {"choice": "b", "leaderboard": [{"name": "a", "loss": 0.1}, {"name": "b", "loss": 0.3}]},
            {"log_loss": 0.5},
            0.3,
            0.5,
        ),
    ],
)
def test_what_trials_are_compared_by(
    here: Path, monkeypatch: pytest.MonkeyPatch, extra: Any, metrics: Any, inner: float | None, held_out: float
) -> None:
    monkeypatch.setattr(subprocess, "run", trained(here, extra, RESULT | {"metrics": metrics}))
    job_entry.main(["job-1", "data.csv", "--"])
    assert (listed(here).inner, listed(here).held_out) == (inner, held_out)


def test_a_key_that_a_job_was_given_signs_its_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = sign_key(b"the school's own key", "job-1")
    monkeypatch.setenv("SS_JOB_KEY", key)
    monkeypatch.setattr(subprocess, "run", trained(here, {}))
    job_entry.main(["job-1", "data.csv", "--"])
    assert listed(here, key.encode()).job == "job-1"
    assert key not in (here / "outputs/ss_manifest.json").read_text("utf-8")


def test_a_training_that_fails_leaves_its_exit_code_and_no_list(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda words, **_named: subprocess.CompletedProcess(words, 4))
    assert job_entry.main(["job-1", "data.csv", "--"]) == 4
    assert not (here / "outputs").exists()
