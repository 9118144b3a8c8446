"""`ss init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table


def register(app: typer.Typer) -> None:
    @command(app, "init", changes=True, epilog="Example: ss init my-school")
    def init(
        frame: Frame,
        folder: Annotated[
            Path | None, typer.Argument(metavar="[DIR]", help="The folder; this one if left out.", show_default=False)
        ] = None,
    ) -> None:
        """Make a workspace with a commented config.toml."""
        from studentsuccess.tasks import init as task

        if frame.sets or frame.config:
            frame.configuration()
        made = task.plan(folder or frame.workspace or Path())
        place = f" -w {made.folder}" if made.folder != Path() else ""
        document = {"workspace": str(made.folder), "config": str(made.config), "exists": made.exists}
        if not frame.dry_run and not made.exists:
            task.run(made)
        what = "there already, left as it is" if made.exists else "would be written" if frame.dry_run else "written"
        frame.output.result(document, Table(("file", "state"), [(str(made.config), what)]))
        if not frame.dry_run:
            frame.output.note(f"next: `ss etl FILES{place}`, or `ss etl --demo{place}`")
