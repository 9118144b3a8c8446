"""Who enrols in what, and with what probability it goes wrong: the truth that the demo's files are made from.

The probability comes first and the outcome is drawn from it, so that it is calibrated by construction. All that the
files show (clicks, submissions, dates) is drawn afterwards, given the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from studentsuccess.sources.demo_draws import STEPS_PER_SD, Draws, Flags, Ints, logistic, normal_table, pick_table
from studentsuccess.sources.demo_request import DemoRequest

# Hundredths of log-odds: all effects are whole, so that the logistic table holds each sum exactly.
INTERCEPT = -104
ENGAGEMENT = -100
PER_ATTEMPT = 55
PER_BAND = 10
ENGAGEMENT_STEP = ENGAGEMENT // STEPS_PER_SD

# Students per stream: part of what the files are, so a change needs a new `demo_request.VERSION`.
BLOCK = 1024
MOST_ENROLMENTS = 3
ID_FIRST, ID_RANGE, ID_STRIDE = 100_000, 9_999_991, 7_368_787

_ATTEMPTS = pick_table((870, 95, 25, 8, 2))
_GAP_AFTER_PASS = pick_table((70, 22, 8), (-1, 1, 2))
_GAP_AFTER_FAILURE = pick_table((65, 25, 10), (-1, 1, 2))
_BESIDE = 40_000


@dataclass(frozen=True)
class People:
    """A block of students, each field one value per student."""

    id: Ints
    first_term: Ints
    trait: Ints
    deprivation: Ints
    band_missing: Flags
    woman: Flags
    region: Ints
    education: Ints
    age: Ints
    disabled: Flags


@dataclass(frozen=True)
class Enrolments:
    """Enrolments of one block of students: who, where, the true probability (millionths) and what came of it."""

    person: Ints
    term: Ints
    module: Ints
    previous: Ints
    engagement: Ints
    probability: Ints
    at_risk: Flags

    def __len__(self) -> int:
        return len(self.person)

    def take(self, index: Ints | Flags) -> Enrolments:
        return Enrolments(*(getattr(self, column.name)[index] for column in fields(self)))


def people(request: DemoRequest, block: int, draws: Draws) -> People:
    """The students of one block, before they enrol."""
    index = np.arange(block * BLOCK, min((block + 1) * BLOCK, request.students))
    n = len(index)
    return People(
        id=ID_FIRST + (index * ID_STRIDE + request.seed % ID_RANGE) % ID_RANGE,
        first_term=draws.below(request.terms, n),
        trait=draws.pick(normal_table(), n).astype(np.int64),
        deprivation=draws.below(10, n),
        band_missing=draws.happens(34_000, n),
        woman=draws.happens(460_000, n),
        region=draws.below(13, n),
        education=draws.pick(pick_table((10, 400, 430, 145, 15)), n),
        age=draws.pick(pick_table((700, 290, 10)), n),
        disabled=draws.happens(97_000, n),
    )


def enrolments(request: DemoRequest, block: int) -> tuple[People, Enrolments]:
    """All enrolments of one block over all terms; each follows from how the one before it went."""
    draws = Draws(request.seed, 0, block)
    who = people(request, block, draws)
    slots = [_first(request, who, draws)]
    while len(slots) < MOST_ENROLMENTS:
        slots.append(_next(request, who, slots[-1], draws, beside_allowed=len(slots) == 1))
    joined = Enrolments(*(np.concatenate([getattr(s, c.name) for s in slots]) for c in fields(Enrolments)))
    return who, joined.take(joined.term < request.terms)


def of_term(every: Enrolments, term: int) -> Enrolments:
    """The enrolments of one term, by module and then by student."""
    chosen = every.take(every.term == term)
    return chosen.take(np.lexsort((chosen.person, chosen.module)))


def _first(request: DemoRequest, who: People, draws: Draws) -> Enrolments:
    n = len(who.id)
    offered = _offered(request, who.first_term)
    previous = draws.pick(_ATTEMPTS, n).astype(np.int64)
    return _enrol(who, np.arange(n), who.first_term, draws.below(offered, n), previous, draws)


def _next(request: DemoRequest, who: People, last: Enrolments, draws: Draws, *, beside_allowed: bool) -> Enrolments:
    """A second module beside the first, or a later term: the same module again after a failure, else another."""
    n = len(last)
    gap = np.where(last.at_risk, draws.pick(_GAP_AFTER_FAILURE, n), draws.pick(_GAP_AFTER_PASS, n)).astype(np.int64)
    beside = draws.happens(_BESIDE, n) & beside_allowed
    gap[beside] = 0
    term = np.where(gap < 0, request.terms, np.minimum(last.term + gap, request.terms))
    offered = _offered(request, term)
    other = (last.module + 1 + draws.below(offered - 1, n)) % offered
    again = last.at_risk & (gap > 0)
    module = np.where(again, last.module, other)
    previous = np.where(again, last.previous + 1, draws.pick(_ATTEMPTS, n))
    return _enrol(who, last.person, term, module, previous, draws)


def _enrol(who: People, person: Ints, term: Ints, module: Ints, previous: Ints, draws: Draws) -> Enrolments:
    """Engagement is mostly the student's and partly the course's; the outcome is drawn with the true probability."""
    n = len(person)
    engagement = (4 * who.trait[person] + 3 * draws.pick(normal_table(), n) + 2) // 5
    probability = logistic(
        INTERCEPT + ENGAGEMENT_STEP * engagement + PER_ATTEMPT * previous + PER_BAND * who.deprivation[person]
    )
    return Enrolments(person, term, module, previous, engagement, probability, draws.happens(probability, n))


def _offered(request: DemoRequest, term: Ints) -> Ints:
    """`DemoRequest.offered` for many terms at once."""
    return np.where(term < request.new_module_from, request.modules - 1, request.modules)
