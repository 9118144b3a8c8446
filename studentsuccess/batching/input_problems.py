"""What is wrong with a term's files, all of it at once: where it stands, and what mends it.

No message holds what a student's row says: a line number finds it, and the dead letters have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from studentsuccess.core.names import nearest

# How many lines of one problem are named; its count has all of them.
LINES = 20
# How many different values of one column are told apart in what is said.
VALUES_TOLD = 10
# An id that is shown back must look like one: a name that slipped into the wrong column does not.
_ID = re.compile(r"[\w.:/\-]{1,40}")


class Code(StrEnum):
    """What kind of problem; the names in capitals that users of such systems know, and ours for files and rows."""

    FILE_MISSING = "FILE_MISSING"
    FILE_TWICE = "FILE_TWICE"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    FILE_EMPTY = "FILE_EMPTY"
    FILE_UNUSED = "FILE_UNUSED"
    NO_ROWS = "NO_ROWS"
    COLUMN_MISSING = "COLUMN_MISSING"
    COLUMN_TWICE = "COLUMN_TWICE"
    BAD_ROW = "BAD_ROW"
    BAD_VALUE = "BAD_VALUE"
    BAD_LIST = "BAD_LIST"
    REPEATED_ITEM = "REPEATED_ITEM"
    DUPLICATE_ID = "DUPLICATE_ID"
    ORPHAN_REFERENCE = "ORPHAN_REFERENCE"
    PREREQ_CYCLE = "PREREQ_CYCLE"
    PREREQ_UNMET = "PREREQ_UNMET"
    PREREQ_UNVERIFIABLE = "PREREQ_UNVERIFIABLE"
    INVALID_CONSTRAINT_RULE = "INVALID_CONSTRAINT_RULE"
    INVALID_PIN = "INVALID_PIN"
    CONFLICTING_RULES = "CONFLICTING_RULES"
    FEATURE_EXTRACTION_ERROR = "FEATURE_EXTRACTION_ERROR"
    WEIGHT_NORMALIZATION_FAILED = "WEIGHT_NORMALIZATION_FAILED"
    BATCH_SIZE_BOUNDS_VIOLATED = "BATCH_SIZE_BOUNDS_VIOLATED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNUSUAL_VALUE = "UNUSUAL_VALUE"


@dataclass(frozen=True)
class Problem:
    """One thing to mend or to know. A warning refuses nothing."""

    code: Code
    message: str
    fix: str = ""
    file: str = ""
    line: int | None = None
    column: str = ""
    warning: bool = False
    count: int = 1
    lines: tuple[int, ...] = ()  # the first of them, where there are several

    @property
    def severity(self) -> str:
        return "warning" if self.warning else "error"

    @property
    def text(self) -> str:
        """Where and what, as one sentence."""
        place = self.file + (f", line {self.line}" if self.line else "")
        more = f" ({self.count:,} rows)" if self.count > 1 else ""
        parts = [place, f"`{self.column}`" if self.column else "", self.message + more]
        return ": ".join(part for part in parts if part)


class Findings:
    """Collects problems in the order in which they are found."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def add(self, *problems: Problem) -> None:
        self._found.extend(problems)

    @property
    def refuses(self) -> bool:
        return any(not problem.warning for problem in self._found)


def shown(text: str) -> str:
    """An id as it may be shown back."""
    return f"`{text}`" if _ID.fullmatch(text) else "(not shown: it does not look like an id)"


def unknown(what: str, text: str, known: Iterable[str]) -> tuple[str, str]:
    """What to say of a name that nothing has, and the way out."""
    near = nearest(text, known)
    message = f"no such {what}: {shown(text)}"
    return (f"{message}; did you mean `{near}`?", f"write `{near}`") if near else (message, "")
