"""Cases of placing, small enough to try every way; and that trial, which knows nothing of programs and networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from studentsuccess.batching.place_case import Case
from studentsuccess.batching.teaching import Teaching


def a_case(
    sizes: Sequence[int],
    rooms: Sequence[int],
    *,
    home: Sequence[Sequence[int]] | None = None,
    wish: Sequence[Sequence[int]] | None = None,
    opened: Sequence[Sequence[int]] | None = None,
    shifts: Sequence[str] = ("evening", "morning"),
    fill: float = 1.0,
    strict: bool = True,
    teaching: Teaching | None = None,
) -> Case:
    """Batches of these sizes that may meet anywhere and don't mind; rooms that are always open."""
    shape = (len(sizes), len(shifts))
    return Case(
        np.array(sizes, np.int64),
        np.ones(shape, np.bool_) if home is None else np.array(home, np.bool_).reshape(shape),
        strict,
        np.zeros(shape, np.int64) if wish is None else np.array(wish, np.int64).reshape(shape),
        fill,
        np.array(rooms, np.int64),
        np.ones((len(rooms), len(shifts)), np.bool_)
        if opened is None
        else np.array(opened, np.bool_).reshape(len(rooms), len(shifts)),
        tuple(shifts),
        ("",) * len(sizes),
        teaching,
    )


def a_teaching(
    load: Sequence[Sequence[float]],
    staff: Sequence[tuple[int, Sequence[int], float]],
    pools: Sequence[tuple[int, int]] = (),
    keys: Sequence[tuple[int, float]] = (),
) -> Teaching:
    """Hours of sections by batch and department; teachers as (department, shifts, hours); pooled courses as
    (batch, key), keys as (department, hours)."""
    departments = len(load[0])
    return Teaching(
        tuple(f"D{at}" for at in range(departments)),
        np.array(load, float),
        np.array([batch for batch, _ in pools], np.int64),
        np.array([key for _, key in pools], np.int64),
        np.array([department for department, _ in keys], np.int64),
        np.array([hours for _, hours in keys], float),
        np.array([department for department, _, _ in staff], np.int64),
        np.array([shifts for _, shifts, _ in staff], np.bool_),
        np.array([hours for _, _, hours in staff], float),
    )


@dataclass(frozen=True)
class Best:
    """The best of all ways."""

    away: int  # batches outside the shift that a rule wants
    seats: int
    liked: int  # members who meet when they prefer


def best_of_all(case: Case) -> Best | None:
    """By trying every way; None where there is none."""
    found = [(away, seats, -liked) for away, seats, liked in _ways(case)]
    return Best(min(found)[0], min(found)[1], -min(found)[2]) if found else None


def _ways(case: Case) -> Iterator[tuple[int, int, int]]:
    batches = range(len(case.sizes))
    for when in product(range(len(case.shifts)), repeat=len(case.sizes)):
        away = sum(not case.home[one, when[one]] for one in batches)
        if (away and case.strict) or not enough_hours(case.teaching, when):
            continue
        seats = [_fewest_seats(case, [one for one in batches if when[one] == shift], shift) for shift in set(when)]
        if None not in seats:
            yield away, sum(seat for seat in seats if seat), sum(int(case.wish[one, when[one]]) for one in batches)


def _fewest_seats(case: Case, mine: list[int], shift: int, taken: frozenset[int] = frozenset()) -> int | None:
    if not mine:
        return 0
    found = []
    for room, seats in enumerate(case.capacity.tolist()):
        if room in taken or not case.open[room, shift] or case.sizes[mine[0]] > case.fill * seats + 1e-9:
            continue
        rest = _fewest_seats(case, mine[1:], shift, taken | {room})
        if rest is not None:
            found.append(seats + rest)
    return min(found, default=None)


def enough_hours(teaching: Teaching | None, when: Sequence[int]) -> bool:
    """For every department and set of shifts: what is asked in them is at most what those have who work in any."""
    if teaching is None:
        return True
    shifts = range(teaching.staff_shifts.shape[1])
    for department in range(len(teaching.departments)):
        for many in range(1, len(shifts) + 1):
            for some in combinations(shifts, many):
                if _asked(teaching, when, department, some) > _offered(teaching, department, some) + 1e-6:
                    return False
    return True


def _asked(teaching: Teaching, when: Sequence[int], department: int, some: Sequence[int]) -> float:
    hours = sum(teaching.load[one, department] for one, shift in enumerate(when) if shift in some)
    pairs = zip(teaching.pool_batch, teaching.pool_key, strict=True)
    taught = {(key, when[one]) for one, key in pairs if when[one] in some}
    return float(
        hours + sum(teaching.key_hours[key] for key, _ in taught if teaching.key_department[key] == department)
    )


def _offered(teaching: Teaching, department: int, some: Sequence[int]) -> float:
    staff = zip(teaching.staff_department, teaching.staff_shifts, teaching.staff_hours, strict=True)
    return float(sum(hours for of, works, hours in staff if of == department and any(works[list(some)])))


@st.composite
def teachings(draw: st.DrawFn, batches: int, shifts: int) -> Teaching:
    departments = draw(st.integers(1, 2))
    hours = st.sampled_from([0.0, 2.0, 3.0, 4.5])
    load = [[draw(hours) for _ in range(departments)] for _ in range(batches)]
    keys = draw(st.lists(st.tuples(st.integers(0, departments - 1), hours), max_size=2))
    every = [(batch, key) for batch in range(batches) for key in range(len(keys))]
    pools = draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    works = st.lists(st.booleans(), min_size=shifts, max_size=shifts)
    staff = st.tuples(st.integers(0, departments - 1), works, st.sampled_from([2.0, 4.0, 6.5, 9.0]))
    return a_teaching(load, draw(st.lists(staff, min_size=1, max_size=4)), pools, keys)


@st.composite
def cases(draw: st.DrawFn, teachers: bool = False, strict: bool | None = True, batches: int = 4) -> Case:
    """A few batches and rooms, some closed at times, some batches tied to shifts."""
    many, shifts, rooms = draw(st.integers(1, batches)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(1, 6), min_size=many, max_size=many))
    flags = st.lists(st.booleans(), min_size=shifts, max_size=shifts)
    ties = flags.map(lambda row: row if any(row) else [True] * shifts)
    wishes = [draw(st.lists(st.integers(0, size), min_size=shifts, max_size=shifts)) for size in sizes]
    return a_case(
        sizes,
        draw(st.lists(st.integers(1, 9), min_size=rooms, max_size=rooms)),
        home=[draw(ties) for _ in sizes],
        wish=wishes,
        opened=draw(st.lists(flags, min_size=rooms, max_size=rooms)),
        shifts=[f"shift {at}" for at in range(shifts)],
        fill=draw(st.sampled_from([1.0, 0.9, 0.7])),
        strict=draw(st.booleans()) if strict is None else strict,
        teaching=draw(teachings(many, shifts)) if teachers else None,
    )
