"""Marts into an SQLite file: one transaction, so that a reader sees the old rows or the new ones.

Changed pages stay in memory until the COMMIT: written out before, they would lock every reader out for the whole load.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from studentsuccess.errors import BusyError, SsError, StorageError, UsageError
from studentsuccess.warehouse.marts import KNOWN, Outgoing
from studentsuccess.warehouse.publish_book import BOOK, Advance, Shape, Stamp, There, not_ours, shape_of
from studentsuccess.warehouse.recovery import reached
from studentsuccess.warehouse.sql import identifier, statement

# How long somebody who reads or writes at the moment is waited for.
LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Sqlite:
    """A database file, which may not be there yet."""

    path: Path

    @property
    def shown(self) -> str:
        return f"sqlite:///{self.path.as_posix()}"

    @property
    def whole(self) -> bool:
        return False

    def look(self) -> tuple[There, ...]:
        if not self.path.exists():
            return ()
        with self._opened("ro") as connection:
            shapes, book = _shapes(connection), _book(connection)
            return tuple(There(name, _rows(connection, name), book.get(name)) for name in KNOWN if name in shapes)

    def admit(self, tables: Sequence[Outgoing]) -> None:
        if not self.path.parent.is_dir():
            raise UsageError(f"{self.shown}: there is no folder `{self.path.parent}`", "make it, or mend the address")
        if not self.path.exists():
            return
        with self._opened("ro") as connection:
            self._refuse_foreign(connection, tables)

    def replace(self, tables: Sequence[Outgoing], stamp: Stamp, advance: Advance) -> None:
        with self._opened("rwc") as connection:
            connection.execute("PRAGMA cache_spill = OFF")
            connection.execute("BEGIN IMMEDIATE")
            self._refuse_foreign(connection, tables)
            connection.execute(statement("sqlite_make_book"))
            shapes = _shapes(connection)
            for table in tables:
                _replace_one(connection, table, shapes.get(table.name), advance)
                facts = {"name": table.name, "rows": table.content.rows, "digest": table.content.digest}
                connection.execute(statement("sqlite_book_note"), {**facts, "run_id": stamp.run_id, "at": stamp.at})
                reached(f"published-{table.name}")
            connection.execute("COMMIT")
        reached("published")

    def _refuse_foreign(self, connection: sqlite3.Connection, tables: Sequence[Outgoing]) -> None:
        shapes, book = _shapes(connection), _book(connection)
        for table in tables:
            there = shapes.get(table.name)
            if there is not None and there != shape_of(table.schema, _type) and table.name not in book:
                raise not_ours(self.shown, table.name, "publish into another file: `--to sqlite:///OTHER.db`")

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection that rolls back what is not committed; errors in our words."""
        try:
            if mode == "ro":
                self._settle()
            with self._connected(mode) as connection:
                yield connection
        except sqlite3.Error as problem:
            raise self._failed(problem) from None

    def _settle(self) -> None:
        """Somebody who died in a COMMIT left a journal, and only one who may write can roll it back."""
        if self.path.with_name(f"{self.path.name}-journal").exists():
            with self._connected("rw") as connection:
                _shapes(connection)

    def _connected(self, mode: str) -> closing[sqlite3.Connection]:
        uri = f"{self.path.as_uri()}?mode={mode}"
        return closing(sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None))

    def _failed(self, problem: sqlite3.Error) -> SsError:
        """What stopped the work, by SQLite's own name for it."""
        name = getattr(problem, "sqlite_errorname", "") or type(problem).__name__
        again = "nothing was changed: run the same command again"
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return BusyError(f"{self.shown}: another program holds the file", f"close it there; {again}")
        if name.startswith("SQLITE_NOTADB"):
            return UsageError(f"{self.shown}: is no SQLite database", "name another file: `--to sqlite:///FILE.db`")
        if name.startswith("SQLITE_FULL"):
            return StorageError(f"no space left on the disk of `{self.path}`", f"free some space; {again}")
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR", "SQLITE_CORRUPT")):
            hint = f"see who may write there (`ls -l '{self.path}'`); {again}"
            return StorageError(f"{self.shown}: can't be read or written ({name})", hint)
        return SsError(f"{self.shown}: the database refused the rows ({name})", f"report it; {again}")


def _replace_one(connection: sqlite3.Connection, table: Outgoing, there: Shape | None, advance: Advance) -> None:
    shape, name = shape_of(table.schema, _type), identifier(table.name)
    if there is not None and there != shape:
        connection.execute(f"DROP TABLE {name}")
    if there != shape:
        columns = ", ".join(f"{identifier(column)} {kind}" for column, kind in shape.columns)
        connection.execute(f"CREATE TABLE {name} ({columns})")
    else:
        connection.execute(f"DELETE FROM {name}")  # noqa: S608
    marks = ", ".join("?" * len(shape.columns))
    for batch in table.batches():
        columns_of = [_plain(values).to_pylist() for values in batch.columns]
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", zip(*columns_of, strict=True))  # noqa: S608
        advance(batch.num_rows)
        reached("copying")


def _shapes(connection: sqlite3.Connection) -> dict[str, Shape]:
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(statement("sqlite_columns")):
        found.setdefault(table, []).append((column, kind))
    return {table: Shape(tuple(columns)) for table, columns in found.items()}


def _book(connection: sqlite3.Connection) -> dict[str, str]:
    if BOOK not in _shapes(connection):
        return {}
    return dict(connection.execute(statement("sqlite_book")).fetchall())


def _rows(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {identifier(name)}").fetchone()[0])  # noqa: S608


def _type(kind: pa.DataType) -> str:
    """SQLite has no days: a date is a text that sorts like one. A truth value is 0 or 1."""
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return "INTEGER"
    return "REAL" if pa.types.is_floating(kind) else "TEXT"


def _plain(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8())
    return values.cast(pa.string()) if pa.types.is_temporal(values.type) else values
