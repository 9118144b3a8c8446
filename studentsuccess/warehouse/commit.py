"""One commit point for the database, the files and the ledger.

The COMMIT of one transaction holds the data, the run, its finished ledger line and the digests of its files. What
comes after it (renames, the line) is only kept promises, and the next command keeps them if this one dies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import duckdb
from duckdb import DuckDBPyConnection

from studentsuccess import __version__
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import promote, sync_file
from studentsuccess.core.digest import FileFact, canonical, file_digest
from studentsuccess.core.locks import Clock, hold, utc_now
from studentsuccess.errors import SsError, StorageError, UsageError
from studentsuccess.warehouse.database import EngineLimits, connect, open_file, translated
from studentsuccess.warehouse.ledger import DONE, Record, append_line, build_line
from studentsuccess.warehouse.migrate import migrate, pending
from studentsuccess.warehouse.recovery import next_head, reached, recover, roll_forward, storage_errors
from studentsuccess.warehouse.runs import (
    Committed,
    Output,
    Run,
    StagedFile,
    StoredRun,
    find_complete,
    find_done,
    is_done,
    new_run_id,
    outputs_text,
    stored_runs,
)
from studentsuccess.warehouse.sql import statement
from studentsuccess.warehouse.staging import dead_runs, hollow_folders, keep_promise, promise, staging_folder
from studentsuccess.warehouse.tables import rows_to_note, table_rows
from studentsuccess.warehouse.views import refresh_views

__all__ = [
    "Committed",
    "Run",
    "StagedFile",
    "Work",
    "commit",
    "find_done",
    "finish",
    "is_done",
    "mend",
    "new_run_id",
    "record_failure",
    "recover",
]

Work = Callable[[DuckDBPyConnection], None]


def commit(
    workspace: Workspace,
    limits: EngineLimits,
    run: Run,
    staged: Sequence[StagedFile],
    work: Work,
    wait: float = 0.0,
    clock: Clock = utc_now,
) -> Committed:
    """Make the run's effect real, all of it or nothing; `work` changes data and leaves the transaction alone.

    The staged files are ours from here on: they are renamed, or deleted when the run fails or was done before.
    """
    begun = False
    try:
        with hold(workspace.lock, run.command, wait, clock), storage_errors(workspace.staging):
            reached("locked")
            with staging_folder(workspace, run.run_id):
                _create_missing(workspace, limits, run.run_id)
                with connect(workspace, limits, wait=wait) as connection:
                    done = _earlier(workspace, connection, run)
                    if done is not None:
                        _discard(staged)
                        return Committed(done, already_done=True)
                    outputs = _seal(workspace, staged)
                    line = _transact(workspace, connection, run, outputs, work, clock)
                    begun = True
                    _finish(workspace, connection, run, outputs, line)
        reached("closed")
    except BaseException:
        if not begun:
            _discard(staged)
        raise
    return Committed(run.run_id, already_done=False)


def finish(workspace: Workspace, limits: EngineLimits, command: str, wait: float = 0.0) -> tuple[str, ...]:
    """Bring runs to their end that were killed after their COMMIT: for commands whose plan looks at files themselves.
    Which commands they were."""
    if workspace.warehouse.is_file() and (dead_runs(workspace) or hollow_folders(workspace)):
        return mend(workspace, limits, command, wait)
    return ()


def mend(workspace: Workspace, limits: EngineLimits, command: str, wait: float = 0.0) -> tuple[str, ...]:
    """As the beginning of every commit: what was cut short is finished, and views that are missing are made."""
    with (
        hold(workspace.lock, command, wait),
        storage_errors(workspace.staging),
        connect(workspace, limits, wait=wait) as connection,
    ):
        return _brought_up_to_date(workspace, connection)


def _create_missing(workspace: Workspace, limits: EngineLimits, run_id: str) -> None:
    """A new warehouse appears whole: killed while creating it in place, DuckDB leaves a file it can't open."""
    wal = workspace.warehouse.with_name(f"{workspace.warehouse.name}.wal")
    if workspace.warehouse.exists():
        return
    if wal.exists():
        raise StorageError(
            f"`{workspace.warehouse}` is gone, but its last changes are still in `{wal.name}`",
            f"put the file back from a copy; to start anew instead, delete `{wal}`",
        )
    unfinished = workspace.staging / run_id / workspace.warehouse.name
    with translated(workspace):
        connection = open_file(workspace, unfinished, limits)
        try:
            migrate(connection)
        finally:
            connection.close()
    sync_file(unfinished)
    reached("created")
    promote(unfinished, workspace.warehouse)


def _earlier(workspace: Workspace, connection: DuckDBPyConnection, run: Run) -> str | None:
    """Bring the warehouse up to date, then see whether this was done before."""
    _brought_up_to_date(workspace, connection)
    return find_complete(workspace, connection, run.key, run.targets)


def _brought_up_to_date(workspace: Workspace, connection: DuckDBPyConnection) -> tuple[str, ...]:
    pending(connection)
    completed = recover(workspace, connection)
    reached("recovered")
    migrate(connection)
    refresh_views(workspace, connection)
    reached("migrated")
    return completed


def _seal(workspace: Workspace, staged: Sequence[StagedFile]) -> tuple[Output, ...]:
    """Make the staged files durable and note what they are; what would stop the renames later stops them here."""
    for file in staged:
        if file.target.is_dir():
            raise UsageError(f"`{file.target}` is a folder, and a file should go there", "name a file: `-o FILE`")
        file.target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2, thread_name_prefix="ss-seal") as executor:
        outputs = tuple(executor.map(lambda file: _sealed(workspace, file), staged))
    reached("sealed")
    return outputs


def _sealed(workspace: Workspace, file: StagedFile) -> Output:
    if file.moved:
        return Output(workspace.name_of(file.temp), workspace.name_of(file.target), file.moved.size, file.moved.sha256)
    sync_file(file.temp)
    size = file.temp.stat().st_size
    return Output(workspace.name_of(file.temp), workspace.name_of(file.target), size, file_digest(file.temp))


def _transact(
    workspace: Workspace,
    connection: DuckDBPyConnection,
    run: Run,
    outputs: Sequence[Output],
    work: Work,
    clock: Clock,
) -> str:
    """Data and books in one open transaction; the ledger's line that it promises."""
    connection.execute("BEGIN TRANSACTION")
    transaction = _transaction(connection)
    earlier, before = stored_runs(connection), table_rows(connection)
    work(connection)
    if _transaction(connection) != transaction:
        raise SsError(f"a step of `{run.command}` ended the transaction by itself", "report it: `ss doctor -f json`")
    reached("worked")
    rows = rows_to_note(earlier, before, table_rows(connection))
    finished = clock()
    record = _record(run, DONE, 0, finished, outputs, rows)
    head = next_head(workspace, earlier)
    line = build_line(record, head)
    connection.execute(statement("insert_run"), _run_row(run, record, head.seq + 1, outputs, finished, line))
    for target in run.targets:
        connection.execute(statement("insert_target"), {"run_id": run.run_id, "target": target})
    promise(workspace, run.run_id)
    reached("recorded")
    return line


def _finish(
    workspace: Workspace, connection: DuckDBPyConnection, run: Run, outputs: Sequence[Output], line: str
) -> None:
    """The commit point, and the promises."""
    connection.execute("COMMIT")
    reached("committed")
    roll_forward(workspace, outputs, line)
    refresh_views(workspace, connection)
    keep_promise(workspace, run.run_id)
    connection.execute("CHECKPOINT")
    reached("checkpointed")


def _transaction(connection: DuckDBPyConnection) -> int:
    row = connection.execute("SELECT txid_current()").fetchone()
    return int(row[0]) if row else -1


def _record(
    run: Run, status: str, code: int, finished: datetime, outputs: Sequence[Output], rows: Mapping[str, int]
) -> Record:
    return Record(
        run_id=run.run_id,
        command=run.command,
        status=status,
        code=code,
        started=_stamp(run.started_at),
        finished=_stamp(finished),
        config_digest=run.config_digest,
        version=__version__,
        inputs=run.inputs,
        outputs=tuple(FileFact(output.path, output.size, output.sha256) for output in outputs),
        counts=run.counts,
        warehouse_rows=rows,
    )


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _run_row(
    run: Run, record: Record, sequence: int, outputs: Sequence[Output], finished: datetime, line: str
) -> dict[str, object]:
    told = json.loads(line)
    return {
        "run_id": run.run_id,
        "sequence": sequence,
        "key": run.key,
        "command": run.command,
        "extends": run.extends,
        "started_at": run.started_at.astimezone(UTC).replace(tzinfo=None),
        "finished_at": finished.astimezone(UTC).replace(tzinfo=None),
        "config_digest": run.config_digest,
        "program_version": record.version,
        "inputs": canonical(told["inputs"]),
        "outputs": outputs_text(outputs),
        "counts": canonical(told["counts"]),
        "ledger_line": line,
    }


def _discard(staged: Sequence[StagedFile]) -> None:
    for file in staged:
        if file.moved:
            continue
        with suppress(OSError):
            file.temp.unlink(missing_ok=True)


def record_failure(
    workspace: Workspace, limits: EngineLimits, run: Run, status: str, code: int, clock: Clock = utc_now
) -> bool:
    """Note a run that failed, if that is possible at once: it must never hide the failure itself.

    An interrupted run may have been committed all the same; then the ledger tells that, and not a failure.
    """
    if not workspace.root.is_dir():
        return False
    try:
        with hold(workspace.lock, run.command, 0.0, clock), storage_errors(workspace.ledger):
            runs: tuple[StoredRun, ...] = ()
            if workspace.warehouse.is_file():
                with connect(workspace, limits) as connection:
                    pending(connection)
                    recover(workspace, connection)
                    runs = stored_runs(connection)
            if any(stored.run_id == run.run_id for stored in runs):
                return False
            record = _record(run, status, code, clock(), (), {})
            append_line(workspace.ledger, build_line(record, next_head(workspace, runs)))
    except (SsError, duckdb.Error):
        return False
    return True
