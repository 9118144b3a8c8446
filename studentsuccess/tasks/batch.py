"""`ss batch process`: a term's files into batches with rooms and shifts, checked by another program, all or nothing.

Everything up to the commit happens in a folder beside the target. The files there are checked as they will stand; then
they, the warehouse's rows and the ledger's line are promised in one COMMIT.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studentsuccess.batching.grouping import group
from studentsuccess.batching.inputs import Read, read_instance
from studentsuccess.batching.instance import Grouping, Infeasible, Instance, Obstacle, Placement
from studentsuccess.batching.placement import place
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact
from studentsuccess.core.memory import give_back
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import ContractError, SsError, UsageError
from studentsuccess.tasks.batch_files import (
    QUALITY,
    TABLES,
    beside,
    clear_leftovers,
    possible_now,
    staged,
    write_impossible,
)
from studentsuccess.tasks.batch_journal import Journal, all_kept
from studentsuccess.tasks.batch_request import (
    COMMAND,
    BatchRequest,
    Beside,
    how,
    input_request,
    inputs_of,
    key_of,
    request_document,
    thresholds,
)
from studentsuccess.tasks.batch_unfinished import Unfinished, forget_old, unfinished
from studentsuccess.tasks.batch_write import Results, write_results
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.batches import replace_batches
from studentsuccess.warehouse.commit import Committed, Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.staging import staging_folder

__all__ = ["BatchPlan", "BatchRequest", "BatchResult", "Beside", "NoSolutionError", "TermError", "plan", "run"]


class TermError(ContractError):
    """The term's files can't be used; `read` says everything that is wrong with them."""

    def __init__(self, read: Read, folder: str) -> None:
        first, *more = read.errors
        said = f"{first.text}, and {len(more)} more to mend" if more else first.text
        super().__init__(said, f"`ss batch check {folder}` lists everything" if more else first.fix)
        self.read = read


class NoSolutionError(ContractError):
    """There is no solution: why, and the ways out that were tried."""

    def __init__(self, obstacles: tuple[Obstacle, ...], run_id: str) -> None:
        super().__init__(obstacles[0].words if obstacles else "there is no solution")
        self.obstacles = obstacles
        self.document: dict[str, object] = {
            "run_id": run_id,
            "feasible": False,
            "obstacles": [asdict(one) for one in obstacles],
        }

    def details_in(self, path: str) -> NoSolutionError:
        """The same, with the way to the document."""
        tried = any(one.fixes for one in self.obstacles)
        self.hint = f"{'each way out was tried and works; ' if tried else ''}details in {path}"
        return self


@dataclass(frozen=True)
class BatchPlan:
    """The whole term as it was read, and where its batches will stand. Made by reading only."""

    context: Context
    request: BatchRequest
    read: Read
    instance: Instance
    inputs: tuple[FileFact, ...]
    key: str
    done: str | None

    @property
    def target(self) -> Path:
        return self.request.output.absolute()

    @property
    def output(self) -> str:
        """The name under which the warehouse has these batches."""
        return self.context.workspace.name_of(self.target)

    @property
    def outputs(self) -> tuple[str, ...]:
        reports = [f"report.{one}" for one in self.context.settings.batch.report_formats]
        names = [*(f"{name}.csv" for name in TABLES), QUALITY, *reports]
        return tuple(self.context.shown(self.target / name) for name in names)

    @property
    def students(self) -> int:
        return self.instance.students.count

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.read.warnings)


@dataclass(frozen=True)
class BatchResult:
    """What stands in the folder now. `measures` has value, ceiling, threshold and verdict by name; `moved` are students
    who are not where last time's batches went, where those were given."""

    run_id: str
    students: int
    batches: int
    objective: float
    bound: float
    random: float
    gap_closed: float | None
    moved: int | None
    hard_violations: int
    soft_violations: int
    measures: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    outputs: tuple[str, ...]
    dead_letters: tuple[str, ...] = ()
    rejected: int = 0
    already_done: bool = False

    @property
    def wanted(self) -> bool:
        """Whether every threshold is met and every soft rule kept."""
        unmet = any(one["verdict"] in ("FAIL", "UNATTAINABLE") for one in self.measures.values())
        return not unmet and not self.soft_violations


def plan(request: BatchRequest, context: Context, reporter: Reporter) -> BatchPlan:
    """Read everything, hold it to every check, and see whether these batches stand already."""
    _refuse_place(request)
    with phase(reporter, "reading the term"):
        read = read_instance(request.folder, input_request(context, request.beside))
    if read.instance is None:
        raise TermError(read, context.shown(request.folder))
    give_back()
    inputs = inputs_of(request, read, context)
    made = BatchPlan(context, request, read, read.instance, inputs, key_of(request, context, inputs), None)
    return replace(made, done=is_done(context.workspace, context.limits, made.key, _targets(made)))


def _refuse_place(request: BatchRequest) -> None:
    """What would stop the last rename stops the first step."""
    target, term = request.output.absolute(), request.folder.absolute()
    if target.exists() and not target.is_dir():
        raise UsageError(f"`{request.output}` is a file, and batches are several", "name a folder: `-o OUT`")
    if target == term:
        raise UsageError(f"`{request.output}` is the folder of the term itself", "name another folder: `-o OUT`")


def _targets(made: BatchPlan) -> tuple[str]:
    return (f"batch:{made.output}",)


def run(made: BatchPlan, reporter: Reporter) -> BatchResult:
    """Do what the plan says."""
    context = made.context
    kept = unfinished(context.workspace, made.key)
    if made.done:
        _tidy(made, kept)  # who did it may have been killed before this
        return _standing(made, made.done)
    run_id, started = new_run_id(), datetime.now(UTC)
    journal = Journal(run_id, reporter)
    with (
        recorded(context, run_id, started, COMMAND),
        staging_folder(context.workspace, run_id),
        journal.recorded_on_failure(context, COMMAND),
    ):
        read, letters = _validated(made, journal)
        found = _solved(made, read, journal, kept)
        with beside(made.target, context.workspace, run_id) as folder:
            formats = context.settings.batch.report_formats
            written = write_results(found, made.request.folder, folder, formats, journal)
            give_back()
            journal.record(context, COMMAND, context.wait)
            files = [*staged(folder, made.target), *(StagedFile(one.temp, one.target) for one in letters)]
            done = _committed(made, read, run_id, started, files, written.tables, reporter)
    _tidy(made, kept)
    if done.already_done:
        return _standing(made, done.run_id)
    told = tuple(context.shown(one.target) for one in letters)
    return replace(_result(made, written.document), dead_letters=told, rejected=sum(one.count for one in letters))


def _validated(made: BatchPlan, journal: Journal) -> tuple[Read, tuple[DeadLetters, ...]]:
    """The reading of the plan; where rows are to go to the dead letters it is done again, with a place for them."""
    context = made.context
    with journal.stage("validate") as book:
        read, letters = made.read, tuple[DeadLetters, ...]()
        if made.read.counts.rejected:
            read = read_instance(
                made.request.folder, input_request(context, made.request.beside, _opener(made, journal))
            )
            if read.instance is None or tuple(one.fact for one in read.files) != tuple(
                one.fact for one in made.read.files
            ):
                raise ContractError("the files changed while they were read", "run the same command again")
            letters = tuple(read.letters.values())
        book.update({one.path: one.counts for one in read.files if one.counts is not None})
    with journal.stage("rules") as book:
        book["rules"] = all_kept(len(made.instance.rules))
    return read, letters


def _opener(made: BatchPlan, journal: Journal) -> Any:
    def opened(table: str) -> DeadLetters:
        target = made.context.workspace.dead_letters / f"{journal.run_id}-{table}.csv"
        return DeadLetters(temp_path(target, journal.run_id), target)

    return opened


def _solved(made: BatchPlan, read: Read, journal: Journal, kept: Unfinished) -> Results:
    """Groups, then rooms; why there are none is written beside whatever stands there."""
    context, instance = made.context, made.instance
    try:
        grouping = _grouped(made, journal, kept)
        give_back()
        placement = _placed(made, grouping, journal, kept)
    except Infeasible as found:
        kept.clear()
        problem = NoSolutionError(found.obstacles, journal.run_id)
        path = write_impossible(made.target, problem.document)
        raise problem.details_in(context.shown(path)) from None
    batch = context.settings.batch
    return Results(
        instance,
        grouping,
        placement,
        thresholds(batch),
        made.request.day,
        batch.tenant_id or "",
        request_document(made.request, context, read, instance),
        (*grouping.notes, *(one.text for one in read.warnings)),
    )


def _grouped(made: BatchPlan, journal: Journal, kept: Unfinished) -> Grouping:
    with journal.stage("sizes") as book:
        book["students"] = all_kept(made.students)
    earlier = kept.grouping()
    if earlier is not None:
        grouping, stage = earlier
        journal.reporter.note(f"going on after the clustering of run {stage.run_id}")
        journal.ended(replace(stage, run_id=journal.run_id))
        return grouping
    with journal.stage("clustering", shown=False) as book:
        grouping = group(made.instance, how(made.context), journal.reporter)
        book["students"] = all_kept(made.students)
    kept.keep_grouping(grouping, journal.stages[-1])
    return grouping


def _placed(made: BatchPlan, grouping: Grouping, journal: Journal, kept: Unfinished) -> Placement:
    earlier = kept.placement()
    if earlier is not None:
        placement, stage = earlier
        journal.ended(replace(stage, run_id=journal.run_id))
        return placement
    with journal.stage("rooms") as book:
        placement = place(made.instance, grouping)
        book["batches"] = all_kept(grouping.count)
    kept.keep_placement(placement, journal.stages[-1])
    return placement


def _committed(
    made: BatchPlan,
    read: Read,
    run_id: str,
    started: datetime,
    files: list[StagedFile],
    tables: Mapping[str, Any],
    reporter: Reporter,
) -> Committed:
    context = made.context
    counts = {one.path: one.counts for one in read.files if one.counts is not None}
    counts |= {name: Counts(table.num_rows, table.num_rows) for name, table in tables.items()}
    digest = context.configuration.digest
    record = Run(run_id, made.key, COMMAND, _targets(made), False, started, digest, made.inputs, counts)

    def work(connection: Connection) -> None:
        replace_batches(connection, made.output, tables)

    with phase(reporter, "putting everything in its place"):
        return commit(context.workspace, context.limits, record, files, work, context.wait)


def _tidy(made: BatchPlan, kept: Unfinished) -> None:
    kept.clear()
    forget_old(made.context.workspace, time.time())
    possible_now(made.target)
    clear_leftovers(made.target)


def _standing(made: BatchPlan, run_id: str) -> BatchResult:
    """What an earlier run left, by its own word."""
    try:
        said = json.loads((made.target / QUALITY).read_bytes())
        return replace(_result(made, said), run_id=run_id, already_done=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise SsError(
            f"run {run_id} made these batches, and `{QUALITY}` beside them can't be read any more",
            f"delete `{made.context.shown(made.target)}` and run the same command again",
        ) from None


def _result(made: BatchPlan, said: Mapping[str, Any]) -> BatchResult:
    return BatchResult(
        run_id=said["run_id"],
        students=said["students"],
        batches=said["batches"],
        objective=said["objective"],
        bound=said["bound"],
        random=said["random"],
        gap_closed=said["gap_closed"],
        moved=said["moved"],
        hard_violations=said["hard_violations"],
        soft_violations=said["soft_violations"],
        measures=said["measures"],
        notes=tuple(said["notes"]),
        outputs=made.outputs,
    )
