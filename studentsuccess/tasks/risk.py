"""`ss train local --algorithm risk`: who will not pass, learned from earlier terms week by week, judged on a later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess import __version__
from studentsuccess.core.digest import FileFact, canonical, file_fact, text_digest
from studentsuccess.core.grammar import Kind
from studentsuccess.core.names import nearest
from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.core.reporter import Reporter
from studentsuccess.core.rowhash import row_hashes
from studentsuccess.errors import UsageError
from studentsuccess.features import risk as features
from studentsuccess.models.card import card
from studentsuccess.models.draw import calibration_png
from studentsuccess.models.keep import MANIFEST, dump_weights, write_model
from studentsuccess.models.manifest import Holdout, Manifest, Trained
from studentsuccess.models.metrics import ClassMetrics, majority
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.models.risk import WeekModel, fit_week, pack
from studentsuccess.models.risk_figures import Rows, figures
from studentsuccess.models.roles import Feature, Role
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.models import alias_target, model_path, signing_key, staged_model
from studentsuccess.tasks.train import libraries, promotion, stamp
from studentsuccess.warehouse.commit import Run, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.models import (
    RISK,
    AliasEvent,
    ModelEntry,
    Registry,
    all_models,
    next_version,
    promote,
    register_model,
)
from studentsuccess.warehouse.runs import newest_load
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "train local"
CLASSES = ("not at risk", "at risk")
DRAWINGS = 200
TARGET = "at_risk"
HALF = np.uint64(1)
NO_CLICKS = "no clicks were loaded (studentVle): the model goes by marks and history alone"


@dataclass(frozen=True)
class RiskRequest:
    """What the user asked for; empty means the sensible default."""

    weeks: tuple[int, ...] = ()
    train_terms: tuple[str, ...] = ()
    test_terms: tuple[str, ...] = ()


@dataclass(frozen=True)
class RiskPlan:
    """Which terms teach, which is judged, and for which weeks. Made by reading only."""

    context: Context
    weeks: tuple[int, ...]
    train_terms: tuple[str, ...]
    test_terms: tuple[str, ...]
    split_students: bool
    lag: int
    demographics: bool
    has_activity: bool
    data: FileFact
    registry: Registry
    version: int
    done: str | None = None

    @property
    def main_week(self) -> int:
        """The week whose figures stand for the model."""
        wanted = self.context.settings.risk.week
        return wanted if wanted in self.weeks else self.weeks[-1]

    @property
    def why_split(self) -> str:
        """What every page says when there is only one term."""
        why = "only one term: half of its students teach, and only the other half is predicted"
        return why if self.split_students else ""


@dataclass(frozen=True)
class RiskResult:
    """What became of it."""

    run_id: str
    entry: ModelEntry
    manifest: Manifest | None
    promoted: str
    notes: tuple[str, ...] = ()
    already_trained: bool = False


def plan(request: RiskRequest, context: Context) -> RiskPlan:
    """Choose terms and weeks, without changing anything."""
    with connect(context.workspace, context.limits, read_only=True) as connection:
        terms = features.terms_of(connection, context.settings.marts.start_days)
        data = newest_load(connection)
    if not terms.names:
        raise UsageError(
            "there are no courses in the warehouse: the risk model learns from enrolments, clicks and marks",
            "load an export first: `ss etl FOLDER`, or generate one: `ss etl --demo`",
        )
    test = chosen(request.test_terms, terms.names, "--test-terms") or (terms.latest,)
    earlier = tuple(term for term in terms.names if terms.names.index(term) < terms.names.index(test[0]))
    train = chosen(request.train_terms, terms.names, "--train-terms") or earlier
    if overlap := set(train) & set(test):
        raise UsageError(
            f"the term `{sorted(overlap)[0]}` is both taught from and tested on",
            "name different ones: `--train-terms 2013B,2013J --test-terms 2014B`",
        )
    risk = context.settings.risk
    registry = all_models(context.workspace, context.limits)
    made = RiskPlan(
        context,
        tuple(sorted(set(request.weeks))) or tuple(range(risk.week + 1)),
        train or test,
        test,
        not train,
        risk.marking_lag_days,
        risk.demographics == "use",
        terms.has_activity,
        data,
        registry,
        next_version(context.workspace, registry, RISK),
    )
    return replace(made, done=is_done(context.workspace, context.limits, _key(made), (f"model:{RISK}",)))


def chosen(given: Sequence[str], there: Sequence[str], flag: str) -> tuple[str, ...]:
    """Terms by name, in their order in time."""
    wanted = [part.strip() for one in given for part in one.split(",") if part.strip()]
    for name in wanted:
        if name not in there:
            near = nearest(name, there)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(there)}"
            raise UsageError(f"`{flag} {name}`: there is no such term", hint)
    return tuple(term for term in there if term in wanted)


def _key(made: RiskPlan) -> str:
    facts: dict[str, Any] = {
        "command": "train risk",
        "program": __version__,
        "data": made.data.sha256,
        "weeks": made.weeks,
        "terms": [made.train_terms, made.test_terms],
        "settings": [made.lag, made.demographics, made.context.settings.train.seed],
        "term_starts": made.context.settings.marts.term_starts,
    }
    return text_digest(canonical(facts))


@dataclass(frozen=True)
class Week:
    """One week's rows: those that teach and those that are judged."""

    number: int
    training: pa.Table
    judged: pa.Table


def tables_of(made: RiskPlan, reporter: Reporter) -> list[pa.Table]:
    """The features of all weeks, each cut at its own end."""
    context = made.context
    step = reporter.step("features", len(made.weeks), unit="weeks")
    try:
        with connect(context.workspace, context.limits, read_only=True) as connection:
            features.prepare(connection, context.settings.marts.start_days)
            found = []
            for number in made.weeks:
                found.append(features.week(connection, number, made.lag))
                step.advance(1)
            return found
    finally:
        step.close()


def divided(made: RiskPlan, tables: Sequence[pa.Table]) -> list[Week]:
    """Every week's rows, told apart."""
    return [divide(made, number, table) for number, table in zip(made.weeks, tables, strict=True)]


def judged_by(made: RiskPlan, tables: Sequence[pa.Table]) -> RiskPlan:
    """The plan that the figures come from: this one where the later term has ended, else the same one term earlier."""
    main = tables[made.weeks.index(made.main_week)]
    if has_ended(divide(made, made.main_week, main)):
        return made
    if len(made.train_terms) > 1:
        return replace(made, train_terms=made.train_terms[:-1], test_terms=made.train_terms[-1:])
    return replace(made, test_terms=made.train_terms, split_students=True)


def has_ended(week: Week) -> bool:
    """Whether both outcomes are there: of a term that goes on, only those who withdrew are known already."""
    return len(week.judged["at_risk"].unique().drop_null()) > 1


def divide(made: RiskPlan, number: int, table: pa.Table) -> Week:
    """By term; a single term by student, half and half, by a hash that stays."""
    if not made.split_students:
        train = table.filter(pc.is_in(table["term"], pa.array(made.train_terms)))
        return Week(number, _known(train), table.filter(pc.is_in(table["term"], pa.array(made.test_terms))))
    mine = table.filter(pc.is_in(table["term"], pa.array(made.test_terms)))
    teaches = pa.array(teaching_half(mine))
    return Week(number, _known(mine.filter(teaches)), mine.filter(pc.invert(teaches)))


def teaching_half(table: pa.Table) -> Any:
    """Which rows of a single term teach: all of a student's, or none."""
    ids = pa.record_batch({"student": table["student_id"].combine_chunks()})
    return (row_hashes(ids, ["student"]) & HALF).astype(bool)


def _known(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table["at_risk"]))


def fit_weeks(made: RiskPlan, weeks: Sequence[Week], reporter: Reporter, *, demographics: bool) -> list[WeekModel]:
    """A model for each week, as many at once as there are processors; the result does not depend on that."""
    seed = made.context.settings.train.seed
    step = reporter.step("learning", len(weeks), unit="weeks")

    def one(week: Week) -> WeekModel:
        names = list(features.columns(week.training, demographics=demographics))
        return fit_week(week.training, week.number, names, seed)

    found = []
    try:
        for model in ordered_map(one, weeks, Engine("threads", made.context.budget.workers)):
            step.advance(1)
            found.append(model)
    finally:
        step.close()
    return found


def run(made: RiskPlan, reporter: Reporter) -> RiskResult:
    """Fit every week, judge on the later term, register the version."""
    context = made.context
    if made.done:
        return _as_before(made, made.done)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id) as staging:
        tables = tables_of(made, reporter)
        weeks = divided(made, tables)
        models = fit_weeks(made, weeks, reporter, demographics=made.demographics)
        proof = judged_by(made, tables)
        proven = weeks if proof is made else divided(proof, tables)
        judges = models if proof is made else fit_weeks(proof, proven, reporter, demographics=made.demographics)
        folder = staging / "model"
        judged = Judged(proof, proven, judges)
        manifest = _written(made, weeks, models, judged, folder, (run_id, started))
        entry = entry_of(manifest, model_path(RISK, made.version), file_fact(folder / MANIFEST).sha256)
        why = promotion(context, made.registry, entry, manifest)
        targets = (f"model:{RISK}", *((alias_target(RISK),) if why else ()))
        record = Run(run_id, _key(made), COMMAND, targets, False, started, context.configuration.digest, (made.data,))

        def work(connection: Connection) -> None:
            register_model(connection, entry, figures_of(manifest))
            if why:
                promote(connection, AliasEvent(RISK, made.version, datetime.now(UTC), run_id, why))

        staged = staged_model(context.workspace, folder, RISK, made.version)
        written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    if written.already_done:
        return _as_before(made, written.run_id)
    return RiskResult(run_id, entry, manifest, why, tuple(notes_of(made)))


@dataclass(frozen=True)
class Judged:
    """Where a model's figures come from: which plan, which rows, which fits."""

    plan: RiskPlan
    weeks: list[Week]
    models: list[WeekModel]

    def holdout(self, week: Week, rows: int) -> Holdout:
        """The rows behind the figures of a week."""
        terms = ",".join(self.plan.test_terms)
        basis = f"half of the students of {terms}" if self.plan.split_students else f"term:{terms}"
        ids = row_hashes(week.judged.select(["enrollment_id"]).combine_chunks().to_batches()[0], ["enrollment_id"])
        share = week.judged.num_rows / max(week.judged.num_rows + week.training.num_rows, 1)
        return Holdout(basis, share, rows, f"{int(ids.sum(dtype=np.uint64)):016x}")


def _written(
    made: RiskPlan,
    weeks: Sequence[Week],
    models: Sequence[WeekModel],
    judged: Judged,
    folder: Path,
    run: tuple[str, datetime],
) -> Manifest:
    run_id, started = run
    arrays, texts, facts = pack(models)
    found = [_judge(week, model) for week, model in zip(judged.weeks, judged.models, strict=True)]
    main = made.weeks.index(made.main_week)
    metrics, baseline = found[main]
    week = weeks[main]
    manifest = Manifest(
        name=RISK,
        version=made.version,
        algorithm=RISK,
        task="classification",
        target=TARGET,
        target_kind=Kind.BOOLEAN,
        ids=("enrollment_id",),
        features=_features(week.training, models),
        classes=CLASSES,
        null_values=(),
        holdout=judged.holdout(judged.weeks[main], int(metrics["rows"])),
        trained=_trained(made, run_id, started, week.training.num_rows),
        settings={
            "weeks": list(made.weeks),
            "marking_lag_days": made.lag,
            "demographics": "use" if made.demographics else "exclude",
            "seed": made.context.settings.train.seed,
        },
        metrics={**metrics, "week": made.main_week},
        baseline=baseline,
        libraries=libraries(),
        extra={
            "weeks": facts,
            "train_terms": list(made.train_terms),
            "test_terms": list(made.test_terms),
            "split_students": made.split_students,
            "has_activity": made.has_activity,
            "judged": {"train": list(judged.plan.train_terms), "test": list(judged.plan.test_terms)},
            "by_week": [{"week": one.number, **_short(told)} for one, (told, _) in zip(weeks, found, strict=True)],
        },
    )
    smallest = made.context.settings.privacy.min_cell
    files = {"weights.safetensors": dump_weights(arrays), **texts}
    files["calibration.png"] = calibration_png(metrics, f"{manifest.label}, week {made.main_week}", smallest)
    files["card.md"] = card(manifest, smallest).encode("utf-8")
    return write_model(folder, manifest, files, signing_key(made.context))


def _trained(made: RiskPlan, run_id: str, started: datetime, rows: int) -> Trained:
    window = ",".join(made.train_terms)
    return Trained(run_id, "local", stamp(started), stamp(datetime.now(UTC)), (made.data,), "core", rows, 0, window)


def _features(table: pa.Table, models: Sequence[WeekModel]) -> tuple[Feature, ...]:
    """All columns that any week looks at."""
    names = dict.fromkeys(part.feature for model in models for part in model.inputs.parts)
    kinds = {name: pa.types.is_string(table.schema.field(name).type) for name in names}
    return tuple(
        Feature(name, Kind.TEXT if text else Kind.DECIMAL, Role.CATEGORY if text else Role.NUMBER)
        for name, text in kinds.items()
    )


def _judge(week: Week, model: WeekModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures on rows of the later term, and those of its plain alternative."""
    known = _known(week.judged)
    metrics = ClassMetrics(CLASSES)
    truth = np.asarray(known["at_risk"].to_numpy(), np.int64)
    probability = model.probability(known)
    metrics.add(truth, np.stack([1 - probability, probability], 1))
    taught = np.bincount(np.asarray(week.training["at_risk"].to_numpy(), np.int64), minlength=2)
    baseline = {"majority": majority(taught, np.bincount(truth, minlength=2))}
    return metrics.result() | _ranking(known, truth.astype(bool), probability), baseline


def _ranking(known: pa.Table, truth: Any, probability: Any) -> dict[str, Any]:
    """How well the riskiest are told from the others, with intervals by student."""
    rows = Rows(truth, probability, student_numbers(known))
    found = {one.name: one for one in figures(rows, bootstraps=DRAWINGS) if one.name in ("auc", "ap")}
    intervals = {f"{name}_interval": [one.low, one.high] for name, one in found.items() if one.low is not None}
    return {name: one.value for name, one in found.items() if one.value is not None} | intervals


def student_numbers(table: pa.Table) -> Any:
    """A number for each student that is the same in every table."""
    ids = pa.record_batch({"student": table["student_id"].combine_chunks()})
    return row_hashes(ids, ["student"]).view(np.int64)


def _short(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in ("rows", "auc", "ap", "accuracy", "log_loss", "brier", "ece")}


def _as_before(made: RiskPlan, run_id: str) -> RiskResult:
    registry = all_models(made.context.workspace, made.context.limits)
    entry = next(entry for entry in registry.entries if entry.run_id == run_id)
    return RiskResult(run_id, entry, None, "", already_trained=True)


def notes_of(made: RiskPlan) -> list[str]:
    """What a reader must know of these predictions."""
    return [*([] if made.has_activity else [NO_CLICKS]), *([made.why_split] if made.split_students else [])]
