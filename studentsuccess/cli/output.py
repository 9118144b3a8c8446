"""Everything that goes to stdout and every line of words on stderr: results, notes, warnings, errors, questions."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO

from studentsuccess.errors import SsError, StorageError, UsageError

GAP = "  "
LEAST_WIDTH = 14
NO_COLOUR_WHEN = ("NO_COLOR", "CI", "GITHUB_ACTIONS", "_SS_COMPLETE")


class Shape(StrEnum):
    """How a result is written."""

    AUTO = "auto"
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class Table:
    """A result for people and spreadsheets: a header and rows, and lines of words below them."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    words: Sequence[str] = ()


def fancy() -> bool:
    """Colour, panels and moving bars: only where both streams are terminals and nobody asked for plain."""
    if any(os.environ.get(name) for name in NO_COLOUR_WHEN) or os.environ.get("TERM") == "dumb":
        return False
    return is_terminal(sys.stdout) and is_terminal(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def typing_is_expected() -> bool:
    """Whether stdin would have to be typed by a person."""
    return is_terminal(sys.stdin)


def can_ask() -> bool:
    """Whether a question would reach a person."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


@dataclass
class Output:
    """The one object that writes. `quiet` drops notes; errors and data always come through."""

    shape: Shape = Shape.AUTO
    quiet: bool = False
    verbose: bool = False
    no_input: bool = False
    yes: bool = False
    warnings: list[str] = field(default_factory=list)

    def result(self, document: Mapping[str, object], table: Table) -> None:
        """The one result of a command, as JSON, CSV or a table."""
        if self.shape is Shape.JSON:
            _deliver(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
        elif self.shape is Shape.CSV:
            _deliver(_as_csv(table))
        else:
            _deliver(_as_text(table))

    def note(self, message: str) -> None:
        if not self.quiet:
            tell(harmless(message) + "\n")

    def detail(self, message: str) -> None:
        """A note for those who asked for more with --verbose."""
        if self.verbose:
            self.note(message)

    def warn(self, message: str, hint: str = "") -> None:
        self.warnings.append(message)
        _say("warning", message, hint)

    def error(self, problem: SsError) -> None:
        _say("error", problem.message, problem.hint)

    def confirm(self, question: str, flag: str = "--yes") -> bool:
        """A yes from a person, or from --yes; where neither can come the command line must say it."""
        if self.yes:
            return True
        if self.no_input or not can_ask():
            raise UsageError(f"{question}: needs a yes, and nobody can be asked here", f"say it with `{flag}`")
        tell(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(kind: str, message: str, hint: str) -> None:
    tell(f"ss: {kind}: {harmless(message)}\n" + (f"hint: {harmless(hint)}\n" if hint else ""))


def interrupted(word: str = "interrupted") -> None:
    """The one line after Ctrl-C or a termination."""
    tell(f"ss: {word}; nothing half-done was kept\n")


def trace(problem: BaseException) -> None:
    """The traceback, for those who set SS_DEBUG=1."""
    import traceback

    tell("".join(traceback.format_exception(problem)))


def usage(help_text: str) -> None:
    """Help that nobody asked for goes to stderr."""
    tell(help_text + "\n")


def emit(text: str) -> None:
    """Help or a version that was asked for goes to stdout."""
    _deliver(text + "\n")


def harmless(text: str) -> str:
    """Control characters from data made visible: a column's name must not move a cursor or forge a line."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else repr(mark)[1:-1] for mark in str(text)).replace(
        "\n", " "
    )


def tell(text: str) -> None:
    """Words on stderr. Where nobody can be told, that is no reason to fail."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            _write(sys.stderr, text)


def _deliver(text: str) -> None:
    """Data on stdout. Where it can't go the command has failed."""
    if sys.stdout is None:
        raise StorageError("stdout is closed, and there is a result to write", "send it somewhere: `ss … > FILE`")
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise undeliverable(problem) from None


def undeliverable(problem: OSError) -> SsError:
    """What to say when stdout takes no more."""
    reason = (problem.strerror or "it takes no more").lower()
    return StorageError(f"stdout can't be written: {reason}", "send it where there is space: `ss … > FILE`")


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding or "ascii", "replace").decode(stream.encoding or "ascii"))
        stream.flush()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else harmless(str(value))


def _as_text(table: Table) -> str:
    """Columns aligned by eye, numbers to the right; on a terminal that is too narrow long texts are folded, not cut."""
    cells = [list(table.header), *([_cell(value) for value in row] for row in table.rows)]
    lines: list[str] = []
    if table.rows:
        right = [all(isinstance(row[at], int) for row in table.rows) for at in range(len(table.header))]
        widths = _fitted([max(len(row[at]) for row in cells) for at in range(len(table.header))], right)
        for row in cells:
            lines.extend(_row_lines(row, widths, right))
    return "".join(line + "\n" for line in [*lines, *(harmless(word) for word in table.words)])


def _fitted(widths: list[int], right: Sequence[bool]) -> list[int]:
    """Column widths for the window that they are shown in: the widest texts give way, numbers never."""
    if not is_terminal(sys.stdout):
        return widths
    room, fitted = shutil.get_terminal_size().columns, list(widths)
    while sum(fitted) + len(GAP) * (len(fitted) - 1) > room:
        at = max(range(len(fitted)), key=lambda column: 0 if right[column] else fitted[column])
        if right[at] or fitted[at] <= LEAST_WIDTH:
            return widths
        fitted[at] -= 1
    return fitted


def _row_lines(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    folded = [
        textwrap.wrap(cell, width, break_on_hyphens=False) if len(cell) > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for parts in itertools.zip_longest(*folded, fillvalue=""):
        padded = [
            part.rjust(width) if to_right else part.ljust(width)
            for part, width, to_right in zip(parts, widths, right, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def _as_csv(table: Table) -> str:
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    rows = table.rows if table.header else [(word,) for word in table.words]
    writer.writerow(table.header or ("message",))
    writer.writerows([["" if value is None else formula_safe(value) for value in row] for row in rows])
    return text.getvalue()


def formula_safe(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets a quote in front; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return value if value.lstrip("+-").replace(".", "", 1).isdigit() else "'" + value
    return value
