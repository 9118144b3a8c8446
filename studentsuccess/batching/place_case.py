"""What is to be placed, as arrays: batches and their needs on one side, rooms, shifts and teachers on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.instance import (
    Codes,
    Field,
    Flags,
    Instance,
    Ints,
    Lists,
    Numbers,
    Rule,
    Texts,
)
from studentsuccess.batching.rules import MARGIN, ROOM_MARGIN, SIZE
from studentsuccess.batching.teaching import Teaching, teaching_of

WISH = "preferred_shift"
# A batch that no room of whatever size may take.
_BEYOND = 2**31
_TOLERANCE = 1e-9
_TINY = 300


@dataclass(frozen=True)
class Case:
    """Everything that decides where batches can meet. Rooms and teachers can be added to it to see what would help."""

    sizes: Ints  # members of each batch
    home: Flags  # batches x shifts: where a hard rule lets it meet; all of them for who is not tied
    strict: bool  # False: a batch may leave its home, but as few as possible do
    wish: Ints  # batches x shifts: how many of its members would like it
    fill: float  # the share of a room's seats that may be taken
    capacity: Ints  # of rooms
    open: Flags  # rooms x shifts
    shifts: tuple[str, ...]  # names
    lost: tuple[str, ...]  # for each batch the shift it is tied to when nobody defined that, else ""
    teaching: Teaching | None = None

    @property
    def batches(self) -> int:
        return len(self.sizes)

    @property
    def needs(self) -> Ints:
        """The seats of the smallest room that each batch may have."""
        if self.fill <= 0:
            return np.full(self.batches, _BEYOND, np.int64)
        return np.asarray(np.ceil((self.sizes - _TOLERANCE) / self.fill), np.int64)

    @property
    def is_tiny(self) -> bool:
        """Whether every pooled course can be weighed shift by shift, also where many changes are tried."""
        pooled = len(self.teaching.key_hours) if self.teaching else 0
        return (self.batches + pooled) * len(self.shifts) <= _TINY

    @property
    def allowed(self) -> Flags:
        return self.home if self.strict else np.ones_like(self.home)

    @property
    def tied(self) -> Flags:
        """Batches that a rule keeps from some shift."""
        return np.asarray(~self.home.all(axis=1))


def tying(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The hard rules that make a batch meet in the shift its members prefer."""
    return tuple(rule for rule in rules if rule.hard and rule.field == WISH and rule.kind in {"no_mix", "homogeneous"})


def limits(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The hard rules that keep seats free; the usual margin where no rule, hard or soft, speaks of sizes."""
    found = [rule for rule in rules if (rule.entity, rule.field, rule.kind) == ("batch", SIZE, "capacity_limit")]
    return tuple(rule for rule in found if rule.hard) if found else (ROOM_MARGIN,)


def placing_rules(instance: Instance) -> tuple[Rule, ...]:
    """The hard rules that have a say in where and when batches meet."""
    return tying(instance.rules) + limits(instance.rules)


def fill_of(rules: tuple[Rule, ...]) -> float:
    """The share of a room's seats that the strictest of the rules lets a batch take."""
    found = [rule for rule in rules if rule.field == SIZE]
    return min((MARGIN if rule.threshold is None else rule.threshold for rule in found), default=1.0)


def case_of(
    instance: Instance,
    batch: Codes,
    count: int,
    rules: tuple[Rule, ...] | None = None,
    teaching: Teaching | None = None,
) -> Case:
    """The case of batches (`batch` is that of every student) under the instance's rules, or under fewer of them."""
    held = placing_rules(instance) if rules is None else rules
    wish, lost = _wishes(instance, batch, count)
    tied = bool(tying(held))
    home = _homes(wish, lost, tying(held)) if tied else np.ones(wish.shape, np.bool_)
    return Case(
        sizes=np.bincount(batch, minlength=count).astype(np.int64),
        home=home,
        strict=WISH not in instance.relax,
        wish=wish,
        fill=fill_of(held),
        capacity=instance.rooms.capacity,
        open=instance.rooms.open,
        shifts=tuple(name or of for name, of in zip(instance.shifts.names, instance.shifts.ids, strict=True)),
        lost=tuple(lost) if tied else ("",) * count,
        teaching=teaching or teaching_of(instance, batch, count),
    )


def _wishes(instance: Instance, batch: Codes, count: int) -> tuple[Ints, list[str]]:
    """Members of every batch by the shift they prefer; and, where most prefer one that nobody defined, that one."""
    known = len(instance.shifts.ids)
    found = instance.students.fields.get(WISH)
    if found is None:
        return np.zeros((count, known), np.int64), [""] * count
    row, code, labels = _pairs(found)
    place = _places(instance, labels)
    counts = np.zeros((count, len(labels)), np.int64)
    np.add.at(counts, (batch[row], code), 1)
    wish = np.zeros((count, known), np.int64)
    defined = place >= 0
    np.add.at(wish.T, place[defined], counts[:, defined].T)
    lost = [""] * count
    strange = np.flatnonzero(~defined)
    if len(strange):
        most = counts[:, strange].argmax(axis=1)
        beyond = counts[:, strange].max(axis=1) > wish.max(axis=1, initial=0)
        for one in np.flatnonzero(beyond):
            lost[one] = labels[strange[most[one]]]
    return wish, lost


def _homes(wish: Ints, lost: list[str], rules: tuple[Rule, ...]) -> Flags:
    """The shifts that most of a batch's members prefer: several where they name several, or where as many want each.

    A batch without a wish may meet whenever it likes; one tied to a shift that nobody defined, never.
    """
    most = wish.max(axis=1, initial=0)
    home = (wish == most[:, None]) if rules else np.ones_like(wish, np.bool_)
    home[most == 0] = True
    home[np.array([bool(name) for name in lost], np.bool_)] = False
    return home


def _pairs(found: Field) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Rows and codes of a field, whatever its shape."""
    if isinstance(found, Lists):
        row = np.repeat(np.arange(len(found.start) - 1), np.diff(found.start))
        return row, found.items.astype(np.int64), found.labels
    if isinstance(found, Numbers):
        row = np.flatnonzero(~np.isnan(found.values))
        values, code = np.unique(found.values[row], return_inverse=True)
        return row, code.astype(np.int64), tuple(f"{value:g}" for value in values)
    assert isinstance(found, Texts)
    row = np.flatnonzero(found.codes >= 0)
    return row, found.codes[row].astype(np.int64), found.labels


def _places(instance: Instance, labels: tuple[str, ...]) -> Ints:
    """The shift that each label means, by id or else by name; -1 where nobody defined it."""
    by_name = {name.casefold(): place for place, name in reversed(list(enumerate(instance.shifts.names)))}
    by_id = {of: place for place, of in enumerate(instance.shifts.ids)}
    return np.array([by_id.get(label, by_name.get(label.casefold(), -1)) for label in labels], np.int64)
