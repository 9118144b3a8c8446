"""`ss marts build`: the tables that BI tools bind to, made of the predictions, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.core.sinks import RowFormat, encode_rows, open_rows
from studentsuccess.errors import SsError
from studentsuccess.insights import marts
from studentsuccess.insights.marts import MartRules, Marts
from studentsuccess.insights.pseudonyms import aliases, fingerprint, pseudonym_key
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.marts import (
    STUDENTS,
    SUMMARY,
    MartInputs,
    Standing,
    mart_inputs,
    replace_marts,
    standing_marts,
)
from studentsuccess.warehouse.predictions import nothing_scored
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "marts build"
TARGETS = ("marts",)
FOLDER = "marts"
# Raised whenever the same predictions give other marts.
VERSION = 1


@dataclass(frozen=True)
class MartsPlan:
    """What the marts will be made of. Made by reading only."""

    context: Context
    rules: MartRules
    alias_key: bytes | None
    inputs: MartInputs
    key: str
    done: str | None

    @property
    def folder(self) -> Path:
        return self.context.workspace.outputs / FOLDER

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.context.shown(self.folder / name) for name in FILES)


@dataclass(frozen=True)
class MartsResult:
    """What stands now, and the run that made it."""

    run_id: str
    standing: Standing
    files: tuple[str, ...]
    already_built: bool = False


# Each file, the mart that it shows, and whether only the newest weeks.
FILES: Mapping[str, tuple[str, bool]] = {
    "student_risk_daily_sample.csv": (STUDENTS, False),
    "course_summary_daily_sample.csv": (SUMMARY, False),
    "student_risk_latest.csv": (STUDENTS, True),
    "course_summary_latest.csv": (SUMMARY, True),
}


def plan(context: Context) -> MartsPlan:
    """Hold what stands against what the last build was made of."""
    settings = context.settings
    risk, privacy = settings.risk, settings.privacy
    rules = MartRules(privacy.min_cell, risk.high_risk_probability, risk.marking_lag_days, settings.marts.start_days)
    alias_key = pseudonym_key(privacy, context.workspace.root)
    if not context.workspace.warehouse.is_file():
        raise nothing_scored()
    with connect(context.workspace, context.limits, read_only=True, wait=context.wait) as connection:
        inputs = mart_inputs(connection)
    key = _key(context, rules, alias_key, inputs.digest)
    return MartsPlan(context, rules, alias_key, inputs, key, is_done(context.workspace, context.limits, key, TARGETS))


def _key(context: Context, rules: MartRules, alias_key: bytes | None, inputs: str) -> str:
    """All that decides the tables and the files."""
    days = sorted((term, str(day)) for term, day in rules.start_days.items())
    parts = [rules.least, rules.high_risk, rules.marking_lag_days, days, context.settings.marts.sample_rows]
    return text_digest(canonical([COMMAND, VERSION, inputs, parts, fingerprint(alias_key) if alias_key else ""]))


def run(made: MartsPlan, reporter: Reporter) -> MartsResult:
    """Do what the plan says."""
    context = made.context
    if made.done:
        return MartsResult(made.done, _standing(context), made.files, already_built=True)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        with phase(reporter, "building the marts"):
            with connect(context.workspace, context.limits, read_only=True, wait=context.wait) as connection:
                built = marts.build(connection, made.rules)
            with storage_errors(made.folder):
                staged = [_staged(made, built, name, run_id) for name in FILES]
        books = _books(made, built)
        record = Run(run_id, made.key, COMMAND, TARGETS, False, started, context.configuration.digest, counts=books)

        def work(connection: Connection) -> None:
            if mart_inputs(connection) != made.inputs:
                raise SsError(
                    "the predictions changed while the marts were built", "build them again: `ss marts build`"
                )
            replace_marts(connection, built.tables)

        with phase(reporter, "writing the marts"):
            written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    rows = {name: table.num_rows for name, table in built.tables.items()}
    standing = Standing(rows, built.suppressed, built.undated)
    return MartsResult(written.run_id, standing, made.files, already_built=written.already_done)


def _standing(context: Context) -> Standing:
    with connect(context.workspace, context.limits, read_only=True, wait=context.wait) as connection:
        return standing_marts(connection)


def _books(made: MartsPlan, built: Marts) -> Mapping[str, Counts]:
    """Each prediction is a row of the students' mart: one that is lost, of an unknown course run, is a defect."""
    counts = Counts(made.inputs.predictions, built.tables[STUDENTS].num_rows)
    counts.check(STUDENTS)
    return {STUDENTS: counts}


def _staged(made: MartsPlan, built: Marts, name: str, run_id: str) -> StagedFile:
    """One CSV under its temporary name; the ids in it are pseudonyms where the settings ask for them."""
    mart, newest = FILES[name]
    tables = built.tables
    if made.alias_key is not None:
        students = pa.table({"id_student": tables[STUDENTS].column("id_student").unique()})
        tables = marts.under_pseudonyms(tables, aliases(students, made.alias_key))
    rows = marts.latest(tables, mart) if newest else marts.sample(tables[mart], made.context.settings.marts.sample_rows)
    target = made.folder / name
    temp = temp_path(target, run_id)
    with open_rows(temp, RowFormat.CSV, rows.schema) as sink:
        for batch in rows.combine_chunks().to_batches():
            sink.put(encode_rows(batch, RowFormat.CSV))
    return StagedFile(temp, target)
