"""`ss batch`."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import batch_show, flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from studentsuccess.tasks.context import Context

GROUP = "batch"
PARTS = ("homogeneity", "balance", "size")


class GroupingChoice(StrEnum):
    """How students are grouped."""

    AUTO = "auto"
    KMEANS = "kmeans"
    SPECTRAL = "spectral"
    HIERARCHICAL = "hierarchical"


Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="The folder with a term's files.", show_default=False)
]
MinSize = Annotated[int | None, flags.text("--min-size", about="Fewest students in a batch.", metavar="N")]
TargetSize = Annotated[int | None, flags.text("--target-size", about="Students a batch should have.", metavar="N")]
MaxSize = Annotated[int | None, flags.text("--max-size", about="Most students in a batch.", metavar="N")]
Weights = Annotated[
    str | None, flags.text("--weights", about="homogeneity=.4,balance=.3,size=.3", metavar="PART=SHARE,…")
]
Tenant = Annotated[str | None, flags.text("--tenant-id", about="Whose parameter values hold.", metavar="ID")]
Rules = Annotated[Path | None, flags.text("--rules", about="Rules as TOML, not dynamic_parameters.", metavar="FILE")]
Iterations = Annotated[int | None, flags.text("--max-iterations", about="Most rounds of improvement.", metavar="N")]
Convergence = Annotated[
    float | None, flags.text("--convergence", about="Smallest gain that another round follows.", metavar="GAIN")
]
Relax = Annotated[
    list[str] | None, flags.text("--relax", about="What may be merged where too few share it.", metavar="FIELD,FIELD")
]
Pin = Annotated[Path | None, flags.text("--pin", about="Who must, or must not, be together.", metavar="FILE")]
Previous = Annotated[
    Path | None, flags.text("--previous", about="Batches of last time, to stay close to.", metavar="OUT")
]
Lenient = Annotated[bool, typer.Option("--lenient", help="Bad rows go to the dead letters.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Students into batches, rooms and shifts.",
        no_args_is_help=True,
        epilog="Example: ss batch process term/ -o batches/",
    )
    app.add_typer(group, name=GROUP)
    _register_process(group)
    _register_check(group)
    _register_verify(group)


def _register_process(group: typer.Typer) -> None:
    @command(
        group, "process", changes=True, group=GROUP, epilog="Example: ss batch process term/ -o batches/ --dry-run"
    )
    def process(
        frame: Frame,
        folder: Folder = None,
        output: flags.Output = None,
        min_size: MinSize = None,
        target_size: TargetSize = None,
        max_size: MaxSize = None,
        weights: Weights = None,
        tenant: Tenant = None,
        rules: Rules = None,
        relax: Relax = None,
        pin: Pin = None,
        previous: Previous = None,
        day: Annotated[
            str | None, flags.text("--date", about="Day that enrolment begins; default: today.", metavar="YYYY-MM-DD")
        ] = None,
        algorithm: Annotated[
            GroupingChoice | None,
            typer.Option("--algorithm", help="Ours, or one to compare it with.", show_default=False),
        ] = None,
        iterations: Iterations = None,
        convergence: Convergence = None,
        performance: Annotated[bool, typer.Option("--performance", help="Faster, a little less good.")] = False,
        time_limit: Annotated[
            float | None, flags.text("--time-limit", about="Stop grouping after so long.", metavar="SECONDS")
        ] = None,
        seed: flags.Seed = None,
        workers: flags.Workers = None,
        lenient: Lenient = False,
        strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when something wanted is not met.")] = False,
        report_format: Annotated[
            list[str] | None,
            flags.text("--report-format", about="Which reports; default: all.", metavar="txt,json,html,csv"),
        ] = None,
    ) -> None:
        """Group students, find rooms and shifts, prove how good it is."""
        given = {
            **_numbers(min_size, target_size, max_size, iterations, convergence),
            **_weights(weights),
            **_switches(performance=performance, strict=strict, lenient=lenient),
            "batch.tenant_id": tenant,
            "batch.relax": flags.parts(relax) or None,
            "batch.algorithm": algorithm.value if algorithm else None,
            "batch.time_limit": time_limit,
            "batch.seed": seed,
            "batch.report_formats": flags.parts(report_format) or None,
            "budget.cpus": workers,
        }
        context = _context(frame, given)
        from studentsuccess.tasks import batch as task

        term, target = _named(folder, "process"), _target(output)
        request = task.BatchRequest(term, target, _day(day), task.Beside(rules, pin, previous))
        try:
            made = task.plan(request, context, frame.reporter())
        except task.TermError as refused:
            if frame.dry_run:
                batch_show.show_check(frame, refused.read)
                raise typer.Exit(int(refused.code)) from None
            raise
        for warning in made.warnings:
            frame.output.warn(warning)
        if frame.dry_run:
            batch_show.show_plan(frame, made)
            return
        try:
            done = task.run(made, frame.reporter())
        except task.NoSolutionError as problem:
            batch_show.show_no_solution(frame, problem)
            raise typer.Exit(int(problem.code)) from None
        batch_show.show_result(frame, done)
        if context.settings.batch.strict and not done.wanted:
            raise typer.Exit(int(ExitCode.FAILED))


def _register_check(group: typer.Typer) -> None:
    @command(group, "check", group=GROUP, epilog="Example: ss batch check term/ -f json")
    def check(
        frame: Frame,
        folder: Folder = None,
        min_size: MinSize = None,
        target_size: TargetSize = None,
        max_size: MaxSize = None,
        weights: Weights = None,
        tenant: Tenant = None,
        rules: Rules = None,
        relax: Relax = None,
        pin: Pin = None,
        previous: Previous = None,
        iterations: Iterations = None,
        convergence: Convergence = None,
        lenient: Lenient = False,
    ) -> None:
        """Say what is wrong with a term's files, and how to mend it."""
        given = {
            **_numbers(min_size, target_size, max_size, iterations, convergence),
            **_weights(weights),
            **_switches(lenient=lenient),
            "batch.tenant_id": tenant,
            "batch.relax": flags.parts(relax) or None,
        }
        context = _context(frame, given)
        from studentsuccess.tasks import batch_check as task
        from studentsuccess.tasks.batch_request import Beside

        found = task.check(_named(folder, "check"), context, frame.reporter(), Beside(rules, pin, previous))
        batch_show.show_check(frame, found)
        if not found.ready:
            raise typer.Exit(int(ExitCode.CONTRACT))


def _register_verify(group: typer.Typer) -> None:
    @command(group, "verify", group=GROUP, epilog="Example: ss batch verify batches/ term/ -f json")
    def verify(
        frame: Frame,
        output: Annotated[
            Path | None, typer.Argument(metavar="OUT", help="The folder with the batches.", show_default=False)
        ] = None,
        folder: Folder = None,
    ) -> None:
        """Recompute every measure and rule from the written files alone."""
        _context(frame, {})
        from studentsuccess.tasks import batch_check as task

        if output is None or folder is None:
            raise UsageError(
                "two folders are needed: that of the batches and that of the term", "`ss batch verify OUT DIR`"
            )
        with frame.working("recomputing everything from the files"):
            found = task.verify(output, folder)
        batch_show.show_verified(frame, found)
        if not found.ok:
            raise typer.Exit(int(ExitCode.CONTRACT))


def _context(frame: Frame, given: dict[str, object]) -> Context:
    configuration = frame.configuration(given)
    from studentsuccess.core.memory import prepare_process

    prepare_process()
    from studentsuccess.tasks.context import Context

    return Context(configuration, frame.wait)


def _numbers(
    least: int | None, target: int | None, most: int | None, iterations: int | None, convergence: float | None
) -> dict[str, object]:
    return {
        "batch.min_size": least,
        "batch.target_size": target,
        "batch.max_size": most,
        "batch.max_iterations": iterations,
        "batch.convergence": convergence,
    }


def _switches(**given: bool) -> dict[str, object]:
    """A switch that nobody turned says nothing, so that the configuration may."""
    return {f"batch.{name}": True if value else None for name, value in given.items()}


def _weights(given: str | None) -> dict[str, object]:
    """`homogeneity=.4,balance=.3,size=.3`, or some of them; whether they sum to 1 is checked with the rest."""
    found: dict[str, object] = {}
    for part in flags.parts([given] if given is not None else None):
        name, _, share = part.partition("=")
        try:
            found[f"batch.{_part(name.strip())}_weight"] = float(share)
        except ValueError:
            raise UsageError(f"`--weights {part}`: the share is no number", _WEIGHTS_HINT) from None
    return found


_WEIGHTS_HINT = "such as `--weights homogeneity=.4,balance=.3,size=.3`"


def _part(name: str) -> str:
    from studentsuccess.core.names import nearest

    if name in PARTS:
        return name
    near = nearest(name, PARTS)
    raise UsageError(f"`--weights {name}`: there is no such part", f"did you mean `{near}`?" if near else _WEIGHTS_HINT)


def _named(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise UsageError("no folder with a term's files is named", f"name it: `ss batch {name} DIR`")
    return folder


def _target(output: str | None) -> Path:
    if output is None:
        raise UsageError("nobody said where the batches should go", "name a folder: `-o OUT`")
    if output == "-":
        raise UsageError("batches are several files, and stdout is one stream", "name a folder: `-o OUT`")
    return Path(output)


def _day(given: str | None) -> date:
    if given is None:
        return date.today()  # noqa: DTZ011 - the day on the wall where the program runs
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"`--date {given}` is no day", "such as `--date 2025-09-01`") from None
