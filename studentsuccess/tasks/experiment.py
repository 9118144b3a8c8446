"""`ss experiment simulate` and `design`: what a trial could show, and how large it must be, before it begins."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.core.formula import formula_safe
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.insights.experiment import (
    CONTROL,
    TREATMENT,
    Rules,
    Simulation,
    assign,
    base_rate,
    simulate,
    sorted_out,
)
from studentsuccess.insights.experiment_report import Setting, report
from studentsuccess.insights.power import is_rough, minimum_effect, power_of, sample_size
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.warehouse.commit import Run, StagedFile, commit, is_done, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.experiment import (
    SIMULATION,
    Candidates,
    Result,
    all_results,
    candidates,
    replace_results,
    standing_candidates,
)
from studentsuccess.warehouse.staging import staging_folder

COMMAND = "experiment simulate"
TARGETS = ("experiment:simulation",)
ASSIGNMENT_HEADER = ("id_student", "arm", "risk_score", "code_module", "code_presentation", "week")
# More an arm than this is no trial at a school, and the figures stay exact.
MOST_PER_ARM = 10**8


@dataclass(frozen=True)
class SimulationPlan:
    """Who would be in the trial, and how it is tried out. Made by reading only."""

    context: Context
    scored: int
    chosen: Candidates
    rules: Rules
    uplifts: tuple[float, ...]
    impossible: tuple[float, ...]
    smallest: float | None
    done: str | None

    @property
    def asked(self) -> int:
        return self.context.settings.experiment.top_k

    @property
    def arms(self) -> tuple[int, int]:
        """Contacted, and not."""
        return len(self.chosen) // 2, len(self.chosen) - len(self.chosen) // 2

    @property
    def base(self) -> float:
        return base_rate(self.chosen.risk)

    @property
    def targets(self) -> tuple[Path, Path]:
        """The assignment and the page."""
        workspace = self.context.workspace
        return workspace.outputs / "experiments" / "assignment_latest.csv", workspace.reports / "ab_test_report.md"

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(map(self.context.shown, self.targets))

    @property
    def warnings(self) -> tuple[str, ...]:
        count = len(self.chosen)
        said = []
        if count < self.asked:
            said.append(
                f"{self.asked:,} students were asked for and {count:,} are scored: all of them are in"
                f" (`--top-k {count}` says so)"
            )
        if count % 2:
            said.append(
                f"{count:,} students can't be halved: the one left over is not contacted; an even `--top-k` can"
            )
        if self.impossible:
            left = ", ".join(f"{one:g}" for one in self.impossible)
            said.append(f"uplifts left out, since more than everyone would have to pass: {left}")
        return tuple(said)


@dataclass(frozen=True)
class SimulationResult:
    """The scenarios as they stand in the warehouse now, by this run or an earlier one."""

    run_id: str
    scenarios: tuple[Result, ...]
    outputs: tuple[str, ...]
    already_done: bool

    def words(self) -> str:
        """The gist, by the scenario in the middle."""
        middle = self.scenarios[len(self.scenarios) // 2]
        needed, points = middle.needed_per_arm or 0, 100 * middle.rate_diff
        return f"needs {needed:,} students per arm to see {points:g} point{'' if points == 1 else 's'} (simulation)"


def plan(context: Context) -> SimulationPlan:
    """The students at the highest risk, and whether their simulation stands already."""
    everyone = candidates(context.workspace, context.limits)
    settings = context.settings.experiment
    chosen = everyone.first(settings.top_k)
    assign(len(chosen), settings.seed)
    rules, base = rules_of(context), base_rate(chosen.risk)
    possible, impossible = sorted_out(base, settings.uplifts)
    smallest = minimum_effect(base, len(chosen) // 2, rules.power, rules.alpha)
    done = is_done(context.workspace, context.limits, _key(everyone.digest, context), TARGETS)
    return SimulationPlan(context, len(everyone), chosen, rules, possible, impossible, smallest, done)


def rules_of(context: Context) -> Rules:
    """How trials are judged under these settings."""
    settings = context.settings.experiment
    return Rules(settings.bootstraps, settings.alpha, settings.power, settings.seed)


def _key(digest: str, context: Context) -> str:
    one = context.settings.experiment
    asked = [one.top_k, sorted(set(one.uplifts)), one.bootstraps, one.alpha, one.power, one.seed]
    return text_digest(canonical([COMMAND, digest, asked]))


def run(made: SimulationPlan, reporter: Reporter) -> SimulationResult:
    """Simulate, and put rows, assignment and page in their places with one commit."""
    context = made.context
    if made.done:
        return SimulationResult(made.done, _standing(context), made.outputs, already_done=True)
    run_id, started = new_run_id(), datetime.now(UTC)
    with recorded(context, run_id, started, COMMAND), staging_folder(context.workspace, run_id) as staging:
        with phase(reporter, "simulating trials"):
            found = simulate(made.chosen.risk, (*made.uplifts, *made.impossible), made.rules)
        texts = (_assignment(made.chosen, found), report(found, made.rules, _setting(made)))
        staged = []
        for text, target in zip(texts, made.targets, strict=True):
            (staging / target.name).write_bytes(text.encode("utf-8"))
            staged.append(StagedFile(staging / target.name, target))
        rows = _rows(found, made, run_id, started)

        def work(connection: Connection) -> None:
            if standing_candidates(connection).digest != made.chosen.digest:
                raise BusyError("the students were scored anew meanwhile", "run it again: `ss experiment`")
            replace_results(connection, rows)

        key = _key(made.chosen.digest, context)
        record = Run(run_id, key, COMMAND, TARGETS, False, started, context.configuration.digest)
        written = commit(context.workspace, context.limits, record, staged, work, context.wait)
    scenarios = _standing(context) if written.already_done else rows
    return SimulationResult(written.run_id, scenarios, made.outputs, written.already_done)


def _standing(context: Context) -> tuple[Result, ...]:
    return tuple(one for one in all_results(context.workspace, context.limits) if one.kind == SIMULATION)


def _setting(made: SimulationPlan) -> Setting:
    assignment = made.targets[0].relative_to(made.context.workspace.root)
    return Setting(made.scored, made.asked, made.chosen.weeks, assignment.as_posix())


def _assignment(chosen: Candidates, found: Simulation) -> str:
    """Who is in which arm, safe to open in a spreadsheet; with a column `outcome` it goes back to `analyze`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ASSIGNMENT_HEADER)
    for row, treated in zip(chosen.table.to_pylist(), found.treated.tolist(), strict=True):
        names = [formula_safe(str(row[name])) for name in ("student_id", "code_module", "code_presentation")]
        arm = TREATMENT if treated else CONTROL
        writer.writerow((names[0], arm, f"{row['probability']:.6f}", names[1], names[2], row["week"]))
    return text.getvalue()


def _rows(found: Simulation, made: SimulationPlan, run_id: str, started: datetime) -> tuple[Result, ...]:
    return tuple(
        Result(
            run_ts=started.astimezone(UTC).replace(tzinfo=None),
            uplift_scenario=one.uplift,
            control_rate=one.control_rate,
            treatment_rate=one.treatment_rate,
            rate_diff=one.rate_diff,
            p_value=one.p_value,
            ci_low=one.interval.low,
            ci_high=one.interval.high,
            kind=SIMULATION,
            name=SIMULATION,
            n_control=found.n_control,
            n_treatment=found.n_treatment,
            boot_low=one.simulated.low,
            boot_high=one.simulated.high,
            power=one.power,
            needed_per_arm=one.needed,
            adjusted_diff=None,
            adjusted_low=None,
            adjusted_high=None,
            predictions_digest=made.chosen.digest,
            run_id=run_id,
        )
        for one in found.scenarios
    )


@dataclass(frozen=True)
class DesignRequest:
    """What is asked about a trial's size; what is left out comes from the settings and the predictions."""

    base: float | None = None
    uplift: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class DesignRow:
    """One uplift and one size, and the chance that goes with them."""

    uplift: float
    n_per_arm: int
    power: float
    rough: bool


@dataclass(frozen=True)
class Design:
    """The size of a trial: rows that were asked for, and the smallest effect of a given size (none: not even all)."""

    base: float
    base_from: str
    power: float
    alpha: float
    rows: tuple[DesignRow, ...]
    n: int
    smallest: float | None


def design(request: DesignRequest, context: Context) -> Design:
    """Sizes for uplifts, or what a size can show, or the chance of both together."""
    _refuse_odd(request)
    base, base_from, students = _base(request, context)
    rules = rules_of(context)
    _refuse_odd(request)
    uplifts = (request.uplift,) if request.uplift is not None else _possible(context, base)
    sizes = [
        request.n if request.n is not None else sample_size(base, one, rules.power, rules.alpha) for one in uplifts
    ]
    rows = tuple(
        DesignRow(one, size, power_of(base, one, size, rules.alpha), is_rough(base, one, size))
        for one, size in zip(uplifts, sizes, strict=True)
    )
    asked = request.n if request.n is not None else max(1, students // 2)
    smallest = minimum_effect(base, asked, rules.power, rules.alpha)
    return Design(base, base_from, rules.power, rules.alpha, rows, asked, smallest)


def _base(request: DesignRequest, context: Context) -> tuple[float, str, int]:
    """The pass rate without help, where it is from, and how many students a trial would take in."""
    top_k = context.settings.experiment.top_k
    if request.base is not None:
        return request.base, "as given", top_k
    chosen = candidates(context.workspace, context.limits).first(top_k)
    return base_rate(chosen.risk), f"the model's, of the {len(chosen):,} students at the highest risk", len(chosen)


def _refuse_odd(request: DesignRequest) -> None:
    """`nan` and `inf` are numbers to a command line, and sizes without an end take forever."""
    named = {"--base-rate": request.base, "--uplift": request.uplift}
    for flag, value in named.items():
        if value is not None and not math.isfinite(value):
            raise UsageError(f"`{flag}` must be a number, not `{value}`", f"give a share: `{flag} 0.05`")
    if request.n is not None and not 2 <= request.n <= MOST_PER_ARM:
        raise UsageError(
            f"`--n` must be from 2 to {MOST_PER_ARM:,} students per arm, not {request.n:,}", "for example: `--n 200`"
        )


def _possible(context: Context, base: float) -> Sequence[float]:
    """The uplifts of the settings that leave the rate within 1; a rate that is none is refused further on."""
    wanted = context.settings.experiment.uplifts
    return sorted_out(base, wanted)[0] if 0 <= base < 1 else wanted
