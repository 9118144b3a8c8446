"""An OULAD export, in any of the dialects that circulate: read, cross-checked, and mapped to `core`.

Tables come in the order of their references, so that every row can be held against what it refers to while its text is
still at hand. studentVle streams straight into the shape of `core.activity`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from studentsuccess.core.counts import Counts, rows_of
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.landing import Pass, Task, run_pass, settle_all
from studentsuccess.core.layout import Rows, Rules
from studentsuccess.core.reporter import Reporter
from studentsuccess.core.stream import Input
from studentsuccess.sources.landed import SPREADSHEET_ROWS, Landed, Places, Reading
from studentsuccess.sources.oulad_layout import (
    ASSESSMENTS,
    CLICKS,
    COURSES,
    REGISTRATION,
    SMALL,
    STUDENT_INFO,
    SUBMISSIONS,
    VLE,
    WEEKLY_CLICKS,
    OuladFiles,
    OuladTable,
)
from studentsuccess.sources.oulad_rules import (
    AssessmentIndex,
    Checked,
    ClickRules,
    EnrolmentIndex,
    RunIndex,
    SubmissionRules,
    in_range,
)

CLICK_ROW_BYTES = 20
# How `oulad_rules` begins the reason of a row that refers to nothing.
ORPHAN = "no such "


@dataclass(frozen=True)
class OuladLanded:
    """A whole export, read and cross-checked: the six small tables in memory, clicks in staging."""

    tables: dict[str, pa.Table]
    clicks: Landed | None
    landed: tuple[Landed, ...]
    notes: tuple[str, ...]

    def counts(self) -> dict[str, Counts]:
        return {one.name: one.counts for one in self.landed}


class _Lander:
    """Lands one table after another, and keeps the small ones for those that refer to them."""

    def __init__(self, files: OuladFiles, reading: Reading, places: Places, reporter: Reporter) -> None:
        self._files, self._reading, self._places, self._reporter = files, reading, places, reporter
        self.landed: list[Landed] = []
        self.notes: list[str] = []

    def small(self, table: OuladTable, rules: Rules) -> pa.Table:
        """A table that fits memory."""
        found, gone = self._land(table, rules)
        return pa.Table.from_batches(found.staged_file.kept(gone), found.schema)

    def clicks(self, rules: Rules) -> Landed | None:
        """studentVle, however large: it stays in its staging file."""
        if not self._files.has(CLICKS):
            self.notes.append("studentVle is missing: there are no clicks, and predictions will know much less")
            return None
        self._land(WEEKLY_CLICKS if self._files.weekly else CLICKS, rules)
        if self._files.weekly:
            self.notes.append("studentVle is a weekly sum: each week's clicks stand on its last day, without a kind")
        elif not self._files.has(VLE):
            self.notes.append("vle is missing: the kinds of activity are unknown")
        return self.landed[-1]

    def _land(self, table: OuladTable, rules: Rules) -> tuple[Pass, Rows]:
        probes = self._files.by_table[table.name]
        inputs = tuple(probe.given for probe in probes)
        size = sum(given.origin.path.stat().st_size for given in inputs)
        expected = max(1000, size // CLICK_ROW_BYTES)
        task = task_of(table, inputs, self._reading, rules, expected)
        letters = self._places.letters(table.name)
        step = self._reporter.step(table.name, expected)
        try:
            found = run_pass(task, self._places.staging / f"{table.name}.arrow", letters, step)
        finally:
            step.close()
        settled = settle_all(task, found, letters)
        self.landed.append(
            Landed(table.name, inputs, found.staging, found.schema, task.layout, settled.counts, letters)
        )
        self.notes.extend(_orphans(table.name, letters))
        if not found.read:
            self.notes.append(f"{table.name} has 0 data rows")
        if any(book.read == SPREADSHEET_ROWS for book in found.books):
            self.notes.append(
                f"{table.name} has exactly {SPREADSHEET_ROWS:,} rows, a spreadsheet's limit: rows are probably missing"
            )
        return found, settled.gone


def _orphans(table: str, letters: DeadLetters) -> Iterator[str]:
    """How many rows of a table refer to nothing, by what they miss."""
    for reason, (count, first) in letters.reasons.items():
        if reason.startswith(ORPHAN):
            yield f"{table}: {rows_of(count)} with {reason}, first in {first}"


def task_of(table: OuladTable, inputs: tuple[Input, ...], reading: Reading, rules: Rules, expected: int) -> Task:
    """How a table is landed: a key stands for one row, and clicks have none, because repeats of them are meant."""
    return Task(
        table.name,
        inputs,
        table.layout(reading.null_values),
        reading.stream,
        rules,
        keys=table.key,
        unique=True,
        drop=True,
        expected_rows=expected,
    )


def rules_of(table: OuladTable, tables: Mapping[str, pa.Table], *, weekly: bool) -> Rules:
    """The references and ranges of one table, held against those that come before it."""
    if table is COURSES:
        return Checked((in_range("module_presentation_length", 1, 10_000),))
    runs = RunIndex.of(tables[COURSES.name])
    if table is ASSESSMENTS:
        return Checked((runs.check, in_range("date")))
    if table is VLE:
        return Checked((runs.check,))
    if table is STUDENT_INFO:
        return Checked((runs.check, in_range("num_of_prev_attempts", 0), in_range("studied_credits", 0)))
    enrolments = EnrolmentIndex.of(runs, tables[STUDENT_INFO.name])
    if table is REGISTRATION:
        return Checked((enrolments.check, in_range("date_registration"), in_range("date_unregistration")))
    if table is SUBMISSIONS:
        return SubmissionRules(AssessmentIndex.of(tables[ASSESSMENTS.name], enrolments))
    return ClickRules.of(enrolments, tables.get(VLE.name), weekly=weekly)


def land(files: OuladFiles, reading: Reading, places: Places, reporter: Reporter) -> OuladLanded:
    """Read all tables in the order of their references."""
    lander = _Lander(files, reading, places, reporter)
    tables: dict[str, pa.Table] = {}
    for table in SMALL:
        if files.has(table):
            tables[table.name] = lander.small(table, rules_of(table, tables, weekly=False))
    clicks = lander.clicks(rules_of(CLICKS, tables, weekly=files.weekly))
    return OuladLanded(tables, clicks, tuple(lander.landed), tuple(lander.notes))
