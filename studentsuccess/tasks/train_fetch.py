"""`ss train fetch`: what a job made comes home, is held against what it recorded, and becomes a model like any other.

Nothing is registered before everything is here and checked; a refusal leaves the registry as it was and the files for
whoever wants to look at them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import FileFact, canonical, file_fact, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import SsError, StorageError, UsageError
from studentsuccess.models.keep import MANIFEST, Kept, read_model, write_model
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.remote.azure_client import Place, place_of
from studentsuccess.remote.azure_errors import why_failed
from studentsuccess.remote.azure_jobs import COMPLETED, AzureJobs, Blob
from studentsuccess.remote.job_download import Download, fetch, matched, refuse_link
from studentsuccess.remote.job_manifest import MOST_BYTES, NAME, JobManifest, parse, refused, sign_key
from studentsuccess.sources.table import dataset_name
from studentsuccess.tasks.context import Context, free_space
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.models import alias_target, model_path, signing_key, staged_model
from studentsuccess.tasks.train import promotion, told
from studentsuccess.tasks.train_status import meant
from studentsuccess.warehouse.commit import Run, StagedFile, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.jobs import FETCHED, JobEntry, move_job
from studentsuccess.warehouse.models import (
    AliasEvent,
    ModelEntry,
    all_models,
    next_version,
    promote,
    refuse_other_case,
    register_model,
)
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "train fetch"
LISTING = "download_manifest.json"
_PART = ".part"
INNER, HELD_OUT = "its loss on rows that no figure comes from", "its loss on the held-out rows"
# Told by the training itself, with the name and version that the model has there.
_TOLD = ("metrics.json", "card.md", "calibration.png")


@dataclass(frozen=True)
class FetchPlan:
    """Which jobs a name means, and where their files go. Azure is not asked."""

    context: Context
    place: Place
    name: str
    names: tuple[str, ...]
    entries: tuple[JobEntry, ...]
    folder: Path
    done: str | None

    def entry(self, job: str) -> JobEntry | None:
        return next((entry for entry in self.entries if entry.job == job), None)


@dataclass(frozen=True)
class FetchResult:
    """What came home."""

    run_id: str
    job: str
    entry: ModelEntry
    folder: Path
    files: tuple[FileFact, ...]
    warnings: tuple[str, ...]
    promoted: str = ""
    scores: tuple[tuple[str, float | None], ...] = ()
    by: str = ""
    already_fetched: bool = False


@dataclass(frozen=True)
class _Chosen:
    """The job whose model it will be, and what it says that it left. `by` says how it was chosen among several."""

    job: str
    manifest: JobManifest
    blobs: tuple[Blob, ...]
    listing: bytes
    scores: tuple[tuple[str, float | None], ...] = ()
    by: str = ""


def plan(name: str, to: str | None, context: Context) -> FetchPlan:
    """See which job is meant and that its place is free, without changing anything."""
    place = place_of(context.settings.azure)
    names, noted = meant(name, context)
    entries = tuple(entry for one in names if (entry := noted.find(one)))
    folder = _folder(to, name, context)
    fetched = next((entry.fetched_model for entry in entries if entry.fetched_model), None)
    registry = all_models(context.workspace, context.limits)
    standing = {entry.label for entry in registry.entries}
    done = fetched if fetched in standing and (to is None or (folder / LISTING).is_file()) else None
    return FetchPlan(context, place, name, names, entries, folder, done)


def _folder(to: str | None, name: str, context: Context) -> Path:
    """A folder of its own: whatever else stands there would be taken for the job's."""
    if to is None:
        return context.workspace.downloads / name
    folder = Path(os.path.normpath(Path.cwd() / Path(to).expanduser()))
    refuse_link(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{to}: is not a folder", "name one that is not there yet: `--to DIR`")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
        raise UsageError(f"{to}: holds other files already", "name a folder that is empty or not there: `--to DIR`")
    return folder


def run(made: FetchPlan, reporter: Reporter) -> FetchResult:
    """Bring it home, check it, and register it."""
    context = made.context
    if made.done:
        return _as_before(made, made.done)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND):
        jobs = AzureJobs(made.place, context.settings.azure)
        with phase(reporter, "looking at what is there"):
            chosen = _chosen(made, jobs)
        arrived = _arrived(made, chosen, jobs, reporter)
        return _registered(made, chosen, arrived, run_id, started, reporter)


def _chosen(made: FetchPlan, jobs: AzureJobs) -> _Chosen:
    """The job; of a sweep the best of its trials."""
    for name in made.names:
        _refuse_unfinished(name, jobs)
    found = [_listed(name, jobs, made.context) for name in made.names]
    return best(found) if len(found) > 1 else found[0]


def best(found: Sequence[_Chosen]) -> _Chosen:
    """By the loss on rows that no figure comes from, where every trial has one; else by that on the held-out rows."""
    inner = all(one.manifest.inner is not None for one in found)
    losses = {one.job: one.manifest.inner if inner else one.manifest.held_out for one in found}
    chosen = min(found, key=lambda one: (losses[one.job] is None, losses[one.job] or 0.0, one.job))
    return replace(chosen, scores=tuple(losses.items()), by=INNER if inner else HELD_OUT)


def _refuse_unfinished(name: str, jobs: AzureJobs) -> None:
    state = jobs.state(name)
    if state.status == COMPLETED:
        return
    if not state.ended:
        raise SsError(
            f"job `{name}` is not done: it is {state.status.lower()}", f"`ss train status {name} --follow` waits for it"
        )
    if state.status == "Canceled":
        raise SsError(f"job `{name}` was cancelled", "send it again: `ss train remote … --again`")
    raise why_failed(name, jobs.details(name).message)


def _listed(name: str, jobs: AzureJobs, context: Context) -> _Chosen:
    blobs = jobs.outputs(name)
    listing = next((blob for blob in blobs if blob.path == NAME), None)
    if listing is None:
        raise refused(name, f"{NAME} is not among its outputs")
    if listing.size > MOST_BYTES:
        raise refused(name, f"{NAME} is longer than {MOST_BYTES >> 20} MB")
    key = signing_key(context)
    raw = jobs.read(listing)
    return _Chosen(name, parse(raw, name, sign_key(key, name).encode("ascii") if key else None), blobs, raw)


def _arrived(made: FetchPlan, chosen: _Chosen, jobs: AzureJobs, reporter: Reporter) -> Download:
    """Every file in a folder of its own name, once all are there and as recorded; until then in one beside it."""
    part = made.folder.with_name(f"{made.folder.name}{_PART}")
    refuse_link(part)
    where = made.folder if made.folder.is_dir() and (made.folder / NAME).is_file() else part
    download = matched(chosen.job, where, chosen.manifest.files, chosen.blobs)
    free = free_space(where)
    if download.size > free:
        raise StorageError(
            f"{made.folder.parent}: {download.size / 1e6:,.0f} MB come, and {free / 1e6:,.0f} MB are free",
            "free some space, or name a folder on another disk: `--to DIR`",
        )
    step = reporter.step("downloading", download.size, "bytes")
    try:
        fetch(download, jobs, made.context.settings.azure.parallel, step.advance)
    finally:
        step.close()
    with storage_errors(where):
        (where / NAME).write_bytes(chosen.listing)
        if where == part:
            if made.folder.is_dir():
                made.folder.rmdir()
            part.rename(made.folder)
    return replace(download, folder=made.folder)


def _registered(
    made: FetchPlan, chosen: _Chosen, arrived: Download, run_id: str, started: datetime, reporter: Reporter
) -> FetchResult:
    """One commit: the model's files, its rows, the list of what was brought, and what became of the job."""
    context, workspace = made.context, made.context.workspace
    kept = _believed(made, chosen)
    registry = all_models(workspace, context.limits)
    refuse_other_case(registry, kept.manifest.name)
    version = next_version(workspace, registry, kept.manifest.name)
    warnings = _warnings(kept, chosen, arrived)
    with staging_folder(workspace, run_id) as staging, phase(reporter, "writing the model"):
        folder = staging / "model"
        manifest = _own(made, chosen, kept, version, run_id, folder)
        entry = entry_of(manifest, model_path(manifest.name, version), file_fact(folder / MANIFEST).sha256)
        why = promotion(context, registry, entry, manifest)
        listing = staging / LISTING
        listing.write_bytes(_listing(chosen.job, arrived.facts, warnings))
        targets = (f"model:{manifest.name}", *((alias_target(manifest.name),) if why else ()))
        key = text_digest(
            canonical([COMMAND, chosen.job, text_digest(chosen.listing.decode("utf-8", "replace")), version])
        )
        facts = manifest.trained.data
        record = Run(run_id, key, COMMAND, targets, False, started, context.configuration.digest, facts)

        def work(connection: Connection) -> None:
            register_model(connection, entry, figures_of(manifest))
            for one in made.entries:
                move_job(connection, one.job, FETCHED, entry.label)
            if why:
                promote(connection, AliasEvent(entry.name, version, datetime.now(UTC), run_id, why))

        staged = [
            *staged_model(workspace, folder, manifest.name, version),
            *_staged_listing(made, listing),
        ]
        commit(workspace, context.limits, record, staged, work, context.wait)
    return FetchResult(run_id, chosen.job, entry, made.folder, arrived.facts, warnings, why, chosen.scores, chosen.by)


def _staged_listing(made: FetchPlan, listing: Path) -> list[StagedFile]:
    """The list stands with the files. On another disk it can't be renamed there, so it is copied beside its place."""
    target = made.folder / LISTING
    if not target.is_relative_to(made.context.workspace.root):
        beside = temp_path(target, listing.parent.name)
        beside.write_bytes(listing.read_bytes())
        return [StagedFile(beside, target)]
    return [StagedFile(listing, target)]


def _believed(made: FetchPlan, chosen: _Chosen) -> Kept:
    """The model's own manifest and every file that it lists; it must be the one that was asked for."""
    folder = made.folder / chosen.manifest.model_path
    kept = read_model(folder)
    manifest, entry = kept.manifest, made.entry(chosen.job)
    if manifest.label != chosen.manifest.model or manifest.name != dataset_name(manifest.name):
        raise refused(chosen.job, f"its model is not `{chosen.manifest.model}`")
    if entry is not None and manifest.name != entry.model:
        raise refused(chosen.job, f"its model is `{manifest.name}`, and `{entry.model}` was asked for")
    if any(path.stat().st_size == 0 for path in kept.files.values()):
        raise refused(chosen.job, "a file of its model is empty")
    if entry is not None and entry.data_digest:
        learned = sorted(fact.sha256 for fact in manifest.trained.data)
        if learned != sorted(fact.sha256 for fact in entry.data):
            raise refused(chosen.job, "its model learned from other data than was sent")
    return kept


def _own(made: FetchPlan, chosen: _Chosen, kept: Kept, version: int, run_id: str, folder: Path) -> Manifest:
    """The manifest as one of this workspace: its version, its run, its names for the data, its signature."""
    before, entry = kept.manifest, made.entry(chosen.job)
    names = {fact.sha256: fact.path for fact in entry.data} if entry else {}
    data = tuple(
        replace(fact, path=names.get(fact.sha256) or (entry.data[0].path if entry else Path(fact.path).name))
        for fact in before.trained.data
    )
    trained = replace(before.trained, run_id=run_id, where=f"azure:{chosen.job}", data=data)
    remote = {"job": chosen.job, "run_id": before.trained.run_id, "program": chosen.manifest.program}
    manifest = replace(before, version=version, trained=trained, files=(), extra={**before.extra, "remote": remote})
    weights = {name: path.read_bytes() for name, path in kept.files.items() if name not in _TOLD}
    return write_model(folder, manifest, weights | told(manifest, made.context), signing_key(made.context))


def _warnings(kept: Kept, chosen: _Chosen, arrived: Download) -> tuple[str, ...]:
    """What is odd and no reason to refuse."""
    found = [f"`{path}` is among the outputs and not on the job's list: left there" for path in arrived.strangers]
    if kept.manifest.libraries.get("studentsuccess") != chosen.manifest.version:
        found.append("the model says another version of ss than the job")
    if chosen.by == HELD_OUT:
        found.append(f"the best of {len(chosen.scores)} was chosen by its figures, which flatters them")
    return tuple(found)


def _listing(job: str, facts: Sequence[FileFact], warnings: Sequence[str]) -> bytes:
    document = {
        "job_id": job,
        "files": [{"path": fact.path, "size_bytes": fact.size, "sha256": fact.sha256} for fact in facts],
        "integrity_warnings": list(warnings),
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _as_before(made: FetchPlan, label: str) -> FetchResult:
    registry = all_models(made.context.workspace, made.context.limits)
    entry = next(entry for entry in registry.entries if entry.label == label)
    job = entry.trained_where.removeprefix("azure:")
    return FetchResult(entry.run_id, job, entry, made.folder, (), (), already_fetched=True)
