"""An etl plan in words: what `--dry-run` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studentsuccess.core.formats import Format
from studentsuccess.core.infer import look
from studentsuccess.core.origin import GZIP, ZSTD, first_bytes
from studentsuccess.sources.landed import SPREADSHEET_ROWS
from studentsuccess.tasks.etl import SPACE_FACTOR, EtlPlan

# A spreadsheet's full sheet is at least this large, and reading much more to count its lines is no longer a plan.
LEAST_SHEET, MOST_SHEET = 4 << 20, 1 << 30


@dataclass(frozen=True)
class PlanShown:
    """A plan as rows, words and a document."""

    rows: tuple[tuple[object, ...], ...]
    words: tuple[str, ...]
    facts: Mapping[str, object]

    def document(self) -> Mapping[str, object]:
        return self.facts


def describe(made: EtlPlan) -> PlanShown:
    """Everything that a run would do; a beginning that a run would refuse is refused here."""
    reading = made.context.reading()
    for one in made.probes():
        look(one.given, one.names, reading.null_values, reading.stream.max_record)
    of_table = _tables(made)
    rows = tuple(
        (
            one.given.origin.shown,
            of_table[one.given.origin.shown],
            one.given.format.value,
            len(one.names),
            one.given.origin.path.stat().st_size,
        )
        for one in made.probes()
    )
    warnings = (*made.warnings, *_full_sheets(made))
    workspace = made.context.workspace
    words = (
        f"kind    {made.kind}: {made.why}",
        f"writes  {made.context.shown(workspace.warehouse)}"
        f" (about {made.size * SPACE_FACTOR / 2e6:,.0f} MB; {made.free / 1e9:,.0f} GB free)",
        *(f"warning {warning}" for warning in warnings),
        *([f"already loaded by run {made.done}: a run would change nothing"] if made.done else []),
    )
    facts = {
        "plan": "etl",
        "kind": made.kind,
        "why": made.why,
        "reads": [dict(zip(("path", "table", "format", "columns", "bytes"), row, strict=True)) for row in rows],
        "writes": [str(workspace.warehouse), *(str(workspace.datasets / one.name) for one in made.datasets)],
        "already_loaded": bool(made.done),
        "warnings": list(warnings),
    }
    return PlanShown(rows, words, facts)


def _tables(made: EtlPlan) -> dict[str, str]:
    if made.export is None:
        return {one.given.origin.shown: dataset.name for dataset in made.datasets for one in dataset.probes}
    return {one.given.origin.shown: name for name, probes in made.export.by_table.items() for one in probes}


def _full_sheets(made: EtlPlan) -> list[str]:
    """Files that end exactly where a spreadsheet ends."""
    return [
        f"{one.given.origin.shown}: exactly {SPREADSHEET_ROWS:,} rows, a spreadsheet's limit: rows are probably missing"
        for one in made.probes()
        if one.given.format is Format.CSV
        and LEAST_SHEET <= one.given.origin.path.stat().st_size <= MOST_SHEET
        and not first_bytes(one.given.origin.path).startswith((GZIP, ZSTD))
        and _line_count(one.given.origin.path.open("rb")) == SPREADSHEET_ROWS + 1
    ]


def _line_count(source: object) -> int:
    from typing import BinaryIO, cast

    lines, last = 0, b"\n"
    with cast(BinaryIO, source) as stream:
        while chunk := stream.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")
