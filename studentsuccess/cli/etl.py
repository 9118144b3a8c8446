"""`ss etl`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table, typing_is_expected
from studentsuccess.core.counts import rows_of
from studentsuccess.errors import UsageError

if TYPE_CHECKING:
    from studentsuccess.config.layers import Configuration
    from studentsuccess.tasks.etl import EtlPlan, EtlResult


class KindChoice(StrEnum):
    """What the files are."""

    AUTO = "auto"
    TABLE = "table"
    OULAD = "oulad"


class DuplicateChoice(StrEnum):
    """What becomes of identical rows."""

    AUTO = "auto"
    KEEP = "keep"
    DROP = "drop"


def register(app: typer.Typer) -> None:
    @command(app, "etl", changes=True, epilog="Example: ss etl exports/*.csv --id student_id --dry-run")
    def etl(
        frame: Frame,
        inputs: Annotated[
            list[str] | None,
            typer.Argument(metavar="[INPUT]...", help="Files, folders or patterns; - is stdin.", show_default=False),
        ] = None,
        kind: Annotated[KindChoice, typer.Option("--kind", help="What the files are.")] = KindChoice.AUTO,
        name: flags.Name = None,
        ids: flags.Ids = None,
        target: flags.Target = None,
        duplicates: Annotated[
            DuplicateChoice | None,
            typer.Option("--duplicates", help="Identical rows: auto drops them with --id.", show_default=False),
        ] = None,
        max_rejects: flags.MaxRejects = None,
        encoding: Annotated[
            str | None,
            typer.Option("--encoding", help="Such as latin-1, utf-16.", metavar="NAME", show_default=False),
        ] = None,
        delimiter: Annotated[
            str | None,
            typer.Option("--delimiter", help="Such as ; or tab.", metavar="MARK", show_default=False),
        ] = None,
        retry: Annotated[
            Path | None,
            typer.Option("--retry", help="Load mended dead letters.", metavar="DLQ_FILE", show_default=False),
        ] = None,
        demo: flags.Demo = False,
        students: Annotated[
            int | None,
            typer.Option("--students", help="Demo: how many students.", metavar="N", show_default=False),
        ] = None,
        weeks: flags.Weeks = None,
        seed: flags.Seed = None,
    ) -> None:
        """Read files, check every row, and load them."""
        given = {
            "etl.duplicates": duplicates.value if duplicates else None,
            "etl.max_rejects": max_rejects,
            "etl.encoding": encoding,
            "etl.delimiter": delimiter,
            "etl.demo_students": students,
            "etl.demo_weeks": flags.one_number(weeks, "--weeks"),
            "etl.seed": seed,
        }
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        configuration = frame.configuration(given)
        demo = demo or (configuration.settings.etl.demo and not inputs and retry is None)
        _one_source(inputs or [], demo, retry)
        if retry is not None:
            _retry(frame, configuration, retry)
        elif demo:
            _demo(frame, configuration)
        else:
            _files(frame, configuration, inputs or [], (kind.value, name, tuple(ids or ()), target))


def _one_source(inputs: list[str], demo: bool, retry: Path | None) -> None:
    given = [what for what, there in (("files", inputs), ("--demo", demo), ("--retry", retry is not None)) if there]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} can't go together", "say one of them")
    if not given:
        raise UsageError("nothing to load", "name files: `ss etl exports/*.csv`, or generate some: `ss etl --demo`")


def _files(
    frame: Frame,
    configuration: Configuration,
    inputs: list[str],
    asked: tuple[str, str | None, tuple[str, ...], str | None],
) -> None:
    from studentsuccess.tasks import etl
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.inputs import STDIN, resolved

    kind, name, ids, target = asked
    request = etl.EtlRequest(kind, name, flags.parts(ids), target)  # type: ignore[arg-type]
    if STDIN in inputs and typing_is_expected():
        frame.output.note("reading what you type; Ctrl-D on an empty line ends it")
    with resolved(inputs) as files:
        with frame.working("looking at the files"):
            made = etl.plan(request, files, Context(configuration, frame.wait))
        for warning in made.warnings:
            frame.output.warn(warning)
        if frame.dry_run:
            show_plan(frame, made)
            return
        frame.output.detail(f"{made.kind}: {made.why}")
        show_result(frame, etl.run(made, request, frame.reporter()))


def _demo(frame: Frame, configuration: Configuration) -> None:
    from studentsuccess.tasks import etl_demo
    from studentsuccess.tasks.context import Context

    made = etl_demo.plan(Context(configuration, frame.wait))
    if frame.dry_run:
        frame.output.result(made.document(), Table(("writes", "size"), made.rows(), made.words()))
        return
    show_result(frame, etl_demo.run(made, frame.reporter()))


def _retry(frame: Frame, configuration: Configuration, file: Path) -> None:
    from studentsuccess.tasks import etl_retry
    from studentsuccess.tasks.context import Context

    made = etl_retry.plan(file, Context(configuration, frame.wait))
    if frame.dry_run:
        frame.output.result(made.document(), Table(("reads", "into", "rows"), made.rows(), ()))
        return
    show_result(frame, etl_retry.run(made, frame.reporter()))


def show_plan(frame: Frame, made: EtlPlan) -> None:
    """What would be read and written, and what is known beforehand to be wrong."""
    from studentsuccess.tasks.etl_plan import describe

    shown = describe(made)
    frame.output.result(shown.document(), Table(("reads", "as", "format", "columns", "bytes"), shown.rows, shown.words))


def show_result(frame: Frame, result: EtlResult) -> None:
    """The books of every table, and where the dead letters are."""
    document = {
        "run_id": result.run_id,
        "kind": result.kind,
        "already_loaded": result.already_loaded,
        "tables": {
            name: {"read": one.read, "kept": one.kept, "rejected": one.rejected, "duplicate": one.duplicate}
            for name, one in result.tables.items()
        },
        "dead_letters": list(result.dead_letters),
        "outputs": list(result.outputs),
        "notes": list(result.notes),
    }
    rows = [(name, one.read, one.kept, one.rejected, one.duplicate) for name, one in result.tables.items()]
    frame.output.result(document, Table(("table", "read", "kept", "rejected", "duplicate"), rows))
    for note in result.notes:
        frame.output.warn(note)
    if result.already_loaded:
        frame.output.note(f"already loaded by run {result.run_id}: nothing new, nothing changed")
        return
    rejected = sum(one.rejected for one in result.tables.values())
    if rejected:
        hint = f"mend the `raw` column there, then `ss etl --retry {result.dead_letters[0]}{frame.again}`"
        frame.output.warn(f"{rows_of(rejected)} rejected, none lost: {_files_of(result)}", hint)
    frame.output.note(f"run {result.run_id}: loaded into {frame_warehouse(frame)}")


def _files_of(result: EtlResult) -> str:
    """The dead letters of a run, as one pattern that a shell takes where there are several."""
    first = Path(result.dead_letters[0])
    several = len(result.dead_letters) > 1
    return first.with_name(f"{result.run_id}-*.csv").as_posix() if several else result.dead_letters[0]


def frame_warehouse(frame: Frame) -> str:
    """Where it went, as the user may type it."""
    return f"{frame.workspace}/warehouse.duckdb" if frame.workspace else "warehouse.duckdb"
