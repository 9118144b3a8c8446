"""The dead letters: every rejected row with its place, its reason and its text, streamed to a file that can be mended.

The text is kept to the letter, so that a mended row can be fed back; it is the user's data and stays in the workspace.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.core.atomic import sync_file
from studentsuccess.core.layout import Reject
from studentsuccess.errors import ContractError

HEADER = ("source", "line", "column", "reason", "raw")


@dataclass(frozen=True)
class DeadLetter:
    """One line of a dead-letter file."""

    source: str
    reject: Reject


class DeadLetters:
    """An unfinished dead-letter file. Nothing is created until there is a first row.

    `reasons` has how often each reason was given and where it was first.
    """

    def __init__(self, temp: Path, target: Path) -> None:
        self.temp, self.target = temp, target
        self.count = 0
        self.reasons: dict[str, tuple[int, str]] = {}
        self._sink: io.TextIOWrapper | None = None

    def add(self, source: str, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            self._writer().writerow((source, reject.line, reject.column, reject.reason, reject.raw))
            self.count += 1
            count, first = self.reasons.get(reject.reason, (0, f"line {reject.line:,} of {source}"))
            self.reasons[reject.reason] = (count + 1, first)

    def _writer(self) -> csv._writer:  # type: ignore[name-defined]
        if self._sink is None:
            self.temp.parent.mkdir(parents=True, exist_ok=True)
            # Closed after the last block, opened again for conflicts: the rows before them stay.
            self._sink = self.temp.open("a" if self.count else "w", encoding="utf-8", newline="")
            if not self.count:
                csv.writer(self._sink, lineterminator="\n").writerow(HEADER)
        return csv.writer(self._sink, lineterminator="\n")

    def restart(self) -> None:
        """Forget all rows: the stream is read again with better types."""
        self.close()
        self.temp.unlink(missing_ok=True)
        self.count = 0
        self.reasons.clear()

    def close(self) -> None:
        """End the file; it is on disk then, under its temporary name."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None
            sync_file(self.temp)


def read_dead_letters(path: Path) -> Iterator[DeadLetter]:
    """The rows of a dead-letter file, mended or not."""
    try:
        yield from _read(path)
    except UnicodeDecodeError:
        raise ContractError(f"{path.name}: not valid UTF-8", "save it again as `CSV UTF-8`") from None


def _read(path: Path) -> Iterator[DeadLetter]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as source:
        reader = csv.reader(source)
        if tuple(next(reader, ())) != HEADER:
            raise ContractError(
                f"{path.name}: is not a dead-letter file (its header must be {','.join(HEADER)})",
                "give a file from inputs/dlq/, mended in its `raw` column",
            )
        for number, row in enumerate(reader, 2):
            if len(row) != len(HEADER):
                raise ContractError(
                    f"{path.name}: line {number}: {len(row)} fields, expected {len(HEADER)}",
                    "mend only the text of the `raw` column, and keep its quotes",
                )
            line = int(row[1]) if row[1].isdecimal() else number
            yield DeadLetter(row[0], Reject(line, row[2], row[3], row[4]))
