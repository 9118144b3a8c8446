"""Dead letters that a person has mended, made readable again as rows of their source."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studentsuccess.core.deadletters import DeadLetter, DeadLetters
from studentsuccess.core.extract import Dialect
from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import Kind
from studentsuccess.core.layout import Column, Layout, Reject
from studentsuccess.core.origin import Origin
from studentsuccess.core.stream import Input
from studentsuccess.errors import ContractError


@dataclass(frozen=True)
class Spec:
    """What an earlier load noted of a table: enough to read more rows of it."""

    layout: Layout
    ids: tuple[str, ...]
    target: str | None
    sources: Mapping[str, Mapping[str, Any]]
    runs: tuple[str, ...]

    @classmethod
    def of(cls, spec: Mapping[str, Any], run_id: str) -> Spec:
        columns = tuple(Column(one["name"], Kind(one["kind"]), one["name"] in spec["ids"]) for one in spec["columns"])
        layout = Layout(columns, tuple(spec["null_values"]))
        return cls(layout, tuple(spec["ids"]), spec["target"], spec["sources"], (run_id, *spec.get("runs", ())))


@dataclass
class _Part:
    """The mended rows of one source, as one text: where each begins and where it came from."""

    text: io.StringIO = field(default_factory=io.StringIO)
    starts: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    next_line: int = 1

    def add(self, reject: Reject) -> None:
        self.starts.append(self.next_line)
        self.lines.append(reject.line)
        self.text.write(reject.raw + "\n")
        self.next_line += 1 + reject.raw.replace("\r\n", "\n").replace("\r", "\n").count("\n")


@dataclass
class Mended:
    """All mended rows: inputs to read them by, those that are still beyond reading, and the way back to their lines."""

    inputs: tuple[Input, ...]
    hopeless: tuple[DeadLetter, ...]
    places: Mapping[str, tuple[list[int], list[int]]]

    def original_line(self, source: str, line: int) -> int:
        """The line in the original source of a row that was read from the mended text."""
        starts, lines = self.places[source]
        return lines[max(0, bisect_right(starts, line) - 1)]


class TranslatedLetters(DeadLetters):
    """Dead letters of mended rows: they keep the line that they had in their source."""

    def __init__(self, letters: DeadLetters, mended: Mended) -> None:
        super().__init__(letters.temp, letters.target)
        self._mended = mended
        for letter in mended.hopeless:
            super().add(letter.source, [letter.reject])

    def add(self, source: str, rejects: Iterable[Reject]) -> None:
        super().add(
            source,
            [Reject(self._mended.original_line(source, one.line), one.column, one.reason, one.raw) for one in rejects],
        )


def prepare(letters: Iterable[DeadLetter], spec: Spec, folder: Path) -> Mended:
    """Write the mended rows of each source as a text of its own, in its own dialect."""
    parts: dict[str, _Part] = {}
    hopeless = []
    for letter in letters:
        source = spec.sources.get(letter.source)
        if source is None:
            raise ContractError(
                f"{letter.source}: is no source of this table",
                "mend only the `raw` column of the dead letters; the others say where a row belongs",
            )
        of_csv = source["format"] == Format.CSV
        if source["format"] == Format.PARQUET or (of_csv and _is_open(letter.reject.raw, source["delimiter"])):
            hopeless.append(letter)
            continue
        parts.setdefault(letter.source, _Part()).add(letter.reject)
    inputs = tuple(
        _input(folder / f"mended-{number}.txt", name, part, spec.sources[name])
        for number, (name, part) in enumerate(parts.items())
    )
    return Mended(inputs, tuple(hopeless), {name: (part.starts, part.lines) for name, part in parts.items()})


def _input(path: Path, name: str, part: _Part, source: Mapping[str, Any]) -> Input:
    path.write_text(part.text.getvalue(), encoding="utf-8", newline="")
    dialect = Dialect(source["delimiter"], tuple(source["names"]))
    return Input(Origin(path, name, "utf-8"), Format(source["format"]), dialect, header_records=0)


def _is_open(raw: str, delimiter: str) -> bool:
    """Whether a quote in this row is never closed: it would swallow the rows after it."""
    if '"' not in raw:
        return False
    csv.field_size_limit(1 << 30)
    probe = list(csv.reader(io.StringIO(raw + "\n\x1e\n", newline=""), delimiter=delimiter))
    return not probe or probe[-1] != ["\x1e"]
