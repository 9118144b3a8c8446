"""`ss verify`: the world held against the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.verify import Finding, verify


@dataclass(frozen=True)
class VerifyReport:
    """All that was looked at."""

    findings: tuple[Finding, ...]

    @property
    def damaged(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level == "damage")


def run(context: Context) -> VerifyReport:
    """Look at everything; change nothing."""
    return VerifyReport(tuple(verify(context.workspace, context.limits)))
