"""The same from a notebook or another program: what the commands do, as functions.

import studentsuccess as ss
result = ss.etl(["exports/grades.csv"], workspace="my-school", ids=["student_id"])
result.tables["grades"].kept
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.reporter import Reporter, SilentReporter
from studentsuccess.tasks import etl as etl_task
from studentsuccess.tasks import etl_demo, etl_retry
from studentsuccess.tasks import verify as verify_task
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import EtlRequest, EtlResult
from studentsuccess.tasks.inputs import resolved
from studentsuccess.warehouse.verify import Finding


def etl(
    inputs: Iterable[str | Path],
    workspace: str | Path = ".",
    *,
    kind: Literal["auto", "table", "oulad"] = "auto",
    name: str | None = None,
    ids: Iterable[str] = (),
    target: str | None = None,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Read files, check every row, and load them. `settings` are dotted paths, such as `{"etl.max_rejects": "5%"}`."""
    context = _context(workspace, settings, wait)
    request = EtlRequest(kind, name, tuple(ids), target)
    with resolved([str(one) for one in inputs]) as files:
        return etl_task.run(etl_task.plan(request, files, context), request, reporter or SilentReporter())


def etl_generated(
    workspace: str | Path = ".",
    *,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Generate data with a known truth and load it, as `ss etl --demo`."""
    context = _context(workspace, settings, wait)
    return etl_demo.run(etl_demo.plan(context), reporter or SilentReporter())


def etl_mended(
    file: str | Path,
    workspace: str | Path = ".",
    *,
    settings: Mapping[str, object] | None = None,
    reporter: Reporter | None = None,
    wait: float = 0.0,
) -> EtlResult:
    """Load mended dead letters, as `ss etl --retry`."""
    context = _context(workspace, settings, wait)
    return etl_retry.run(etl_retry.plan(Path(file), context), reporter or SilentReporter())


def verify(workspace: str | Path = ".") -> tuple[Finding, ...]:
    """Hold files, tables and models against the ledger; changes nothing."""
    return verify_task.run(_context(workspace, None, 0.0)).findings


def _context(workspace: str | Path, settings: Mapping[str, object] | None, wait: float) -> Context:
    return Context(load(Overrides(workspace=Path(workspace), flags=dict(settings or {}))), wait)
