"""`ss roi`: what contacting the students at the highest risk is worth, over uplifts and costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import UsageError
from studentsuccess.insights.experiment import base_rate
from studentsuccess.insights.proportions import Interval
from studentsuccess.insights.roi import SIMULATION, BreakEven, Contacted, Effect, Grid, as_csv, costs_around, grid
from studentsuccess.insights.roi_chart import roi_png
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.experiment import Result, all_results, candidates
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "roi"
TARGETS = ("roi",)


@dataclass(frozen=True)
class RoiPlan:
    """The whole grid: it is nothing but arithmetic on what the warehouse holds."""

    context: Context
    found: Grid
    warnings: tuple[str, ...]
    key: str
    done: str | None

    @property
    def targets(self) -> tuple[Path, Path]:
        """The table and the picture."""
        reports = self.context.workspace.reports
        return reports / "roi_sensitivity.csv", reports / "roi_sensitivity.png"

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(map(self.context.shown, self.targets))


@dataclass(frozen=True)
class RoiResult:
    """The run that wrote it."""

    run_id: str
    already_done: bool
    lines: tuple[BreakEven, ...]

    def words(self) -> str:
        """The gist, by the scenario in the middle; by a trial where there is no scenario."""
        lines = [one for one in self.lines if one.effect.kind == SIMULATION] or self.lines
        middle = lines[len(lines) // 2]
        if middle.mid is None:
            return f"never breaks even ({middle.effect.label})"
        amount = f"{middle.mid:,.2f}".removesuffix(".00")
        return f"breaks even at {amount} per contact ({middle.effect.label})"


def plan(context: Context) -> RoiPlan:
    """The grid of the students that are contacted now and the effects that are known; reads only."""
    everyone = candidates(context.workspace, context.limits)
    results = all_results(context.workspace, context.limits)
    if not results:
        raise UsageError(
            "there is no experiment yet, and its interval is what a return is computed with",
            "simulate one first: `ss experiment`; or all at once: `ss run`",
        )
    chosen = everyone.first(context.settings.experiment.top_k)
    settings = context.settings.roi
    contacted = Contacted(len(chosen), base_rate(chosen.risk) * len(chosen))
    effects = [_effect(one) for one in results]
    costs = settings.costs or costs_around(settings.intervention_cost)
    found = grid(contacted, effects, costs, settings.value_per_pass)
    key = _key(found, settings.intervention_cost)
    done = is_done(context.workspace, context.limits, key, TARGETS)
    return RoiPlan(context, found, _stale(results, everyone.digest, len(chosen)), key, done)


def _effect(one: Result) -> Effect:
    """A simulated scenario is as wide as the simulated trials are, a real one as its own interval."""
    if one.kind == SIMULATION:
        return Effect(one.kind, one.name, one.uplift_scenario or 0.0, Interval(one.boot_low, one.boot_high))
    return Effect(one.kind, one.name, one.rate_diff, Interval(one.ci_low, one.ci_high))


def _stale(results: tuple[Result, ...], digest: str, contacted: int) -> tuple[str, ...]:
    simulated = [one for one in results if one.kind == SIMULATION]
    if any(one.predictions_digest != digest for one in simulated):
        return ("the simulation is of an earlier scoring: its intervals are out of date; renew it: `ss experiment`",)
    if any(one.n_control + one.n_treatment != contacted for one in simulated):
        return ("the simulation is of another number of students: renew it: `ss experiment`",)
    return ()


def _key(found: Grid, cost: float) -> str:
    return text_digest(canonical([COMMAND, as_csv(found), cost]))


def run(made: RoiPlan, reporter: Reporter) -> RoiResult:
    """Write the table and the picture."""
    if made.done:
        return RoiResult(made.done, already_done=True, lines=made.found.break_even)
    context = made.context
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id) as staging:
        with phase(reporter, "drawing the returns"):
            picture = roi_png(made.found, context.settings.roi.intervention_cost)
        staged = []
        for data, target in zip((as_csv(made.found).encode("utf-8"), picture), made.targets, strict=True):
            (staging / target.name).write_bytes(data)
            staged.append(StagedFile(staging / target.name, target))
        record = Run(run_id, made.key, COMMAND, TARGETS, False, started, context.configuration.digest)
        written = commit(context.workspace, context.limits, record, staged, _nothing, context.wait)
    return RoiResult(written.run_id, written.already_done, made.found.break_even)


def _nothing(_connection: Connection) -> None:
    """The grid is a file; the warehouse keeps that it was made."""
