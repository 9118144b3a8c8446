"""Whatever is damaged on the disk, `ss verify` finds it and names it; `--repair` makes again what can be made again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest
from effort import FULL
from harness import TIDY, Lab, drawn, state_of
from made_models import context_of
from made_predictions import make_predictions

import studentsuccess as ss
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.tasks import alerts, alerts_log, experiment, marts, repair, report, roi
from studentsuccess.warehouse.verify import verify

Tally = Callable[..., None]
SILENT = SilentReporter()
KINDS = ("truncate", "flip", "delete", "swap")


@pytest.fixture(scope="module")
def whole(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with everything in it: tables, a model, results of every step, contacts, and a WAL that was left."""
    folder = shutil.copytree(lab.template(TIDY), tmp_path_factory.mktemp("whole") / "workspace")
    made = make_predictions(folder)
    context = context_of(folder)
    for task in (marts, alerts, experiment, roi, report):
        task.run(task.plan(context), SILENT)  # type: ignore[attr-defined]
    called = made.prediction["student_id"][0].as_py()
    alerts_log.run(alerts_log.plan(alerts_log.LogRequest((called,), on=date(2014, 11, 1)), (), context))
    die_before_the_checkpoint(folder)
    assert (folder / "warehouse.duckdb.wal").stat().st_size > 0
    assert {one.level for one in ss.verify(folder)} <= {"ok", "warning"}
    return folder


_DIES = """
import os, sys
from pathlib import Path
import studentsuccess as ss
from studentsuccess.warehouse import recovery
recovery._step = lambda name: os._exit(9) if name == "appended" else None
ss.etl([Path(sys.argv[1]) / "late.csv"], sys.argv[1])
"""


def die_before_the_checkpoint(folder: Path) -> None:
    (folder / "late.csv").write_text("a,b\n" + "".join(f"{number},{number}\n" for number in range(50)))
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr


def damageable(folder: Path) -> dict[str, list[Path]]:
    """What may be hit, by what it is, so that every kind is hit as often."""
    places = {
        "warehouse": ["warehouse.duckdb"],
        "wal": ["warehouse.duckdb.wal"],
        "ledger": ["logs/ledger.jsonl", "logs/ledger.head"],
        "models": [f"models/{path}" for path in _below(folder / "models")],
        "outputs": [f"outputs/{path}" for path in _below(folder / "outputs")],
        "reports": [f"reports/{path}" for path in _below(folder / "reports")],
        "datasets": [f"inputs/datasets/{path}" for path in _below(folder / "inputs" / "datasets")],
    }
    return {what: [folder / name for name in names] for what, names in places.items()}


def _below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def hit(path: Path, other: Path, kind: str, draw: random.Random) -> bool:
    """One damage; false where it would change nothing."""
    raw = path.read_bytes()
    if kind == "delete":
        path.unlink()
        return True
    if kind == "truncate":
        path.write_bytes(raw[: draw.randrange(len(raw))])
    elif kind == "flip":
        at = draw.randrange(len(raw))
        path.write_bytes(raw[:at] + bytes([raw[at] ^ (1 << draw.randrange(8))]) + raw[at + 1 :])
    else:
        path.write_bytes(other.read_bytes())
    return path.read_bytes() != raw


@pytest.mark.parametrize("turn", range(300 if FULL else 7))
def test_a_damaged_file_is_found_and_named(whole: Path, tmp_path: Path, turn: int, seed: int, tally: Tally) -> None:
    draw = drawn(seed, "damage", turn)
    folder = shutil.copytree(whole, tmp_path / "workspace")
    places = damageable(folder)
    what = sorted(places)[turn % len(places)]
    path, kind = draw.choice(places[what]), KINDS[turn // len(places) % len(KINDS)]
    if not hit(path, draw.choice([one for ones in places.values() for one in ones if one != path]), kind, draw):
        return
    tally(f"damage of {what}")
    name = path.relative_to(folder).as_posix()
    found = [one for one in verify(context_of(folder).workspace, context_of(folder).limits) if one.level != "ok"]
    bad = [one for one in found if one.level == "damage"]
    if what in ("warehouse", "wal"):
        # A byte that no table uses is no damage: then every row is as before.
        assert bad or state_of(folder).tables == state_of(whole).tables, (kind, name)
    elif name == "logs/ledger.head" and not bad:
        assert kind == "truncate", found
    else:
        assert any(one.subject == name or (what == "ledger" and "ledger" in one.subject) for one in bad), (kind, found)
    if what == "models":
        with pytest.raises(ss.SsError):
            ss.score(folder / "learn.csv", folder, output=folder / "again.csv")
        assert not (folder / "again.csv").exists()
    made = repair.plan(context_of(folder))
    mended = repair.run(made, SILENT)
    if what in ("outputs", "reports") and not made.hopeless:
        assert mended.damaged == (), (kind, name, mended)
    if what in ("models", "datasets"):
        assert mended.damaged, "what can't be made again must not be called well"


def test_marts_that_somebody_changed_are_built_again(whole: Path, tmp_path: Path, tally: Tally) -> None:
    folder = shutil.copytree(whole, tmp_path / "workspace")
    (folder / "more.csv").write_text("a\n1\n")
    ss.etl([folder / "more.csv"], folder)
    wanted = state_of(folder).tables
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("DELETE FROM mart.student_risk_daily")
        connection.execute("DROP TABLE mart.calendar")
        connection.execute("DROP VIEW raw.late")
    (folder / "outputs" / "marts" / "student_risk_latest.csv").write_text("mine\n")
    made = repair.plan(context_of(folder))
    assert {"mart.student_risk_daily", "mart.calendar"} <= {one.subject for one in made.rebuilt}
    done = repair.run(made, SILENT)
    tally("repairs")
    assert done.damaged == ()
    found = state_of(folder).tables
    assert {name: found[name] for name in found if name.startswith("mart.")} == {
        name: wanted[name] for name in wanted if name.startswith("mart.")
    }
    assert not [one for one in done.findings if one.subject.startswith("raw.")]
    (kept,) = (folder / ".trash").glob("*/files/outputs/marts/student_risk_latest.csv")
    assert kept.read_text() == "mine\n"


def test_rows_that_no_step_makes_stop_every_repair(whole: Path, tmp_path: Path, tally: Tally) -> None:
    """A commit would note the rows as they are, and the damage would be forgotten."""
    folder = shutil.copytree(whole, tmp_path / "workspace")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("DELETE FROM core.activity WHERE day < 50")
        connection.execute("DELETE FROM mart.student_risk_daily")
    made = repair.plan(context_of(folder))
    done = repair.run(made, SILENT)
    tally("repairs")
    assert made.blocked
    assert {one.subject for one in done.damaged} == {"core.activity", "mart.student_risk_daily"}


def test_a_repair_as_it_is_typed(whole: Path, lab: Lab, tmp_path: Path, tally: Tally) -> None:
    folder = shutil.copytree(whole, tmp_path / "workspace")
    (folder / "reports" / "executive_summary.html").unlink()
    (folder / "outputs" / "alerts" / "alert_latest.md").write_text("?")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    planned = lab.call(["verify", "--repair", "-n"], folder, expect=0)
    assert "ss report" in planned.out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    done = lab.call(["verify", "--repair"], folder, expect=0)
    tally("repairs")
    assert "made again by `ss report`: reports/executive_summary.html" in done.err
    lab.call(["verify", "-q"], folder, expect=0)
    (folder / "models" / "Outcome" / "1" / "weights.safetensors").unlink()
    hopeless = lab.call(["verify", "--repair"], folder, expect=4)
    assert "models/Outcome/1/weights.safetensors" in hopeless.out
    assert "train again" in hopeless.out
