"""The registry: every version of every model, its figures, and which version an alias means.

Rows are added inside the one transaction of a commit and never changed, so that what was true stays told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.sql import statement

PRODUCTION = "production"
HOLDOUT = "holdout"
BASELINE = "baseline:"
# It predicts enrolments from their features, and no table of a user's.
RISK = "risk"


@dataclass(frozen=True)
class ModelEntry:
    """One version of a model as the registry knows it; everything else stands in its manifest."""

    name: str
    version: int
    algorithm: str
    task: str
    target: str
    trained_at: datetime
    trained_where: str
    run_id: str
    rows_train: int
    rows_holdout: int
    holdout_basis: str
    holdout_share: float
    holdout_digest: str
    data_digest: str
    features: int
    path: str
    manifest_sha256: str

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class AliasEvent:
    """An alias moved to a version."""

    name: str
    version: int
    since: datetime
    run_id: str
    why: str
    alias: str = PRODUCTION


@dataclass(frozen=True)
class MetricRow:
    """One figure of a model or of a baseline beside it."""

    source: str
    metric: str
    value: float
    label: str | None = None


@dataclass(frozen=True)
class ConfusionRow:
    """How often a class was taken for another."""

    actual: str | None
    predicted: str
    rows: int


@dataclass(frozen=True)
class CalibrationRow:
    """How often the model was right where it was that sure."""

    bin: int
    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Figures:
    """Everything that was measured about one version."""

    metrics: tuple[MetricRow, ...] = ()
    confusion: tuple[ConfusionRow, ...] = ()
    calibration: tuple[CalibrationRow, ...] = ()


@dataclass(frozen=True)
class Registry:
    """What is registered at one moment; `metrics` are those of all classes together, by model and version."""

    entries: tuple[ModelEntry, ...] = ()
    events: tuple[AliasEvent, ...] = ()
    metrics: Mapping[tuple[str, int], tuple[MetricRow, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.name for entry in self.entries))

    def versions(self, name: str) -> tuple[ModelEntry, ...]:
        """Oldest first."""
        return tuple(entry for entry in self.entries if entry.name == name)

    def find(self, name: str, version: int) -> ModelEntry | None:
        return next((entry for entry in self.versions(name) if entry.version == version), None)

    def production(self, name: str) -> ModelEntry | None:
        """The version in production, if one ever was."""
        moved = [event for event in self.events if (event.name, event.alias) == (name, PRODUCTION)]
        return self.find(name, moved[-1].version) if moved else None

    def is_production(self, entry: ModelEntry) -> bool:
        return self.production(entry.name) == entry

    def latest_trained(self) -> ModelEntry | None:
        """The version trained last of all tabular models."""
        tabular = (entry for entry in self.entries if entry.algorithm != RISK)
        return max(tabular, key=lambda entry: (entry.trained_at, entry.run_id, entry.version), default=None)

    def figures(self, entry: ModelEntry, source: str = HOLDOUT) -> dict[str, float]:
        """The figures of one source by their names."""
        rows = self.metrics.get((entry.name, entry.version), ())
        return {row.metric: row.value for row in rows if row.source == source}

    def baselines(self, entry: ModelEntry) -> tuple[str, ...]:
        """The sources that are baselines."""
        rows = self.metrics.get((entry.name, entry.version), ())
        return tuple(dict.fromkeys(row.source for row in rows if row.source.startswith(BASELINE)))


def all_models(workspace: Workspace, limits: EngineLimits) -> Registry:
    """The registry, for plans: reads only."""
    if not workspace.warehouse.is_file():
        return Registry()
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return standing_models(connection)


def standing_models(connection: DuckDBPyConnection) -> Registry:
    """The registry of a warehouse that may never have had a model."""
    if not has_table(connection, "ml", "model"):
        return Registry()
    entries = tuple(_entry(row) for row in connection.execute(statement("models")).fetchall())
    metrics: dict[tuple[str, int], list[MetricRow]] = {}
    for name, version, source, metric, value in connection.execute(statement("model_metrics")).fetchall():
        metrics.setdefault((name, version), []).append(MetricRow(source, metric, value))
    events = tuple(_event(row) for row in connection.execute(statement("alias_events")).fetchall())
    return Registry(entries, events, {which: tuple(rows) for which, rows in metrics.items()})


def _entry(row: tuple[Any, ...]) -> ModelEntry:
    found = ModelEntry(*row)
    return replace(found, trained_at=found.trained_at.replace(tzinfo=UTC))


def _event(row: tuple[Any, ...]) -> AliasEvent:
    name, alias, version, since, run_id, why = row
    return AliasEvent(name, version, since.replace(tzinfo=UTC), run_id, why, alias)


def next_version(workspace: Workspace, registry: Registry, name: str) -> int:
    """One more than any version that was ever given: a folder may stand that an older copy of the warehouse forgot.
    An empty one is that of a run which was killed before its COMMIT."""
    folder = workspace.models / name
    standing = (path for path in folder.glob("*") if path.name.isdecimal()) if folder.is_dir() else ()
    on_disk = [int(path.name) for path in standing if not path.is_dir() or any(path.iterdir())]
    return max([0, *on_disk, *(entry.version for entry in registry.versions(name))]) + 1


def refuse_other_case(registry: Registry, name: str) -> None:
    """`Risk` beside `risk` would be one folder on half of all systems."""
    other = next((one for one in registry.names if one.casefold() == name.casefold() and one != name), None)
    if other is not None:
        raise UsageError(
            f"there is a model `{other}` already, and `{name}` would share its folder on some systems",
            f"name it differently, or make it a version of that one: `--name {other}`",
        )


def register_model(connection: DuckDBPyConnection, entry: ModelEntry, figures: Figures) -> None:
    """Add one version with its figures; for the `work` of a commit."""
    standing = standing_models(connection)
    if standing.find(entry.name, entry.version) is not None:
        raise BusyError(
            f"another run registered `{entry.label}` meanwhile",
            "run it again: it will be the next version",
        )
    refuse_other_case(standing, entry.name)
    connection.execute(statement("insert_model"), asdict(entry) | {"trained_at": _stamp(entry.trained_at)})
    metrics = [{"source": r.source, "class": r.label, "metric": r.metric, "value": r.value} for r in figures.metrics]
    _insert(connection, "insert_metric", entry, metrics, _METRIC)
    _insert(connection, "insert_confusion", entry, _documents(figures.confusion), _CONFUSION)
    _insert(connection, "insert_calibration", entry, _documents(figures.calibration), _CALIBRATION)


_METRIC = pa.schema([("source", pa.string()), ("class", pa.string()), ("metric", pa.string()), ("value", pa.float64())])
_CONFUSION = pa.schema([("actual", pa.string()), ("predicted", pa.string()), ("rows", pa.int64())])
_CALIBRATION = pa.schema(
    [
        ("bin", pa.int32()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("rows", pa.int64()),
        ("confidence", pa.float64()),
        ("accuracy", pa.float64()),
    ]
)


def _documents(rows: Iterable[ConfusionRow | CalibrationRow]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def _insert(
    connection: DuckDBPyConnection, name: str, entry: ModelEntry, rows: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> None:
    """As one block: a confusion table of hundreds of classes has a hundred thousand rows."""
    connection.register("incoming", pa.Table.from_pylist(list(rows), schema))
    connection.execute(statement(name), {"name": entry.name, "version": entry.version})
    connection.unregister("incoming")


def promote(connection: DuckDBPyConnection, event: AliasEvent) -> None:
    """Move an alias; for the `work` of a commit. What it meant before stays on record."""
    if standing_models(connection).find(event.name, event.version) is None:
        raise UsageError(f"there is no model `{event.name}@{event.version}`", "see what there is: `ss models list`")
    connection.execute(statement("insert_alias_event"), asdict(event) | {"since": _stamp(event.since)})


def _stamp(moment: datetime) -> str:
    """UTC, as a TIMESTAMP column has it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
