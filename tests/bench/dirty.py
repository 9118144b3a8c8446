"""A dirty table of any size with a known truth: which lines must be rejected, and what must remain.

Streamed in chunks and the same for the same rows and seed, so that tests and benchmarks share one definition of exact.
Some records are two physical lines long: whoever counts records instead of lines reports wrong line numbers.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

CHUNK = 100_000
BAD_VALUES, RAGGED, DUPLICATES = 0.0025, 0.001, 0.005
NULLS = 0.03
TWO_LINES = 0.01
# Earlier lines kept for repeats, so that a repeat can stand any distance from its original in bounded memory.
REMEMBERED, REMEMBERED_PER_CHUNK = 20_000, 2_000

COLUMNS = (
    "id", "programme", "age", "credits", "logins", "late_days", "points",
    "gpa", "note", "hours", "balance", "region", "rate", "status",
)  # fmt: skip
INTEGERS = ("age", "credits", "logins", "late_days", "points")
DECIMALS = ("gpa", "hours", "balance", "rate")
NUMBERS = ("id", *INTEGERS, *DECIMALS)

NULL_TEXTS = ("", "NA", "?", "NULL")
# Each of them is bad in an integer and in a decimal column alike, so that none of them moves the type of a column.
BAD_TEXTS = ("twelve", "1_000", "0x1F", "NaN", "inf", "-inf", "12abc", " ", "1.2.3", "--5", '"1,5"', "n/a")
BAD_DECIMALS = (*BAD_TEXTS, "1e999", "-1e999")
WORDS = {
    "programme": ("Biology", "Computer Science", "Économie", "History", "Law", "物理学", "Nursing"),
    "region": ("North", "South", "East", "West", '"Wales, Mid"', "Île-de-France"),
    "status": ("active", "withdrawn", "deferred", "graduated"),
}
# What stands before and after a running number in the free text, as CSV.
PLAIN_NOTES = (
    ("met adviser on visit ", ""),
    ("spoke of café plans no ", " später"),
    ('"asked for help, twice, case ', '"'),
    ('"said ""I am fine"" in call ', '"'),
    ('"""', '"" was all they wrote, sadly"'),
    ("☎ 学生 ", " ✓"),
)
TWO_LINE_NOTES = (
    ('"first line of note ', '\nsecond line, with a comma"'),
    ('"quoted ""word"" ', '\n""again"""'),
    ('"', '\n12,34,naïve"'),
)

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass
class Totals:
    """The books that must come out, and over the kept rows: values present per number column, sums of the integers."""

    rows: int = 0
    seed: int = 0
    read: int = 0
    kept: int = 0
    rejected: int = 0
    duplicate: int = 0
    present: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NUMBERS, 0))
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("id", *INTEGERS), 0))
    generator: str = ""


@dataclass(frozen=True, order=True)
class Rejected:
    """One line that must be rejected. `kind` is `value` or `ragged`; a ragged line has no column."""

    line: int
    raw: str
    kind: str
    column: str


def write_dirty(path: Path, truth_path: Path, rows: int, seed: int) -> None:
    """Write `rows` records below a header, every reject to `truth_path`, the totals beside it (see `totals_path`)."""
    rng = np.random.default_rng(seed)
    totals = Totals(rows=rows, seed=seed, generator=generator_digest())
    remembered: list[str] = []
    line = 2
    with path.open("wb") as sink, truth_path.open("w", encoding="utf-8", newline="") as letters:
        sink.write((",".join(COLUMNS) + "\n").encode())
        truth = csv.writer(letters, lineterminator="\n")
        truth.writerow(("line", "raw", "kind", "column"))
        for first in range(0, rows, CHUNK):
            chunk = _Chunk(rng, first, min(CHUNK, rows - first))
            records = chunk.records(remembered)
            lines = _start_lines(records, line)
            truth.writerows(chunk.rejects(records, lines))
            text = "\n".join(records) + "\n"
            sink.write(text.encode())
            line += text.count("\n")
            chunk.count(totals)
            _remember(remembered, records, chunk.clean, rng)
    totals_path(truth_path).write_text(json.dumps(asdict(totals), indent=1) + "\n", encoding="utf-8")


def totals_path(truth_path: Path) -> Path:
    """Where the totals stand: `x.truth.csv` has them in `x.truth.json`."""
    return truth_path.with_suffix(".json")


def read_totals(truth_path: Path) -> Totals:
    """The totals beside a truth file."""
    return Totals(**json.loads(totals_path(truth_path).read_text(encoding="utf-8")))


def read_truth(truth_path: Path) -> list[Rejected]:
    """Every line that must be rejected, in the order of the file."""
    with truth_path.open(encoding="utf-8", newline="") as source:
        return [Rejected(int(r["line"]), r["raw"], r["kind"], r["column"]) for r in csv.DictReader(source)]


def generator_digest() -> str:
    """Changes with this file, so that a kept table is made again when the generator is another one."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


class _Chunk:
    """One stretch of records: first all clean, then with the planted faults."""

    def __init__(self, rng: np.random.Generator, first: int, size: int) -> None:
        self._rng, self._size = rng, size
        fate = rng.random(size)
        fate[: 1 if first == 0 else 0] = 1.0
        self.bad: Mask = fate < BAD_VALUES
        self.ragged: Mask = (fate >= BAD_VALUES) & (fate < BAD_VALUES + RAGGED)
        self.repeat: Mask = (fate >= BAD_VALUES + RAGGED) & (fate < BAD_VALUES + RAGGED + DUPLICATES)
        self.clean: Mask = ~(self.bad | self.ragged | self.repeat)
        self._ids = _scattered(np.arange(first, first + size, dtype=np.uint64))
        self._numbers = _draw_integers(rng, size)
        self._missing = {name: rng.random(size) < NULLS for name in NUMBERS if name != "id"}
        self._blamed = rng.integers(0, len(NUMBERS), size)

    def records(self, remembered: Sequence[str]) -> list[str]:
        """The records as text, without their line ends."""
        texts = self._texts()
        for index, name in enumerate(NUMBERS):
            texts[name] = self._spoiled(texts[name], name, self.bad & (self._blamed == index))
        joined: list[str] = pc.binary_join_element_wise(*(texts[name] for name in COLUMNS), ",").to_pylist()
        for row in np.flatnonzero(self.ragged).tolist():
            joined[row] = self._torn([str(texts[name][row]) for name in COLUMNS])
        self._repeat_into(joined, remembered)
        return joined

    def rejects(self, records: Sequence[str], lines: Ints) -> list[tuple[int, str, str, str]]:
        return [
            (int(lines[row]), records[row], "value", NUMBERS[self._blamed[row]])
            if self.bad[row]
            else (int(lines[row]), records[row], "ragged", "")
            for row in np.flatnonzero(self.bad | self.ragged).tolist()
        ]

    def count(self, totals: Totals) -> None:
        totals.read += self._size
        totals.kept += int(self.clean.sum())
        totals.rejected += int((self.bad | self.ragged).sum())
        totals.duplicate += int(self.repeat.sum())
        for name in NUMBERS:
            present = self.clean & ~self._missing[name] if name in self._missing else self.clean
            totals.present[name] += int(present.sum())
            if name in totals.sums:
                values = self._ids if name == "id" else self._numbers[name]
                totals.sums[name] += int(values[present].sum())

    def _texts(self) -> dict[str, pa.Array]:
        texts = {name: self._with_nulls(values, name) for name, values in self._numbers.items()}
        texts |= {
            name: self._with_nulls(values, name) for name, values in _draw_decimals(self._rng, self._size).items()
        }
        texts |= {name: self._picked(words, self._size) for name, words in WORDS.items()}
        return texts | {"id": _as_text(self._ids), "note": self._notes()}

    def _picked(self, words: Sequence[str], count: int) -> pa.Array:
        return pa.array(list(words), pa.string()).take(pa.array(self._rng.integers(0, len(words), count)))

    def _with_nulls(self, values: npt.NDArray[Any], name: str) -> pa.Array:
        missing = self._missing[name]
        return _replaced(_as_text(values), missing, self._picked(NULL_TEXTS, int(missing.sum())))

    def _spoiled(self, texts: pa.Array, name: str, rows: Mask) -> pa.Array:
        words = BAD_DECIMALS if name in DECIMALS else BAD_TEXTS
        return _replaced(texts, rows, self._picked(words, int(rows.sum())))

    def _notes(self) -> pa.Array:
        notes = (*PLAIN_NOTES, *TWO_LINE_NOTES)
        which = self._rng.integers(0, len(PLAIN_NOTES), self._size)
        long = self._rng.random(self._size) < TWO_LINES
        which[long] = self._rng.integers(len(PLAIN_NOTES), len(notes), int(long.sum()))
        heads, tails = (pa.array([note[end] for note in notes], pa.string()).take(pa.array(which)) for end in (0, 1))
        return pc.binary_join_element_wise(heads, _as_text(self._rng.integers(1, 10**6, self._size)), tails, "")

    def _torn(self, fields: list[str]) -> str:
        """Too few or too many fields: cut at a random field, or up to three more at the end."""
        if self._rng.random() < 0.5:
            return ",".join(fields[: self._rng.integers(1, len(fields))])
        return ",".join([*fields, *["extra", "", '"more, text"'][: self._rng.integers(1, 4)]])

    def _repeat_into(self, records: list[str], remembered: Sequence[str]) -> None:
        """Put an earlier clean line into each row that is to repeat one: of this chunk or of long ago."""
        originals = np.flatnonzero(self.clean)
        for row in np.flatnonzero(self.repeat).tolist():
            if remembered and self._rng.random() < 0.5:
                records[row] = remembered[int(self._rng.integers(0, len(remembered)))]
            else:
                before = int(np.searchsorted(originals, row))
                if before == 0:
                    self.repeat[row], self.clean[row] = False, True
                    originals = np.flatnonzero(self.clean)
                    continue
                records[row] = records[originals[self._rng.integers(0, before)]]


def _scattered(ordinals: npt.NDArray[np.uint64]) -> Ints:
    """Different for different ordinals below 2^32 (an odd factor is a permutation), and in no order."""
    return ((ordinals * np.uint64(2654435761)) % np.uint64(2**32)).astype(np.int64)


def _draw_integers(rng: np.random.Generator, size: int) -> dict[str, Ints]:
    return {
        "age": rng.integers(16, 70, size),
        "credits": rng.integers(1, 25, size) * 15,
        "logins": rng.poisson(40, size).astype(np.int64),
        "late_days": rng.integers(-30, 60, size),
        "points": rng.integers(0, 10**12, size),
    }


def _draw_decimals(rng: np.random.Generator, size: int) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "gpa": np.round(rng.uniform(0, 4, size), 2),
        "hours": np.round(rng.gamma(2, 10, size), 1),
        "balance": np.round(rng.normal(0, 2_000, size), 2),
        "rate": np.round(rng.random(size), 6),
    }


def _as_text(values: npt.NDArray[Any]) -> pa.Array:
    return pc.cast(pa.array(values), pa.string())


def _replaced(texts: pa.Array, rows: Mask, words: pa.Array) -> pa.Array:
    return pc.replace_with_mask(texts, pa.array(rows), words)


def _start_lines(records: Sequence[str], first: int) -> Ints:
    """The physical line on which each record starts."""
    lengths = np.fromiter((record.count("\n") + 1 for record in records), np.int64, len(records))
    return first + np.cumsum(lengths) - lengths


def _remember(remembered: list[str], records: Sequence[str], clean: Mask, rng: np.random.Generator) -> None:
    """Keep some clean lines; when there are enough, new ones take the place of random old ones."""
    rows = np.flatnonzero(clean)
    for row in rng.choice(rows, min(REMEMBERED_PER_CHUNK, len(rows)), replace=False).tolist():
        if len(remembered) < REMEMBERED:
            remembered.append(records[row])
        else:
            remembered[rng.integers(0, REMEMBERED)] = records[row]
