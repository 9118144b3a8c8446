"""How the report says figures and reasons, for people who decide and do not calculate."""

from __future__ import annotations

from studentsuccess.core.page_markdown import SPACE
from studentsuccess.insights.proportions import Interval

NOTHING = "–"

# What each feature of the risk model is about, whatever its value; one that is not here is named as it is called.
ABOUT = {
    "registered_day": "When they registered",
    "registered_unknown": "No registration date",
    "credits": "How many credits they study at once",
    "previous_attempts": "Earlier attempts at this course",
    "earlier_enrolments": "How many courses they took earlier",
    "earlier_passed": "Earlier courses passed",
    "earlier_lost": "Earlier courses failed or left",
    "earlier_distinctions": "Distinctions in earlier courses",
    "courses_beside": "Other courses at the same time",
    "left_beside": "Other courses left this term",
    "clicks_log": "How much they have used the course pages",
    "clicks_before_log": "Use of the course pages before the start",
    "clicks_1_log": "Use of the course pages in the last week",
    "clicks_2_log": "Use of the course pages in the last two weeks",
    "clicks_4_log": "Use of the course pages in the last four weeks",
    "active_days": "Days active so far",
    "active_days_2": "Days active in the last two weeks",
    "active_days_4": "Days active in the last four weeks",
    "active_weeks_share": "How many of the weeks they were active in",
    "days_silent": "Days without activity up to now",
    "first_day": "When they were first seen",
    "longest_silence": "The longest silence",
    "talk_log": "Use of forums and meetings",
    "quiz_log": "Use of quizzes",
    "content_log": "Use of course material",
    "home_log": "Visits of the course's home page",
    "quiz_4_log": "Use of quizzes in the last four weeks",
    "content_4_log": "Use of course material in the last four weeks",
    "kinds": "How many kinds of material they use",
    "trend_own": "Activity against their own past",
    "missed": "Missed assignments",
    "submitted_share": "Share of the due assignments handed in",
    "weight_share": "Share of the due assignments handed in, by weight",
    "submitted": "Assignments handed in",
    "early": "Assignments handed in early",
    "late": "Assignments handed in late",
    "lateness": "How late they hand in",
    "lateness_last": "How late the last assignment was",
    "banked": "Marks carried over from an earlier attempt",
    "score_mean": "Mean mark",
    "score_least": "Lowest mark",
    "score_last": "Last mark",
    "score_weighted": "Weighted mark",
    "points": "Points earned so far",
    "score_relative": "Marks against those of the others",
    "days_since_submission": "Time since they last handed something in",
    "missed_last": "The last assignment that was due",
    "clicks_relative": "Use of the course pages against the others",
    "clicks_2_relative": "Recent use of the course pages against the others",
    "days_relative": "Active days against the others",
    "clicks_4_rank": "Their rank by recent activity",
    "points_relative": "Points against the others",
    "course_id": "The course itself",
    "gender": "Gender",
    "region": "Region",
    "education": "Highest education so far",
    "deprivation": "Deprivation of the address",
    "age_band": "Age",
    "disability": "Declared disability",
}


def about(feature: str) -> str:
    """What a feature is about."""
    plain = feature.replace("_", " ")
    return ABOUT.get(feature, plain[:1].upper() + plain[1:])


def percent(share: float | None) -> str:
    """A share without decimals; what is nearly nothing or nearly all is not rounded into a certainty."""
    if share is None:
        return NOTHING
    if 0 < share < 0.005:
        return f"under{SPACE}1{SPACE}%"
    if 0.995 <= share < 1:
        return f"over{SPACE}99{SPACE}%"
    return f"{100 * share:.0f}{SPACE}%"


def span(low: float | None, high: float | None) -> str:
    """An interval of shares."""
    if low is None or high is None:
        return NOTHING
    return f"{100 * low:.0f} to {100 * high:.0f}{SPACE}%"


def points(share: float) -> str:
    """A difference of shares."""
    shown = f"{100 * share:.1f}".removesuffix(".0").replace("-", "−")
    return f"{shown} point{'' if shown in ('1', '−1') else 's'}"


def points_span(found: Interval) -> str:
    """An interval of differences."""
    return f"{100 * found.low:+.1f} to {100 * found.high:+.1f}".replace("-", "−")


def figure(value: float | None, low: float | None = None, high: float | None = None, places: int = 2) -> str:
    """A figure between 0 and 1 with its interval."""
    if value is None:
        return NOTHING
    within = f" ({low:.{places}f} to {high:.{places}f})" if low is not None and high is not None else ""
    return f"{value:.{places}f}{within}"


def money(value: float, currency: str) -> str:
    """An amount in whole units, with cents where it is small."""
    shown = f"{abs(value):,.2f}" if 0 < abs(value) < 10 else f"{abs(value):,.0f}"
    sign = "−" if value < 0 and float(shown.replace(",", "")) else ""
    between = SPACE if currency[-1:].isalpha() else ""
    return f"{sign}{currency}{between}{shown}"


def count(number: int, least: int) -> str:
    """A number of students, if it is large enough to be shown."""
    return f"{number:,}" if number >= least else f"<{least}"


def several(number: int, one: str, more: str = "") -> str:
    """A number with its word."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def brief(name: str, longest: int = 40) -> str:
    """A name within a sentence; the whole stands in a table."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def listed(names: list[str], most: int = 6) -> str:
    """Names in a row, the first `most` of them."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
