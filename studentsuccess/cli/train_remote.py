"""`ss train remote`, `status`, `fetch`, `cancel`: the way to Azure and back."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.errors import UsageError

if TYPE_CHECKING:
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.train_fetch import FetchPlan, FetchResult
    from studentsuccess.tasks.train_remote import RemotePlan, RemoteResult
    from studentsuccess.tasks.train_status import JobSeen, JobStanding


class RemoteAlgorithm(StrEnum):
    """How to learn there."""

    INCREMENTAL = "incremental"
    SEARCH = "search"


Job = Annotated[
    str | None, typer.Argument(metavar="JOB", help="A job, by the name that it was given.", show_default=False)
]
Follow = Annotated[bool, typer.Option("--follow", help="Say what it says until it has ended.")]
HEADER = ("job", "model", "state", "submitted", "compute", "data", "fetched as")


def register(group: typer.Typer) -> None:
    """Into the group of `ss train`."""
    _register_remote(group)
    _register_looking(group)
    _register_fetch(group)


def _register_remote(group: typer.Typer) -> None:
    @command(
        group,
        "remote",
        changes=True,
        group="train",
        epilog="Example: ss train remote --data grades.csv --target final --dry-run",
    )
    def remote(
        frame: Frame,
        data: flags.Data = None,
        target: flags.Target = None,
        ids: flags.Ids = None,
        algorithm: Annotated[
            RemoteAlgorithm, typer.Option("--algorithm", help="Out of core; the best of several families.")
        ] = RemoteAlgorithm.INCREMENTAL,
        name: flags.Name = None,
        task: flags.Task = flags.TaskChoice.AUTO,
        types: flags.Types = None,
        holdout: flags.Holdout = None,
        epochs: flags.Epochs = None,
        seed: flags.Seed = None,
        trials: flags.Trials = None,
        cv: flags.Folds = None,
        refit: flags.Refit = False,
        max_rejects: flags.MaxRejects = None,
        compute: Annotated[str | None, flags.text("--compute", about="Where it runs.", metavar="NAME")] = None,
        sweep: Annotated[
            int | None, flags.text("--sweep", about="That many jobs with different seeds.", metavar="N")
        ] = None,
        follow: Follow = False,
        again: Annotated[bool, typer.Option("--again", help="Send it though it was sent before.")] = False,
    ) -> None:
        """Learn from a table on Azure ML, with this very program."""
        if sweep is not None and not 2 <= sweep <= 50:
            raise UsageError(f"`--sweep {sweep}` is not a number from 2 to 50", "such as `--sweep 4`")
        given = {
            "train.holdout": holdout,
            "train.epochs": epochs,
            "train.seed": seed,
            "train.trials": trials,
            "train.cv": cv,
            "etl.max_rejects": max_rejects,
            "azure.compute": compute,
        }
        context = _context(frame, given)
        from studentsuccess.tasks import train_remote as remote_task

        how: Literal["incremental", "search"] = "search" if algorithm is RemoteAlgorithm.SEARCH else "incremental"
        request = remote_task.RemoteRequest(
            target, flags.parts(ids), how, name, task.value, tuple(types or ()), refit, sweep, again
        )
        with remote_task.opened(request, data or [], context) as made:
            if frame.dry_run:
                _show_plan(frame, made)
                return
            result = remote_task.run(made, frame.reporter())
        _tell_sent(frame, result)
        if follow:
            _follow(frame, result.name, context)
        else:
            _show_sent(frame, result)


def _register_looking(group: typer.Typer) -> None:
    @command(group, "status", group="train", epilog="Example: ss train status ss-final-3f2a9c81d0b7 --follow")
    def status(frame: Frame, job: Job = None, follow: Follow = False) -> None:
        """How far jobs are; one with the end of its log."""
        from studentsuccess.tasks import train_status as task

        context = _context(frame)
        if job is None:
            if follow:
                raise UsageError("`--follow` needs a job", "name one: `ss train status JOB --follow`")
            with frame.working("asking Azure"):
                found = task.standing(context)
            _show_all(frame, found)
        elif follow:
            _follow(frame, job, context)
        else:
            with frame.working("asking Azure"):
                seen = task.look(job, context)
            _show_seen(frame, seen, with_log=True)

    @command(group, "cancel", changes=True, group="train", epilog="Example: ss train cancel ss-final-3f2a9c81d0b7")
    def cancel(frame: Frame, job: Job = None) -> None:
        """End a job; what it has made so far is not kept."""
        from studentsuccess.tasks import train_status as task

        context = _context(frame)
        made = task.plan_cancel(_named(job, "cancel"), context)
        if frame.dry_run:
            frame.output.result(
                {"plan": "train cancel", "jobs": list(made.names)}, _names("would be ended", made.names)
            )
            return
        with frame.working("asking Azure"):
            states = task.cancel(made)
        rows = [(state.name, state.status.lower()) for state in states]
        document = {"jobs": [{"job": name, "state": state} for name, state in rows]}
        frame.output.result(document, Table(("job", "state"), rows))


def _register_fetch(group: typer.Typer) -> None:
    @command(group, "fetch", changes=True, group="train", epilog="Example: ss train fetch ss-final-3f2a9c81d0b7")
    def fetch(
        frame: Frame,
        job: Job = None,
        to: flags.To = None,
    ) -> None:
        """Bring back what a job made, checked, and register its model."""
        from studentsuccess.core.memory import prepare_process

        prepare_process()
        from studentsuccess.tasks import train_fetch as task

        context = _context(frame)
        made = task.plan(_named(job, "fetch"), to, context)
        if frame.dry_run:
            _show_fetch_plan(frame, made)
            return
        _show_fetched(frame, task.run(made, frame.reporter()), context)


def _context(frame: Frame, given: dict[str, Any] | None = None) -> Context:
    from studentsuccess.tasks.context import Context

    return Context(frame.configuration(given), frame.wait)


def _named(job: str | None, word: str) -> str:
    if job is None:
        raise UsageError("which job?", f"name it: `ss train {word} JOB`; `ss train status` shows all")
    return job


def _names(word: str, names: Sequence[str]) -> Table:
    return Table((word,), [(name,) for name in names])


def _show_plan(frame: Frame, made: RemotePlan) -> None:
    from studentsuccess.tasks.train_remote_plan import describe

    shown = describe(made)
    frame.output.result(shown.facts, Table(("leaves this machine", "bytes", "sha256"), shown.rows, shown.words))


def _tell_sent(frame: Frame, result: RemoteResult) -> None:
    if result.already_sent:
        frame.output.note(f"this very job was sent before: `{result.name}`; `--again` sends it once more")
    else:
        frame.output.note(f"run {result.run_id}: sent as `{result.name}`, with {result.sent:,} bytes of data")


def _show_sent(frame: Frame, result: RemoteResult) -> None:
    rows = [(state.name, state.status.lower()) for state in result.states]
    document = {
        "run_id": result.run_id,
        "job": result.name,
        "jobs": [{"job": name, "state": state} for name, state in rows],
        "bytes_sent": result.sent,
        "already_sent": result.already_sent,
    }
    frame.output.result(document, Table(("job", "state"), rows))
    frame.output.note(f"follow it: `ss train status {result.name} --follow{frame.again}`")


def _follow(frame: Frame, job: str, context: Context) -> None:
    """Ctrl-C ends the following and not the job."""
    from studentsuccess.tasks import train_status as task

    try:
        seen = task.follow(job, context, frame.reporter())
    except KeyboardInterrupt:
        frame.close()
        frame.output.note(f"the job goes on; `ss train status {job} --follow{frame.again}` shows it again")
        raise
    frame.close()
    _show_seen(frame, seen, with_log=False)
    task.refuse_failed(seen)
    if all(one.standing.state and one.standing.state.status == "Completed" for one in seen):
        frame.output.note(f"bring it back: `ss train fetch {job}{frame.again}`")


def _row(one: JobStanding) -> tuple[object, ...]:
    entry = one.entry
    if entry is None:
        return (one.name, "", one.shown, "", "", "", "")
    data = ", ".join(fact.path for fact in entry.data)
    submitted = f"{entry.submitted_at:%Y-%m-%d %H:%M} UTC"
    compute = entry.compute or "serverless"
    return (one.name, entry.model, one.shown, submitted, compute, data, entry.fetched_model or "")


def _document(one: JobStanding) -> dict[str, object]:
    entry = one.entry
    document: dict[str, object] = {"job": one.name, "state": one.shown}
    document["azure"] = one.state.status if one.state else None
    if entry is not None:
        document |= {
            "sweep": entry.parent or None,
            "model": entry.model,
            "experiment": entry.experiment,
            "compute": entry.compute or "serverless",
            "command": entry.command,
            "data": [fact.path for fact in entry.data],
            "data_digest": entry.data_digest or None,
            "submitted_at": entry.submitted_at.isoformat(),
            "run_id": entry.run_id,
            "fetched_model": entry.fetched_model,
            "archived_at": entry.archived_at.isoformat() if entry.archived_at else None,
        }
    return document


def _show_all(frame: Frame, found: tuple[JobStanding, ...]) -> None:
    frame.output.result({"jobs": [_document(one) for one in found]}, Table(HEADER, [_row(one) for one in found]))
    if not found:
        frame.output.note(f"no job yet: `ss train remote --data FILE --target COLUMN{frame.again}` sends one")


def _show_seen(frame: Frame, seen: tuple[JobSeen, ...], *, with_log: bool) -> None:
    document: dict[str, object] = {
        "jobs": [{**_document(one.standing), "log": list(one.tail), "message": one.message or None} for one in seen]
    }
    words = [f"{one.standing.name}: {line}" if len(seen) > 1 else line for one in seen for line in one.tail]
    rows = [_row(one.standing) for one in seen]
    frame.output.result(document, Table(HEADER, rows, ["", *words] if with_log and words else ()))


def _show_fetch_plan(frame: Frame, made: FetchPlan) -> None:
    folder = made.context.shown(made.folder)
    document = {
        "plan": "train fetch",
        "jobs": list(made.names),
        "place": made.place.whole,
        "writes": folder,
        "already_fetched": made.done,
    }
    words = [f"from    {made.place.shown}", f"writes  {folder}/ and the model's next version"]
    words += [f"fetched before as {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("job",), [(name,) for name in made.names], words))


def _show_fetched(frame: Frame, result: FetchResult, context: Context) -> None:
    entry = result.entry
    folder = context.shown(result.folder)
    document = {
        "run_id": result.run_id,
        "job": result.job,
        "model": entry.name,
        "version": entry.version,
        "path": entry.path,
        "folder": folder,
        "files": [{"path": one.path, "size_bytes": one.size, "sha256": one.sha256} for one in result.files],
        "warnings": list(result.warnings),
        "trials": [{"job": job, "loss": loss} for job, loss in result.scores],
        "promoted": bool(result.promoted),
        "already_fetched": result.already_fetched,
    }
    size = sum(one.size for one in result.files)
    row = (result.job, entry.label, len(result.files), size, folder)
    frame.output.result(document, Table(("job", "model", "files", "bytes", "folder"), [row]))
    if result.already_fetched:
        frame.output.note(f"fetched before as {entry.label}: nothing new, nothing changed")
        return
    for warning in result.warnings:
        frame.output.warn(warning)
    if result.scores:
        frame.output.note(f"the best of {len(result.scores)} by {result.by}: {result.job}")
    frame.output.note(f"run {result.run_id}: every file is as the job recorded it")
    if result.promoted:
        frame.output.note(f"{entry.label} is the production version now: {result.promoted}")
    else:
        hint = f"`ss models promote {entry.label}{frame.again}` makes `ss score` use it"
        frame.output.note(f"{entry.label} is registered, and production stays as it was; {hint}")
