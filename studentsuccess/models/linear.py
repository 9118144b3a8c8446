"""Our linear model at work: typed batches in, probabilities and exact reasons out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.rowhash import as_codes, raw_values
from studentsuccess.models.design import Design
from studentsuccess.models.encode import NONE, put_codes, put_numbers
from studentsuccess.models.gather import as_texts
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.predictor import Contributions, Predictions
from studentsuccess.models.roles import Feature
from studentsuccess.models.softmax import Codes, Doubles, Index, Singles, contribute, predict
from studentsuccess.models.vocabulary import bucket

_DESIGN = ("origin", "scale", "mean", "inverse", "starts", "table", "owner")
_OUTPUT = ("weights", "expected", "level", "spread", "half_width")


@dataclass(frozen=True)
class Coder:
    """A column of texts as codes of the training; a value that was never met has none and is counted.

    So has a value that was only met in the rows that were held out: nothing was learned of it.
    """

    known: Mapping[str, int]
    buckets: int
    weights: Index

    def put(self, column: pa.Array, into: Codes, place: int) -> int:
        codes, there, texts = as_codes(as_texts(column))
        ours = np.array([self._code(text) for text in texts.to_pylist()], np.int32)
        return put_codes(codes, there, ours, into, place)

    def _code(self, text: str) -> int:
        code = self.known.get(text)
        if code is None:
            code = len(self.known) + bucket(text, self.buckets) if self.buckets else NONE
        return code if code >= 0 and self.weights[code] >= 0 else NONE


@dataclass(frozen=True)
class IntegerCoder:
    """The same for whole numbers, which need no writing out."""

    values: Index
    order: Index

    def put(self, column: pa.Array, into: Codes, place: int) -> int:
        values, there = raw_values(column)
        found = np.full(len(values), NONE, np.int32)
        if len(self.values):
            near = np.searchsorted(self.values, values).clip(0, len(self.values) - 1)
            found = np.where(self.values[near] == values, self.order[near], NONE).astype(np.int32)
        missed = found == NONE
        if len(there):
            found[~there] = NONE
            missed &= there
        into[:, place] = found
        return int(missed.sum())


def coder(feature: Feature, weights: Index) -> Coder | IntegerCoder:
    """How the texts or codes of a feature are looked up; `weights` has the place of each code's weight, if any."""
    if feature.has_number:
        values = np.array([int(level) for level in feature.levels], np.int64)
        order = np.argsort(values)
        order = order[weights[order] >= 0]
        return IntegerCoder(values[order], order)
    hashing = feature.hashing
    return Coder({level: code for code, level in enumerate(feature.levels)}, hashing.buckets if hashing else 0, weights)


class LinearModel:
    """Averaged weights and the design they belong to."""

    def __init__(self, manifest: Manifest, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.manifest = manifest
        self._numbered = [feature for feature in manifest.features if feature.has_number]
        self._arrays = dict(arrays)
        places = np.split(self._arrays["table"], self._arrays["starts"][1:-1])
        coded = [feature for feature in manifest.features if feature.has_category]
        self._coded = [(feature, coder(feature, place)) for feature, place in zip(coded, places, strict=False)]

    @property
    def weights(self) -> Doubles:
        return self._arrays["weights"]

    @property
    def is_classifier(self) -> bool:
        return self.manifest.task == "classification"

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Probabilities or values, and how many codes of each feature the model never met."""
        numbers, codes, unseen = self._encode(batch)
        found = np.empty((batch.num_rows, self.weights.shape[1]))
        arrays = self._arrays
        predict(
            numbers, codes, arrays["mean"], arrays["inverse"], arrays["starts"], arrays["table"],
            self.weights, found, self.is_classifier,
        )  # fmt: skip
        if self.is_classifier:
            return Predictions(probabilities=found, unseen=unseen)
        values = found[:, 0] * self._one("spread") + self._one("level")
        half = self._one("half_width")
        if not np.isfinite(half):
            return Predictions(values=values, unseen=unseen)
        return Predictions(values=values, low=values - half, high=values + half, unseen=unseen)

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:
        """What each feature adds to the log-odds of a class (over the mean of all) or to the value.

        The average row adds nothing: for a linear model these are its SHAP values, with features as if independent.
        """
        numbers, codes, _ = self._encode(batch)
        arrays = self._arrays
        found = np.zeros((batch.num_rows, len(self.manifest.features)))
        wanted = np.asarray(classes, np.int64)
        contribute(
            numbers, codes, arrays["mean"], arrays["inverse"], arrays["starts"], arrays["table"], arrays["owner"],
            self.weights, wanted, found,
        )  # fmt: skip
        found -= self._average[:, wanted].T
        scale = self._unit
        names = tuple(feature.name for feature in self.manifest.features)
        return Contributions(names, found * scale, self._base[wanted] * scale)

    @property
    def _unit(self) -> float:
        """Numbers in their own unit; of two classes the whole log-odds, of which each is half above their mean."""
        if not self.is_classifier:
            return self._one("spread")
        return 2.0 if self.weights.shape[1] == 2 else 1.0

    @cached_property
    def _average(self) -> Doubles:
        """What each feature adds for the average row, to each output (features x outputs)."""
        pulls = (self._relative * self._arrays["expected"][:, None])[1:]
        found = np.zeros((len(self.manifest.features), self.weights.shape[1]))
        np.add.at(found, self._arrays["owner"][1:], pulls)
        return found

    @property
    def _relative(self) -> Doubles:
        """Weights over the mean of all classes, since only differences matter."""
        several = self.weights.shape[1] > 1
        return self.weights - self.weights.mean(1, keepdims=True) if several else self.weights

    @cached_property
    def _base(self) -> Doubles:
        bias: Doubles = self._relative[0] + self._average.sum(0)
        return bias

    def _one(self, name: str) -> float:
        return float(self._arrays[name][0])

    def _encode(self, batch: pa.RecordBatch) -> tuple[Singles, Codes, dict[str, int]]:
        numbers = np.empty((batch.num_rows, len(self._numbered)), np.float32)
        for place, feature in enumerate(self._numbered):
            values, there = raw_values(batch.column(feature.name))
            origin, scale = self._arrays["origin"][place], self._arrays["scale"][place]
            put_numbers(values, there, float(origin), float(scale), numbers, place)
        codes = np.empty((batch.num_rows, len(self._coded)), np.int32)
        unseen: dict[str, int] = {}
        for place, (feature, look_up) in enumerate(self._coded):
            if missed := look_up.put(batch.column(feature.name), codes, place):
                unseen[feature.name] = missed
        return numbers, codes, unseen


def arrays_of(
    design: Design, weights: Doubles, expected: Doubles, level: float, spread: float, half_width: float
) -> dict[str, npt.NDArray[Any]]:
    """All that a linear model is made of, beside its manifest."""
    found = {name: np.ascontiguousarray(getattr(design, name)) for name in _DESIGN}
    outputs = (weights, expected, np.array([level]), np.array([spread]), np.array([half_width]))
    return found | {name: np.ascontiguousarray(value) for name, value in zip(_OUTPUT, outputs, strict=True)}
