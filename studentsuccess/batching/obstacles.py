"""Why batches can't all meet: counted where counting shows it, else the least that is missing.

Every shortage comes with the change that takes it away. Shortages are looked for until, with all those changes, there
is a solution; so a fix for one of them is tried in a world where the others are mended (`fixes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from studentsuccess.batching.instance import Flags, Grouping, Instance, Ints, Obstacle
from studentsuccess.batching.place_case import Case
from studentsuccess.batching.place_changes import Change, Extra, add_hours, add_rooms, let_go, missing_rooms, plain
from studentsuccess.batching.place_elastic import missing
from studentsuccess.batching.placement import is_possible
from studentsuccess.batching.shortage import ALL, CONFLICT, ROOMS, Shortage, adding, batches, hours_shortage, more_hours
from studentsuccess.batching.teaching import TINY, Teaching

_ROUNDS = 50


def why_not(instance: Instance, grouping: Grouping, case: Case) -> tuple[Obstacle, ...]:
    """The reasons, each with fixes that were tried."""
    from studentsuccess.batching.fixes import conflict, with_fixes

    found, mended = shortages(case)
    entries = with_fixes(instance, grouping, case, found, mended)
    return (*entries, *conflict(instance, grouping, case)) or (_undecided(case),)


def _undecided(case: Case) -> Obstacle:
    words = (
        f"no way was found to place {batches(case.batches)}, nor a reason why there is none: the hours are too tight"
    )
    return Obstacle(CONFLICT, ALL, case.batches, 0, case.batches, words)


def shortages(case: Case) -> tuple[tuple[Shortage, ...], bool]:
    """Everything that is short, until with all of it mended there is a solution; and whether there is one then."""
    found: list[Shortage] = []
    for _ in range(_ROUNDS):
        new = counted(case)
        if not new and is_possible(case):
            return tuple(found), True
        new = new or missing(case)
        if not new:
            break
        for one in new:
            case = one.remedy.apply(case)
        found.extend(new)
    return tuple(found), False


def counted(case: Case) -> tuple[Shortage, ...]:
    """What is short by a count alone: the first of these kinds that finds anything."""
    kinds = (_undefined, _rooms_by_shift, _rooms_in_all, _hours_by_shift, _hours_in_all)
    return next((found for found in (tuple(kind(case)) for kind in kinds) if found), ())


def _undefined(case: Case) -> Iterator[Shortage]:
    if not case.strict:
        return
    for name in sorted({name for name in case.lost if name}):
        many = case.lost.count(name)
        words = f"{batches(many)} must meet in the shift `{name}`, which nobody defined"
        remedy = Change("let batches meet in another shift than they prefer", let_go, "--relax preferred_shift")
        yield Shortage(CONFLICT, name, many, 0, many, words, remedy)


def _rooms_by_shift(case: Case) -> Iterator[Shortage]:
    """Batches that can meet in one shift only, against the rooms open in it."""
    alone = case.allowed.sum(axis=1) == 1
    for shift, name in enumerate(case.shifts):
        needs = case.needs[alone & case.allowed[:, shift]]
        stock = case.capacity[case.open[:, shift]]
        extras = missing_rooms(needs, stock)
        if extras:
            only = np.arange(len(case.shifts)) == shift
            yield _room_shortage(case, name, extras, needs, stock, only)


def _rooms_in_all(case: Case) -> Iterator[Shortage]:
    slots = np.repeat(case.capacity, case.open.sum(axis=1))
    extras = missing_rooms(case.needs, slots, max(len(case.shifts), 1))
    if extras:
        yield _room_shortage(case, ALL, extras, case.needs, slots, np.ones(len(case.shifts), np.bool_))


def _room_shortage(
    case: Case, scope: str, extras: tuple[Extra, ...], needs: Ints, stock: Ints, shifts: Flags
) -> Shortage:
    """Told at the lowest number of seats that is short: there the most is missing."""
    seats = extras[-1].seats
    required, available = int((needs >= seats).sum()), int((stock >= seats).sum())
    kind = "batches" if scope == ALL else f"{scope} batches"
    below = case.capacity[case.capacity < seats]
    what = f"more than {below.max()} seats" if below.size else "a room"
    places = "rooms and shifts" if scope == ALL else "rooms"
    held = f"{available} {places} have them" if below.size else f"{available} {places} are open"
    words = f"{required} {kind} need {what}, {held} ({required - available} short)"
    added = plain(extras)
    remedy = Change(adding(added, scope), add_rooms(added, shifts))
    return Shortage(ROOMS, scope, required, available, required - available, words, remedy, seats, scope != ALL)


def _hours_by_shift(case: Case) -> Iterator[Shortage]:
    """Hours of batches that can meet in one shift only, against those who teach then."""
    teaching = case.teaching
    if teaching is None:
        return
    alone = case.allowed.sum(axis=1) == 1
    for shift, name in enumerate(case.shifts):
        only = np.arange(len(case.shifts)) == shift
        yield from _hours(teaching, alone & case.allowed[:, shift], only, name)


def _hours_in_all(case: Case) -> Iterator[Shortage]:
    """What is added is enough for every pooled course in every shift, but in a tiny case, where the least is known."""
    teaching = case.teaching
    if teaching is None:
        return
    every = np.ones(len(case.shifts), np.bool_)
    again = np.bincount(teaching.key_department, teaching.key_hours, len(teaching.departments))
    again *= 0 if case.is_tiny else len(case.shifts) - 1
    for short in _hours(teaching, np.ones(case.batches, np.bool_), every, ALL):
        department = teaching.departments.index(short.scope)
        hours = short.shortfall + float(again[department])
        remedy = Change(more_hours(hours, short.scope, ALL), add_hours(department, every, hours))
        yield replace(short, remedy=remedy)


def _hours(teaching: Teaching, batch: Flags, shifts: Flags, scope: str) -> Iterator[Shortage]:
    """Pooled courses count once: they may all be taught in one shift."""
    asked = teaching.load[batch].sum(axis=0)
    keys = np.unique(teaching.pool_key[batch[teaching.pool_batch]])
    np.add.at(asked, teaching.key_department[keys], teaching.key_hours[keys])
    for department, name in enumerate(teaching.departments):
        offered = teaching.offered(department, shifts)
        if asked[department] > offered + TINY:
            yield hours_shortage(name, department, scope, float(asked[department]), offered, shifts)
