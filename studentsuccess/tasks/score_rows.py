"""Batches of features into rows of results, in the workers: blind to the target, and every score a finite number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.grammar import Kind, convert, reason
from studentsuccess.core.layout import Fault, Verdict
from studentsuccess.core.rowhash import as_codes, raw_values
from studentsuccess.core.sinks import probability_field
from studentsuccess.errors import SsError
from studentsuccess.models.explain import of_used
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.predictor import Floats, Predictions, Predictor
from studentsuccess.tasks.score_input import NUMBERS, TEXTS, ScoreInput

# No column of a user's has a line end in its name.
ACTUAL = "\nactual"
# Reasons that are no fault of the data.
NOT_FINITE, NO_SCORE = "the score is not finite", "could not be scored"
UNKNOWN = -1
DECIMALS = 6


@dataclass
class Scorer:
    """The rules that a scoring stream applies: features in, results out. Workers share it."""

    model: Predictor
    given: ScoreInput
    reasons: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        features, faults = self._features(batch)
        try:
            found = self.model.predict(features)
            fields, arrays = zip(*self._columns(batch, features, found), strict=True)
        except (SsError, OSError, MemoryError):
            raise
        except Exception as problem:
            return self._could_not(batch, problem)
        with self._lock:
            self.unseen.update({name: count for name, count in found.unseen.items() if count})
        wrong = np.flatnonzero(~_finite(found))
        faults += [Fault(wrong, "", NOT_FINITE)] if len(wrong) else []
        return Verdict(pa.RecordBatch.from_arrays(list(arrays), schema=pa.schema(list(fields))), faults)

    def _features(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[Fault]]:
        """What the model may see: no target, and a feature that names the rows too as what it was in training."""
        features = batch.drop_columns([self.given.actual]) if self.given.actual else batch
        faults = []
        for one in self.given.told:
            kind = Kind.LABEL if one.kind in TEXTS else one.kind
            texts, place = batch.column(one.name), features.schema.get_field_index(one.name)
            typed = convert(texts, kind)
            features = features.set_column(place, one.name, typed.values)
            wrong = np.flatnonzero(typed.bad) if typed.bad is not None else ()
            faults += [Fault(np.array([row]), one.name, reason(texts[int(row)].as_py(), kind)) for row in wrong]
        return features, faults

    def _could_not(self, batch: pa.RecordBatch, problem: Exception) -> Verdict:
        """A batch that can't be scored is in the dead letters row by row, and the run has failed."""
        schema = self.schema()
        nothing = [pa.nulls(batch.num_rows, one.type) for one in schema]
        fault = Fault(np.arange(batch.num_rows), "", f"{NO_SCORE} ({type(problem).__name__})")
        return Verdict(pa.RecordBatch.from_arrays(nothing, schema=schema), [fault])

    def schema(self) -> pa.Schema:
        """The shape of the results: that of an empty batch's."""
        empty = pa.RecordBatch.from_pylist([], schema=self.given.layout.schema())
        features, _ = self._features(empty)
        return pa.schema([one for one, _ in self._columns(empty, features, self.model.predict(features))])

    def _columns(
        self, batch: pa.RecordBatch, features: pa.RecordBatch, found: Predictions
    ) -> Iterator[tuple[pa.Field, pa.Array]]:
        for name, shown in zip(self.given.ids, self.given.id_names, strict=True):
            yield pa.field(shown, pa.string()), batch.column(name)
        if found.probabilities is not None:
            yield from self._classes(found.probabilities)
        else:
            yield from self._values(found)
        if self.reasons:
            yield from self._reasons(features, found)
        if self.given.actual:
            actual = actual_of(batch.column(self.given.actual), self.model.manifest)
            yield pa.field(ACTUAL, pa.float64()), pa.array(actual, from_pandas=False)

    def _classes(self, likely: Floats) -> Iterator[tuple[pa.Field, pa.Array]]:
        manifest = self.model.manifest
        best = likely.argmax(1).astype(np.int32) if len(likely) else np.zeros(0, np.int32)
        labels = pa.DictionaryArray.from_arrays(pa.array(best), pa.array(manifest.classes, pa.string()))
        yield pa.field(f"predicted_{manifest.target}", labels.type), labels
        yield probability_field("confidence"), pa.array(likely[np.arange(len(best)), best])
        for place, label in enumerate(manifest.classes):
            yield probability_field(f"p_{label}"), pa.array(np.ascontiguousarray(likely[:, place]))

    def _values(self, found: Predictions) -> Iterator[tuple[pa.Field, pa.Array]]:
        target = self.model.manifest.target
        parts = {f"predicted_{target}": found.values, f"low_{target}": found.low, f"high_{target}": found.high}
        for name, values in parts.items():
            if values is not None:
                yield pa.field(name, pa.float64()), pa.array(np.round(values, DECIMALS))

    def _reasons(self, features: pa.RecordBatch, found: Predictions) -> Iterator[tuple[pa.Field, pa.Array]]:
        """The strongest reasons of each row, first the strongest: a feature and what it moved."""
        likely = found.probabilities
        wanted = likely.argmax(1) if likely is not None and len(likely) else np.zeros(features.num_rows, np.int64)
        amounts, _ = of_used(self.model, features, wanted.tolist())
        order = np.argsort(-np.abs(amounts), axis=1, kind="stable")[:, : self.reasons]
        names = pa.array([feature.name for feature in self.model.manifest.used], pa.string())
        for place in range(order.shape[1]):
            chosen = np.ascontiguousarray(order[:, place])
            texts = pa.DictionaryArray.from_arrays(pa.array(chosen.astype(np.int32)), names)
            yield pa.field(f"reason_{place + 1}", texts.type), texts
            effects = np.round(amounts[np.arange(len(chosen)), chosen], DECIMALS)
            yield pa.field(f"effect_{place + 1}", pa.float64()), pa.array(effects)


def _finite(found: Predictions) -> npt.NDArray[np.bool_]:
    if found.probabilities is not None:
        return np.asarray(np.isfinite(found.probabilities).all(1))
    assert found.values is not None
    return np.asarray(np.isfinite(found.values))


def actual_of(column: pa.Array, manifest: Manifest) -> Floats:
    """The truth for the metrics: a class by its place (-1: not one of the model's), a number as it is, NaN: missing."""
    codes, there, texts = as_codes(column)
    known = np.append(_truths(texts, manifest), np.nan)
    return np.where(there, known[codes], np.nan) if len(there) else known[codes]


def _truths(texts: pa.StringArray, manifest: Manifest) -> Floats:
    """What each text stands for. To a model of classes one that can't be read is a class that it never met."""
    classes, kind = manifest.classes, manifest.target_kind
    if kind in TEXTS:
        places = {label: place for place, label in enumerate(classes)}
        return np.array([places.get(text, UNKNOWN) for text in texts.to_pylist()], np.float64)
    typed = convert(texts, Kind.DECIMAL if kind in NUMBERS else kind).values
    raw, there = raw_values(typed)
    values = np.where(there, raw, np.nan) if len(there) else raw.astype(np.float64)
    return _by_value(values, classes, kind) if classes else values


def _by_value(values: Floats, classes: tuple[str, ...], kind: Kind) -> Floats:
    numbers = [float(label == "true") if kind is Kind.BOOLEAN else float(label) for label in classes]
    order = np.argsort(numbers)
    ranked = np.asarray(numbers)[order]
    found = np.searchsorted(ranked, values).clip(0, len(ranked) - 1)
    return np.where(ranked[found] == values, order[found], UNKNOWN).astype(np.float64)
