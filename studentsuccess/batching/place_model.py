"""The shifts of batches as a mixed integer program: how many of each kind meet when, and how many rooms that takes.

A room of more seats can hold every batch that a smaller one can. So a shift is possible exactly when, for every number
of seats, the rooms with as many are no fewer than the batches that need them (Hall's condition). Written as a chain:
rooms that larger batches leave free go down to the next smaller need. Without teachers this is a network, whose corners
are whole numbers; teachers' hours are rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from studentsuccess.batching.instance import Codes, Flags, Floats, Ints
from studentsuccess.batching.place_case import Case
from studentsuccess.batching.teaching import Teaching

# Whole numbers up to which a program is solved to the end, and up to which it is branched on as it is.
TINY, SMALL = 400, 3_000
# Branching ends after so many nodes (a count, not a clock: the same everywhere) or this near the optimum; beyond TINY
# it ends sooner, since what is gained after that is no longer worth the wait.
NODES, FEW_NODES = 2_000, 10
GAP, WIDE_GAP = 1e-6, 1e-3
# Further from a whole number than this is a fraction.
_BROKEN = 1e-6
# Below a whole unit for the seats of every school there is.
_KEEP = 1e-8
_INFINITE = np.inf


@dataclass
class Rows:
    """Rows of a sparse program, as they are written."""

    row: list[Ints] = field(default_factory=list)
    column: list[Ints] = field(default_factory=list)
    value: list[Floats] = field(default_factory=list)
    low: list[Floats] = field(default_factory=list)
    high: list[Floats] = field(default_factory=list)
    count: int = 0

    def block(self, low: Floats, high: Floats) -> Ints:
        """New rows with these limits; their numbers."""
        first = self.count
        self.count += len(low)
        self.low.append(np.asarray(low, float))
        self.high.append(np.asarray(high, float))
        return np.arange(first, self.count)

    def put(self, row: Ints, column: Ints, value: Floats | float) -> None:
        self.row.append(np.asarray(row).ravel())
        self.column.append(np.asarray(column).ravel())
        self.value.append(np.broadcast_to(np.asarray(value, float), np.shape(row)).ravel())


@dataclass
class Program:
    """Columns and rows; what is to be least is said when it is solved."""

    rows: Rows = field(default_factory=Rows)
    upper: list[Floats] = field(default_factory=list)
    whole: list[Ints] = field(default_factory=list)
    width: int = 0
    batch_rows: int = 0  # the first rows say that every batch meets

    @property
    def is_tiny(self) -> bool:
        """Whether it is solved to the end."""
        return self._wholes <= TINY

    @property
    def is_small(self) -> bool:
        """Whether it is branched on as it is."""
        return self._wholes <= SMALL

    @property
    def _wholes(self) -> int:
        return sum(int(some.sum()) for some in self.whole)

    def columns(self, upper: Floats, whole: bool) -> Ints:
        """New columns from 0 to `upper`; their numbers."""
        first = self.width
        self.width += len(upper)
        self.upper.append(np.asarray(upper, float))
        self.whole.append(np.full(len(upper), int(whole)))
        return np.arange(first, self.width)

    def cost(self, columns: Ints, value: Floats | float) -> Floats:
        """A cost for every column: these ones have one."""
        made = np.zeros(self.width)
        np.add.at(made, np.ravel(columns), np.broadcast_to(value, np.shape(columns)).ravel())
        return made

    def solve(self, costs: Sequence[Floats]) -> Floats | None:
        """Least in the first cost, then in the next where the first stays; None where nothing is possible, or found."""
        found: Floats | None = None
        for cost in costs:
            better = self._least(cost)
            if better is None:
                return found
            found = better
            self._keep(cost, float(cost @ found))
        return found

    def _keep(self, cost: Floats, reached: float) -> None:
        """No more of this cost from here on, but for rounding errors."""
        used = np.flatnonzero(cost)
        row = self.rows.block(np.array([-_INFINITE]), np.array([reached + _KEEP * max(1.0, abs(reached))]))
        self.rows.put(np.full(len(used), row[0]), used, cost[used])

    def _least(self, cost: Floats) -> Floats | None:
        """Without whole numbers first: mostly they come of themselves. A small program is then branched on; in a large
        one the few that came out broken are, with all others held where they are."""
        upper = np.concatenate(self.upper) if self.width else np.zeros(0)
        whole = np.concatenate(self.whole) if self.width else np.zeros(0, np.int64)
        relaxed = self._run(cost, np.zeros_like(whole), np.zeros(self.width), upper)
        if relaxed is None:
            return None
        near = np.rint(relaxed)
        broken = (whole > 0) & (np.abs(relaxed - near) > _BROKEN)
        if not broken.any():
            return np.where(whole > 0, near, relaxed)
        if self.is_small:
            return self._run(cost, whole, np.zeros(self.width), upper)
        held = self._apart(broken)
        return self._run(cost, whole, np.where(held, near, 0.0), np.where(held, near, upper))

    def _apart(self, broken: Flags) -> Flags:
        """The columns of whole batches whose row has nothing broken in it."""
        rows = np.concatenate(self.rows.row)
        columns = np.concatenate(self.rows.column)
        mine = rows < self.batch_rows
        loose = np.unique(rows[mine & broken[columns]])
        held = np.zeros(self.width, np.bool_)
        held[columns[mine & ~np.isin(rows, loose)]] = True
        return held

    def _run(self, cost: Floats, whole: Ints, low: Floats, high: Floats) -> Floats | None:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        if not self.width:
            return np.zeros(0)
        rows = self.rows
        entries = (np.concatenate(rows.value), (np.concatenate(rows.row), np.concatenate(rows.column)))
        matrix = csr_array(entries, shape=(rows.count, self.width))
        held = LinearConstraint(matrix, np.concatenate(rows.low), np.concatenate(rows.high))
        nodes, gap = (NODES, GAP) if self.is_tiny else (FEW_NODES, WIDE_GAP)
        options = {"node_limit": nodes, "mip_rel_gap": gap}
        answer = milp(cost, integrality=whole, bounds=Bounds(low, high), constraints=held, options=options)
        return None if answer.x is None else np.asarray(answer.x)


@dataclass(frozen=True)
class Kinds:
    """Batches that are alike to the program."""

    of: Ints  # the kind of every batch
    first: Ints  # a batch of each kind
    count: Ints

    @classmethod
    def of_case(cls, case: Case, teaching: Teaching | None) -> Kinds:
        signs: list[npt.NDArray[Any]] = [case.needs[:, None], case.home, case.wish]
        if teaching is not None:
            signs += [teaching.load, _pools(teaching, case.batches)[:, None]]
        table = np.hstack([np.asarray(sign, float) for sign in signs])
        _, first, of, count = np.unique(table, axis=0, return_index=True, return_inverse=True, return_counts=True)
        return cls(of.reshape(-1).astype(np.int64), first.astype(np.int64), count.astype(np.int64))


def _pools(teaching: Teaching, batches: int) -> Ints:
    """A number for each batch's set of pooled courses."""
    order = np.lexsort((teaching.pool_key, teaching.pool_batch))
    parts = np.split(teaching.pool_key[order], np.searchsorted(teaching.pool_batch[order], np.arange(1, batches)))
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(part.tobytes(), len(seen)) for part in parts[:batches]], np.int64)


@dataclass(frozen=True)
class Layout:
    """Where in the program's columns what stands."""

    program: Program
    kinds: Kinds
    kind: Ints  # of every column that says how many of a kind meet in a shift
    shift: Ints
    meet: Ints  # those columns
    levels: Ints  # numbers of seats that something needs or has, ascending
    rooms: Ints  # levels x shifts: columns of the rooms used
    rooms_short: Ints  # levels x shifts: columns of rooms that would have to be added; empty unless elastic
    hours_short: Ints  # departments x shifts: columns of hours likewise

    def shifts_of(self, found: Floats) -> Codes:
        """The shift of every batch. Those of one kind are taken in order."""
        many = np.rint(found[self.meet]).astype(np.int64)
        order = np.lexsort((self.shift, self.kind))
        when = np.repeat(self.shift[order], many[order])
        shift = np.zeros(len(self.kinds.of), np.int32)
        shift[np.argsort(self.kinds.of, kind="stable")] = when
        return shift

    def leaving(self, case: Case) -> Floats:
        """A cost of one for each batch that does not meet where a rule wants it."""
        away = ~case.home[self.kinds.first[self.kind], self.shift]
        return self.program.cost(self.meet, away.astype(float))

    def seats(self) -> Floats:
        """The seats of the rooms used."""
        return self.program.cost(self.rooms, np.broadcast_to(self.levels[:, None].astype(float), self.rooms.shape))

    def disliked(self, case: Case) -> Floats:
        """Less for every member who meets in the shift that they prefer."""
        return self.program.cost(self.meet, -case.wish[self.kinds.first[self.kind], self.shift].astype(float))


def layout_of(case: Case, teaching: Teaching | None, elastic: bool = False, pooled_everywhere: bool = False) -> Layout:
    """The program of a case, with the hours of `teaching` or of nobody; elastic: with rooms and hours that are missing.

    `pooled_everywhere` counts a pooled course's hours in every shift whoever takes it there: more than is needed, but
    there is then nothing to choose.
    """
    program = Program()
    kinds = Kinds.of_case(case, teaching)
    kind, shift = np.nonzero(case.allowed[kinds.first])
    meet = program.columns(kinds.count[kind].astype(float), whole=True)
    row = program.rows.block(kinds.count.astype(float), kinds.count.astype(float))
    program.rows.put(row[kind], meet, 1.0)
    program.batch_rows = len(row)
    levels = np.unique(np.concatenate([case.needs, case.capacity]))
    here = Layout(program, kinds, kind, shift, meet, levels, *_room_columns(case, program, levels, elastic), _none())
    _chain(case, here)
    if teaching is None:
        return here
    return replace(here, hours_short=_teachers(case, teaching, here, elastic, pooled_everywhere))


def _none() -> Ints:
    return np.zeros((0, 0), np.int64)


def _room_columns(case: Case, program: Program, levels: Ints, elastic: bool) -> tuple[Ints, Ints]:
    shifts = len(case.shifts)
    free = np.zeros((len(levels), shifts), np.int64)
    np.add.at(free, np.searchsorted(levels, case.capacity), case.open.astype(np.int64))
    rooms = program.columns(free.ravel().astype(float), whole=True).reshape(free.shape)
    if not elastic:
        return rooms, _none()
    return rooms, program.columns(np.full(free.size, float(case.batches)), whole=True).reshape(free.shape)


def _chain(case: Case, here: Layout) -> None:
    """Per shift and level: rooms left by larger needs, and those of this size, less who needs it, go down a level."""
    program, shape = here.program, here.rooms.shape
    left = program.columns(np.full(here.rooms.size, _INFINITE), whole=False).reshape(shape)
    row = program.rows.block(np.zeros(here.rooms.size), np.zeros(here.rooms.size)).reshape(shape)
    program.rows.put(row, left, -1.0)
    program.rows.put(row[:-1], left[1:], 1.0)
    program.rows.put(row, here.rooms, 1.0)
    if here.rooms_short.size:
        program.rows.put(row, here.rooms_short, 1.0)
    level = np.searchsorted(here.levels, case.needs[here.kinds.first])
    program.rows.put(row[level[here.kind], here.shift], here.meet, -1.0)


def _teachers(case: Case, teaching: Teaching, here: Layout, elastic: bool, pooled_everywhere: bool) -> Ints:
    """Per department and shift: hours of sections and pooled courses, less the hours that its teachers give then."""
    program, shifts = here.program, len(case.shifts)
    departments = len(teaching.departments)
    row = program.rows.block(np.full(departments * shifts, -_INFINITE), np.zeros(departments * shifts))
    row = row.reshape(departments, shifts)
    column, department = np.nonzero(teaching.load[here.kinds.first[here.kind]])
    hours = teaching.load[here.kinds.first[here.kind[column]], department]
    program.rows.put(row[department, here.shift[column]], here.meet[column], hours)
    _given(teaching, program, row)
    _pooled(case, teaching, here, row, pooled_everywhere)
    if not elastic:
        return _none()
    short = program.columns(np.full(row.size, _INFINITE), whole=False).reshape(row.shape)
    program.rows.put(row, short, -1.0)
    return short


def _given(teaching: Teaching, program: Program, row: Ints) -> None:
    """What each teacher gives in each of their shifts, all of it together at most their hours."""
    staff, shift = np.nonzero(teaching.staff_shifts)
    give = program.columns(np.full(len(staff), _INFINITE), whole=False)
    most = program.rows.block(np.full(len(teaching.staff_hours), -_INFINITE), teaching.staff_hours)
    program.rows.put(most[staff], give, 1.0)
    program.rows.put(row[teaching.staff_department[staff], shift], give, -1.0)


def _pooled(case: Case, teaching: Teaching, here: Layout, row: Ints, everywhere: bool) -> None:
    """A pooled course is taught in a shift, once, when anyone who takes it meets then."""
    shifts, keys = len(case.shifts), len(teaching.key_hours)
    if not keys:
        return
    taught = here.program.columns(np.ones(keys * shifts), whole=True).reshape(keys, shifts)
    where = row[teaching.key_department]
    here.program.rows.put(where, taught, np.broadcast_to(teaching.key_hours[:, None], taught.shape))
    kind_of = np.full(case.batches, -1)
    kind_of[here.kinds.first] = np.arange(len(here.kinds.first))
    mine = kind_of[teaching.pool_batch] >= 0
    kind, key = kind_of[teaching.pool_batch[mine]], teaching.pool_key[mine]
    meet = np.full((len(here.kinds.first), shifts), -1)
    meet[here.kind, here.shift] = here.meet
    pair, shift = np.nonzero(meet[kind] >= 0)
    if everywhere:
        possible = np.unique(taught[key[pair], shift])
        fixed = here.program.rows.block(np.ones(len(possible)), np.ones(len(possible)))
        here.program.rows.put(fixed, possible, 1.0)
        return
    link = here.program.rows.block(np.full(len(pair), -_INFINITE), np.zeros(len(pair)))
    here.program.rows.put(link, meet[kind[pair], shift], 1.0)
    here.program.rows.put(link, taught[key[pair], shift], -here.kinds.count[kind[pair]].astype(float))
