"""What a model looks at, over many rows: what each feature adds to each row's score, summed up.

The amounts are Shapley values. For our linear model they are the interventional ones, against the average row of the
training: weight times value, less the same for that row. For trees they are computed from the trees alone. Either way a
row's amounts and the base, which is where an average row stands, add up to its score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.core.rowhash import as_codes, raw_values
from studentsuccess.models.gather import as_texts
from studentsuccess.models.predictor import Floats, Predictor
from studentsuccess.models.roles import Feature

Index = npt.NDArray[np.int64]
# Each class is a calculation of its own; of more than these the most expected ones are told.
MOST_CLASSES = 20
MOST_LEVELS = 8
# Rows at a time, so that whoever waits sees it move.
STEP = 256
NONE = -1
# A direction is looked for from tenth to tenth of the rows: finer, chance would have its say.
STEPS = 10
# What is smaller, beside the largest push, is the noise of adding up.
NOTHING = 1e-9
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Level:
    """What one code of a feature does on average, and to how many rows; no text means missing."""

    text: str | None
    rows: int
    effects: Mapping[str, float]


@dataclass(frozen=True)
class Importance:
    """How much a feature moves: the mean size of its push, over all outputs and for each.

    `trends` tells for numbers how steadily a higher value raises (1) or lowers (-1) an output.
    """

    name: str
    mean_abs: float
    share: float
    by_output: Mapping[str, float]
    trends: Mapping[str, float]
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Overview:
    """The features, the strongest first. The outputs are the classes, or the target alone."""

    rows: int
    outputs: tuple[str, ...]
    features: tuple[Importance, ...]


@dataclass(frozen=True)
class _View:
    """A feature's values in the sample: the steps of its numbers and the codes of its texts, missing ones as -1."""

    feature: Feature
    steps: Index | None
    codes: Index | None
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Pushes:
    """Summed up for one output, feature by feature: mean size, trend, and the mean of each code (missing last)."""

    sizes: tuple[float, ...]
    trends: tuple[float, ...]
    levels: tuple[Floats, ...]


def overview(model: Predictor, batch: pa.RecordBatch, smallest: int, advance: Advance = lambda _: None) -> Overview:
    """Importance over the rows of a batch. A code is told by itself only where at least `smallest` rows have it."""
    views = [_view(feature, batch.column(feature.name)) for feature in model.manifest.used]
    outputs = explained_outputs(model, batch)
    pushes = {name: _pushes(_amounts(model, batch, place, advance), views) for name, place in outputs.items()}
    sizes = np.array([one.sizes for one in pushes.values()]).reshape(len(outputs), -1).mean(0)
    total = float(sizes.sum()) or 1.0
    found = [
        Importance(
            view.feature.name,
            float(size),
            float(size) / total,
            {name: one.sizes[place] for name, one in pushes.items()},
            {name: one.trends[place] for name, one in pushes.items()} if view.steps is not None else {},
            _levels(view, {name: one.levels[place] for name, one in pushes.items()}, smallest),
        )
        for place, (view, size) in enumerate(zip(views, sizes, strict=True))
    ]
    return Overview(batch.num_rows, tuple(outputs), tuple(sorted(found, key=lambda one: -one.mean_abs)))


def explained_outputs(model: Predictor, batch: pa.RecordBatch) -> dict[str, int]:
    """The classes that are told, each with its place; a number is one output, named after the target."""
    classes = model.manifest.classes
    if not classes:
        return {model.manifest.target: 0}
    places = np.arange(len(classes))
    if len(classes) > MOST_CLASSES:
        likely = model.predict(batch).probabilities
        assert likely is not None
        places = np.sort(np.argsort(-likely.mean(0), kind="stable")[:MOST_CLASSES])
    return {classes[place]: int(place) for place in places}


def _amounts(model: Predictor, batch: pa.RecordBatch, output: int, advance: Advance) -> Floats:
    """Rows x features that are used, for one output."""
    parts = []
    for first in range(0, batch.num_rows, STEP):
        piece = batch.slice(first, STEP)
        parts.append(of_used(model, piece, [output] * piece.num_rows)[0])
        advance(piece.num_rows)
    return np.concatenate(parts)


def of_used(model: Predictor, batch: pa.RecordBatch, classes: Sequence[int]) -> tuple[Floats, Floats]:
    """The amounts of the features that the model sees, in the manifest's order, and each row's base."""
    found = model.contributions(batch, classes)
    places = [found.names.index(feature.name) for feature in model.manifest.used]
    return found.amounts[:, places], found.base


def _view(feature: Feature, column: pa.Array) -> _View:
    steps = _steps(numbers_of(column)) if feature.has_number else None
    if not feature.has_category:
        return _View(feature, steps, None, ())
    codes, texts = _codes(column)
    return _View(feature, steps, codes, texts)


def numbers_of(column: pa.Array) -> Floats:
    """As doubles, missing ones as NaN."""
    values, there = raw_values(column)
    found = values.astype(np.float64)
    if len(there):
        found[~there] = np.nan
    return found


def _codes(column: pa.Array) -> tuple[Index, tuple[str, ...]]:
    """Codes of the texts, missing ones as -1."""
    codes, there, texts = as_codes(as_texts(column))
    found = codes.astype(np.int64)
    if len(there):
        found[~there] = NONE
    return found, tuple(texts.to_pylist())


def _steps(values: Floats) -> Index:
    """Values in a few groups of about as many rows, from the lowest to the highest; equal ones stay together."""
    found = np.full(len(values), NONE, np.int64)
    there = ~np.isnan(values)
    if there.any():
        _, group, count = np.unique(values[there], return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - count / 2) / there.sum()
        found[there] = (middle * STEPS).astype(np.int64)[group]
    return found


def _pushes(amounts: Floats, views: Sequence[_View]) -> _Pushes:
    sizes = np.abs(amounts).mean(0)
    trends = [_trend(view.steps, amounts[:, place]) for place, view in enumerate(views)]
    levels = [_means(view, amounts[:, place]) for place, view in enumerate(views)]
    return _Pushes(tuple(sizes.tolist()), tuple(trends), tuple(levels))


def _trend(steps: Index | None, amounts: Floats) -> float:
    """How far the mean push gets from step to step, of the way that it goes: 1 where it only ever rises."""
    if steps is None or not (steps != NONE).any():
        return 0.0
    there = steps != NONE
    counts = np.bincount(steps[there])
    means = (np.bincount(steps[there], amounts[there]) / np.maximum(counts, 1))[counts > 0]
    changes = np.diff(means)
    way = float(np.abs(changes).sum())
    return float(changes.sum()) / way if way > NOTHING * float(np.abs(amounts).max()) else 0.0


def _means(view: _View, amounts: Floats) -> Floats:
    if view.codes is None:
        return np.zeros(0)
    counts = _counts(view)
    sums = np.bincount(view.codes % len(counts), amounts, len(counts))
    found: Floats = sums / np.maximum(counts, 1)
    return found


def _counts(view: _View) -> Index:
    """Rows of each code; -1, which is missing, comes last."""
    assert view.codes is not None
    width = len(view.texts) + 1
    return np.bincount(view.codes % width, minlength=width)


def _levels(view: _View, effects: Mapping[str, Floats], smallest: int) -> tuple[Level, ...]:
    """The codes whose rows together are moved most, if they are enough; what is left has enough rows too, or none."""
    if view.codes is None:
        return ()
    counts = _counts(view)
    strength = counts * np.max(np.abs(list(effects.values())), axis=0)
    order = np.argsort(-strength, kind="stable")
    chosen = [int(place) for place in order if counts[place] >= smallest][:MOST_LEVELS]
    if 0 < int(counts.sum() - counts[chosen].sum()) < smallest:
        chosen = chosen[:-1]
    texts = (*view.texts, None)
    return tuple(
        Level(texts[place], int(counts[place]), {name: float(means[place]) for name, means in effects.items()})
        for place in chosen
    )
