"""A searched model at work: a batch in, predictions and reasons out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from studentsuccess.models.manifest import Manifest
from studentsuccess.models.pipeline_inputs import Floats, Inputs
from studentsuccess.models.pipeline_reasons import Member, members
from studentsuccess.models.predictor import Contributions, Predictions

# Names in the manifest's `extra`: half the width of a regression's 90% interval, and what each feature of each member
# adds for the average row.
HALF_WIDTH, AVERAGE = "half_width", "average"


@dataclass(frozen=True)
class SearchModel:
    """A fitted pipeline with its manifest. Nothing of it changes when it predicts, so threads may share it."""

    manifest: Manifest
    pipeline: Any

    @cached_property
    def inputs(self) -> Inputs:
        return Inputs.of(self.manifest.features)

    @cached_property
    def _members(self) -> tuple[Member, ...]:
        return members(self.pipeline, self.inputs, self.manifest.extra.get(AVERAGE))

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        encoded = self.inputs.encode(batch)
        if self.manifest.task == "regression":
            return self._values(encoded.matrix, dict(encoded.unseen))
        found = predicted(self.pipeline, encoded.matrix, len(self.manifest.classes))
        return Predictions(probabilities=found, unseen=encoded.unseen)

    def _values(self, matrix: Floats, unseen: dict[str, int]) -> Predictions:
        values = predicted(self.pipeline, matrix, 1)[:, 0]
        half = self.manifest.extra.get(HALF_WIDTH)
        if half is None:
            return Predictions(values=values, unseen=unseen)
        return Predictions(values=values, low=values - float(half), high=values + float(half), unseen=unseen)

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:
        """Amounts and base of a row add up to its score: a value, or log-odds (see `pipeline_reasons`)."""
        matrix = self.inputs.encode(batch).matrix
        wanted = np.asarray(classes, np.int64)
        amounts, base = np.zeros((len(matrix), len(self.inputs.features))), np.zeros(len(matrix))
        for member in self._members:
            its_amounts, its_base = member.contribute(matrix, wanted)
            amounts += member.weight * its_amounts
            base += member.weight * its_base
        return Contributions(tuple(feature.name for feature in self.inputs.features), amounts, base)


def extra_of(pipeline: Any, inputs: Inputs, learned: Floats, half_width: float | None) -> dict[str, Any]:
    """What a model needs beside its pipeline: plain JSON values for the manifest's `extra`."""
    average = [member.average_of(learned) for member in members(pipeline, inputs, None)]
    return {HALF_WIDTH: half_width, AVERAGE: average}


def predicted(estimator: Any, matrix: Floats, outputs: int) -> Floats:
    """Rows x outputs: every class has its column, also one that the estimator never met; numbers have one."""
    if not len(matrix):
        return np.zeros((0, outputs))
    with one_thread():
        if not hasattr(estimator, "classes_"):
            return np.asarray(estimator.predict(matrix), np.float64).reshape(-1, 1)
        found = np.zeros((len(matrix), outputs))
        found[:, np.asarray(estimator.classes_, np.int64)] = estimator.predict_proba(matrix)
    return found


def one_thread() -> AbstractContextManager[object]:
    """One OpenMP thread for what the calling thread does. Workers are threads of ours: each with more would fight."""
    return _threads().limit(limits=1, user_api="openmp")  # type: ignore[no-any-return]


@cache
def _threads() -> Any:
    """To look for the libraries takes milliseconds; they are all loaded before the first estimator exists."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
