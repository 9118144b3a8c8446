"""`ss etl`: recognise what was brought, read all of it, and load it in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from studentsuccess.core.atomic import promote
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import canonical, file_digest, text_digest
from studentsuccess.core.probe import Probe, probe
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import ExitCode, SsError, StorageError, UsageError
from studentsuccess.sources import oulad, oulad_layout, table
from studentsuccess.sources.landed import Landed, Places, TooManyRejectsError, enforce_limit
from studentsuccess.sources.oulad_layout import ALL, OuladFiles
from studentsuccess.sources.table import Dataset
from studentsuccess.tasks.context import Context, free_space
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id, record_failure
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.load import (
    OULAD,
    DatasetEntry,
    all_datasets,
    earlier_input_sizes,
    load_oulad,
    refuse_other_kind,
    register_dataset,
    standing_datasets,
)
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "etl"
TABLE = "table"
Kind = Literal["auto", "table", "oulad"]
# The staging file is as large as the text it came from; the Parquet file and the warehouse together about half.
SPACE_FACTOR = 2.0


@dataclass(frozen=True)
class EtlRequest:
    """What the user asked for."""

    kind: Kind = "auto"
    name: str | None = None
    ids: tuple[str, ...] = ()
    target: str | None = None


@dataclass(frozen=True)
class EtlPlan:
    """What will be read and written. Made by reading only."""

    context: Context
    kind: str
    why: str
    datasets: tuple[Dataset, ...]
    export: OuladFiles | None
    size: int
    free: int
    warnings: tuple[str, ...]
    done: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        return (OULAD,) if self.export else tuple(f"dataset:{one.name}" for one in self.datasets)

    @property
    def tables(self) -> tuple[str, ...]:
        if self.export:
            return tuple(one.name for one in ALL if self.export.has(one))
        return tuple(one.name for one in self.datasets)

    def probes(self) -> tuple[Probe, ...]:
        """Every file that will be read, in the order of reading."""
        if self.export:
            return tuple(one for name in self.tables for one in self.export.by_table[name])
        return tuple(one for dataset in self.datasets for one in dataset.probes)


@dataclass(frozen=True)
class EtlResult:
    """What became of it."""

    run_id: str
    kind: str
    tables: Mapping[str, Counts]
    dead_letters: tuple[str, ...]
    notes: tuple[str, ...]
    already_loaded: bool = False
    outputs: tuple[str, ...] = ()


def plan(request: EtlRequest, files: Sequence[NamedFile], context: Context) -> EtlPlan:
    """Recognise the files and see what stands in the way, without changing anything."""
    if not files:
        raise UsageError("nothing to load", "name files: `ss etl exports/*.csv`, or generate some: `ss etl --demo`")
    etl = context.settings.etl
    probes = [probe(file.path, file.shown, etl.encoding, etl.delimiter) for file in files]
    export = oulad_layout.sort_files(probes)
    kind, why = _kind(request, export, probes)
    datasets = () if kind == OULAD else table.group(probes, request.name, request.ids, request.target)
    warnings = _strangers(export) if kind == OULAD else ()
    if kind == OULAD:
        oulad_layout.check_complete(export)
        _refuse_table_flags(request)
    size = sum(file.path.stat().st_size for file in files)
    made = EtlPlan(
        context,
        kind,
        why,
        datasets,
        export if kind == OULAD else None,
        size,
        free_space(context.workspace.root),
        warnings,
        None,
    )
    _refuse_full_disk(made)
    refuse_other_kind(all_datasets(context.workspace, context.limits), made.tables, made.kind)
    return _with_done(made, request)


def _kind(request: EtlRequest, export: OuladFiles, probes: Sequence[Probe]) -> tuple[str, str]:
    if request.kind != "auto":
        return request.kind, "as asked by --kind"
    if oulad_layout.looks_like(export):
        known = ", ".join(one.name for one in ALL if export.has(one))
        return OULAD, f"the headers are those of OULAD ({known})"
    if len(probes) == 1 and export.by_table:
        return TABLE, f"one table alone, though its header is that of OULAD's {next(iter(export.by_table))}"
    return TABLE, "the headers are of no known export"


def _strangers(export: OuladFiles) -> tuple[str, ...]:
    return tuple(
        f"{one.given.origin.shown}: is no OULAD table and is left out; load it with `--kind table`"
        for one in export.strangers
    )


def _refuse_table_flags(request: EtlRequest) -> None:
    given = {"--name": request.name, "--id": request.ids, "--target": request.target}
    if wrong := next((flag for flag, value in given.items() if value), None):
        raise UsageError(
            f"`{wrong}` is for tables, and this is an OULAD export, whose tables have their own names and keys",
            f"leave `{wrong}` out, or load plain tables with `--kind table`",
        )


def _refuse_full_disk(made: EtlPlan) -> None:
    needed = int(made.size * SPACE_FACTOR)
    if needed > made.free:
        raise StorageError(
            f"{made.context.workspace.root}: about {needed / 1e6:,.0f} MB are needed and {made.free / 1e6:,.0f} MB"
            " are free",
            "free some space, or choose a workspace on another disk with `-w`",
        )


def _with_done(made: EtlPlan, request: EtlRequest) -> EtlPlan:
    """Whether the very same load stands already. Files are digested only when an earlier run had their sizes."""
    context = made.context
    sizes = tuple(one.given.origin.path.stat().st_size for one in made.probes())
    if sizes not in earlier_input_sizes(context.workspace, context.limits, made.targets[0]):
        return made
    digests = [file_digest(one.given.origin.path) for one in made.probes()]
    done = is_done(context.workspace, context.limits, _key(made, request, digests), made.targets)
    return EtlPlan(**{**made.__dict__, "done": done})


def _key(made: EtlPlan, request: EtlRequest, digests: Sequence[str]) -> str:
    """All that decides the result: two runs with one key leave the same data."""
    etl = made.context.settings.etl
    return text_digest(
        canonical(
            {
                "command": COMMAND,
                "kind": made.kind,
                "targets": made.targets,
                "inputs": list(digests),
                "ids": request.ids,
                "target": request.target,
                "settings": [
                    etl.encoding,
                    etl.delimiter,
                    list(etl.null_values),
                    etl.type_tolerance,
                    etl.duplicates,
                ],
            }
        )
    )


def run(made: EtlPlan, request: EtlRequest, reporter: Reporter) -> EtlResult:
    """Do what the plan says."""
    if made.done:
        return EtlResult(made.done, made.kind, {name: Counts() for name in made.tables}, (), (), already_loaded=True)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started), staging_folder(context.workspace, run_id) as staging:
        places = Places(run_id, staging, context.workspace.dead_letters, context.workspace.datasets)
        loaded = _land_oulad(made, places, reporter) if made.export else _land_tables(made, places, reporter)
        facts = tuple(one.given.origin.fact() for one in made.probes())
        key = _key(made, request, [fact.sha256 for fact in facts])
        counts = {one.name: one.counts for one in loaded.landed}
        record = Run(run_id, key, COMMAND, made.targets, False, started, context.configuration.digest, facts, counts)

        def work(connection: Connection) -> None:
            refuse_other_kind(standing_datasets(connection), made.tables, made.kind)
            _load(connection, made, loaded, run_id)

        staged = staged_files(loaded.landed)
        with phase(reporter, "loading into the warehouse"):
            written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    if written.already_done:
        none = {name: Counts() for name in made.tables}
        return EtlResult(written.run_id, made.kind, none, (), loaded.notes, already_loaded=True)
    letters = tuple(context.shown(one.letters.target) for one in loaded.landed if one.letters.count)
    outputs = tuple(context.shown(file.target) for one in loaded.landed for file in one.files)
    return EtlResult(run_id, made.kind, counts, letters, loaded.notes, outputs=outputs)


@contextmanager
def recorded(context: Context, run_id: str, started: datetime, command: str = COMMAND) -> Iterator[None]:
    """A run that fails leaves its line in the ledger, with its code and nothing personal; what the disk refuses is told
    with a path."""
    try:
        with storage_errors(context.workspace.root):
            yield
    except BaseException as problem:
        code = int(problem.code) if isinstance(problem, SsError) else _code(problem)
        record = Run(run_id, "", command, (), False, started, context.configuration.digest)
        if code != ExitCode.BUSY:
            record_failure(context.workspace, context.limits, record, "failed", code)
        raise


def _code(problem: BaseException) -> int:
    if isinstance(problem, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    if isinstance(problem, OSError) or isinstance(problem.__cause__, OSError):
        return int(ExitCode.STORAGE)
    return int(ExitCode.FAILED if isinstance(problem, Exception) else ExitCode.TERMINATED)


@dataclass(frozen=True)
class Loaded:
    """All that was read, ready to be committed."""

    landed: tuple[Landed, ...]
    export: oulad.OuladLanded | None
    notes: tuple[str, ...]


def _land_tables(made: EtlPlan, places: Places, reporter: Reporter) -> Loaded:
    reading = made.context.reading()
    landed = tuple(table.land(one, reading, places, reporter) for one in made.datasets)
    keep_letters_on_refusal(landed, made.context)
    return Loaded(landed, None, tuple(note for one in landed for note in one.notes))


def _land_oulad(made: EtlPlan, places: Places, reporter: Reporter) -> Loaded:
    assert made.export is not None
    export = oulad.land(made.export, made.context.reading(), places, reporter)
    keep_letters_on_refusal(export.landed, made.context)
    return Loaded(export.landed, export, export.notes)


def keep_letters_on_refusal(landed: Sequence[Landed], context: Context) -> None:
    """Too many rejects: nothing is loaded, but their file is kept, since it says what to mend."""
    limit = context.reading().max_rejects
    try:
        enforce_limit({one.name: one.counts for one in landed}, limit, {one.name: one.letters for one in landed})
    except TooManyRejectsError:
        for one in landed:
            if one.letters.count:
                promote(one.letters.temp, one.letters.target)
            for file in one.files:
                file.temp.unlink(missing_ok=True)
        raise


def staged_files(landed: Sequence[Landed]) -> list[StagedFile]:
    """The files that appear with the commit."""
    files = []
    for one in landed:
        if one.letters.count:
            files.append(StagedFile(one.letters.temp, one.letters.target))
        files += [StagedFile(file.temp, file.target) for file in one.files]
    return files


def _load(connection: Connection, made: EtlPlan, loaded: Loaded, run_id: str) -> None:
    if loaded.export is not None:
        clicks = loaded.export.clicks
        load_oulad(connection, loaded.export.tables, clicks.staging if clicks else None)
    by_name = {one.name: one for one in made.datasets}
    for one in loaded.landed:
        register_dataset(connection, entry(one, made.kind, run_id, by_name.get(one.name)))


def entry(one: Landed, kind: str, run_id: str, dataset: Dataset | None) -> DatasetEntry:
    """What the warehouse remembers of a table, so that mended rows can be read as these were."""
    spec = {
        "columns": [{"name": column.name, "kind": column.kind.value} for column in one.layout.columns],
        "ids": list(dataset.ids) if dataset else [],
        "target": dataset.target if dataset else None,
        "null_values": list(one.layout.null_values),
        "sources": {
            given.origin.shown: {
                "format": given.format.value,
                "delimiter": given.dialect.delimiter,
                "names": list(given.dialect.names),
            }
            for given in one.inputs
        },
    }
    path = f"inputs/datasets/{one.name}" if one.files else ""
    return DatasetEntry(one.name, kind, run_id, path, one.counts.kept, spec)
