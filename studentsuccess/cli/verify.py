"""`ss verify`."""

from __future__ import annotations

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.errors import ExitCode


def register(app: typer.Typer) -> None:
    @command(app, "verify", epilog="Example: ss verify -w my-school -f json")
    def verify(frame: Frame) -> None:
        """Hold files, tables and models against the ledger."""
        from studentsuccess.tasks import verify as task
        from studentsuccess.tasks.context import Context

        with frame.working("checking files and tables"):
            report = task.run(Context(frame.configuration(), frame.wait))
        document = {
            "ok": not report.damaged,
            "damage": len(report.damaged),
            "findings": [
                {"level": one.level, "subject": one.subject, "what": one.what, "fix": one.fix}
                for one in report.findings
            ],
        }
        rows = [(one.level, one.subject, one.what) for one in report.findings]
        hints = tuple(f"hint: {one.fix}" for one in report.damaged if one.fix)
        frame.output.result(document, Table(("level", "subject", "what"), rows, tuple(dict.fromkeys(hints))))
        if report.damaged:
            raise typer.Exit(int(ExitCode.CONTRACT))
