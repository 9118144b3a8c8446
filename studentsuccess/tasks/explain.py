"""`ss explain`: what a model looks at, kept as a picture and a table, or why it said what it said of one row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studentsuccess import __version__
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import Counts, rows_of
from studentsuccess.core.digest import FileFact, canonical, file_digest, text_digest
from studentsuccess.core.infer import look
from studentsuccess.core.reporter import Reporter, Step, phase
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.models.draw import importance_png
from studentsuccess.models.explain import MOST_CLASSES, Overview, overview
from studentsuccess.models.explain_row import LOG_ODDS, RowReasons, row_reasons, typical_of
from studentsuccess.models.explain_words import group_of, importance_document
from studentsuccess.models.keep import MANIFEST
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.predictor import Predictor
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.explain_rows import FoundRow, Gathered, Wanted, read_rows
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.tasks.models import resolve_model
from studentsuccess.tasks.models_open import open_predictor
from studentsuccess.tasks.score_input import ScoreInput, examine
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.load import all_datasets
from studentsuccess.warehouse.models import ModelEntry
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "explain"
TABLE, PICTURE = "shap_top_features.json", "shap_summary.png"
# So many rows by default. What a mean says hardly changes beyond; trees take a hundred times as long as our weights.
ROWS, ROWS_OF_TREES = 2_000, 500
INCREMENTAL = "incremental"
# As for scores: the line in the ledger is worth a moment's wait.
PATIENCE = 10.0


@dataclass(frozen=True)
class ExplainRequest:
    """What the user asked for. No folder: among the workspace's outputs."""

    model: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    rows: int | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Chosen:
    """A registered model whose files were verified."""

    entry: ModelEntry
    model: Predictor

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest


@dataclass(frozen=True)
class ExplainPlan:
    """What will be explained over which rows, and where it goes. Made by reading only."""

    context: Context
    request: ExplainRequest
    chosen: Chosen
    given: ScoreInput
    folder: Path | None
    rows: int
    done: str | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        return (f"explain:{self.context.workspace.name_of(self.folder)}",) if self.folder else ()

    @property
    def outputs(self) -> tuple[Path, ...]:
        return (self.folder / TABLE, self.folder / PICTURE) if self.folder else ()


@dataclass(frozen=True)
class Explained:
    """The importance of every feature, and where it is kept."""

    run_id: str
    overview: Overview
    document: Mapping[str, Any]
    counts: Counts
    outputs: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    already_done: bool = False


@dataclass(frozen=True)
class RowExplained:
    """One row and its reasons."""

    found: FoundRow
    reasons: RowReasons
    warnings: tuple[str, ...] = ()


def choose(request: ExplainRequest, context: Context) -> Chosen:
    """The model that is meant, opened."""
    wanted = request.wanted
    if wanted.row is not None and wanted.student:
        raise UsageError("`--row` and `--student` both name a row", "say one of them")
    if wanted.anything and request.folder is not None:
        raise UsageError(
            "`--into` is for what a model looks at in general, and the reasons of one row are only shown",
            "to keep them: `ss explain … -f json > FILE`",
        )
    entry = resolve_model(request.model, context.workspace, context.limits)
    found = Chosen(entry, open_predictor(context, entry))
    if not found.manifest.used:
        raise ContractError(f"`{entry.label}` looks at no column at all", "train it again: `ss train local`")
    _refuse_ids(wanted.student, found.manifest)
    return found


def _refuse_ids(student: Sequence[str], manifest: Manifest) -> None:
    if not student or len(student) == len(manifest.ids):
        return
    if not manifest.ids:
        raise UsageError(
            f"`{manifest.label}` was trained without an id, so it can't tell rows by one",
            "name a row by its place: `--row N`; a model trained with `--id COLUMN` knows ids",
        )
    raise UsageError(
        f"`{manifest.label}` tells rows by {len(manifest.ids)} columns ({', '.join(manifest.ids)}), and {len(student)}"
        f" value{' was' if len(student) == 1 else 's were'} given",
        f"say them in that order: `{' '.join('--student VALUE' for _ in manifest.ids)}`",
    )


@contextmanager
def located(
    named: Sequence[str],
    chosen: Chosen,
    context: Context,
    resolve: Callable[[Sequence[str]], AbstractContextManager[tuple[NamedFile, ...]]],
) -> Iterator[tuple[NamedFile, ...]]:
    """The files that are meant, while they are needed; unsaid, what the model was trained on, if it is still there."""
    if not named:
        yield _training_files(chosen.manifest, context)
        return
    dataset = _dataset_files(named, context)
    if dataset:
        yield dataset
        return
    with resolve(named) as files:
        yield files


def _dataset_files(named: Sequence[str], context: Context) -> tuple[NamedFile, ...]:
    """A dataset of the workspace, when one name is given and no file has it."""
    if len(named) != 1 or Path(named[0]).expanduser().exists():
        return ()
    entries = {entry.name: entry for entry in all_datasets(context.workspace, context.limits) if entry.path}
    entry = entries.get(named[0])
    if entry is None:
        return ()
    folder = context.workspace.root / entry.path
    return tuple(NamedFile(path, f"{entry.path}/{path.name}") for path in sorted(folder.glob("data*.parquet")))


def _training_files(manifest: Manifest, context: Context) -> tuple[NamedFile, ...]:
    found = [_same_file(fact, context) for fact in manifest.trained.data]
    files = [file for file in found if file is not None]
    if not files or len(files) < len(found):
        raise UsageError(
            f"what `{manifest.label}` was trained on is not there any more, or has changed",
            f"name the rows to explain: `ss explain FILE -m {manifest.label}`",
        )
    return tuple(files)


def _same_file(fact: FileFact, context: Context) -> NamedFile | None:
    """The file of that content where the user stands, or in the workspace."""
    for path in (Path(fact.path), context.workspace.root / fact.path):
        if path.is_file() and path.stat().st_size == fact.size and file_digest(path) == fact.sha256:
            return NamedFile(path, fact.path)
    return None


def plan(request: ExplainRequest, chosen: Chosen, files: Sequence[NamedFile], context: Context) -> ExplainPlan:
    """Hold the input against the model, and see where the results go."""
    given = examine(files, chosen.manifest, context)
    if request.wanted.student and not given.ids:
        raise UsageError(
            f"{files[0].shown}: there is no column {' and '.join(f'`{name}`' for name in chosen.manifest.ids)} to find"
            " a row by",
            "name a row by its place: `--row N`",
        )
    rows = request.rows or (ROWS if chosen.manifest.algorithm == INCREMENTAL else ROWS_OF_TREES)
    folder = None if request.wanted.anything else _folder(request, chosen, context)
    made = ExplainPlan(context, request, chosen, given, folder, rows)
    return replace(made, done=_done(made)) if all(path.exists() for path in made.outputs) else made


def beginning(made: ExplainPlan) -> None:
    """For a dry run: what a run would refuse at the beginning of the input is refused here."""
    reading = made.context.reading()
    for given in made.given.inputs:
        look(given, given.dialect.names, reading.null_values, reading.stream.max_record)


def _folder(request: ExplainRequest, chosen: Chosen, context: Context) -> Path:
    if request.folder is None:
        return context.workspace.outputs / COMMAND / chosen.manifest.name
    folder = Path(request.folder).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{request.folder}: is a file, and two files are to be written", "name a folder: `--into DIR`")
    return folder


def _done(made: ExplainPlan) -> str | None:
    """Whether the files that stand there are the very same result."""
    if not made.outputs:
        return None
    digests = [file_digest(given.origin.path) for given in made.given.inputs]
    return is_done(made.context.workspace, made.context.limits, _key(made, digests), made.targets)


def _key(made: ExplainPlan, digests: Sequence[str]) -> str:
    settings = made.context.settings
    return text_digest(
        canonical(
            {
                "command": COMMAND,
                "program": __version__,
                "model": made.chosen.entry.manifest_sha256,
                "inputs": list(digests),
                "output": list(made.targets),
                "rows": made.rows,
                "smallest": settings.privacy.min_cell,
                "etl": [settings.etl.encoding, settings.etl.delimiter],
            }
        )
    )


def run_row(made: ExplainPlan, reporter: Reporter) -> RowExplained:
    """The reasons of the one row that was asked for; nothing is written."""
    gathered = _read(made, reporter)
    assert gathered.found is not None
    model = made.chosen.model
    with phase(reporter, "explaining"):
        reasons = row_reasons(model, gathered.found.batch, typical_of(model, gathered.sample))
    warnings = list(_about_rejects(gathered))
    if gathered.found.alike > 1:
        warnings.append(
            f"{gathered.found.alike:,} rows have this id; this is the first of them, row {gathered.found.row:,}"
        )
    return RowExplained(gathered.found, reasons, tuple(warnings))


def _read(made: ExplainPlan, reporter: Reporter) -> Gathered:
    return read_rows(made.given, made.context.reading(), made.rows, made.request.wanted, reporter)


def _about_rejects(gathered: Gathered) -> Iterator[str]:
    rejected = gathered.counts.rejected
    if rejected:
        yield (
            f"left out, since they can't be read: {rejected:,} of {rows_of(gathered.counts.read)}, the first in"
            f" {gathered.first_reject}"
        )


def run(made: ExplainPlan, reporter: Reporter) -> Explained:
    """The importance of every feature, as a table and a picture that appear together."""
    context = made.context
    assert made.folder is not None
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        gathered = _read(made, reporter)
        found = _overview(made, gathered, reporter)
        document = importance_document(made.chosen.manifest, found, gathered.counts)
        contents = (_json(document), _picture(made.chosen.manifest, found))
        staged = [StagedFile(temp_path(path, run_id), path) for path in made.outputs]
        with storage_errors(made.folder):
            made.folder.mkdir(parents=True, exist_ok=True)
            for file, content in zip(staged, contents, strict=True):
                file.temp.write_bytes(content)
        written = commit(
            context.workspace, context.limits, _record(made, run_id, started, gathered.counts), staged, _nothing,
            max(context.wait, PATIENCE),
        )  # fmt: skip
    return Explained(
        written.run_id,
        found,
        document,
        gathered.counts,
        tuple(context.shown(path) for path in made.outputs),
        (*_about_rejects(gathered), *_about_classes(made.chosen.manifest, found)),
        written.already_done,
    )


def _overview(made: ExplainPlan, gathered: Gathered, reporter: Reporter) -> Overview:
    model, sample = made.chosen.model, gathered.sample
    step: Step = reporter.step("explaining", sample.num_rows * min(max(len(model.manifest.classes), 1), MOST_CLASSES))
    try:
        return overview(model, sample, made.context.settings.privacy.min_cell, step.advance)
    finally:
        step.close()


def _about_classes(manifest: Manifest, found: Overview) -> Iterator[str]:
    if len(manifest.classes) > len(found.outputs):
        yield (
            f"the {len(found.outputs)} classes that are expected most are explained, of {len(manifest.classes):,};"
            " `--row N` explains any row"
        )


def _record(made: ExplainPlan, run_id: str, started: datetime, counts: Counts) -> Run:
    facts = tuple(given.origin.fact() for given in made.given.inputs)
    key = _key(made, [fact.sha256 for fact in facts])
    digest = made.context.configuration.digest
    inputs = (*facts, _model_fact(made))
    return Run(run_id, key, COMMAND, made.targets, False, started, digest, inputs, {"explained": counts})


def _model_fact(made: ExplainPlan) -> FileFact:
    entry = made.chosen.entry
    path = made.context.workspace.root / entry.path / MANIFEST
    return FileFact(f"{entry.path}/{MANIFEST}", path.stat().st_size, entry.manifest_sha256)


def _nothing(_connection: Connection) -> None:
    """An explanation is two files; the warehouse keeps that they were made."""


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _picture(manifest: Manifest, found: Overview) -> bytes:
    unit = f" ({LOG_ODDS})" if manifest.classes else ""
    title = f"{manifest.label}: what moves {manifest.target}{unit}, over {found.rows:,} rows"
    names = [one.name for one in found.features]
    sizes = [one.mean_abs for one in found.features]
    return importance_png(names, sizes, title, [group_of(one, found.outputs) for one in found.features])
