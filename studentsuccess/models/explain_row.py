"""Why one row is predicted as it is: its values beside what is usual, and what each of them did, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from studentsuccess.core.grammar import ARROW_TYPES, Kind
from studentsuccess.models.explain import NOTHING, numbers_of, of_used
from studentsuccess.models.linear import LinearModel
from studentsuccess.models.predictor import Floats, Predictions, Predictor
from studentsuccess.models.roles import Feature

LOG_ODDS = "log-odds"
# With fewer rows than this nothing can be said about what is usual.
FEW_ROWS = 10


@dataclass(frozen=True)
class Reason:
    """What one feature of a row did. `typical` is empty where nobody knows it, and holds None where it is missing."""

    name: str
    value: object
    effect: float
    typical: tuple[object, ...] = ()
    unseen: bool = False


@dataclass(frozen=True)
class RowReasons:
    """One row: what is predicted (`about`: the class or the target), and all that moved it from the base to its score.

    The strongest reason comes first. `scale` is what the amounts are counted in; nothing means the target's own unit.
    """

    about: str
    value: float | None
    confidence: float | None
    probabilities: Mapping[str, float]
    interval: tuple[float, float] | None
    scale: str
    base: float
    score: float
    reasons: tuple[Reason, ...]


def row_reasons(model: Predictor, row: pa.RecordBatch, typical: Mapping[str, object]) -> RowReasons:
    """Why the one row of a batch is predicted as it is."""
    found = model.predict(row)
    best = int(found.probabilities[0].argmax()) if found.probabilities is not None else 0
    amounts, bases = of_used(model, row, [best])
    least = NOTHING * float(np.abs(amounts).max(initial=0.0))
    reasons = [
        _reason(feature, row.column(feature.name)[0].as_py(), float(effect), typical, found)
        for feature, effect in zip(model.manifest.used, amounts[0], strict=True)
        if abs(effect) > least
    ]
    told = tuple(sorted(reasons, key=lambda one: -abs(one.effect)))
    if found.probabilities is not None:
        return _of_class(model.manifest.classes, found.probabilities[0], (float(bases[0]), amounts), told)
    return _of_value(model.manifest.target, found, amounts, told)


def _reason(
    feature: Feature, value: object, effect: float, typical: Mapping[str, object], found: Predictions
) -> Reason:
    usual = (typical[feature.name],) if feature.name in typical else ()
    return Reason(feature.name, value, effect, usual, bool(found.unseen.get(feature.name)))


def _of_class(
    classes: Sequence[str], likely: Floats, score: tuple[float, Floats], told: tuple[Reason, ...]
) -> RowReasons:
    best = int(likely.argmax())
    base, amounts = score
    shares = {label: float(share) for label, share in zip(classes, likely, strict=True)}
    total = base + float(amounts.sum())
    return RowReasons(classes[best], None, float(likely[best]), shares, None, LOG_ODDS, base, total, told)


def _of_value(target: str, found: Predictions, amounts: Floats, told: tuple[Reason, ...]) -> RowReasons:
    """The score is the value itself, so the base is what the reasons leave of it."""
    assert found.values is not None
    value = float(found.values[0])
    interval = None
    if found.low is not None and found.high is not None:
        interval = (float(found.low[0]), float(found.high[0]))
    return RowReasons(target, value, None, {}, interval, "", value - float(amounts.sum()), value, told)


def typical_of(model: Predictor, rows: pa.RecordBatch) -> dict[str, object]:
    """What is usual, by feature: the mean of numbers, the commonest of all others.

    Our linear model knows it from its training; for others the rows at hand must do, if there are enough.
    """
    if isinstance(model, LinearModel):
        return _of_training(model)
    if rows.num_rows < FEW_ROWS:
        return {}
    return {feature.name: _usual(feature, rows.column(feature.name)) for feature in model.manifest.used}


def _usual(feature: Feature, column: pa.Array) -> object:
    if _counts(feature) or column.null_count == len(column):
        counted = column.value_counts().to_pylist()
        return max(counted, key=lambda one: one["counts"])["values"]
    return _as_value(float(np.nanmean(numbers_of(column))), feature.kind)


def _counts(feature: Feature) -> bool:
    """Whether the commonest value says more than a mean."""
    return feature.has_category or feature.kind is Kind.BOOLEAN


def _as_value(number: float, kind: Kind) -> object:
    """A mean as a value of its column: a mean of dates is a date, and nobody was absent 5.83 times."""
    if kind is Kind.INTEGER:
        return round(number)
    if kind is Kind.DATE:
        return pa.scalar(round(number), pa.int32()).cast(ARROW_TYPES[kind]).as_py()
    if kind is Kind.TIME:
        return pa.scalar(round(number), pa.int64()).cast(ARROW_TYPES[kind]).as_py()
    return number >= 0.5 if kind is Kind.BOOLEAN else number


def _of_training(model: LinearModel) -> dict[str, object]:
    """Means and shares as they lie beside the weights."""
    arrays = model._arrays
    means = arrays["origin"] + arrays["mean"] / arrays["scale"]
    found: dict[str, object] = {}
    numbered = [feature for feature in model.manifest.features if feature.has_number]
    for feature, mean in zip(numbered, means.tolist(), strict=True):
        found[feature.name] = _as_value(mean, feature.kind)
    coded = [feature for feature in model.manifest.features if feature.has_category]
    for place, feature in enumerate(coded):
        weights = arrays["table"][arrays["starts"][place] : arrays["starts"][place + 1]]
        shares = np.where(weights >= 0, arrays["expected"][weights], 0.0)
        found |= _commonest(feature, shares)
    return found


def _commonest(feature: Feature, shares: Floats) -> dict[str, object]:
    """The level that most rows have, None when most have none; nothing when it is no level that has a name."""
    best = int(shares.argmax()) if len(shares) else 0
    if not len(shares) or 1.0 - shares.sum() > shares[best]:
        return {feature.name: None}
    if best >= len(feature.levels):
        return {}
    level = feature.levels[best]
    return {feature.name: int(level) if feature.has_number else level}


def sentence(reason: Reason, about: str, scale: str) -> str:
    """A reason as a person would say it."""
    strange = ", which the model never met" if reason.unseen else ""
    does = "raises" if reason.effect > 0 else "lowers"
    unit = f" ({scale})" if scale else ""
    return (
        f"{reason.name} is {shown(reason.value)}{strange}: {does} {about} by {amount(abs(reason.effect))}{unit}"
        f"{_beside(reason)}"
    )


def _beside(reason: Reason) -> str:
    if not reason.typical:
        return ""
    value, usual = shown(reason.value), shown(reason.typical[0])
    if reason.typical[0] is None:
        return "; it mostly is" if reason.value is None else "; it is mostly missing"
    return "; that is typical" if value == usual else f"; typical is {usual}"


def shown(value: object) -> str:
    """A value as people write it."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return amount(value) if isinstance(value, float) else str(value)


def amount(number: float) -> str:
    """Three digits, or all of those before the point."""
    if not number or not math.isfinite(number):
        return f"{number:g}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
