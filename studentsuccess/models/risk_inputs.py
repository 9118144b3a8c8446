"""Feature tables as matrices: one column a number, an ordered grade or a category's value, learned on training rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
# Texts with an order of their own; what begins with a number, as `20-30%` does, is ordered by it.
ORDERS = {
    "education": (
        "No Formal quals",
        "Lower Than A Level",
        "A Level or Equivalent",
        "HE Qualification",
        "Post Graduate Qualification",
    ),
    "age_band": ("0-35", "35-55", "55<="),
}
LEADING_NUMBER = "deprivation"
LEAST_ROWS = 20


@dataclass(frozen=True)
class Part:
    """One column of the matrix: whose feature, which value of a category it stands for, and what is typical of it.

    The typical value stands where nothing could be known yet (NaN in a table), so that such a row is neither suspected
    nor cleared. A value that others have and this row has not is null in a table, and NaN in the matrix.
    """

    feature: str
    level: str | None = None
    typical: float = 0.0

    @property
    def name(self) -> str:
        return self.feature if self.level is None else f"{self.feature}={self.level}"


@dataclass(frozen=True)
class Inputs:
    """The columns of one week's model."""

    parts: tuple[Part, ...]

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(part.feature for part in self.parts)

    def matrix(self, table: pa.Table) -> Floats:
        """Rows x columns; missing is NaN, and a value that training never met is none of the categories."""
        found = np.full((table.num_rows, len(self.parts)), np.nan)
        for place, part in enumerate(self.parts):
            column = table.column(part.feature)
            found[:, place] = np.where(_is_open(column), part.typical, _column(column, part))
        return found


def learn(table: pa.Table, features: Sequence[str]) -> Inputs:
    """The columns that the training rows ask for; what is constant or empty in them is left out."""
    found = []
    for part in (part for feature in features for part in _parts(feature, table.column(feature))):
        values = _column(table.column(part.feature), part)
        if _varies(values):
            found.append(replace(part, typical=float(np.nanmean(values))))
    return Inputs(tuple(found))


def _parts(feature: str, column: pa.ChunkedArray) -> list[Part]:
    if not _is_text(column) or feature in ORDERS or feature == LEADING_NUMBER:
        return [Part(feature)]
    counts = pc.value_counts(pc.drop_null(column.combine_chunks())).to_pylist()
    levels = sorted(str(one["values"]) for one in counts if one["counts"] >= LEAST_ROWS)
    return [Part(feature, level) for level in (levels[:1] if len(levels) == len(counts) == 2 else levels)]


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _is_open(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where nothing could be known yet."""
    if not pa.types.is_floating(column.type):
        return np.zeros(len(column), bool)
    return np.asarray(pc.fill_null(pc.is_nan(column), False).to_numpy(), bool)


def ordered(feature: str, column: pa.ChunkedArray) -> Floats | None:
    """The values of a column as numbers with an order; nothing where they are mere names."""
    named = _is_text(column) and feature not in ORDERS and feature != LEADING_NUMBER
    return None if named else _column(column, Part(feature))


def _column(column: pa.ChunkedArray, part: Part) -> Floats:
    if part.level is not None:
        equal = pc.cast(pc.equal(column, part.level), pa.float64())
        return np.asarray(equal.to_numpy(), np.float64)
    if not _is_text(column):
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(), np.float64)
    order = ORDERS.get(part.feature)
    texts = column.to_pylist()
    if order is not None:
        places = {text: float(place) for place, text in enumerate(order)}
        return np.array([places.get(text, np.nan) for text in texts])
    return np.array([_leading(text) for text in texts])


def _leading(text: str | None) -> float:
    found = re.match(r"\s*(\d+)", text or "")
    return float(found[1]) if found else np.nan


def _varies(column: Floats) -> bool:
    present = column[~np.isnan(column)]
    return len(present) > 0 and (bool(np.ptp(present) > 0) or len(present) < len(column))
