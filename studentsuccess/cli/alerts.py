"""`ss alerts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.groups import running
from studentsuccess.cli.output import Shape, Table, typing_is_expected

if TYPE_CHECKING:
    from studentsuccess.insights.alerts import Alert
    from studentsuccess.insights.calls import Call, Calls
    from studentsuccess.tasks.alerts import AlertsPlan, AlertsResult
    from studentsuccess.tasks.alerts_log import LogPlan, LogResult
    from studentsuccess.tasks.context import Context
    from studentsuccess.warehouse.interventions import Contact

BARE = "raise"
GROUP = "alerts"
# What the screen says of a student; the file has more.
SHOWN = ("#", "student", "course", "risk", "week before", "how sure", "talk about", "new this week", "last contact")


def _own(*flags: str, about: str, metavar: str) -> Any:
    return typer.Option(*flags, help=about, metavar=metavar, show_default=False)


Day = Annotated[str | None, _own("--on", about="The day, such as 2025-03-14; default: today.", metavar="DATE")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=running(BARE),
        invoke_without_command=True,
        help="Classes in alarm, whom to call this week, who was called.",
        epilog="Example: ss alerts raise --capacity 40",
    )
    app.add_typer(group, name=GROUP)

    @command(group, BARE, changes=True, group=GROUP, epilog="Example: ss alerts raise --capacity 40 --calls")
    def raise_(
        frame: Frame,
        capacity: Annotated[
            int | None, _own("--capacity", about="How many students can be called; default: 40.", metavar="N")
        ] = None,
        on: Day = None,
        calls: Annotated[bool, typer.Option("--calls", help="Show only the calls.")] = False,
    ) -> None:
        """Judge every class, and choose the calls that help most."""
        context = _context(frame, {"alerts.capacity": capacity})
        from studentsuccess.tasks import alerts as task

        with frame.working("looking at the predictions"):
            made = task.plan(context, None if on is None else task.parse_day(on))
        done = None if frame.dry_run else task.run(made, frame.reporter())
        _show(frame, made, done, only_calls=calls)

    _register_log(group)


def _register_log(group: typer.Typer) -> None:
    @command(group, "log", changes=True, group=GROUP, epilog="Example: ss alerts log 28400 31604 --by Kim")
    def log(
        frame: Frame,
        students: Annotated[
            list[str] | None, typer.Argument(metavar="[STUDENT]...", help="Ids; none lists all.", show_default=False)
        ] = None,
        on: Day = None,
        by: Annotated[str | None, _own("--by", about="Who made the contact.", metavar="NAME")] = None,
        note: Annotated[str | None, _own("--note", about="What to remember of it.", metavar="TEXT")] = None,
        file: Annotated[
            str | None, _own("--file", about="A table with a column `student`; - is stdin.", metavar="FILE")
        ] = None,
        remove: Annotated[bool, typer.Option("--remove", help="Take back what was noted of them on that day.")] = False,
    ) -> None:
        """Note who was contacted, or list all who were."""
        context = _context(frame, {})
        from studentsuccess.errors import UsageError
        from studentsuccess.tasks import alerts_log as task
        from studentsuccess.tasks.alerts import parse_day
        from studentsuccess.tasks.inputs import STDIN, resolved

        if not students and file is None and (remove or on is not None or by is not None or note is not None):
            raise UsageError("no student is named", "name some: `ss alerts log STUDENT`, or `--file FILE`")
        if file == STDIN and typing_is_expected():
            frame.output.note("reading what you type; Ctrl-D on an empty line ends it")
        day = None if on is None else parse_day(on)
        request = task.LogRequest(tuple(students or ()), day, by or "", note or "", remove)
        with resolved([file] if file is not None else []) as files:
            if len(files) > 1:
                raise UsageError(f"{file}: more than one file", "name one: `--file FILE`")
            made = task.plan(request, files, context)
            if not made.asks:
                _show_contacts(frame, made.noted)
                return
            if remove and made.changes and not frame.dry_run:
                _ask(frame, made)
            _show_logged(frame, made, None if frame.dry_run else task.run(made))


def _context(frame: Frame, flags: dict[str, object]) -> Context:
    configuration = frame.configuration(flags)
    from studentsuccess.tasks.context import Context

    return Context(configuration, frame.wait)


def _show(frame: Frame, made: AlertsPlan, done: AlertsResult | None, *, only_calls: bool) -> None:
    from studentsuccess.insights.alerts_page import about_calls
    from studentsuccess.tasks.alerts_rows import HEADER, call_rows

    words = list(about_calls(made.calls, made.context.settings.alerts.cooldown_days))
    words = words if only_calls else [*_told(made.alerts), *words]
    if frame.output.shape is Shape.CSV:
        table = Table(HEADER, list(call_rows(made.calls)))
    else:
        table = Table(SHOWN, list(_rows(made.calls)), words)
    frame.output.result(_document(made, done), table)
    if done is None:
        files = " and ".join(made.outputs)
        standing = f"stands already by run {made.done}: a run would change nothing" if made.done else f"writes {files}"
        frame.output.note(standing)
    elif done.already_done:
        frame.output.note(f"already raised by run {done.run_id}: nothing new, nothing changed")
    else:
        frame.output.note(f"run {done.run_id}: {' and '.join(made.outputs)}")


def _told(alerts: Sequence[Alert]) -> Iterator[str]:
    """The alerts, or that there are none."""
    raised = [one for one in alerts if one.raised]
    yield from (f"{one.kind.replace('_', ' ')}: {one.message}" for one in raised)
    if not raised:
        yield f"no alert: {alerts[0].message}"
    hidden = sum(one.group.hidden for one in alerts[1:])
    if hidden:
        yield f"{hidden:,} class{'' if hidden == 1 else 'es'} with too few students to be shown: not judged apart"


def _rows(calls: Calls) -> Iterator[tuple[object, ...]]:
    from studentsuccess.tasks.alerts_rows import whole_percent

    for place, one in enumerate(calls.calls, 1):
        now, before = whole_percent(one.worst.risk), whole_percent(one.worst.before)
        yield (
            place,
            one.student_id,
            "; ".join(course.name for course in one.courses),
            f"{now}%",
            "" if before is None else f"{before}%",
            one.worst.decision,
            "; ".join(one.talk[:2]),
            "; ".join(one.news),
            "" if one.last_contact is None else one.last_contact.isoformat(),
        )


def _document(made: AlertsPlan, done: AlertsResult | None) -> dict[str, object]:
    calls, effect, expected = made.calls, made.calls.effect, made.calls.expected
    return {
        **({"plan": "alerts", "already_raised": bool(made.done)} if done is None else {}),
        "run_id": done.run_id if done else made.done,
        **({"already_raised": done.already_done} if done else {}),
        "alerts": [_alert(one) for one in made.alerts],
        "calls": [_call(place, one) for place, one in enumerate(calls.calls, 1)],
        "on": calls.on.isoformat(),
        "capacity": made.context.settings.alerts.capacity,
        "students": calls.students,
        "left_out": {"cooling_down": calls.cooling, "not_at_risk": calls.fine, "no_room": calls.waiting},
        "at_higher_risk_not_called": calls.above,
        "effect": {"basis": effect.basis, "trial": effect.name or None, "gain": effect.gain, "at_risk": effect.at},
        "expected_passes": {"value": expected.passes, "low": expected.low, "high": expected.high},
        "gone": made.week.gone,
        "outputs": list(made.outputs),
    }


def _alert(one: Alert) -> dict[str, object]:
    return {
        "alert_type": one.kind,
        "code_module": one.group.code_module,
        "code_presentation": one.group.code_presentation,
        "week": one.group.week,
        "students": one.students,
        "high_risk_rate": one.high_risk_rate,
        "spike_pct": one.spike_pct,
        "message": one.message,
    }


def _call(place: int, one: Call) -> dict[str, object]:
    courses = [
        {
            "code_module": course.code_module,
            "code_presentation": course.code_presentation,
            "week": course.week,
            "risk": course.risk,
            "risk_week_before": course.before,
            "decision": course.decision,
        }
        for course in one.courses
    ]
    reasons = [{"words": why.words, "actionable": why.actionable, "new": why.is_new} for why in one.reasons]
    return {
        "place": place,
        "student": one.student_id,
        "benefit": one.benefit,
        "courses": courses,
        "reasons": reasons,
        "contacts": one.contacts,
        "last_contact": one.last_contact.isoformat() if one.last_contact else None,
    }


def _show_contacts(frame: Frame, noted: Sequence[Contact]) -> None:
    rows = [(one.student_id, one.on.isoformat(), one.by, one.note) for one in noted]
    header = ("student", "contacted_on", "contacted_by", "note")
    document = {"contacts": [dict(zip(header, row, strict=True)) for row in rows]}
    frame.output.result(document, Table(header, rows))
    if not noted:
        frame.output.note(f"nobody is noted yet: `ss alerts log STUDENT{frame.again}` notes a contact")


def _ask(frame: Frame, made: LogPlan) -> None:
    if not frame.output.confirm(f"take back {_contacts(len(made.changes))}"):
        from studentsuccess.errors import UsageError

        raise UsageError("nothing was taken back", "say `--yes` to do it")


def _contacts(count: int) -> str:
    return f"{count:,} contact{'' if count == 1 else 's'}"


def _show_logged(frame: Frame, made: LogPlan, done: LogResult | None) -> None:
    changed, verb = len(made.changes), "taken back" if made.remove else "noted"
    same = "not noted" if made.remove else "noted already"
    document: dict[str, object] = {
        **({"plan": "alerts log"} if done is None else {}),
        "run_id": done.run_id if done else None,
        "removed" if made.remove else "logged": changed,
        "unchanged": made.repeats,
        "not_contacted_yet": made.skipped,
    }
    row = (changed, made.repeats, made.skipped)
    frame.output.result(document, Table((verb, same, "not contacted yet"), [row]))
    if done is None:
        return
    if done.run_id is None:
        frame.output.note("already so: nothing new, nothing changed; `ss alerts log` lists what is noted")
    else:
        frame.output.note(f"run {done.run_id}: {_contacts(changed)} {verb}, {_contacts(len(done.noted))} in all")
