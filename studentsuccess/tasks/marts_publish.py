"""`ss marts publish` and `ss marts check`: the marts to where BI tools read them, and what stands there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.reporter import Reporter
from studentsuccess.errors import UsageError
from studentsuccess.insights.pseudonyms import aliases, pseudonym_key
from studentsuccess.tasks import marts
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.marts import Outgoing, outgoing, standing_tables, students_of
from studentsuccess.warehouse.publish_book import Stamp, Target, There, is_current
from studentsuccess.warehouse.publish_to import target

COMMAND = "marts publish"
# The tables are there when somebody else may hold the warehouse: the line in the ledger is worth a moment's wait.
PATIENCE = 10.0
SAME, MISSING, OTHER_ROWS, OTHER_CONTENT, FOREIGN = "same", "missing", "other rows", "other content", "not from ss"


@dataclass(frozen=True)
class TableState:
    """A mart here and there."""

    name: str
    here: int
    there: int | None
    state: str

    @property
    def current(self) -> bool:
        return self.state == SAME


@dataclass(frozen=True)
class PublishPlan:
    """What goes where. Made by reading only, here and there."""

    context: Context
    place: Target
    alias_key: bytes | None
    tables: tuple[TableState, ...]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.tables if not one.current)


@dataclass(frozen=True)
class PublishResult:
    """What became of it."""

    run_id: str
    to: str
    tables: tuple[TableState, ...]
    pseudonymous: bool

    @property
    def already_published(self) -> bool:
        return all(one.current for one in self.tables)


@dataclass(frozen=True)
class CheckResult:
    """What stands there, held against what stands here."""

    to: str
    tables: tuple[TableState, ...]

    @property
    def ok(self) -> bool:
        return all(one.current for one in self.tables)


def plan(to: str | None, context: Context) -> PublishPlan:
    """See that the marts are built, the place can be reached and written, and what is there already."""
    place, key = _place(to, context), pseudonym_key(context.settings.privacy, context.workspace.root)
    with _outgoing(context, key) as tables:
        place.admit(tables)
        states = _states(tables, place.look())
    return PublishPlan(context, place, key, states, _age(context))


def check(to: str | None, context: Context) -> CheckResult:
    """Count there, and compare."""
    place, key = _place(to, context), pseudonym_key(context.settings.privacy, context.workspace.root)
    with _outgoing(context, key) as tables:
        return CheckResult(place.shown, _states(tables, place.look()))


def run(made: PublishPlan, reporter: Reporter) -> PublishResult:
    """Put there what is not there yet, all of it or nothing, and note it in the ledger."""
    context, run_id, started = made.context, new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND):
        with _outgoing(context, made.alias_key) as tables:
            if made.changed:
                wanted = [one for one in tables if made.place.whole or one.name in made.changed]
                _send(wanted, made.place, Stamp(run_id, started.isoformat(timespec="seconds")), reporter)
            books = {one.name: Counts(one.content.rows, one.content.rows) for one in tables}
            state = [[one.name, one.content.digest] for one in tables]
        key = text_digest(canonical([COMMAND, made.place.shown, state]))
        record = Run(
            run_id, key, COMMAND, (_ledger_name(made),), False, started, context.configuration.digest, counts=books
        )
        written = commit(context.workspace, context.limits, record, (), _nothing, max(context.wait, PATIENCE))
    return PublishResult(written.run_id, made.place.shown, made.tables, made.alias_key is not None)


def _send(tables: Sequence[Outgoing], place: Target, stamp: Stamp, reporter: Reporter) -> None:
    step = reporter.step("publishing", sum(one.content.rows for one in tables))
    try:
        place.replace(tables, stamp, step.advance)
    finally:
        step.close()


def _ledger_name(made: PublishPlan) -> str:
    return f"published:{made.place.shown}"


def _nothing(_connection: Connection) -> None:
    """What was published is elsewhere; the warehouse keeps that it was."""


@contextmanager
def _outgoing(context: Context, key: bytes | None) -> Iterator[tuple[Outgoing, ...]]:
    """The marts as they leave; before the first build that is an error."""
    with connect(context.workspace, context.limits, read_only=True, wait=context.wait) as connection:
        standing_tables(connection)
        names = aliases(students_of(connection), key) if key is not None else None
        with outgoing(connection, names) as tables:
            yield tables


def _states(tables: Sequence[Outgoing], there: Sequence[There]) -> tuple[TableState, ...]:
    found = {one.name: one for one in there}
    return tuple(
        TableState(one.name, one.content.rows, _count(found.get(one.name)), _state(one, found.get(one.name)))
        for one in tables
    )


def _count(there: There | None) -> int | None:
    return there.rows if there else None


def _state(here: Outgoing, there: There | None) -> str:
    if there is None:
        return MISSING
    if there.rows != here.content.rows:
        return OTHER_ROWS
    if there.digest is None:
        return FOREIGN
    return SAME if is_current([there], here.name, here.content) else OTHER_CONTENT


def _place(to: str | None, context: Context) -> Target:
    """Where to: as the command line says, from where the user stands; else as the settings do, from the workspace."""
    workspace, url = context.workspace, context.settings.publish.database_url
    schema = context.settings.publish.database_schema
    if to is not None:
        place = target(to, schema, Path.cwd())
    elif url is not None:
        place = target(url.get_secret_value(), schema, workspace.root)
    else:
        raise UsageError(
            "nobody said where the marts go",
            "say it: `--to postgresql://HOST/DATABASE`, `--to sqlite:///FILE` or `--to DIR`; or set `DATABASE_URL`",
        )
    path = getattr(place, "path", None)
    if path in (workspace.root, workspace.warehouse):
        raise UsageError(f"{place.shown}: is this workspace's own", "name another place: `--to marts.db` or `--to DIR`")
    return place


def _age(context: Context) -> tuple[str, ...]:
    """Whether a build would give other marts than those that stand."""
    try:
        current = marts.plan(context).done is not None
    except UsageError:
        return ()
    return () if current else ("the marts are older than what they are made of: `ss marts build` makes them new",)
