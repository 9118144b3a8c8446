"""`ss train local`: read, learn, evaluate on rows that were held out, and register the version."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from studentsuccess import __version__
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import canonical, file_digest, file_fact, text_digest
from studentsuccess.core.memory import give_back
from studentsuccess.core.names import nearest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import StorageError, UsageError
from studentsuccess.models.card import card
from studentsuccess.models.checkpoint import Checkpoints
from studentsuccess.models.draw import calibration_png
from studentsuccess.models.keep import MANIFEST, write_model
from studentsuccess.models.labels import Asked
from studentsuccess.models.manifest import Manifest, Trained
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.models.roles import Role
from studentsuccess.sources.table import dataset_name
from studentsuccess.tasks.context import Context, free_space
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.models import DECIDES, alias_target, model_path, signing_key, staged_model
from studentsuccess.tasks.train_data import Gathered, Source, gather
from studentsuccess.tasks.train_fit import Fit, Study, Wanted, look
from studentsuccess.warehouse.commit import Run, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.load import earlier_input_sizes
from studentsuccess.warehouse.models import (
    AliasEvent,
    ModelEntry,
    Registry,
    all_models,
    next_version,
    promote,
    refuse_other_case,
    register_model,
)
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "train local"
Algorithm = Literal["incremental", "search"]
# Encoded rows are about half as large as the text they came from.
SPACE_FACTOR = 1.0
LIBRARIES = ("numpy", "numba", "scikit-learn", "lightgbm", "pyarrow")


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for; how much of it is a setting stands in the settings."""

    algorithm: Algorithm = "incremental"
    name: str | None = None
    task: Asked = "auto"
    types: tuple[str, ...] = ()
    refit: bool = False
    resume: bool = False


@dataclass(frozen=True)
class TrainPlan:
    """What will be read and what will be made of it. Made by reading only."""

    context: Context
    request: TrainRequest
    source: Source
    name: str
    version: int
    types: Mapping[str, Role]
    registry: Registry
    free: int
    done: str | None

    @property
    def target(self) -> str:
        return f"model:{self.name}"


@dataclass(frozen=True)
class TrainResult:
    """What became of it."""

    run_id: str
    manifest: Manifest | None
    entry: ModelEntry
    promoted: str
    counts: Counts
    dead_letters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    already_trained: bool = False


def plan(request: TrainRequest, source: Source, context: Context) -> TrainPlan:
    """See what stands in the way, without changing anything."""
    types = parse_types(request.types, source)
    name = dataset_name(request.name or source.target)
    registry = all_models(context.workspace, context.limits)
    refuse_other_case(registry, name)
    free = free_space(context.workspace.root)
    if source.size * SPACE_FACTOR > free:
        raise StorageError(
            f"{context.workspace.root}: about {source.size * SPACE_FACTOR / 1e6:,.0f} MB are needed and"
            f" {free / 1e6:,.0f} MB are free",
            "free some space, or choose a workspace on another disk with `-w`",
        )
    if request.algorithm == "search":
        from studentsuccess.tasks.train_search import refuse_too_large

        refuse_too_large(source, context)
    version = next_version(context.workspace, registry, name)
    made = TrainPlan(context, request, source, name, version, types, registry, free, None)
    return replace(made, done=_done(made))


def parse_types(given: Sequence[str], source: Source) -> dict[str, Role]:
    """`column=number|category|both|ignore`, several of them, also with commas."""
    found: dict[str, Role] = {}
    for text in (part.strip() for one in given for part in one.split(",")):
        column, mark, role = text.rpartition("=")
        if not mark or role not in [one.value for one in Role]:
            near = nearest(role, [one.value for one in Role])
            raise UsageError(
                f"`--types {text}` is not COLUMN=number|category|both|ignore",
                f"did you mean `--types {column or 'COLUMN'}={near}`?" if near else "such as `--types Course=category`",
            )
        if column not in source.dataset.names:
            near = nearest(column, source.dataset.names)
            raise UsageError(
                f"`--types {text}`: there is no column `{column}`",
                f"did you mean `{near}`?" if near else f"its columns begin with {', '.join(source.dataset.names[:6])}",
            )
        found[column] = Role(role)
    return found


def _done(made: TrainPlan) -> str | None:
    """Whether the very same training was done. Files are digested only when an earlier one had their sizes."""
    context = made.context
    paths = [one.given.origin.path for one in made.source.dataset.probes]
    sizes = tuple(path.stat().st_size for path in paths)
    if sizes not in earlier_input_sizes(context.workspace, context.limits, made.target):
        return None
    key = _key(made, [file_digest(path) for path in paths])
    return is_done(context.workspace, context.limits, key, (made.target,))


def _key(made: TrainPlan, digests: Sequence[str]) -> str:
    """All that decides the result: two runs with one key make the same model."""
    etl, train = made.context.settings.etl, made.context.settings.train
    request, dataset = made.request, made.source.dataset
    return text_digest(
        canonical(
            {
                "command": COMMAND,
                "program": __version__,
                "inputs": list(digests),
                "target": made.source.target,
                "ids": dataset.ids,
                "request": [request.algorithm, made.name, request.task, sorted(request.types), request.refit],
                "train": [train.holdout, train.epochs, train.seed, train.trials, train.cv],
                "etl": [etl.encoding, etl.delimiter, list(etl.null_values), etl.type_tolerance, etl.duplicates],
            }
        )
    )


def run(made: TrainPlan, reporter: Reporter) -> TrainResult:
    """Do what the plan says."""
    context = made.context
    if made.done:
        _forget_checkpoints(made)
        return _as_before(made, made.done)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id) as staging:
        gathered = gather(
            made.source, context, (run_id, staging), made.types, reporter, in_memory=made.request.algorithm == "search"
        )
        give_back()
        key = _key(made, [fact.sha256 for fact in gathered.facts])
        checkpoints = Checkpoints(context.workspace.unfinished_models, key, made.request.resume)
        notes = _about_checkpoints(made, checkpoints)
        study, fit = _fit(made, gathered, checkpoints, reporter)
        with phase(reporter, "writing the model"):
            trained = Trained(
                run_id, "local", stamp(started), stamp(datetime.now(UTC)), gathered.facts, made.source.registered,
                study.rows, study.target.unlabelled, refit=made.request.refit,
            )  # fmt: skip
            folder = staging / "model"
            manifest = _written(made, study, fit, trained, folder)
            path = model_path(made.name, made.version)
            entry = entry_of(manifest, path, file_fact(folder / MANIFEST).sha256)
            why = promotion(context, made.registry, entry, manifest)
            counts = {made.source.dataset.name: gathered.counts}
            targets = (made.target, *((alias_target(made.name),) if why else ()))
            record = Run(
                run_id, key, COMMAND, targets, False, started, context.configuration.digest, gathered.facts, counts
            )

            def work(connection: Connection) -> None:
                register_model(connection, entry, figures_of(manifest))
                if why:
                    promote(connection, AliasEvent(made.name, made.version, datetime.now(UTC), run_id, why))

            staged = [*staged_model(context.workspace, folder, made.name, made.version), *gathered.staged_letters()]
            written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    checkpoints.clear()
    if written.already_done:
        return _as_before(made, written.run_id)
    return TrainResult(
        run_id,
        manifest,
        entry,
        why,
        gathered.counts,
        (context.shown(gathered.letters.target),) if gathered.letters.count else (),
        (*gathered.notes, *notes, *_about_rows(study)),
        fit.warnings,
    )


def _fit(made: TrainPlan, gathered: Gathered, checkpoints: Checkpoints, reporter: Reporter) -> tuple[Study, Fit]:
    train, request = made.context.settings.train, made.request
    wanted = Wanted(
        request.task, made.types, train.holdout, train.fixed_epochs, train.seed, request.refit, train.trials, train.cv
    )
    study = look(gathered, wanted)
    if request.algorithm == "search":
        from studentsuccess.tasks import train_search

        return study, train_search.fit(study, wanted, made.context, reporter)
    from studentsuccess.tasks import train_incremental

    return study, train_incremental.fit(study, wanted, checkpoints, reporter)


def _written(made: TrainPlan, study: Study, fit: Fit, trained: Trained, folder: Path) -> Manifest:
    """The manifest, bound to its files: weights, figures, the card and its picture."""
    train, request = made.context.settings.train, made.request
    gathered = study.gathered
    settings: dict[str, Any] = {"seed": train.seed, "task": request.task}
    settings |= {"trials": train.trials, "cv": train.cv} if request.algorithm == "search" else {"epochs": train.epochs}
    if made.types:
        settings["types"] = {column: role.value for column, role in made.types.items()}
    manifest = Manifest(
        name=made.name,
        version=made.version,
        algorithm=request.algorithm,
        task=study.target.task,
        target=made.source.target,
        target_kind=gathered.gatherer.target.column.kind,
        ids=made.source.dataset.ids,
        features=fit.features,
        classes=study.target.classes,
        null_values=tuple(made.context.settings.etl.null_values),
        holdout=study.holdout,
        trained=trained,
        settings=settings,
        metrics=fit.metrics,
        baseline=fit.baseline,
        libraries=libraries(),
        extra={**fit.extra, "repeats": gathered.repeats},
    )
    files = dict(fit.files) | told(manifest, made.context)
    return write_model(folder, manifest, files, signing_key(made.context))


def told(manifest: Manifest, context: Context) -> dict[str, bytes]:
    """The files beside the weights, which say the model's name and version: figures, the card and its picture."""
    smallest = context.settings.privacy.min_cell
    files = {"metrics.json": _figures(manifest), "card.md": card(manifest, smallest).encode("utf-8")}
    if manifest.classes:
        files["calibration.png"] = calibration_png(manifest.metrics, f"{manifest.label}: {manifest.target}", smallest)
    return files


def _figures(manifest: Manifest) -> bytes:
    document = {"model": manifest.label, "metrics": manifest.metrics, "baseline": manifest.baseline}
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def libraries() -> dict[str, str]:
    """What a model was made with."""
    found = {"python": platform.python_version(), "studentsuccess": __version__}
    return found | {name: metadata.version(name) for name in LIBRARIES}


def promotion(context: Context, registry: Registry, entry: ModelEntry, manifest: Manifest) -> str:
    """Why this version becomes the production one; nothing when it does not."""
    wish = context.settings.train.promote
    current = registry.production(entry.name)
    if wish == "never":
        return ""
    if wish == "always":
        return "asked for with --promote always"
    if current is None:
        return "the first version"
    if not _comparable(current, entry):
        return ""
    figure = DECIDES[entry.task]
    before, now = registry.figures(current).get(figure), float(manifest.metrics[figure])
    better = before is not None and now < before
    return f"better than {current.label} on the same held-out rows ({figure})" if better else ""


def _comparable(one: ModelEntry, other: ModelEntry) -> bool:
    """Evaluated on the same rows, at the same task."""
    facts = ("task", "target", "holdout_basis", "holdout_share", "holdout_digest")
    return all(getattr(one, fact) == getattr(other, fact) for fact in facts)


def _as_before(made: TrainPlan, run_id: str) -> TrainResult:
    registry = all_models(made.context.workspace, made.context.limits)
    entry = next(entry for entry in registry.entries if entry.run_id == run_id)
    return TrainResult(run_id, None, entry, "", Counts(), already_trained=True)


def _forget_checkpoints(made: TrainPlan) -> None:
    """A training that was killed after its commit has left them, and nothing goes on from them any more."""
    folder = made.context.workspace.unfinished_models
    if folder.is_dir():
        digests = [file_digest(one.given.origin.path) for one in made.source.dataset.probes]
        Checkpoints(folder, _key(made, digests), resume=False).clear()


def _about_checkpoints(made: TrainPlan, checkpoints: Checkpoints) -> tuple[str, ...]:
    if made.request.resume:
        return () if checkpoints.exist() else ("nothing to resume: this very training was not begun before",)
    if not checkpoints.exist():
        return ()
    checkpoints.clear()
    return ("an unfinished training of the same data was begun anew; `--resume` would have gone on",)


def _about_rows(study: Study) -> tuple[str, ...]:
    missing = study.target.unlabelled
    return (f"{missing:,} rows have no `{study.gathered.gatherer.target.column.name}`: left out",) if missing else ()


def stamp(moment: datetime) -> str:
    """A moment as manifests have it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
