"""`ss clean`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli import flags
from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table

if TYPE_CHECKING:
    from studentsuccess.tasks.clean import Cleaned, CleanPlan, EmptyPlan, UndoPlan
    from studentsuccess.tasks.clean_choice import Item
    from studentsuccess.tasks.context import Context

What = Annotated[
    list[str] | None,
    typer.Option(
        "--what",
        help="inputs, outputs, logs, models, cache, downloads; default: logs,cache,downloads.",
        metavar="KIND,KIND",
        show_default=False,
    ),
]
KeepLast = Annotated[
    int, typer.Option("--keep-last", help="The last N of a model, command or table stay.", metavar="N", min=0)
]
Undo = Annotated[bool, typer.Option("--undo", help="Bring back what the last clean took.")]
Empty = Annotated[bool, typer.Option("--empty", help="Delete what is in the trash, for good.")]
HEADER = ("kind", "what", "files", "bytes", "becomes")


def register(app: typer.Typer) -> None:
    @command(app, "clean", changes=True, epilog="Example: ss clean --what outputs,models --older-than 30d --dry-run")
    def clean(
        frame: Frame,
        what: What = None,
        older_than: flags.OlderThan = None,
        keep_last: KeepLast = 0,
        undo: Undo = False,
        empty: Empty = False,
    ) -> None:
        """Move what is no longer needed to a trash, or back."""
        context = _context(frame)
        from studentsuccess.errors import UsageError
        from studentsuccess.tasks.clean import CleanRequest

        chosen = bool(what or older_than or keep_last)
        if undo + empty + chosen > 1:
            raise UsageError("`--undo` and `--empty` stand alone", "`ss clean --undo` brings the last clean back whole")
        if undo:
            _undo(frame, context)
        elif empty:
            _empty(frame, context)
        else:
            _clean(frame, context, CleanRequest(flags.parts(what), older_than, keep_last))


def _context(frame: Frame) -> Context:
    configuration = frame.configuration()
    from studentsuccess.tasks.context import Context

    return Context(configuration, frame.wait)


def _clean(frame: Frame, context: Context, request: object) -> None:
    from studentsuccess.tasks import clean as task

    assert isinstance(request, task.CleanRequest)
    with frame.working("looking at what may go"):
        made = task.plan(request, context)
    if frame.dry_run or not made.goes:
        _show_plan(frame, made, None)
        return
    _list_first(frame, [f"{item.path}  {_size(item.size)}" for item in made.goes])
    _ask(frame, f"move {_files(made.files)} ({_size(made.size)}) to the trash", "nothing was moved")
    _show_plan(frame, made, task.run(made, frame.reporter()))


def _undo(frame: Frame, context: Context) -> None:
    from studentsuccess.tasks import clean as task

    with frame.working("looking into the trash"):
        made = task.plan_undo(context, frame.settled)
    _show_undo(frame, made, None if frame.dry_run else task.run_undo(made))


def _empty(frame: Frame, context: Context) -> None:
    from studentsuccess.tasks import clean as task

    made = task.plan_empty(context)
    if frame.dry_run or not made.trashes:
        _show_empty(frame, made, None)
        return
    _list_first(frame, [f"{fact.path}  {_size(fact.size)}" for one in made.trashes for fact in one.files])
    _ask(frame, f"delete {_files(made.files)} ({_size(made.size)}) for good", "nothing was deleted")
    _show_empty(frame, made, task.run_empty(made))


def _list_first(frame: Frame, lines: Sequence[str]) -> None:
    """What a person is about to say yes to; with --yes the result lists it."""
    if not frame.output.yes:
        for line in lines:
            frame.output.note(line)


def _ask(frame: Frame, question: str, refused: str) -> None:
    if not frame.output.confirm(question):
        from studentsuccess.errors import UsageError

        raise UsageError(refused, "say `--yes` to do it")


def _show_plan(frame: Frame, made: CleanPlan, done: Cleaned | None) -> None:
    document = {
        "run_id": done.run_id if done else None,
        "what": [str(kind) for kind in made.kinds],
        "files": made.files,
        "bytes": made.size,
        "goes": [_document(item) for item in made.goes],
        "stays": [{**_document(item), "why": item.why} for item in made.stays],
    }
    becomes = "in the trash" if done else "would go to the trash"
    rows = [_row(item, becomes) for item in made.goes] + [_row(item, f"stays: {item.why}") for item in made.stays]
    frame.output.result(document, Table(HEADER, rows))
    kinds = ", ".join(made.kinds)
    if done is not None:
        again = f"`ss clean --undo{frame.again}` brings it back, `ss clean --empty{frame.again}` frees the space"
        frame.output.note(f"run {done.run_id}: {_files(done.files)} ({_size(done.size)}) in the trash; {again}")
    elif not made.goes:
        frame.output.note(f"nothing to clean among {kinds}; `--what` names other kinds")
    else:
        frame.output.note(f"{_files(made.files)} ({_size(made.size)}) would go to the trash")


def _document(item: Item) -> dict[str, object]:
    return {"kind": str(item.kind), "path": item.path, "files": len(item.files), "bytes": item.size}


def _row(item: Item, becomes: str) -> tuple[object, ...]:
    return (str(item.kind), item.path, len(item.files), item.size, becomes)


def _show_undo(frame: Frame, made: UndoPlan, done: Cleaned | None) -> None:
    trash = made.trash
    back = trash.files if trash else ()
    document = {
        "run_id": done.run_id if done else None,
        "of": trash.run_id if trash else None,
        "files": len(back),
        "bytes": trash.size if trash else 0,
        "back": [{"path": fact.path, "bytes": fact.size} for fact in back],
        "left": made.older,
    }
    becomes = "back in its place" if done else "would come back"
    rows = [(fact.path, fact.size, becomes) for fact in back]
    frame.output.result(document, Table(("file", "bytes", "becomes"), rows))
    frame.output.note(_undone(made, done) + (f"; {made.older:,} earlier in the trash" if made.older else ""))


def _undone(made: UndoPlan, done: Cleaned | None) -> str:
    if made.ended:
        return "the undo that was cut short is at its end now: all is back in its place"
    if made.trash is None:
        return "the trash is empty: nothing to bring back"
    if done is None:
        return "a run would bring them back"
    return f"run {done.run_id}: {_files(done.files)} back in their places"


def _show_empty(frame: Frame, made: EmptyPlan, done: Cleaned | None) -> None:
    document = {
        "run_id": done.run_id if done else None,
        "files": made.files,
        "bytes": made.size,
        "cleans": [
            {"run_id": one.run_id, "cleaned_at": one.cleaned_at, "files": len(one.files)} for one in made.trashes
        ],
    }
    becomes = "deleted" if done else "would be deleted"
    rows = [(one.run_id, one.cleaned_at, len(one.files), one.size, becomes) for one in made.trashes]
    frame.output.result(document, Table(("clean", "when", "files", "bytes", "becomes"), rows))
    if not made.trashes:
        frame.output.note("the trash is empty: nothing to delete")
    elif done is not None:
        frame.output.note(f"run {done.run_id}: {_files(done.files)} ({_size(done.size)}) deleted for good")


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _size(size: int) -> str:
    """As people say it; the table has the bytes."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"
