"""What each feature is to an adviser: words for a reason, and whether anything can be done about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Words:
    """A name for a bar, the reason with its value (a count needs no words of its own), and whether it can change."""

    title: str
    text: str = ""
    actionable: bool = True
    log: bool = False


WORDS: dict[str, Words] = {
    "registered_day": Words(
        "day of registration", "registered {value:+.0f} days from the course's start", actionable=False
    ),
    "registered_unknown": Words("no registration date", "has no registration date", actionable=False),
    "credits": Words("credits at once", "studies {value:.0f} credits at once", actionable=False),
    "previous_attempts": Words("earlier attempts at the course", actionable=False),
    "earlier_enrolments": Words("earlier courses", actionable=False),
    "earlier_passed": Words("earlier courses passed", actionable=False),
    "earlier_lost": Words("earlier courses failed or left", actionable=False),
    "earlier_distinctions": Words("earlier distinctions", actionable=False),
    "courses_beside": Words("other courses at the same time", actionable=False),
    "left_beside": Words("courses left at the same time", actionable=False),
    "clicks_log": Words("clicks so far", log=True),
    "clicks_before_log": Words("clicks before the start", actionable=False, log=True),
    "clicks_1_log": Words("clicks in the last week", log=True),
    "clicks_2_log": Words("clicks in the last two weeks", log=True),
    "clicks_4_log": Words("clicks in the last four weeks", log=True),
    "active_days": Words("active days so far"),
    "active_days_2": Words("active days in the last two weeks"),
    "active_days_4": Words("active days in the last four weeks"),
    "active_weeks_share": Words("share of active weeks", "active in {value:.0%} of the weeks"),
    "days_silent": Words("days without activity up to now"),
    "first_day": Words("first day seen", "first seen on day {value:.0f} of the course", actionable=False),
    "longest_silence": Words("longest silence"),
    "talk_log": Words("clicks in forums and meetings", log=True),
    "quiz_log": Words("clicks in quizzes", log=True),
    "content_log": Words("clicks in course material", log=True),
    "home_log": Words("visits of the home page", log=True),
    "quiz_4_log": Words("recent clicks in quizzes", log=True),
    "content_4_log": Words("recent clicks in course material", log=True),
    "kinds": Words("kinds of material used"),
    "trend_own": Words("activity against the own past", "activity against the own past: {value:+.1f} (log scale)"),
    "missed": Words("missed assignments"),
    "submitted_share": Words(
        "share of due assignments handed in", "handed in {value:.0%} of the assignments that were due"
    ),
    "weight_share": Words("handed in, by weight", "handed in {value:.0%} of the due assignments by weight"),
    "submitted": Words("assignments handed in"),
    "early": Words("assignments handed in early"),
    "late": Words("assignments handed in late"),
    "lateness": Words("days late on average", "days late on average: {value:+.1f} (below 0: early)"),
    "lateness_last": Words(
        "days late with the last one", "days late with the last assignment: {value:+.0f} (below 0: early)"
    ),
    "banked": Words("marks carried over", actionable=False),
    "score_mean": Words("mean mark"),
    "score_least": Words("lowest mark"),
    "score_last": Words("last mark"),
    "score_weighted": Words("weighted mark"),
    "points": Words("points earned so far", "points earned so far: {value:.1f}"),
    "score_relative": Words("marks against the others'", "marks against the others': {value:+.1f} standard deviations"),
    "days_since_submission": Words("days since the last hand-in"),
    "missed_last": Words("missed the last assignment", "the last assignment that was due: {yes_no}"),
    "clicks_relative": Words(
        "clicks against the course's mean", "clicks against the course's mean: {value:+.1f} standard deviations"
    ),
    "clicks_2_relative": Words(
        "recent clicks against the course's mean",
        "recent clicks against the course's mean: {value:+.1f} standard deviations",
    ),
    "days_relative": Words(
        "active days against the course's mean",
        "active days against the course's mean: {value:+.1f} standard deviations",
    ),
    "clicks_4_rank": Words("rank by recent activity", "recent activity is above that of {value:.0%} of the course"),
    "points_relative": Words(
        "points against the course's mean", "points against the course's mean: {value:+.1f} standard deviations"
    ),
    "course_id": Words("course", "the course is {value}", actionable=False),
    "gender": Words("gender", "gender: {value}", actionable=False),
    "region": Words("region", "region: {value}", actionable=False),
    "education": Words("highest education", "highest education: {value}", actionable=False),
    "deprivation": Words("deprivation band", "deprivation band of the address: {value}", actionable=False),
    "age_band": Words("age band", "age band: {value}", actionable=False),
    "disability": Words("disability", "disability declared: {value}", actionable=False),
}


def describe(feature: str, value: float | str | None) -> str:
    """A reason in words: the value as people know it, logarithms undone."""
    words = WORDS.get(feature)
    if words is None:
        return feature.replace("_", " ")
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return f"{words.title}: not known yet"
    if words.log and isinstance(value, float):
        value = float(np.expm1(value))
    text = words.text or f"{words.title}: {{value:.0f}}"
    return text.format(value=value, yes_no="missed" if value else "handed in")


def actionable(feature: str) -> bool:
    """Whether an adviser can talk about it with a view to change."""
    words = WORDS.get(feature)
    return words is not None and words.actionable
