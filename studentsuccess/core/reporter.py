"""How long work says what it is doing, without knowing whether anyone has a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Step(Protocol):
    """One line of progress: rows so far of a total that may be unknown, rejects among them, and how it goes."""

    def advance(self, rows: int, *, rejected: int = 0, detail: str = "") -> None: ...

    def expect(self, total: int) -> None: ...

    def close(self, summary: str = "") -> None: ...


class Reporter(Protocol):
    """What a task may say while it runs. `cli/progress.py` shows it; tests collect it."""

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str, hint: str = "") -> None: ...


@contextmanager
def phase(reporter: Reporter, name: str) -> Iterator[None]:
    """A step that counts nothing: it only says what is going on, and for how long."""
    step = reporter.step(name, unit="")
    try:
        yield
    finally:
        step.close()


class SilentStep:
    """Progress that nobody watches."""

    def advance(self, rows: int, *, rejected: int = 0, detail: str = "") -> None:
        """Say nothing."""

    def expect(self, total: int) -> None:
        """Say nothing."""

    def close(self, summary: str = "") -> None:
        """Say nothing."""


class SilentReporter:
    """The reporter of library callers and of `--quiet`: warnings are kept, nothing is shown."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[tuple[str, str]] = []

    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:  # noqa: ARG002
        return SilentStep()

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str, hint: str = "") -> None:
        self.warnings.append((message, hint))
