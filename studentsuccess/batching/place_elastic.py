"""The least that is missing when no count says what: rooms and hours may be added, and as few as possible are.

Of the ways to add as little the one is taken that asks the least of any one shift. Beyond a tiny case a pooled course
is counted in every shift, so that what is asked for is enough, and may be more than the least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np

from studentsuccess.batching.instance import Floats, Ints
from studentsuccess.batching.place_case import Case
from studentsuccess.batching.place_changes import Change, Extra, add_hours, add_rooms
from studentsuccess.batching.place_model import Layout, layout_of
from studentsuccess.batching.placement import is_possible
from studentsuccess.batching.shortage import CONFLICT, FACULTY, ROOMS, Shortage, adding
from studentsuccess.batching.teaching import TINY

# A room is worth about as many hours as a section takes.
HOURS_A_ROOM = 3.0
# Of a thousandth of an hour, which is as exact as hours are told.
_NOISE = 0.01


def missing(case: Case) -> tuple[Shortage, ...]:
    """Rooms by shift, hours by department and shift. Nothing where more steps would have been needed to know."""
    here = layout_of(case, case.teaching, elastic=True, pooled_everywhere=not case.is_tiny)
    worst = _worst(here)
    found = here.program.solve([_total(here), worst])
    if found is None:
        return ()
    code = _code(case)
    return (*_rooms(case, here, found, code), *_hours(case, here, found, code))


def _code(case: Case) -> str:
    """Rooms where they don't do even without teachers, teachers where they don't in any rooms, else both together."""
    if case.teaching is None or not is_possible(replace(case, teaching=None)):
        return ROOMS
    plenty = np.full(case.batches, case.needs.max(initial=0))
    every = np.ones((len(plenty), len(case.shifts)), np.bool_)
    roomy = replace(case, capacity=np.append(case.capacity, plenty), open=np.vstack([case.open, every]))
    return CONFLICT if is_possible(roomy) else FACULTY


def _total(here: Layout) -> Floats:
    cost = here.program.cost(here.rooms_short, 1.0)
    if here.hours_short.size:
        cost += here.program.cost(here.hours_short, 1.0 / HOURS_A_ROOM)
    return cost


def _worst(here: Layout) -> Floats:
    """The most that any one shift or department is short of, as a column of its own."""
    program = here.program
    worst = program.columns(np.array([np.inf]), whole=False)[0]
    rooms = program.rows.block(np.full(here.rooms_short.shape[1], -np.inf), np.zeros(here.rooms_short.shape[1]))
    _below(here, rooms, worst)
    program.rows.put(np.broadcast_to(rooms, here.rooms_short.shape), here.rooms_short, 1.0)
    if here.hours_short.size:
        hours = program.rows.block(np.full(here.hours_short.size, -np.inf), np.zeros(here.hours_short.size))
        _below(here, hours, worst)
        program.rows.put(hours, here.hours_short.ravel(), 1.0 / HOURS_A_ROOM)
    return program.cost(np.array([worst]), 1.0)


def _below(here: Layout, rows: Ints, worst: int) -> None:
    here.program.rows.put(rows, np.full(len(rows), worst), -1.0)


def _rooms(case: Case, here: Layout, found: Floats, code: str) -> tuple[Shortage, ...]:
    short = np.rint(found[here.rooms_short]).astype(int)
    lacking = np.flatnonzero(short.sum(axis=0)).tolist()
    return tuple(_short_of_rooms(case, here, short[:, shift], shift, code) for shift in lacking)


def _short_of_rooms(case: Case, here: Layout, short: Ints, shift: int, code: str) -> Shortage:
    levels = np.flatnonzero(short)[::-1]
    extras = tuple(Extra(int(short[level]), int(here.levels[level])) for level in levels)
    name, total, seats = case.shifts[shift], int(short.sum()), extras[-1].seats
    available = int((case.capacity[case.open[:, shift]] >= seats).sum())
    words = f"however batches are spread, {name} has {available} rooms with {seats} seats or more ({total} short)"
    only = np.arange(len(case.shifts)) == shift
    remedy = Change(adding(extras, name), add_rooms(extras, only))
    return Shortage(code, name, available + total, available, total, _together(words, code), remedy, seats)


def _hours(case: Case, here: Layout, found: Floats, code: str) -> tuple[Shortage, ...]:
    if case.teaching is None:
        return ()
    short = found[here.hours_short]
    short = np.where(short > TINY, np.ceil(short * 1000 - _NOISE) / 1000, 0.0)  # what is said is enough
    return tuple(_short_of_hours(case, at, short[at], code) for at in np.flatnonzero(short.sum(axis=1)).tolist())


def _short_of_hours(case: Case, department: int, short: Floats, code: str) -> Shortage:
    """All that a department lacks, shift by shift."""
    teaching = case.teaching
    assert teaching is not None
    name, total = teaching.departments[department], float(short.sum())
    lacks = [f"{short[at]:g} in {case.shifts[at]}" for at in np.flatnonzero(short).tolist()]
    counted = "" if case.is_tiny else " (each pooled course counted in every shift)"
    words = f"however batches are spread, department {name} lacks {total:g} hours: {'; '.join(lacks)}{counted}"
    remedy = Change(f"more hours in department {name}: {'; '.join(lacks)}", _each_shift(department, short))
    offered = round(teaching.offered(department, np.ones(len(case.shifts), np.bool_)), 3)
    total = round(total, 3)
    return Shortage(code, name, round(offered + total, 3), offered, total, _together(words, code), remedy)


def _each_shift(department: int, short: Floats) -> Callable[[Case], Case]:
    """With so many hours more in each shift."""
    steps = [
        add_hours(department, np.arange(len(short)) == at, float(short[at])) for at in np.flatnonzero(short).tolist()
    ]
    return lambda case: reduce(lambda made, step: step(made), steps, case)


def _together(words: str, code: str) -> str:
    return (
        f"there are enough rooms and enough teachers, but not at the same time: {words}" if code == CONFLICT else words
    )
