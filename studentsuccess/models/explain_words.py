"""Importance and reasons as documents for programs and as words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from studentsuccess.core.counts import Counts
from studentsuccess.models.explain import Importance, Level, Overview
from studentsuccess.models.explain_row import LOG_ODDS, Reason, RowReasons, amount, sentence, shown
from studentsuccess.models.manifest import Manifest

# From this trend on a feature is said to have a direction.
CLEAR = 0.8
NO_DIRECTION = "no one direction"


def direction(one: Importance) -> str | None:
    """What higher values of a number do, where that can be said: which class they raise and which they lower most."""
    raised = _strongest(one, [name for name, trend in one.trends.items() if trend >= CLEAR])
    lowered = _strongest(one, [name for name, trend in one.trends.items() if trend <= -CLEAR])
    parts = [f"raise {raised}"] if raised is not None else []
    parts += [f"lower {lowered}"] if lowered is not None else []
    return f"higher values {' and '.join(parts)}" if parts else None


def _strongest(one: Importance, outputs: Sequence[str]) -> str | None:
    return max(outputs, key=lambda name: one.by_output[name], default=None)


def group_of(one: Importance, outputs: Sequence[str]) -> str:
    """What a bar's colour says: the class that is moved most, or of two classes and of numbers the direction."""
    if len(outputs) > 2:
        most = _strongest(one, outputs)
        return f"moves {most} most"
    name = outputs[-1]
    trend = one.trends.get(name, 0.0)
    if abs(trend) < CLEAR:
        return NO_DIRECTION
    return f"higher values {'raise' if trend > 0 else 'lower'} {name}"


def tells(one: Importance) -> str:
    """The one thing to know of a feature, in a few words: its direction, or what its strongest code does."""
    said = direction(one)
    if said is not None:
        return said
    if one.levels:
        return _of_level(one.levels[0])
    return NO_DIRECTION if one.trends and one.mean_abs else ""


def _of_level(level: Level) -> str:
    name = max(level.effects, key=lambda output: abs(level.effects[output]))
    effect = level.effects[name]
    does = "raises" if effect > 0 else "lowers"
    return f"{shown(level.text)} {does} {name} by {amount(abs(effect))}"


def importance_document(manifest: Manifest, found: Overview, counts: Counts) -> dict[str, Any]:
    """All features, the strongest first; the same figures give the same text."""
    return {
        "model": manifest.name,
        "version": manifest.version,
        "task": manifest.task,
        "target": manifest.target,
        "scale": LOG_ODDS if manifest.classes else manifest.target,
        "rows": found.rows,
        "rows_read": counts.read,
        "rows_rejected": counts.rejected,
        "classes": list(found.outputs) if manifest.classes else [],
        "features": [_feature(one, manifest) for one in found.features],
    }


def _feature(one: Importance, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": one.name,
        "mean_abs": one.mean_abs,
        "share": one.share,
        "by_class": dict(one.by_output) if manifest.classes else {},
        "direction": direction(one),
        "trend": dict(one.trends),
        "levels": [{"level": level.text, "rows": level.rows, "effect": dict(level.effects)} for level in one.levels],
    }


def row_document(manifest: Manifest, place: tuple[str, int], told: RowReasons, top: int | None) -> dict[str, Any]:
    """One row; base, the reasons shown and the rest add up to the score."""
    chosen = told.reasons[:top]
    rest = told.score - told.base - sum(one.effect for one in chosen)
    low, high = told.interval or (None, None)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "input": place[0],
        "row": place[1],
        "predicted": told.about if manifest.classes else told.value,
        "confidence": told.confidence,
        "probabilities": dict(told.probabilities),
        "interval": None if low is None else [low, high],
        "about": told.about,
        "scale": told.scale or manifest.target,
        "base": told.base,
        "score": told.score,
        "reasons": [reason_document(one, told) for one in chosen],
        "rest": {"reasons": len(told.reasons) - len(chosen), "effect": rest},
    }


def reason_document(one: Reason, told: RowReasons) -> Mapping[str, Any]:
    """A reason for programs, with its sentence."""
    return {
        "feature": one.name,
        "value": as_json(one.value),
        "typical": as_json(one.typical[0]) if one.typical else None,
        "effect": one.effect,
        "direction": "up" if one.effect > 0 else "down",
        "unseen": one.unseen,
        "words": sentence(one, told.about, told.scale),
    }


def as_json(value: object) -> object:
    """Dates and moments as they are written; numbers, texts and truth values as they are."""
    return value.isoformat() if isinstance(value, date) else value


def row_words(manifest: Manifest, told: RowReasons, top: int) -> list[str]:
    """What speaks for and against the prediction, the strongest of each first, and how it all adds up."""
    up = [one for one in told.reasons if one.effect > 0]
    down = [one for one in told.reasons if one.effect < 0]
    chosen = [*up[:top], *down[:top]]
    lines = [_prediction(manifest, told), ""]
    lines += [sentence(one, told.about, told.scale) for one in chosen]
    left = len(told.reasons) - len(chosen)
    unit = f" ({told.scale})" if told.scale else ""
    if left:
        rest = told.score - told.base - sum(one.effect for one in chosen)
        many = f"{left} weaker reasons together: {amount(rest)}" if left > 1 else f"1 weaker reason: {amount(rest)}"
        lines.append(f"{many}{unit}; `--top {len(told.reasons)}` shows all")
    reached = f"and the reasons bring this one to {amount(told.score)}" if told.reasons else "as this one does"
    return [*lines, "", f"an average row stands at {amount(told.base)}{unit}, {reached}"]


def _prediction(manifest: Manifest, told: RowReasons) -> str:
    if told.confidence is not None:
        return f"{manifest.target}: {told.about}, with a confidence of {told.confidence:.1%}"
    assert told.value is not None
    between = ""
    if told.interval is not None:
        between = f", most likely between {amount(told.interval[0])} and {amount(told.interval[1])}"
    return f"{manifest.target}: {amount(told.value)}{between}"
