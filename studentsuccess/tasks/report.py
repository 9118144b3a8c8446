"""`ss report`: the executive summary, as Markdown and as one HTML file that needs nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.core.atomic import temp_path
from studentsuccess.core.digest import text_digest
from studentsuccess.core.page import Page
from studentsuccess.core.page_html import html
from studentsuccess.core.page_markdown import markdown
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.insights.report import compose
from studentsuccess.insights.report_setting import Setting
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.report_demo import recovery
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection, connect
from studentsuccess.warehouse.migrate import pending
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.report import Facts, nothing_loaded, read_facts
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "report"
TARGETS = ("report",)
TEXT, PAGE = "executive_summary.md", "executive_summary.html"


@dataclass(frozen=True)
class ReportPlan:
    """The whole report: making it only reads. A run puts it in its place."""

    context: Context
    page: Page
    texts: tuple[str, str]
    unmade: tuple[str, ...]
    key: str
    done: str | None

    @property
    def targets(self) -> tuple[Path, Path]:
        """Markdown and HTML."""
        reports = self.context.workspace.reports
        return reports / TEXT, reports / PAGE

    @property
    def outputs(self) -> tuple[str, str]:
        text, page = map(self.context.shown, self.targets)
        return text, page


@dataclass(frozen=True)
class ReportResult:
    """The run that wrote it, and the page to open."""

    run_id: str
    page: str
    already_done: bool


def plan(context: Context) -> ReportPlan:
    """Write the report in memory, and see whether it stands already."""
    if not context.workspace.warehouse.is_file():
        raise nothing_loaded()
    with connect(context.workspace, context.limits, read_only=True, wait=context.wait) as connection:
        pending(connection)
        facts = read_facts(connection, context.settings.risk.high_risk_probability)
    page = compose(facts, _setting(facts, context))
    texts = (markdown(page), html(page))
    key = text_digest("\0".join((COMMAND, *texts)))
    done = is_done(context.workspace, context.limits, key, TARGETS)
    return ReportPlan(context, page, texts, tuple(_unmade(facts)), key, done)


def _setting(facts: Facts, context: Context) -> Setting:
    settings, workspace = context.settings, context.workspace
    return Setting(
        title=settings.report.title,
        school=settings.report.school,
        currency=settings.report.currency,
        least=settings.privacy.min_cell,
        high_risk=settings.risk.high_risk_probability,
        alert_limit=settings.alerts.high_risk_threshold,
        capacity=settings.alerts.capacity,
        top_k=settings.experiment.top_k,
        value_per_pass=settings.roi.value_per_pass,
        contact_cost=settings.roi.intervention_cost,
        letters_folder=workspace.dead_letters.relative_to(workspace.root).as_posix(),
        start_days=settings.marts.start_days,
        demo=recovery(facts, context),
    )


def _unmade(facts: Facts) -> list[str]:
    """The commands of the sections that have nothing to say yet."""
    steps = {
        "ss score": bool(facts.runs),
        "ss marts build": facts.published is not None,
        "ss alerts": facts.last("alerts") is not None,
        "ss experiment": bool(facts.results),
        "ss train local --algorithm risk --backtest": bool(facts.backtest),
    }
    return [command for command, made in steps.items() if not made]


def run(made: ReportPlan, reporter: Reporter) -> ReportResult:
    """Put both files in their places, with one commit."""
    page = made.outputs[1]
    if made.done:
        return ReportResult(made.done, page, already_done=True)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id):
        with phase(reporter, "writing the report"), storage_errors(context.workspace.reports):
            staged = _staged(made, run_id)
        record = Run(run_id, made.key, COMMAND, TARGETS, False, started, context.configuration.digest)
        written = commit(context.workspace, context.limits, record, staged, _nothing, context.wait)
    return ReportResult(written.run_id, page, written.already_done)


def _staged(made: ReportPlan, run_id: str) -> list[StagedFile]:
    staged = []
    for text, target in zip(made.texts, made.targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = StagedFile(temp_path(target, run_id), target)
        file.temp.write_bytes(text.encode("utf-8", "backslashreplace"))
        staged.append(file)
    return staged


def _nothing(_connection: Connection) -> None:
    """The report is two files; the warehouse keeps that they were made."""
