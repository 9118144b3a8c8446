"""`ss etl --retry`: mended dead letters, read as their source was, into the tables they were meant for.

The rows that stand already are read along with the mended ones, so that the same rules for repeats and conflicts hold
between them; they are not counted, and never thrown out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetter, read_dead_letters
from studentsuccess.core.digest import canonical, file_fact, text_digest
from studentsuccess.core.extract import Dialect
from studentsuccess.core.formats import Format
from studentsuccess.core.landing import run_pass, settle_all
from studentsuccess.core.origin import Origin
from studentsuccess.core.probe import Probe
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.core.stream import Input
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.sources import oulad, oulad_layout, table
from studentsuccess.sources.landed import Landed, Places
from studentsuccess.sources.mended import Mended, Spec, TranslatedLetters, prepare
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import COMMAND, EtlResult, keep_letters_on_refusal, recorded, staged_files
from studentsuccess.warehouse.commit import Run, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.load import (
    OULAD,
    DatasetEntry,
    all_datasets,
    load_oulad,
    raw_tables,
    register_dataset,
)
from studentsuccess.warehouse.staging import RUN_ID, staging_folder

_NAME = re.compile(rf"(?P<run>{RUN_ID})-(?P<table>.+)\.csv")


@dataclass(frozen=True)
class RetryPlan:
    """Which rows go where."""

    context: Context
    file: Path
    entry: DatasetEntry
    spec: Spec
    letters: tuple[DeadLetter, ...]
    done: str | None

    @property
    def target(self) -> str:
        return OULAD if self.entry.kind == OULAD else f"dataset:{self.entry.name}"

    @property
    def key(self) -> str:
        """A file with the same rows, for the same load, is the same retry."""
        rows = [(letter.source, letter.reject.line, letter.reject.raw) for letter in self.letters]
        return text_digest(canonical({"command": "etl --retry", "target": self.entry.name, "rows": rows}))

    def document(self) -> Mapping[str, object]:
        return {
            "plan": "etl --retry",
            "reads": str(self.file),
            "table": self.entry.name,
            "rows": len(self.letters),
            "already_loaded": bool(self.done),
        }

    def rows(self) -> list[tuple[object, ...]]:
        return [(str(self.file), self.entry.name, len(self.letters))]


def plan(file: Path, context: Context) -> RetryPlan:
    """Find the table that the dead letters belong to."""
    if not file.is_file():
        raise UsageError(f"{file}: not there", "the dead letters of a run stand in `inputs/dlq/`")
    named = _NAME.fullmatch(file.name)
    if named is None:
        raise UsageError(
            f"{file.name}: the name must stay as it was, RUN-TABLE.csv: it says where the rows belong",
            "copy it anywhere, but keep its name",
        )
    letters = tuple(read_dead_letters(file))
    entries = {entry.name: entry for entry in all_datasets(context.workspace, context.limits)}
    entry = entries.get(named["table"])
    if entry is None:
        raise UsageError(
            f"{file.name}: there is no table `{named['table']}` in this workspace",
            "the load that rejected these rows was refused as a whole: mend its source and run it again",
        )
    spec = Spec.of(entry.spec, entry.run_id)
    if named["run"] not in spec.runs:
        raise ContractError(
            f"{file.name}: `{entry.name}` was loaded anew by run {entry.run_id}, and these are the dead letters of"
            f" run {named['run']}",
            "mend the dead letters of the newest run; `ss verify` names the files",
        )
    made = RetryPlan(context, file, entry, spec, letters, None)
    return replace(made, done=is_done(context.workspace, context.limits, made.key, (made.target,)))


def run(made: RetryPlan, reporter: Reporter) -> EtlResult:
    """Read the mended rows and add them."""
    if made.done or not made.letters:
        none = {made.entry.name: Counts()}
        return EtlResult(made.done or made.entry.run_id, made.entry.kind, none, (), (), already_loaded=True)
    context = made.context
    workspace, run_id, started = context.workspace, new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started), staging_folder(workspace, run_id) as staging:
        places = Places(run_id, staging, workspace.dead_letters, workspace.datasets)
        mended = prepare(made.letters, made.spec, staging)
        is_export = made.entry.kind == OULAD
        land = _land_oulad if is_export else _land_table
        landed, tables = land(made, mended, places, reporter)
        keep_letters_on_refusal((landed,), context)
        facts = (file_fact(made.file),)
        counts = {landed.name: landed.counts}
        record = Run(
            run_id, made.key, COMMAND, (made.target,), True, started, context.configuration.digest, facts, counts
        )

        def work(connection: Connection) -> None:
            if is_export:
                clicks = landed.staging if landed.name == oulad_layout.CLICKS.name else None
                load_oulad(connection, tables, clicks, extends=True)
            register_dataset(connection, _extended(made, landed, run_id))

        with phase(reporter, "loading into the warehouse"):
            written = commit(workspace, context.limits, record, staged_files((landed,)), work, context.wait)
    if written.already_done:
        return EtlResult(written.run_id, made.entry.kind, {landed.name: Counts()}, (), (), already_loaded=True)
    letters = (context.shown(landed.letters.target),) if landed.letters.count else ()
    return EtlResult(run_id, made.entry.kind, counts, letters, landed.notes)


def _extended(made: RetryPlan, landed: Landed, run_id: str) -> DatasetEntry:
    spec = {**made.entry.spec, "runs": [*made.entry.spec.get("runs", ()), run_id]}
    return replace(made.entry, rows=made.entry.rows + landed.counts.kept, spec=spec)


def _land_table(
    made: RetryPlan, mended: Mended, places: Places, reporter: Reporter
) -> tuple[Landed, dict[str, pa.Table]]:
    """The dataset's file and the mended rows as one stream."""
    names = made.spec.layout.names
    folder = made.context.workspace.root / made.entry.path
    standing = [
        Input(Origin(file, f"{made.entry.path}/{file.name}"), Format.PARQUET, Dialect(",", names))
        for file in (folder / name for name in table.DATA_FILES)
        if file.exists()
    ]
    probes = tuple(Probe(given, given.dialect.names) for given in (*standing, *mended.inputs))
    dataset = table.Dataset(made.entry.name, probes, made.spec.ids, made.spec.target)
    task = table.task_of(
        dataset, made.spec.layout, made.context.reading(), made.entry.rows + len(made.letters), guess=False
    )
    letters = TranslatedLetters(places.letters(made.entry.name), mended)
    step = reporter.step(made.entry.name, made.entry.rows + len(made.letters))
    try:
        found = run_pass(task, places.staging / "retry.arrow", letters, step)
    finally:
        step.close()
    landed = table.finish(dataset, task, found, places, letters, owned=made.entry.rows)
    return _with_hopeless(landed, mended), {}


def _with_hopeless(landed: Landed, mended: Mended) -> Landed:
    """Rows that could not even be read again are read and rejected all the same."""
    count = len(mended.hopeless)
    return replace(landed, counts=landed.counts + Counts(read=count, rejected=count))


def _land_oulad(
    made: RetryPlan, mended: Mended, places: Places, reporter: Reporter
) -> tuple[Landed, dict[str, pa.Table]]:
    """The mended rows of one OULAD table, held against the others as they stand in the warehouse."""
    context = made.context
    weekly = "week" in made.spec.layout.names
    wanted = oulad_layout.WEEKLY_CLICKS if weekly else _table(made.entry.name)
    tables = raw_tables(context.workspace, context.limits, (one.name for one in oulad_layout.SMALL))
    inputs, owned = mended.inputs, 0
    if wanted.name in tables:
        standing = places.staging / f"{wanted.name}.parquet"
        pq.write_table(tables[wanted.name], standing)
        owned = tables[wanted.name].num_rows
        inputs = (Input(Origin(standing, wanted.name), Format.PARQUET, Dialect(",", wanted.names)), *inputs)
    rules = oulad.rules_of(wanted, tables, weekly=weekly)
    task = oulad.task_of(wanted, inputs, context.reading(), rules, owned + len(made.letters))
    letters = TranslatedLetters(places.letters(wanted.name), mended)
    step = reporter.step(wanted.name, owned + len(made.letters))
    try:
        found = run_pass(task, places.staging / "retry.arrow", letters, step)
    finally:
        step.close()
    settled = settle_all(task, found, letters, owned=owned)
    if wanted.name in tables:
        tables[wanted.name] = pa.Table.from_batches(found.staged_file.kept(settled.gone), found.schema)
    landed = Landed(wanted.name, task.inputs, found.staging, found.schema, task.layout, settled.counts, letters)
    return _with_hopeless(landed, mended), tables


def _table(name: str) -> oulad_layout.OuladTable:
    return next(one for one in oulad_layout.ALL if one.name == name)
