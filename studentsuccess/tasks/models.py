"""`ss models`: what was trained, how good it is, and which version is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import canonical, file_fact, text_digest
from studentsuccess.core.names import nearest
from studentsuccess.errors import UsageError
from studentsuccess.models.keep import MANIFEST, Kept, read_model
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, StagedFile, commit, new_run_id
from studentsuccess.warehouse.database import Connection, EngineLimits
from studentsuccess.warehouse.models import (
    PRODUCTION,
    AliasEvent,
    ModelEntry,
    Registry,
    all_models,
    promote,
)
from studentsuccess.warehouse.trash import standing_trash, world

COMMAND = "models promote"
ASKED = "asked for with `ss models promote`"
_TRAIN = "train one: `ss train local --data FILE --target COLUMN`"
_LIST = "`ss models list` shows all"
# By what two models are compared (a proper score, less is better), and what is shown first.
DECIDES = {"classification": "log_loss", "regression": "rmse"}
HEADLINE = {"classification": "accuracy", "regression": "r2"}


@dataclass(frozen=True)
class Standing:
    """One version as it is listed."""

    entry: ModelEntry
    production: bool
    figures: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    cleaned: str = ""

    @property
    def headline(self) -> str:
        return HEADLINE[self.entry.task]

    @property
    def best_baseline(self) -> tuple[str, float] | None:
        """The baseline that is hardest to beat, by the figure that is shown first."""
        found = [(figures[self.headline], name) for name, figures in self.baselines.items() if self.headline in figures]
        value, name = max(found, default=(0.0, ""))
        return (name, value) if name else None


@dataclass(frozen=True)
class Shown:
    """One version with its verified manifest."""

    standing: Standing
    kept: Kept
    newest: ModelEntry


@dataclass(frozen=True)
class Comparison:
    """Versions side by side. A winner is named only when all were held against the same rows."""

    standings: tuple[Standing, ...]
    same_holdout: bool
    by: str
    winner: Standing | None
    why: str


@dataclass(frozen=True)
class PromotePlan:
    """Which version will be used, and which one was. The version's files were verified."""

    context: Context
    entry: ModelEntry
    before: ModelEntry | None
    moved_by: str

    @property
    def changes(self) -> bool:
        return self.entry != self.before


@dataclass(frozen=True)
class Promoted:
    """What was done; without a run nothing was."""

    entry: ModelEntry
    before: ModelEntry | None
    run_id: str | None


def listing(context: Context) -> tuple[Standing, ...]:
    """Every version, oldest first within its name."""
    registry = all_models(context.workspace, context.limits)
    gone = {entry: _cleaned(context, entry) for entry in registry.entries}
    return tuple(replace(_standing(registry, entry), cleaned=word) for entry, (word, _) in gone.items())


def show(spec: str | None, context: Context) -> Shown:
    """Everything about one version, from its manifest; unsaid, about the one that scores, or the newest."""
    registry = all_models(context.workspace, context.limits)
    entry = _used(registry, spec or _latest(registry).name)
    return Shown(_standing(registry, entry), open_model(context, entry), registry.versions(entry.name)[-1])


def compare(specs: Sequence[str], context: Context) -> Comparison:
    """Two or more versions, and which is better if that can be said."""
    registry = all_models(context.workspace, context.limits)
    entries = tuple(dict.fromkeys(_used(registry, spec) for spec in specs))
    if len(entries) < 2:
        given = "".join(f"`{entry.label}` alone: " for entry in entries)
        raise UsageError(f"{given}two versions are needed to compare", f"name two; {_LIST}")
    return _compared(tuple(_standing(registry, entry) for entry in entries))


def _compared(standings: tuple[Standing, ...]) -> Comparison:
    entries = [one.entry for one in standings]
    by = DECIDES[entries[0].task]
    if len({(entry.task, entry.target) for entry in entries}) > 1:
        return Comparison(standings, False, by, None, "they predict different things: no winner can be named")
    same = len({entry.holdout_digest for entry in entries}) == 1 and bool(entries[0].holdout_digest)
    if not same:
        why = "they were evaluated on different hold-out rows: no winner can be named"
        return Comparison(standings, False, by, None, why)
    scores = [one.figures.get(by) for one in standings]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return Comparison(standings, True, by, None, f"`{by}` is not known for all of them: no winner can be named")
    best = min(known)
    if known.count(best) > 1:
        return Comparison(standings, True, by, None, f"evaluated on the same hold-out rows, with equal {by}")
    winner = standings[known.index(best)]
    return Comparison(standings, True, by, winner, f"evaluated on the same hold-out rows; less {by} is better")


def plan(spec: str | None, context: Context) -> PromotePlan:
    """Find the version, the newest where none is named, and see that its files are whole."""
    if spec is None:
        raise UsageError("no model is named", f"name one: `ss models promote NAME@VERSION`; {_LIST}")
    registry = all_models(context.workspace, context.limits)
    name, wanted = _parsed(registry, spec)
    entry = _named(registry, name, wanted) if wanted else registry.versions(name)[-1]
    open_model(context, entry)
    moved = [event.run_id for event in registry.events if event.name == name]
    return PromotePlan(context, entry, registry.production(name), moved[-1] if moved else "")


def run(made: PromotePlan) -> Promoted:
    """Move the alias, with its line in the ledger; what is in production already stays as it is."""
    entry, context = made.entry, made.context
    if not made.changes:
        return Promoted(entry, made.before, None)
    run_id, started = new_run_id(), datetime.now(UTC)
    key = text_digest(canonical([COMMAND, entry.name, entry.version, made.moved_by]))
    manifest = file_fact(context.workspace.root / entry.path / MANIFEST, f"{entry.path}/{MANIFEST}")
    record = Run(
        run_id, key, COMMAND, (alias_target(entry.name),), False, started, context.configuration.digest, (manifest,)
    )

    def work(connection: Connection) -> None:
        promote(connection, AliasEvent(entry.name, entry.version, started, run_id, ASKED))

    with recorded(context, run_id, started, COMMAND):
        written = commit(context.workspace, context.limits, record, (), work, context.wait)
    return Promoted(entry, made.before, written.run_id)


def alias_target(name: str) -> str:
    """What a run that moves a model's alias replaces, by the books."""
    return f"{PRODUCTION}:{name}"


def resolve_model(spec: str | None, workspace: Workspace, limits: EngineLimits) -> ModelEntry:
    """The version that a command means. Unsaid, it is the one in production of the tabular model trained last."""
    registry = all_models(workspace, limits)
    if spec is not None:
        return _used(registry, spec)
    return _in_production(registry, _latest(registry).name)


def _latest(registry: Registry) -> ModelEntry:
    latest = registry.latest_trained()
    if latest is None:
        raise UsageError("no model is registered yet", _TRAIN)
    return latest


def open_model(context: Context, entry: ModelEntry) -> Kept:
    """The model's verified manifest and files: those that were registered, and signed where a key is configured."""
    word, way_back = _cleaned(context, entry)
    if word:
        raise UsageError(f"model `{entry.label}` {word}", way_back)
    return read_model(context.workspace.root / entry.path, signing_key(context), entry.manifest_sha256)


def _cleaned(context: Context, entry: ModelEntry) -> tuple[str, str]:
    """Whether `ss clean` took a version away, in words, and how it comes back."""
    if (context.workspace.root / entry.path / MANIFEST).is_file():
        return "", ""
    taken = world(context.workspace).taken_below(entry.path)
    if taken is None:
        return "", ""
    if taken.emptied:
        return "was cleaned, and the trash emptied", f"train it again: `ss train local`; {_LIST}"
    later = [one.run_id for one in standing_trash(context.workspace)]
    again = len(later) - 1 - later.index(taken.run_id) if taken.run_id in later else 0
    times = f", {again + 1} times: {again} cleaned later come back first" if again else ""
    return "is in the trash", f"bring it back: `ss clean --undo`{times}"


def signing_key(context: Context) -> bytes | None:
    """The key of `train.signing_key`, if there is one."""
    key = context.settings.train.signing_key
    return key.get_secret_value().encode("utf-8") if key else None


def model_path(name: str, version: int) -> str:
    """A version's folder as seen from the workspace."""
    return f"models/{name}/{version}"


def staged_model(workspace: Workspace, folder: Path, name: str, version: int) -> list[StagedFile]:
    """A written model's files on their way from staging; the manifest comes last, when all it lists is there."""
    target = workspace.root / model_path(name, version)
    paths = sorted(folder.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))
    return [StagedFile(path, target / path.name) for path in paths]


def _standing(registry: Registry, entry: ModelEntry) -> Standing:
    baselines = {source.partition(":")[2]: registry.figures(entry, source) for source in registry.baselines(entry)}
    return Standing(entry, registry.is_production(entry), registry.figures(entry), baselines)


def _used(registry: Registry, spec: str) -> ModelEntry:
    """A version as it is named: by number, by alias, or by the model alone, which means the one in use."""
    name, wanted = _parsed(registry, spec)
    if wanted:
        return _named(registry, name, wanted)
    return registry.production(name) or registry.versions(name)[-1]


def _parsed(registry: Registry, spec: str) -> tuple[str, str]:
    """The model's name and what stands behind the last `@`, if anything does."""
    if not registry.entries:
        raise UsageError(f"there is no model `{spec}`: none is registered yet", _TRAIN)
    name, wanted = (spec, "") if spec in registry.names or "@" not in spec else spec.rsplit("@", 1)
    if name not in registry.names:
        near = nearest(name, registry.names)
        raise UsageError(f"there is no model `{name}`", f"did you mean `{near}`? {_LIST}" if near else _LIST)
    return name, wanted


def _named(registry: Registry, name: str, wanted: str) -> ModelEntry:
    if wanted == PRODUCTION:
        return _in_production(registry, name)
    found = next((entry for entry in registry.versions(name) if str(entry.version) == wanted), None)
    if found is None:
        there = ", ".join(f"`{entry.label}`" for entry in registry.versions(name)[-6:])
        raise UsageError(f"there is no `{name}@{wanted}`", f"the newest are {there}, and `{name}@{PRODUCTION}`")
    return found


def _in_production(registry: Registry, name: str) -> ModelEntry:
    found = registry.production(name)
    if found is None:
        newest = registry.versions(name)[-1].label
        raise UsageError(f"no version of `{name}` is in production", f"choose one: `ss models promote {newest}`")
    return found
