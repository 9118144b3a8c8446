"""The executive summary: what a dean has to know in two minutes, and below it what the answer rests on.

It is passed on, printed and forwarded, so nothing personal is in it: counts, shares and reasons, never a name, an id or
a number of few. It has no clock: the same warehouse gives the same bytes, and the ledger knows when it was made.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from studentsuccess.core.page import (
    Block,
    Bullets,
    Code,
    Headline,
    Note,
    Page,
    Paragraph,
    Section,
    Strong,
    Text,
    missing,
    say,
)
from studentsuccess.insights.report_action import ALERTS, calls, returns_of, what_to_do, worth
from studentsuccess.insights.report_cells import Totals, totals
from studentsuccess.insights.report_risk import talk_about, who, why
from studentsuccess.insights.report_setting import Recovery, Setting
from studentsuccess.insights.report_trust import data, headline, how_made, how_sure, is_split, limits
from studentsuccess.insights.report_words import brief, count, listed, money, percent, points, several
from studentsuccess.warehouse.report import Facts
from studentsuccess.warehouse.terms import term_start

TRAIN = "ss train local --algorithm risk"
# Not the machine's words for them: the same warehouse gives the same bytes everywhere.
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def compose(facts: Facts, setting: Setting) -> Page:
    """The whole page."""
    sections = [
        Section("short", "In short", tuple(_in_short(facts, setting))),
        Section("situation", "The situation", tuple(_situation(facts, setting))),
        who(facts, setting),
        why(facts, setting),
        what_to_do(facts, setting),
        worth(facts, setting),
        how_sure(facts, setting),
        limits(facts, setting),
        data(facts, setting),
        how_made(facts),
    ]
    banner = _banner(setting.demo) if setting.demo is not None else ()
    return Page(setting.title, _subtitle(facts, setting), banner, tuple(sections))


def _subtitle(facts: Facts, setting: Setting) -> str:
    parts = [setting.school] if setting.school else []
    if facts.runs:
        parts += [f"term {listed(_scored_terms(facts))}", when(facts, setting)]
    return " · ".join(parts)


def _scored_terms(facts: Facts) -> list[str]:
    return sorted({run.term for run in facts.runs if run.term})


def when(facts: Facts, setting: Setting) -> str:
    """How far the data reaches: the newest week, and its day on the calendar where the term has one."""
    weeks = sorted({run.week for run in facts.runs})
    if len(weeks) > 1:
        return f"weeks {weeks[0]} to {weeks[-1]}"
    days = set()
    for run in facts.runs:
        start = term_start(run.term, setting.start_days)
        days.add(start + timedelta(days=run.cutoff_day) if start else None)
    day = days.pop() if len(days) == 1 else None
    return f"as of week {weeks[0]}" + (f" ({day.day} {MONTHS[day.month - 1]} {day.year})" if day else "")


def _in_short(facts: Facts, setting: Setting) -> Iterator[Block]:
    if not facts.runs:
        yield Paragraph(
            say(
                f"{several(facts.enrolments, 'enrolment')} in {several(len(facts.terms), 'term')} are loaded, and"
                " nobody has been scored yet. ",
                Code(TRAIN),
                " trains the model, ",
                Code("ss score"),
                " scores everyone, and ",
                Code("ss run"),
                " does all of it.",
            )
        )
        return
    found = totals(facts, setting.high_risk, setting.least)
    yield Headline(tuple(_figures(facts, found, setting)))
    yield Bullets(tuple(_sentences(facts, found, setting)))


def _figures(facts: Facts, found: Totals, setting: Setting) -> Iterator[tuple[str, str]]:
    """At most six: what someone takes home."""
    if found.students is not None:
        yield f"{found.students:,}", "students scored"
    if found.high is not None:
        yield percent(found.high_share), f"of them at high risk ({found.high:,} students)"
    if found.gone:
        yield count(found.gone, setting.least), "had left before"
    if facts.last(ALERTS) is not None:
        yield f"{calls(facts, setting):,}", "calls on this week's list, at most"
    best = headline(facts.backtest, max(run.week for run in facts.runs))
    if best is not None:
        yield percent(best.value), f"of pairs ranked right on a past term (week {best.week})"
    returns = returns_of(facts, setting)
    paying = [one for one in returns[1] if one.mid is not None] if returns else []
    if paying:
        middle = paying[len(paying) // 2]
        yield (
            money(middle.mid or 0.0, setting.currency),
            f"a call may cost to pay off, if it adds {middle.effect.label.lstrip('+')}",
        )


def _sentences(facts: Facts, found: Totals, setting: Setting) -> Iterator[Text]:
    if found.high is not None and found.students is not None:
        yield say(
            Strong(f"{found.high:,} of {found.students:,} students"),
            " are more likely than not to fail or leave." if setting.high_risk == 0.5 else " are at high risk.",
        )
    elif found.students is not None:
        yield say(
            "How many students are at high risk is not shown: the number is small, or would give a small one away."
        )
    else:
        yield say(
            f"Too few students are scored to show figures: fewer than {setting.least}, or a total that tells on few."
        )
    topics = talk_about(facts, setting, 2)
    if topics:
        yield say(f"What moves the risk most and can be talked about: {listed(topics).lower()}.")
    if facts.published is not None:
        over = [one for one in facts.published.courses if (one.high_rate or 0.0) > setting.alert_limit]
        names = listed([brief(one.course) for one in sorted(over, key=lambda one: -(one.high_rate or 0.0))], 4)
        limit = percent(setting.alert_limit)
        yield say(
            f"Above the limit of {limit} at high risk: {len(over):,} of"
            f" {several(len(facts.published.courses), 'course')}" + (f" ({names})." if over else ".")
        )
    if facts.results:
        yield say("What helping is worth is a plan so far, not evidence." if _only_planned(facts) else
                  "What helping does was measured in a trial: see below.")  # fmt: skip
    if is_split(facts):
        yield say("Only one term is loaded: how well this carries over to a new one is not known yet.")


def _only_planned(facts: Facts) -> bool:
    return all(one.kind == "simulation" for one in facts.results)


def _situation(facts: Facts, setting: Setting) -> Iterator[Block]:
    found = totals(facts, setting.high_risk, setting.least)
    yield Paragraph(
        say(
            f"{several(facts.enrolments, 'enrolment')} of {several(len(facts.terms), 'term')} are loaded:"
            f" {listed(list(facts.terms), 8)}."
        )
    )
    if not facts.runs:
        yield missing("Nobody has been scored yet:", "ss score")
        return
    scored = "Their number is not shown." if found.students is None else f"{found.students:,} are scored."
    yield Paragraph(
        say(
            f"Scored are the students of {listed(_scored_terms(facts))}, {when(facts, setting)}: those who had"
            f" registered by then and had not left, also those who have never been seen. {scored} A student in two"
            " courses counts in both."
        )
    )
    if found.gone:
        yield Paragraph(
            say(f"{count(found.gone, setting.least)} had left by then. They are not scored, and in no share below.")
        )
    yield Paragraph(
        say(
            "The risk of a student is the probability, by how earlier students fared, of failing or leaving the course."
            f" From {percent(setting.high_risk)} on it is called high."
        )
    )
    if found.mean is not None:
        yield Paragraph(say(f"On average it is {percent(found.mean)}."))
    if is_split(facts):
        yield Note(say("The students from whom the model learned are left out of all that follows."))


def _banner(demo: Recovery) -> Text:
    """The first line of a report on generated data."""
    parts = [*_recovered_rows(demo), *_recovered_risks(demo)]
    found = f" What was planted in it, and what was found: {'; '.join(parts)}." if parts else ""
    return say(Strong("This is generated data with a known truth, and no real student is in it."), found)


def _recovered_rows(demo: Recovery) -> Iterator[str]:
    if demo.planted_rows is not None and demo.rejected_rows is not None:
        others = "no other" if not demo.other_rows else f"{demo.other_rows:,} more"
        yield f"{demo.rejected_rows:,} of {demo.planted_rows:,} bad rows rejected, and {others}"


def _recovered_risks(demo: Recovery) -> Iterator[str]:
    if demo.planted_effects:
        yield f"{demo.found_effects} of {demo.planted_effects} planted effects found"
    if demo.error is not None and demo.bias is not None and demo.linked is not None:
        off = f"{100 * demo.bias:+.1f}".replace("-", "−")
        yield (
            f"predicted risks are {points(demo.error)} from the true probabilities on average ({off} overall),"
            f" correlation {demo.linked:.2f}"
        )
