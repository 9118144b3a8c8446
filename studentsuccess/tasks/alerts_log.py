"""`ss alerts log`: who was contacted, from the command line or a file, noted once, and taken back.

Students are named by their ids, and ids are personal: what goes to the ledger is counts, what is refused is told by its
place, and no other id is ever offered instead of one that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.tasks.alerts import today
from studentsuccess.tasks.alerts_contacts import Given, read_file
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.inputs import NamedFile
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.interventions import (
    Contact,
    forget_contacts,
    log_contacts,
    read_contacts,
    unknown_students,
)

COMMAND = "alerts log"
TARGETS = ("contacts",)
# Places that are named in an error.
MOST_NAMED = 5


@dataclass(frozen=True)
class LogRequest:
    """What the user said: students by id, on what day, by whom, and what is to be remembered."""

    students: tuple[str, ...] = ()
    on: date | None = None
    by: str = ""
    note: str = ""
    remove: bool = False

    @property
    def day(self) -> date:
        return self.on or today()


@dataclass(frozen=True)
class LogPlan:
    """What is noted already, and what would be noted or taken back.

    Of the rows `read`, `repeats` say what is noted already (or what is not noted, where they are to be taken back), and
    `skipped` rows of a file are of students who were not contacted yet.
    """

    context: Context
    noted: tuple[Contact, ...]
    changes: tuple[Contact, ...]
    remove: bool
    read: int
    repeats: int
    skipped: int
    fact: FileFact | None = None

    @property
    def asks(self) -> bool:
        """Whether anything is to be changed, and not only listed."""
        return self.read + self.skipped > 0


@dataclass(frozen=True)
class LogResult:
    """What became of it; without a run nothing changed."""

    run_id: str | None
    changed: int
    noted: tuple[Contact, ...]


def plan(request: LogRequest, files: Sequence[NamedFile], context: Context) -> LogPlan:
    """Find out what is new. An unknown student stops all of it, so that a typing error is never a contact."""
    rows = list(_typed(request))
    fact, skipped = None, 0
    if files:
        given = read_file(files[0], Contact("", request.day, request.by, request.note), context)
        rows, fact, skipped = [*rows, *given.rows], given.fact, given.skipped
    _refuse_future(rows)
    known = read_contacts(context.workspace, context.limits, (row.contact.student_id for row in rows))
    _refuse_unknown(rows, known.unknown)
    wanted = list(dict.fromkeys(row.contact for row in rows))
    changes = _to_remove(wanted, known.noted) if request.remove else _to_add(wanted, known.noted)
    repeats = len(rows) - (len(_matched(wanted, known.noted)) if request.remove else len(changes))
    return LogPlan(context, known.noted, changes, request.remove, len(rows), repeats, skipped, fact)


def _typed(request: LogRequest) -> Iterable[Given]:
    for place, student in enumerate(request.students, 1):
        if not student.strip():
            raise UsageError(f"student {place} of {len(request.students)} is empty", "name students by their ids")
        contact = Contact(student.strip(), request.day, request.by.strip(), request.note.strip())
        yield Given(contact, f"student {place} of {len(request.students)}")


def _refuse_future(rows: Iterable[Given]) -> None:
    for row in rows:
        if row.contact.on > today():
            raise UsageError(
                f"{row.place}: {row.contact.on:%Y-%m-%d} is not over yet, and a log is of what was",
                "say the day of the contact: `--on 2025-03-14`",
            )


def _refuse_unknown(rows: Sequence[Given], unknown: frozenset[str]) -> None:
    places = [row.place for row in rows if row.contact.student_id in unknown]
    if places:
        more = f" and {len(places) - MOST_NAMED:,} more" if len(places) > MOST_NAMED else ""
        raise UsageError(
            f"no course knows {', '.join(places[:MOST_NAMED])}{more}: nothing was noted",
            "check the id against the list of calls; data that is newer comes in with `ss etl`",
        )


def _to_add(wanted: Sequence[Contact], noted: Sequence[Contact]) -> tuple[Contact, ...]:
    there = set(noted)
    return tuple(one for one in wanted if one not in there)


def _matched(wanted: Sequence[Contact], noted: Sequence[Contact]) -> set[tuple[str, date]]:
    return {(one.student_id, one.on) for one in wanted} & {(one.student_id, one.on) for one in noted}


def _to_remove(wanted: Sequence[Contact], noted: Sequence[Contact]) -> tuple[Contact, ...]:
    """Everything of these students on these days, whoever noted it and whatever they wrote."""
    days = _matched(wanted, noted)
    return tuple(one for one in noted if (one.student_id, one.on) in days)


def run(made: LogPlan) -> LogResult:
    """Note or take back, with one line of counts in the ledger. What is so already stays as it is."""
    if not made.changes:
        return LogResult(None, 0, made.noted)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)

    def work(connection: Connection) -> None:
        if unknown_students(connection, sorted({one.student_id for one in made.changes})):
            raise BusyError("the students were loaded anew meanwhile", "run it again")
        if made.remove:
            forget_contacts(connection, made.changes)
        else:
            log_contacts(connection, made.changes, run_id, started)

    counts = {"contacts": Counts(made.read, made.read - made.repeats, 0, made.repeats)}
    facts = (made.fact,) if made.fact else ()
    # The key is the run's own: what is noted was looked up already, and a digest of ids would be a trace of them.
    record = Run(
        run_id, run_id, COMMAND, TARGETS, not made.remove, started, context.configuration.digest, facts, counts
    )
    with recorded(context, run_id, started, COMMAND):
        commit(context.workspace, context.limits, record, (), work, context.wait)
    return LogResult(run_id, len(made.changes), _after(made))


def _after(made: LogPlan) -> tuple[Contact, ...]:
    """As `standing_contacts` would tell it now."""
    gone = set(made.changes) if made.remove else set()
    both = [*(one for one in made.noted if one not in gone), *(() if made.remove else made.changes)]
    return tuple(sorted(sorted(both), key=lambda one: one.on, reverse=True))
