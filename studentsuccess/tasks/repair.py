"""`ss verify --repair`: what is made of something else is made again; what is not is named and left as it is.

A damaged file goes to the trash before its step runs again, because somebody may have written into it. Nothing is
made while rows are wrong that can't be made again: what is made of them would be wrong too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from studentsuccess.core.digest import text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import SsError
from studentsuccess.tasks import clean, risk_explain, risk_score
from studentsuccess.tasks.clean_choice import Item, Kind
from studentsuccess.tasks.context import Context
from studentsuccess.warehouse.commit import mend, new_run_id
from studentsuccess.warehouse.marts import BUILT
from studentsuccess.warehouse.trash import world
from studentsuccess.warehouse.verify import Finding, verify

COMMAND = "verify --repair"
MARTS = "marts build"
_TABLES = {f"mart.{name}" for name in BUILT}
_SCHEMAS = ("raw.", "core.", "feature.", "ml.", "mart.", "ops.")
_RESULTS = ("outputs/", "reports/")


@dataclass(frozen=True)
class _Step:
    """The task of a step, what its plan is asked for, and the files that are its own where a command has other uses."""

    task: str
    asked: tuple[None, ...] = ()
    files: tuple[str, ...] | None = None

    def made(self, subject: str) -> bool:
        return subject.startswith(_RESULTS) and (self.files is None or subject.removeprefix("outputs/") in self.files)


# Steps that need nothing but the warehouse and the model in production, in their order.
_WORK: Mapping[str, _Step] = {
    "score": _Step("risk_score", (None,), risk_score.FILES),
    "explain": _Step("risk_explain", (None,), risk_explain.FILES),
    MARTS: _Step("marts"),
    "alerts": _Step("alerts"),
    "experiment simulate": _Step("experiment"),
    "roi": _Step("roi"),
    "report": _Step("report"),
}


@dataclass(frozen=True)
class RepairPlan:
    """What is damaged, which steps make it again, and what nobody can."""

    context: Context
    findings: tuple[Finding, ...]
    steps: Mapping[str, tuple[Finding, ...]]
    hopeless: tuple[Finding, ...]
    blocked: bool

    @property
    def rebuilt(self) -> tuple[Finding, ...]:
        return tuple(one for found in self.steps.values() for one in found)


@dataclass(frozen=True)
class Repaired:
    """How it stands afterwards; `failed` has the steps that could not run, and why."""

    findings: tuple[Finding, ...]
    done: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def damaged(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.level == "damage")


def plan(context: Context) -> RepairPlan:
    """Find the damage, and for each piece the step that made it."""
    workspace = context.workspace
    findings = tuple(verify(workspace, context.limits))
    placed = world(workspace).placed
    steps: dict[str, list[Finding]] = {step: [] for step in _WORK}
    hopeless: list[Finding] = []
    for one in (one for one in findings if one.level == "damage"):
        wrote = placed[one.subject][1] if one.subject in placed else ""
        command = MARTS if one.subject in _TABLES else wrote.partition("(`")[2].rstrip("`)")
        makes = command in steps and (one.subject in _TABLES or _WORK[command].made(one.subject))
        (steps[command] if makes else hopeless).append(one)
    blocked = any(_is_of_the_warehouse(one, context) for one in hopeless)
    return RepairPlan(
        context, findings, {step: tuple(found) for step, found in steps.items() if found}, tuple(hopeless), blocked
    )


def _is_of_the_warehouse(finding: Finding, context: Context) -> bool:
    """A table, or the file itself."""
    return finding.subject == context.workspace.warehouse.name or finding.subject.startswith(_SCHEMAS)


def run(made: RepairPlan, reporter: Reporter) -> Repaired:
    """Bring to an end what was cut short, then make again what can be."""
    context = made.context
    if made.blocked or not context.workspace.warehouse.is_file():
        return Repaired(made.findings, (), {})
    mend(context.workspace, context.limits, COMMAND, context.wait)
    _set_aside(made, reporter)
    done, failed = [], {}
    for step in made.steps:
        try:
            with phase(reporter, f"{step} again"):
                _again(step, context, reporter)
            done.append(step)
        except SsError as problem:
            failed[step] = problem.message
    return Repaired(tuple(verify(context.workspace, context.limits)), tuple(done), failed)


def _set_aside(made: RepairPlan, reporter: Reporter) -> None:
    """Damaged files go to the trash: their steps miss them then, and whoever wrote into them finds them there."""
    root = made.context.workspace.root
    items = []
    for one in made.rebuilt:
        path = root / one.subject
        if path.is_file() and not path.is_symlink():
            found = path.stat()
            items.append(Item(Kind.OUTPUTS, one.subject, (one.subject,), found.st_size, found.st_mtime))
        elif path.is_symlink():
            path.unlink()
    clean.run(clean.CleanPlan(made.context, (Kind.OUTPUTS,), tuple(items), ()), reporter)


def _again(step: str, context: Context, reporter: Reporter) -> None:
    task: Any = import_module(f"studentsuccess.tasks.{_WORK[step].task}")
    made = task.plan(*_WORK[step].asked, context)
    if step == MARTS:
        # By its own key it would be found done: its run is there, and its files may be.
        made = replace(made, done=None, key=text_digest(f"{made.key} again {new_run_id()}"))
    task.run(made, reporter)
