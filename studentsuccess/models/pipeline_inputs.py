"""A batch as the numbers that a pipeline takes: the same code before training and before scoring, or they would drift.

Every feature is one column, or two where it is both a number and a code. Missing is NaN; a code is the position of its
text among the feature's levels, and all texts beyond them share the position behind the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.grammar import Kind
from studentsuccess.models.roles import Feature, Role

Floats = npt.NDArray[np.float64]
MICROSECONDS_OF_A_DAY = 86_400_000_000
# Forests compute in single precision and refuse what it can't hold; a square of this still fits a double.
LARGEST = 1e38


@dataclass(frozen=True)
class Encoded:
    """Rows x columns, and how many present values of each feature the model never met."""

    matrix: Floats
    unseen: Mapping[str, int]


@dataclass(frozen=True)
class Inputs:
    """The features that a pipeline sees, and which column of its matrix is whose: first all numbers, then all codes."""

    features: tuple[Feature, ...]

    @classmethod
    def of(cls, features: Sequence[Feature]) -> Inputs:
        return cls(tuple(feature for feature in features if feature.role is not Role.IGNORE))

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The features behind the number columns."""
        return tuple(place for place, feature in enumerate(self.features) if feature.has_number)

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """The features behind the code columns."""
        return tuple(place for place, feature in enumerate(self.features) if feature.has_category)

    @property
    def owners(self) -> tuple[int, ...]:
        """The feature of each column."""
        return self.numbers + self.codes

    @property
    def number_columns(self) -> list[int]:
        return list(range(len(self.numbers)))

    @property
    def code_columns(self) -> list[int]:
        return list(range(len(self.numbers), len(self.owners)))

    @property
    def only_code_columns(self) -> list[int]:
        """Codes of features that have no number beside them."""
        return [column for column in self.code_columns if not self.features[self.owners[column]].has_number]

    @cached_property
    def _levels(self) -> tuple[pa.Array, ...]:
        return tuple(_level_values(self.features[place]) for place in self.codes)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """The matrix of a batch, whose columns are found by name."""
        matrix = np.empty((batch.num_rows, len(self.owners)), np.float64)
        unseen = {feature.name: 0 for feature in self.features if feature.has_category}
        for column, place in enumerate(self.numbers):
            matrix[:, column] = _as_numbers(batch.column(self.features[place].name))
        for column, place, levels in zip(self.code_columns, self.codes, self._levels, strict=True):
            name = self.features[place].name
            matrix[:, column], unseen[name] = _as_codes(batch.column(name), levels)
        return Encoded(matrix, unseen)


def _level_values(feature: Feature) -> pa.Array:
    """The levels in the type that their column arrives in: to compare numbers is cheaper than to write them down."""
    levels = pa.array(feature.levels, pa.string())
    return levels.cast(pa.int64()) if feature.kind is Kind.INTEGER else levels


def _as_numbers(column: pa.Array) -> Floats:
    kind = column.type
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        values = _doubles(moments) / MICROSECONDS_OF_A_DAY
    elif pa.types.is_date(kind):
        values = _doubles(column.cast(pa.date32()).cast(pa.int32()))
    elif pa.types.is_boolean(kind):
        values = _doubles(column.cast(pa.int8()))
    else:
        values = _doubles(column)
    return np.clip(values, -LARGEST, LARGEST)


def _doubles(column: pa.Array) -> Floats:
    found: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _as_codes(column: pa.Array, levels: pa.Array) -> tuple[Floats, int]:
    """Positions among the levels, and how many present values are not among them."""
    if pa.types.is_dictionary(column.type) and column.dictionary.null_count == 0:
        places = pc.index_in(_like(column.dictionary, levels), value_set=levels).take(column.indices)
    else:
        flat = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        column = flat
        places = pc.index_in(_like(flat, levels), value_set=levels, skip_nulls=True)
    found: Floats = places.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if not places.null_count:
        return found, 0
    strange = np.asarray(pc.and_(places.is_null(), column.is_valid()).to_numpy(zero_copy_only=False), dtype=bool)
    return np.where(strange, float(len(levels)), found), int(strange.sum())


def _like(values: pa.Array, levels: pa.Array) -> pa.Array:
    return values if values.type == levels.type else values.cast(levels.type)
