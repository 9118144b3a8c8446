"""What the fault tests did, counted over all workers, on one page: `.cache/faults.md` after a full run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from effort import FULL

PAGE = Path(__file__).resolve().parents[2] / ".cache" / "faults.md"
FAULT = "fault"


class FaultBook:
    """Adds up what tests noted with `tally`; a test that failed counts as one failure of its kind."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.began = time.monotonic()
        self.done: Counter[tuple[str, str]] = Counter()
        self.cases = 0
        self.failed: set[str] = set()
        self.skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "tests/faults/" not in report.nodeid:
            return
        if report.when == "call":
            self.cases += report.outcome != "skipped"
            for kind, of, count in (value for name, value in report.user_properties if name == FAULT):
                self.done[kind, of] += count
        if report.failed:
            self.failed.add(report.nodeid)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        worker = hasattr(session.config, "workerinput")
        if FULL and self.done and not worker:
            PAGE.parent.mkdir(exist_ok=True)
            PAGE.write_text(self.page(), "utf-8")

    def page(self) -> str:
        minutes = (time.monotonic() - self.began) / 60
        kills = sum(count for (kind, of), count in self.done.items() if of and kind.startswith("SIGKILL"))
        faults = sum(self.done.values())
        head = [
            "# Faults",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, seed {self.seed}: {faults:,} faults in {self.cases:,} cases, "
            f"{kills:,} kills among them, {len(self.failed)} failed; {minutes:.0f} minutes",
        ]
        failed = [f"- FAILED: {name}" for name in sorted(self.failed)]
        skipped = [f"- skipped: {why} ({count})" for why, count in sorted(self.skipped.items())]
        return "\n".join([*head, *self._by_command(), *self._others(), "", *failed, *skipped, ""])

    def _by_command(self) -> Iterable[str]:
        """A row a command, a column a fault."""
        kinds = sorted({kind for kind, of in self.done if of})
        commands = sorted({of for _, of in self.done if of})
        if kinds:
            yield from ("", f"| command | {' | '.join(kinds)} |", f"| --- |{' ---: |' * len(kinds)}")
        for command in commands:
            yield f"| `ss {command}` | {' | '.join(f'{self.done[kind, command]:,}' for kind in kinds)} |"

    def _others(self) -> Iterable[str]:
        rows = [f"| {kind} | {count:,} |" for (kind, of), count in sorted(self.done.items()) if not of]
        if rows:
            yield from ("", "| tried | times |", "| --- | ---: |", *rows)
