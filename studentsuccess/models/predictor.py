"""What every model can do once it is fitted, whatever library stands behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.models.manifest import Manifest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """One batch, predicted. Classes have probabilities (rows x classes, in the manifest's order), numbers a value.

    `unseen` counts per feature the present values that the model never met.
    """

    probabilities: Floats | None = None
    values: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None
    unseen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Contributions:
    """How much each feature moved each row's score (rows x features): log-odds of the predicted class, or the value."""

    names: tuple[str, ...]
    amounts: Floats
    base: Floats


class Predictor(Protocol):
    """A fitted model. Thread-safe, and it never changes."""

    @property
    def manifest(self) -> Manifest: ...

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """The batch has the manifest's features by name and of their kinds (text as text or as a dictionary)."""
        ...

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:
        """Exact for linear and tree models; `classes` is the class of interest of each row."""
        ...
