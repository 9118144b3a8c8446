"""`ss train local` of a wide table, one epoch: faster than plain loops, near the time of reading, and no worse.

The plain loops learn from every row and judge nothing. Ours keeps a fifth of the rows back, judges itself by them and
trains two baselines besides: all of that is in its time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from measure import MB, BenchError, Sample, Subject, alternate, median, ratio, warm_up
from program import emptied, scratch, ss
from report import MISSED, OK, SHOWN, Row, Section, note

FULL_ROWS = 10_000_000
SEED = 11
HELD_OUT_ROWS, HELD_OUT_SEED = 100_000, 12
LEAST_OVER_DENSE, MOST_OVER_READER = 6.0, 3.2
# How much worse than the better of the plain loops the held-out log-loss may be: the last digit that is shown.
MOST_LOSS_ABOVE = 0.0005
MOST_MEMORY = 512 * MB
# Memory is flat when it grows by no more than one of these from the usual size to the full one.
GROWTH_SHARE, GROWTH_BYTES = 0.05, 32 * MB
# With fewer rows the start of the programs is what would be compared.
JUDGED_ROWS = 1_000_000
OURS, DENSE, SPARSE, READER = "ss train", "dense loop", "sparse loop", "our reader alone"
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A wide table on disk and what is known about it."""

    path: Path
    facts: wide.Facts


@dataclass(frozen=True)
class Bench:
    """What the parts share. The models of the last run stay, to be asked about rows that none of them saw."""

    section: Section
    data: Path
    work: Path
    repeats: int

    @property
    def workspace(self) -> Path:
        return self.work / "ss"

    def model(self, name: str) -> Path:
        return self.work / f"{name.replace(' ', '-')}.model"

    def held_out(self) -> Table:
        return prepared(self.data, HELD_OUT_ROWS, HELD_OUT_SEED)


def measure_train(data: Path, rows: int, repeats: int, full: bool) -> Section:
    """The ratios to two plain loops and to bare reading, held-out log-loss, peak memory; with `full` its growth."""
    section = Section("train")
    peaks: list[float] = []
    with scratch(data) as work:
        bench = Bench(section, data, work, repeats)
        section.attempt("train", lambda: _compare(bench, prepared(data, rows), peaks))
        if full:
            section.attempt("full table", lambda: _grow(bench, prepared(data, FULL_ROWS), peaks))
    return section


def prepared(data: Path, rows: int, seed: int = SEED) -> Table:
    """The table of that many rows and that seed, made once and kept."""
    path = data / f"wide-{rows}-{seed}.csv"
    if not _current(path, rows, seed):
        note(f"writing {rows:,} wide rows to {path}")
        with scratch(data) as part:
            wide.write_wide(part / path.name, rows, seed)
            for name in (path.name, wide.facts_path(path).name):
                (part / name).replace(data / name)
    warm_up(path)
    return Table(path, wide.read_facts(path))


def _current(path: Path, rows: int, seed: int) -> bool:
    if not (path.is_file() and wide.facts_path(path).is_file()):
        return False
    facts = wide.read_facts(path)
    return (facts.rows, facts.seed, facts.generator) == (rows, seed, wide.generator_digest())


def training(source: Path, workspace: Path) -> Subject:
    """`ss train local` of a wide table, in a new workspace."""
    return Subject(
        OURS,
        lambda: ss(
            "train", "local", "--data", source, "--target", wide.TARGET, "--id", wide.ID, "--epochs", "1",
            "--name", "wide", "-w", workspace, "-f", "json",
        ),
        before=partial(_afresh, workspace),
    )  # fmt: skip


def scoring(source: Path, workspace: Path, target: Path) -> Subject:
    """`ss score` of a wide table with the model of `training`."""
    return Subject(
        "ss score",
        lambda: ss("score", source, "-m", "wide", "-o", target, "-w", workspace, "-f", "json"),
        before=partial(target.unlink, missing_ok=True),
    )


def _afresh(folder: Path) -> None:
    emptied(folder)


def _compare(bench: Bench, table: Table, peaks: list[float]) -> None:
    section = bench.section
    # Machine code is compiled once and kept: not by the run that is measured.
    training(bench.held_out().path, bench.workspace).run()
    ours = training(table.path, bench.workspace)
    note(f"train: ss, two plain loops and the reader, {table.facts.rows:,} rows, {bench.repeats} times each")
    samples = alternate([ours, *_plain(bench, table.path)], bench.repeats)
    section.keep(samples)
    _books(section, table, samples)
    judged = table.facts.rows >= JUDGED_ROWS
    speed = ratio(samples[DENSE], samples[OURS])
    section.faster("speed over the dense loop", speed, least=LEAST_OVER_DENSE, judged=judged)
    slower = ratio(samples[OURS], samples[READER])
    section.times("time over our reader alone", slower, most=MOST_OVER_READER, judged=judged)
    speed = ratio(samples[SPARSE], samples[OURS])
    section.shown("speed over the sparse loop", f"{speed:.2f}x", speed)
    _held_out(bench)
    section.memory("peak memory", max(one.peak for one in samples[OURS]), most=MOST_MEMORY)
    costs(section, samples)
    peaks.append(median([one.peak for one in samples[OURS]]))


def _plain(bench: Bench, source: Path) -> tuple[Subject, ...]:
    return (
        Subject(DENSE, lambda: plain_models.command("train-dense", source, bench.model(DENSE))),
        Subject(SPARSE, lambda: plain_models.command("train-sparse", source, bench.model(SPARSE))),
        Subject(READER, lambda: plain_models.command("reader", source)),
    )


def _grow(bench: Bench, table: Table, peaks: list[float]) -> None:
    note(f"train: ss, {table.facts.rows:,} rows, once")
    sample = training(table.path, bench.work / "ss-full").run()
    bench.section.keep({f"{OURS}, full": [sample]})
    _books(bench.section, table, {OURS: [sample]})
    growth(bench.section, table.facts.rows, sample.peak, peaks)


def growth(section: Section, rows: int, peak: int, peaks: Sequence[float]) -> None:
    """The peak with the full table, by itself and against the usual one."""
    section.memory(f"peak memory, {rows:,} rows", peak, most=MOST_MEMORY)
    if not peaks:
        raise BenchError("the growth of memory has nothing to be compared with")
    section.memory("growth of peak memory", peak - peaks[0], most=max(GROWTH_SHARE * peaks[0], GROWTH_BYTES))


def costs(section: Section, samples: Mapping[str, Sequence[Sample]]) -> None:
    """What each of the subjects took."""
    for name, runs in samples.items():
        wall, cpu, peak = (median([getattr(one, what) for one in runs]) for what in ("wall", "cpu", "peak"))
        section.shown(f"{name}: wall, CPU, peak", f"{wall:.2f} s, {cpu:.2f} s, {peak / MB:.0f} MB", wall)


def _books(section: Section, table: Table, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Nobody is quicker by leaving rows out: each says how many it took."""
    rows, said = table.facts.rows, trained(samples[OURS][-1])
    section.equal(f"rows trained on and held out, {rows:,} rows", said.train + said.holdout, rows)
    for name in (name for name in samples if name != OURS):
        counted = json.loads(samples[name][-1].stdout)["rows"]
        if counted != rows:
            raise BenchError(f"{name} took {counted:,} of {rows:,} rows")


def _held_out(bench: Bench) -> None:
    """Log-loss on rows of the same law that nobody saw, from the files of scores."""
    table = bench.held_out()
    losses = {}
    for name in (OURS, DENSE, SPARSE):
        scores = bench.work / "held-out.csv"
        if name == OURS:
            scoring(table.path, bench.workspace, scores).run()
        else:
            Subject(name, partial(plain_models.command, "score", table.path, scores, bench.model(name))).run()
        losses[name] = _loss(scores, table.path)
    best = min(losses[DENSE], losses[SPARSE])
    figure(bench.section, "held-out log-loss", losses[OURS], most=best + MOST_LOSS_ABOVE)
    for name in (DENSE, SPARSE):
        bench.section.shown(f"held-out log-loss of the {name}", f"{losses[name]:.4f}", losses[name])
    law = table.facts.bayes
    bench.section.shown("held-out log-loss of the law itself", f"{law:.4f}", law)


def _loss(scores: Path, source: Path) -> float:
    truth = pacsv.read_csv(source, convert_options=pacsv.ConvertOptions(include_columns=[wide.ID, wide.TARGET]))
    found = read_scores(scores)
    if found.column(wide.ID).to_pylist() != truth.column(wide.ID).to_pylist():
        raise BenchError(f"{scores.name} does not hold the rows of {source.name} in their order")
    return log_loss(probabilities_of(found, wide.CLASSES), wide.CLASSES, truth.column(wide.TARGET).to_pylist())


def read_scores(path: Path) -> pa.Table:
    """A whole file of scores; a small one."""
    try:
        return pacsv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as problem:
        raise BenchError(f"{path.name} is no file of scores ({problem!r})") from None


def probabilities_of(scores: pa.Table | pa.RecordBatch, classes: Sequence[str]) -> Floats:
    """A column for each class, as doubles."""
    try:
        columns = [scores.column(f"p_{name}").to_numpy(zero_copy_only=False) for name in classes]
    except KeyError as problem:
        raise BenchError(f"a file of scores lacks a class: {problem}") from None
    return np.column_stack(columns).astype(np.float64)


def log_loss(likely: Floats, classes: Sequence[str], truth: Sequence[str]) -> float:
    """The mean surprise of what happened: sure and wrong is costly, but finite."""
    places = {name: at for at, name in enumerate(classes)}
    happened = likely[np.arange(len(likely)), [places[name] for name in truth]]
    return float(-np.log(np.clip(happened / likely.sum(axis=1), LEAST_PROBABILITY, 1.0)).mean())


def figure(
    section: Section, name: str, value: float, *, least: float = -np.inf, most: float = np.inf, judged: bool = True
) -> None:
    """A plain number that must not be below `least` or above `most`."""
    limit = f">= {least:.4g}" if most == np.inf else f"<= {most:.4g}"
    verdict = (OK if least <= value <= most else MISSED) if judged else SHOWN
    section.rows.append(Row(name, f"{value:.4f}", limit, verdict, value))


@dataclass(frozen=True)
class Trained:
    """What `ss train local -f json` says."""

    train: int
    holdout: int
    metrics: Mapping[str, float]
    baseline: Mapping[str, Mapping[str, Any]]


def trained(sample: Sample) -> Trained:
    """The document on stdout, which must be one JSON document and nothing else."""
    try:
        said = json.loads(sample.stdout)
        rows, metrics = said["rows"], said["metrics"]
        return Trained(int(rows["train"]), int(rows["holdout"]), dict(metrics), dict(said["baseline"]))
    except (ValueError, KeyError, TypeError) as problem:
        raise BenchError(f"`ss train -f json` printed something else than its document ({problem!r})") from None


@dataclass(frozen=True)
class Scored:
    """What `ss score -f json` says."""

    read: int
    scored: int
    rejected: int


def scored(sample: Sample) -> Scored:
    """The document on stdout, which must be one JSON document and nothing else."""
    try:
        said = json.loads(sample.stdout)
        rows, again = said["rows"], bool(said.get("already_scored"))
        found = Scored(int(rows["read"]), int(rows["scored"]), int(rows["rejected"]))
    except (ValueError, KeyError, TypeError) as problem:
        raise BenchError(f"`ss score -f json` printed something else than its document ({problem!r})") from None
    if again:
        raise BenchError("`ss score` did nothing, and is quick at it: the file was scored already")
    return found
