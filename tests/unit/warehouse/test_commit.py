"""One commit point: all or nothing, and once."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import FileFact
from studentsuccess.core.writer import OrderedWriter, WriteFailed
from studentsuccess.errors import BusyError, SsError, StorageError, UsageError
from studentsuccess.warehouse import commit as commit_module
from studentsuccess.warehouse.commit import find_done, is_done, record_failure
from studentsuccess.warehouse.database import connect
from studentsuccess.warehouse.ledger import append_line, build_line, read_chain
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.runs import stored_runs
from studentsuccess.warehouse.verify import verify


def well(workspace: Workspace, job: ModuleType) -> bool:
    return {finding.level for finding in verify(workspace, job.LIMITS)} == {"ok"}


def rows(workspace: Workspace, job: ModuleType, query: str) -> list[tuple[object, ...]]:
    with connect(workspace, job.LIMITS, read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_commit_leaves_data_files_row_and_line(workspace: Workspace, job: ModuleType) -> None:
    run = job.make_run()
    committed = job.load(workspace, run)
    assert (committed.run_id, committed.already_done) == (run.run_id, False)
    assert rows(workspace, job, "SELECT count(*) FROM core.course_run") == [(3,)]
    assert (workspace.outputs / "courses.csv").read_text() == "courses.csv: 3 rows\n"
    entry = read_chain(workspace.ledger).entries[0]
    assert [fact.path for fact in entry.record.outputs] == ["outputs/courses.csv", "outputs/reasons.csv"]
    assert entry.record.counts == run.counts
    assert entry.record.warehouse_rows['raw.odd "name'] == 1
    assert entry.record.warehouse_rows["core.course_run"] == 3
    stored = rows(workspace, job, "SELECT run_id, sequence, ledger_line FROM ops.run")
    assert stored == [(run.run_id, 1, workspace.ledger.read_text("utf-8").strip())]
    assert well(workspace, job)


def test_nothing_unfinished_is_left_behind(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    names = {path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*") if path.is_file()}
    lock = {"warehouse.lock"} & names
    assert names - lock == {
        "warehouse.duckdb",
        "logs/ledger.jsonl",
        "logs/ledger.head",
        "outputs/courses.csv",
        "outputs/reasons.csv",
    }


def test_the_same_key_is_done_once_and_says_so(workspace: Workspace, job: ModuleType) -> None:
    first = job.load(workspace)
    before = workspace.ledger.read_bytes()
    again = job.load(workspace)
    assert (again.run_id, again.already_done) == (first.run_id, True)
    assert workspace.ledger.read_bytes() == before
    assert rows(workspace, job, "SELECT count(*) FROM ops.run") == [(1,)]
    assert well(workspace, job)


def test_a_deleted_result_is_made_again_instead_of_called_done(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    (workspace.outputs / "courses.csv").unlink()
    assert is_done(workspace, job.LIMITS, "key-1", ["core.course_run"]) is None
    assert not job.load(workspace).already_done
    assert (workspace.outputs / "courses.csv").exists()
    assert rows(workspace, job, "SELECT count(*) FROM core.course_run") == [(3,)]
    assert well(workspace, job)


def test_a_run_that_extends_is_not_doubled_for_a_deleted_file(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace, job.make_run(extends=True))
    (workspace.outputs / "courses.csv").unlink()
    assert job.load(workspace, job.make_run(extends=True)).already_done


@pytest.mark.parametrize(
    ("later", "done"),
    [
        ({"key": "key-2"}, False),
        ({"key": "key-2", "extends": True}, True),
        ({"key": "key-2", "targets": ("core.activity",)}, True),
    ],
)
def test_done_ends_when_a_later_run_replaces_a_target(
    workspace: Workspace, job: ModuleType, later: dict[str, object], done: bool
) -> None:
    first = job.load(workspace)
    job.load(workspace, job.make_run(**later), files=())
    with connect(workspace, job.LIMITS, read_only=True) as connection:
        assert find_done(connection, "key-1", ["core.course_run"]) == (first.run_id if done else None)


def test_a_replaced_run_that_is_repeated_is_done_again(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace, job.make_run("key-1"))
    job.load(workspace, job.make_run("key-2"))
    third = job.load(workspace, job.make_run("key-1"))
    assert not third.already_done
    assert is_done(workspace, job.LIMITS, "key-1", ["core.course_run"]) == third.run_id
    assert is_done(workspace, job.LIMITS, "key-2", ["core.course_run"]) is None


def test_done_means_all_targets(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    assert is_done(workspace, job.LIMITS, "key-1", ["core.course_run", "core.activity"]) is None


def test_asking_before_anything_exists_creates_nothing(workspace: Workspace, job: ModuleType) -> None:
    assert is_done(workspace, job.LIMITS, "key-1", ["core.course_run"]) is None
    assert not workspace.root.exists()


def test_asking_changes_no_byte(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    is_done(workspace, job.LIMITS, "key-1", ["core.course_run"])
    assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_work_that_fails_leaves_the_state_before(
    workspace: Workspace, job: ModuleType, error: type[BaseException]
) -> None:
    job.load(workspace)

    def fail(connection: DuckDBPyConnection) -> None:
        connection.execute("DELETE FROM core.course_run")
        raise error

    with pytest.raises(error):
        job.load(workspace, job.make_run("key-2"), fail, files=("other.csv",))
    assert rows(workspace, job, "SELECT count(*) FROM core.course_run") == [(3,)]
    assert not (workspace.outputs / "other.csv").exists()
    assert well(workspace, job)


def test_work_may_not_end_the_transaction(workspace: Workspace, job: ModuleType) -> None:
    def meddle(connection: DuckDBPyConnection) -> None:
        connection.execute("COMMIT")
        connection.execute("BEGIN TRANSACTION")

    with pytest.raises(SsError, match="ended the transaction"):
        job.load(workspace, work=meddle)


def test_a_target_that_is_a_folder_is_refused_before_anything_is_committed(
    workspace: Workspace, job: ModuleType
) -> None:
    (workspace.outputs / "courses.csv").mkdir(parents=True)
    with pytest.raises(UsageError, match="is a folder"):
        job.load(workspace)
    assert stored(workspace, job) == ()


def stored(workspace: Workspace, job: ModuleType) -> tuple[object, ...]:
    with connect(workspace, job.LIMITS, read_only=True) as connection:
        return stored_runs(connection)


def test_a_result_may_go_outside_the_workspace(workspace: Workspace, job: ModuleType, tmp_path: Path) -> None:
    job.load(workspace, files=(str(tmp_path / "far.csv"),))
    fact = read_chain(workspace.ledger).entries[0].record.outputs[0]
    assert Path(fact.path) == tmp_path / "far.csv"
    assert well(workspace, job)


@pytest.mark.parametrize(("code", "says"), [(errno.ENOSPC, "no space left"), (errno.EIO, "can't read or write")])
def test_a_disk_that_refuses_a_staged_file_is_named_and_harmless(
    workspace: Workspace, job: ModuleType, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    job.load(workspace)

    def refuse(path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(commit_module, "sync_file", refuse)
    with pytest.raises(StorageError, match=says) as raised:
        job.load(workspace, job.make_run("key-2"), files=("other.csv",))
    assert "other.csv" in raised.value.message
    assert well(workspace, job)
    assert len(stored(workspace, job)) == 1


def test_what_a_writing_thread_was_refused_is_named_and_a_broken_pipe_is_no_storage(tmp_path: Path) -> None:
    def writing(refusal: OSError) -> None:
        def refuse(_item: str) -> None:
            raise refusal

        with storage_errors(tmp_path / "scored.csv"), OrderedWriter(refuse) as writer:
            writer.put("a batch")

    with pytest.raises(StorageError, match=r"no space left on the disk of `.*scored\.csv`"):
        writing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(WriteFailed) as refused:
        writing(BrokenPipeError(errno.EPIPE, "broken"))
    assert isinstance(refused.value.cause, BrokenPipeError)


def test_a_lost_warehouse_with_its_changes_left_is_not_started_anew(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    workspace.warehouse.unlink()
    wal = workspace.warehouse.with_name("warehouse.duckdb.wal")
    wal.write_bytes(b"last changes")
    with pytest.raises(StorageError, match="is gone"):
        job.load(workspace)
    assert wal.read_bytes() == b"last changes"


def test_an_input_whose_name_is_not_unicode_can_be_loaded(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace, replace(job.make_run(), inputs=(FileFact("caf\udce9.csv", 1, "a" * 64),)))
    assert well(workspace, job)


def test_a_second_process_is_told_who_holds_the_warehouse(
    workspace: Workspace, job: ModuleType, child: Callable[..., subprocess.Popen[str]]
) -> None:
    script = (
        "import sys; from pathlib import Path; from studentsuccess.core.locks import hold\n"
        "with hold(Path(sys.argv[1]), 'ss run'): print('held', flush=True); sys.stdin.read()"
    )
    with child("-c", script, str(workspace.lock)) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as raised:
            job.load(workspace)
        assert f"pid {holder.pid} (`ss run`" in raised.value.message
        assert list(workspace.outputs.iterdir()) == []
        holder.stdin.close()
        assert not job.load(workspace, wait=60).already_done


def test_a_failed_run_has_only_its_line(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    failed = job.make_run("key-2")
    assert record_failure(workspace, job.LIMITS, failed, "failed", 4)
    last = read_chain(workspace.ledger).entries[-1].record
    assert (last.run_id, last.status, last.code) == (failed.run_id, "failed", 4)
    assert len(stored(workspace, job)) == 1
    assert well(workspace, job)
    job.load(workspace, job.make_run("key-3"))
    assert well(workspace, job)


def test_the_first_run_may_fail_too(workspace: Workspace, job: ModuleType) -> None:
    assert not record_failure(workspace, job.LIMITS, job.make_run(), "failed", 4)
    assert not workspace.root.exists()
    workspace.root.mkdir()
    assert record_failure(workspace, job.LIMITS, job.make_run(), "failed", 4)
    assert not workspace.warehouse.exists()
    job.load(workspace)
    assert [entry.record.status for entry in read_chain(workspace.ledger).entries] == ["failed", "done"]
    assert well(workspace, job)


def test_a_run_that_was_committed_is_never_told_as_failed(workspace: Workspace, job: ModuleType) -> None:
    run = job.make_run()
    job.load(workspace, run)
    assert not record_failure(workspace, job.LIMITS, run, "interrupted", 130)
    assert [entry.record.status for entry in read_chain(workspace.ledger).entries] == ["done"]


def test_a_failure_that_cannot_be_noted_is_kept_quiet(workspace: Workspace, job: ModuleType) -> None:
    workspace.root.mkdir()
    workspace.warehouse.write_bytes(b"no database")
    assert not record_failure(workspace, job.LIMITS, job.make_run(), "failed", 6)
    assert not workspace.ledger.exists()


def test_a_number_of_a_line_that_was_cut_away_is_not_given_again(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    record_failure(workspace, job.LIMITS, job.make_run("key-2"), "failed", 4)
    whole = workspace.ledger.read_bytes()
    workspace.ledger.write_bytes(whole.splitlines(keepends=True)[0])
    job.load(workspace, job.make_run("key-3"))
    assert read_chain(workspace.ledger).entries[-1].seq == 3
    assert any("removed" in damage.what for damage in read_chain(workspace.ledger).damage)


def test_a_line_missing_in_the_middle_is_never_quietly_put_back(workspace: Workspace, job: ModuleType) -> None:
    for number in (1, 2, 3):
        job.load(workspace, job.make_run(f"key-{number}"))
    one, _, three = workspace.ledger.read_bytes().splitlines(keepends=True)
    workspace.ledger.write_bytes(one + three)
    job.load(workspace, job.make_run("key-4"))
    assert len(read_chain(workspace.ledger).entries) == 3
    assert read_chain(workspace.ledger).damage


def test_the_ledger_says_nothing_that_the_command_line_said(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    line = json.loads(workspace.ledger.read_text("utf-8"))
    assert line["command"] == "ss etl"
    entry = read_chain(workspace.ledger).entries[0]
    append_line(workspace.ledger, build_line(replace(entry.record, run_id="x", status="failed"), entry.head))
    assert read_chain(workspace.ledger).damage == ()
