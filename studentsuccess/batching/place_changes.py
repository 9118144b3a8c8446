"""What could be otherwise: more rooms, more hours, a rule given up. Each change makes one case out of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from studentsuccess.batching.instance import Flags, Grouping, Instance, Ints, Sizes
from studentsuccess.batching.place_case import Case, case_of


@dataclass(frozen=True)
class Change:
    """Something a user could do, and what the case then is."""

    words: str
    apply: Callable[[Case], Case]
    flag: str = ""


@dataclass(frozen=True)
class Extra:
    """So many rooms with so many seats."""

    count: int
    seats: int


def missing_rooms(needs: Ints, capacity: Ints, slots: int = 1) -> tuple[Extra, ...]:
    """The fewest rooms to add for all needs, each of as few seats as does; a room counts in `slots` shifts."""
    found: list[Extra] = []
    added = 0
    for seats in np.unique(needs)[::-1].tolist():
        short = int((needs >= seats).sum() - (capacity >= seats).sum()) - added * slots
        if short > 0:
            rooms = -(-short // slots)
            found.append(Extra(rooms, seats))
            added += rooms
    return tuple(found)


def plain(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    """The same in words that can be remembered: of more than two sizes the largest for all."""
    return extras if len(extras) <= 2 else (Extra(sum(one.count for one in extras), extras[0].seats),)


def add_rooms(extras: tuple[Extra, ...], shifts: Flags) -> Callable[[Case], Case]:
    """With these rooms, open in these shifts."""
    seats = np.repeat([one.seats for one in extras], [one.count for one in extras])

    def apply(case: Case) -> Case:
        opened = np.tile(shifts, (len(seats), 1))
        return replace(case, capacity=np.append(case.capacity, seats), open=np.vstack([case.open, opened]))

    return apply


def add_hours(department: int, shifts: Flags, hours: float) -> Callable[[Case], Case]:
    """With so many hours more in a department, in these shifts."""

    def apply(case: Case) -> Case:
        assert case.teaching is not None
        return replace(case, teaching=case.teaching.more(department, shifts, hours))

    return apply


def let_go(case: Case) -> Case:
    """Batches may leave the shift that a rule wants for them, though no more than have to."""
    nowhere = np.asarray(~case.home.any(axis=1))
    return replace(case, strict=False, home=case.home | nowhere[:, None], lost=("",) * case.batches)


def fill_up(case: Case) -> Case:
    """Rooms may be filled to the last seat."""
    return replace(case, fill=1.0)


def define(name: str) -> Callable[[Case], Case]:
    """With a shift of that name, in which every room is open and every teacher works."""

    def apply(case: Case) -> Case:
        meant = np.array([lost == name for lost in case.lost], np.bool_)
        teaching = case.teaching
        if teaching is not None:
            always = np.ones((len(teaching.staff_hours), 1), np.bool_)
            teaching = replace(teaching, staff_shifts=np.hstack([teaching.staff_shifts, always]))
        free = ~case.tied & ~meant
        return replace(
            case,
            home=np.hstack([case.home, (meant | free)[:, None]]),
            wish=np.hstack([case.wish, np.where(meant, case.sizes, 0)[:, None]]),
            open=np.hstack([case.open, np.ones((len(case.capacity), 1), np.bool_)]),
            shifts=(*case.shifts, name),
            lost=tuple("" if lost == name else lost for lost in case.lost),
            teaching=teaching,
        )

    return apply


def split_anew(instance: Instance, grouping: Grouping, sizes: Sizes) -> Case | None:
    """The case of other sizes: every cell is cut into even pieces in the order of its batches, so that who is alike
    stays together; None where a cell can't be cut so."""
    cell = grouping.cell[grouping.batch]
    order = np.lexsort((grouping.batch, cell))
    members = np.bincount(cell, minlength=len(grouping.cell_keys))
    batch = np.zeros(len(order), np.int32)
    first = count = 0
    for many in members.tolist():
        pieces = _pieces(many, sizes) if many else 0
        if pieces is None:
            return None
        batch[order[first : first + many]] = count + np.arange(many) * pieces // max(many, 1)
        first, count = first + many, count + pieces
    found = np.empty(len(order), np.int32)
    found[order] = batch
    return case_of(instance, found, count)


def _pieces(members: int, sizes: Sizes) -> int | None:
    """Into how many batches so many go: the number whose size is nearest to the target."""
    possible = range(-(-members // sizes.most), members // sizes.least + 1)
    return min(possible, key=lambda pieces: abs(members / pieces - sizes.target), default=None)
