"""Who is at risk, and why: the sections about students."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studentsuccess.core import charts
from studentsuccess.core.charts import About, Bar, Dot, Line
from studentsuccess.core.page import (
    Block,
    Chart,
    Code,
    Grid,
    Note,
    Paragraph,
    Section,
    Strong,
    missing,
    say,
)
from studentsuccess.insights.proportions import Interval, wilson
from studentsuccess.insights.report_cells import Totals, bands, is_safe, totals, weeks
from studentsuccess.insights.report_setting import Setting
from studentsuccess.insights.report_words import NOTHING, about, percent, several, span
from studentsuccess.warehouse.report import CourseRisk, Facts, Reason

# What fits a page that is read in two minutes; the rest stands in the marts.
MOST_DRAWN, MOST_LISTED, MOST_REASONS = 12, 25, 6
ALPHA = 0.05


def nobody_scored(name: str, title: str) -> Section:
    """A section that lives on predictions, before there are any."""
    return Section(name, title, (missing("Nobody has been scored yet:", "ss score"),))


def who(facts: Facts, setting: Setting) -> Section:
    """Which courses, how the risk is spread, and how it moved."""
    title = "Who is at risk"
    return Section("who", title, tuple(_who(facts, setting))) if facts.runs else nobody_scored("who", title)


def _who(facts: Facts, setting: Setting) -> Iterator[Block]:
    found = totals(facts, setting.high_risk, setting.least)
    yield from _courses(facts, setting)
    yield from _spread(facts, setting, found)
    yield from _over_weeks(facts, setting)


def _courses(facts: Facts, setting: Setting) -> Iterator[Block]:
    if facts.published is None:
        yield missing("The table of courses is made from the marts, which are not there yet:", "ss marts build")
        return
    if facts.published.stale:
        yield Note(
            say("The courses below are of an earlier scoring. ", Code("ss marts build"), " brings them up to date.")
        )
    ranked = sorted(facts.published.courses, key=lambda one: (-_rate(one), one.course, one.term))
    drawn = [one for one in ranked if one.high_rate is not None][:MOST_DRAWN]
    if drawn:
        yield Chart(_courses_chart(drawn, len(ranked), setting), _courses_grid(ranked, setting), is_open=True)
    else:
        yield _courses_grid(ranked, setting)
    yield from _about_courses(ranked, setting)


def _rate(course: CourseRisk) -> float:
    return -1.0 if course.high_rate is None else course.high_rate


def _name(course: CourseRisk, courses: Sequence[CourseRisk]) -> str:
    """The term is said only where it tells two classes apart."""
    return course.course if len({one.term for one in courses}) == 1 else f"{course.course} {course.term}"


def _interval(course: CourseRisk) -> Interval | None:
    if course.high_rate is None or course.students is None:
        return None
    return wilson(round(course.high_rate * course.students), course.students, ALPHA)


def _courses_chart(drawn: Sequence[CourseRisk], count: int, setting: Setting) -> str:
    rows = []
    for one in drawn:
        low, high = (within.low, within.high) if (within := _interval(one)) else (None, None)
        rows.append(Dot(_name(one, drawn), one.high_rate, low, high, percent(one.high_rate)))
    part = f"The {len(drawn)} highest of {count} courses. " if count > len(drawn) else ""
    told = "; ".join(f"{row.label} {row.told}" for row in rows)
    says = f"{part}Share at high risk with its 95 % interval: {told}."
    limit = f"limit of {percent(setting.alert_limit)}"
    return charts.dots(About("courses", "Share of each course at high risk", says), rows, setting.alert_limit, limit)


def _courses_grid(ranked: Sequence[CourseRisk], setting: Setting) -> Grid:
    hidden = f"<{setting.least} or hidden"
    rows = []
    for one in ranked[:MOST_LISTED]:
        within = _interval(one)
        students = hidden if one.students is None else f"{one.students:,}"
        shown = "hidden" if one.high_rate is None else percent(one.high_rate)
        between = span(within.low, within.high) if within else NOTHING
        rows.append((_name(one, ranked), students, shown, between, "hidden" if one.mean is None else percent(one.mean)))
    return Grid(
        "Courses, the highest share first",
        ("course", "students", "at high risk", "95 % interval", "mean risk"),
        tuple(rows),
    )


def _about_courses(ranked: Sequence[CourseRisk], setting: Setting) -> Iterator[Block]:
    if len(ranked) > MOST_LISTED:
        yield Paragraph(
            say(
                f"{MOST_LISTED} of {len(ranked):,} courses are shown; all of them are in ",
                Code("mart.course_summary_daily"),
                " and in the CSV files of the marts.",
            )
        )
    if any(one.students is None or one.high_rate is None for one in ranked):
        yield Paragraph(
            say(
                f"Counts below {setting.least} are hidden, and as many others as it takes that no subtraction gives"
                " them away. A course whose figures are hidden is not free of risk."
            )
        )
    yield Paragraph(
        say("The interval says how far a course's share may be off by chance: the fewer students, the wider it is.")
    )


def _spread(facts: Facts, setting: Setting, found: Totals) -> Iterator[Block]:
    known = found.high is not None
    made = bands(facts.risks, setting.high_risk if known else None, setting.least) if found.students else ()
    if len(made) < 2:
        return
    told = "; ".join(f"{band.students:,} students at {band.label}" for band in made)
    rows = [
        Bar(
            band.label,
            band.students,
            f"{band.students:,}",
            charts.SECOND if known and band.low >= setting.high_risk else charts.FIRST,
        )
        for band in made
    ]
    picture = charts.columns(About("spread", "How many students at which risk", f"Counts: {told}."), rows)
    grid = Grid("Students by predicted risk", ("risk", "students"), tuple((one.label, one.told) for one in rows))
    yield Chart(picture, grid)
    if known:
        yield Paragraph(say(f"From {percent(setting.high_risk)} on a student counts as being at high risk."))


def _over_weeks(facts: Facts, setting: Setting) -> Iterator[Block]:
    found = weeks(facts, setting.least)
    mean = tuple((float(one.week), one.mean) for one, shown in found if shown.mean)
    high = tuple((float(one.week), one.high / one.students) for one, shown in found if shown.rate)
    drawn = [
        line
        for line in (
            Line("share at high risk", high, charts.SECOND),
            Line("mean risk", mean, charts.FIRST),
        )
        if len(line.points) > 1
    ]
    if not drawn:
        return
    told = "; ".join(
        f"{line.name} from {percent(line.points[0][1])} to {percent(line.points[-1][1])}" for line in drawn
    )
    says = f"From week {drawn[0].points[0][0]:g} to week {drawn[0].points[-1][0]:g}: {told}."
    rows = tuple(
        (
            str(one.week),
            percent(one.high / one.students) if shown.rate else "hidden",
            percent(one.mean) if shown.mean else "hidden",
        )
        for one, shown in found
    )
    grid = Grid("Risk week by week", ("week", "share at high risk", "mean risk"), rows)
    yield Chart(charts.lines(About("weeks", "How the risk moved", says), drawn, "week of the course"), grid)
    yield Paragraph(
        say("Each week counts those who are still there: who has left is out of it, so a fall is not always good news.")
    )


def why(facts: Facts, setting: Setting) -> Section:
    """The reasons, split into what an adviser can talk about and what nobody can change."""
    if not facts.runs:
        return nobody_scored("why", "Why")
    return Section("why", "Why", tuple(_why(facts, setting)))


def _why(facts: Facts, setting: Setting) -> Iterator[Block]:
    found = shown_reasons(facts, setting)
    if not found:
        yield missing("There are no reasons that enough students share:", "ss score")
        return
    yield Paragraph(
        say(
            "For each student the model keeps the strongest reasons. Below: for how many of the"
            f" {len(facts.risks):,} students something is among them ",
            Strong("and raises the risk"),
            ".",
        )
    )
    act = [one for one in found if one.actionable]
    know = [one for one in found if not one.actionable]
    yield from _reasons(act, facts, setting, "What can be acted on", "acted", charts.FIRST)
    yield from _reasons(know, facts, setting, "What can be known, not changed", "known", charts.THIRD)
    yield Note(
        say(
            "A reason is what the model looks at, not a cause. Students who submit late fail more often; that does not"
            " mean that a reminder alone makes them pass. What a call changes only a trial can show."
        )
    )


def shown_reasons(facts: Facts, setting: Setting) -> list[Reason]:
    """Those that enough students share, the strongest over all students first."""
    if totals(facts, setting.high_risk, setting.least).students is None:
        return []
    return [one for one in facts.reasons if one.students >= setting.least]


def _reasons(
    found: Sequence[Reason], facts: Facts, setting: Setting, title: str, name: str, hue: int
) -> Iterator[Block]:
    """One kind of reasons, on the scale that both kinds share."""
    if not found:
        return
    everyone = len(facts.risks)
    longest = max(one.students for one in shown_reasons(facts, setting)) / everyone
    rows = [
        Bar(about(one.feature), one.students / everyone, _share(one.students, everyone, setting.least), hue)
        for one in found[:MOST_REASONS]
    ]
    told = "; ".join(f"{row.label}: {row.told}" for row in rows)
    grid = Grid(title, ("reason", "students"), tuple((row.label, row.told) for row in rows))
    yield Chart(charts.bars(About(name, title, f"{told}."), rows, longest), grid)
    if len(found) > len(rows):
        rest = several(len(found) - len(rows), "weaker reason")
        yield Paragraph(say(f"{rest} of this kind {'is' if len(found) - len(rows) == 1 else 'are'} left out."))


def _share(part: int, whole: int, least: int) -> str:
    return percent(part / whole) if is_safe(part, whole, least) else "nearly all"


def talk_about(facts: Facts, setting: Setting, most: int = 3) -> list[str]:
    """The strongest reasons that an adviser can talk about."""
    return [about(one.feature) for one in shown_reasons(facts, setting) if one.actionable][:most]
