"""Real tables of students: as good on rows never seen as the best plain models, in a fraction of the old time.

Each fold is written as the original is (BOM, `;`, a TAB in a header), and the rows to be scored come without their
outcome. The figures are computed here, from the files of scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from measure import BenchError, Subject, median
from program import emptied, scratch, ss
from report import Section, note
from train import costs, figure, log_loss, probabilities_of, read_scores, trained

TARGET, SEPARATOR = "Target", b";"
GRADES, GRADE = Path("uci_student") / "student-mat.csv", "G3"
FOLDS, QUICK_SEARCH_FOLDS = 5, 2
# facts/tabular: the predecessor's pipeline on this table.
OLD_CPU = 57.0
MOST_CPU = 4.0


@dataclass(frozen=True)
class Limits:
    """What a cross-validated mean must reach: facts/tabular says what plain models do."""

    accuracy: float
    macro_f1: float
    log_loss: float


LIMITS = {"incremental": Limits(0.775, 0.69, 0.57), "search": Limits(0.78, 0.705, 0.55)}


@dataclass(frozen=True)
class Original:
    """The table as bytes: a header, and rows of one line each that end in their outcome."""

    header: bytes
    rows: tuple[bytes, ...]

    @property
    def outcomes(self) -> list[str]:
        return [row.rpartition(SEPARATOR)[2].strip().decode() for row in self.rows]

    def write(self, path: Path, places: list[int], blind: bool = False) -> Path:
        """Some of the rows in the original's format; `blind` without their outcome."""
        lines = [self.header, *(self.rows[place] for place in places)]
        if blind:
            lines = [line.rpartition(SEPARATOR)[0] + b"\n" for line in lines]
        path.write_bytes(b"".join(lines))
        return path


@dataclass
class Figures:
    """Of each fold."""

    accuracy: list[float] = field(default_factory=list)
    macro_f1: list[float] = field(default_factory=list)
    log_loss: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What the parts share."""

    section: Section
    real: Path
    work: Path
    repeats: int
    quick: bool

    @property
    def table(self) -> Path:
        return self.real / "uci697" / "data.csv"

    @property
    def workspace(self) -> Path:
        return self.work / "ss"


def measure_uci(real: Path | None, data: Path, repeats: int, quick: bool) -> Section:
    """Everything that is promised about the two tables; skipped where they are not."""
    section = Section("uci")
    if real is None or not (real / "uci697" / "data.csv").is_file():
        section.skipped("uci", "STUDENTSUCCESS_REAL_DATA does not name a folder with uci697/data.csv")
        return section
    with scratch(data) as work:
        bench = Bench(section, real, work, repeats, quick)
        section.attempt("one training", partial(_train_once, bench))
        section.attempt("incremental", partial(_validate, bench, "incremental", repeats, FOLDS))
        section.attempt("search", partial(_validate, bench, "search", 1, QUICK_SEARCH_FOLDS if quick else FOLDS))
        section.attempt("grades", partial(_grades, bench))
    return section


def _training(bench: Bench, source: Path, target: str, *more: str) -> Subject:
    return Subject(
        "ss train",
        lambda: ss(
            "train", "local", "--data", source, "--target", target, *more,
            "--name", "uci", "-w", bench.workspace, "-f", "json",
        ),
        before=partial(_afresh, bench.workspace),
    )  # fmt: skip


def _afresh(folder: Path) -> None:
    emptied(folder)


def _train_once(bench: Bench) -> None:
    """The first run may compile; the predecessor's figure knows no such run either."""
    note(f"uci: ss, one training on the whole table, {bench.repeats} times after a first one")
    subject = _training(bench, bench.table, TARGET)
    subject.run()
    samples = {"one training": [subject.run() for _ in range(bench.repeats)]}
    bench.section.keep(samples)
    cpu = median([one.cpu for one in samples["one training"]])
    figure(bench.section, "one training, CPU seconds with start-up", cpu, most=MOST_CPU)
    bench.section.shown("the predecessor's CPU over it", f"{OLD_CPU / cpu:.0f}x ({OLD_CPU:g} s)", OLD_CPU / cpu)
    costs(bench.section, samples)


def _validate(bench: Bench, algorithm: str, repeats: int, folds: int) -> None:
    """Means over folds that hold each class in its share, the same in every run of the bench."""
    from sklearn.model_selection import StratifiedKFold

    original, found = _original(bench.table), Figures()
    outcomes = original.outcomes
    for repeat in range(repeats):
        note(f"uci: {algorithm}, {folds} of {FOLDS} folds, {repeat + 1} of {repeats}")
        splits = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(outcomes, outcomes)
        for learned, held in islice(splits, folds):
            _fold(bench, original, algorithm, (learned.tolist(), held.tolist()), found)
    limits, judged = LIMITS[algorithm], folds == FOLDS
    for name in ("accuracy", "macro_f1"):
        values = getattr(found, name)
        label = f"{algorithm}: {name.replace('_f1', '-F1')}, mean of {len(values)}"
        figure(bench.section, label, sum(values) / len(values), least=getattr(limits, name), judged=judged)
    mean = sum(found.log_loss) / len(found.log_loss)
    label = f"{algorithm}: log-loss, mean of {len(found.log_loss)}"
    figure(bench.section, label, mean, most=limits.log_loss, judged=judged)


def _original(path: Path) -> Original:
    header, *rows = path.read_bytes().splitlines(keepends=True)
    return Original(header, tuple(rows))


def _fold(bench: Bench, original: Original, algorithm: str, split: tuple[list[int], list[int]], found: Figures) -> None:
    learned, held = split
    source = original.write(bench.work / "learn.csv", learned)
    blind = original.write(bench.work / "held.csv", held, blind=True)
    scores = bench.work / "scores.csv"
    sample = _training(bench, source, TARGET, "--algorithm", algorithm, "--refit").run()
    bench.section.keep({f"train, {algorithm}": [sample]})
    score = Subject(
        "ss score",
        lambda: ss("score", blind, "-m", "uci", "-o", scores, "-w", bench.workspace, "-f", "json"),
        before=partial(scores.unlink, missing_ok=True),
    )
    bench.section.keep({f"score, {algorithm}": [score.run()]})
    outcomes = original.outcomes
    _judge(scores, [outcomes[place] for place in held], found)


def _judge(scores: Path, truth: list[str], found: Figures) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    table = read_scores(scores)
    name = f"predicted_{TARGET}"
    if name not in table.column_names or table.num_rows != len(truth):
        raise BenchError(f"{scores.name}: {table.num_rows} rows of {len(truth)}, columns {table.column_names}")
    predicted, classes = table.column(name).to_pylist(), sorted(set(truth))
    found.accuracy.append(float(accuracy_score(truth, predicted)))
    found.macro_f1.append(float(f1_score(truth, predicted, average="macro")))
    found.log_loss.append(log_loss(probabilities_of(table, classes), classes, truth))


def _grades(bench: Bench) -> None:
    """A number as target: an honest figure beside that of the plain alternatives."""
    source = bench.real / GRADES
    if not source.is_file():
        bench.section.skipped("grades", f"no {GRADES.as_posix()} in the folder of real data")
        return
    said = trained(_training(bench, source, GRADE).run())
    bench.section.shown(f"{GRADE}: R² of the rows held out", f"{said.metrics['r2']:.3f}", said.metrics["r2"])
    for name, metrics in said.baseline.items():
        bench.section.shown(f"{GRADE}: R² of the baseline `{name}`", _r2(metrics), metrics.get("r2"))


def _r2(metrics: Any) -> str:
    value = metrics.get("r2")
    return "none" if value is None else f"{value:.3f}"
