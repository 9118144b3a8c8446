"""From encoded rows to a fitted model and its honest figures, whatever the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studentsuccess.models.design import Design, Facts, build
from studentsuccess.models.incremental import measure
from studentsuccess.models.labels import Asked, Target, study
from studentsuccess.models.manifest import Holdout
from studentsuccess.models.roles import Feature, Role
from studentsuccess.models.split import Split
from studentsuccess.models.store import Positions, Rows, RowStore
from studentsuccess.tasks.train_data import Gathered

LEVEL = 0.9


@dataclass(frozen=True)
class Wanted:
    """What decides a fit, beside the rows."""

    task: Asked
    types: Mapping[str, Role]
    share: float
    epochs: int | None
    seed: int
    refit: bool
    trials: int
    cv: int


@dataclass(frozen=True)
class Study:
    """What is known before anything is fitted: the split, the target, and what each column is."""

    store: RowStore
    gathered: Gathered
    split: Split
    target: Target
    design: Design
    facts: Mapping[str, Facts]
    holdout: Holdout

    @property
    def rows(self) -> int:
        return int(self.target.training.sum())

    def training(self, rows: Rows) -> Positions:
        return training(rows, self.split)

    def held_out(self, rows: Rows) -> Positions:
        return np.flatnonzero(np.isfinite(rows["target"]) & self.split.held_out(rows["key"]))


@dataclass(frozen=True)
class Fit:
    """A fitted model: its figures on the hold-out, those of the baselines, and the files that it is made of."""

    features: tuple[Feature, ...]
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any]
    files: Mapping[str, bytes]
    extra: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    leaderboard: tuple[Any, ...] = field(default=())


def look(gathered: Gathered, wanted: Wanted) -> Study:
    """Split, target and columns; the rows that are held out have no say in scales and levels."""
    store, split = gathered.store, Split(wanted.share)
    target = study(store, gathered.gatherer.target, split, wanted.task)
    rows, held = int(target.training.sum()), int(target.held_out.sum()) + target.unknown
    books = gathered.gatherer.books
    facts = measure(store, books, lambda piece: training(piece, split))
    design = build(books, facts, rows, wanted.types)
    basis = f"id:{','.join(gathered.gatherer.keys)}" if gathered.gatherer.keys else "content"
    return Study(store, gathered, split, target, design, facts, Holdout(basis, wanted.share, held, target.digest))


def training(rows: Rows, split: Split) -> Positions:
    """The rows of a piece that may be learned from."""
    return np.flatnonzero(np.isfinite(rows["target"]) & ~split.held_out(rows["key"]))


def half_width(residuals: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """So wide that nine in ten of the rows that were only watched lie within (split conformal)."""
    if not len(residuals):
        return float("nan")
    rank = min(int(np.ceil((len(residuals) + 1) * LEVEL)), len(residuals))
    return float(np.sort(residuals)[rank - 1])
