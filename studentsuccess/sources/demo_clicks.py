"""What is clicked, day by day: uneven counts whose mean follows engagement, the calendar and the mood of the week."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pyarrow as pa

from studentsuccess.sources import demo_course as course
from studentsuccess.sources.demo_draws import (
    STEPS_PER_SD,
    Draws,
    Flags,
    Ints,
    negative_binomial_weights,
    normal_table,
    pick_table,
)
from studentsuccess.sources.demo_layout import key, table
from studentsuccess.sources.demo_life import Lives
from studentsuccess.sources.demo_request import DemoRequest
from studentsuccess.sources.demo_story import Enrolments, People

# A level is a tenth of a logarithm of the mean rows per day.
LEVELS, MIDDLE_LEVEL, MIDDLE_ROWS = 64, 30, 0.48
UNEVENNESS, MOST_ROWS = 0.4, 60
REPEATS_IN_256 = 24
HABIT = 7
_WEEK_MOOD = pick_table((1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1), range(-5, 6))
_LEVEL_OF_RESULT = np.array([0, 2, -1, -1], np.int64)


@cache
def _row_counts() -> Ints:
    """Level and fine draw, side by side, to the click rows of one student on one day."""
    tables = []
    for level in range(LEVELS):
        mean = MIDDLE_ROWS * math.exp((level - MIDDLE_LEVEL) / 10)
        weights = negative_binomial_weights(mean, UNEVENNESS, MOST_ROWS)
        tables.append(pick_table(weights, bits=course.FINE_BITS))
    return np.concatenate(tables).astype(np.int8)


def activity(request: DemoRequest, who: People, chosen: Enrolments, life: Lives, draws: Draws) -> pa.Table:
    """Day by day: first how many rows each student has, then what is in each row."""
    n, days = len(chosen), request.length_days - course.OPENS
    level = _levels(request, chosen, life, draws) << course.FINE_BITS
    level += (draws.u16(days * n) >> 4).reshape(days, n)
    counts = np.where(_seen(request, life), _row_counts()[level], 0).ravel()
    filled = np.flatnonzero(counts)
    cell = np.repeat(filled, counts[filled])
    place, clicks = _what_was_clicked(cell, draws)
    day, at = np.divmod(cell, max(n, 1))
    keys = [column.take(pa.array(at)) for column in key(request, who, chosen)]
    term = int(chosen.term[0]) if n else 0
    site = course.site_id(request, term, chosen.module)[at] + place
    return table("studentVle", [*keys, pa.array(site), pa.array(day + course.OPENS), pa.array(clicks)])


def _levels(request: DemoRequest, chosen: Enrolments, life: Lives, draws: Draws) -> Ints:
    """A row per day, a column per enrolment: the student's own level, the course's calendar, the week's mood.

    The habit is what makes two equally engaged students click differently: without it clicks would tell too much.
    """
    n, weeks = len(chosen), request.weeks - course.OPENS // 7
    habit = HABIT * draws.pick(normal_table(), n).astype(np.int64) // STEPS_PER_SD
    own = MIDDLE_LEVEL + 3 * chosen.engagement // 10 + habit + _LEVEL_OF_RESULT[life.result]
    mood = draws.pick(_WEEK_MOOD, weeks * n).reshape(weeks, n)
    calendars = np.stack([course.calendar(request, module) for module in range(request.modules)], axis=1)
    level: Ints = np.repeat(mood, 7, axis=0) + calendars[:, chosen.module] + own.astype(np.int16)
    return np.clip(level, 0, LEVELS - 1).astype(np.int32)


def _seen(request: DemoRequest, life: Lives) -> Flags:
    """On which days each student can be seen at all."""
    days = np.arange(course.OPENS, request.length_days)[:, None]
    return (days >= life.registered) & (days < life.present_until) & ~life.silent


def _what_was_clicked(cell: Ints, draws: Draws) -> tuple[Ints, Ints]:
    """The site (counted within its course) and the clicks of each row; some rows stand there twice, as in the real."""
    word = draws.u32(len(cell))
    fine = (1 << course.FINE_BITS) - 1
    place: Ints = course.site_table()[word & fine]
    clicks: Ints = course.click_table()[(place.astype(np.int32) << course.FINE_BITS) + ((word >> 12) & fine)]
    repeats = 1 + np.flatnonzero((cell[1:] == cell[:-1]) & ((word[1:] >> 24) < REPEATS_IN_256))
    place[repeats], clicks[repeats] = place[repeats - 1], clicks[repeats - 1]
    return place, clicks
