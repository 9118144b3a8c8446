"""Numbered SQL files, each applied once, in order, in its own transaction, and remembered by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from duckdb import DuckDBPyConnection

from studentsuccess.core.digest import text_digest
from studentsuccess.core.locks import utc_now
from studentsuccess.errors import StorageError
from studentsuccess.warehouse.sql import statement


@dataclass(frozen=True)
class Migration:
    """One step of the warehouse's shape. Line ends are normalised, or a checkout on Windows would look changed."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return text_digest(self.sql)


def known_migrations() -> tuple[Migration, ...]:
    """The migrations that this program brings."""
    folder = files("studentsuccess.warehouse") / "migrations"
    return tuple(
        Migration(int(entry.name[:4]), entry.name.removesuffix(".sql"), entry.read_text("utf-8").replace("\r\n", "\n"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    )


def has_table(connection: DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether the warehouse has this table (a new one has none)."""
    row = connection.execute(statement("has_table"), {"schema": schema, "table": table}).fetchone()
    return row is not None and row[0] > 0


def pending(connection: DuckDBPyConnection, known: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """What `migrate` would apply; refuses a warehouse that this program does not understand. Only reads."""
    known = known_migrations() if known is None else tuple(known)
    applied: dict[int, tuple[str, str]] = {}
    if has_table(connection, "ops", "migration"):
        rows = connection.execute(statement("migrations")).fetchall()
        applied = {int(number): (str(name), str(sha256)) for number, name, sha256 in rows}
    newest = known[-1].number if known else 0
    if applied and max(applied) > newest:
        raise StorageError(
            f"the warehouse was written by a newer ss (migration {max(applied)}; this one knows {newest})",
            "upgrade with `python -m pip install -U studentsuccess`, or use another workspace: `ss -w DIR …`",
        )
    for migration in known:
        name, sha256 = applied.get(migration.number, (migration.name, migration.sha256))
        if sha256 != migration.sha256:
            raise StorageError(
                f"migration `{name}` of the warehouse is not the one that this ss brings: it was changed afterwards",
                "install the released version again: `python -m pip install --force-reinstall studentsuccess`",
            )
    return tuple(migration for migration in known if migration.number not in applied)


def migrate(connection: DuckDBPyConnection, known: Sequence[Migration] | None = None) -> tuple[str, ...]:
    """Apply what is missing and name it."""
    missing = pending(connection, known)
    for migration in missing:
        connection.execute("BEGIN TRANSACTION")
        connection.execute(migration.sql)
        facts = {"number": migration.number, "name": migration.name, "sha256": migration.sha256}
        connection.execute(statement("insert_migration"), {**facts, "applied_at": utc_now().replace(tzinfo=None)})
        connection.execute("COMMIT")
    return tuple(migration.name for migration in missing)
