"""`ss alerts`: which classes give reason for alarm, and whom to call this week."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.locks import utc_now
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.insights.alerts import Alert, Limits, alerts, headline
from studentsuccess.insights.alerts_page import About, page
from studentsuccess.insights.calls import Calls, Rules, calls_of, effect_of
from studentsuccess.tasks.alerts_rows import calls_text
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.alerts import LoggedAlert, Week, log_alerts, read_week, standing_week
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.staging import staging_folder
from studentsuccess.warehouse.terms import term_start

COMMAND = "alerts"
TARGETS = ("alerts",)


@dataclass(frozen=True)
class AlertsPlan:
    """The alerts and calls themselves: making them only reads. What a run adds is the log and the files."""

    context: Context
    week: Week
    limits: Limits
    alerts: tuple[Alert, ...]
    calls: Calls
    page: str
    rows: str
    done: str | None

    @property
    def targets(self) -> tuple[Path, Path]:
        """The page and the list."""
        folder = self.context.workspace.outputs / "alerts"
        return folder / "alert_latest.md", folder / "calls_latest.csv"

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(map(self.context.shown, self.targets))

    @property
    def raised(self) -> tuple[Alert, ...]:
        return tuple(one for one in self.alerts if one.raised)


@dataclass(frozen=True)
class AlertsResult:
    """What became of it."""

    made: AlertsPlan
    run_id: str
    already_done: bool

    def words(self) -> str:
        """One line: the alert that matters most, and how many calls there are."""
        raised = sorted(self.made.raised, key=lambda one: (one.group.code_module is None, -one.group.mean))
        first = headline(raised[0], self.made.limits) if raised else "no alert"
        more = f" and {len(raised) - 1:,} more" if len(raised) > 1 else ""
        count = len(self.made.calls.calls)
        return f"{first}{more} · {count:,} call{'' if count == 1 else 's'}"


def today() -> date:
    """The day on the wall calendar of those who call."""
    return utc_now().astimezone().date()


def parse_day(text: str, flag: str = "--on") -> date:
    """A day as it is typed."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"`{flag} {text}`: not a day", f"write it as year, month and day: `{flag} 2025-03-14`"
        ) from None


def plan(context: Context, on: date | None = None) -> AlertsPlan:
    """Judge every class and choose the calls for a day, today where none is said."""
    settings = context.settings
    high_risk = settings.risk.high_risk_probability
    week = read_week(context.workspace, context.limits, high_risk)
    asked = settings.alerts
    limits = Limits(asked.high_risk_threshold, asked.spike_threshold, high_risk, settings.privacy.min_cell)
    found = alerts(week.classes, limits)
    rules = Rules(asked.capacity, asked.cooldown_days, on or today())
    calls = calls_of(week, effect_of(week.trial, settings.experiment.uplifts), rules)
    text, rows = page(found, calls, limits, _about(context, week)), calls_text(calls)
    done = is_done(context.workspace, context.limits, _key(week, limits, text, rows), TARGETS)
    return AlertsPlan(context, week, limits, found, calls, text, rows, done)


def _about(context: Context, week: Week) -> About:
    starts = context.settings.marts.start_days
    newest: dict[str, int] = {}
    for row in week.classes.select(["code_presentation", "cutoff_day"]).to_pylist():
        newest[row["code_presentation"]] = max(row["cutoff_day"], newest.get(row["code_presentation"], 0))
    days = {term: (term_start(term, starts), day) for term, day in newest.items()}
    until = {term: start + timedelta(days=day) for term, (start, day) in days.items() if start is not None}
    models = tuple(sorted(set(week.predictions.column("model").to_pylist())))
    return About("outputs/alerts/calls_latest.csv", models, until, week.gone)


def _key(week: Week, limits: Limits, text: str, rows: str) -> str:
    return text_digest(canonical([COMMAND, week.digest, alerts_digest(week, limits), text, rows]))


def alerts_digest(week: Week, limits: Limits) -> str:
    """What the log's rows are bound to: the same predictions under the same limits are logged once."""
    classes = [list(row.values()) for row in week.classes.to_pylist()]
    return text_digest(canonical([classes, asdict(limits)]))


def run(made: AlertsPlan, reporter: Reporter) -> AlertsResult:
    """Log the alerts and put page and list in their places, with one commit."""
    if made.done:
        return AlertsResult(made, made.done, already_done=True)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        staged = _staged(made, run_id)
        logged = _logged(made, run_id, started)

        def work(connection: Connection) -> None:
            if standing_week(connection, context.settings.risk.high_risk_probability).digest != made.week.digest:
                raise BusyError("predictions or contacts changed meanwhile", "run it again: `ss alerts`")
            log_alerts(connection, logged)

        key = _key(made.week, made.limits, made.page, made.rows)
        record = Run(run_id, key, COMMAND, TARGETS, False, started, context.configuration.digest)
        with phase(reporter, "writing alerts"):
            written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    return AlertsResult(made, written.run_id, written.already_done)


def _staged(made: AlertsPlan, run_id: str) -> list[StagedFile]:
    staged = []
    for text, target in zip((made.page, made.rows), made.targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = StagedFile(temp_path(target, run_id), target)
        file.temp.write_bytes(text.encode("utf-8", "backslashreplace"))
        staged.append(file)
    return staged


def _logged(made: AlertsPlan, run_id: str, started: datetime) -> list[LoggedAlert]:
    stamp, digest = started.astimezone(UTC).replace(tzinfo=None), alerts_digest(made.week, made.limits)
    return [
        LoggedAlert(
            run_ts=stamp,
            alert_type=one.kind,
            high_risk_rate=one.high_risk_rate,
            spike_pct=one.spike_pct,
            message=one.message,
            code_module=one.group.code_module,
            code_presentation=one.group.code_presentation,
            week=one.group.week,
            students=one.students,
            run_id=run_id,
            alerts_digest=digest,
        )
        for one in made.alerts
    ]
