"""`ss clean`: what is no longer needed goes to a trash in the workspace, and comes back from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from studentsuccess.config.values import parse_age
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import FileFact, canonical, file_digest, text_digest
from studentsuccess.core.locks import hold, utc_now
from studentsuccess.core.names import nearest
from studentsuccess.core.reporter import Reporter
from studentsuccess.errors import ContractError, SsError, UsageError
from studentsuccess.tasks.clean_choice import Item, Kind, candidates, look
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, StagedFile, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder
from studentsuccess.warehouse.trash import (
    CLEAN,
    EMPTY,
    MANIFEST,
    UNDO,
    Trash,
    lost_manifests,
    manifest_path,
    remove_hollow,
    standing_trash,
    tidy,
    trash_path,
    world,
)

TARGETS = ("trash",)
# What nobody will miss; the rest is named by whoever wants it gone.
USUAL = (Kind.LOGS, Kind.CACHE, Kind.DOWNLOADS)


@dataclass(frozen=True)
class CleanRequest:
    """What the user asked for; without kinds it is the usual ones."""

    what: tuple[str, ...] = ()
    older_than: str | None = None
    keep_last: int = 0


@dataclass(frozen=True)
class CleanPlan:
    """What goes, and what stays and why. Made by reading only."""

    context: Context
    kinds: tuple[Kind, ...]
    goes: tuple[Item, ...]
    stays: tuple[Item, ...]

    @property
    def files(self) -> int:
        return sum(len(item.files) for item in self.goes)

    @property
    def size(self) -> int:
        return sum(item.size for item in self.goes)


@dataclass(frozen=True)
class UndoPlan:
    """What comes back: the last clean that was not brought back yet; nothing, with `ended`, the undo that was asked for
    and cut short."""

    context: Context
    trash: Trash | None
    older: int
    ended: bool = False


@dataclass(frozen=True)
class EmptyPlan:
    """What will be gone for good."""

    context: Context
    trashes: tuple[Trash, ...]

    @property
    def files(self) -> int:
        return sum(len(one.files) for one in self.trashes)

    @property
    def size(self) -> int:
        return sum(one.size for one in self.trashes)


@dataclass(frozen=True)
class Cleaned:
    """What was done; without a run there was nothing to do."""

    run_id: str | None
    files: int
    size: int


def plan(request: CleanRequest, context: Context, now: datetime | None = None) -> CleanPlan:
    """Sort everything of the kinds asked for into what goes and what stays."""
    kinds = _kinds(request.what)
    oldest = (now or utc_now()) - _age(request.older_than)
    # Refuses a trash that is a link before anything is looked at.
    standing_trash(context.workspace)
    items = list(candidates(look(context), kinds))
    items = list(_among_last(items, request.keep_last))
    if request.older_than is not None:
        items = [_too_young(item, oldest, request.older_than) for item in items]
    return CleanPlan(
        context, kinds, tuple(item for item in items if not item.why), tuple(item for item in items if item.why)
    )


def _kinds(given: tuple[str, ...]) -> tuple[Kind, ...]:
    for word in given:
        if word not in tuple(Kind):
            near = nearest(word, tuple(Kind))
            mean = f"did you mean `{near}`? " if near else ""
            raise UsageError(f"`--what {word}` is nothing that can be cleaned", f"{mean}There are {', '.join(Kind)}")
    return tuple(kind for kind in Kind if kind in (given or USUAL))


def _age(text: str | None) -> timedelta:
    try:
        return parse_age(text or "0d")
    except ValueError:
        raise UsageError(f"`--older-than {text}` is no age", "such as `--older-than 30d`; h and w work too") from None


def _among_last(items: Iterable[Item], keep: int) -> Iterable[Item]:
    """The newest of each group stay: versions of a model, runs of a command, loads of a table."""
    items = list(items)
    newest: dict[tuple[Kind, str], list[str]] = {}
    for item in items:
        if item.batch and item.files:
            newest.setdefault((item.kind, item.group), []).append(_order(item))
    for item in items:
        last = sorted(set(newest.get((item.kind, item.group), ())))[-keep:] if keep else []
        among = not item.why and _order(item) in last
        yield item.stays(f"among the last {keep}" if keep > 1 else "the last one") if among else item


def _order(item: Item) -> str:
    """Runs and versions by themselves, other files by their time."""
    return item.batch if item.group else f"{item.modified:020.6f} {item.batch}"


def _too_young(item: Item, oldest: datetime, age: str) -> Item:
    young = not item.why and item.modified > oldest.timestamp()
    return item.stays(f"younger than {age}") if young else item


def run(made: CleanPlan, reporter: Reporter) -> Cleaned:
    """Move what goes to the trash: all of it or nothing, and with its names."""
    if not made.goes:
        return Cleaned(None, 0, 0)
    context, workspace = made.context, made.context.workspace
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, CLEAN), staging_folder(workspace, run_id) as staging:
        with storage_errors(workspace.root):
            facts = _digests(workspace.root, [path for item in made.goes for path in item.files], reporter)
            trash = Trash(run_id, started.isoformat(timespec="microseconds"), facts)
            manifest = staging / MANIFEST
            manifest.write_text(json.dumps(trash.document(), indent=1, ensure_ascii=False), "utf-8")
        staged = [StagedFile(manifest, manifest_path(workspace, run_id))]
        staged += [_move(workspace.root, fact, fact.path, trash_path(run_id, fact.path)) for fact in facts]

        def check() -> None:
            standing_trash(workspace)
            _refuse_changed(workspace.root, facts)

        _commit(context, run_id, CLEAN, started, staged, (), check)
        _sweep(context, CLEAN, [item.path for item in made.goes])
    return Cleaned(run_id, len(facts), trash.size)


def _digests(root: Path, paths: list[str], reporter: Reporter) -> tuple[FileFact, ...]:
    step = reporter.step("looking at what goes", len(paths), unit="files")
    facts = []
    try:
        for path in paths:
            whole = root / path
            facts.append(FileFact(path, whole.stat().st_size, file_digest(whole)))
            step.advance(1)
    finally:
        step.close()
    return tuple(facts)


def _move(root: Path, fact: FileFact, source: str, target: str) -> StagedFile:
    return StagedFile(root / source, root / target, replace(fact, path=target))


def _refuse_changed(root: Path, facts: Iterable[FileFact]) -> None:
    """With the lock held: what an interrupted command was still owed has been done by now."""
    for fact in facts:
        path = root / fact.path
        if not path.is_file() or path.is_symlink() or path.stat().st_size != fact.size:
            raise SsError(f"`{fact.path}` changed meanwhile: nothing was moved", "run it again: it looks anew")


def _commit(
    context: Context,
    run_id: str,
    command: str,
    started: datetime,
    staged: list[StagedFile],
    inputs: tuple[FileFact, ...],
    check: Callable[[], None],
) -> None:
    def work(_connection: Connection) -> None:
        check()

    record = Run(run_id, run_id, command, TARGETS, False, started, context.configuration.digest, inputs)
    commit(context.workspace, context.limits, record, staged, work, context.wait)


def _sweep(context: Context, command: str, cleaned: Iterable[str] = ()) -> None:
    """Remove the folders that are empty now. What can't be done at once is left to the next clean."""
    workspace = context.workspace
    with suppress(SsError, OSError), hold(workspace.lock, command, context.wait):
        for folder in {parts[:2] for path in cleaned if len(parts := Path(path).parts) > 2}:
            remove_hollow(workspace.root.joinpath(*folder))
        tidy(workspace)


def plan_undo(context: Context, settled: Sequence[str] = ()) -> UndoPlan:
    """The last clean, if all of it can come back and nothing stands in its place.

    An undo that was just brought to its end is the one that was asked for: the clean before it is left alone.
    """
    trashes = standing_trash(context.workspace)
    if not trashes or UNDO in settled:
        _refuse_nameless(context.workspace)
        return UndoPlan(context, None, len(trashes), ended=UNDO in settled)
    newest, root = trashes[-1], context.workspace.root
    _refuse_links(root, newest)
    _refuse_broken(root, newest, may_wait=True)
    return UndoPlan(context, newest, len(trashes) - 1)


def _refuse_nameless(workspace: Workspace) -> None:
    """A trash whose manifest is gone or was tampered with is not empty."""
    for manifest in lost_manifests(workspace, world(workspace)):
        raise ContractError(
            f"`{workspace.name_of(manifest)}` is missing or no manifest: nobody knows what to bring back",
            "see what is damaged: `ss verify`; the files are beside it, in `files`, by their old paths",
        )


def _refuse_broken(root: Path, trash: Trash, *, may_wait: bool = False) -> None:
    """A file that an interrupted clean did not move yet is in its place, and no obstacle to a plan."""
    for fact in trash.files:
        kept, place = root / trash_path(trash.run_id, fact.path), root / fact.path
        waiting = may_wait and not os.path.lexists(kept) and _is(place, fact)
        if not waiting and not _is(kept, fact):
            raise ContractError(
                f"the trash of run {trash.run_id} is not whole: `{fact.path}` is missing there or has changed",
                f"what is left is in `{trash_path(trash.run_id, '')}`; `ss clean --empty` gives it up",
            )
        if not waiting and os.path.lexists(place):
            raise UsageError(
                f"`{fact.path}` exists again: nothing was brought back, and nothing overwritten",
                f"move it away, or take the older one from `{trash_path(trash.run_id, fact.path)}`",
            )


def _is(path: Path, fact: FileFact) -> bool:
    plain = path.is_file() and not path.is_symlink()
    return plain and path.stat().st_size == fact.size and file_digest(path) == fact.sha256


def run_undo(made: UndoPlan) -> Cleaned:
    """Bring it back, whole or not at all."""
    context, trash, root = made.context, made.trash, made.context.workspace.root
    if trash is None:
        if context.workspace.trash.is_dir():
            _sweep(context, UNDO)  # an undo that was killed at its very end left an empty trash
        return Cleaned(None, 0, 0)
    run_id, started = new_run_id(), datetime.now(UTC)
    staged = [_move(root, fact, trash_path(trash.run_id, fact.path), fact.path) for fact in trash.files]

    def check() -> None:
        _refuse_broken(root, trash)
        _refuse_links(root, trash)

    with recorded(context, run_id, started, UNDO), staging_folder(context.workspace, run_id):
        _commit(context, run_id, UNDO, started, staged, (), check)
        _sweep(context, UNDO)
    return Cleaned(run_id, len(trash.files), trash.size)


def _refuse_links(root: Path, trash: Trash) -> None:
    """A folder that became a link meanwhile would lead out of the workspace."""
    for folder in {place for fact in trash.files for place in Path(fact.path).parents}:
        if (root / folder).is_symlink() and folder != Path():
            raise UsageError(f"`{folder.as_posix()}` is a link now: nothing was brought back", "put a folder there")


def plan_empty(context: Context) -> EmptyPlan:
    """All that is in the trash."""
    return EmptyPlan(context, standing_trash(context.workspace))


def run_empty(made: EmptyPlan) -> Cleaned:
    """Delete it for good; the ledger keeps what it was."""
    if not made.trashes:
        return Cleaned(None, 0, 0)
    context, run_id, started = made.context, new_run_id(), datetime.now(UTC)
    gone = tuple(_as_one(one) for one in made.trashes)

    def check() -> None:
        if standing_trash(context.workspace) != made.trashes:
            raise SsError("the trash changed meanwhile: nothing was deleted", "run it again: it looks anew")

    with recorded(context, run_id, started, EMPTY), staging_folder(context.workspace, run_id):
        _commit(context, run_id, EMPTY, started, [], gone, check)
        _sweep(context, EMPTY)
    return Cleaned(run_id, made.files, made.size)


def _as_one(trash: Trash) -> FileFact:
    """A trash as the ledger notes it when it is emptied."""
    return FileFact(f".trash/{trash.run_id}", trash.size, text_digest(canonical(trash.document())))
