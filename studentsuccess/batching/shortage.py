"""What a shortage is, and the sentences that tell it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from studentsuccess.batching.instance import Flags
from studentsuccess.batching.place_changes import Change, Extra, add_hours

ROOMS, FACULTY, CONFLICT = "INSUFFICIENT_ROOMS", "INSUFFICIENT_FACULTY", "SCHEDULING_CONFLICT"
ALL = "all shifts"


@dataclass(frozen=True)
class Shortage:
    """Something that there is not enough of, and the plainest way to have enough."""

    code: str
    scope: str
    required: float
    available: float
    shortfall: float
    words: str
    remedy: Change
    seats: int = 0  # where seats are short: how many a room must have
    ties: bool = True  # whether a rule that ties batches to shifts has a part in it


def adding(extras: tuple[Extra, ...], scope: str) -> str:
    """`add 3 rooms with 49 seats or more`, and what of them must be larger."""
    total = sum(one.count for one in extras)
    said = f"add {total} room{'s' * (total != 1)} with {extras[-1].seats} seats or more"
    for one in extras[:-1]:
        said += f", {one.count} of them with {one.seats}"
    return said + (", open in every shift" if scope == ALL else f", open in {scope}")


def hours_shortage(name: str, department: int, scope: str, asked: float, offered: float, shifts: Flags) -> Shortage:
    """A department's hours in a shift, or in all."""
    short = ceil((asked - offered) * 1000 - 0.01) / 1000  # what is said is enough
    asked, offered = round(offered + short, 3), round(offered, 3)
    where = "" if scope == ALL else f" in {scope}"
    words = f"department {name} is asked for {asked:g} hours{where}, its teachers have {offered:g} ({short:g} short)"
    remedy = Change(more_hours(short, name, scope), add_hours(department, shifts, short))
    place = name if scope == ALL else f"{name}, {scope}"
    return Shortage(FACULTY, place, asked, offered, short, words, remedy, ties=scope != ALL)


def more_hours(hours: float, department: str, scope: str) -> str:
    return f"{hours:g} more hours in department {department}" + ("" if scope == ALL else f" in {scope}")


def batches(many: int) -> str:
    return f"{many} batch{'es' * (many != 1)}"
