"""The world held against the ledger. Reads only: no lock, no recovery, no byte changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import duckdb
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import TRASH, Workspace
from studentsuccess.core.digest import FileFact, file_digest
from studentsuccess.errors import StorageError
from studentsuccess.warehouse.database import EngineLimits, connect, meaning
from studentsuccess.warehouse.ledger import DONE, Chain, Entry, read_chain, read_record
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.runs import StoredRun, stored_runs
from studentsuccess.warehouse.sql import identifier, statement
from studentsuccess.warehouse.staging import dead_runs, is_staged, temp_files
from studentsuccess.warehouse.tables import table_rows
from studentsuccess.warehouse.trash import CLEAN, World, lost_manifests, told
from studentsuccess.warehouse.views import missing_views

Level = Literal["damage", "warning", "ok"]
_RESTORE = "put back a copy of `logs/`, or keep the damage as a record and go on: new lines follow the last whole one"
_RERUN = "run the command again"
_MISSING = "is missing"
_GIVEN_UP = "it can't be brought back by itself; `ss clean --empty` gives it up"
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
        world, owed = _world(chain, runs)
        files = [*_outputs(workspace, world, owed), *_trash(workspace, world, owed)]
        findings = [*_chain(workspace, chain), *in_database, *files]
        findings += [*_models(workspace, world.taken.keys() | owed.keys())]
    return [*findings, *_leftovers(workspace)]


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
            findings += _views(connection)
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
    """Rows as many as the last commit left, and every one of them readable; the book's own too."""
    name = workspace.warehouse.name
    expected = _expected_rows(done, runs)
    there = table_rows(connection)
    books = (table for (table,) in connection.execute(statement("book_tables")).fetchall())
    found = [
        *(
            _table(workspace, connection, table, expected.get(table), there.get(table))
            for table in sorted(expected | there)
        ),
        *(_unreadable(workspace, connection, table) for table in books),
    ]
    wrong = [finding for finding in found if finding is not None]
    yield from wrong
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


def _views(connection: DuckDBPyConnection) -> Iterator[Finding]:
    """Every dataset has its view. One that was made before the workspace was moved is renewed by the next command."""
    for name in missing_views(connection):
        yield Finding("warning", f"raw.{name}", "is missing: the view of its dataset", _NEXT)


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


def _world(chain: Chain, runs: tuple[StoredRun, ...]) -> tuple[World, dict[str, Path]]:
    """Where each file should be, and where it may still wait for a run that was cut short after its COMMIT."""
    written = {entry.record.run_id for entry in chain.entries}
    unfinished = [run for run in runs if run.run_id not in written and run.sequence > chain.head.seq]
    records = [entry.record for entry in chain.entries]
    records += [record for run in unfinished if (record := read_record(run.ledger_line)) is not None]
    return told(records), {output.path: Path(output.temp) for run in unfinished for output in run.outputs}


def _outputs(workspace: Workspace, world: World, owed: Mapping[str, Path]) -> Iterator[Finding]:
    """Each file as the last run that wrote it left it."""
    wrong = 0
    for fact, wrote in world.placed.values():
        finding = _output(workspace, fact, wrote, owed.get(fact.path))
        if finding is not None:
            wrong += 1
            yield finding
    if world.placed and not wrong:
        yield Finding("ok", "files", f"{len(world.placed)} files are as their runs wrote them")


def _trash(workspace: Workspace, world: World, owed: Mapping[str, Path]) -> Iterator[Finding]:
    """What was cleaned is where `ss clean --undo` will look for it, until the trash is emptied."""
    standing = [one for one in world.taken.values() if not one.emptied]
    wrong = 0
    for one in standing:
        difference = _difference(workspace.root / one.where, one.fact)
        if difference is None or (one.where in owed and _difference(workspace.root / one.fact.path, one.fact) is None):
            continue
        wrong += 1
        what = f"{difference} since run {one.run_id} (`{CLEAN}`) put it in the trash"
        level: Level = "warning" if difference == _MISSING else "damage"
        yield Finding(level, one.where, what, _GIVEN_UP)
    for manifest in lost_manifests(workspace, world):
        if _name(workspace, manifest) not in owed:
            wrong += 1
            yield Finding("damage", _name(workspace, manifest), "is missing or no manifest of that trash", _GIVEN_UP)
    if standing and not wrong:
        size = sum(one.fact.size for one in standing)
        what = f"{len(standing):,} files ({size:,} bytes) were cleaned: `ss clean --undo` brings the last ones back"
        yield Finding("ok", TRASH, what)


def _output(workspace: Workspace, fact: FileFact, wrote: str, temp: Path | None) -> Finding | None:
    path = workspace.root / fact.path
    difference = _difference(path, fact)
    if difference is None or (temp is not None and _difference(workspace.root / temp, fact) is None):
        return None
    if path.is_relative_to(workspace.dead_letters):
        return Finding("warning", fact.path, f"{difference} since {wrote} wrote it", "fine if you mended or moved it")
    return Finding("damage", fact.path, f"{difference} since {wrote} wrote it", f"{_RERUN}, or put back a copy")


def _difference(path: Path, fact: FileFact) -> str | None:
    """How the file differs from what was noted, cheapest question first."""
    try:
        if not path.is_file():
            return _MISSING
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


def _models(workspace: Workspace, on_their_way: Collection[str]) -> Iterator[Finding]:
    """Every file that a model's manifest lists, unless a clean is just taking it away or bringing it back."""
    manifests = sorted(workspace.models.glob("*/*/manifest.json"))
    wrong = 0
    for manifest in manifests:
        for finding in _model(workspace, manifest):
            if finding.subject in on_their_way:
                continue
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
