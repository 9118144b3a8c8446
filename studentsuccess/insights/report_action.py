"""What to do this week, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from studentsuccess.core import charts
from studentsuccess.core.charts import About, Line
from studentsuccess.core.page import (
    Block,
    Bullets,
    Chart,
    Code,
    Grid,
    Note,
    Paragraph,
    Section,
    Strong,
    Text,
    missing,
    say,
)
from studentsuccess.insights.experiment import base_rate
from studentsuccess.insights.experiment_report import PLAN_NOT_EVIDENCE
from studentsuccess.insights.proportions import Interval
from studentsuccess.insights.report_risk import nobody_scored, talk_about
from studentsuccess.insights.report_setting import Setting
from studentsuccess.insights.report_words import (
    NOTHING,
    brief,
    listed,
    money,
    percent,
    points,
    points_span,
    several,
)
from studentsuccess.insights.roi import BreakEven, Contacted, Effect, break_even
from studentsuccess.warehouse.experiment import SIMULATION, TRIAL, Result
from studentsuccess.warehouse.report import Alert, Facts

ALERTS = "alerts"
QUIET = "none"
KINDS = {
    "threshold": "the share at high risk is above the limit",
    "spike": "the risk rose quickly",
    "threshold_and_spike": "the share is above the limit, and the risk rose quickly",
}
MOST_EFFECTS = len(charts.HUES)


def calls(facts: Facts, setting: Setting) -> int:
    """How many students the list of this week can hold."""
    scored = len(facts.candidates)
    return min(setting.capacity, scored) if scored >= setting.least else setting.capacity


def what_to_do(facts: Facts, setting: Setting) -> Section:
    """The calls of the week, as a number: names stay with those who call."""
    title = "What to do this week"
    if not facts.runs:
        return nobody_scored("do", title)
    return Section("do", title, tuple(_what_to_do(facts, setting)))


def _what_to_do(facts: Facts, setting: Setting) -> Iterator[Block]:
    if facts.last(ALERTS) is None:
        yield missing("The list of calls and the alerts have not been made yet:", "ss alerts")
    else:
        yield Paragraph(_about_calls(facts, setting))
        yield from _alerts(facts.alerts, setting)
    topics = [topic[:1].lower() + topic[1:] for topic in talk_about(facts, setting)]
    if topics:
        yield Paragraph(say(f"What advisers will most often talk about: {listed(topics)}."))


def _about_calls(facts: Facts, setting: Setting) -> Text:
    return say(
        Strong(f"Up to {several(calls(facts, setting), 'call')}"),
        f" (the capacity is set to {setting.capacity:,}): the students for whom a call is expected to change most, each"
        " with reasons to talk about. Left out are those who were contacted lately, and those of whom the model is sure"
        " that they are not at risk. The list with the names is for advisers alone and not part of this report: ",
        Code(setting.calls_file),
        ".",
    )


def _alerts(found: Sequence[Alert], setting: Setting) -> Iterator[Block]:
    overall = [one for one in found if one.course is None and one.kind != QUIET]
    classes = [one for one in found if one.course is not None]
    raised = [one for one in classes if one.kind != QUIET]
    if not raised and not overall:
        yield Paragraph(
            say(f"No alert: no course is above the limit of {percent(setting.alert_limit)}, and no risk rose quickly.")
        )
        return
    for one in overall:
        yield Paragraph(say(f"Over all courses together: {KINDS.get(one.kind, one.kind)}."))
    if raised:
        terms = {one.term for one in classes}
        by_kind = {kind: [one for one in raised if one.kind == kind] for kind in KINDS}
        yield Bullets(
            tuple(
                say(f"{several(len(members), 'course')}: {KINDS[kind]} ({listed(_names(members, len(terms)))}).")
                for kind, members in by_kind.items()
                if members
            )
        )


def _names(members: Sequence[Alert], terms: int) -> list[str]:
    return [brief(str(one.course)) + (f" {one.term}" if terms > 1 else "") for one in members]


def worth(facts: Facts, setting: Setting) -> Section:
    """What an experiment showed or could show, and at which cost it pays."""
    return Section("worth", "What it is worth", tuple(_worth(facts, setting)))


def _worth(facts: Facts, setting: Setting) -> Iterator[Block]:
    if not facts.results:
        yield missing("No experiment has been planned or made yet:", "ss experiment")
        return
    simulated = [one for one in facts.results if one.kind == SIMULATION]
    trials = [one for one in facts.results if one.kind == TRIAL]
    if simulated:
        yield Note(say(Strong(PLAN_NOT_EVIDENCE)))
    if facts.stale_results:
        yield Note(say("The simulation is of an earlier scoring. ", Code("ss experiment"), " brings it up to date."))
    if trials:
        yield _trials(trials, setting)
    if simulated:
        yield from _simulated(simulated, setting)
    yield from _returns(facts, setting)


def _trials(found: Sequence[Result], setting: Setting) -> Grid:
    rows = []
    for one in found:
        small = min(one.n_control, one.n_treatment) < setting.least
        cells = (
            (f"<{setting.least} in an arm", NOTHING, NOTHING)
            if small
            else (points(one.rate_diff), points_span(Interval(one.ci_low, one.ci_high)), f"{one.p_value:.3f}")
        )
        rows.append((one.name, *cells))
    return Grid("Measured in real trials", ("trial", "effect", "95 % interval", "p value"), tuple(rows))


def _simulated(found: Sequence[Result], setting: Setting) -> Iterator[Block]:
    size = found[0].n_control + found[0].n_treatment
    if size < setting.least:
        yield Paragraph(say(f"A trial of fewer than {setting.least} students is too small to be shown here."))
        return
    yield Grid(
        f"A trial with {size:,} students, tried out on paper",
        ("if contact adds", "pass without", "pass with", "chance to prove it", "needed per arm"),
        tuple(
            (
                points(one.uplift_scenario or 0.0),
                percent(one.control_rate),
                percent(one.treatment_rate),
                percent(one.power),
                f"{one.needed_per_arm:,}" if one.needed_per_arm is not None else NOTHING,
            )
            for one in found
        ),
    )
    best = max(found, key=lambda one: one.power or 0.0)
    if (best.power or 0.0) < 0.8:
        yield Paragraph(
            say(
                "A trial of this size would most likely miss an effect that is there. Several terms or schools can"
                " share one; ",
                Code("ss experiment design"),
                " says how many students it takes.",
            )
        )


def effects(results: Sequence[Result]) -> list[Effect]:
    """What is known or supposed of a contact, trials first: a scenario is as wide as its simulated trials are."""
    found = [
        Effect(one.kind, one.name, one.rate_diff, Interval(one.ci_low, one.ci_high))
        if one.kind == TRIAL
        else Effect(one.kind, one.name, one.uplift_scenario or 0.0, Interval(one.boot_low, one.boot_high))
        for one in results
    ]
    return sorted(found, key=lambda one: (one.kind != TRIAL, one.uplift, one.name))


def returns_of(facts: Facts, setting: Setting) -> tuple[Contacted, list[BreakEven]] | None:
    """Who would be contacted, and the cost up to which each effect pays; none where a figure would be of few."""
    risks = facts.candidates[: setting.top_k]
    if len(risks) < setting.least or not facts.results:
        return None
    contacted = Contacted(len(risks), base_rate(risks) * len(risks))
    return contacted, [break_even(contacted, one, setting.value_per_pass) for one in effects(facts.results)]


def _returns(facts: Facts, setting: Setting) -> Iterator[Block]:
    found = returns_of(facts, setting)
    if found is None:
        return
    contacted, lines = found
    today = money(setting.contact_cost, setting.currency)
    yield Paragraph(
        say(
            f"Contacting the {contacted.students:,} students at the highest risk: without help"
            f" {percent(contacted.expected_passes / contacted.students)} of them are expected to pass. One more who"
            f" passes is taken to be worth {money(setting.value_per_pass, setting.currency)}, one contact to cost"
            f" {today}. The return is what the extra passes are worth, less the cost of all contacts."
        )
    )
    drawn = lines[:MOST_EFFECTS]
    yield Chart(_returns_chart(contacted, drawn, setting), _break_even_grid(contacted, lines, setting), is_open=True)
    if len(lines) > len(drawn):
        yield Paragraph(say(f"{len(drawn)} of {len(lines)} effects are drawn; the table has all."))
    yield Paragraph(_pays(lines, setting))


def _pays(lines: Sequence[BreakEven], setting: Setting) -> Text:
    """The one sentence: does it pay at today's cost, and how sure is that."""
    today = money(setting.contact_cost, setting.currency)
    paying = [one for one in lines if one.mid is not None and one.mid >= setting.contact_cost]
    surely = [one for one in paying if one.low is not None and one.low >= setting.contact_cost]
    if surely:
        return say(
            f"At {today} a contact it pays from {surely[0].effect.label} on, also at the lower end of the interval."
        )
    if paying:
        return say(
            f"At {today} a contact it pays from {paying[0].effect.label} on, but the lower ends of the intervals leave"
            " a loss possible."
        )
    return say(f"At {today} a contact it pays under none of these effects: it must cost less, or help more.")


def _reached(contacted: Contacted, uplift: float, value: float, widest: float) -> tuple[tuple[float, float], ...]:
    gain = contacted.gained(uplift) * value
    return (0.0, gain), (widest, gain - widest * contacted.students)


def _returns_chart(contacted: Contacted, drawn: Sequence[BreakEven], setting: Setting) -> str:
    crossing = [one.mid for one in drawn if one.mid is not None]
    widest = max([*(1.5 * cost for cost in crossing), 1.25 * setting.contact_cost]) or 1.0
    banded = _banded(drawn)
    rows = [_line(contacted, one, hue, setting, widest) for one, hue in zip(drawn, charts.HUES, strict=False)]
    rows = [row if one is banded else replace(row, low=(), high=()) for row, one in zip(rows, drawn, strict=True)]
    told = "; ".join(f"{one.effect.label}: {_up_to(one.mid, setting)}" for one in drawn)
    band = f"The band is the interval of {banded.effect.label}."
    says = f"The return falls as a contact costs more. It pays, by effect: {told}. {band}"
    title = "The return, by what one contact costs"
    unit = "cost of one contact (dashed: as it is set)"
    return charts.returns(About("return", title, says), rows, [one.mid for one in drawn], setting.contact_cost, unit)


def _banded(drawn: Sequence[BreakEven]) -> BreakEven:
    """Whose interval is drawn (more than one would hide each other): a trial's, else that of the middle scenario."""
    trials = [one for one in drawn if one.effect.kind == TRIAL]
    return trials[0] if trials else drawn[len(drawn) // 2]


def _line(contacted: Contacted, one: BreakEven, hue: int, setting: Setting, widest: float) -> Line:
    ends = (one.effect.uplift, one.effect.interval.low, one.effect.interval.high)
    middle, low, high = (_reached(contacted, uplift, setting.value_per_pass, widest) for uplift in ends)
    return Line(one.effect.label, middle, hue, low, high)


def _up_to(cost: float | None, setting: Setting) -> str:
    return "at no cost" if cost is None else f"up to {money(cost, setting.currency)} a contact"


def _break_even_grid(contacted: Contacted, lines: Sequence[BreakEven], setting: Setting) -> Grid:
    today = setting.contact_cost
    rows = []
    for one in lines:
        gain = contacted.gained(one.effect.uplift)
        pays = "never" if one.mid is None else f"up to {money(one.mid, setting.currency)}"
        least = "never" if one.low is None else money(one.low, setting.currency)
        most = "never" if one.high is None else money(one.high, setting.currency)
        worth_now = money(gain * setting.value_per_pass - today * contacted.students, setting.currency)
        extra = f"{gain:.1f}".replace("-", "−")
        rows.append((one.effect.label, extra, worth_now, pays, f"{least} to {most}"))
    return Grid(
        "What contact is worth",
        (
            "if contact adds",
            "extra passes",
            f"return at {money(today, setting.currency)}",
            "a contact pays",
            "interval",
        ),
        tuple(rows),
    )
