"""The manifest of a model: everything that must agree before one of its weights is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from studentsuccess.core.digest import FileFact
from studentsuccess.core.grammar import Kind
from studentsuccess.errors import ContractError
from studentsuccess.models.roles import Feature, Hashing, Role

FORMAT = 1
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Holdout:
    """The rows that the figures come from: chosen by a hash, so that they can be told again and compared."""

    basis: str
    share: float
    rows: int
    digest: str


@dataclass(frozen=True)
class Trained:
    """Where a model comes from."""

    run_id: str
    where: str
    started: str
    finished: str
    data: tuple[FileFact, ...]
    dataset: str
    rows: int
    unlabelled: int = 0
    window: str = ""
    refit: bool = False


@dataclass(frozen=True)
class Manifest:
    """One version of a model. `metrics` are those of the hold-out, `baseline` those of the plain alternatives."""

    name: str
    version: int
    algorithm: str
    task: Task
    target: str
    target_kind: Kind
    ids: tuple[str, ...]
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    null_values: tuple[str, ...]
    holdout: Holdout
    trained: Trained
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any]
    libraries: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[FileFact, ...] = ()
    format: int = FORMAT

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def used(self) -> tuple[Feature, ...]:
        """The features that the model sees."""
        return tuple(feature for feature in self.features if feature.role is not Role.IGNORE)

    def document(self) -> dict[str, Any]:
        """As it is written: plain JSON values."""
        return asdict(self)


def from_document(document: Mapping[str, Any], shown: str) -> Manifest:
    """A manifest as it was written; one that a newer program wrote, or nobody did, is refused."""
    found = document.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise ContractError(
            f"{shown}: a newer version of ss wrote this model (format {found}, this one reads {FORMAT})",
            "update ss, or train the model again with this one: `ss train local`",
        )
    try:
        return _parse(dict(document))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ContractError(
            f"{shown}: is not the manifest of a model", "train it again: `ss train local`, or put the folder back"
        ) from None


def _parse(found: dict[str, Any]) -> Manifest:
    found["target_kind"] = Kind(found["target_kind"])
    found["features"] = tuple(_feature(one) for one in found["features"])
    found["holdout"] = Holdout(**found["holdout"])
    trained = dict(found["trained"])
    trained["data"] = tuple(FileFact(**fact) for fact in trained["data"])
    found["trained"] = Trained(**trained)
    found["files"] = tuple(FileFact(**fact) for fact in found["files"])
    for name in ("ids", "classes", "null_values"):
        found[name] = tuple(str(text) for text in found[name])
    return Manifest(**found)


def _feature(found: Mapping[str, Any]) -> Feature:
    hashing = found.get("hashing")
    return Feature(
        found["name"],
        Kind(found["kind"]),
        Role(found["role"]),
        tuple(str(level) for level in found["levels"]),
        Hashing(**hashing) if hashing else None,
        found.get("why", ""),
    )
