"""A wide table with a known law: rows of 20 numbers, 16 categories and one of three outcomes, of any size.

The law is fixed and only the rows follow the seed, so that a table of another seed shows what a model has understood.
It holds products of numbers, which no linear model can learn, and chance, which no model can: `Facts.bayes` is the
log-loss of the law itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

CHUNK = 100_000
LAW_SEED = 5
LEVELS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 25, 30, 40, 55, 70)
# From this many levels on a few are common and most are rare, as with postcodes and occupations.
UNEVEN, EXPONENT = 20, 1.5
PRODUCTS = ((0, 1), (2, 3), (4, 5), (6, 7))
NULLS, NULL_EVERY = 0.03, 5
LINEAR, CATEGORY, PRODUCT = 0.35, 0.4, 0.45

ID, TARGET = "id", "outcome"
NUMBERS = tuple(f"n{at:02d}" for at in range(20))
CATEGORIES = tuple(f"k{at:02d}" for at in range(len(LEVELS)))
COLUMNS = (ID, *NUMBERS, *CATEGORIES, TARGET)
CLASSES = ("fail", "pass", "withdrawn")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What is known about a table: how it was made, how often each class is there, and the best log-loss there is."""

    rows: int
    seed: int
    generator: str
    counts: tuple[int, ...]
    bayes: float


def write_wide(path: Path, rows: int, seed: int) -> Facts:
    """Write `rows` rows below a header, and what is known about them beside it (see `facts_path`)."""
    law, rng = _Law(), np.random.default_rng(seed)
    counts, surprise = np.zeros(len(CLASSES), np.int64), 0.0
    with path.open("wb") as sink, pacsv.CSVWriter(sink, SCHEMA, write_options=_UNQUOTED) as writer:
        for first in range(0, rows, CHUNK):
            chunk = law.chunk(rng, first, min(CHUNK, rows - first))
            writer.write_batch(chunk.batch)
            counts += np.bincount(chunk.outcome, minlength=len(CLASSES))
            surprise -= float(np.log(chunk.likelihood).sum())
    facts = Facts(rows, seed, generator_digest(), tuple(counts.tolist()), surprise / rows)
    facts_path(path).write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
    return facts


def facts_path(path: Path) -> Path:
    """Where the facts stand: `x.csv` has them in `x.json`."""
    return path.with_suffix(".json")


def read_facts(path: Path) -> Facts:
    """The facts beside a table."""
    found = json.loads(facts_path(path).read_text(encoding="utf-8"))
    return Facts(**{**found, "counts": tuple(found["counts"])})


def generator_digest() -> str:
    """Changes with this file, so that a kept table is made again when the generator is another one."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def ids(first: int, count: int) -> Ints:
    """The ids of some rows: different below 2^32 rows (an odd factor is a permutation), and in no order."""
    ordinals = np.arange(first, first + count, dtype=np.uint64)
    return ((ordinals * np.uint64(2654435761)) % np.uint64(2**32)).astype(np.int64)


SCHEMA = pa.schema(
    [(ID, pa.int64())]
    + [(name, pa.float64()) for name in NUMBERS]
    + [(name, pa.string()) for name in (*CATEGORIES, TARGET)]
)
_UNQUOTED = pacsv.WriteOptions(quoting_style="none", quoting_header="none")


@dataclass(frozen=True)
class _Chunk:
    """Some rows, the class of each, and how likely that class was."""

    batch: pa.RecordBatch
    outcome: Ints
    likelihood: Floats


class _Law:
    """How an outcome follows from its row."""

    def __init__(self) -> None:
        rng = np.random.default_rng(LAW_SEED)
        width = len(CLASSES)
        self._linear = rng.normal(0, LINEAR, (len(NUMBERS), width))
        self._levels = [rng.normal(0, CATEGORY, (levels, width)) for levels in LEVELS]
        self._products = rng.normal(0, PRODUCT, (len(PRODUCTS), width))
        self._mean = rng.uniform(-20, 200, len(NUMBERS))
        self._spread = rng.uniform(0.5, 40, len(NUMBERS))

    def chunk(self, rng: np.random.Generator, first: int, size: int) -> _Chunk:
        standard = rng.normal(size=(size, len(NUMBERS)))
        codes = [_draw_codes(rng, levels, size) for levels in LEVELS]
        outcome, likelihood = _drawn(rng, self._logits(standard, codes))
        columns: list[Any] = [pa.array(ids(first, size))]
        columns += [self._number(rng, at, standard[:, at]) for at in range(len(NUMBERS))]
        columns += [_texts(_names(at), found) for at, found in enumerate(codes)]
        columns += [_texts(CLASSES, outcome)]
        return _Chunk(pa.RecordBatch.from_arrays(columns, schema=SCHEMA), outcome, likelihood)

    def _logits(self, standard: Floats, codes: Sequence[Ints]) -> Floats:
        logits: Floats = standard @ self._linear
        for (one, other), weights in zip(PRODUCTS, self._products, strict=True):
            logits += (standard[:, one] * standard[:, other])[:, None] * weights
        for found, levels in zip(codes, self._levels, strict=True):
            logits += levels[found]
        return logits

    def _number(self, rng: np.random.Generator, at: int, standard: Floats) -> pa.Array:
        values = np.round(standard * self._spread[at] + self._mean[at], 3 if at % 2 else 2)
        return pa.array(values, mask=None if at % NULL_EVERY else rng.random(len(values)) < NULLS)


def _draw_codes(rng: np.random.Generator, levels: int, size: int) -> Ints:
    if levels < UNEVEN:
        return rng.integers(0, levels, size)
    return np.minimum(rng.zipf(EXPONENT, size) - 1, levels - 1)


def _drawn(rng: np.random.Generator, logits: Floats) -> tuple[Ints, Floats]:
    """A class for each row, and how likely it was."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely = odds / odds.sum(axis=1, keepdims=True)
    passed = rng.random(len(likely))[:, None] > likely.cumsum(axis=1)
    outcome = np.minimum(passed.sum(axis=1), len(CLASSES) - 1)
    return outcome, np.take_along_axis(likely, outcome[:, None], axis=1)[:, 0]


def _names(at: int) -> tuple[str, ...]:
    return tuple(f"c{at}_{level}" if level % 2 else f"lev{level}x" for level in range(LEVELS[at]))


def _texts(names: Sequence[str], codes: Ints) -> pa.Array:
    return pa.array(list(names), pa.string()).take(pa.array(codes))
