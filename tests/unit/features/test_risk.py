"""Every feature worked out again in plain Python, and nothing of it hangs on what came after the cut-off."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_courses import Courses, Row

from studentsuccess.features import risk
from studentsuccess.features.risk_words import WORDS, actionable, describe

TALK = ("forumng", "oucollaborate", "ouelluminate", "ouwiki")
QUIZ = ("quiz", "externalquiz", "questionnaire", "repeatactivity")
CONTENT = (
    "oucontent", "resource", "url", "page", "subpage", "sharedsubpage", "glossary", "dataplus", "dualpane", "folder",
    "htmlactivity",
)  # fmt: skip
# Day of the year 2000 on which a term began; any origin will do.
STARTS = {"2013B": 4780, "2013J": 5022, "2014B": 5145}
NOW, BEFORE, FIRST = "2014B", "2013J", "2013B"
EARLIER = ("earlier_enrolments", "earlier_passed", "earlier_lost", "earlier_distinctions")
WEEKS = (0, 1, 4, 8, 20, 39)
LAGS = (0, 14)
# Figures that are open (NaN) where too few have the first of them, and those missing for a whole run or for nobody.
OPEN, OPEN_WITH, OF_THE_RUN = "open", {
    "days_since_submission": ("days_since_submission", "lateness", "lateness_last"),
    "score_mean": ("score_mean", "score_least", "score_last", "score_relative"),
    "score_weighted": ("score_weighted",),
    "submitted_share": ("submitted_share",),
    "weight_share": ("weight_share",),
    "missed_last": ("missed_last",),
}, ("submitted_share", "weight_share", "missed_last")  # fmt: skip

RUNS: tuple[Row, ...] = (
    ("AAA-2013B", "AAA", FIRST, 240),
    ("BBB-2013B", "BBB", FIRST, None),
    ("AAA-2013J", "AAA", BEFORE, 268),
    ("AAA-2014B", "AAA", NOW, 241),
    ("BBB-2014B", "BBB", NOW, 241),
    ("CCC-spring", "CCC", "spring term", 200),
)
# Who they are, by enrolment: (number, run, student, registered, unregistered, credits, attempts, outcome).
ENROLMENTS: tuple[Row, ...] = (
    (1, "AAA-2014B", "none active", -30, None, 60, 0, "Fail"),
    (2, "AAA-2014B", "only before", -60, None, 60, 0, "Withdrawn"),
    (3, "AAA-2014B", "gap weeks", -20, None, 120, 1, "Pass"),
    (4, "AAA-2014B", "banked marks", -90, None, 60, 2, "Distinction"),
    (5, "AAA-2014B", "late submissions", -10, None, 30, 0, "Pass"),
    (6, "AAA-2014B", "exam and no due days", -10, None, 30, 0, "Pass"),
    (7, "AAA-2014B", "gone on the day", -10, 56, 60, 0, "Withdrawn"),
    (8, "AAA-2014B", "gone the day after", -10, 57, 60, 0, "Withdrawn"),
    (9, "AAA-2014B", "registers on the day", 28, None, 60, 0, "Pass"),
    (10, "AAA-2014B", "registers later", 29, None, 60, 0, "Fail"),
    (11, "AAA-2014B", "no registration date", None, None, None, None, None),
    (12, "AAA-2014B", "several courses", -10, None, 60, 0, "Pass"),
    (13, "BBB-2014B", "several courses", -11, None, 60, 0, "Pass"),
    (14, "BBB-2014B", "left one beside", -11, None, 60, 0, "Pass"),
    (15, "AAA-2014B", "left one beside", -11, 20, 60, 0, "Withdrawn"),
    (16, "AAA-2014B", "takes another later", -11, None, 60, 0, "Pass"),
    (17, "BBB-2014B", "takes another later", 30, None, 60, 0, "Pass"),
    (18, "AAA-2014B", "was there before", -11, None, 60, 2, "Fail"),
    (19, "AAA-2013B", "was there before", -11, None, 60, 0, "Fail"),
    (20, "AAA-2013J", "was there before", -11, None, 60, 1, "Distinction"),
    (21, "BBB-2014B", "had passed", -11, None, 60, 0, "Pass"),
    (22, "AAA-2013B", "had passed", -11, None, 60, 0, "Distinction"),
    (23, "BBB-2013B", "had passed", -11, None, 60, 0, "Pass"),
    (24, "BBB-2014B", "left without a date", -11, None, 60, 0, "Pass"),
    (25, "AAA-2013B", "left without a date", -11, None, 60, 0, "Withdrawn"),
    (26, "BBB-2014B", "left the overlapping one", -11, None, 60, 0, "Pass"),
    (27, "AAA-2013J", "left the overlapping one", -11, 150, 60, 0, "Withdrawn"),
    (28, "CCC-spring", "term without a date", -5, None, 60, 0, "Pass"),
    (29, "CCC-spring", "was there before", 3, None, 60, 0, "Fail"),
    (30, "BBB-2014B", "one active week", -4, None, 60, 0, "Fail"),
    (31, "AAA-2013J", "came back after the end", -4, None, 60, 0, "Pass"),
    (32, "AAA-2014B", "gone before she came", 40, 10, 60, 0, "Withdrawn"),
)
DEMOGRAPHICS: tuple[Row, ...] = (
    (1, "F", "Wales", "A Level or Equivalent", "0-10%", "0-35", "N"),
    (3, "M", None, "No Formal quals", None, "55<=", "Y"),
    (13, "M", "Scotland", None, "10-20%", None, "N"),
)
ASSESSMENTS: tuple[Row, ...] = (
    ("a1", "AAA-2014B", "TMA", 20, 10.0),
    ("a2", "AAA-2014B", "TMA", 56, 20.5),
    ("a3", "AAA-2014B", "CMA", 57, 0.1),
    ("a4", "AAA-2014B", "CMA", None, 12.5),
    ("a5", "AAA-2014B", "Exam", None, 100.0),
    ("a6", "AAA-2014B", "Exam", 230, 100.0),
    ("a7", "AAA-2014B", "TMA", 130, None),
    ("b1", "BBB-2014B", "TMA", 30, 33.3),
    ("b2", "BBB-2014B", "TMA", 30, 33.3),
    ("c1", "CCC-spring", "TMA", 10, 50.0),
    ("p1", "AAA-2013J", "TMA", 200, 50.0),
)
SUBMISSIONS: tuple[Row, ...] = (
    ("a1", 3, 19, 71.0, False), ("a2", 3, 56, 64.0, False), ("a3", 3, 40, 90.0, False),
    ("a1", 4, -9, 83.0, True), ("a2", 4, -9, 77.0, True), ("a3", 4, 57, 55.0, False),
    ("a1", 5, 27, 40.0, False), ("a2", 5, 90, 43.1, False), ("a3", 5, 99, None, False),
    ("a1", 6, 20, 100.0, False), ("a4", 6, 21, 88.8, False), ("a5", 6, 225, 61.0, False), ("a6", 6, 229, 62.0, False),
    ("a7", 6, 131, 12.0, False), ("a1", 12, 18, 71.0, False), ("a2", 12, 49, 59.9, False), ("a7", 12, 130, 13.7, False),
    ("a1", 8, 20, 0.0, False), ("a6", 12, 235, 66.6, False), ("a1", 7, 15, 33.4, False), ("a1", 18, 21, 55.5, False),
    ("b1", 13, 30, 50.0, False), ("b2", 13, 30, 61.7, False), ("b1", 14, 31, 50.0, False), ("b1", 21, 29, 50.0, False),
    ("c1", 28, 9, 77.0, False), ("p1", 20, 201, 80.0, False), ("p1", 27, 140, 80.0, False),
)  # fmt: skip
ACTIVITY: tuple[Row, ...] = (
    *((2, day, "homepage", 3) for day in (-60, -12, -3, 0)),
    *((3, day, kind, day + 3) for day in (-2, 1, 7, 8, 29, 50, 56, 57, 70, 139, 140) for kind in ("oucontent", "quiz")),
    *((3, 56, kind, 1) for kind in ("forumng", "homepage", "forumng", "dataplus")),
    *((4, day, "resource", 1 + day % 5) for day in range(-10, 240, 3)),
    *((5, day, "ouwiki", 2) for day in range(1, 100)),
    *((6, day, "page", 11) for day in (14, 15, 28, 29)),
    *((12, day, "externalquiz", 7) for day in range(-5, 60, 5)),
    *((13, day, "subpage", 4) for day in (-1, 2, 27, 28, 29)),
    *((14, day, "glossary", 9) for day in (6, 13, 20)),
    (7, 55, "url", 5), (8, 56, "url", 5), (9, 28, "folder", 1), (10, 29, "folder", 1), (11, 3, "unheard of", 8),
    (30, 52, "quiz", 2), (30, 56, "quiz", 3), (18, 0, "htmlactivity", 6), (20, 120, "quiz", 6), (28, 5, "quiz", 6),
)  # fmt: skip
WORLD = Courses(RUNS, ENROLMENTS, DEMOGRAPHICS, ASSESSMENTS, SUBMISSIONS, ACTIVITY)


def computed(world: Courses, week: int, lag: int) -> pa.Table:
    """As the program computes them."""
    connection = world.opened()
    try:
        risk.prepare(connection, {})
        return risk.week(connection, week, lag)
    finally:
        connection.close()


features = cache(computed)


def by_number(table: pa.Table) -> dict[int, dict[str, Any]]:
    return {row["enrollment_id"]: row for row in table.to_pylist()}


def total(values: Iterable[float]) -> float:
    """Added from left to right, which `sum` does not promise."""
    found = 0.0
    for value in values:
        found += value
    return found


def mean(values: Sequence[float]) -> float | None:
    return total(values) / len(values) if values else None


def spread(values: Sequence[float]) -> float:
    """Of the whole population, by Welford's running sums."""
    centre, squares = 0.0, 0.0
    for count, value in enumerate(values, 1):
        before = value - centre
        centre += before / count
        squares += before * (value - centre)
    return math.sqrt(squares / len(values))


def over(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


@dataclass(frozen=True)
class Plain:
    """The same world, looked at row by row."""

    world: Courses
    week: int
    lag: int

    @property
    def cut(self) -> int:
        return 7 * self.week

    @cached_property
    def runs(self) -> dict[str, Row]:
        return {row[0]: row for row in self.world.course_run}

    @cached_property
    def present(self) -> list[Row]:
        rows = sorted(self.world.enrollment)
        here = [row for row in rows if row[3] is None or row[3] <= self.cut]
        return [row for row in here if row[4] is None or row[4] > self.cut]

    @cached_property
    def assessments(self) -> dict[str, Row]:
        return {row[0]: row for row in self.world.assessment}

    def start(self, run: str) -> int | None:
        return STARTS.get(self.runs[run][2])

    def engagement(self, number: int) -> dict[str, Any]:
        week, cut = self.week, self.cut
        seen = [row for row in self.world.activity if row[0] == number and row[1] <= cut]
        days = sorted({row[1] for row in seen})
        since = {last: cut - 7 * last if last <= week else -math.inf for last in (1, 2, 4)}

        def clicks(kinds: Sequence[str] = (), last: int = 0) -> float:
            after = since[last] if last else -math.inf
            mine = (row[3] for row in seen if row[1] > after and (not kinds or row[2] in kinds))
            return math.log(1 + sum(mine))

        everything, two = sum(row[3] for row in seen), sum(row[3] for row in seen if row[1] > since[2])
        blocks: dict[int, list[int]] = {}
        for day in days:
            blocks.setdefault(max(0, -(-day // 7)), []).append(day)
        places = sorted(blocks)
        gaps = [blocks[later][0] - blocks[earlier][-1] for earlier, later in pairwise(places)]
        silent = cut - days[-1] if days else cut + 30
        return {
            "clicks_log": clicks(),
            "clicks_before_log": math.log(1 + sum(row[3] for row in seen if row[1] <= 0)),
            "clicks_1_log": clicks(last=1),
            "clicks_2_log": clicks(last=2),
            "clicks_4_log": clicks(last=4),
            "active_days": len(days),
            "active_days_2": sum(day > since[2] for day in days),
            "active_days_4": sum(day > since[4] for day in days),
            "active_weeks_share": sum(place > 0 for place in places) / max(week, 1),
            "days_silent": min(silent, cut + 30),
            "first_day": days[0] if days else cut + 7,
            "longest_silence": max([*gaps, silent]),
            "talk_log": clicks(TALK),
            "quiz_log": clicks(QUIZ),
            "content_log": clicks(CONTENT),
            "home_log": clicks(("homepage",)),
            "quiz_4_log": clicks(QUIZ, 4),
            "content_4_log": clicks(CONTENT, 4),
            "kinds": max((len({row[2] for row in seen if row[1] == day}) for day in days), default=0),
            "trend_own": math.log(1 + two) - math.log(1 + everything * 2.0 / (week + 2)),
        }

    @cached_property
    def marks(self) -> dict[str, list[float]]:
        """All marks that are known, of everybody, by assessment and in the order of enrolments."""
        found: dict[str, list[float]] = {}
        for name, _, day, score, _ in sorted(self.world.submission, key=lambda row: row[1]):
            if day <= self.cut and day + self.lag <= self.cut and score is not None:
                found.setdefault(name, []).append(score)
        return found

    def assessed(self, number: int, run: str) -> dict[str, Any]:
        cut, known = self.cut, self.assessments
        due = [row for row in known.values() if row[1] == run and row[2] != "Exam" and (row[3] or cut + 1) <= cut]
        due.sort(key=lambda row: (row[3], row[0]))
        mine = sorted(row for row in self.world.submission if row[1] == number and row[2] <= cut)
        marked = [row for row in mine if row[3] is not None and row[2] + self.lag <= cut]
        own = [row for row in mine if not row[4]]
        dated = [(known[row[0]][3], row[0], row[2]) for row in own if known[row[0]][3] is not None]
        handed = [known[row[0]] for row in mine if known[row[0]][2] != "Exam"]
        in_time = [row for row in handed if row in due]
        whole = total(row[4] or 0.0 for row in due) if due else None
        weighed = [(row[3], known[row[0]][4]) for row in marked]
        points = total(score * weight for score, weight in weighed if weight is not None)
        has_weight = any(weight is not None for _, weight in weighed)
        relative = [
            (score - (mean(self.marks[name]) or 0.0)) / spread(self.marks[name])
            for name, _, _, score, _ in marked
            if spread(self.marks[name])
        ]
        return {
            "missed": len(due) - len(in_time),
            "submitted_share": over(len(in_time), len(due)),
            "weight_share": over(total(row[4] or 0.0 for row in in_time), whole),
            "submitted": len(handed),
            "early": sum(row[3] is not None and row[3] > cut for row in handed),
            "late": sum(day > limit for limit, _, day in dated),
            "lateness": over(sum(day - limit for limit, _, day in dated), len(dated)),
            "lateness_last": max(dated)[2] - max(dated)[0] if dated else None,
            "banked": sum(row[4] for row in mine),
            "score_mean": mean([row[3] for row in marked]),
            "score_least": min((row[3] for row in marked), default=None),
            "score_last": max((row[2], row[0], row[3]) for row in marked)[2] if marked else None,
            "score_weighted": over(points if has_weight else None, total(weight or 0.0 for _, weight in weighed)),
            "points": points / 100.0,
            "score_relative": mean(relative),
            "days_since_submission": cut - max(row[2] for row in mine) if mine else None,
            "missed_last": int(due[-1] not in handed) if due else None,
        }

    def history(self, number: int, run: str, student: str) -> dict[str, int]:
        start = self.start(run)
        now = None if start is None else start + self.cut
        found = dict.fromkeys((*EARLIER, "courses_beside", "left_beside"), 0)
        for other, its_run, whose, registered, left, _, _, outcome in self.world.enrollment:
            begun = self.start(its_run)
            if whose != student or other == number or now is None or start is None or begun is None or begun > start:
                continue
            if registered is not None and begun + registered > now:
                continue
            length = self.runs[its_run][3]
            ended = length is not None and begun + length <= now
            has_left = left is not None and begun + left <= now
            if begun == start:
                found["left_beside" if has_left else "courses_beside"] += 1
                continue
            found["earlier_enrolments"] += 1
            found["earlier_passed"] += ended and outcome in ("Pass", "Distinction")
            found["earlier_lost"] += has_left or (ended and outcome in ("Fail", "Withdrawn"))
            found["earlier_distinctions"] += ended and outcome == "Distinction"
        return found

    def open_what_is_early(self, run: str, cohort: list[dict[str, Any]]) -> None:
        """Where nothing is due, or hardly anyone has a figure, its absence says nothing of one student."""
        cut, known = self.cut, self.assessments.values()
        due = any(row[1] == run and row[2] != "Exam" and (row[3] or cut + 1) <= cut for row in known)
        for witness, names in OPEN_WITH.items():
            few = sum(one[witness] is not None for one in cohort) < len(cohort) / 4
            for one in cohort if few or not due or witness in OF_THE_RUN else ():
                one.update({name: OPEN for name in names if one[name] is None})

    def rows(self) -> Iterator[dict[str, Any]]:
        """In the order of enrolments."""
        own = {
            row[0]: {**self.history(row[0], row[1], row[2]), **self.engagement(row[0]), **self.assessed(row[0], row[1])}
            for row in self.present
        }
        for run in {row[1] for row in self.present}:
            self.open_what_is_early(run, [own[row[0]] for row in self.present if row[1] == run])
        people = {row[0]: row[1:] for row in self.world.demographic}
        for number, run, student, registered, _, credit, attempts, outcome in self.present:
            beside = [own[row[0]] for row in self.present if row[1] == run]
            mine = own[number]

            def relative(name: str, beside: list[dict[str, Any]] = beside, mine: dict[str, Any] = mine) -> float | None:
                values = [one[name] for one in beside]
                centre = mean(values)
                return None if centre is None else over(mine[name] - centre, spread(values))

            below = sum(one["clicks_4_log"] < mine["clicks_4_log"] for one in beside)
            yield {
                "enrollment_id": number,
                "course_run_id": run,
                "student_id": student,
                "course_id": self.runs[run][1],
                "term": self.runs[run][2],
                "week": self.week,
                "cutoff_day": self.cut,
                "at_risk": None if outcome is None else outcome in ("Fail", "Withdrawn"),
                "registered_day": registered,
                "registered_unknown": int(registered is None),
                "credits": credit,
                "previous_attempts": attempts,
                **mine,
                "clicks_relative": relative("clicks_log"),
                "clicks_2_relative": relative("clicks_2_log"),
                "days_relative": relative("active_days"),
                "clicks_4_rank": below / (len(beside) - 1) if len(beside) > 1 else 0.0,
                "points_relative": relative("points"),
                **dict(zip(risk.DEMOGRAPHICS, people.get(number, (None,) * 6), strict=True)),
            }


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("week", WEEKS)
def test_every_feature_is_what_plain_python_makes_of_the_rows(week: int, lag: int) -> None:
    expected = list(Plain(WORLD, week, lag).rows())
    found = rows_of(features(WORLD, week, lag))
    assert [row["enrollment_id"] for row in found] == [row["enrollment_id"] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert row == wanted
    assert set(found[0]) == set(expected[0])


@settings(max_examples=examples(12, daily=5), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(0, 12), st.sampled_from(LAGS))
def test_features_of_drawn_courses_are_what_plain_python_makes_of_them(seed: int, week: int, lag: int) -> None:
    world = drawn(seed)
    assert rows_of(features(world, week, lag)) == list(Plain(world, week, lag).rows())


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows that can be compared: NaN is equal to nothing."""
    return [
        {name: OPEN if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def test_an_absent_mark_says_something_only_where_others_have_theirs() -> None:
    early, late = ([row["score_mean"] for row in rows_of(features(WORLD, week, 0))] for week in (0, 20))
    assert set(early) <= {OPEN, *(mark for mark in early if isinstance(mark, float))}
    assert None in late
    assert sum(isinstance(mark, float) for mark in late) > len(late) / 4


def drawn(seed: int, students: int = 25) -> Courses:
    """Rows of every kind, by lot."""
    draw = np.random.default_rng(seed)

    def maybe(value: Any, share: float = 0.15) -> Any:
        return None if draw.random() < share else value

    numbers = range(1, students + 1)
    outcomes = ("Pass", "Fail", "Withdrawn", "Distinction")
    enrolled = tuple(
        (one, str(draw.choice([run[0] for run in RUNS])), f"s{draw.integers(0, students // 2)}",
         maybe(int(draw.integers(-40, 40))), maybe(int(draw.integers(0, 200)), 0.7), 60, int(draw.integers(0, 3)),
         maybe(str(draw.choice(outcomes))))
        for one in numbers
    )  # fmt: skip
    asked = tuple(
        (f"x{one}", str(draw.choice([run[0] for run in RUNS])), str(draw.choice(["TMA", "CMA", "Exam"])),
         maybe(int(draw.integers(1, 80))), maybe(float(draw.integers(0, 400)) / 8))
        for one in range(14)
    )  # fmt: skip
    handed = tuple(
        (name, row[0], int(draw.integers(-5, 90)), maybe(float(draw.integers(0, 1001)) / 10), bool(draw.random() < 0.1))
        for row in enrolled
        for name, run, *_ in asked
        if run == row[1] and draw.random() < 0.7
    )
    kinds = (*TALK, *QUIZ, *CONTENT, "homepage", "other")
    clicked = tuple(
        (int(who), int(draw.integers(-20, 90)), str(draw.choice(kinds)), int(draw.integers(1, 30)))
        for who in draw.integers(1, students + 1, 400)
    )
    return Courses(RUNS, enrolled, (), asked, handed, clicked)


def test_students_without_any_activity_are_there() -> None:
    found = by_number(features(WORLD, 8, 0))
    assert found[1]["clicks_log"] == 0.0
    assert (found[1]["active_days"], found[1]["days_silent"], found[1]["longest_silence"]) == (0, 86, 86)
    assert (found[2]["active_days"], found[2]["days_silent"]) == (4, 56)


def test_who_withdrew_by_the_cut_off_or_registers_later_is_not_there() -> None:
    four, eight = by_number(features(WORLD, 4, 0)), by_number(features(WORLD, 8, 0))
    assert 9 in four, "registered on the day of the cut-off"
    assert 10 not in four, "registers a day later"
    assert 10 in eight
    assert 7 not in eight, "withdrew on the day of the cut-off"
    assert 8 in eight, "withdrew a day later"
    assert 11 in four, "nobody knows when"
    assert not {32, 15} & set(eight)


@pytest.mark.parametrize("week", WEEKS)
def test_every_enrolment_of_a_run_is_scored_gone_or_later(week: int) -> None:
    connection = WORLD.opened()
    risk.prepare(connection, {})
    terms = risk.terms_of(connection, {}).names
    counted = {row["course_run_id"]: row for row in risk.population(connection, week, terms).to_pylist()}
    present = [row["course_run_id"] for row in risk.week(connection, week, 0).to_pylist()]
    connection.close()
    for run in (row[0] for row in RUNS):
        mine = [row for row in ENROLMENTS if row[1] == run]
        if not mine:
            assert run not in counted
            continue
        one = counted[run]
        assert one["scored"] == present.count(run)
        assert one["gone"] == sum(row[4] is not None and row[4] <= 7 * week for row in mine)
        assert one["scored"] + one["gone"] + one["later"] == len(mine)


def test_a_registration_after_the_cut_off_is_not_seen_beside_another_course() -> None:
    assert by_number(features(WORLD, 4, 0))[16]["courses_beside"] == 0
    assert by_number(features(WORLD, 8, 0))[16]["courses_beside"] == 1


def test_what_came_of_an_earlier_course_counts_from_the_day_it_ended() -> None:
    """The run of 2013J ends 268 days after October 1st: 145 days into the term that began in February."""
    early, late = by_number(features(WORLD, 20, 0))[18], by_number(features(WORLD, 39, 0))[18]
    assert [early[name] for name in EARLIER] == [2, 0, 1, 0]
    assert [late[name] for name in EARLIER] == [2, 1, 1, 1]
    lost = {week: by_number(features(WORLD, week, 0))[26]["earlier_lost"] for week in (1, 4)}
    assert lost == {1: 0, 4: 1}, "left on day 150 of the earlier course, which is day 27 of this one"


def test_whoever_withdrew_without_a_date_is_lost_once_the_course_is_over() -> None:
    assert by_number(features(WORLD, 0, 0))[24]["earlier_lost"] == 1


def test_an_exam_that_was_due_makes_no_assignment_handed_in() -> None:
    row = by_number(features(WORLD, 39, 0))[6]
    assert (row["missed"], row["early"]) == (2, 0)
    assert row["submitted_share"] == 0.5
    assert 0 < row["weight_share"] < 1


def test_an_assignment_without_a_due_day_is_neither_early_nor_late() -> None:
    row = by_number(features(WORLD, 4, 0))[6]
    assert (row["submitted"], row["early"], row["late"], row["lateness_last"]) == (2, 0, 0, 0)


def test_the_silence_of_one_active_week_is_what_lies_behind_it() -> None:
    row = by_number(features(WORLD, 8, 0))[30]
    assert (row["days_silent"], row["longest_silence"]) == (0, 0)
    before = by_number(features(WORLD, 4, 0))[2]
    assert (before["days_silent"], before["longest_silence"]) == (28, 28)


def test_a_mark_is_known_after_the_lag_and_its_submission_at_once() -> None:
    now, later = (next(row for row in rows_of(features(WORLD, 4, lag)) if row["enrollment_id"] == 3) for lag in LAGS)
    assert (now["score_last"], later["score_last"]) == (71.0, OPEN)
    assert now["submitted"] == later["submitted"] == 1
    assert (now["points"], later["points"]) == (7.1, 0.0)


def test_a_term_without_a_date_has_features_and_no_history() -> None:
    row = by_number(features(WORLD, 4, 0))[29]
    assert (row["earlier_enrolments"], row["courses_beside"]) == (0, 0)


def test_a_term_whose_day_the_settings_give_has_a_history() -> None:
    """It began when the courses of 2013B were over, and those of 2013J were not."""
    connection = WORLD.opened()
    risk.prepare(connection, {"spring term": date(2014, 3, 1)})
    row = by_number(risk.week(connection, 4, 0))[29]
    connection.close()
    assert [row[name] for name in EARLIER] == [3, 0, 1, 0]


def test_terms_are_in_the_order_of_the_calendar() -> None:
    runs = [("r1", "A", "2014B", 1), ("r2", "A", "2013J", 1), ("r3", "A", "2013B", 1), ("r4", "A", "2014J", 1)]
    connection = Courses(runs, ()).opened()
    terms = risk.terms_of(connection, {})
    connection.close()
    assert terms.names == ("2013B", "2013J", "2014B", "2014J")
    assert (terms.latest, terms.has_activity) == ("2014J", False)


@dataclass(frozen=True)
class Another:
    """A world that is the same up to the end of a week of the term that is scored, on every course's own calendar."""

    week: int
    chance: Random

    @cached_property
    def now(self) -> dict[str, int]:
        """The day of each run which is that of the cut-off; undated runs are no part of anything."""
        return {run[0]: STARTS[NOW] + 7 * self.week - STARTS[run[2]] for run in RUNS if run[2] in STARTS}

    def is_later(self, run: str, day: int | None) -> bool:
        return day is not None and run in self.now and day > self.now[run]

    def moved(self, rows: Iterable[Row], day: int, who: int) -> Iterator[Row]:
        """Every row after the cut-off is dropped, doubled, moved or kept; those before stay."""
        for row in rows:
            if not self.is_later(RUN_OF[row[who]], row[day]):
                yield row
                continue
            moved = (*row[:day], row[day] + self.chance.randint(0, 40), *row[day + 1 :])
            yield from self.chance.choice([[], [row, row], [moved], [row]])

    def enrolments(self) -> Iterator[Row]:
        """Those to come do not come, or are others; the end of what had not ended is another."""
        for row in ENROLMENTS:
            if not self.is_later(row[1], row[3]) or self.chance.random() < 0.5:
                yield self.ended_otherwise(row)
        for number, student in ((90, "none active"), (91, "several courses"), (92, "had passed")):
            day = self.now["BBB-2014B"] + self.chance.randint(1, 9)
            yield number, "BBB-2014B", student, day, None, 60, 0, "Fail"

    def ended_otherwise(self, row: Row) -> Row:
        number, run, student, registered, left, credit, attempts, outcome = row
        if self.is_later(run, left):
            left = self.chance.choice([None, left + 5])
        if self.is_later(run, LENGTHS[run] or 10**6):
            outcome = self.chance.choice(["Pass", "Fail", "Withdrawn", "Distinction", None])
        return number, run, student, registered, left, credit, attempts, outcome

    def clicks(self) -> Iterator[Row]:
        yield from self.moved(ACTIVITY, 1, 0)
        for one in BUSY:
            yield one, self.now[RUN_OF[one]] + self.chance.randint(1, 90), "quiz", self.chance.randint(1, 99)

    def submissions(self) -> list[Row]:
        """One for each assessment and enrolment at most."""
        found = {(row[0], row[1]): row for row in self.moved(SUBMISSIONS, 2, 1)}
        for name, run, *_ in ASSESSMENTS:
            for one in BUSY:
                if RUN_OF[one] == run and (name, one) not in found:
                    day = self.now[run] + self.chance.randint(1, 60)
                    found[name, one] = (name, one, day, float(self.chance.randint(0, 100)), False)
        return list(found.values())

    def world(self) -> Courses:
        rows = {
            "enrollment": list(self.enrolments()),
            "submission": self.submissions(),
            "activity": list(self.clicks()),
        }
        return replace(WORLD, **rows).shuffled(self.chance.randint(0, 99))


RUN_OF = {row[0]: row[1] for row in ENROLMENTS}
LENGTHS = {row[0]: row[3] for row in RUNS}
# To whom more happens later.
BUSY = (1, 4, 13, 14, 20, 21, 27)


@settings(max_examples=examples(40, daily=12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from((0, 4, 8)), st.sampled_from(LAGS), st.randoms(use_true_random=False))
def test_nothing_after_the_cut_off_changes_one_bit_of_a_feature(week: int, lag: int, chance: Random) -> None:
    before, after = features(WORLD, week, lag), computed(Another(week, chance).world(), week, lag)
    mine = [table.filter(pc.equal(table["term"], NOW)).drop_columns("at_risk") for table in (before, after)]
    assert rows_of(mine[0]) == rows_of(mine[1])
    assert mine[0].num_rows > 10


@settings(max_examples=examples(10, daily=4), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WEEKS))
def test_the_order_of_rows_changes_nothing(seed: int, week: int) -> None:
    world = drawn(seed % 5)
    assert rows_of(computed(world.shuffled(seed), week, 0)) == rows_of(features(world, week, 0))


def test_demographic_columns_are_named_only_where_they_may_be_used() -> None:
    table = features(WORLD, 4, 0)
    used, excluded = (set(risk.columns(table, demographics=flag)) for flag in (True, False))
    assert used - excluded == set(risk.DEMOGRAPHICS)
    assert not used & (set(risk.KEYS) - {"course_id"})
    assert "at_risk" not in used


def test_without_demographics_their_values_reach_no_feature() -> None:
    others = [(number, "X", "X", "X", "X", "X", "X") for number in range(1, 33)]
    table, other = features(WORLD, 8, 0), features(replace(WORLD, demographic=tuple(others)), 8, 0)
    names = list(risk.columns(table, demographics=False))
    assert rows_of(table.select(names)) == rows_of(other.select(names))


def test_every_feature_has_words_and_they_say_its_value() -> None:
    table = features(WORLD, 8, 0)
    assert set(risk.columns(table, demographics=True)) == set(WORDS)
    for row in table.to_pylist():
        for name in WORDS:
            told = describe(name, row[name])
            assert told
            assert "{" not in told
            assert ("not known yet" in told) == (row[name] is None or row[name] != row[name])  # NaN is not itself
    assert "54" in describe("clicks_log", math.log(55))
    assert describe("nobody_knows", 1.0) == "nobody knows"
    assert not actionable("nobody_knows")
    assert not any(actionable(name) for name in risk.DEMOGRAPHICS)
