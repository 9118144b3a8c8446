"""`ss publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.tasks.publish import PublishPlan, PublishResult

Personal = Annotated[bool, typer.Option("--include-personal", help="Also what may name students.")]


def register(app: typer.Typer) -> None:
    @command(app, "publish", changes=True, epilog="Example: ss publish --to s3://my-artifacts/prod --dry-run")
    def publish(frame: Frame, to: flags.To = None, include_personal: Personal = False) -> None:
        """Copy pages, figures and marts to a folder or an object store."""
        configuration = frame.configuration({"publish.include_personal": include_personal or None})
        from studentsuccess.tasks import publish as task
        from studentsuccess.tasks.context import Context

        with frame.working("looking at what is there"):
            made = task.plan(to, Context(configuration, frame.wait))
        for warning in made.warnings:
            frame.output.warn(warning)
        if frame.dry_run:
            _show_plan(frame, made)
        else:
            _show(frame, task.run(made, frame.reporter()))


def _show_plan(frame: Frame, made: PublishPlan) -> None:
    document = {
        "plan": "publish",
        "to": made.to,
        "files": [{"path": one.file.path, "size": one.file.size, "state": one.state} for one in made.states],
        "left_out": _left_out(made),
        "writes": [one.file.path for one in made.states if not one.same],
        "already_published": made.published is not None,
        "warnings": list(made.warnings),
    }
    words = [f"to  {made.to}"]
    words += [f"already published by run {made.published}: a run would send nothing"] if made.published else []
    rows = [(one.file.path, one.file.size, one.state) for one in made.states]
    frame.output.result(document, Table(("file", "bytes", "state"), rows, words))
    _tell(frame, made)


def _show(frame: Frame, result: PublishResult) -> None:
    made, sent = result.made, {one.file.path for one in result.sent}
    document = {
        "run_id": result.run_id,
        "to": made.to,
        "manifest": made.manifest,
        "files": [
            {"path": one.path, "size": one.size, "sha256": one.sha256, "uri": uri, "sent": one.path in sent}
            for one, uri in ((one.file, made.shipment.store.uri(one.file.path)) for one in made.states)
        ],
        "left_out": _left_out(made),
        "already_published": result.already_published,
    }
    rows = [(one.file.path, one.file.size, "sent" if one.file.path in sent else one.state) for one in made.states]
    frame.output.result(document, Table(("file", "bytes", "state"), rows))
    _tell(frame, made)
    if result.already_published:
        frame.output.note(f"already published to {made.to} by run {result.run_id}: nothing new, nothing sent")
    else:
        same = f", {_files(len(made.states) - len(sent))} stood there already" if len(sent) < len(made.states) else ""
        frame.output.note(
            f"run {result.run_id}: {_files(len(sent))} sent to {made.to}{same}; listed in {made.manifest}"
        )


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _left_out(made: PublishPlan) -> list[dict[str, str]]:
    return [{"path": one.path, "why": one.why} for one in made.left_out]


def _tell(frame: Frame, made: PublishPlan) -> None:
    """What stays, what leaves with ids in it, what is left lying there."""
    for why in dict.fromkeys(one.why for one in made.left_out):
        names = [one.path for one in made.left_out if one.why == why]
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        way = "; `--include-personal` sends it" if why == "may name students" else ""
        frame.output.note(f"left out, {why}: {', '.join(names[:3])}{more}{way}")
    if made.with_ids:
        frame.output.note(
            f"{_files(made.with_ids)} with students' ids; `privacy.pseudonymous_ids` puts pseudonyms in their place"
        )
    if made.seen.unlisted:
        frame.output.note(f"{_files(made.seen.unlisted)} from before are still there, but not listed any more")
