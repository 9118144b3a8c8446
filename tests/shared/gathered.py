"""Tables made of arrays, gathered as a training gathers them, in pieces of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column
from studentsuccess.models.design import Design, Facts, build
from studentsuccess.models.gather import Gatherer
from studentsuccess.models.incremental import measure
from studentsuccess.models.labels import Target, study
from studentsuccess.models.roles import Role
from studentsuccess.models.split import Split
from studentsuccess.models.store import Positions, Rows, RowStore

KINDS: tuple[tuple[Any, Kind], ...] = (
    (pa.types.is_boolean, Kind.BOOLEAN),
    (pa.types.is_integer, Kind.INTEGER),
    (pa.types.is_floating, Kind.DECIMAL),
    (pa.types.is_date32, Kind.DATE),
    (pa.types.is_timestamp, Kind.TIME),
)


def kind_of(column: pa.Array) -> Kind:
    return next((kind for fits, kind in KINDS if fits(column.type)), Kind.LABEL)


def pieces(batch: pa.RecordBatch, step: int) -> list[pa.RecordBatch]:
    """The batch cut up; each piece owns its memory and its dictionaries, as a block of a file does."""
    found = []
    for first in range(0, batch.num_rows, step):
        piece = batch.slice(first, step)
        columns = [piece.column(name) for name in piece.schema.names]
        own = [
            pa.array(column.to_pylist(), pa.string()).dictionary_encode() if kind_of(column) is Kind.LABEL else column
            for column in columns
        ]
        found.append(pa.record_batch(own, piece.schema.names))
    return found


def gathered(
    path: Path,
    columns: Mapping[str, pa.Array],
    target: str,
    *,
    keys: Sequence[str] = (),
    types: Mapping[str, Role] | None = None,
    step: int = 1 << 20,
) -> Gatherer:
    """The columns as rows on disk, `step` of them at a time."""
    batch = pa.record_batch(dict(columns))
    layout = [Column(name, kind_of(batch.column(name))) for name in batch.schema.names]
    with Gatherer(path, layout, target, keys, types or {}) as found:
        for piece in pieces(batch, step):
            found.put(piece)
    return found


def rows_of(store: RowStore) -> Rows:
    """Everything that a store holds."""
    return np.concatenate(list(store.scan()))


@dataclass(frozen=True)
class Prepared:
    """All that stands between a table and a learner."""

    gatherer: Gatherer
    store: RowStore
    split: Split
    target: Target
    facts: dict[str, Facts]
    design: Design

    def training(self, rows: Rows) -> Positions:
        return np.flatnonzero(np.isfinite(rows["target"]) & ~self.split.held_out(rows["key"]))

    def role(self, name: str) -> Role:
        return next(feature.role for feature in self.design.features if feature.name == name)


def prepared(
    path: Path,
    columns: Mapping[str, pa.Array],
    target: str = "y",
    *,
    types: Mapping[str, Role] | None = None,
    step: int = 1 << 20,
    share: float = 0.2,
) -> Prepared:
    """A table gathered, split, measured and designed as `ss train local` does it."""
    gatherer = gathered(path, columns, target, types=types, step=step)
    store, split = gatherer.store(), Split(share)
    found = study(store, gatherer.target, split, "auto")

    def training(rows: Rows) -> Positions:
        return np.flatnonzero(np.isfinite(rows["target"]) & ~split.held_out(rows["key"]))

    facts = measure(store, gatherer.books, training)
    design = build(gatherer.books, facts, int(found.training.sum()), types or {})
    return Prepared(gatherer, store, split, found, facts, design)
