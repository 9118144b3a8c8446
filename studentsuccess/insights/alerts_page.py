"""The page about alerts, in plain English and without a name on it: it is passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from studentsuccess.insights.alerts import Alert, Limits, percent
from studentsuccess.insights.calls import MEASURED, Calls, Effect, Expected

# What Markdown or HTML would take for more than a letter.
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


@dataclass(frozen=True)
class About:
    """What the page says beside the figures: where the list is, by which models, up to which day, who had gone."""

    calls_file: str
    models: tuple[str, ...]
    until: Mapping[str, date]
    gone: int


def page(found: Sequence[Alert], calls: Calls, limits: Limits, about: About) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(found, calls, limits, about))


def _lines(found: Sequence[Alert], calls: Calls, limits: Limits, about: About) -> Iterator[str]:
    yield from (f"# Alerts, week {found[0].group.week}", "")
    yield from (_basis(about, limits), "")
    yield from ("## What stands out", "")
    raised = [one for one in found if one.raised]
    yield from (f"- **{plain(one.group.name)}**{plain(one.message.removeprefix(one.group.name))}" for one in raised)
    if not raised:
        shown = " that may be shown" if any(one.group.rate_hidden for one in found) else ""
        yield f"Nothing: no class{shown} is above its limits."
    yield from ("", "## Class by class", "")
    yield from _table(found)
    yield from ("", "## The calls of the week", "")
    yield f"{len(calls.calls):,} students, those whom a call is expected to help most, stand in `{about.calls_file}`."
    yield "That list names them, this page does not."
    if calls.calls:
        yield _worth(calls.expected, _plain_names(calls.effect))
    yield ""
    yield from _how(found, limits)


def _basis(about: About, limits: Limits) -> str:
    until = ", ".join(f"{plain(term)} up to {day:%Y-%m-%d}" for term, day in sorted(about.until.items()))
    seen = f", from what was known of {until}" if until else ""
    count = f"{about.gone:,}" if about.gone >= limits.least else f"Fewer than {limits.least}"
    gone = f" {count} had withdrawn before and are not among them." if about.gone else ""
    return f"Predicted by {plain(', '.join(about.models))}{seen}.{gone}"


def _table(found: Sequence[Alert]) -> Iterator[str]:
    yield "| class | week | students | at high risk | mean risk, change since the week before | alert |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for one in found:
        cells = (
            plain(one.group.name),
            str(one.group.week),
            "too few" if one.students is None else f"{one.students:,}",
            "" if one.high_risk_rate is None else f"{one.high_risk_rate:.1%}",
            "" if one.spike_pct is None else f"{one.spike_pct:+.1%}",
            one.kind.replace("_", " ") if one.raised else "",
        )
        yield "| " + " | ".join(cells) + " |"


def about_calls(calls: Calls, cooldown_days: int) -> Iterator[str]:
    """The list in sentences, for the screen: its small counts are for those who work with the list."""
    yield _how_many(calls)
    left_out = {
        f"{calls.cooling:,} were contacted in the last {cooldown_days} days": calls.cooling,
        f"of {calls.fine:,} the model is sure that they are not at risk": calls.fine,
        f"for {calls.waiting:,} there is no room": calls.waiting,
    }
    told = [words for words, count in left_out.items() if count]
    if told:
        yield f"Not on it: {'; '.join(told)}."
    if calls.above:
        yield (
            f"{calls.above:,} who are not on it are at a higher risk than anyone who is: a call is expected to change"
            " less for them (an assumption), and they may need something else."
        )
    if calls.calls:
        yield _worth(calls.expected, calls.effect)


def _how_many(calls: Calls) -> str:
    count = len(calls.calls)
    if not count:
        return f"Nobody of {calls.students:,} students is to be called."
    return f"{count:,} of {calls.students:,} students, those whom a call is expected to help most."


def _worth(expected: Expected, effect: Effect) -> str:
    more = f"about {expected.passes:.1f} more passes are expected ({expected.low:.1f} to {expected.high:.1f})"
    return f"If all are called, {more}; {basis(effect)}."


def _plain_names(effect: Effect) -> Effect:
    return replace(effect, name=plain(effect.name), useless=plain(effect.useless))


def basis(effect: Effect) -> str:
    """What the expectation rests on."""
    if effect.basis == MEASURED:
        return f"measured by the trial {effect.name}, for students as in that trial"
    why = f"the trial {effect.useless} measured no gain" if effect.useless else "no trial has measured it"
    return f"assumed, for {why}: `ss experiment analyze` would"


def _how(found: Sequence[Alert], limits: Limits) -> Iterator[str]:
    yield from ("## How to read this", "")
    yield f"- A student is at high risk from a predicted probability of {percent(limits.high_risk)} on, of not passing."
    yield (
        f"- A class is above its limit when more than {percent(limits.high_risk_share)} of it are at high risk, or when"
        f" its mean risk rose by more than {percent(limits.spike)} within a week. From 0 no such share exists."
    )
    yield "- Students who withdraw leave the class and its mean: a mean can fall because the most endangered left."
    if any(one.group.rate_hidden for one in found):
        yield (
            f"- Figures behind which fewer than {limits.least} students stand are hidden, and others with them, so that"
            " nobody can work them out. They count in all classes together."
        )
    yield ""


def plain(text: str) -> str:
    """Data is text and nothing else, whatever a course is called."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
