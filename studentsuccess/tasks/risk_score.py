"""`ss score` without an input: the current enrolments, with the risk model in production, week by week."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess import __version__
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.core.reporter import Reporter
from studentsuccess.core.sinks import RowFormat, encode_rows, open_rows, probability_field
from studentsuccess.errors import UsageError
from studentsuccess.features import risk as features
from studentsuccess.features.risk_words import actionable, describe
from studentsuccess.models.keep import load_weights
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.risk import WeekModel, unpack
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.models import open_model, resolve_model
from studentsuccess.tasks.risk import teaching_half
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.models import RISK, ModelEntry
from studentsuccess.warehouse.predictions import (
    AT_RISK,
    NOT_AT_RISK,
    UNSURE,
    Scored,
    read_predictions,
    replace_predictions,
)
from studentsuccess.warehouse.runs import newest_load
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "score"
TARGET = "predictions"
FILES = ("predictions_latest.csv", "metrics_latest.json")  # in `outputs/`, where users of the old system look for them
MOST_REASONS = 6


@dataclass(frozen=True)
class RiskScorePlan:
    """Which model scores which term."""

    context: Context
    entry: ModelEntry
    manifest: Manifest
    models: dict[int, WeekModel]
    term: tuple[str, ...]
    data: FileFact
    reach: int | None
    done: str | None

    @property
    def lag(self) -> int:
        """Days until a mark is known, as the model learned it: another lag would be another feature."""
        return int(self.manifest.settings["marking_lag_days"])

    @property
    def weeks(self) -> tuple[int, ...]:
        """Those that the data has reached the end of (give or take a quiet day), and the first in any case."""
        every = sorted(self.models)
        last = every[0] if self.reach is None else (self.reach + 1) // 7
        return tuple(week for week in every if week <= last) or (every[0],)


@dataclass(frozen=True)
class RiskScoreResult:
    """What became of it: of the newest week, who is scored and who had gone."""

    run_id: str
    model: str
    week: int
    scored: int
    gone: int
    decisions: dict[str, int]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    already_scored: bool = False


def plan(spec: str | None, context: Context) -> RiskScorePlan:
    """The model in production (or the one that is named), its files verified."""
    entry = resolve_model(spec or RISK, context.workspace, context.limits)
    if entry.algorithm != RISK:
        raise UsageError(
            f"`{entry.label}` predicts tables, and no table was named",
            f"name a file: `ss score FILE -m {entry.name}`; the risk model alone scores the current enrolments",
        )
    manifest, models = open_risk(context, entry)
    terms = tuple(str(term) for term in manifest.extra["test_terms"])
    with connect(context.workspace, context.limits, read_only=True) as connection:
        data, reach = newest_load(connection), features.reach(connection, terms)
    made = RiskScorePlan(context, entry, manifest, models, terms, data, reach, None)
    return replace(made, done=is_done(context.workspace, context.limits, key_of(made), (TARGET,)))


def open_risk(context: Context, entry: ModelEntry) -> tuple[Manifest, dict[int, WeekModel]]:
    """A risk model whose files are as its manifest says."""
    kept = open_model(context, entry)
    texts = {name: path.read_text("utf-8") for name, path in kept.files.items() if name.endswith(".lightgbm.txt")}
    arrays = load_weights(kept.files["weights.safetensors"])
    return kept.manifest, unpack(arrays, texts, kept.manifest.extra["weeks"])


def key_of(made: RiskScorePlan) -> str:
    """All that decides the predictions."""
    facts = {
        "command": "score risk",
        "program": __version__,
        "model": made.entry.manifest_sha256,
        "data": made.data.sha256,
        "lag": made.lag,
        "term_starts": made.context.settings.marts.term_starts,
    }
    return text_digest(canonical(facts))


def run(made: RiskScorePlan, reporter: Reporter) -> RiskScoreResult:
    """Predict every week of the term, explain the newest, and put both into the warehouse."""
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    if made.done:
        with connect(context.workspace, context.limits, read_only=True) as connection:
            return _result(made, made.done, read_predictions(connection), (), already=True)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        with connect(context.workspace, context.limits, read_only=True) as connection:
            scored = predict(connection, made, run_id, reporter)
        files = _files(made, scored, run_id)
        record = Run(
            run_id, key_of(made), COMMAND, (TARGET,), False, started, context.configuration.digest,
            (made.data, FileFact(f"{made.entry.path}/manifest.json", 0, made.entry.manifest_sha256)),
        )  # fmt: skip

        def work(connection: Connection) -> None:
            replace_predictions(connection, scored)

        written = commit(context.workspace, context.limits, record, files, work, context.wait)
    return _result(made, written.run_id, scored, files, already=written.already_done)


def _result(
    made: RiskScorePlan, run_id: str, scored: Scored, files: Sequence[StagedFile], *, already: bool
) -> RiskScoreResult:
    week = made.weeks[-1]
    newest = scored.population.filter(pc.equal(scored.population["week"], week))
    last = scored.prediction.filter(pc.equal(scored.prediction["week"], week))
    words = {one["values"]: one["counts"] for one in pc.value_counts(last["decision"].combine_chunks()).to_pylist()}
    return RiskScoreResult(
        run_id,
        made.entry.label,
        week,
        last.num_rows,
        int(pc.sum(newest["gone"]).as_py() or 0),
        {name: words.get(name, 0) for name in (AT_RISK, UNSURE, NOT_AT_RISK)},
        tuple(made.context.shown(file.target) for file in files),
        tuple(_notes(made)),
        already,
    )


def _notes(made: RiskScorePlan) -> list[str]:
    notes = []
    wanted = made.context.settings.risk.marking_lag_days
    if wanted != made.lag:
        notes.append(
            f"{made.entry.label} learned with a marking lag of {made.lag} days, so it is scored with that, not with"
            f" {wanted}: `ss train local --algorithm risk` learns it anew"
        )
    if made.manifest.extra.get("split_students"):
        notes.append(
            "only one term: half of its students taught the model, and only the other half counts as predicted"
        )
    if left := sorted(set(made.models) - set(made.weeks)):
        notes.append(
            f"the data of {', '.join(made.term)} ends on day {made.reach}: week {left[0]}"
            f"{f' to {left[-1]}' if left[1:] else ''} can't be scored yet"
        )
    return notes


def predict(connection: Connection, made: RiskScorePlan, run_id: str, reporter: Reporter) -> Scored:
    """All predictions of the term being scored; reasons for the newest week."""
    features.prepare(connection, made.context.settings.marts.start_days)
    predictions, populations, reasons = [], [], []
    step = reporter.step("scoring", len(made.weeks), unit="weeks")
    try:
        for number in made.weeks:
            table = features.week(connection, number, made.lag)
            mine = table.filter(pc.is_in(table["term"], pa.array(made.term)))
            predictions.append(_predicted(made, number, mine, run_id))
            populations.append(features.population(connection, number, made.term))
            if number == made.weeks[-1]:
                reasons.append(_reasons(made, number, mine, run_id))
            step.advance(1)
    finally:
        step.close()
    population = pa.concat_tables(populations)
    ids = pa.array([run_id] * population.num_rows, pa.string())
    return Scored(pa.concat_tables(predictions), reasons[0], population.add_column(0, "run_id", ids))


def _predicted(made: RiskScorePlan, number: int, table: pa.Table, run_id: str) -> pa.Table:
    model = made.models[number]
    probability = model.probability(table)
    count = table.num_rows
    taught = teaching_half(table) if made.manifest.extra.get("split_students") else np.zeros(count, bool)
    return pa.table(
        {
            "run_id": pa.array([run_id] * count, pa.string()),
            "name": pa.array([made.entry.name] * count, pa.string()),
            "version": pa.array([made.entry.version] * count, pa.int32()),
            "course_run_id": table["course_run_id"],
            "enrollment_id": table["enrollment_id"],
            "student_id": table["student_id"],
            "week": table["week"],
            "cutoff_day": table["cutoff_day"],
            "probability": pa.array(probability, pa.float64()),
            "decision": pa.array(model.calibration.decisions(probability), pa.string()),
            "out_of_sample": pa.array(~taught),
        }
    )


def _reasons(made: RiskScorePlan, number: int, table: pa.Table, run_id: str) -> pa.Table:
    """The strongest reasons of each enrolment; how sure they are is the prediction's affair."""
    names, effects, _ = made.models[number].reasons(table)
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :MOST_REASONS]
    values = {name: table[name].to_pylist() for name in names}
    ids = table["enrollment_id"].to_pylist()
    rows = [
        (run_id, ids[row], number, rank + 1, names[place], float(effects[row, place]), actionable(names[place]),
         describe(names[place], values[names[place]][row]))
        for row in range(table.num_rows)
        for rank, place in enumerate(order[row].tolist())
    ]  # fmt: skip
    fields = [
        ("run_id", pa.string()), ("enrollment_id", pa.int32()), ("week", pa.int32()), ("rank", pa.int32()),
        ("feature", pa.string()), ("effect", pa.float64()), ("actionable", pa.bool_()), ("words", pa.string()),
    ]  # fmt: skip
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [[]] * len(fields)
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(fields, columns, strict=True)})


def _files(made: RiskScorePlan, scored: Scored, run_id: str) -> list[StagedFile]:
    """The rows and the figures of the model."""
    folder = made.context.workspace.outputs
    folder.mkdir(parents=True, exist_ok=True)
    files = [StagedFile(temp_path(folder / name, run_id), folder / name) for name in FILES]
    _write_rows(files[0].temp, scored)
    document = {
        "model": made.entry.label,
        "terms": list(made.term),
        "weeks": list(made.manifest.extra["by_week"]),
        "judged": made.manifest.extra["judged"],
    }
    files[1].temp.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return files


def _write_rows(path: Path, scored: Scored) -> None:
    newest = max(scored.prediction["week"].to_pylist(), default=0)
    mine = scored.prediction.filter(pc.equal(scored.prediction["week"], newest))
    names = ["course_run_id", "student_id", "week", "probability", "decision", "out_of_sample"]
    chosen = mine.select(names).combine_chunks()
    fields = [probability_field(name) if name == "probability" else chosen.schema.field(name) for name in names]
    schema = pa.schema(fields)
    with open_rows(path, RowFormat.CSV, schema) as sink:
        for batch in chosen.to_batches():
            sink.put(encode_rows(pa.RecordBatch.from_arrays(batch.columns, schema=schema), RowFormat.CSV))
