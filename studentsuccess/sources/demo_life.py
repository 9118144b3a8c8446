"""How an enrolment goes, given its outcome: the result, the dates, and until when there is anything to see."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from studentsuccess.sources.demo_course import withdrawal_days
from studentsuccess.sources.demo_draws import MILLION, STEPS_PER_SD, Draws, Flags, Ints, logistic, pick_table
from studentsuccess.sources.demo_request import DemoRequest
from studentsuccess.sources.demo_story import Enrolments

RESULTS = ("Pass", "Distinction", "Fail", "Withdrawn")
PASS, DISTINCTION, FAIL, WITHDRAWN = range(4)

# Millionths. As in the real data, a few of the withdrawn have no date of leaving and a few of the failed have one.
WITHDRAWN_SHARE, UNDATED_SHARE, DATED_FAIL_SHARE = 550_000, 5_000, 2_000
DATED_SHARE = (WITHDRAWN_SHARE * (MILLION - UNDATED_SHARE) + (MILLION - WITHDRAWN_SHARE) * DATED_FAIL_SHARE) // MILLION
_DISTINCTION = -190
_GIVES_UP = 550_000
_SILENT = np.array([6_000, 1_000, 110_000, 90_000], np.int64)
_SILENT_BEFORE_START = 850_000

NEVER = 10_000
_QUIET = pick_table((30, 25, 20, 15, 10), (0, 3, 7, 14, 28))
_REGISTERS = pick_table([1] * 150 + [3] * 60, range(-210, 0))
_LATE = 15_000


@dataclass(frozen=True)
class Lives:
    """One value per enrolment; `left` is NEVER where there is no date of leaving, `present_until` is exclusive."""

    result: Ints
    registered: Ints
    left: Ints
    present_until: Ints
    silent: Flags

    def take(self, index: Ints | Flags) -> Lives:
        return Lives(*(getattr(self, column.name)[index] for column in fields(self)))


def lives(request: DemoRequest, who: Enrolments, draws: Draws) -> Lives:
    """Everything that the outcome brings with it."""
    n = len(who)
    result = _results(who, draws)
    left = _leaving_days(request, result, draws)
    registered = _registration_days(left, draws)
    gives_up = request.length_days * (15 + draws.below(80, n)) // 100
    fades = ((result == FAIL) & draws.happens(_GIVES_UP, n)) | ((result == WITHDRAWN) & (left == NEVER))
    last = np.where(left < NEVER, left - draws.pick(_QUIET, n), NEVER)
    present_until = np.minimum(np.where(fades, gives_up, request.length_days), last)
    silent = draws.happens(np.where(left <= 0, _SILENT_BEFORE_START, _SILENT[result]), n)
    return Lives(result, registered, left, present_until, silent)


def _results(who: Enrolments, draws: Draws) -> Ints:
    n = len(who)
    passed = np.where(draws.happens(logistic(_DISTINCTION + 90 * who.engagement // STEPS_PER_SD), n), DISTINCTION, PASS)
    failed = np.where(draws.happens(WITHDRAWN_SHARE, n), WITHDRAWN, FAIL)
    return np.where(who.at_risk, failed, passed)


def _leaving_days(request: DemoRequest, result: Ints, draws: Draws) -> Ints:
    n = len(result)
    undated, dated_fail = draws.happens(UNDATED_SHARE, n), draws.happens(DATED_FAIL_SHARE, n)
    dated = ((result == WITHDRAWN) & ~undated) | ((result == FAIL) & dated_fail)
    return np.where(dated, draws.pick(withdrawal_days(request.length_days), n), NEVER).astype(np.int64)


def _registration_days(left: Ints, draws: Draws) -> Ints:
    """Before the start but for a few, and never after leaving.

    Someone who would have is moved without crossing day 0 unless already gone by then: who is registered and still
    there at a week's end must not depend on the outcome in any other way than through `left`.
    """
    n = len(left)
    day = np.where(draws.happens(_LATE, n), 1 + draws.below(14, n), draws.pick(_REGISTERS, n)).astype(np.int64)
    return np.where(day > left, np.where((left > 0) & (day > 0), 1, left - 7), day)


def probability_still_there(request: DemoRequest, probability: Ints, week: int) -> Ints:
    """The true probability, in millionths, given that the student has not left by the end of day 7 x week.

    The day of leaving is drawn from one table for all, so by Bayes: p (1 - g) / (1 - p g), with g the chance that
    someone at risk has left by then.
    """
    table = withdrawal_days(request.length_days)
    gone = DATED_SHARE * int((table <= 7 * week).sum()) // len(table)
    p = probability.astype(np.int64)
    return (p * (MILLION - gone) * MILLION) // (MILLION * MILLION - p * gone)
