"""What a column is to a model: a number, a code, both, or nothing it may see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from studentsuccess.core.grammar import Kind


class Role(StrEnum):
    """How a model takes a column in."""

    NUMBER = "number"
    CATEGORY = "category"
    BOTH = "both"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Hashing:
    """Where values beyond the learned levels go: the scheme is part of the model, since a mismatch is silent."""

    scheme: str
    buckets: int


@dataclass(frozen=True)
class Feature:
    """A column as a model was trained on it. `levels` are the codes' texts in the order of their weights."""

    name: str
    kind: Kind
    role: Role
    levels: tuple[str, ...] = ()
    hashing: Hashing | None = None
    why: str = ""

    @property
    def has_number(self) -> bool:
        return self.role in (Role.NUMBER, Role.BOTH)

    @property
    def has_category(self) -> bool:
        return self.role in (Role.CATEGORY, Role.BOTH)
