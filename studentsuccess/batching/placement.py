"""Where and when every batch meets: one room and shift each, no two alike, in the fewest seats, as many wishes as fit.

First of all as few batches as possible leave the shift that a relaxed rule wants for them, then the rooms have as few
seats as possible (so the use of seats is highest), then as many members as possible meet in the shift that they prefer.
"""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.instance import Codes, Grouping, Infeasible, Instance, Placement
from studentsuccess.batching.place_case import Case, case_of
from studentsuccess.batching.place_model import Layout, layout_of
from studentsuccess.batching.place_rooms import best_utilisation, rooms_of
from studentsuccess.batching.teaching import Teaching, hours_short


def place(instance: Instance, grouping: Grouping) -> Placement:
    """Rooms and shifts for a grouping; `Infeasible`, with reasons and ways out that work, where there are none."""
    case = case_of(instance, grouping.batch, grouping.count)
    shift = shifts_of(case)
    if shift is None:
        from studentsuccess.batching.obstacles import why_not

        raise Infeasible(why_not(instance, grouping, case))
    return Placement(rooms_of(case, shift), shift, best_utilisation(case))


def shifts_of(case: Case, thorough: bool = True) -> Codes | None:
    """The shift of every batch, or None.

    Teachers are left out at first: mostly there are enough, and what is best without them is then best. Beyond a tiny
    case a pooled course is then taken to be taught in every shift. Only where that fails it is chosen where it is; that
    may take half a minute, and is left out where not `thorough` and in a large case: what is found is right then too,
    but less is found.
    """
    if any(case.lost) and case.strict:
        return None
    free = _solved(case, layout_of(case, None))
    if free is None or case.teaching is None or suffices(case.teaching, free):
        return free
    sure = None if case.is_tiny else _solved(case, layout_of(case, case.teaching, pooled_everywhere=True))
    if sure is not None or not (thorough or case.is_tiny):
        return sure
    exact = layout_of(case, case.teaching)
    return _solved(case, exact) if exact.program.is_small else None


def suffices(teaching: Teaching, shift: Codes) -> bool:
    """Whether the hours are there when batches meet in these shifts."""
    return not hours_short(teaching, shift).any()


def is_possible(case: Case) -> bool:
    """Whether there is a way that is soon found."""
    return shifts_of(case, thorough=False) is not None


def _solved(case: Case, here: Layout) -> Codes | None:
    costs = [here.seats(), here.disliked(case)]
    if not case.strict:
        costs.insert(0, here.leaving(case))
    found = here.program.solve(costs)
    return None if found is None else np.asarray(here.shifts_of(found))
