"""`ss doctor`."""

from __future__ import annotations

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.errors import ExitCode


def register(app: typer.Typer) -> None:
    @command(app, "doctor", epilog="Example: ss doctor -f json")
    def doctor(frame: Frame) -> None:
        """Look for trouble on this machine and in this workspace."""
        from studentsuccess.tasks import doctor as task
        from studentsuccess.tasks.context import Context

        checks = task.run(Context(frame.configuration(), frame.wait))
        document = {
            "ok": all(one.level != "problem" for one in checks),
            "checks": [
                {"topic": one.topic, "level": one.level, "value": one.value, "hint": one.hint} for one in checks
            ],
        }
        rows = [(one.topic, one.value, "" if one.level == "ok" else one.level) for one in checks]
        hints = tuple(f"hint: {one.topic}: {one.hint}" for one in checks if one.hint)
        frame.output.result(document, Table(("topic", "value", "level"), rows, hints))
        if any(one.level == "problem" for one in checks):
            raise typer.Exit(int(ExitCode.FAILED))
