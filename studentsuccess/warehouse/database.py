"""Opening the warehouse: limits, a closed door to the outside, and DuckDB's errors in words that a user can act on.

While a connection of this process is open, nobody here may open, hash or copy the database file: closing that
second handle would drop DuckDB's lock, and a second writer's rows would vanish.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.locks import Holder, busy_error, read_holder
from studentsuccess.errors import BusyError, SsError, StorageError, UsageError
from studentsuccess.warehouse.sql import literal

# What tasks call a connection: the engine is this room's secret.
Connection = DuckDBPyConnection
_POLL_SECONDS = 0.1
_SAFE = "free some space and run it again: the warehouse is as it was, or the run is complete"


@dataclass(frozen=True)
class EngineLimits:
    """What DuckDB may use of the budget of the whole process."""

    memory_bytes: int
    threads: int


@contextmanager
def connect(
    workspace: Workspace, limits: EngineLimits, read_only: bool = False, wait: float = 0.0
) -> Iterator[DuckDBPyConnection]:
    """A connection that rolls back when the block fails, and closes in any case."""
    if not workspace.warehouse.is_file() and read_only:
        raise UsageError(f"there is no warehouse in `{workspace.root}` yet", "load something first: `ss etl INPUT`")
    with translated(workspace):
        connection = _opened(workspace, workspace.warehouse, limits, read_only, wait)
        try:
            yield connection
        except BaseException:
            _roll_back(connection)
            raise
        finally:
            connection.close()


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Undo the open transaction, if there is one.

    A signal early in a query raises without stopping it, and the next statement then waits for its end, for
    hours if need be: stop it first.
    """
    with suppress(duckdb.Error):
        connection.interrupt()
        connection.execute("ROLLBACK")


def open_file(workspace: Workspace, path: Path, limits: EngineLimits, read_only: bool = False) -> DuckDBPyConnection:
    """One configured connection to the database file at `path`.

    What a statement can reach is the workspace and nothing else, and no later statement can open it up again:
    the order below matters, because `allowed_directories` is fixed once external access is off.
    """
    connection = duckdb.connect(
        str(path),
        read_only=read_only,
        config={
            "memory_limit": f"{limits.memory_bytes}B",
            "threads": limits.threads,
            "temp_directory": str(_spill_folder(workspace, read_only)),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Tables promise no order; keeping one makes a bulk load run on a single thread, at half the speed.
            "preserve_insertion_order": False,
        },
    )
    try:
        connection.execute("SET enable_progress_bar = false")
        with suppress(duckdb.CatalogException):  # a build without ICU keeps no time zones, and then UTC is all there is
            connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET allowed_directories = $folders", {"folders": [str(workspace.root)]})
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(workspace: Workspace, path: Path, limits: EngineLimits, read_only: bool, wait: float) -> DuckDBPyConnection:
    """Open, and try again until `wait` is over while a program that knows nothing of our lock has the file."""
    deadline = time.monotonic() + wait
    while True:
        try:
            return open_file(workspace, path, limits, read_only)
        except duckdb.Error as error:
            meant = meaning(error, workspace)
            if not isinstance(meant, BusyError) or time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _spill_folder(workspace: Workspace, read_only: bool) -> Path:
    """Where DuckDB puts what does not fit in memory: a folder per process, since two readers use the same names.

    DuckDB makes and removes the last folder of the path itself, and only when it needs it.
    """
    if not read_only:
        workspace.staging.mkdir(parents=True, exist_ok=True)
    return workspace.staging / f"spill-{os.getpid()}" if workspace.staging.is_dir() else workspace.staging


@contextmanager
def translated(workspace: Workspace) -> Iterator[None]:
    """Turn what DuckDB raises into what this program means; a defect of ours stays what it is.

    DuckDB answers a signal with a RuntimeError whose cause is what the signal's handler raised.
    """
    try:
        yield
    except duckdb.Error as error:
        meant = meaning(error, workspace)
        if meant is None:
            raise
        raise meant from error
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise (error.__cause__ or KeyboardInterrupt()) from None


def meaning(error: duckdb.Error, workspace: Workspace) -> SsError | None:
    """The user's error behind DuckDB's, or nothing when it is a defect of ours."""
    text = str(error)
    path = _named_path(text, workspace)
    if isinstance(error, duckdb.OutOfMemoryException):
        return _out_of_memory(text)
    if _LOCKED.search(text):
        return _held(text, workspace)
    if _NEWER.search(text):
        return StorageError(
            f"`{path}` was written by a newer DuckDB than this one ({duckdb.__version__})",
            "upgrade with `python -m pip install -U studentsuccess`, or use another workspace: `ss -w DIR …`",
        )
    if _FULL.search(text):
        return StorageError(f"no space left on the disk of `{path}`", _SAFE)
    if _CORRUPT.search(text):
        return StorageError(
            f"`{workspace.warehouse}` is not a readable warehouse ({_reason(text)})",
            "see what is damaged: `ss verify`; then put back a copy of the file, or move it away and load again",
        )
    if isinstance(error, _DISK) or _NO_COMMIT.search(text):
        return StorageError(
            f"reading or writing `{path}` failed ({_reason(text)}): outcome unknown, safe to run again",
            "check the disk, then run the same command again: what is done already is not done twice",
        )
    return None


_DISK = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException)
# We write alone, under a lock: what keeps a commit from being made is the disk.
_NO_COMMIT = re.compile(r"Failed to commit", re.I)
_LOCKED = re.compile(r"Could not set lock on file|Conflicting lock is held|being used by another process", re.I)
_NEWER = re.compile(r"database file with version number \d+, but we can only read|created with an? newer version", re.I)
_FULL = re.compile(r"No space left on device|not enough space on the disk|Disk quota exceeded", re.I)
_CORRUPT = re.compile(
    r"not a valid DuckDB database|Corrupt (database|WAL) file|Could not read enough bytes|Failure while replaying WAL"
    r"|Is a directory|WAL file .* does not match",
    re.I,
)
_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_QUOTED = re.compile(r'"([^"]+)"')


def _reason(text: str) -> str:
    """The first line of DuckDB's text without its class, cut to what fits on a line."""
    line = text.partition("\n")[0]
    return re.sub(r"^[A-Za-z ]+ Error: ", "", line)[:160].rstrip(". ")


def _named_path(text: str, workspace: Workspace) -> str:
    """The file that DuckDB names where that is one of the workspace's (a spill file), else the warehouse."""
    for quoted in _QUOTED.findall(text):
        if Path(quoted).is_relative_to(workspace.root):
            return str(quoted)
    return str(workspace.warehouse)


def _held(text: str, workspace: Workspace) -> BusyError:
    """Who holds the file: by our own lock's word where it is the same process, else by the program's name."""
    ours = read_holder(workspace.lock)
    found = _HOLDER.search(text)
    if found is None:
        return busy_error(ours)
    pid = int(found["pid"])
    if ours is not None and ours.pid == pid:
        return busy_error(ours)
    stranger = busy_error(Holder(pid, Path(found["program"]).name, ""))
    return BusyError(stranger.message, "close the program that has it open (a BI tool, a shell), or use `--wait 60`")


def _out_of_memory(text: str) -> SsError:
    limit = re.search(r"/([0-9.]+ [KMGT]iB) used", text)
    allowed = f" of {limit[1]}" if limit else ""
    return SsError(
        f"DuckDB's share{allowed} of the memory budget is too small for this step",
        "allow more with `--set budget.memory=2GB`; `ss doctor` shows what there is",
    )


@contextmanager
def beside(workspace: Workspace, limits: EngineLimits) -> Iterator[DuckDBPyConnection]:
    """A database in memory with the warehouse attached as `world`, to read: for a world that never was."""
    if not workspace.warehouse.is_file():
        raise UsageError(f"there is no warehouse in `{workspace.root}` yet", "load something first: `ss etl INPUT`")
    with translated(workspace):
        connection = open_file(workspace, Path(":memory:"), limits)
        try:
            connection.execute(f"ATTACH {literal(str(workspace.warehouse))} AS world (READ_ONLY)")
            yield connection
        finally:
            connection.close()
