"""Rooms for batches whose shift is known, and the best that a stock of rooms allows.

Batches from the smallest need up, each into the smallest free room that holds it. As what holds a larger batch holds a
smaller one, no other way leaves fewer seats empty, and whenever there is a way this is one.
"""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.instance import Codes, Ints
from studentsuccess.batching.place_case import Case


def best_fit(needs: Ints, capacity: Ints) -> Ints | None:
    """A room for every batch, or None where they don't all fit."""
    rooms = np.argsort(capacity, kind="stable")
    found = np.zeros(len(needs), np.int64)
    next_room = 0
    for one in np.argsort(needs, kind="stable").tolist():
        while next_room < len(rooms) and capacity[rooms[next_room]] < needs[one]:
            next_room += 1
        if next_room == len(rooms):
            return None
        found[one] = rooms[next_room]
        next_room += 1
    return found


def rooms_of(case: Case, shift: Codes) -> Codes:
    """The room of every batch."""
    room = np.zeros(case.batches, np.int32)
    for when in range(len(case.shifts)):
        mine = np.flatnonzero(shift == when)
        stock = np.flatnonzero(case.open[:, when])
        fit = best_fit(case.needs[mine], case.capacity[stock])
        assert fit is not None, "the shifts were chosen so that rooms suffice"
        room[mine] = stock[fit]
    return room


def utilisation(sizes: Ints, seats: Ints) -> float:
    """Members over the seats of their rooms, of all batches together; 1 where there is nothing to fill."""
    return float(sizes.sum() / seats.sum()) if seats.sum() else 1.0


def best_utilisation(case: Case) -> float:
    """What no choice of rooms and shifts can exceed: teachers, ties and wishes are left out."""
    slots = np.repeat(case.capacity, case.open.sum(axis=1))
    fit = best_fit(case.needs, slots)
    return utilisation(case.sizes, slots[fit]) if fit is not None else 0.0
