"""Hard rules inside a batch: a change that breaks one is refused, a start that breaks one is repaired.

Each rule gives a student some marks, and looks at nothing of a batch but its size and the sum of its members' marks: so
many changes are looked at at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from studentsuccess.batching.cells import is_partition
from studentsuccess.batching.instance import Flags, Floats, Instance, Ints, Numbers, Rule
from studentsuccess.batching.vectors import dense, field_of, marks

# Beyond it a double's noise can't be what breaks a rule.
SLACK = 1e-9


@dataclass(frozen=True)
class Share:
    """The value that most members of a batch share is shared by at least, or by at most, a part of them."""

    marks: Floats  # students x values: 1 where it is theirs
    least: float
    most: float
    words: str

    @property
    def impossible(self) -> bool:
        """Whether more of all students share a value than of any batch may."""
        return float(self.marks.mean(axis=0).max(initial=0.0)) > self.most + SLACK

    def excess(self, sums: Floats, size: Ints) -> Floats:
        share = sums.max(axis=1, initial=0.0) / np.maximum(size, 1)
        return np.asarray(np.maximum(np.maximum(self.least - share, share - self.most) - SLACK, 0.0))


@dataclass(frozen=True)
class Spread:
    """The variance in a batch is at most so much; who has no number is left out."""

    marks: Floats  # students x 3: whether the number is known, the number less the cell's mean, and its square
    most: float
    words: str

    def excess(self, sums: Floats, size: Ints) -> Floats:  # noqa: ARG002 - who is known is counted in the sums
        known = np.maximum(sums[:, 0], 1)
        over = sums[:, 2] / known - (sums[:, 1] / known) ** 2 - self.most - SLACK * max(self.most, 1.0)
        return np.maximum(over, 0.0) / max(self.most, SLACK)


@dataclass(frozen=True)
class Apart:
    """Who must not be with whom: of those who must not be with somebody, by their place among these."""

    place: Ints  # of each student, -1 for nearly all
    pairs: Floats  # 1 where two must not meet

    def change(self, labels: Ints, batches: int, one: Ints, other: Ints, here: Ints, there: Ints) -> Floats:
        """What changes add to the number of pairs that meet."""
        mine = np.flatnonzero(self.place >= 0)
        met = np.zeros((len(mine) + 1, batches))  # the last row is for everyone else
        np.add.at(met[:-1].T, labels[mine], self.pairs)
        first, second = self.place[one], np.where(other >= 0, self.place[other], -1)
        both = np.where((first >= 0) & (second >= 0), self.pairs[first, second], 0.0)
        return np.asarray(met[first, there] - met[first, here] + met[second, here] - met[second, there] - 2 * both)

    def excess(self, labels: Ints, batches: int) -> Floats:
        mine = np.flatnonzero(self.place >= 0)
        meet = self.pairs * (labels[mine][:, None] == labels[mine][None, :])
        return np.bincount(labels[mine], meet.sum(axis=1), batches) / 2


@dataclass(frozen=True)
class Limits:
    """All hard rules and pins that single students of a part can break."""

    rules: tuple[Share | Spread, ...] = ()
    apart: Apart | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(one.words for one in self.rules) + (("pinned apart",) if self.apart else ())

    @property
    def impossible(self) -> tuple[str, ...]:
        """The rules that no split of these students keeps, as counting shows."""
        return tuple(one.words for one in self.rules if isinstance(one, Share) and one.impossible)

    def excess(self, labels: Ints, batches: int) -> Floats:
        """How far each batch is from keeping them; 0 where it does."""
        size = np.bincount(labels, minlength=batches)
        found = np.zeros(batches)
        for rule in self.rules:
            found += rule.excess(_sums(rule.marks, labels, batches), size)
        return found + (self.apart.excess(labels, batches) if self.apart else 0.0)

    def change(self, labels: Ints, batches: int, one: Ints, other: Ints, here: Ints, there: Ints) -> Floats:
        """What each exchange (`other` is -1 where one moves) adds to the excess of its two batches."""
        size, back = np.bincount(labels, minlength=batches), other >= 0
        found = np.zeros(len(one))
        for rule in self.rules:
            sums = _sums(rule.marks, labels, batches)
            before = rule.excess(sums, size)
            shift = np.where(back[:, None], rule.marks[other], 0.0) - rule.marks[one]
            found += rule.excess(sums[here] + shift, size[here] - ~back) - before[here]
            found += rule.excess(sums[there] - shift, size[there] + ~back) - before[there]
        return found + (self.apart.change(labels, batches, one, other, here, there) if self.apart else 0.0)

    def within(self, rows: Ints) -> Limits:
        """The same for some of the students."""
        apart = None
        if self.apart is not None:
            left = self.apart.place[rows]
            kept = left[left >= 0]
            place = np.full(len(rows), -1, np.int64)
            place[left >= 0] = np.arange(len(kept))
            apart = Apart(place, self.apart.pairs[np.ix_(kept, kept)]) if len(kept) else None
        return Limits(tuple(replace(rule, marks=rule.marks[rows]) for rule in self.rules), apart)


def _sums(of: Floats, labels: Ints, batches: int) -> Floats:
    return np.stack([np.bincount(labels, column, batches) for column in of.T], axis=1)


@dataclass(frozen=True)
class HardRules:
    """The rules that need to be looked at inside batches, prepared once for all cells."""

    shares: tuple[tuple[Rule, Any], ...]  # with the marks of all students
    spreads: tuple[tuple[Rule, Floats], ...]
    apart: tuple[tuple[int, int], ...]

    def within(self, rows: Ints) -> Limits | None:
        """Those of one cell; None where every split of it keeps all rules."""
        shares = tuple(_share(rule, dense(table, rows)) for rule, table in self.shares)
        spreads = tuple(_spread(rule, values[rows]) for rule, values in self.spreads)
        apart = _apart(self.apart, rows)
        return Limits(shares + spreads, apart) if shares or spreads or apart else None


def hard_rules(instance: Instance) -> HardRules:
    """All hard rules that cells do not keep already; sizes against rooms are looked at where rooms are chosen."""
    found = [(rule, values) for rule in instance.hard if (values := field_of(instance, rule.field)) is not None]
    inside = [(rule, values) for rule, values in found if not is_partition(rule.kind, rule.threshold)]
    shares = tuple((rule, marks(values)) for rule, values in inside if rule.kind in ("homogeneous", "capacity_limit"))
    spreads = tuple(
        (rule, values.values) for rule, values in inside if rule.kind == "max_variance" and isinstance(values, Numbers)
    )
    return HardRules(shares, spreads, instance.pins.apart)


def _share(rule: Rule, table: Floats) -> Share:
    limit = 1.0 if rule.threshold is None else rule.threshold
    least, most = (limit, np.inf) if rule.kind == "homogeneous" else (-np.inf, limit)
    return Share(table, least, most, rule.words)


def _spread(rule: Rule, values: Floats) -> Spread:
    known: Flags = np.isfinite(values)
    centred = np.where(known, values - values[known].mean(), 0.0) if known.any() else np.zeros(len(values))
    limit = 1.0 if rule.threshold is None else rule.threshold
    most = limit * float(values[known].var()) if known.any() else 0.0
    return Spread(np.stack([known, centred, centred**2], axis=1).astype(np.float64), most, rule.words)


def _apart(pairs: tuple[tuple[int, int], ...], rows: Ints) -> Apart | None:
    """Of the students of `rows`."""
    if not pairs:
        return None
    both = np.array(pairs, np.int64)
    inside = both[np.isin(both, rows).all(axis=1)]
    if not len(inside):
        return None
    who, at = np.unique(inside, return_inverse=True)
    at = at.reshape(inside.shape)
    place = np.full(len(rows), -1, np.int64)
    place[np.searchsorted(rows, who)] = np.arange(len(who))
    table = np.zeros((len(who), len(who)))
    table[at[:, 0], at[:, 1]] = table[at[:, 1], at[:, 0]] = 1.0
    return Apart(place, table)
