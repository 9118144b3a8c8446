"""The rows to learn from: a dataset of the workspace or files as they are, read once and checked like any load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from studentsuccess.core.atomic import promote, temp_path
from studentsuccess.core.counts import Counts, rows_of
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact
from studentsuccess.core.duplicates import Hashes
from studentsuccess.core.landing import SAME_ID, Pass, Task, new_pass, observe, reject_conflicts
from studentsuccess.core.layout import Rows
from studentsuccess.core.names import nearest
from studentsuccess.core.probe import probe
from studentsuccess.core.reporter import Reporter, Step
from studentsuccess.errors import UsageError
from studentsuccess.models.gather import Gatherer
from studentsuccess.models.roles import Role
from studentsuccess.models.store import RowStore
from studentsuccess.sources import table
from studentsuccess.sources.landed import TooManyRejectsError, enforce_limit
from studentsuccess.sources.table import Dataset
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.load import DatasetEntry, all_datasets
from studentsuccess.warehouse.runs import StagedFile

NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Source:
    """What will be read: columns are known, rows are not."""

    dataset: Dataset
    registered: str = ""

    @property
    def target(self) -> str:
        assert self.dataset.target is not None
        return self.dataset.target

    @property
    def size(self) -> int:
        return self.dataset.size


@dataclass
class Gathered:
    """All rows, encoded on disk, their books, and where the rejected ones went."""

    task: Task
    gatherer: Gatherer
    store: RowStore
    counts: Counts
    letters: DeadLetters
    facts: tuple[FileFact, ...]
    repeats: int = 0
    notes: tuple[str, ...] = ()
    batches: list[pa.RecordBatch] = field(default_factory=list)

    def staged_letters(self) -> list[StagedFile]:
        return [StagedFile(self.letters.temp, self.letters.target)] if self.letters.count else []


def find(named: Sequence[str], context: Context) -> DatasetEntry | None:
    """The dataset that is meant, when one name is given and no file has it."""
    if len(named) != 1 or Path(named[0]).expanduser().exists() or named[0] == "-":
        return None
    entries = {entry.name: entry for entry in all_datasets(context.workspace, context.limits)}
    entry = entries.get(named[0])
    if entry is not None and not entry.path:
        raise UsageError(
            f"`{named[0]}` is a table of an OULAD export, and models of tables learn from files and datasets",
            "name its file: `--data FILE.csv`",
        )
    if entry is None and entries and not any(mark in named[0] for mark in "*?[./\\"):
        near = nearest(named[0], list(entries))
        hint = f"did you mean `{near}`?" if near else f"datasets here: {', '.join(sorted(entries)[:6])}"
        raise UsageError(f"{named[0]}: neither a file nor a dataset of this workspace", hint)
    return entry


def of_dataset(entry: DatasetEntry, target: str | None, ids: Sequence[str], context: Context) -> Source:
    """A dataset as `ss etl` left it, with the id and the target that it was loaded with unless others are given."""
    folder = context.workspace.root / entry.path
    files = [NamedFile(path, f"{entry.path}/{path.name}") for path in sorted(folder.glob("data*.parquet"))]
    known = entry.spec.get("target")
    return of_files(files, target or known, ids or tuple(entry.spec.get("ids", ())), context, entry.name)


def of_files(
    files: Sequence[NamedFile], target: str | None, ids: Sequence[str], context: Context, registered: str = ""
) -> Source:
    """Files with one header."""
    if not files:
        raise UsageError("nothing to learn from", "name a file or a dataset: `--data FILE`")
    if target is None:
        raise UsageError("no target: which column is to be predicted?", "name it: `--target COLUMN`")
    etl = context.settings.etl
    probes = [probe(file.path, file.shown, etl.encoding, etl.delimiter) for file in files]
    probes = [one for one in probes if one.has_rows] or probes
    found = table.group(probes, None, ids, target)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} different headers: a model learns from one table",
            "give files with the same columns, or one file",
        )
    if target in ids:
        raise UsageError(f"`{target}` is both the target and an id", "say another `--id`, or leave it out")
    return Source(found[0], registered)


def gather(
    source: Source,
    context: Context,
    places: tuple[str, Path],
    types: Mapping[str, Role],
    reporter: Reporter,
    *,
    in_memory: bool = False,
) -> Gathered:
    """Read everything into encoded rows; repeats are settled and conflicts rejected as `ss etl` does it."""
    run_id, staging = places
    reading = context.reading()
    dataset = source.dataset
    target = context.workspace.dead_letters / f"{run_id}-{dataset.name}.csv"
    letters = DeadLetters(temp_path(target, run_id), target)
    path = staging / f"{dataset.name}.rows"
    made: list[Gatherer] = []
    batches: list[pa.RecordBatch] = []

    def one_pass(task: Task, step: Step) -> Pass:
        found = new_pass(task, path)
        made[:] = [Gatherer(path, task.read_as.columns, source.target, dataset.ids, types)]
        batches.clear()
        with made[0]:
            for parsed in observe(task, found, letters, step):
                keys = made[0].put(parsed.batch)
                if found.suspicion is not None:
                    found.suspicion.see(keys)
                if in_memory:
                    batches.append(parsed.batch)
        return found

    task, found = table.read_typed(dataset, reading, letters, reporter, one_pass, labels=True)
    store = made[0].store()
    settled = _settle(task, found, store, letters)
    counts = settled.counts
    counts.check(dataset.name)
    _keep_letters_on_refusal(dataset.name, counts, letters, context)
    facts = tuple(one.given.origin.fact() for one in dataset.probes)
    notes = tuple(_notes(dataset, settled, letters))
    return Gathered(task, made[0], store, counts, letters, facts, settled.repeats, notes, batches)


@dataclass(frozen=True)
class _Settled:
    counts: Counts
    repeats: int
    conflicts: int


def _settle(task: Task, found: Pass, store: RowStore, letters: DeadLetters) -> _Settled:
    """Repeats and conflicts among the encoded rows: told by the hash of the id and of the whole content."""
    repeated, conflicts = _repeats(found, store, unique=task.unique)
    if len(conflicts):
        reject_conflicts(task, found, conflicts, letters)
    dropped = repeated if task.drop else NONE
    store.take_out(np.sort(np.concatenate([dropped, conflicts])))
    rejected = sum(len(rows) for book in found.books for rows in book.rejected) + len(conflicts)
    kept = found.staged - len(dropped) - len(conflicts)
    return _Settled(Counts(found.read, kept, rejected, len(dropped)), len(repeated), len(conflicts))


def _repeats(found: Pass, store: RowStore, *, unique: bool) -> tuple[Rows, Rows]:
    if found.suspicion is None:
        return NONE, NONE
    positions, keys = found.suspicion.candidates(_keys(store))
    if not len(positions):
        return NONE, NONE
    contents = store.contents(positions)
    order = np.lexsort((positions, contents, keys))
    positions, keys, contents = positions[order], keys[order], contents[order]
    same_key = np.concatenate([[False], keys[1:] == keys[:-1]])
    same = same_key & np.concatenate([[False], contents[1:] == contents[:-1]])
    if not unique:
        return np.sort(positions[same]), NONE
    group = np.cumsum(~same_key) - 1
    torn = np.zeros(int(group[-1]) + 1, bool)
    torn[group[same_key & ~same]] = True
    conflicting = torn[group]
    return np.sort(positions[same & ~conflicting]), np.sort(positions[conflicting])


def _keys(store: RowStore) -> Iterator[Hashes]:
    for rows in store.scan():
        yield np.ascontiguousarray(rows["key"])


def _keep_letters_on_refusal(name: str, counts: Counts, letters: DeadLetters, context: Context) -> None:
    try:
        enforce_limit({name: counts}, context.reading().max_rejects, {name: letters})
    except TooManyRejectsError:
        promote(letters.temp, letters.target)
        raise


def _notes(dataset: Dataset, settled: _Settled, letters: DeadLetters) -> Iterator[str]:
    if settled.repeats and not settled.counts.duplicate:
        yield (
            f"{dataset.name}: rows that repeat an earlier one: {settled.repeats:,}, all kept; say `--id COLUMN` if one"
            " identifies a row, or `--set etl.duplicates=drop`"
        )
    if settled.conflicts:
        yield (
            f"{dataset.name}: {rows_of(settled.conflicts)} share an id ({', '.join(dataset.ids)}) with other contents,"
            f" first in {letters.reasons[SAME_ID][1]}: all of them are in the dead letters"
        )


@contextmanager
def located(
    named: Sequence[str],
    target: str | None,
    ids: Sequence[str],
    context: Context,
    resolve: Callable[[Sequence[str]], AbstractContextManager[tuple[NamedFile, ...]]],
) -> Iterator[Source]:
    """The source that is meant by the words after `--data`, for as long as it is needed (stdin is kept in a file)."""
    entry = find(named, context)
    if entry is not None:
        yield of_dataset(entry, target, ids, context)
        return
    with resolve(named) as files:
        yield of_files(files, target, ids, context)
