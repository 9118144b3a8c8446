"""`ss train status` and `ss train cancel`: how far jobs are, what they say, and how to end one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.names import nearest
from studentsuccess.core.reporter import Reporter, Step
from studentsuccess.errors import SsError, UsageError
from studentsuccess.remote.azure_client import Place, place_of
from studentsuccess.remote.azure_errors import NetworkLostError, why_failed
from studentsuccess.remote.azure_jobs import CANCELED, COMPLETED, AzureJobs, JobState
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.jobs import CANCELLED, JobEntry, Jobs, all_jobs, move_job

CANCEL = "train cancel"
TAIL_LINES = 20
# As Azure has them; it becomes the name of a folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
Sleep = Callable[[float], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class JobStanding:
    """One job: what is noted here, and what Azure says of it (nothing where it was not asked)."""

    entry: JobEntry | None
    state: JobState | None

    @property
    def name(self) -> str:
        return self.entry.job if self.entry else str(self.state and self.state.name)

    @property
    def shown(self) -> str:
        """The state in a word: Azure's, and ours where it says more."""
        if self.entry and self.entry.archived_at:
            return "archived"
        if self.entry and self.entry.fetched_model:
            return "fetched"
        return self.state.status.lower() if self.state else self.entry.state if self.entry else ""


@dataclass(frozen=True)
class JobSeen:
    """One job with the end of its log."""

    standing: JobStanding
    tail: tuple[str, ...]
    message: str

    @property
    def failed(self) -> bool:
        state = self.standing.state
        return state is not None and state.ended and state.status not in (COMPLETED, CANCELED)


@dataclass(frozen=True)
class CancelPlan:
    """Which jobs would be ended."""

    context: Context
    place: Place
    names: tuple[str, ...]
    entries: tuple[JobEntry, ...]


def standing(context: Context) -> tuple[JobStanding, ...]:
    """Every job of ours. Azure is asked about those that may still change, and about no others."""
    noted = all_jobs(context.workspace, context.limits).entries
    open_ones = [entry for entry in noted if not entry.fetched_model and not entry.archived_at]
    if not open_ones:
        return tuple(JobStanding(entry, None) for entry in noted)
    jobs = AzureJobs(place_of(context.settings.azure), context.settings.azure)
    first = {open_ones[0].job: jobs.find(open_ones[0].job)}  # one login for all
    with ThreadPoolExecutor(context.settings.azure.parallel, thread_name_prefix="ss-jobs") as executor:
        found = executor.map(lambda entry: (entry.job, jobs.find(entry.job)), open_ones[1:])
        states = first | dict(found)
    return tuple(JobStanding(entry, states.get(entry.job)) for entry in noted)


def meant(name: str, context: Context) -> tuple[tuple[str, ...], Jobs]:
    """The jobs that a name means, and all that are noted. One that nobody here sent may be in Azure all the same."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` is no name of a job", "`ss train status` shows those that were sent")
    noted = all_jobs(context.workspace, context.limits)
    entries = noted.meant(name)
    if not entries and (near := nearest(name, noted.names)):
        raise UsageError(f"no job `{name}` was sent from here", f"did you mean `{near}`? `ss train status` shows all")
    return tuple(entry.job for entry in entries) or (name,), noted


def look(name: str, context: Context) -> tuple[JobSeen, ...]:
    """One job, or each of a sweep, with the end of its log."""
    names, noted = meant(name, context)
    jobs = AzureJobs(place_of(context.settings.azure), context.settings.azure)
    return tuple(_seen(one, noted, jobs) for one in names)


def _seen(name: str, noted: Jobs, jobs: AzureJobs) -> JobSeen:
    state, details = jobs.state(name), jobs.details(name)
    lines = _lines(jobs.log(details, 0))
    return JobSeen(JobStanding(noted.find(name), state), tuple(lines[-TAIL_LINES:]), details.message)


def _lines(raw: bytes) -> list[str]:
    return raw.decode("utf-8", "replace").splitlines()


def follow(
    name: str, context: Context, reporter: Reporter, sleep: Sleep = time.sleep, clock: Clock = time.monotonic
) -> tuple[JobSeen, ...]:
    """Say what a job says until it has ended; for a sweep one after the other. Interrupted, the job goes on."""
    names, noted = meant(name, context)
    jobs = AzureJobs(place_of(context.settings.azure), context.settings.azure)
    for one in names:
        _Follower(one, jobs, context, reporter, (sleep, clock)).run()
    return tuple(_seen(one, noted, jobs) for one in names)


class _Follower:
    """One job's log, line by line, with its state as progress."""

    def __init__(
        self, name: str, jobs: AzureJobs, context: Context, reporter: Reporter, time_of: tuple[Sleep, Clock]
    ) -> None:
        self._name, self._jobs, self._reporter = name, jobs, reporter
        self._azure = context.settings.azure
        self._sleep, self._clock = time_of
        self._read, self._rest = 0, b""

    def run(self) -> None:
        step = self._reporter.step(f"job {self._name}", unit="lines")
        lost: float | None = None
        try:
            while True:
                try:
                    ended = self._look(step)
                    if lost is not None:
                        self._reporter.note("the connection is back")
                    lost = None
                    if ended:
                        return
                except NetworkLostError as problem:
                    lost = self._wait_for_network(problem, lost)
                except SsError as problem:
                    problem.hint = f"{problem.hint}; the job goes on meanwhile"
                    raise
                self._sleep(self._azure.poll_seconds)
        finally:
            step.close()

    def _look(self, step: Step) -> bool:
        """One look: the state first, so that what is said before the end is read after it."""
        state = self._jobs.state(self._name)
        self._say(self._jobs.log(self._jobs.details(self._name), self._read), step, state)
        if state.ended and self._rest:
            self._reporter.note(_shown(self._rest))
            self._rest = b""
        return state.ended

    def _say(self, raw: bytes, step: Step, state: JobState) -> None:
        self._read += len(raw)
        *lines, self._rest = (self._rest + raw).split(b"\n")
        for line in lines:
            self._reporter.note(_shown(line))
        step.advance(len(lines), detail=state.status.lower())

    def _wait_for_network(self, problem: NetworkLostError, lost: float | None) -> float:
        """When the connection was lost; raises when that is too long ago."""
        now = self._clock()
        if lost is None:
            self._reporter.warn(f"{problem.message}; trying again", "the job goes on meanwhile")
            return now
        if now - lost > self._azure.patience_seconds:
            problem.hint = f"the job goes on; follow it later: `ss train status {self._name} --follow`"
            raise problem
        return lost


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def refuse_failed(seen: Sequence[JobSeen]) -> None:
    """A job that failed makes the command fail that followed it."""
    bad = next((one for one in seen if one.failed), None)
    if bad is not None:
        raise why_failed(bad.standing.name, bad.message)


def plan_cancel(name: str, context: Context) -> CancelPlan:
    """Which jobs a name means. Azure is not asked."""
    names, noted = meant(name, context)
    entries = tuple(entry for one in names if (entry := noted.find(one)))
    return CancelPlan(context, place_of(context.settings.azure), names, entries)


def cancel(made: CancelPlan) -> tuple[JobState, ...]:
    """End what has not ended; the states afterwards. It is noted for those that were sent from here."""
    context, jobs = made.context, AzureJobs(made.place, made.context.settings.azure)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, CANCEL):
        open_ones = [name for name in made.names if not jobs.state(name).ended]
        for name in open_ones:
            jobs.cancel(name)
        mine = [entry.job for entry in made.entries if entry.job in open_ones]
        if mine:
            key = text_digest(canonical([CANCEL, mine, run_id]))
            targets = tuple(f"job:{name}" for name in mine)
            record = Run(run_id, key, CANCEL, targets, True, started, context.configuration.digest)
            commit(context.workspace, context.limits, record, (), lambda found: _note(found, mine), context.wait)
    return tuple(jobs.state(name) for name in made.names)


def _note(connection: Connection, names: Sequence[str]) -> None:
    for name in names:
        move_job(connection, name, CANCELLED)
