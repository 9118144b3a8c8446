"""The reports that are no page: a text for a terminal or a mail, a table of all batches, a document for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from studentsuccess.batching.pages import NAMES, TITLE, VERDICTS
from studentsuccess.batching.quality import Measure
from studentsuccess.batching.report_facts import Facts


def text(facts: Facts) -> str:
    """The gist, one line a thing."""
    return "\n".join(line.rstrip() for line in _lines(facts)) + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    least, target, most = facts.sizes
    yield TITLE
    yield f"{facts.students:,} students in {len(facts.batches):,} batches of {least} to {most} (target {target})"
    yield f"from {facts.day.isoformat()} on"
    yield ""
    yield f"{'measure':<34}{'value':>8}{'at most':>9}{'wanted':>8}  verdict"
    for name, measure in facts.quality.measures.items():
        wanted = "-" if measure.threshold is None else f"{measure.threshold:.2f}"
        figures = f"{measure.value:>8.3f}{measure.ceiling:>9.3f}{wanted:>8}"
        yield f"{NAMES[name]:<34}{figures}  {VERDICTS[measure.verdict]}"
    yield ""
    closed = "-" if facts.gap_closed is None else f"{facts.gap_closed:.1%}"
    yield f"objective {facts.objective:.4f}, bound {facts.bound:.4f}, by lot {facts.random:.4f}, gap closed {closed}"
    yield ""
    for one in facts.shifts:
        yield f"{one.name}: {one.used:,} of {one.open:,} rooms, {one.students:,} students on {one.seats:,} seats"
    yield ""
    for rule in facts.rules:
        yield f"{rule.code} ({rule.kind}): " + (
            f"not kept in {rule.broken:,} of {len(facts.batches):,} batches" if rule.broken else "kept"
        )
    for note in facts.notes:
        yield f"note: {note}"


def table(facts: Facts) -> pa.Table:
    """A row a batch."""
    names = (
        "batch_id", "code", "program", "year", "size", "coherence", "jaccard", "room", "shift", "capacity", "fill",
        "wished", "courses", "pooled", "violations",
    )  # fmt: skip
    called = {"code": "batch_code", "program": "program_id", "year": "academic_year", "fill": "utilization"}
    return pa.table({called.get(name, name): [getattr(row, name) for row in facts.batches] for name in names})


def document(facts: Facts, run_id: str) -> dict[str, object]:
    """Everything but students."""
    return {
        "run_id": run_id,
        "date": facts.day.isoformat(),
        "students": facts.students,
        "batches": len(facts.batches),
        "cells": facts.cells,
        **objective(facts.objective, facts.bound, facts.random, facts.gap_closed),
        "measures": measures(facts.quality.measures),
        "balance_by_program": dict(facts.balance),
        "rules": [
            {"rule": one.code, "says": one.words, "hard": one.hard, "weight": one.weight, "batches": one.broken}
            for one in facts.rules
        ],
        "shifts": [
            {"shift": one.name, "open": one.open, "used": one.used, "seats": one.seats, "students": one.students}
            for one in facts.shifts
        ],
        "notes": list(facts.notes),
    }


def objective(value: float, bound: float, random: float, gap_closed: float | None) -> dict[str, float | None]:
    return {"objective": value, "bound": bound, "random": random, "gap_closed": gap_closed}


def measures(found: Mapping[str, Measure]) -> dict[str, dict[str, object]]:
    """As `quality.json` and `-f json` have them."""
    return {
        name: {"value": one.value, "ceiling": one.ceiling, "threshold": one.threshold, "verdict": one.verdict}
        for name, one in found.items()
    }
