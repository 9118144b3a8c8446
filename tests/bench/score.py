"""`ss score` of a wide table: every row in its place with probabilities that hold, near the time of polars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plain_models
import pyarrow as pa
import pyarrow.csv as pacsv
import wide
from measure import MB, BenchError, Sample, Subject, alternate, median, ratio
from program import scratch
from report import Section, note
from train import (
    FULL_ROWS,
    HELD_OUT_ROWS,
    HELD_OUT_SEED,
    JUDGED_ROWS,
    MOST_MEMORY,
    Table,
    costs,
    growth,
    prepared,
    probabilities_of,
    scored,
    scoring,
    training,
)

LEAST_OVER_PANDAS, MOST_OVER_POLARS = 7.0, 2.0
OURS, PANDAS, POLARS = "ss score", "pandas loop", "polars"
READ_BYTES = 4 * MB
# Six decimals for each of three classes are no further from one than this.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Bench:
    """What the parts share: a model of ours and one of scikit-learn, both trained before anything is measured."""

    section: Section
    data: Path
    work: Path
    repeats: int

    @property
    def workspace(self) -> Path:
        return self.work / "ss"

    @property
    def plain_model(self) -> Path:
        return self.work / "plain.model"

    def scores(self, name: str) -> Path:
        return self.work / f"{name.replace(' ', '-')}.csv"


def measure_score(data: Path, rows: int, repeats: int, full: bool) -> Section:
    """Rows and probabilities, the ratios to pandas and polars, peak memory; with `full` its growth."""
    section = Section("score")
    peaks: list[float] = []
    with scratch(data) as work:
        bench = Bench(section, data, work, repeats)
        section.attempt("score", lambda: _compare(bench, prepared(data, rows), peaks))
        if full:
            section.attempt("full table", lambda: _grow(bench, prepared(data, FULL_ROWS), peaks))
    return section


def _compare(bench: Bench, table: Table, peaks: list[float]) -> None:
    section = bench.section
    note("score: training what is to be scored with")
    training(table.path, bench.workspace).run()
    Subject("train-sparse", lambda: plain_models.command("train-sparse", table.path, bench.plain_model)).run()
    # Machine code is compiled once and kept: not by the run that is measured.
    _scoring(bench, prepared(bench.data, HELD_OUT_ROWS, HELD_OUT_SEED).path).run()
    note(f"score: ss, the pandas loop and polars, {table.facts.rows:,} rows, {bench.repeats} times each")
    samples = alternate([_scoring(bench, table.path), *_plain(bench, table.path)], bench.repeats)
    section.keep(samples)
    ours = samples[OURS]
    for sample in ours[:-1]:
        scored(sample)
    _against_truth(bench, table, ours[-1])
    judged = table.facts.rows >= JUDGED_ROWS
    section.faster("speed over the pandas loop", ratio(samples[PANDAS], ours), least=LEAST_OVER_PANDAS, judged=judged)
    section.times("time over polars", ratio(ours, samples[POLARS]), most=MOST_OVER_POLARS, judged=judged)
    section.memory("peak memory", max(one.peak for one in ours), most=MOST_MEMORY)
    costs(section, samples)
    peaks.append(median([one.peak for one in ours]))


def _scoring(bench: Bench, source: Path) -> Subject:
    return scoring(source, bench.workspace, bench.scores(OURS))


def _plain(bench: Bench, source: Path) -> tuple[Subject, Subject]:
    pandas, polars = bench.scores(PANDAS), bench.scores(POLARS)
    return (
        Subject(
            PANDAS,
            lambda: plain_models.command("score", source, pandas, bench.plain_model),
            before=partial(pandas.unlink, missing_ok=True),
        ),
        Subject(
            POLARS,
            lambda: plain_models.command("polars", source, polars),
            before=partial(polars.unlink, missing_ok=True),
        ),
    )


def _grow(bench: Bench, table: Table, peaks: list[float]) -> None:
    """The model is the one of the usual table: only the rows to be scored are more."""
    note(f"score: ss, {table.facts.rows:,} rows, once")
    sample = _scoring(bench, table.path).run()
    bench.section.keep({f"{OURS}, full": [sample]})
    _against_truth(bench, table, sample)
    growth(bench.section, table.facts.rows, sample.peak, peaks)


def _against_truth(bench: Bench, table: Table, sample: Sample) -> None:
    """Books that add up, every id in its place, and probabilities that are some."""
    said, rows = scored(sample), table.facts.rows
    suffix = f", {rows:,} rows"
    told = f"{said.read:,} read, {said.scored:,} scored, {said.rejected:,} rejected"
    bench.section.equal(f"books{suffix}", told, f"{rows:,} read, {rows:,} scored, 0 rejected")
    found = check(bench.scores(OURS), wide.ID, wide.TARGET, wide.CLASSES)
    bench.section.equal(f"rows in input order{suffix}", f"{found.rows:,}, {found.misplaced:,} misplaced",
                        f"{rows:,}, 0 misplaced")  # fmt: skip
    bench.section.equal(f"rows with wrong probabilities{suffix}", found.improbable, 0)
    bench.section.equal(f"rows with another class than the likeliest{suffix}", found.unlikely, 0)


@dataclass
class Check:
    """What was found in a file of scores: rows, and how many of them break each of its promises."""

    rows: int = 0
    misplaced: int = 0
    improbable: int = 0
    unlikely: int = 0


def check(path: Path, key: str, target: str, classes: Sequence[str]) -> Check:
    """Read a file of scores in pieces, whatever its size, and hold each row to what it must be."""
    found = Check()
    try:
        for batch in pacsv.open_csv(path, read_options=pacsv.ReadOptions(block_size=READ_BYTES)):
            _check_batch(batch, found, key, target, classes)
    except (OSError, KeyError, pa.ArrowInvalid) as problem:
        raise BenchError(f"{path.name} is no file of scores ({problem!r})") from None
    return found


def _check_batch(batch: pa.RecordBatch, found: Check, key: str, target: str, classes: Sequence[str]) -> None:
    likely = probabilities_of(batch, classes)
    best, confidence = likely.max(axis=1), _numbers(batch, "confidence")
    predicted = np.array(batch.column(f"predicted_{target}").to_pylist(), object)
    of_predicted = np.select([predicted == name for name in classes], list(likely.T), np.nan)
    good = np.isfinite(likely).all(axis=1) & (likely >= 0).all(axis=1)
    good &= np.abs(likely.sum(axis=1) - 1) <= TOLERANCE
    good &= np.abs(confidence - best) <= TOLERANCE
    found.misplaced += int((_numbers(batch, key) != wide.ids(found.rows, len(likely))).sum())
    found.improbable += int((~good).sum())
    found.unlikely += int((~(np.abs(of_predicted - best) <= TOLERANCE)).sum())
    found.rows += len(likely)


def _numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = batch.column(name).to_numpy(zero_copy_only=False)
    return values
