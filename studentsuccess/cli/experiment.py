"""`ss experiment`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.groups import running
from studentsuccess.cli.output import Table, typing_is_expected

if TYPE_CHECKING:
    from studentsuccess.insights.proportions import Interval
    from studentsuccess.insights.trial import Arm, Estimate
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.experiment import Design, SimulationPlan, SimulationResult
    from studentsuccess.tasks.experiment_trial import TrialPlan, TrialResult

BARE = "simulate"
GROUP = "experiment"
# The words of insights/experiment_report.py, which a start must not pay for.
PLAN_NOT_EVIDENCE = "an offline simulation is a plan, not evidence: nobody was contacted, and nothing was measured"


def _own(*flags: str, about: str, metavar: str) -> Any:
    return typer.Option(*flags, help=about, metavar=metavar, show_default=False)


TopK = Annotated[int | None, _own("--top-k", about="How many students at the highest risk; default: 50.", metavar="K")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=running(BARE),
        invoke_without_command=True,
        help="Would contact help? A trial on paper, its size, a real one.",
        epilog="Example: ss experiment simulate --top-k 200",
    )
    app.add_typer(group, name=GROUP)
    _register_planning(group)
    _register_analysis(group)


def _register_planning(group: typer.Typer) -> None:
    @command(group, BARE, changes=True, group=GROUP, epilog="Example: ss experiment simulate --top-k 200 --dry-run")
    def simulate(frame: Frame, top_k: TopK = None) -> None:
        """Draw the arms of a trial, and say what it could show."""
        context = _context(frame, {"experiment.top_k": top_k})
        from studentsuccess.tasks import experiment as task

        made = task.plan(context)
        for warning in made.warnings:
            frame.output.warn(warning)
        if frame.dry_run:
            _show_plan(frame, made)
            return
        _show_simulation(frame, made, task.run(made, frame.reporter()))

    @command(group, "design", group=GROUP, epilog="Example: ss experiment design --base-rate 0.4 --uplift 0.05")
    def design(
        frame: Frame,
        base: Annotated[
            float | None,
            _own("--base-rate", about="Share that passes without help; default: the model's.", metavar="SHARE"),
        ] = None,
        uplift: Annotated[
            float | None, _own("--uplift", about="What contact adds to it, such as 0.05.", metavar="SHARE")
        ] = None,
        size: Annotated[int | None, _own("--n", about="Students per arm.", metavar="N")] = None,
        power: Annotated[
            float | None, _own("--power", about="Chance to prove what is there; default: 0.8.", metavar="SHARE")
        ] = None,
        alpha: Annotated[
            float | None, _own("--alpha", about="Chance of a false alarm; default: 0.05.", metavar="SHARE")
        ] = None,
        top_k: TopK = None,
    ) -> None:
        """How many students a trial needs, or what so many can prove."""
        context = _context(frame, {"experiment.power": power, "experiment.alpha": alpha, "experiment.top_k": top_k})
        from studentsuccess.tasks import experiment as task

        _show_design(frame, task.design(task.DesignRequest(base, uplift, size), context))


def _register_analysis(group: typer.Typer) -> None:
    @command(group, "analyze", changes=True, group=GROUP, epilog="Example: ss experiment analyze trial.csv --arm group")
    def analyze(
        frame: Frame,
        file: Annotated[
            str | None, typer.Argument(metavar="FILE", help="One row a student; - is stdin.", show_default=False)
        ] = None,
        arm: Annotated[str | None, _own("--arm", about="Column that says the arm.", metavar="COLUMN")] = None,
        outcome: Annotated[
            str | None, _own("--outcome", about="Column with 1 (passed), 0 (not) or nothing yet.", metavar="COLUMN")
        ] = None,
        ids: Annotated[list[str] | None, _own("--id", about="Column(s) that identify a row.", metavar="COLUMN")] = None,
        control: Annotated[
            str | None, _own("--control", about="The arm that was not contacted.", metavar="ARM")
        ] = None,
        name: Annotated[
            str | None, _own("--trial", about="Name of the trial; default: the file's.", metavar="NAME")
        ] = None,
    ) -> None:
        """What a real trial showed, and how sure that is."""
        context = _context(frame, {})
        from studentsuccess.errors import UsageError
        from studentsuccess.tasks import experiment_trial as task
        from studentsuccess.tasks.experiment_rows import Asked
        from studentsuccess.tasks.inputs import STDIN, resolved

        if file is None:
            raise UsageError("no file with a trial's outcomes is named", "name it: `ss experiment analyze FILE`")
        if len(ids or ()) > 1:
            raise UsageError("a student has one id here, and several columns are named", "name one: `--id COLUMN`")
        if file == STDIN and typing_is_expected():
            frame.output.note("reading what you type; Ctrl-D on an empty line ends it")
        asked = Asked(arm, outcome, ids[0] if ids else None, control)
        with resolved([file]) as files:
            with frame.working("reading the trial"):
                made = task.plan(asked, files, context, name)
            done = None if frame.dry_run else task.run(made)
        _show_trial(frame, made, done)


def _context(frame: Frame, flags: dict[str, object]) -> Context:
    configuration = frame.configuration(flags)
    from studentsuccess.tasks.context import Context

    return Context(configuration, frame.wait)


def _show_plan(frame: Frame, made: SimulationPlan) -> None:
    treated, control = made.arms
    document = {
        "plan": "experiment simulate",
        "students": len(made.chosen),
        "scored": made.scored,
        "arms": {"treatment": treated, "control": control},
        "control_rate": made.base,
        "uplifts": list(made.uplifts),
        "bootstraps": made.rules.rounds,
        "writes": ["mart.experiment_results", *made.outputs],
        "already_done": bool(made.done),
        "warnings": list(made.warnings),
        "note": PLAN_NOT_EVIDENCE,
    }
    rows = [(one, "replaced") for one in ("mart.experiment_results", *made.outputs)]
    words = [
        f"students  {len(made.chosen):,} of {made.scored:,} scored: {treated:,} contacted, {control:,} not",
        f"expected  {made.base:.1%} pass without contact; uplifts {', '.join(f'{one:g}' for one in made.uplifts)}",
    ]
    words += [f"already simulated by run {made.done}: a run would change nothing"] if made.done else []
    frame.output.result(document, Table(("writes", "as"), rows, words))


def _show_simulation(frame: Frame, made: SimulationPlan, done: SimulationResult) -> None:
    document = {
        "run_id": done.run_id,
        "kind": "simulation",
        "note": PLAN_NOT_EVIDENCE,
        "already_done": done.already_done,
        "students": len(made.chosen),
        "arms": {"treatment": made.arms[0], "control": made.arms[1]},
        "control_rate": made.base,
        "smallest_uplift": made.smallest,
        "left_out": list(made.impossible),
        "scenarios": [
            {
                "uplift_scenario": one.uplift_scenario,
                "control_rate": one.control_rate,
                "treatment_rate": one.treatment_rate,
                "rate_diff": one.rate_diff,
                "p_value": one.p_value,
                "ci": [one.ci_low, one.ci_high],
                "simulated": [one.boot_low, one.boot_high],
                "power": one.power,
                "needed_per_arm": one.needed_per_arm,
            }
            for one in done.scenarios
        ],
        "outputs": list(done.outputs),
        "warnings": list(made.warnings),
    }
    header = ("uplift", "without", "with", "95% of trials show", "chance to prove", "p as expected", "needed per arm")
    if made.rules.alpha != 0.05:
        header = (*header[:3], f"{1 - made.rules.alpha:.4g} of trials show", *header[4:])
    rows = [
        (
            f"{100 * one.rate_diff:g} points",
            f"{one.control_rate:.1%}",
            f"{one.treatment_rate:.1%}",
            f"{_points(one.boot_low)} to {_points(one.boot_high)}",
            f"{one.power or 0:.0%}",
            f"{one.p_value:.3f}" if one.p_value >= 0.001 else "<0.001",
            one.needed_per_arm,
        )
        for one in done.scenarios
    ]
    frame.output.result(document, Table(header, rows))
    frame.output.note(PLAN_NOT_EVIDENCE)
    if done.already_done:
        frame.output.note(f"already simulated by run {done.run_id}: nothing new, nothing changed")
        return
    frame.output.note(f"run {done.run_id}: {', '.join(done.outputs)}")


def _show_design(frame: Frame, found: Design) -> None:
    document = {
        "base_rate": found.base,
        "base_rate_from": found.base_from,
        "alpha": found.alpha,
        "wanted_power": found.power,
        "rows": [
            {"uplift": one.uplift, "n_per_arm": one.n_per_arm, "power": one.power, "approximate": one.rough}
            for one in found.rows
        ],
        "smallest": {"n_per_arm": found.n, "uplift": found.smallest},
    }
    rows = [(f"{100 * one.uplift:g} points", one.n_per_arm, f"{one.power:.1%}") for one in found.rows]
    base = f"pass rate without help: {found.base:.1%} ({found.base_from})"
    seen = (
        f"the smallest uplift that {found.n:,} per arm prove with a chance of {found.power:.0%}:"
        f" {100 * found.smallest:.1f} points"
        if found.smallest is not None
        else f"with {found.n:,} per arm no uplift at all is proved with a chance of {found.power:.0%}"
    )
    frame.output.result(document, Table(("uplift", "students per arm", "chance to prove"), rows, (base, seen)))
    if any(one.rough for one in found.rows):
        frame.output.warn("fewer than 5 would pass or fail in an arm: these chances are rough")


def _show_trial(frame: Frame, made: TrialPlan, done: TrialResult | None) -> None:
    found = made.found
    document = {
        "run_id": done.run_id if done else None,
        "recorded": bool(done),
        "already_done": bool(made.done),
        "kind": "trial",
        "name": made.name,
        "columns": {"arm": made.rows.columns.arm, "outcome": made.rows.columns.outcome, "id": made.rows.columns.id},
        "arms": {"treatment": _arm(found.treatment, made), "control": _arm(found.control, made)},
        "repeats": made.rows.repeats,
        "effect": {**_estimate(found.effect), "interval_by": "Newcombe's score interval", "test": "two-proportion z"},
        "bootstrap": _ends(found.simulated),
        "exact_p_value": found.exact_p,
        "adjusted": {**_estimate(found.adjusted), "students": found.adjusted_students, "by": _ADJUSTED}
        if found.adjusted
        else None,
        "balance": {
            "students": found.balance.matched,
            "standardised_difference": found.balance.difference,
            "chance_allows": found.balance.chance,
            "alike": found.balance.alike,
        }
        if found.balance
        else None,
        "risk_from": made.risk_from,
        "attrition": {
            "p_value": found.attrition.p_value,
            "effect_at_worst": found.attrition.worst,
            "effect_at_best": found.attrition.best,
        }
        if found.attrition
        else None,
        "warnings": list(made.warnings),
    }
    frame.output.result(document, Table(("what", "value"), _facts(made)))
    for warning in made.warnings:
        frame.output.warn(warning)
    if done is None:
        frame.output.note("nothing was recorded (--dry-run)")
    elif done.already_done:
        frame.output.note(f"already recorded by run {done.run_id}: nothing new, nothing changed")
    else:
        frame.output.note(f"run {done.run_id}: recorded in mart.experiment_results")


_ADJUSTED = "linear regression on arm, predicted risk and their product (Lin), HC2 errors"


def _facts(made: TrialPlan) -> list[tuple[str, str]]:
    found = made.found
    rows = [
        (f"{arm.name} (`{label}`)", f"{arm.passed:,} of {arm.known:,} passed: {arm.rate:.1%}{_unknown(arm)}")
        for arm, label in ((found.treatment, made.rows.treatment), (found.control, made.rows.control))
    ]
    rows.append(("effect", f"{_told(found.effect)} (Newcombe's score interval, two-proportion z-test)"))
    rows.append(("exact p value", f"{found.exact_p:.3g} (Fisher)"))
    if found.adjusted:
        count = f"{found.adjusted_students:,} students"
        rows.append(("adjusted for risk", f"{_told(found.adjusted)} ({count}; {_ADJUSTED})"))
    if found.balance:
        word = "alike" if found.balance.alike else "NOT alike"
        rows.append(
            (
                "arms at the start",
                f"{word}: mean risks differ by {found.balance.difference:+.2f} standard deviations, chance allows"
                f" {found.balance.chance:.2f} (by {made.risk_from})",
            )
        )
    if found.attrition:
        ends = f"{_points(found.attrition.worst)} to {_points(found.attrition.best)} points"
        rows.append(("if outcomes unknown", f"all fell one way: {ends}"))
    if made.rows.repeats:
        rows.append(("repeated rows", f"{made.rows.repeats:,}, each counted once"))
    return rows


def _unknown(arm: Arm) -> str:
    return f", {arm.missing:,} unknown" if arm.missing else ""


def _told(one: Estimate) -> str:
    p_value = f"p = {one.p_value:.3f}" if one.p_value >= 0.001 else "p < 0.001"
    return f"{_points(one.difference)} points, {_span(one.interval)}, {p_value}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _span(one: Interval) -> str:
    return f"{_points(one.low)} to {_points(one.high)}"


def _ends(one: Interval) -> list[float]:
    return [one.low, one.high]


def _estimate(one: Estimate) -> dict[str, object]:
    return {"difference": one.difference, "interval": _ends(one.interval), "p_value": one.p_value}


def _arm(arm: Arm, made: TrialPlan) -> dict[str, object]:
    label = made.rows.treatment if arm.name == "treatment" else made.rows.control
    return {
        "label": label,
        "assigned": arm.assigned,
        "known": arm.known,
        "passed": arm.passed,
        "rate": arm.rate,
        "mean_risk": arm.mean_risk,
    }
