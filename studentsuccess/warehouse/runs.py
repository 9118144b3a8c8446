"""What a run is to the warehouse: its identity, its key, and whether it was done before."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import TRASH, Workspace
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.core.locks import Clock, utc_now
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.sql import statement


def new_run_id(clock: Clock = utc_now) -> str:
    """Sorts by time, and two in one second differ. What is staged under it belongs in `staging_folder`."""
    return f"{clock().astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Run:
    """One command's effect. `key` is the digest of all that decides it, `targets` what it replaces or extends."""

    run_id: str
    key: str
    command: str
    targets: tuple[str, ...]
    extends: bool
    started_at: datetime
    config_digest: str
    inputs: tuple[FileFact, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class StagedFile:
    """A finished file under its temporary name (see `core.atomic.temp_path`) and where it is to appear.

    With `moved`, its digest, it is no temporary file but one that changes its place: it is never deleted.
    """

    temp: Path
    target: Path
    moved: FileFact | None = None


@dataclass(frozen=True)
class Committed:
    """The run that holds the result: this one, or the earlier one that did the same."""

    run_id: str
    already_done: bool


@dataclass(frozen=True)
class Output:
    """A promised file as `ops.run` keeps it; paths are relative to the workspace where they are inside it."""

    temp: str
    path: str
    size: int
    sha256: str

    @property
    def was_in_trash(self) -> bool:
        """Whether it was brought back, as it was, and not made."""
        return self.temp.startswith(f"{TRASH}/")


@dataclass(frozen=True)
class StoredRun:
    """A row of `ops.run`, as far as recovery and `ss verify` need it."""

    run_id: str
    sequence: int
    extends: bool
    outputs: tuple[Output, ...]
    ledger_line: str


def outputs_text(outputs: Sequence[Output]) -> str:
    """How `ops.run` keeps the outputs."""
    return canonical([asdict(output) for output in outputs])


def stored_runs(connection: DuckDBPyConnection) -> tuple[StoredRun, ...]:
    """Every committed run in order; none in a warehouse that was never written."""
    if not has_table(connection, "ops", "run"):
        return ()
    return tuple(
        StoredRun(run_id, sequence, extends, tuple(Output(**fact) for fact in json.loads(outputs)), line)
        for run_id, sequence, extends, outputs, line in connection.execute(statement("runs")).fetchall()
    )


def find_done(connection: DuckDBPyConnection, key: str, targets: Sequence[str]) -> str | None:
    """The run of `key` on all `targets`, unless a later run with another key replaced one of them."""
    if not has_table(connection, "ops", "run"):
        return None
    row = connection.execute(statement("find_done"), {"key": key, "targets": list(targets)}).fetchone()
    return None if row is None else str(row[0])


def find_complete(workspace: Workspace, connection: DuckDBPyConnection, key: str, targets: Sequence[str]) -> str | None:
    """As `find_done`, and its files are still there: a deleted result is made again instead of called done.

    A run that extends its targets counts as done without its files, because doing it again would double its rows.
    Dead letters are the user's to mend and move, and a file that a later run wrote over is that run's.
    """
    run_id = find_done(connection, key, targets)
    if run_id is None:
        return None
    runs = stored_runs(connection)
    run = next(run for run in runs if run.run_id == run_id)
    after = (output for other in runs if other.sequence > run.sequence for output in other.outputs)
    later = {output.path for output in after if not output.was_in_trash}
    mine = (output for output in run.outputs if output.path not in later)
    return run_id if run.extends or all(_is_there(workspace, output) for output in mine) else None


def _is_there(workspace: Workspace, output: Output) -> bool:
    target = workspace.root / output.path
    if target.is_relative_to(workspace.dead_letters):
        return True
    candidates = (target, workspace.root / output.temp)
    return any(path.is_file() and path.stat().st_size == output.size for path in candidates)


def is_done(workspace: Workspace, limits: EngineLimits, key: str, targets: Sequence[str]) -> str | None:
    """What a plan may say beforehand: reads only, takes no lock, creates nothing."""
    if not workspace.warehouse.is_file():
        return None
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return find_complete(workspace, connection, key, targets)


def newest_load(connection: DuckDBPyConnection) -> FileFact:
    """The digest of everything that was loaded into the warehouse so far: what a result over all of it hangs on."""
    if not has_table(connection, "ops", "run"):
        return FileFact("core", 0, text_digest(""))
    rows = connection.execute(statement("loads")).fetchall()
    size = sum(int(fact["size"]) for _, inputs in rows for fact in json.loads(inputs))
    return FileFact("core", size, text_digest(canonical([str(key) for key, _ in rows])))
