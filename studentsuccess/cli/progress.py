"""Progress of long work: a moving bar on a terminal, a plain line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from studentsuccess.cli.output import Output, fancy, harmless, is_terminal, tell
from studentsuccess.core.reporter import SilentStep, Step

# A person at a terminal is never left without a word for longer; a log needs fewer.
TERMINAL_SECONDS, LOG_SECONDS = 2.0, 5.0
# Below this width a bar and a rate would push what matters off the line.
WIDE = 80


class TerminalReporter:
    """What a task says, on stderr. Bars only where a person looks."""

    def __init__(self, output: Output, *, progress: bool = True) -> None:
        self._output = output
        self._progress = progress and not output.quiet
        self._moving = fancy()
        self._open: Step = SilentStep()

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:
        self.close()
        if self._progress:
            pace = Pace(harmless(name), total, unit)
            step = _BarStep(pace) if self._moving else _PlainStep(pace)
            self._open = step  # before it is seen: a Ctrl-C may come with its first line
            step.start()
        return self._open

    def note(self, message: str) -> None:
        self._output.note(message)

    def warn(self, message: str, hint: str = "") -> None:
        self._output.warn(message, hint)

    def close(self) -> None:
        """End a step that an error left open."""
        self._open.close()
        self._open = SilentStep()


class Pace:
    """How far a step is, how fast, and how long yet."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.rows = self.rejected = 0
        self.detail = ""
        self._start = time.monotonic()

    def advance(self, rows: int, rejected: int, detail: str) -> None:
        self.rows += rows
        self.rejected += rejected
        self.detail = detail or self.detail

    def told(self, *, rate: bool = True) -> str:
        """The state in words; a step without a unit has only its time."""
        seconds = time.monotonic() - self._start
        if not self.unit:
            return f"{seconds:.0f} s"
        speed = self.rows / max(seconds, 1e-9)
        parts = [f"{self.rows:,} {self.unit}"]
        if rate and self.rows:
            parts.append(f"{_short(speed)}/s")
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected")
        if self.detail:
            parts.append(self.detail)
        if self.total and self.rows and seconds >= 1:
            parts.append(f"about {_duration(max(0, self.total - self.rows) / speed)} left")
        return " · ".join(parts)


def _short(number: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class _PlainStep:
    """A line every few seconds, whatever the work is busy with: enough for a log, never an escape byte."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._ended = threading.Event()
        self._every = TERMINAL_SECONDS if is_terminal(sys.stderr) else LOG_SECONDS
        self._voice = threading.Thread(target=self._speak, name="ss-progress", daemon=True)

    def start(self) -> None:
        self._voice.start()

    def _speak(self) -> None:
        while not self._ended.wait(self._every):
            tell(f"{self._pace.name}: {self._pace.told()}\n")

    def advance(self, rows: int, *, rejected: int = 0, detail: str = "") -> None:
        self._pace.advance(rows, rejected, detail)

    def expect(self, total: int) -> None:
        self._pace.total = total

    def close(self, summary: str = "") -> None:  # noqa: ARG002 - the result tells it
        self._ended.set()
        if self._voice.is_alive():
            self._voice.join()


class _BarStep:
    """A Rich bar: what, how far, how fast, what was rejected, how long yet. Without rows only what, and since when."""

    def __init__(self, pace: Pace) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        console = Console(stderr=True, highlight=False)
        wide = console.width >= WIDE

        class Told(ProgressColumn):
            def render(self, task: Any) -> Text:  # noqa: ARG002 - the pace knows all
                return Text(pace.told(rate=wide), no_wrap=True, overflow="ellipsis")

        columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if wide and pace.unit:
            columns.append(BarColumn(bar_width=12))
        columns.append(Told(Column(no_wrap=True)))
        self._pace = pace
        self._progress = Progress(*columns, console=console, transient=True, refresh_per_second=8)
        self._task = self._progress.add_task(pace.name, total=pace.total)

    def start(self) -> None:
        self._progress.start()

    def advance(self, rows: int, *, rejected: int = 0, detail: str = "") -> None:
        self._pace.advance(rows, rejected, detail)
        self._progress.update(self._task, completed=self._pace.rows)

    def expect(self, total: int) -> None:
        self._pace.total = total
        self._progress.update(self._task, total=total)

    def close(self, summary: str = "") -> None:  # noqa: ARG002 - the result tells it
        self._progress.stop()
