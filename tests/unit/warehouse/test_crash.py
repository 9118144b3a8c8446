"""Killed between any two steps, the next run ends where a clean one does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from effort import sample

from studentsuccess.config.workspace import Workspace
from studentsuccess.warehouse import recovery
from studentsuccess.warehouse.commit import is_done
from studentsuccess.warehouse.database import connect
from studentsuccess.warehouse.ledger import read_chain
from studentsuccess.warehouse.verify import verify

BEFORE = ("locked", "created", "recovered", "migrated", "sealed", "worked", "recorded")
AFTER = ("committed", "renamed-0", "renamed-1", "appended", "checkpointed", "closed")

Kill = Callable[[Workspace, str], None]


def state(workspace: Workspace, job: ModuleType) -> dict[str, object]:
    """Everything that a clean run determines; run ids and times are not among it."""
    with connect(workspace, job.LIMITS, read_only=True) as connection:
        tables = {
            "courses": connection.execute("SELECT * FROM core.course_run ORDER BY ALL").fetchall(),
            "odd": connection.execute('SELECT * FROM raw."odd ""name"').fetchall(),
            "runs": connection.execute("SELECT key, command, extends FROM ops.run").fetchall(),
            "targets": connection.execute("SELECT target FROM ops.run_target").fetchall(),
        }
    entries = read_chain(workspace.ledger).entries
    files = {
        path.relative_to(workspace.root).as_posix(): path.read_bytes()
        for path in workspace.root.rglob("*")
        if path.is_file() and not path.name.startswith(("warehouse.", "ledger."))
    }
    staging = sorted(path.name for path in workspace.staging.iterdir())
    return {**tables, "lines": [(entry.seq, entry.record.status) for entry in entries], "files": files, "left": staging}


@pytest.fixture(scope="module")
def clean(job: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    workspace = Workspace(tmp_path_factory.mktemp("clean") / "w")
    job.load(workspace)
    return state(workspace, job)


def test_the_steps_are_those_of_a_clean_run(
    workspace: Workspace, job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(recovery, "_step", seen.append)
    job.load(workspace)
    assert tuple(seen) == BEFORE + AFTER


@pytest.mark.parametrize("step", sample(BEFORE + AFTER, daily=(*BEFORE[1::3], *AFTER[::2])))
def test_the_run_after_a_kill_ends_like_a_clean_one(
    workspace: Workspace, job: ModuleType, killed_at: Kill, clean: dict[str, object], step: str
) -> None:
    killed_at(workspace, step)
    damage = [finding for finding in verify(workspace, job.LIMITS) if finding.level == "damage"]
    assert damage == []
    planned = is_done(workspace, job.LIMITS, "key-1", ["core.course_run"])
    assert (planned is not None) == (step in AFTER)
    assert job.load(workspace).already_done == (step in AFTER)
    assert state(workspace, job) == clean
    assert {finding.level for finding in verify(workspace, job.LIMITS)} == {"ok"}


@pytest.mark.parametrize("first", ["committed", "renamed-0"])
@pytest.mark.parametrize(
    "second",
    sample(["locked", "renamed-0", "renamed-1", "appended", "recovered"], daily=["renamed-1", "recovered"]),
)
def test_a_kill_during_the_recovery_is_recovered_too(
    workspace: Workspace, job: ModuleType, killed_at: Kill, clean: dict[str, object], first: str, second: str
) -> None:
    killed_at(workspace, first)
    killed_at(workspace, second)
    assert job.load(workspace).already_done
    assert state(workspace, job) == clean


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_line_torn_while_it_was_written_is_written_again(
    workspace: Workspace, job: ModuleType, killed_at: Kill, clean: dict[str, object], share: float
) -> None:
    killed_at(workspace, "appended")
    line = workspace.ledger.read_bytes()
    workspace.ledger.with_suffix(".head").unlink()
    workspace.ledger.write_bytes(line[: int(len(line) * share)])
    assert not any(finding.level == "damage" for finding in verify(workspace, job.LIMITS))
    assert job.load(workspace).already_done
    assert workspace.ledger.read_bytes() == line
    assert state(workspace, job) == clean


def test_another_command_completes_the_killed_one_first(workspace: Workspace, job: ModuleType, killed_at: Kill) -> None:
    killed_at(workspace, "committed")
    job.load(workspace, job.make_run("key-2", targets=("core.activity",)), files=("other.csv",))
    assert (workspace.outputs / "courses.csv").exists()
    assert [entry.seq for entry in read_chain(workspace.ledger).entries] == [1, 2]
    assert {finding.level for finding in verify(workspace, job.LIMITS)} == {"ok"}


def test_an_unfinished_file_that_was_altered_is_not_taken_for_the_result(
    workspace: Workspace, job: ModuleType, killed_at: Kill
) -> None:
    killed_at(workspace, "committed")
    (temp,) = workspace.outputs.glob(".courses.csv.*.part")
    temp.write_text("something else")
    job.load(workspace, job.make_run("key-2", targets=("core.activity",)), files=("other.csv",))
    assert not (workspace.outputs / "courses.csv").exists()
    missing = [finding.subject for finding in verify(workspace, job.LIMITS) if finding.level == "damage"]
    assert missing == ["outputs/courses.csv"]


def test_a_commit_of_unknown_outcome_keeps_the_files_for_the_next_command(
    workspace: Workspace, job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error is raised although the transaction survived: the promised files must still be there."""

    def fail(name: str) -> None:
        if name == "committed":
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(recovery, "_step", fail)
    with pytest.raises(Exception, match="Input/output error"):
        job.load(workspace)
    monkeypatch.undo()
    assert len(list(workspace.outputs.glob(".*.part"))) == 2
    assert job.load(workspace).already_done
    assert (workspace.outputs / "courses.csv").exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("step", ["worked", "committed"])
def test_a_real_sigkill_is_no_different(
    workspace: Workspace,
    job: ModuleType,
    child: Callable[..., subprocess.Popen[str]],
    clean: dict[str, object],
    step: str,
) -> None:
    script = (
        "import runpy, sys, time\n"
        "from pathlib import Path\n"
        "from studentsuccess.config.workspace import Workspace\n"
        "from studentsuccess.warehouse import recovery\n"
        "def stop(name):\n"
        "    if name == sys.argv[3]: print('here', flush=True); sys.stdin.read()\n"
        "recovery._step = stop\n"
        "runpy.run_path(sys.argv[1])['load'](Workspace(Path(sys.argv[2])))\n"
    )
    with child("-c", script, str(Path(__file__).with_name("job.py")), str(workspace.root), step) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    assert job.load(workspace).already_done == (step == "committed")
    assert state(workspace, job) == clean
