"""What the fault tests did, counted over all workers, on one page: `.cache/faults.md` after a full run."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / ".cache" / "faults.md"
FAULT = "fault"


class FaultBook:
    """Adds up what tests noted with `tally`; a test that failed counts as one failure of its kind."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        noted = [value for name, value in report.user_properties if name == FAULT]
        if report.when == "call":
            for kind, count in noted:
                self.done[kind] += count
        if report.failed and "tests/faults/" in report.nodeid:
            self.failed[report.nodeid] += 1
        if report.skipped and "tests/faults/" in report.nodeid and isinstance(report.longrepr, tuple):
            self.skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        worker = hasattr(session.config, "workerinput")
        if os.environ.get("SS_TEST_FULL") == "1" and self.done and not worker:
            PAGE.parent.mkdir(exist_ok=True)
            PAGE.write_text(self.page(), "utf-8")

    def page(self) -> str:
        rows = [f"| {kind} | {count:,} |" for kind, count in sorted(self.done.items())]
        skipped = [f"- skipped: {why} ({count})" for why, count in sorted(self.skipped.items())]
        failed = [f"- FAILED: {name}" for name in sorted(self.failed)] or ["- no failure"]
        head = [
            "# Faults",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, seed {self.seed}",
            "",
            "| tried | times |",
            "| --- | ---: |",
        ]
        return "\n".join([*head, *rows, "", *failed, *skipped, ""])
