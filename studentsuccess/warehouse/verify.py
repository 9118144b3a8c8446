"""The world held against the ledger. Reads only: no lock, no recovery, no byte changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import duckdb
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import FileFact, file_digest
from studentsuccess.errors import StorageError
from studentsuccess.warehouse.database import EngineLimits, connect, meaning
from studentsuccess.warehouse.ledger import DONE, Chain, Entry, read_chain
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.runs import StoredRun, stored_runs
from studentsuccess.warehouse.sql import identifier
from studentsuccess.warehouse.staging import dead_runs, is_staged, temp_files
from studentsuccess.warehouse.tables import table_rows

Level = Literal["damage", "warning", "ok"]
_RESTORE = "put back a copy of `logs/`, or keep the damage as a record and go on: new lines follow the last whole one"
_RERUN = "run the command again"
_NEXT = "nothing to do: the next command that writes brings it to its end"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what is wrong with it and what mends it, or that it is well."""

    level: Level
    subject: str
    what: str
    fix: str = ""


def verify(workspace: Workspace, limits: EngineLimits) -> list[Finding]:
    """Everything that differs from what the ledger says, then what is well."""
    chain = read_chain(workspace.ledger)
    if not workspace.warehouse.exists() and not chain.entries and not chain.damage:
        findings = [Finding("ok", workspace.warehouse.name, "no warehouse yet", "load something: `ss etl INPUT`")]
    else:
        runs, in_database = _database(workspace, limits, chain)
        findings = [*_chain(workspace, chain), *in_database, *_outputs(workspace, chain, runs)]
    return [*findings, *_leftovers(workspace), *_models(workspace)]


def _chain(workspace: Workspace, chain: Chain) -> Iterator[Finding]:
    name = _name(workspace, workspace.ledger)
    for damage in chain.damage:
        fix = _NEXT if damage.torn else _RESTORE
        yield Finding("warning" if damage.torn else "damage", name, f"line {damage.line_number} {damage.what}", fix)
    if not chain.damage:
        yield Finding("ok", name, f"{len(chain.entries)} lines, the chain is whole")


def _database(workspace: Workspace, limits: EngineLimits, chain: Chain) -> tuple[tuple[StoredRun, ...], list[Finding]]:
    """What the database has to say, or why it can't say anything."""
    name = workspace.warehouse.name
    done = [entry for entry in chain.entries if entry.record.status == DONE]
    if not workspace.warehouse.exists():
        if not done:
            return (), [Finding("ok", name, "no warehouse yet", "load something: `ss etl INPUT`")]
        what = f"is gone; the ledger knows {len(done)} runs that it held"
        return (), [Finding("damage", name, what, "put back a copy of the file, or load again: `ss etl INPUT`")]
    try:
        with connect(workspace, limits, read_only=True) as connection:
            pending(connection)
            runs = stored_runs(connection)
            findings = [*_pairs(workspace, chain, done, runs), *_tables(workspace, connection, done, runs)]
    except StorageError as error:
        return (), [Finding("damage", name, error.message, error.hint)]
    return runs, findings


def _pairs(workspace: Workspace, chain: Chain, done: list[Entry], runs: tuple[StoredRun, ...]) -> Iterator[Finding]:
    """Each successful line has its row, and each row its line."""
    name, ledger = workspace.warehouse.name, _name(workspace, workspace.ledger)
    rows = {run.run_id for run in runs}
    lines = {entry.record.run_id for entry in done}
    last = max((entry.seq for entry in chain.entries), default=0)
    for entry in done:
        if entry.record.run_id not in rows:
            what = (
                f"has lost run {entry.record.run_id} (`{entry.record.command}`, line {entry.line_number} of {ledger})"
            )
            yield Finding("damage", name, what, "put back a copy of the file, or load again what that run loaded")
    for run in runs:
        if run.run_id in lines:
            continue
        if run.sequence > last:
            yield Finding("warning", ledger, f"has no line yet for run {run.run_id}: it was cut short", _NEXT)
        else:
            yield Finding("damage", ledger, f"has lost the line of run {run.run_id} (number {run.sequence})", _RESTORE)


def _tables(
    workspace: Workspace, connection: DuckDBPyConnection, done: list[Entry], runs: tuple[StoredRun, ...]
) -> Iterator[Finding]:
    """Rows as many as the last commit left, and every one of them readable."""
    name = workspace.warehouse.name
    expected = _expected_rows(done, runs)
    there = table_rows(connection)
    wrong = 0
    for table in sorted(expected.keys() | there.keys()):
        finding = _table(workspace, connection, table, expected.get(table), there.get(table))
        if finding is not None:
            wrong += 1
            yield finding
    if not wrong:
        yield Finding("ok", name, f"{len(there)} tables, {sum(there.values()):,} rows, as the ledger says")


def _expected_rows(done: list[Entry], runs: tuple[StoredRun, ...]) -> dict[str, int]:
    """By the last commit: its line may still be on its way from the database to the ledger."""
    last_line = done[-1] if done else None
    if runs and (last_line is None or runs[-1].sequence > last_line.seq):
        return dict(json.loads(runs[-1].ledger_line)["warehouse_rows"])
    return dict(last_line.record.warehouse_rows) if last_line else {}


def _table(
    workspace: Workspace, connection: DuckDBPyConnection, table: str, expected: int | None, there: int | None
) -> Finding | None:
    restore = "put back a copy of the file, or load again: `ss etl INPUT`"
    if there is None:
        return Finding("damage", table, f"is missing; the ledger says {expected:,} rows", restore)
    if expected is None:
        empty = there == 0
        return None if empty else Finding("damage", table, f"has {there:,} rows that no run wrote", restore)
    if there != expected:
        return Finding("damage", table, f"has {there:,} rows; the ledger says {expected:,}", restore)
    return _unreadable(workspace, connection, table)


def _unreadable(workspace: Workspace, connection: DuckDBPyConnection, table: str) -> Finding | None:
    """Read every column: DuckDB checks its blocks when they are read, and not before."""
    schema, _, name = table.partition(".")
    query = f"SELECT bit_xor(hash(COLUMNS(*))) FROM {identifier(schema)}.{identifier(name)}"  # noqa: S608
    try:
        connection.execute(query).fetchall()
    except duckdb.Error as error:
        meant = meaning(error, workspace)
        if not isinstance(meant, StorageError):
            raise
        return Finding("damage", table, f"can't be read: {meant.message}", meant.hint)
    return None


def _outputs(workspace: Workspace, chain: Chain, runs: tuple[StoredRun, ...]) -> Iterator[Finding]:
    """Each file as the last run that wrote it left it."""
    latest: dict[str, tuple[FileFact, str, Path | None]] = {}
    for entry in chain.entries:
        for fact in entry.record.outputs:
            latest[fact.path] = (fact, f"run {entry.record.run_id} (`{entry.record.command}`)", None)
    written = {entry.record.run_id for entry in chain.entries}
    for run in runs:
        if run.run_id not in written and run.sequence > chain.head.seq:
            for output in run.outputs:
                fact = FileFact(output.path, output.size, output.sha256)
                latest[output.path] = (fact, f"run {run.run_id}", workspace.root / output.temp)
    wrong = 0
    for fact, wrote, temp in latest.values():
        finding = _output(workspace, fact, wrote, temp)
        if finding is not None:
            wrong += 1
            yield finding
    if latest and not wrong:
        yield Finding("ok", "files", f"{len(latest)} files are as their runs wrote them")


def _output(workspace: Workspace, fact: FileFact, wrote: str, temp: Path | None) -> Finding | None:
    path = workspace.root / fact.path
    difference = _difference(path, fact)
    if difference is None or (temp is not None and _difference(temp, fact) is None):
        return None
    if path.is_relative_to(workspace.dead_letters):
        return Finding("warning", fact.path, f"{difference} since {wrote} wrote it", "fine if you mended or moved it")
    return Finding("damage", fact.path, f"{difference} since {wrote} wrote it", f"{_RERUN}, or put back a copy")


def _difference(path: Path, fact: FileFact) -> str | None:
    """How the file differs from what was noted, cheapest question first."""
    try:
        if not path.is_file():
            return "is missing"
        size = path.stat().st_size
        if size != fact.size:
            return f"has {size:,} bytes instead of {fact.size:,}"
        found = file_digest(path)
    except OSError as error:
        return f"can't be read ({error.strerror or error})"
    if found != fact.sha256:
        return f"has other content (sha256 {found[:12]}… instead of {fact.sha256[:12]}…)"
    return None


def _leftovers(workspace: Workspace) -> Iterator[Finding]:
    """Unfinished files. Those of a run that is still going on are nobody's business."""
    dead = dead_runs(workspace)
    for path, run_id in temp_files(workspace):
        if run_id in dead:
            yield Finding("warning", _name(workspace, path), "was left unfinished by a run that was killed", _NEXT)
        elif not is_staged(workspace, run_id):
            yield Finding("warning", _name(workspace, path), "is unfinished and belongs to no run", "delete it")


def _models(workspace: Workspace) -> Iterator[Finding]:
    """Every file that a model's manifest lists."""
    manifests = sorted(workspace.models.glob("*/*/manifest.json"))
    wrong = 0
    for manifest in manifests:
        for finding in _model(workspace, manifest):
            wrong += 1
            yield finding
    if manifests and not wrong:
        yield Finding("ok", "models", f"{len(manifests)} versions are as their manifests say")


def _model(workspace: Workspace, manifest: Path) -> Iterator[Finding]:
    fix = "put back a copy of the folder, or train again: `ss train local`"
    try:
        listed = json.loads(manifest.read_bytes())["files"]
        facts = [FileFact(str(fact["path"]), int(fact["size"]), str(fact["sha256"])) for fact in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"is not a readable manifest ({type(error).__name__})"
        yield Finding("damage", _name(workspace, manifest), what, fix)
        return
    for fact in facts:
        inner = PurePosixPath(fact.path)
        if inner.is_absolute() or ".." in inner.parts:
            yield Finding("damage", _name(workspace, manifest), "lists a file outside its own folder", fix)
            continue
        difference = _difference(manifest.parent / inner, fact)
        if difference is not None:
            what = f"{difference}, by its manifest"
            yield Finding("damage", _name(workspace, manifest.parent / inner), what, fix)


def _name(workspace: Workspace, path: Path) -> str:
    """As the user knows it: from the workspace."""
    return path.relative_to(workspace.root).as_posix()
