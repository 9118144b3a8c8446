"""A manifest as rows of the registry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.models.manifest import Manifest
from studentsuccess.warehouse.models import (
    BASELINE,
    HOLDOUT,
    CalibrationRow,
    ConfusionRow,
    Figures,
    MetricRow,
    ModelEntry,
)


def entry_of(manifest: Manifest, path: str, manifest_sha256: str) -> ModelEntry:
    """The row of one version; `path` is its folder as seen from the workspace."""
    trained, holdout = manifest.trained, manifest.holdout
    return ModelEntry(
        name=manifest.name,
        version=manifest.version,
        algorithm=manifest.algorithm,
        task=manifest.task,
        target=manifest.target,
        trained_at=_moment(trained.finished),
        trained_where=trained.where,
        run_id=trained.run_id,
        rows_train=trained.rows,
        rows_holdout=holdout.rows,
        holdout_basis=holdout.basis,
        holdout_share=holdout.share,
        holdout_digest=holdout.digest,
        data_digest=data_digest(manifest),
        features=len(manifest.used),
        path=path,
        manifest_sha256=manifest_sha256,
    )


def data_digest(manifest: Manifest) -> str:
    """One digest for all files that a model was trained on, whatever they were called and in whatever order."""
    return text_digest(canonical(sorted(fact.sha256 for fact in manifest.trained.data)))


def figures_of(manifest: Manifest) -> Figures:
    """Every figure of the hold-out and of the baselines beside it."""
    metrics = [*_metrics(HOLDOUT, manifest.metrics)]
    for name, figures in manifest.baseline.items():
        metrics += _metrics(f"{BASELINE}{name}", figures)
    return Figures(
        tuple(metrics),
        tuple(_confusion(manifest.classes, manifest.metrics.get("confusion") or ())),
        tuple(_calibration(manifest.metrics.get("calibration") or ())),
    )


def _moment(text: str) -> datetime:
    """A moment without a zone is UTC, as everything that this program writes."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _metrics(source: str, figures: Mapping[str, Any]) -> Iterator[MetricRow]:
    """Single numbers by name, ranges by name and end, those of a class with its label."""
    for name, value in _numbers(figures):
        yield MetricRow(source, name, value)
    for name, value in _numbers(figures.get("interval") or {}):
        yield MetricRow(source, f"interval_{name}", value)
    for name, ends in (figures.get("intervals") or {}).items():
        for end, value in zip(("low", "high"), ends, strict=True):
            yield MetricRow(source, f"{name}_{end}", float(value))
    for label, inner in (figures.get("classes") or {}).items():
        for name, value in _numbers(inner):
            yield MetricRow(source, name, value, label)


def _numbers(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def _confusion(classes: Sequence[str], rows: Sequence[Sequence[int]]) -> Iterator[ConfusionRow]:
    """Cells with rows in them; a row beyond the classes holds the labels that the model does not know."""
    for at, row in enumerate(rows):
        for predicted, count in zip(classes, row, strict=False):
            if count:
                yield ConfusionRow(classes[at] if at < len(classes) else None, predicted, int(count))


def _calibration(bins: Sequence[Mapping[str, Any]]) -> Iterator[CalibrationRow]:
    for number, one in enumerate(bins):
        confidence, accuracy = one.get("confidence"), one.get("accuracy")
        yield CalibrationRow(number, float(one["low"]), float(one["high"]), int(one["rows"]), confidence, accuracy)
