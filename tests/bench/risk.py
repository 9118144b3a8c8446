"""The risk model on the real OULAD: no worse than a plain blend on the same features; what the whole way costs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import plain_risk
import pyarrow as pa
import pyarrow.compute as pc
from measure import MB, BenchError, Sample, Subject, alternate, median, ratio, run
from oulad import ROWS
from plain_risk import FIGURES, Compared
from program import emptied, scratch, ss
from pyarrow import csv
from report import MISSED, OK, SHOWN, Row, Section, note

WEEKS, QUICK_WEEKS = (0, 4, 8, 12, 20), (8,)
# Which terms teach and which is judged: the one that counts, and one inside the training years.
SPLITS = ((("2013B", "2013J"), ("2014B",)), (("2013B",), ("2013J",)))
# A difference below it is noise; above that AUC by that week there has always been a leak.
NOISE, SUSPICIOUS, SUSPICIOUS_WEEK = 0.003, 0.87, 8
MOST_SECONDS, MOST_MEMORY = 90.0, 1_500 * MB
TIMES, MOST_GROWTH = 4, 5.0
# What is added to a student's id to make another student of it; ids have seven digits.
OTHERS = 10_000_000
SMALL = 0.5


@dataclass(frozen=True)
class Bench:
    """What the parts share."""

    section: Section
    data: Path
    work: Path
    repeats: int
    quick: bool

    @property
    def export(self) -> Path:
        return self.data / "oulad_bare"

    @property
    def larger(self) -> Path:
        return self.data / f"oulad_bare_{TIMES}x"


def measure_risk(real: Path | None, data: Path, repeats: int, quick: bool) -> Section:
    """Figures beside those of others, and what the whole way costs; skipped where the real data is not."""
    section = Section("risk")
    if real is None or not (real / "write_oulad_csv.py").is_file():
        section.skipped("risk", "STUDENTSUCCESS_REAL_DATA does not name a folder with write_oulad_csv.py")
        return section
    with scratch(data) as work:
        bench = Bench(section, data, work, repeats, quick)
        _write(bench, real)
        section.attempt("backtest", partial(_backtest, bench))
        section.attempt("ss run", partial(_whole_way, bench))
    return section


def _write(bench: Bench, real: Path) -> None:
    """The seven files, written once and kept."""
    if all((bench.export / f"{name}.csv").is_file() for name in ROWS):
        return
    note(f"risk: writing the files to {bench.export}")
    part = emptied(bench.work / "part")
    command = [sys.executable, str(real / "write_oulad_csv.py"), str(part), "--dialect", "bare"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"write_oulad_csv.py failed: {done.stderr.strip()[-400:]}")
    emptied(bench.export).rmdir()
    part.rename(bench.export)


def _backtest(bench: Bench) -> None:
    workspace = emptied(bench.work / "backtest")
    run(ss("etl", bench.export, "-w", workspace, "-q")).checked("ss etl")
    for train, test in SPLITS[:1] if bench.quick else SPLITS:
        note(f"risk: {', '.join(train)} against {', '.join(test)}, beside a plain blend and a formula")
        for one in plain_risk.compare(workspace, QUICK_WEEKS if bench.quick else WEEKS, train, test):
            _judge(bench.section, one, test[0])


def _judge(section: Section, one: Compared, term: str) -> None:
    """Each figure against that of the blend; lower is better for the last two."""
    name = f"{term}, week {one.week}"
    for figure in FIGURES:
        ours, theirs = one.ours[figure], one.blend[figure]
        worse = theirs - ours if figure in ("auc", "ap") else ours - theirs
        told = f"{ours:.4f}, blend {theirs:.4f}, formula {one.formula[figure]:.4f}"
        asked = f"at most {NOISE:g} worse"
        if figure == "ece":  # it moves by more than that when other students are drawn
            worse, asked = one.ece_gap[0], f"{asked}, beyond chance ({one.ece_gap[0]:+.4f} to {one.ece_gap[1]:+.4f})"
        section.rows.append(Row(f"{name}: {figure}", told, asked, OK if worse <= NOISE else MISSED, ours))
    if one.week <= SUSPICIOUS_WEEK:
        good = one.ours["auc"] <= SUSPICIOUS
        section.rows.append(
            Row(f"{name}: no leak", f"{one.ours['auc']:.4f}", f"<= {SUSPICIOUS:g}", OK if good else MISSED)
        )


def _whole_way(bench: Bench) -> None:
    """From CSV files to the report; with more clicks in turn, so that a busy machine hits both alike."""
    small, large = _run(bench, bench.export, 1), _run(bench, bench.larger, TIMES)
    if not bench.quick:
        _enlarge(bench)
    note(f"risk: ss run on {ROWS['studentVle']:,} clicks{'' if bench.quick else f' and on {TIMES} times as many'}")
    samples = alternate([small] if bench.quick else [small, large], bench.repeats)
    bench.section.keep(samples)
    runs = samples[small.name]
    wall = median([one.wall for one in runs])
    verdict = OK if wall < MOST_SECONDS else MISSED
    bench.section.rows.append(Row("ss run: time", f"{wall:.1f} s", f"< {MOST_SECONDS:g} s", verdict, wall))
    bench.section.memory("ss run: peak memory", max(one.peak for one in runs), most=MOST_MEMORY, below=True)
    if bench.quick:
        bench.section.skipped(f"{TIMES}x the clicks", "not with --quick")
        return
    _growth(bench.section, runs, samples[large.name])


def _run(bench: Bench, export: Path, times: int) -> Subject:
    """It must say that it has read as many rows as there are."""
    workspace = bench.work / "run"
    rows = sum(count * (times if name.startswith("student") else 1) for name, count in ROWS.items())
    return Subject(
        "ss run" if times == 1 else f"ss run, {times}x",
        lambda: ss("run", "--input", export, "-w", workspace, "-f", "json"),
        before=lambda: shutil.rmtree(workspace, ignore_errors=True),
        says=f" {rows:,} rows",
    )


def _growth(section: Section, small: Sequence[Sample], large: Sequence[Sample]) -> None:
    """Of all, and of each step; steps that hardly take time are shown and not judged."""
    name = f"{TIMES}x the clicks"
    told = ", ".join(f"{median([one.wall for one in runs]):.1f} s" for runs in (small, large))
    section.shown(f"{name}: time of both", told)
    section.shown(f"{name}: peak memory", f"{max(one.peak for one in large) / MB:.0f} MB")
    section.times(f"{name}: processor time", ratio(large, small, "cpu"), most=MOST_GROWTH)
    for step in _seconds(large[0]):
        before, after = (median([_seconds(one)[step] for one in runs]) for runs in (small, large))
        verdict = SHOWN if after < SMALL else OK if after <= MOST_GROWTH * max(before, SMALL) else MISSED
        section.rows.append(
            Row(f"{name}: {step}", f"{before:.1f} s to {after:.1f} s", f"<= {MOST_GROWTH:g}x", verdict, after)
        )


def _seconds(sample: Sample) -> dict[str, float]:
    told: Any = json.loads(sample.stdout)
    return {str(one["step"]): float(one["seconds"]) for one in told["steps"]}


def _enlarge(bench: Bench) -> None:
    """Every student several times over, each time as somebody else: more clicks, more of all that they do."""
    if (bench.larger / "studentVle.csv").is_file():
        return
    part = emptied(bench.work / "larger")
    for name in ROWS:
        source, target = bench.export / f"{name}.csv", part / f"{name}.csv"
        if name.startswith("student"):
            _several(source, target)
        else:
            shutil.copy(source, target)
    emptied(bench.larger).rmdir()
    part.rename(bench.larger)


def _several(source: Path, target: Path) -> None:
    """Of one table, block by block; all values stay texts, so that they are written as they were."""
    with source.open(encoding="utf-8") as file:
        names = file.readline().strip().replace('"', "").split(",")
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    plain = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(target, pa.schema([(name, pa.string()) for name in names]), write_options=plain) as sink:
        for time in range(TIMES):
            for batch in csv.open_csv(source, convert_options=texts):
                ids = pc.add(pc.cast(batch["id_student"], pa.int64()), time * OTHERS)
                place = names.index("id_student")
                sink.write_batch(batch.set_column(place, "id_student", pc.cast(ids, pa.string())))
