"""The stages of a batching run and what each took: for the ledger, the log beside the results, and whoever watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import canonical
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import SsError
from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.stages import Stage, record_stages

STAGES = ("validate", "rules", "sizes", "clustering", "rooms", "membership", "enrolment", "quality", "report")
WORDS = {
    "validate": "checking the files",
    "rules": "reading the rules",
    "sizes": "choosing sizes",
    "clustering": "putting students together",
    "rooms": "finding rooms and shifts",
    "membership": "writing who is where",
    "enrolment": "writing who takes what",
    "quality": "measuring, and checking the files",
    "report": "writing the report",
}


@dataclass
class Journal:
    """What has ended so far. A stage that an earlier, killed run had ended keeps that run's line."""

    run_id: str
    reporter: Reporter
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, *, shown: bool = True) -> Iterator[dict[str, Counts]]:
        """A stage while it runs; what it puts into the book is counted in its line. Some show themselves."""
        started, book = datetime.now(UTC), dict[str, Counts]()
        words = f"{STAGES.index(name) + 1}/{len(STAGES)} {WORDS[name]}"
        with phase(self.reporter, words) if shown else nullcontext():
            yield book
        self.ended(Stage(self.run_id, name, started, datetime.now(UTC), book))

    def ended(self, stage: Stage) -> None:
        for name, counts in stage.counts.items():
            counts.check(f"{stage.name}, {name}")
        self.stages.append(stage)

    def record(self, context: Context, command: str, wait: float) -> None:
        """The lines of the ledger, which come before that of the whole run."""
        if self.stages:
            digest = context.configuration.digest
            record_stages(context.workspace, context.limits, command, self.stages, digest, wait)

    @contextmanager
    def recorded_on_failure(self, context: Context, command: str) -> Iterator[None]:
        """What had ended has its lines too where the rest fails; that never hides the failure itself."""
        try:
            yield
        except BaseException:
            with suppress(SsError):
                self.record(context, command, 0.0)
            raise

    def log(self) -> str:
        """As JSON lines: when each stage began, how long it took, what went through it. No id and no name is in it."""
        return "".join(_line(stage) for stage in self.stages)


def all_kept(rows: int) -> Counts:
    """The books of a step that loses nothing."""
    return Counts(rows, rows)


def _line(stage: Stage) -> str:
    counts = {name: [one.read, one.kept, one.rejected, one.duplicate] for name, one in stage.counts.items()}
    said = {
        "run_id": stage.run_id,
        "stage": stage.name,
        "started": stage.started.isoformat(timespec="milliseconds"),
        "seconds": round(stage.seconds, 3),
        "read_kept_rejected_duplicate": counts,
    }
    return canonical(said) + "\n"


def stage_text(stage: Stage) -> str:
    """A stage as a killed run leaves it for the next one."""
    counts = {name: [one.read, one.kept, one.rejected, one.duplicate] for name, one in stage.counts.items()}
    return json.dumps([stage.run_id, stage.name, stage.started.isoformat(), stage.finished.isoformat(), counts])


def stage_of(text: str) -> Stage:
    run_id, name, started, finished, counts = json.loads(text)
    books = {table: Counts(*numbers) for table, numbers in counts.items()}
    return Stage(run_id, name, datetime.fromisoformat(started), datetime.fromisoformat(finished), books)
