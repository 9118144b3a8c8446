"""The conservation law: what was read is what was kept, rejected or dropped as a repeat."""

from __future__ import annotations

from dataclasses import dataclass

from studentsuccess.errors import SsError


def rows_of(count: int) -> str:
    """A number of rows in words."""
    return f"{count:,} row{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Counts:
    """The books of one streaming step."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    duplicate: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.read + other.read,
            self.kept + other.kept,
            self.rejected + other.rejected,
            self.duplicate + other.duplicate,
        )

    def check(self, what: str) -> None:
        """Fail where a row went missing or appeared from nowhere: a defect of ours, never the user's."""
        if self.read != self.kept + self.rejected + self.duplicate:
            raise SsError(
                f"{what}: {self.read} rows were read, but {self.kept} kept + {self.rejected} rejected"
                f" + {self.duplicate} duplicate do not add up",
                "nothing was loaded; this is a defect of ss: report it with `ss doctor -f json`",
            )
