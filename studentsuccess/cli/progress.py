"""Progress of long work: a moving bar on a terminal, a plain line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from typing import Any

from studentsuccess.cli.output import Output, fancy, harmless
from studentsuccess.core.reporter import Reporter, SilentStep, Step

PLAIN_SECONDS = 5.0


class TerminalReporter:
    """What a task says, on stderr. Bars only where a person looks."""

    def __init__(self, output: Output, *, progress: bool = True) -> None:
        self._output = output
        self._progress = progress and not output.quiet
        self._moving = fancy()

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:
        if not self._progress:
            return SilentStep()
        return _BarStep(name, total, unit) if self._moving else _PlainStep(name, total, unit)

    def note(self, message: str) -> None:
        self._output.note(message)

    def warn(self, message: str, hint: str = "") -> None:
        self._output.warn(message, hint)


class _PlainStep:
    """A line every few seconds: enough for a log, never an escape byte."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._rows = self._rejected = 0
        self._start = self._said = time.monotonic()

    def advance(self, rows: int, *, rejected: int = 0) -> None:
        self._rows += rows
        self._rejected += rejected
        now = time.monotonic()
        if now - self._said >= PLAIN_SECONDS:
            self._said = now
            sys.stderr.write(self._line(now - self._start) + "\n")
            sys.stderr.flush()

    def expect(self, total: int) -> None:
        self._total = total

    def _line(self, seconds: float) -> str:
        rate = self._rows / max(seconds, 1e-9)
        rejected = f", {self._rejected:,} rejected" if self._rejected else ""
        left = f", {_left(self._rows, self._total, rate)}" if self._total else ""
        return f"{harmless(self._name)}: {self._rows:,} {self._unit}, {rate:,.0f}/s{rejected}{left}"

    def close(self, summary: str = "") -> None:
        """A plain step has nothing to clear away."""


def _left(rows: int, total: int | None, rate: float) -> str:
    seconds = max(0, (total or 0) - rows) / max(rate, 1e-9)
    return f"about {seconds:.0f} s left"


class _BarStep:
    """A Rich bar: what, how far, how fast, how long yet, and what was rejected."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:,.0f} {task.fields[unit]}  {task.fields[rate]}{task.fields[rejected]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True, highlight=False),
            transient=True,
            refresh_per_second=8,
        )
        self._start = time.monotonic()
        self._rejected = 0
        self._progress.start()
        self._task: Any = self._progress.add_task(harmless(name), total=total, unit=unit, rate="", rejected="")

    def advance(self, rows: int, *, rejected: int = 0) -> None:
        self._rejected += rejected
        done = self._progress.tasks[0].completed + rows
        rate = f"{done / max(time.monotonic() - self._start, 1e-9):,.0f}/s"
        shown = f" · {self._rejected:,} rejected" if self._rejected else ""
        self._progress.update(self._task, advance=rows, rate=rate, rejected=shown)

    def expect(self, total: int) -> None:
        self._progress.update(self._task, total=total)

    def close(self, summary: str = "") -> None:
        self._progress.stop()


def reporter_for(output: Output, *, progress: bool) -> Reporter:
    """The reporter of this run."""
    return TerminalReporter(output, progress=progress)
