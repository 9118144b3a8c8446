"""The page about a simulated trial, for people who decide and do not calculate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from studentsuccess.insights.experiment import Rules, Scenario, Simulation
from studentsuccess.insights.proportions import Interval

PLAN_NOT_EVIDENCE = "An offline simulation is a plan, not evidence: nobody was contacted, and nothing was measured."


@dataclass(frozen=True)
class Setting:
    """What the page says beside the figures."""

    scored: int
    asked: int
    weeks: tuple[int, ...]
    assignment: str


def report(found: Simulation, rules: Rules, about: Setting) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(found, rules, about))


def _lines(found: Simulation, rules: Rules, about: Setting) -> Iterator[str]:
    size = found.n_treatment + found.n_control
    yield from ("# What a trial could show", "", f"> **{PLAN_NOT_EVIDENCE}**", "")
    yield from _who(found, about, size)
    yield from _scenarios(found, rules)
    yield from _how_large(found, rules, size)
    yield from _next(about)
    yield from _how(rules)


def _who(found: Simulation, about: Setting, size: int) -> Iterator[str]:
    weeks = "week " + " and ".join(map(str, about.weeks)) if len(about.weeks) < 4 else f"weeks up to {about.weeks[-1]}"
    yield from ("## Who would take part", "")
    yield (
        f"The {size:,} students at the highest predicted risk of the {about.scored:,} scored ({weeks}), each once. Half"
        f" of them, drawn by lot, would be contacted: {found.n_treatment:,} contacted, {found.n_control:,} not."
    )
    if size < about.asked:
        yield f"{about.asked:,} were asked for, and there are no more: this is the whole class."
    if found.n_treatment != found.n_control:
        yield f"{size:,} can't be halved: the one left over is not contacted."
    yield ""
    yield (
        f"Without any contact the model expects {_percent(found.base_rate)} of them to pass. The lot put students with"
        f" a mean risk of {_percent(found.risk_treatment)} into the contacted arm and of {_percent(found.risk_control)}"
        " into the other."
    )
    yield ""


def _scenarios(found: Simulation, rules: Rules) -> Iterator[str]:
    sure = f"{1 - rules.alpha:.0%}"
    yield from ("## What it could show", "")
    yield (
        "Each line supposes that contact raises the share that passes by so many points of 100, and says what a trial"
        " of this size would then look like."
    )
    yield ""
    yield (
        f"| contact adds | pass without | pass with | {sure} of trials would show | chance to prove it |"
        f" p value, as expected | {sure} interval, as expected | students needed per arm |"
    )
    yield "| ---: | ---: | ---: | :---: | ---: | ---: | :---: | ---: |"
    for one in found.scenarios:
        yield _row(one)
    for uplift in found.impossible:
        yield ""
        yield (
            f"An uplift of {_points(uplift)} is left out: with {_percent(found.base_rate)} passing anyway, more than"
            " everyone would have to pass."
        )
    yield ""


def _row(one: Scenario) -> str:
    cells = (
        _points(one.uplift),
        _percent(one.control_rate),
        _percent(one.treatment_rate),
        _span(one.simulated),
        f"{one.power:.0%}",
        f"{one.p_value:.3f}" if one.p_value >= 0.001 else "below 0.001",
        _span(one.interval),
        f"{one.needed:,}",
    )
    return "| " + " | ".join(cells) + " |"


def _how_large(found: Simulation, rules: Rules, size: int) -> Iterator[str]:
    yield from ("## Is it large enough?", "")
    best = max(found.scenarios, key=lambda one: one.uplift)
    if found.smallest is None:
        yield f"With {size:,} students no uplift at all could be proved. Take more in: `ss experiment --top-k N`."
    else:
        yield (
            f"A trial of {size:,} students proves an uplift of {_points(found.smallest)} or more with a chance of"
            f" {rules.power:.0%}. Smaller ones are missed more often, and a trial that misses an effect has not shown"
            " that there is none."
        )
    if best.needed > min(found.n_treatment, found.n_control):
        yield ""
        yield (
            f"To prove {_points(best.uplift)} it takes {best.needed:,} students in each arm. If there are fewer,"
            " several terms or schools can share one trial."
        )
    yield ""


def _next(about: Setting) -> Iterator[str]:
    yield from ("## What would make it evidence", "")
    yield f"1. Keep a copy of `{about.assignment}` where nothing replaces it: the next simulation writes it anew."
    yield "2. Contact those in the arm `treatment`, and treat the arm `control` as always. Change nobody's arm."
    yield "3. When the results are known, add a column `outcome` (1 passed, 0 did not) to the copy."
    yield "4. `ss experiment analyze COPY.csv` says what the contact did, how sure that is, and checks the arms."
    yield ""


def _how(rules: Rules) -> Iterator[str]:
    yield from ("## How this was computed", "")
    yield (
        f"- {rules.rounds:,} trials were simulated for each line (seed {rules.seed}): arms by lot, each student passing"
        " with the model's own probability. Contact saves the same share of those who would not pass."
    )
    yield (
        "- The p value is of the two-proportion z-test and the interval is Newcombe's, both of a trial that comes out"
        " exactly as expected. Chances and sizes are for that test, both sides counted."
    )
    yield "- Everything rests on the model's probabilities. Where they are off, so is this page."
    yield ""
    yield f"*{PLAN_NOT_EVIDENCE}*"
    yield ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    shown = f"{100 * share:.1f}".removesuffix(".0")
    return f"{shown} point{'' if shown == '1' else 's'}"


def _span(found: Interval) -> str:
    return f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
