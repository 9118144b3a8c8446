"""Marts into Postgres: one transaction that deletes the old rows and copies the new ones.

Rows are replaced and not tables. A reader then never waits and never meets an empty table, also one whose snapshot is
older than our COMMIT, and what others hang on the tables (grants, views, indexes) stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv

from studentsuccess.errors import BusyError, SsError, StorageError, UsageError
from studentsuccess.warehouse.marts import KNOWN, Outgoing
from studentsuccess.warehouse.publish_book import (
    BOOK,
    Advance,
    Shape,
    Stamp,
    There,
    no_access,
    not_ours,
    shape_of,
)
from studentsuccess.warehouse.recovery import reached
from studentsuccess.warehouse.sql import statement

if TYPE_CHECKING:
    from psycopg import Connection, Error
    from psycopg.sql import Composed

INSTALL = 'python -m pip install "studentsuccess[postgres]"'
CONNECT_SECONDS = "10"
# Somebody who holds a table for longer than this is told of instead of waited for.
LOCK_TIMEOUT = "10s"
_AGAIN = "nothing was changed: run the same command again"
_CSV = pyarrow.csv.WriteOptions(include_header=False)


@dataclass(frozen=True)
class Postgres:
    """A schema of a database. The parameters of the connection may hold a password, so they are never shown."""

    parameters: Mapping[str, str] = field(repr=False)
    schema: str

    @property
    def shown(self) -> str:
        host = self.parameters.get("host") or "localhost"
        port = f":{self.parameters['port']}" if self.parameters.get("port") else ""
        return f"postgresql://{host}{port}/{self.parameters.get('dbname', '')} (schema {self.schema})"

    @property
    def whole(self) -> bool:
        return False

    def look(self) -> tuple[There, ...]:
        with self._connected() as connection:
            shapes, book = self._shapes(connection), self._book(connection)
            names = [name for name in KNOWN if name in shapes]
            return tuple(There(name, self._rows(connection, name), book.get(name)) for name in names)

    def admit(self, tables: Sequence[Outgoing]) -> None:
        with self._connected() as connection:
            rights = connection.execute(_text("postgres_rights"), {"schema": self.schema}).fetchone()
            read_only, may_create, may_use = rights or (True, False, False)
            if read_only:
                raise no_access(
                    f"{self.shown} is read-only", "publish to the primary server, as a user that may write there"
                )
            shapes, book = self._shapes(connection), self._book(connection)
            for table in tables:
                self._refuse_foreign(table, shapes, book)
            fresh = [name for name in (*(table.name for table in tables), BOOK) if name not in shapes]
            if not may_use or (fresh and not may_create):
                raise self._not_allowed(f"create `{fresh[0]}`" if fresh else "use the schema")
            self._refuse_unwritable(connection, [table.name for table in tables])

    def replace(self, tables: Sequence[Outgoing], stamp: Stamp, advance: Advance) -> None:
        with self._connected() as connection:
            connection.execute(_text("postgres_wait"), {"timeout": LOCK_TIMEOUT, "schema": self.schema})
            self._make_places(connection)
            shapes, book = self._shapes(connection), self._book(connection)
            for table in tables:
                self._refuse_foreign(table, shapes, book)
                self._replace_one(connection, table, shapes.get(table.name), advance)
                facts = {"name": table.name, "rows": table.content.rows, "digest": table.content.digest}
                connection.execute(self._sql("postgres_book_forget", BOOK), facts)
                connection.execute(
                    self._sql("postgres_book_note", BOOK), {**facts, "run_id": stamp.run_id, "at": stamp.at}
                )
                reached(f"published-{table.name}")
            connection.commit()
        reached("published")

    def _replace_one(self, connection: Connection[Any], table: Outgoing, there: Shape | None, advance: Advance) -> None:
        shape = shape_of(table.schema, _type)
        if there is not None and there != shape:
            connection.execute(self._sql("postgres_drop", table.name))
        if there != shape:
            connection.execute(self._create(table.name, shape))
        else:
            connection.execute(self._sql("postgres_empty", table.name))
        with connection.cursor() as cursor, cursor.copy(self._sql("postgres_copy", table.name)) as copy:
            for batch in table.batches():
                copy.write(_as_csv(batch))
                advance(batch.num_rows)
                reached("copying")

    def _make_places(self, connection: Connection[Any]) -> None:
        """The schema and the book. Asked for before it is made: `IF NOT EXISTS` needs the right to make it."""
        there = connection.execute(_text("postgres_has_schema"), {"schema": self.schema}).fetchone()
        if there is None:
            connection.execute(self._sql("postgres_make_schema", BOOK))
        if BOOK not in self._shapes(connection):
            connection.execute(self._sql("postgres_make_book", BOOK))

    def _create(self, name: str, shape: Shape) -> Composed:
        """Column names are ours, and types are words of this file; both are put in as what they are."""
        from psycopg import sql

        columns = [sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind)) for column, kind in shape.columns]
        names = {"table": sql.Identifier(self.schema, name), "columns": sql.SQL(", ").join(columns)}
        return sql.SQL(statement("postgres_create")).format(**names)

    def _sql(self, name: str, table: str) -> Composed:
        """A statement about one table of the schema."""
        from psycopg import sql

        text = sql.SQL(statement(name))
        return text.format(table=sql.Identifier(self.schema, table), schema=sql.Identifier(self.schema))

    def _shapes(self, connection: Connection[Any]) -> dict[str, Shape]:
        """What stands in the schema under any name: of a view too the name is taken."""
        found: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in connection.execute(_text("postgres_columns"), {"schema": self.schema}).fetchall():
            found.setdefault(table, []).append((column, kind))
        return {table: Shape(tuple(columns)) for table, columns in found.items()}

    def _book(self, connection: Connection[Any]) -> dict[str, str]:
        if BOOK not in self._shapes(connection):
            return {}
        return dict(connection.execute(self._sql("postgres_book", BOOK)).fetchall())

    def _rows(self, connection: Connection[Any], name: str) -> int:
        row = connection.execute(self._sql("postgres_count", name)).fetchone()
        return int(row[0]) if row else 0

    def _refuse_foreign(self, table: Outgoing, shapes: Mapping[str, Shape], book: Mapping[str, str]) -> None:
        there = shapes.get(table.name)
        if there is not None and there != shape_of(table.schema, _type) and table.name not in book:
            raise not_ours(self.shown, table.name, "publish into a schema of its own: `--schema NAME`")

    def _refuse_unwritable(self, connection: Connection[Any], names: Sequence[str]) -> None:
        asked = {"schema": self.schema, "tables": [*names, BOOK]}
        denied = connection.execute(_text("postgres_unwritable"), asked).fetchone()
        if denied is not None:
            raise self._not_allowed(f"write `{denied[0]}`")

    def _not_allowed(self, what: str) -> SsError:
        user = self.parameters.get("user") or "this user"
        hint = f"let its owner say `GRANT USAGE, CREATE ON SCHEMA {self.schema} TO …`, or publish with `--schema NAME`"
        return no_access(f"{self.shown}: `{user}` may not {what}", hint)

    @contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """A connection with a transaction that is rolled back unless it is committed; errors in our words."""
        driver = _driver()
        try:
            connection = driver.connect(
                **{"connect_timeout": CONNECT_SECONDS, "application_name": "ss marts", **self.parameters}
            )
        except driver.Error as problem:
            raise self._refused(problem) from None
        try:
            yield connection
        except driver.Error as problem:
            raise self._failed(problem) from None
        finally:
            connection.close()

    def _refused(self, problem: Error) -> SsError:
        """Why there is no connection. What the driver says may quote the address, so only its meaning is told."""
        user = self.parameters.get("user") or "this user"
        text = str(problem)
        for words, (message, hint) in _REFUSALS.items():
            if words in text:
                return no_access(f"{self.shown}: {message.format(user=user)}", hint)
        return no_access(
            f"{self.shown}: there is no connection", "see whether the server is up and the address is right"
        )

    def _failed(self, problem: Error) -> SsError:
        """What stopped the work, by its SQLSTATE: the text may hold data."""
        state = problem.sqlstate or ""
        if state == "42501":
            return self._not_allowed("write there")
        if state == "25006":
            return no_access(f"{self.shown} is read-only", "publish to the primary server, as a user that may write")
        if state == "55P03":
            return BusyError(f"{self.shown}: somebody holds the tables", f"wait for them; {_AGAIN}")
        if state == "2BP01":
            hint = "drop them, publish, and make them again: the columns of a mart have changed"
            return UsageError(f"{self.shown}: views of others hang on a mart whose columns change", hint)
        if state.startswith("53") or state.startswith("58"):
            return StorageError(f"{self.shown}: the server has no room or can't write ({state})", f"mend it; {_AGAIN}")
        if not state or state.startswith(("08", "57")):
            return no_access(
                f"{self.shown}: the connection was lost",
                "readers see the marts as they were, or all of the new ones: run the same command again",
            )
        return SsError(f"{self.shown}: the database refused the rows (SQLSTATE {state})", f"report it; {_AGAIN}")


# Words in libpq's text, and what they mean.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "password authentication failed": ("`{user}` was refused: wrong password", "mend the password in the address"),
    "no password supplied": (
        "`{user}` needs a password",
        "put it into the address, `PGPASSWORD` or the password file `~/.pgpass`",
    ),
    "does not exist": ("there is no such database or user", "mend the name in the address, or create it first"),
    "could not translate host name": ("there is no such host", "mend the host in the address"),
    "Name or service not known": ("there is no such host", "mend the host in the address"),
    "resolve host": ("there is no such host", "mend the host in the address"),
    "Connection refused": ("nothing listens there", "see whether the server is up and the port is right"),
    "timeout": ("no answer within 10 seconds", "see whether the host is right and a firewall lets you through"),
    "pg_hba.conf": ("the server does not let `{user}` in from here", "ask its owner for an entry in pg_hba.conf"),
    "SSL": ("there is no encrypted connection", "see `sslmode` in the address"),
}


def parse(url: str) -> Mapping[str, str]:
    """The parameters in a URL. The parser's own words may quote a password, so they are not told."""
    _driver()
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    address = url.partition("://")[2].partition("?")[0]
    try:
        if address.count("@") > 1:
            raise ProgrammingError
        return {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{url.partition('://')[2]}").items()}
    except ProgrammingError:
        raise UsageError(
            "the address of the database can't be understood",
            "write `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with `@`, `/`, `%` and `:` in a password as %40,"
            " %2F, %25 and %3A",
        ) from None


def _driver() -> Any:
    try:
        import psycopg
    except ImportError:
        raise UsageError("publishing to Postgres needs the extra `postgres`", f"install it: {INSTALL}") from None
    return psycopg


def _text(name: str) -> bytes:
    return statement(name).encode()


def _type(kind: pa.DataType) -> str:
    """A column's type, in the words with which Postgres itself tells it."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "bigint" if kind.bit_width > 32 else "integer"
    if pa.types.is_floating(kind):
        return "double precision"
    if pa.types.is_date(kind):
        return "date"
    return "timestamp without time zone" if pa.types.is_timestamp(kind) else "text"


def _as_csv(batch: pa.RecordBatch) -> bytes:
    """Text in quotes and nothing for a null, which is how COPY tells them apart."""
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(batch, sink, _CSV)
    return bytes(sink.getvalue().to_pybytes())
