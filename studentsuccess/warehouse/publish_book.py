"""What publishing to a database, a file or a folder has in common: what is there, and the book that is kept there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from studentsuccess.errors import ExitCode, SsError, UsageError
from studentsuccess.warehouse.marts import Content, Outgoing

# Beside the marts: which run wrote each of them, with the digest of its rows.
BOOK = "mart_publication"
Advance = Callable[[int], None]


@dataclass(frozen=True)
class There:
    """A mart at the place it was published to; without a digest somebody else put it there."""

    name: str
    rows: int
    digest: str | None


@dataclass(frozen=True)
class Stamp:
    """Who publishes, and when."""

    run_id: str
    at: str


class Target(Protocol):
    """A place that marts are published to. Its `shown` name holds no secret."""

    @property
    def shown(self) -> str: ...

    @property
    def whole(self) -> bool:
        """Whether all tables have to be put there even if some of them are there already."""

    def look(self) -> tuple[There, ...]:
        """The marts that are there; only reads."""

    def admit(self, tables: Sequence[Outgoing]) -> None:
        """Say what would keep these tables out; only reads."""

    def replace(self, tables: Sequence[Outgoing], stamp: Stamp, advance: Advance) -> None:
        """Put these tables in place of those before, all at once: who reads meanwhile sees the old or the new."""


@dataclass(frozen=True)
class Shape:
    """A table's columns in the words of a database, in order."""

    columns: tuple[tuple[str, str], ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


def shape_of(schema: pa.Schema, words: Callable[[pa.DataType], str]) -> Shape:
    return Shape(tuple((one.name, words(one.type)) for one in schema))


def is_current(there: Sequence[There], name: str, content: Content) -> bool:
    """Whether the very same rows stand there."""
    return any((one.name, one.rows, one.digest) == (name, content.rows, content.digest) for one in there)


def not_ours(shown: str, name: str, way_out: str) -> UsageError:
    return UsageError(
        f"{shown} has a `{name}` with other columns, which ss did not put there",
        f"rename or drop that one, or {way_out}",
    )


def no_access(message: str, hint: str) -> SsError:
    return SsError(message, hint, ExitCode.ACCESS)
