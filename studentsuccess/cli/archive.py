"""`ss archive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.tasks.archive import ArchivePlan


def register(app: typer.Typer) -> None:
    @command(app, "archive", changes=True, epilog="Example: ss archive --older-than 30d --dry-run")
    def archive(
        frame: Frame,
        job: Annotated[
            str | None, typer.Argument(metavar="JOB", help="A job, by the name it was given.", show_default=False)
        ] = None,
        older_than: flags.OlderThan = None,
    ) -> None:
        """Put jobs aside in Azure, and mark them here."""
        from studentsuccess.tasks import archive as task
        from studentsuccess.tasks.context import Context

        made = task.plan(job, older_than, Context(frame.configuration(), frame.wait))
        if frame.dry_run or not made.names:
            _show(frame, made, None)
            return
        count = len(made.names)
        for name in made.names:
            frame.output.note(f"  {name}")
        if not frame.output.confirm(f"archive {count} {'job' if count == 1 else 'jobs'} in {made.place.shown}?"):
            frame.output.note("nothing was archived")
            return
        with frame.working("asking Azure"):
            done = task.run(made)
        _show(frame, made, done.run_id)


def _show(frame: Frame, made: ArchivePlan, run_id: str | None) -> None:
    document = {
        "plan" if frame.dry_run else "run_id": "archive" if frame.dry_run else run_id,
        "archived": list(made.names),
        "already_archived": list(made.already),
    }
    word = "would be archived" if frame.dry_run else "archived"
    rows = [(name, word) for name in made.names] + [(name, "archived already") for name in made.already]
    frame.output.result(document, Table(("job", "state"), rows))
    if not rows:
        frame.output.note("no job is that old: nothing to archive")
