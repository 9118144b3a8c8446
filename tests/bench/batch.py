"""`ss batch process`, files in to files out: time, memory, how far from the provable bound; others on the same files.

The others' clusters are measured as ours are: the same students, the same objective, the same count of what is broken.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import plain_batches
from measure import MB, BenchError, Sample, Subject, alternate, median, run
from program import emptied, scratch, ss
from report import Section, note

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))

from made_terms import Term, write_term

DAY = "2025-09-01"
SEED = 1


@dataclass(frozen=True)
class Case:
    """A term, and what its batches may cost and must reach, on two processors."""

    name: str
    term: Term
    seconds: float
    memory: float
    gap: float


CASES = (
    Case("500", Term(500, SEED), 3.0, 250 * MB, 0.5),
    Case("5,000", Term(5_000, SEED), 6.0, 300 * MB, 0.65),
    Case("50,000", Term(50_000, SEED), 25.0, 400 * MB, 0.70),
    Case("200,000", Term(200_000, SEED), 110.0, 700 * MB, 0.70),
    Case("15,000 in one cell", Term(15_000, SEED, giant=True), 50.0, 500 * MB, 0.85),
)
OF_BOUND = 0.975
# Where others still come to an end.
COMPARED, QUICK_COMPARED = Term(5_000, SEED), Term(500, SEED)


@dataclass(frozen=True)
class Bench:
    """What the parts share."""

    section: Section
    data: Path
    work: Path
    repeats: int

    def term(self, term: Term) -> Path:
        """Its files, written once and kept."""
        folder = self.data / f"term-{term.students}-{term.seed}{'-giant' if term.giant else ''}"
        if not (folder / "student_data.csv").is_file():
            note(f"batch: writing {folder}")
            write_term(folder, term)
        return folder


def measure_batch(data: Path, repeats: int, quick: bool, full: bool) -> Section:
    """The table of the sizes; with `full` the two large ones too, with `quick` only the smallest."""
    section = Section("batch")
    with scratch(data) as work:
        bench = Bench(section, data, work, repeats)
        for case in CASES if full else CASES[:1] if quick else CASES[:3]:
            section.attempt(case.name, partial(_measure, bench, case))
        section.attempt("others", partial(_compare, bench, QUICK_COMPARED if quick else COMPARED))
    return section


def _batching(bench: Bench, term: Path, name: str, *more: str) -> Subject:
    """A run in a new workspace, so that nothing was done before."""
    out, workspace = bench.work / f"{name}-out", bench.work / f"{name}-ws"

    def afresh() -> None:
        emptied(out)
        emptied(workspace)

    words = ("batch", "process", term, "-o", out, "-w", workspace, "--date", DAY, "-f", "json", "-q", *more)
    return Subject(name, lambda: ss(*words), before=afresh, says='"run_id"')


def _measure(bench: Bench, case: Case) -> None:
    section, term = bench.section, bench.term(case.term)
    note(f"batch: {case.name} students, {bench.repeats} times")
    subject = _batching(bench, term, f"ss-{case.term.students}")
    samples = alternate([subject], bench.repeats, warm=case.term.students <= COMPARED.students)
    section.keep(samples)
    runs = samples[subject.name]
    said = _said(runs[-1])
    section.seconds(f"{case.name}: time", median([one.wall for one in runs]), most=case.seconds)
    section.memory(f"{case.name}: peak memory", max(one.peak for one in runs), most=case.memory)
    closed = said["gap_closed"]
    section.reached(f"{case.name}: gap closed over chance", closed, least=case.gap)
    # How loose the bound is depends on the instance: where the ratio falls just short, the gap decides.
    share = said["objective"] / said["bound"]
    section.reached(f"{case.name}: objective by its bound", share, least=OF_BOUND, judged=closed < case.gap)
    section.equal(f"{case.name}: hard rules broken", said["hard_violations"], 0)
    found = run(ss("batch", "verify", bench.work / f"{subject.name}-out", term, "-f", "json"))
    section.equal(f"{case.name}: the checker agrees", json.loads(found.checked("ss batch verify").stdout)["ok"], True)


def _said(sample: Sample) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(sample.stdout)
    except ValueError as problem:
        raise BenchError(f"`ss batch process -f json` printed no JSON document ({problem!r})") from None
    return said


def _compare(bench: Bench, asked: Term) -> None:
    """Ours, k-means with sizes in each cell, global spectral clustering: once each, judged by one measure."""
    term, many = bench.term(asked), f"{asked.students:,}"
    measure = Yardstick(term)
    note(f"batch: others on {many} students")
    ours = _batching(bench, term, "ss").run()
    bench.section.keep({"ss, compared": [ours]})
    said = _said(ours)
    found = measure.of(_members(bench.work / "ss-out"), said["random"], said["bound"])
    bench.section.equal("the measure is the same", f"{found.share:.9f}", f"{said['objective'] / said['bound']:.9f}")
    _show(bench, f"ss, {many}", ours, found)
    for how in ("kmeans", "spectral"):
        out = bench.work / f"{how}.csv"
        sample = Subject(how, lambda how=how, out=out: plain_batches.command(how, term, out)).run()
        bench.section.keep({how: [sample]})
        _show(bench, f"{how}, {many}", sample, measure.of(_labels(out), said["random"], said["bound"]))


def _show(bench: Bench, name: str, sample: Sample, found: Reached) -> None:
    told = (
        f"{sample.wall:.1f} s, {sample.peak / MB:.0f} MB; J / bound {found.share:.3f}, gap closed {found.gap:.2f};"
        f" broken: {found.sizes} sizes, {found.mixed} mixed"
    )
    bench.section.shown(name, told, found.share)


def _members(out: Path) -> dict[str, str]:
    return _read(out / "batch_student_membership.csv", "batch_id")


def _labels(path: Path) -> dict[str, str]:
    return _read(path, "batch")


def _read(path: Path, column: str) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as source:
        return {row["student_id"]: row[column] for row in csv.DictReader(source)}


@dataclass(frozen=True)
class Reached:
    """How good clusters are: of the bound, from chance to the bound, and in how many a hard rule is broken."""

    share: float
    gap: float
    sizes: int
    mixed: int


class Yardstick:
    """The objective, written down once more: cosines of courses and of soft wishes, nearness to the target size.

    The wishes are those of the made terms: one shift (weight 2) and one language (weight 1) for half of a batch.
    """

    def __init__(self, term: Path) -> None:
        with (term / "student_data.csv").open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        self.ids = [row["student_id"] for row in rows]
        self.cells = [(row["program_id"], row["academic_year"]) for row in rows]
        parts = (
            ([json.loads(row["enrolled_courses"]) for row in rows], 0.8),
            ([[row["preferred_shift"]] for row in rows], 0.2 * 2 / 3),
            ([row["preferred_languages"].strip("{}").split(",") for row in rows], 0.2 / 3),
        )
        self.vectors = np.hstack([np.sqrt(share) * _units(values) for values, share in parts])

    def of(self, label: Mapping[str, str], chance: float, bound: float) -> Reached:
        groups: dict[str, list[int]] = {}
        for at, one in enumerate(self.ids):
            groups.setdefault(label[one], []).append(at)
        total = sum(self._worth(rows) for rows in groups.values()) / (0.7 * len(self.ids))
        sizes = sum(not plain_batches.LEAST <= len(rows) <= plain_batches.MOST for rows in groups.values())
        mixed = sum(len(Counter(self.cells[at] for at in rows)) > 1 for rows in groups.values())
        return Reached(total / bound, (total - chance) / (bound - chance), sizes, mixed)

    def _worth(self, rows: Sequence[int]) -> float:
        size, mine = len(rows), self.vectors[rows]
        whole = mine.sum(axis=0)
        pairs = float(whole @ whole - (mine * mine).sum()) / (size - 1) if size > 1 else 0.0
        least, target, most = plain_batches.LEAST, plain_batches.TARGET, plain_batches.MOST
        curve = min(least / (target - least) ** 2, most / (most - target) ** 2)
        return 0.4 * pairs + 0.3 * (size - curve * (size - target) ** 2)


def _units(values: Sequence[Sequence[str]]) -> np.ndarray:
    column = {one: at for at, one in enumerate(sorted({one for mine in values for one in mine}))}
    found = np.zeros((len(values), len(column)))
    for at, mine in enumerate(values):
        found[at, [column[one] for one in mine]] = 1.0
    unit: np.ndarray = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return unit
