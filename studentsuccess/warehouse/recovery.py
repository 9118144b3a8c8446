"""Keeping the promises of a COMMIT: files renamed, the ledger's line written, also after a crash in between."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import promote
from studentsuccess.core.digest import file_digest
from studentsuccess.core.writer import WriteFailed
from studentsuccess.errors import StorageError
from studentsuccess.warehouse.ledger import DONE, Head, append_line, cut_torn_tail, read_chain, read_head, write_head
from studentsuccess.warehouse.runs import Output, StoredRun, stored_runs
from studentsuccess.warehouse.staging import sweep


def _no_step(_name: str) -> None:
    """Nothing happens between two steps, except in the crash tests."""


_step: Callable[[str], None] = _no_step


def reached(name: str) -> None:
    """A point at which a crash must do no harm."""
    _step(name)


def recover(workspace: Workspace, connection: DuckDBPyConnection) -> tuple[str, ...]:
    """Complete what was committed and not finished, remove what died before; the commands that were completed.

    Only runs beyond the ledger's end are completed: a line that is missing in the middle was taken away by someone,
    which is for `ss verify` to say and not for us to hide.
    """
    with storage_errors(workspace.ledger):
        cut_torn_tail(workspace.ledger)
        chain = read_chain(workspace.ledger)
        last = max((entry.seq for entry in chain.entries), default=0)
        written = {entry.record.run_id for entry in chain.entries if entry.record.status == DONE}
        unfinished = [run for run in stored_runs(connection) if run.sequence > last and run.run_id not in written]
        for run in unfinished:
            roll_forward(workspace, run.outputs, run.ledger_line)
        _mend_head(workspace.ledger)
        sweep(workspace)
    return tuple(str(json.loads(run.ledger_line)["command"]) for run in unfinished)


def roll_forward(workspace: Workspace, outputs: Sequence[Output], ledger_line: str) -> None:
    """Rename the promised files and write the promised line. Repeating it changes nothing."""
    for number, output in enumerate(outputs):
        _promote_promised(workspace, output)
        reached(f"renamed-{number}")
    with storage_errors(workspace.ledger):
        append_line(workspace.ledger, ledger_line)
    reached("appended")


def _promote_promised(workspace: Workspace, output: Output) -> None:
    """A file that is neither finished nor waiting was deleted by somebody: `ss verify` will miss it."""
    temp, target = workspace.root / output.temp, workspace.root / output.path
    if output.was_in_trash and os.path.lexists(target):
        return  # what stands there now is newer; the other stays in the trash
    if temp.is_file() and file_digest(temp) == output.sha256:
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            promote(temp, target)


def _mend_head(ledger: Path) -> None:
    """Bring a head that a crash left behind up to the last line; one that is ahead is evidence and stays."""
    chain, noted = read_chain(ledger), read_head(ledger)
    behind = noted is None or noted in {entry.head for entry in chain.entries[:-1]} or noted == Head()
    if chain.entries and behind:
        write_head(ledger, chain.head)


def next_head(workspace: Workspace, runs: Sequence[StoredRun]) -> Head:
    """What the next line is bound to. A number that was ever given is not given again, so that a cut stays seen."""
    chain, noted = read_chain(workspace.ledger), read_head(workspace.ledger)
    given = [chain.head.seq, noted.seq if noted else 0, *(run.sequence for run in runs)]
    return Head(max(given), chain.head.hash)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """The system's refusal as ours, naming the file that it was about. A pipe or a network is no storage."""
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise _refused(error, path) from error
    except WriteFailed as error:
        if not isinstance(error.cause, OSError) or isinstance(error.cause, ConnectionError | TimeoutError):
            raise
        raise _refused(error.cause, path) from error


def _refused(error: OSError, path: Path) -> StorageError:
    named = error.filename2 or error.filename or path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"no space left on the disk of `{named}`", "free some space and run it again")
    return StorageError(
        f"can't read or write `{named}`: {os.strerror(error.errno) if error.errno else error}",
        "close what has it open, see who may write there, and run it again: nothing is done twice",
    )
