"""What is handed in, when, and how it is marked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from studentsuccess.sources import demo_course as course
from studentsuccess.sources.demo_draws import STEPS_PER_SD, Draws, Flags, Ints, logistic, normal_table, pick_table
from studentsuccess.sources.demo_layout import no_rows, table
from studentsuccess.sources.demo_life import FAIL, NEVER, WITHDRAWN, Lives
from studentsuccess.sources.demo_request import DemoRequest
from studentsuccess.sources.demo_story import Enrolments, People

_SCORE_OF_RESULT = np.array([0, 9, -5, -3], np.int64)
_LATENESS = pick_table((6, 10, 16, 22, 18, 12, 6, 4, 3, 2, 1), (-9, -5, -2, -1, 0, 1, 2, 4, 7, 12, 20))


def submissions(request: DemoRequest, who: People, chosen: Enrolments, life: Lives, draws: Draws) -> pa.Table:
    """Module by module, since each has its own due days."""
    pieces = [no_rows("studentAssessment")]
    for module in np.unique(chosen.module).tolist():
        index = np.flatnonzero(chosen.module == module)
        pieces.append(_of_module(request, who, chosen.take(index), life.take(index), module, draws))
    return pa.concat_tables(pieces)


def _of_module(
    request: DemoRequest, who: People, chosen: Enrolments, life: Lives, module: int, draws: Draws
) -> pa.Table:
    term, student = int(chosen.term[0]), who.id[chosen.person]
    pieces = [no_rows("studentAssessment")]
    for number, assessment in enumerate(course.assessments(request, module)):
        is_exam = assessment.due is None
        day = _submitted_days(request, chosen, life, assessment.due, draws)
        score, unmarked = _scores(chosen, life, draws, is_exam=is_exam)
        banked = _banked(chosen, life, number, draws)
        shown = banked | ((day < NEVER) & (not is_exam or course.has_exam_results(module)))
        columns = [
            np.full(len(chosen), course.assessment_id(request, term, module, number)),
            student,
            np.where(banked, course.NO_DAY, day),
            banked.astype(np.int64),
        ]
        scores = pa.array(score[shown], mask=(unmarked & ~banked)[shown])
        pieces.append(table("studentAssessment", [*(pa.array(column[shown]) for column in columns), scores]))
    return pa.concat_tables(pieces)


def _submitted_days(request: DemoRequest, chosen: Enrolments, life: Lives, due: int | None, draws: Draws) -> Ints:
    """The day of each submission, NEVER where there is none."""
    n = len(chosen)
    shift = np.where(life.result == FAIL, -60, 0) + np.where(life.silent & chosen.at_risk, -250, 0)
    hands_in = draws.happens(logistic(240 + 4 * chosen.engagement + shift), n)
    late = draws.pick(_LATENESS, n) - chosen.engagement // STEPS_PER_SD
    if due is None:
        sits = (life.result != WITHDRAWN) & (~chosen.at_risk | hands_in)
        return np.where(sits & (life.present_until >= request.length_days), request.length_days - 4, NEVER)
    day = np.maximum(due + late, 0)
    there = (life.registered <= day) & (day < life.present_until)
    return np.where(hands_in & there, day, NEVER)


def _scores(chosen: Enrolments, life: Lives, draws: Draws, *, is_exam: bool) -> tuple[Ints, Flags]:
    """Scores from 0 to 100 and which of them were never entered; an exam is passed by those who pass."""
    n = len(chosen)
    luck = draws.pick(normal_table(), n).astype(np.int64)
    raw = 73 + (6 * chosen.engagement + 14 * luck) // STEPS_PER_SD + _SCORE_OF_RESULT[life.result]
    score = np.clip(raw - 8 * is_exam, 0, 100)
    if is_exam:
        score = np.where(chosen.at_risk, np.minimum(score, 39), np.maximum(score, 40))
    return score, draws.happens(2_000, n)


def _banked(chosen: Enrolments, life: Lives, number: int, draws: Draws) -> Flags:
    """Repeaters may carry over what they handed in the last time."""
    carried = draws.happens(150_000, len(chosen))
    return carried & (chosen.previous > 0) & (life.left > 0) & (number in (0, 2))
