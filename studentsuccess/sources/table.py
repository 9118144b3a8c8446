"""Any tabular file: grouped into datasets by header, typed over the whole, repeats settled, kept as Parquet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import rows_of
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.grammar import Kind
from studentsuccess.core.infer import MOST_PASSES, Sample, closed_too_early, revise, sample
from studentsuccess.core.landing import (
    SAME_ID,
    Pass,
    Settled,
    Task,
    run_pass,
    settle_all,
)
from studentsuccess.core.layout import Column, Layout
from studentsuccess.core.names import nearest
from studentsuccess.core.origin import GZIP, ZSTD, first_bytes
from studentsuccess.core.probe import Probe
from studentsuccess.core.reporter import Reporter, Step, phase
from studentsuccess.core.staged import ROWS_OF_TWO_FILES, write_parquet
from studentsuccess.errors import UsageError
from studentsuccess.sources.landed import SPREADSHEET_ROWS, DataFile, Landed, Places, Reading

# A dataset is one file, or two when it is large; sorted by name they are in the order of the rows.
DATA_FILES = ("data.parquet", "data_2.parquet")
# Rough shares for sizing only: bytes of a row in Parquet, and how many times larger a packed text is.
PARQUET_ROW_BYTES, PACKED_FACTOR = 16, 8
DECIMAL_COMMA = "^-?[0-9]+,[0-9]+$"


@dataclass(frozen=True)
class Dataset:
    """Files with one header, to be one dataset."""

    name: str
    probes: tuple[Probe, ...]
    ids: tuple[str, ...] = ()
    target: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self.probes[0].names

    @property
    def size(self) -> int:
        return sum(probe.given.origin.path.stat().st_size for probe in self.probes)


def group(probes: Sequence[Probe], name: str | None, ids: Sequence[str], target: str | None) -> tuple[Dataset, ...]:
    """Files with the same columns are one dataset; with others, one each, named after their first file."""
    by_header: dict[frozenset[str], list[Probe]] = {}
    for probe in probes:
        by_header.setdefault(frozenset(probe.names), []).append(probe)
    if name and len(by_header) > 1:
        raise UsageError(
            f"`--name {name}` names one dataset, and these files have {len(by_header)} different headers",
            "load them one header at a time, or leave `--name` out: each is named after its file",
        )
    found: list[Dataset] = []
    for same in by_header.values():
        refuse_no_rows(same)
        chosen = dataset_name(name or same[0].given.origin.path.name if name else same[0].given.origin.shown)
        _refuse_taken(chosen, found)
        found.append(
            Dataset(
                chosen,
                tuple(same),
                tuple(_column(wanted, same[0], "--id") for wanted in ids),
                _column(target, same[0], "--target") if target else None,
            )
        )
    return tuple(found)


def refuse_no_rows(probes: Sequence[Probe]) -> None:
    """Headers and nothing below them: an export that went wrong, and replacing good data by it would make it worse."""
    if not any(probe.has_rows for probe in probes):
        raise probes[0].given.origin.error("0 data rows: there is only a header", "export the file again")


def _refuse_taken(name: str, found: Sequence[Dataset]) -> None:
    if any(other.name.casefold() == name.casefold() for other in found):
        raise UsageError(
            f"two files with different headers would both become the dataset `{name}`",
            "load them one at a time with `--name`",
        )


def dataset_name(shown: str) -> str:
    """A name that is safe as a folder and a table on every system."""
    stem = re.split(r"[\\/]", shown)[-1]
    for ending in (".gz", ".zst", ".csv", ".tsv", ".txt", ".psv", ".parquet", ".jsonl", ".ndjson", ".json"):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) else stem
    cleaned = re.sub(r"[^\w-]+", "_", stem).strip("_.")
    return cleaned[:80] or "dataset"


def _column(wanted: str, probe: Probe, flag: str) -> str:
    if wanted in probe.names:
        return wanted
    near = nearest(wanted, probe.names)
    raise UsageError(
        f"{probe.given.origin.shown}: there is no column `{wanted}` for `{flag}`",
        f"did you mean `{near}`?" if near else f"its columns begin with {', '.join(probe.names[:6])}",
    )


def land(dataset: Dataset, reading: Reading, places: Places, reporter: Reporter) -> Landed:
    """Read a dataset until its types are settled, then write its Parquet file beside its place."""
    letters = places.letters(dataset.name)

    def into_staging(task: Task, step: Step) -> Pass:
        return run_pass(task, places.staging / f"{dataset.name}.arrow", letters, step)

    task, found = read_typed(dataset, reading, letters, reporter, into_staging)
    with phase(reporter, f"{dataset.name}: settling repeats, writing"):
        return finish(dataset, task, found, places, letters)


def read_typed(
    dataset: Dataset,
    reading: Reading,
    letters: DeadLetters,
    reporter: Reporter,
    one_pass: Callable[[Task, Step], Pass],
    *,
    labels: bool = False,
) -> tuple[Task, Pass]:
    """Read a dataset until its types are those of the whole of it; `one_pass` is begun anew when they were not."""
    begin = _begin(dataset, reading)
    layout = begin.layout
    expected = _expected_rows(dataset, begin.row_bytes)
    given = frozenset(name for probe in dataset.probes for name in probe.kinds or ())
    keep_open: frozenset[str] = frozenset()
    for left in reversed(range(MOST_PASSES)):
        task = replace(task_of(dataset, layout, reading, expected), keep_open=keep_open, labels=labels)
        step = reporter.step(dataset.name, expected)
        try:
            found = one_pass(task, step)
        finally:
            step.close()
        revised = revise(layout, found, reading.tolerance, given)
        early = closed_too_early(found, reading.tolerance)
        if (revised == layout and not early) or not left:
            break
        keep_open |= early | _left_text(layout, revised)
        layout = revised
        letters.restart()
    if not found.read:
        raise dataset.probes[0].given.origin.error("0 data rows", "export the file again")
    return task, found


def _left_text(before: Layout, after: Layout) -> frozenset[str]:
    """Columns that are text no more: should they come back to it, the values that refuse are counted exactly."""
    pairs = zip(before.columns, after.columns, strict=True)
    return frozenset(old.name for old, new in pairs if old.kind is Kind.TEXT and new.kind is not Kind.TEXT)


def finish(dataset: Dataset, task: Task, found: Pass, places: Places, letters: DeadLetters, owned: int = 0) -> Landed:
    """Settle the repeats of a completed pass and write the final file beside its place."""
    settled = settle_all(task, found, letters, owned=owned)
    files = _data_files(places, dataset.name, settled.counts.kept + owned)
    schema = with_originals(found.schema, dataset)
    rows = write_parquet(found.staged_file, settled.gone, schema, [file.temp for file in files])
    assert rows == settled.counts.kept + owned
    return Landed(
        dataset.name,
        task.inputs,
        found.staging,
        schema,
        task.layout,
        settled.counts,
        letters,
        files,
        settled.repeats,
        tuple(_notes(dataset, task, settled, found, letters)),
    )


def _data_files(places: Places, name: str, rows: int) -> tuple[DataFile, ...]:
    """Where a dataset is written. A second file that is not needed any more becomes an empty one: a commit replaces
    files and never deletes them."""
    targets = [places.datasets / name / file for file in DATA_FILES]
    used = 2 if rows >= ROWS_OF_TWO_FILES or targets[1].exists() else 1
    return tuple(DataFile(temp_path(target, places.run_id), target) for target in targets[:used])


def with_originals(schema: pa.Schema, dataset: Dataset) -> pa.Schema:
    """Each column's spelling in the source, kept where it differs from the clean one."""
    originals = dict(zip(dataset.names, dataset.probes[0].originals, strict=True))
    return pa.schema(
        [
            field.with_metadata({"original": originals[field.name]})
            if originals.get(field.name, field.name) != field.name
            else field
            for field in schema
        ]
    )


def _notes(dataset: Dataset, task: Task, settled: Settled, found: Pass, letters: DeadLetters) -> Iterator[str]:
    name = dataset.name
    if settled.repeats and not task.drop:
        yield (
            f"{name}: rows that repeat an earlier one: {settled.repeats:,}, all kept; say `--id COLUMN` if"
            " one identifies a row, or `--duplicates drop`"
        )
    if settled.conflicts:
        yield (
            f"{name}: {rows_of(settled.conflicts)} share an id ({', '.join(task.keys)}) with other contents, first in"
            f" {letters.reasons[SAME_ID][1]}: all of them are in the dead letters"
        )
    if any(book.read == SPREADSHEET_ROWS for book in found.books):
        yield f"{name}: exactly {SPREADSHEET_ROWS:,} rows, a spreadsheet's limit: rows are probably missing"
    for column in _decimal_commas(task, found):
        yield (
            f"{name}: the column `{column}` is text, because its numbers are written with a comma, such as"
            " `3,5`; export it with decimal points"
        )


def _decimal_commas(task: Task, found: Pass) -> Iterator[str]:
    """Text columns whose first values are numbers with a decimal comma."""
    import pyarrow.compute as pc

    for first in islice(found.staged_file.batches(found.schema.names), 1):
        for column in task.layout.columns:
            if column.kind is Kind.TEXT:
                present = pc.drop_null(first.column(column.name)).slice(0, 200)
                hits = pc.sum(pc.match_substring_regex(present, DECIMAL_COMMA)).as_py() or 0
                if len(present) and hits > len(present) // 2:
                    yield column.name


def _begin(dataset: Dataset, reading: Reading) -> Sample:
    """The columns of the first file, typed by a look at its beginning; Parquet knows its own types and rows."""
    first = dataset.probes[0]
    if first.kinds is not None:
        columns = tuple(Column(name, kind) for name, kind in first.kinds.items())
        found = Sample(Layout(columns, reading.null_values), PARQUET_ROW_BYTES)
    else:
        found = sample(first.given, first.names, reading.null_values, reading.tolerance, reading.stream.max_record)
    columns = tuple(replace(column, required=column.name in dataset.ids) for column in found.layout.columns)
    return Sample(replace(found.layout, columns=columns), found.row_bytes)


def _expected_rows(dataset: Dataset, row_bytes: int) -> int:
    """A little more than the files' sizes say: a filter sized too small costs time, one too large memory."""
    packed = any(first_bytes(probe.given.origin.path).startswith((GZIP, ZSTD)) for probe in dataset.probes)
    return max(1000, int(1.1 * dataset.size / row_bytes) * (PACKED_FACTOR if packed else 1))


def task_of(dataset: Dataset, layout: Layout, reading: Reading, expected_rows: int, *, guess: bool = True) -> Task:
    """How a dataset is landed: by its id where one is known, else by whole rows."""
    drop = reading.duplicates == "drop" or (reading.duplicates == "auto" and bool(dataset.ids))
    return Task(
        dataset.name,
        tuple(probe.given for probe in dataset.probes),
        layout,
        reading.stream,
        keys=dataset.ids or layout.names,
        unique=bool(dataset.ids),
        drop=drop,
        expected_rows=expected_rows,
        guess=guess,
        tolerance=reading.tolerance,
    )
