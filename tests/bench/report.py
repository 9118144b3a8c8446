"""What was measured, what it may be, and whether it is: one table for people, one document for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from measure import MB, BenchError, Sample

OK, MISSED, SKIPPED, SHOWN = "ok", "MISSED", "skipped", "-"
HEADINGS = ("name", "measured", "limit", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of the result. `value` is the bare number behind `measured`, where there is one."""

    name: str
    measured: str
    limit: str
    verdict: str
    value: float | None = None

    def cells(self) -> tuple[str, ...]:
        return (self.name, self.measured, self.limit, self.verdict)


@dataclass
class Section:
    """The rows of one benchmark, and the samples they were computed from."""

    name: str
    rows: list[Row] = field(default_factory=list)
    samples: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        return any(row.verdict == MISSED for row in self.rows)

    def times(self, name: str, value: float, *, most: float, note: str = "", judged: bool = True) -> None:
        """A ratio that must not be above `most`."""
        self._judge(name, f"{value:.2f}x", f"<= {most:g}x{note}", value <= most, judged, value)

    def faster(self, name: str, value: float, *, least: float, judged: bool = True) -> None:
        """A ratio that must not be below `least`."""
        self._judge(name, f"{value:.2f}x", f">= {least:g}x", value >= least, judged, value)

    def seconds(self, name: str, value: float, *, most: float) -> None:
        """A time that was promised for a machine with two processors."""
        self._judge(name, f"{value:.1f} s", f"<= {most:g} s", value <= most, True, value)

    def reached(self, name: str, value: float, *, least: float, judged: bool = True) -> None:
        """A share that must not be below `least`."""
        self._judge(name, f"{value:.4f}", f">= {least:g}", value >= least, judged, value)

    def memory(self, name: str, value: float, *, most: float, below: bool = False) -> None:
        """Bytes that must not be above `most`, or must be `below` it."""
        good = value < most if below else value <= most
        limit = f"{'<' if below else '<='} {most / MB:.0f} MB"
        self._judge(name, f"{value / MB:.0f} MB", limit, good, True, value)

    def equal(self, name: str, found: object, expected: object) -> None:
        """What must be exactly so."""
        self._judge(name, _short(found), _short(expected), found == expected, True, None)

    def shown(self, name: str, measured: str, value: float | None = None) -> None:
        """What is worth knowing and has no limit."""
        self.rows.append(Row(name, measured, "", SHOWN, value))

    def skipped(self, name: str, reason: str) -> None:
        self.rows.append(Row(name, reason, "", SKIPPED))

    def keep(self, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Every single run, for whoever doubts a median."""
        for name, runs in samples.items():
            costs = [{"wall": run.wall, "cpu": run.cpu, "peak": run.peak} for run in runs]
            self.samples.setdefault(name, []).extend(costs)

    def attempt(self, name: str, part: Callable[[], None]) -> None:
        """Run one part; when it can't be measured that is a missed line, and the other parts still run."""
        try:
            part()
        except BenchError as problem:
            self.rows.append(Row(name, " ".join(str(problem).split()), "", MISSED))

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def _judge(self, name: str, measured: str, limit: str, good: bool, judged: bool, value: float | None) -> None:
        verdict = (OK if good else MISSED) if judged else SHOWN
        self.rows.append(Row(name, measured, limit, verdict, value))


def note(message: str) -> None:
    """Say on stderr what is being done."""
    sys.stderr.write(f"bench: {message}\n")
    sys.stderr.flush()


def table(section: Section) -> str:
    """The rows of a section, aligned."""
    lines = [tuple(f"{section.name}: {HEADINGS[0]}" if not at else text for at, text in enumerate(HEADINGS))]
    lines += [row.cells() for row in section.rows]
    widths = [max(len(line[at]) for line in lines if at == 0 or len(line[at]) <= 40) for at in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _short(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
