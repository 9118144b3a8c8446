"""What a source hands to the warehouse: finished staging files, their books, and what the user should hear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from studentsuccess.config.values import RejectLimit
from studentsuccess.core.atomic import temp_path
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact
from studentsuccess.core.layout import Layout
from studentsuccess.core.stream import Input, StreamSettings
from studentsuccess.errors import ContractError

# A spreadsheet keeps 1,048,576 lines; with the header away that leaves this many rows.
SPREADSHEET_ROWS = 1_048_575


@dataclass(frozen=True)
class Reading:
    """How a source is read: what the settings and the budget say, the same for all its tables."""

    stream: StreamSettings
    null_values: tuple[str, ...]
    tolerance: float
    max_rejects: RejectLimit
    duplicates: str = "auto"


@dataclass(frozen=True)
class DataFile:
    """A finished file of a dataset under its temporary name, and where it is to appear."""

    temp: Path
    target: Path


@dataclass(frozen=True)
class Landed:
    """One table, read and judged, waiting to be committed."""

    name: str
    inputs: tuple[Input, ...]
    staging: Path
    schema: pa.Schema
    layout: Layout
    counts: Counts
    letters: DeadLetters
    files: tuple[DataFile, ...] = ()
    repeats: int = 0
    notes: tuple[str, ...] = ()

    def facts(self) -> tuple[FileFact, ...]:
        return tuple(given.origin.fact() for given in self.inputs)


@dataclass(frozen=True)
class Places:
    """Where the unfinished files of one run go: staging for what is thrown away, temp names beside real targets."""

    run_id: str
    staging: Path
    dead_letters: Path
    datasets: Path

    def letters(self, table: str) -> DeadLetters:
        target = self.dead_letters / f"{self.run_id}-{table}.csv"
        return DeadLetters(temp_path(target, self.run_id), target)


def enforce_limit(landed: Mapping[str, Counts], limit: RejectLimit, letters: Mapping[str, DeadLetters]) -> None:
    """More rejects than allowed: nothing is loaded, and the dead letters stay for whoever mends them."""
    for name, counts in landed.items():
        if not limit.allows(counts.rejected, counts.read):
            share = counts.rejected / max(counts.read, 1)
            raise TooManyRejectsError(
                f"{name}: {counts.rejected:,} of {counts.read:,} rows rejected ({share:.1%}), more than"
                f" {_words(limit)}: nothing was loaded",
                f"see why in `{_shown(letters[name].target)}`; allow more with `--max-rejects {_enough(share)}`",
            )


class TooManyRejectsError(ContractError):
    """The load is refused for its rejects; its dead letters are worth keeping."""


def _words(limit: RejectLimit) -> str:
    return f"{limit.count:,}" if limit.count is not None else f"{100 * (limit.share or 0):g}%"


def _enough(share: float) -> str:
    return f"{min(100, int(100 * share) + 1)}%"


def _shown(path: Path) -> str:
    """As it can be opened from where the user stands."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
