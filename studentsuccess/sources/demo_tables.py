"""What one block of students adds to the files in one term: made on its own, whatever was made before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from studentsuccess.sources.demo_clicks import activity
from studentsuccess.sources.demo_draws import STEPS_PER_SD, Draws, Ints, pick_table
from studentsuccess.sources.demo_layout import COLUMNS, key, table, words
from studentsuccess.sources.demo_life import NEVER, RESULTS, Lives, lives
from studentsuccess.sources.demo_life import probability_still_there as still_there
from studentsuccess.sources.demo_request import DemoRequest
from studentsuccess.sources.demo_story import Enrolments, People, enrolments, of_term
from studentsuccess.sources.demo_work import submissions

REGIONS = (
    *("East Anglian Region", "East Midlands Region", "Ireland", "London Region", "North Region"),
    *("North Western Region", "Scotland", "South East Region", "South Region", "South West Region"),
    *("Wales", "West Midlands Region", "Yorkshire Region"),
)
EDUCATION = (
    *("No Formal quals", "Lower Than A Level", "A Level or Equivalent"),
    *("HE Qualification", "Post Graduate Qualification"),
)
# Deprivation 0 to 9; the real data leaves the percent sign out of one band.
BANDS = ("90-100%", "80-90%", "70-80%", "60-70%", "50-60%", "40-50%", "30-40%", "20-30%", "10-20", "0-10%")
AGES = ("0-35", "35-55", "55<=")
_CREDITS = pick_table((520, 190, 110, 95, 85), (60, 120, 30, 90, 150))


@dataclass(frozen=True)
class Part:
    """What one block of students adds to the files in one term."""

    info: pa.Table
    registration: pa.Table
    submissions: pa.Table
    activity: pa.Table
    truth: pa.Table
    new_students: int


def part(request: DemoRequest, term: int, block: int) -> Part:
    """One part, whatever was or was not made before it."""
    who, every = enrolments(request, block)
    chosen = of_term(every, term)
    draws = Draws(request.seed, 1, term, block)
    life = lives(request, chosen, draws)
    return Part(
        info=_info(request, who, chosen, life, draws),
        registration=_registration(request, who, chosen, life),
        submissions=submissions(request, who, chosen, life, draws),
        activity=activity(request, who, chosen, life, draws),
        truth=_truth(request, who, chosen),
        new_students=int((who.first_term == term).sum()),
    )


def truth_weeks(request: DemoRequest) -> list[int]:
    """The weeks for which the truth file holds a conditional probability."""
    return [week for week in (0, 4, 8, 12, 20) if week < request.weeks]


def _info(request: DemoRequest, who: People, chosen: Enrolments, life: Lives, draws: Draws) -> pa.Table:
    person = chosen.person
    bands = pa.array(who.deprivation[person], mask=who.band_missing[person])
    return table(
        "studentInfo",
        [
            *key(request, who, chosen),
            words("MF", who.woman[person].astype(np.int8)),
            words(REGIONS, who.region[person]),
            words(EDUCATION, who.education[person]),
            pa.array(BANDS, pa.string()).take(bands),
            words(AGES, who.age[person]),
            pa.array(chosen.previous),
            pa.array(draws.pick(_CREDITS, len(chosen))),
            words("NY", who.disabled[person].astype(np.int8)),
            words(RESULTS, life.result),
        ],
    )


def _registration(request: DemoRequest, who: People, chosen: Enrolments, life: Lives) -> pa.Table:
    dates = [pa.array(life.registered), pa.array(life.left, mask=life.left == NEVER)]
    return table("studentRegistration", [*key(request, who, chosen), *dates])


def truth_header(request: DemoRequest) -> list[str]:
    """The columns of truth/true_probability.csv."""
    key = COLUMNS["studentRegistration"].split()[:3]
    weeks = [f"p_at_risk_week_{week}" for week in truth_weeks(request)]
    return [*key, "engagement", "previous_attempts", "deprivation", "p_at_risk", *weeks]


def _truth(request: DemoRequest, who: People, chosen: Enrolments) -> pa.Table:
    """The latent state and the probability it gave; later ones hold for those who have not left by that week's end."""
    steps = range(-100, 101)
    columns = [
        *key(request, who, chosen),
        words([f"{step / STEPS_PER_SD:.2f}" for step in steps], chosen.engagement - steps[0]),
        pa.array(chosen.previous),
        pa.array(who.deprivation[chosen.person]),
        _decimals(chosen.probability),
        *(_decimals(still_there(request, chosen.probability, week)) for week in truth_weeks(request)),
    ]
    return pa.table(columns, names=truth_header(request))


def _decimals(millionths: Ints) -> pa.Array:
    return pa.array([f"0.{value:06d}" for value in millionths.tolist()], pa.string())
