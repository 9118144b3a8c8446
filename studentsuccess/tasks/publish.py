"""`ss publish`: pages, pictures, figures and marts as files, to a folder or an object store, with a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from studentsuccess import __version__
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.core.locks import hold
from studentsuccess.core.parallel import Engine
from studentsuccess.core.reporter import Reporter
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.insights.pseudonyms import pseudonym_key
from studentsuccess.remote.artifacts import MANIFEST, TRUE_IDS, LeftOut, Rules, gather, kind_of
from studentsuccess.remote.manifest import Source, Stamp
from studentsuccess.remote.places import place
from studentsuccess.remote.sending import FileState, Seen, Shipment, deliver, is_published, look
from studentsuccess.tasks import marts
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse import trash
from studentsuccess.warehouse.commit import Run, StagedFile, commit, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.models import standing_models
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.runs import stored_runs
from studentsuccess.warehouse.staging import staging_folder
from studentsuccess.warehouse.tables import table_rows

COMMAND = "publish"
# One manifest stands here, whatever the place.
TARGETS = ("artifacts",)
# Runs that leave the data as it was.
_CHANGE_NOTHING = frozenset({COMMAND, "marts publish", "run", *trash.COMMANDS})
# The files are there when somebody else may hold the warehouse: the line in the ledger is worth a moment's wait.
PATIENCE = 10.0


@dataclass(frozen=True)
class PublishPlan:
    """What goes where, and what stays. Made by reading only, here and there."""

    context: Context
    shipment: Shipment
    left_out: tuple[LeftOut, ...]
    seen: Seen
    published: str | None
    warnings: tuple[str, ...]

    @property
    def to(self) -> str:
        return self.shipment.store.shown

    @property
    def states(self) -> tuple[FileState, ...]:
        return self.seen.states

    @property
    def with_ids(self) -> int:
        """Files that leave and have students' own ids in them."""
        if self.context.settings.privacy.pseudonymous_ids:
            return 0
        return sum(kind_of(one.path) == "marts" for one in self.shipment.files)

    @property
    def manifest(self) -> str:
        return self.context.shown(self.context.workspace.root / MANIFEST)


@dataclass(frozen=True)
class PublishResult:
    """What became of it."""

    made: PublishPlan
    run_id: str
    already_published: bool

    @property
    def sent(self) -> tuple[FileState, ...]:
        return () if self.already_published else tuple(one for one in self.made.states if not one.same)


def plan(to: str | None, context: Context) -> PublishPlan:
    """See what there is, what may leave, that the place can be reached, and what is there already."""
    workspace, settings = context.workspace, context.settings.publish
    store, engine = place(to, settings, workspace), Engine("threads", settings.parallel)
    rules, warnings = _rules(context)
    found = gather(workspace, rules, engine)
    if not found.files:
        raise _nothing_there(found.left_out)
    shipment = Shipment(store, workspace, found.files, _source(context), engine)
    store.admit()
    seen = look(shipment)
    published = seen.known.stamp.run_id if seen.known.stamp and is_published(shipment, seen) else None
    held_back = any(one.why == TRUE_IDS for one in found.left_out)
    return PublishPlan(context, shipment, found.left_out, seen, published, warnings if held_back else ())


def _nothing_there(left_out: tuple[LeftOut, ...]) -> UsageError:
    if left_out:
        return UsageError(
            f"nothing to publish: of {len(left_out):,} in outputs/ and reports/ no file may leave",
            "`ss report` makes a page that may; `--include-personal` sends what names students",
        )
    return UsageError(
        "nothing to publish: outputs/ and reports/ are empty",
        "`ss run` fills them; `ss run --demo` with generated data",
    )


def _rules(context: Context) -> tuple[Rules, tuple[str, ...]]:
    """Under pseudonyms no true id leaves: no list of students, and no mart that was not built under this very key."""
    personal = context.settings.publish.include_personal
    if pseudonym_key(context.settings.privacy, context.workspace.root) is None:
        return Rules(personal, marts=True), ()
    if personal:
        raise UsageError(
            "`--include-personal` would publish the ids that `privacy.pseudonymous_ids` hides",
            "leave it out, or switch that off: `--set privacy.pseudonymous_ids=false`",
        )
    hint = "the students' marts are not built under these pseudonyms and stay here: `ss marts build` makes them anew"
    return Rules(personal, marts=_marts_are_current(context)), (hint,)


def _marts_are_current(context: Context) -> bool:
    try:
        return marts.plan(context).done is not None
    except UsageError:
        return False


def _source(context: Context) -> Source:
    """The models in production and the data as they stand. Publishing itself changes neither.

    Rows are told as one sum: a count for each table would give away what the marts hide as a difference.
    """
    program, workspace = f"studentsuccess {__version__}", context.workspace
    if not workspace.warehouse.is_file():
        return Source(program, (), None)
    with connect(workspace, context.limits, read_only=True, wait=context.wait) as connection:
        pending(connection)
        rows, registry = table_rows(connection), standing_models(connection)
        lines = [json.loads(one.ledger_line) for one in stored_runs(connection)]
    changes = [line["run_id"] for line in lines if line["command"] not in _CHANGE_NOTHING]
    if not changes:
        return Source(program, (), None)
    used = [one for name in registry.names if (one := registry.production(name))]
    models = [
        {"name": one.name, "version": one.version, "algorithm": one.algorithm, "manifest_sha256": one.manifest_sha256}
        for one in used
    ]
    digest = text_digest(canonical([rows, changes]))
    database = {"file": workspace.warehouse.name, "digest": digest, "tables": len(rows), "rows": sum(rows.values())}
    return Source(program, models, database)


def run(made: PublishPlan, reporter: Reporter) -> PublishResult:
    """Send what is not there yet; the manifest, there and then here, comes last."""
    context, target = made.context, made.context.workspace.root / MANIFEST
    if made.published and target.is_file() and target.read_bytes() == made.seen.known.raw:
        return PublishResult(made, made.published, already_published=True)
    run_id, started = new_run_id(), datetime.now(UTC)
    with _alone(context), recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        text = made.seen.known.raw if made.published else _deliver(made, run_id, started, reporter)
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = StagedFile(temp_path(target, run_id), target)
            staged.temp.write_bytes(text)
        facts = tuple(FileFact(one.path, one.size, one.sha256) for one in made.shipment.files)
        key = text_digest(canonical([COMMAND, made.to, text.decode()]))
        record = Run(run_id, key, COMMAND, TARGETS, False, started, context.configuration.digest, facts)
        commit(context.workspace, context.limits, record, [staged], _nothing, max(context.wait, PATIENCE))
    return PublishResult(made, made.published or run_id, already_published=made.published is not None)


def _deliver(made: PublishPlan, run_id: str, started: datetime, reporter: Reporter) -> bytes:
    step = reporter.step("publishing", len(made.states), unit="files")
    try:
        stamp = Stamp(run_id, started.isoformat(timespec="seconds"))
        return deliver(made.shipment, stamp, made.seen, step.advance)
    finally:
        step.close()


def _nothing(_connection: Connection) -> None:
    """What was published is elsewhere; the warehouse keeps that it was."""


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """One publishing of a workspace at a time. The warehouse is free meanwhile: sending may take long."""
    with ExitStack() as held:
        try:
            held.enter_context(hold(context.workspace.staging / "publish.lock", COMMAND, context.wait))
        except BusyError:
            raise BusyError(
                "this workspace is being published by another process",
                "wait with `--wait 60`, or run it again when that has ended",
            ) from None
        yield
