"""`ss marts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.groups import running
from studentsuccess.cli.output import Table
from studentsuccess.core.counts import rows_of
from studentsuccess.errors import ExitCode

if TYPE_CHECKING:
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.marts import MartsPlan, MartsResult
    from studentsuccess.tasks.marts_publish import CheckResult, PublishPlan, PublishResult, TableState

BARE = "build"
Schema = Annotated[
    str | None,
    typer.Option("--schema", help="Schema in the database; default: mart.", metavar="NAME", show_default=False),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=running(BARE),
        invoke_without_command=True,
        help="Tables for BI tools: build, publish, check.",
        epilog="Example: ss marts build -f json",
    )
    app.add_typer(group, name="marts")

    @command(group, BARE, changes=True, group="marts", epilog="Example: ss marts build --set privacy.min_cell=20")
    def build(frame: Frame) -> None:
        """Make the tables that BI tools bind to, with small numbers hidden."""
        context = _context(frame)
        from studentsuccess.tasks import marts as task

        with frame.working("looking at the predictions"):
            made = task.plan(context)
        if frame.dry_run:
            _show_build_plan(frame, made)
        else:
            _show_build(frame, task.run(made, frame.reporter()))

    @command(group, "publish", changes=True, group="marts", epilog="Example: ss marts publish --to sqlite:///bi.db")
    def publish(frame: Frame, to: flags.To = None, schema: Schema = None) -> None:
        """Copy the marts to a database or a folder, all at once."""
        context = _context(frame, schema)
        from studentsuccess.tasks import marts_publish as task

        with frame.working("looking at what is there"):
            made = task.plan(to, context)
        for warning in made.warnings:
            frame.output.warn(warning)
        if frame.dry_run:
            _show_publish_plan(frame, made)
        else:
            _show_publish(frame, task.run(made, frame.reporter()))

    @command(group, "check", group="marts", epilog="Example: ss marts check --to sqlite:///bi.db -f json")
    def check(frame: Frame, to: flags.To = None, schema: Schema = None) -> None:
        """Count what was published, and hold it against the marts here."""
        context = _context(frame, schema)
        from studentsuccess.tasks import marts_publish as task

        with frame.working("counting"):
            found = task.check(to, context)
        _show_check(frame, found)
        if not found.ok:
            raise typer.Exit(int(ExitCode.CONTRACT))


def _context(frame: Frame, schema: str | None = None) -> Context:
    from studentsuccess.core.memory import prepare_process

    prepare_process()
    from studentsuccess.tasks.context import Context

    return Context(frame.configuration({"publish.database_schema": schema}), frame.wait)


def _show_build_plan(frame: Frame, made: MartsPlan) -> None:
    document = {
        "plan": "marts build",
        "reads": {"predictions": made.inputs.predictions},
        "writes": list(made.files),
        "pseudonymous": made.alias_key is not None,
        "already_built": bool(made.done),
    }
    words = [f"reads  {made.inputs.predictions:,} predictions"]
    words += [f"already built by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("writes",), [(file,) for file in made.files], words))


def _show_build(frame: Frame, result: MartsResult) -> None:
    standing = result.standing
    document = {
        "run_id": result.run_id,
        "tables": dict(standing.rows),
        "suppressed": standing.suppressed,
        "undated": list(standing.undated),
        "files": list(result.files),
        "already_built": result.already_built,
    }
    frame.output.result(document, Table(("mart", "rows"), list(standing.rows.items())))
    if standing.undated:
        named = ", ".join(f"`{term}`" for term in standing.undated)
        frame.output.warn(
            f"nobody knows when {named} began, so its `run_date` is the day of the load",
            f"say it: `--set marts.term_starts={standing.undated[0]}=YYYY-MM-DD`",
        )
    if result.already_built:
        frame.output.note(f"already built by run {result.run_id}: nothing new, nothing changed")
        return
    hidden = standing.suppressed
    told = f", {rows_of(hidden)} of the summary with something hidden" if hidden else ""
    frame.output.note(f"run {result.run_id}: {len(standing.rows)} marts{told}; samples in {_folder(result)}")


def _folder(result: MartsResult) -> str:
    return result.files[0].rpartition("/")[0]


def _tables(found: tuple[TableState, ...]) -> list[dict[str, object]]:
    return [{"name": one.name, "here": one.here, "there": one.there, "state": one.state} for one in found]


def _rows(found: tuple[TableState, ...]) -> list[tuple[object, ...]]:
    return [(one.name, one.here, one.there, one.state) for one in found]


def _show_publish_plan(frame: Frame, made: PublishPlan) -> None:
    document = {
        "plan": "marts publish",
        "to": made.place.shown,
        "tables": _tables(made.tables),
        "writes": list(made.changed),
        "pseudonymous": made.alias_key is not None,
        "warnings": list(made.warnings),
    }
    words = [f"to  {made.place.shown}"] + (
        [] if made.changed else ["all of them are there: a run would change nothing"]
    )
    frame.output.result(document, Table(("mart", "here", "there", "state"), _rows(made.tables), words))


def _show_publish(frame: Frame, result: PublishResult) -> None:
    document = {
        "run_id": result.run_id,
        "to": result.to,
        "tables": {one.name: one.here for one in result.tables},
        "changed": [one.name for one in result.tables if not one.current],
        "pseudonymous": result.pseudonymous,
        "already_published": result.already_published,
    }
    rows = [(one.name, one.here, "as before" if one.current else "published") for one in result.tables]
    frame.output.result(document, Table(("mart", "rows", "state"), rows))
    if result.already_published:
        frame.output.note(f"already published to {result.to}: nothing new, nothing changed")
        return
    total = sum(one.here for one in result.tables if not one.current)
    under = ", students under pseudonyms" if result.pseudonymous else ""
    frame.output.note(f"run {result.run_id}: {rows_of(total)} published to {result.to}{under}")


def _show_check(frame: Frame, found: CheckResult) -> None:
    document = {"ok": found.ok, "to": found.to, "tables": _tables(found.tables)}
    words = () if found.ok else ("hint: `ss marts publish` with the same `--to` brings them up to date",)
    frame.output.result(document, Table(("mart", "here", "there", "state"), _rows(found.tables), words))
