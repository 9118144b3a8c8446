"""`ss score`: stream rows through a registered model, in order, with every row in the output or in the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from studentsuccess import __version__
from studentsuccess.core.atomic import promote, temp_path
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact, canonical, file_digest, text_digest
from studentsuccess.core.layout import Parsed, Reject
from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.core.reporter import Reporter, Step
from studentsuccess.core.sinks import EncodedRows, RowFormat, RowSink, encode_rows, format_of, open_rows
from studentsuccess.core.stream import stream
from studentsuccess.errors import ContractError, StorageError, UsageError
from studentsuccess.models.metrics import ClassMetrics, ValueMetrics
from studentsuccess.models.predictor import Predictor
from studentsuccess.sources.landed import TooManyRejectsError, enforce_limit
from studentsuccess.sources.table import dataset_name
from studentsuccess.tasks.context import Context, free_space
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.tasks.models import resolve_model
from studentsuccess.tasks.models_open import open_predictor
from studentsuccess.tasks.score_input import ScoreInput, examine
from studentsuccess.tasks.score_out import Stdout, removed_on_failure
from studentsuccess.tasks.score_rows import ACTUAL, NO_SCORE, NOT_FINITE, Scorer
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.models import ModelEntry
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "score"
STDOUT = "-"
ROW = "row"
# A row of scores is rarely longer than the row that it is about.
SPACE_FACTOR = 1.2
INTERVAL = 0.9
# Scoring may be done when somebody else holds the warehouse: the line in the ledger is worth a moment's wait.
PATIENCE = 10.0


@dataclass(frozen=True)
class ScoreRequest:
    """What the user asked for. No output: beside the other outputs, named after the input."""

    model: str | None = None
    output: str | None = None
    ids: tuple[str, ...] = ()
    evaluate: bool = False
    reasons: int = 0
    stdout_format: RowFormat = RowFormat.CSV


@dataclass(frozen=True)
class ScorePlan:
    """What will be scored with what, and where it goes. Made by reading only; the model's files are verified."""

    context: Context
    request: ScoreRequest
    entry: ModelEntry
    model: Predictor
    given: ScoreInput
    target: Path | None
    form: RowFormat
    warnings: tuple[str, ...]
    free: int
    done: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        return (f"scores:{self.context.workspace.name_of(self.target)}",) if self.target else ()

    @property
    def output(self) -> str:
        return self.context.shown(self.target) if self.target else "stdout"


@dataclass(frozen=True)
class ScoreResult:
    """What became of it."""

    run_id: str
    model: str
    output: str
    counts: Counts
    unseen: Mapping[str, int]
    dead_letters: tuple[str, ...] = ()
    metrics: Mapping[str, Any] | None = None
    failed: str = ""
    already_scored: bool = False
    learned_from: bool = False


def plan(request: ScoreRequest, files: Sequence[NamedFile], context: Context) -> ScorePlan:
    """Find the model, hold the input against it, and see where the rows can go."""
    entry = resolve_model(request.model, context.workspace, context.limits)
    model = open_predictor(context, entry)
    given = examine(files, model.manifest, context, request.ids, evaluate=request.evaluate)
    _refuse_same_names(Scorer(model, given, request.reasons).schema().names)
    target = _target(request, files, context)
    form = format_of(target) if target else request.stdout_format
    free = free_space(target.parent if target else context.workspace.root)
    if target and given.size * SPACE_FACTOR > free:
        raise StorageError(
            f"{target.parent}: about {given.size * SPACE_FACTOR / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are"
            " free",
            "free some space, or write elsewhere with `-o FILE`",
        )
    warnings = _about_unused(given, entry)
    made = ScorePlan(context, request, entry, model, given, target, form, warnings, free, None)
    return replace(made, done=_done(made)) if target and target.exists() else made


def _target(request: ScoreRequest, files: Sequence[NamedFile], context: Context) -> Path | None:
    if request.output == STDOUT:
        return None
    if request.output is not None:
        target = Path(request.output).expanduser().absolute()
        if target.is_dir():
            raise UsageError(f"{request.output}: is a folder", f"name a file in it: `-o {request.output}/scores.csv`")
        if target.exists() and any(target.samefile(file.path) for file in files):
            raise UsageError(f"{request.output}: is the input itself", "write to another file with `-o FILE`")
        return target
    return context.workspace.outputs / f"{dataset_name(files[0].shown)}.scored.csv"


def _refuse_same_names(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"the id `{twice[0]}` has the name of a column that the scores bring",
            "rename it in the file, or name the rows by another column: `--id COLUMN`",
        )


def _about_unused(given: ScoreInput, entry: ModelEntry) -> tuple[str, ...]:
    if not given.unused:
        return ()
    named = ", ".join(f"`{name}`" for name in given.unused[:3])
    more = f" and {len(given.unused) - 3} more" if len(given.unused) > 3 else ""
    return (f"columns that `{entry.label}` does not know are left out: {named}{more}",)


def _done(made: ScorePlan) -> str | None:
    """Whether the file that stands there is the very same result."""
    digests = [file_digest(given.origin.path) for given in made.given.inputs]
    return is_done(made.context.workspace, made.context.limits, _key(made, digests), made.targets)


def _key(made: ScorePlan, digests: Sequence[str]) -> str:
    etl, request = made.context.settings.etl, made.request
    return text_digest(
        canonical(
            {
                "command": COMMAND,
                "program": __version__,
                "model": made.entry.manifest_sha256,
                "inputs": list(digests),
                "output": [*made.targets, made.form.value],
                "request": [made.given.ids, request.reasons],
                "etl": [etl.encoding, etl.delimiter],
            }
        )
    )


def run(made: ScorePlan, reporter: Reporter, stdout: BinaryIO | None = None) -> ScoreResult:
    """Do what the plan says. Rows for stdout are there before they are recorded, files appear with the record."""
    context = made.context
    if made.done and not made.request.evaluate:
        return ScoreResult(made.done, made.entry.label, made.output, Counts(), {}, already_scored=True)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        letters = _letters(made, run_id)
        sink_path = temp_path(made.target, run_id) if made.target else None
        work = _Work(made, Scorer(made.model, made.given, made.request.reasons), letters, reporter)
        with removed_on_failure(sink_path), storage_errors(sink_path or made.given.inputs[0].origin.path):
            work.write(sink_path or cast(BinaryIO, Stdout(stdout)))
            counts, metrics = work.counts(), work.metrics()
            _keep_letters_on_refusal(made, work.without_failed(counts), letters)
        staged = [StagedFile(sink_path, made.target)] if sink_path and made.target else []
        staged += [StagedFile(letters.temp, letters.target)] if letters.count else []
        facts = tuple(given.origin.fact() for given in made.given.inputs)
        key = _key(made, [fact.sha256 for fact in facts])
        # What was scored only in part is not done: the same command does it again.
        key = text_digest(canonical([key, run_id])) if work.failure() else key
        books = {"scores": counts}
        inputs = (*facts, _model_fact(made))
        record = Run(run_id, key, COMMAND, made.targets, False, started, context.configuration.digest, inputs, books)
        written = commit(context.workspace, context.limits, record, staged, _nothing, max(context.wait, PATIENCE))
    return ScoreResult(
        written.run_id,
        made.entry.label,
        made.output,
        counts,
        dict(work.scorer.unseen),
        (context.shown(_letters(made, written.run_id).target),) if letters.count else (),
        metrics,
        work.failure(),
        learned_from=any(fact.sha256 in _learned(made) for fact in facts),
    )


def _learned(made: ScorePlan) -> set[str]:
    return {fact.sha256 for fact in made.model.manifest.trained.data}


def _nothing(_connection: Connection) -> None:
    """Scores are a file; the warehouse keeps that they were made."""


def _letters(made: ScorePlan, run_id: str) -> DeadLetters:
    target = made.context.workspace.dead_letters / f"{run_id}-scores.csv"
    return DeadLetters(temp_path(target, run_id), target)


def _model_fact(made: ScorePlan) -> FileFact:
    """The model is an input like any other: the ledger says which one it was."""
    path = made.context.workspace.root / made.entry.path / "manifest.json"
    return FileFact(f"{made.entry.path}/manifest.json", path.stat().st_size, made.entry.manifest_sha256)


def _keep_letters_on_refusal(made: ScorePlan, counts: Counts, letters: DeadLetters) -> None:
    try:
        enforce_limit({"scores": counts}, made.context.reading().max_rejects, {"scores": letters})
    except TooManyRejectsError:
        promote(letters.temp, letters.target)
        raise


@dataclass(frozen=True)
class _Numbered:
    """One block of results and the number of its first record."""

    parsed: Parsed
    first: int


@dataclass(frozen=True)
class _Ready:
    """One block, encoded, with the truth and what was predicted where they are to be compared."""

    rows: EncodedRows
    batch: pa.RecordBatch
    rejects: tuple[Reject, ...]
    source: int
    read: int


class _Work:
    """The stream: read and predict in the workers, number and encode behind them, write in order."""

    def __init__(self, made: ScorePlan, scorer: Scorer, letters: DeadLetters, reporter: Reporter) -> None:
        self.scorer = scorer
        self._made, self._letters, self._reporter = made, letters, reporter
        manifest = made.model.manifest
        self._classes = ClassMetrics(manifest.classes) if manifest.task == "classification" else None
        self._values = ValueMetrics(INTERVAL)
        self._read = self._scored = self._compared = 0
        self._failed: dict[str, list[int]] = {}

    def write(self, target: Path | BinaryIO) -> None:
        if isinstance(target, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
        step = self._reporter.step("scoring", None)
        seen = 0
        try:
            with open_rows(target, self._made.form, self._schema()) as sink:
                for ready in ordered_map(self._encode, self._numbered(), Engine("threads", 1)):
                    seen += self._take(ready, sink, step)
        finally:
            step.close()
            self._letters.close()

    def _numbered(self) -> Iterator[_Numbered]:
        made = self._made
        settings = made.context.reading().stream
        first = 0
        for parsed in stream(made.given.inputs, made.given.layout, settings, self.scorer):
            yield _Numbered(parsed, first)
            first += parsed.read

    def _encode(self, block: _Numbered) -> _Ready:
        batch = block.parsed.batch
        if not self._made.given.ids:
            batch = batch.add_column(0, pa.field(ROW, pa.int64()), _row_numbers(block))
        shown = batch.drop_columns([ACTUAL]) if self._made.given.actual else batch
        rows = encode_rows(shown, self._made.form, compiled=self._made.given.size >= COMPILED_BYTES)
        return _Ready(rows, batch, block.parsed.rejects, block.parsed.source, block.parsed.read)

    def _schema(self) -> pa.Schema:
        fields = [one for one in self.scorer.schema() if one.name != ACTUAL]
        return pa.schema(fields if self._made.given.ids else [pa.field(ROW, pa.int64()), *fields])

    def _take(self, ready: _Ready, sink: RowSink, step: Step) -> int:
        sink.put(ready.rows)
        given = self._made.given.inputs[ready.source]
        self._letters.add(given.origin.shown, ready.rejects)
        if failed := [one.line for one in ready.rejects if one.reason.startswith((NO_SCORE, NOT_FINITE))]:
            self._failed.setdefault(given.origin.shown, []).extend(failed)
        self._read += ready.read
        self._scored += ready.batch.num_rows
        if self._made.given.actual:
            self._compare(ready.batch)
        step.advance(ready.read, rejected=len(ready.rejects))
        return ready.read

    def _compare(self, batch: pa.RecordBatch) -> None:
        """The truth was read beside the features and no feature saw it."""
        actual = batch.column(ACTUAL).to_numpy()
        known = np.isfinite(actual)
        self._compared += int(known.sum())
        manifest = self._made.model.manifest
        if self._classes is not None:
            likely = np.stack([batch.column(f"p_{label}").to_numpy() for label in manifest.classes], 1)
            self._classes.add(actual[known].astype(np.int64), likely[known])
            return
        parts = [f"{part}_{manifest.target}" for part in ("predicted", "low", "high")]
        found = [batch.column(name).to_numpy()[known] for name in parts if name in batch.schema.names]
        self._values.add(actual[known], *found)

    def counts(self) -> Counts:
        counts = Counts(self._read, self._scored, self._letters.count, 0)
        counts.check("scores")
        if not counts.read:
            raise self._made.given.inputs[0].origin.error("0 data rows", "export the file again")
        return counts

    def without_failed(self, counts: Counts) -> Counts:
        """The books of the data: how much of it may be bad says nothing about our own failures."""
        return replace(counts, rejected=counts.rejected - sum(map(len, self._failed.values())))

    def metrics(self) -> Mapping[str, Any] | None:
        if not self._made.given.actual:
            return None
        if not self._compared:
            raise ContractError(
                f"no row has a known `{self._made.given.actual}`: there is nothing to evaluate against",
                "leave `--evaluate` out: scoring needs no target",
            )
        return self._classes.result() if self._classes is not None else self._values.result()

    def failure(self) -> str:
        """Which rows could not be scored at all, if any: that is a defect and not the data's fault."""
        return " and ".join(_lines(shown, lines) for shown, lines in self._failed.items())


def _lines(shown: str, lines: Sequence[int]) -> str:
    if len(lines) == 1:
        return f"line {lines[0]:,} of {shown}"
    return f"{len(lines):,} rows between lines {min(lines):,} and {max(lines):,} of {shown}"


def _row_numbers(block: _Numbered) -> pa.Array:
    """The place of each result's row in the input, from 1 on; rejected rows leave gaps."""
    places = np.arange(block.parsed.read, dtype=np.int64)
    places = np.delete(places, block.parsed.rejected_records)
    return pa.array(places + block.first + 1)


# From this size on compiling pays for what it costs to load a compiler.
COMPILED_BYTES = 16 << 20
