"""What a course run is made of: its sites in the learning environment, its assessments, its calendar."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from studentsuccess.sources.demo_draws import Ints, geometric_weights, pick_table, whole
from studentsuccess.sources.demo_request import DemoRequest

# The learning environment opens two weeks before a course starts.
OPENS = -14
SITE_BASE, SITES_PER_COURSE = 526_000, 100
ASSESSMENT_BASE, ASSESSMENTS_PER_COURSE = 14_000, 10
FINE_BITS = 12
WEEKEND = (5, 6)
NO_DAY = -1


@dataclass(frozen=True)
class SiteKind:
    """An activity type: how many sites, their share of all click rows, and clicks per row."""

    name: str
    sites: int
    share: int
    clicks: float
    scheduled: bool


# Shares and clicks are those of the real studentVle, rounded.
SITE_KINDS = (
    SiteKind("forumng", 4, 240, 3.4, False),
    SiteKind("subpage", 10, 195, 1.8, True),
    SiteKind("homepage", 1, 165, 4.1, False),
    SiteKind("oucontent", 10, 165, 6.0, True),
    SiteKind("quiz", 3, 85, 7.1, False),
    SiteKind("resource", 12, 75, 1.3, True),
    SiteKind("url", 5, 45, 1.4, False),
    SiteKind("ouwiki", 1, 20, 5.1, False),
    SiteKind("glossary", 1, 10, 5.5, False),
)


@dataclass(frozen=True)
class Site:
    """One row of vle.csv but for its course."""

    kind: int
    week: int | None


@dataclass(frozen=True)
class Assessment:
    """One row of assessments.csv but for its course; an exam has no date."""

    kind: str
    due: int | None
    weight: int


def site_id(request: DemoRequest, term: int, module: Ints | int) -> Ints:
    """The id of a course run's first site."""
    return SITE_BASE + (term * request.modules + np.asarray(module, np.int64)) * SITES_PER_COURSE


def assessment_id(request: DemoRequest, term: int, module: int, number: int) -> int:
    """The id of a course run's assessment."""
    return ASSESSMENT_BASE + request.course(term, module) * ASSESSMENTS_PER_COURSE + number


def sites(request: DemoRequest) -> list[Site]:
    """The sites of any course run, in the order of their ids; those with a schedule belong to one week."""
    kinds = [(number, kind, at) for number, kind in enumerate(SITE_KINDS) for at in range(kind.sites)]
    return [Site(number, 1 + 3 * at % request.weeks if kind.scheduled else None) for number, kind, at in kinds]


def assessments(request: DemoRequest, module: int) -> list[Assessment]:
    """Tutor-marked ones grow in weight to 100 in all, quizzes count nothing, the exam counts 100."""
    at = [(12, "TMA", 10), (25, "CMA", 0), (35, "TMA", 20), (60, "TMA", 30), (70, "CMA", 0), (85, "TMA", 40)]
    due = [request.length_days * (share + module) // 100 for share, _, _ in at]
    dated = [Assessment(kind, day, weight) for day, (_, kind, weight) in zip(due, at, strict=True)]
    return [*dated, Assessment("Exam", None, 100)]


def has_exam_results(module: int) -> bool:
    """Some exams of the real data have no results at all: those of every second module here."""
    return module % 2 == 0


@cache
def site_table() -> Ints:
    """A fine draw to a site: by the share of its type, within a type the first sites most."""
    weights = []
    for kind in SITE_KINDS:
        ranks = [1.0 / (rank + 1) for rank in range(kind.sites)]
        weights += [kind.share * rank / sum(ranks) for rank in ranks]
    return pick_table(whole(weights), bits=FINE_BITS)


@cache
def click_table() -> Ints:
    """Site and fine draw, side by side, to a number of clicks."""
    values = range(1, 201)
    kinds = [pick_table(geometric_weights(kind.clicks, 200), values, FINE_BITS) for kind in SITE_KINDS]
    return np.concatenate([table for table, kind in zip(kinds, SITE_KINDS, strict=True) for _ in range(kind.sites)])


def calendar(request: DemoRequest, module: int) -> Ints:
    """How busy each day is, in the tenths of a logarithm that levels of activity are counted in."""
    days = np.arange(OPENS, request.length_days)
    busy = 4 - 7 * np.maximum(days, 0) // request.length_days
    busy[(days >= -2) & (days < 10)] += 3
    busy[np.isin(days % 7, WEEKEND)] -= 3
    for assessment in assessments(request, module):
        if assessment.due is not None:
            busy[(days > assessment.due - 5) & (days <= assessment.due)] += 4
    busy[days < 0] -= 6
    return busy.astype(np.int16)


@cache
def withdrawal_days(length: int) -> Ints:
    """When those leave who leave: three in ten before the start, then with a hazard that falls to the end."""
    before, after = range(-60, 1), range(1, length + 1)
    falling = [2 * length - day for day in after]
    early = [max(1, 30 * sum(falling) // (70 * len(before)))] * len(before)
    return pick_table([*early, *falling], [*before, *after])
