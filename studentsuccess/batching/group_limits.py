"""Hard rules inside a batch: a change that breaks one is refused, a start that breaks one is repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from studentsuccess.batching.cells import is_partition
from studentsuccess.batching.instance import Floats, Instance, Ints, Numbers, Rule
from studentsuccess.batching.vectors import dense, field_of, marks

# Beyond it a double's noise can't be what breaks a rule.
SLACK = 1e-9


@dataclass(frozen=True)
class Share:
    """The value that most members of a batch share is shared by at least, or by at most, a part of them."""

    marks: Floats  # students x values
    least: float
    most: float
    words: str

    def excess(self, members: Ints) -> float:
        share = float(self.marks[members].sum(axis=0).max(initial=0.0)) / len(members)
        return max(self.least - share - SLACK, share - self.most - SLACK, 0.0)


@dataclass(frozen=True)
class Spread:
    """The variance in a batch is at most so much; who has no number is left out."""

    values: Floats
    most: float
    words: str

    def excess(self, members: Ints) -> float:
        known = self.values[members]
        known = known[np.isfinite(known)]
        variance = float(known.var()) if len(known) else 0.0
        over = variance - self.most - SLACK * max(self.most, 1.0)
        return over / max(self.most, SLACK) if over > 0 else 0.0


@dataclass(frozen=True)
class Limits:
    """All hard rules and pins that single students of a part can break."""

    shares: tuple[Share, ...] = ()
    spreads: tuple[Spread, ...] = ()
    apart: Mapping[int, frozenset[int]] = field(default_factory=dict)

    @property
    def _rules(self) -> list[Share | Spread]:
        return [*self.shares, *self.spreads]

    @property
    def words(self) -> tuple[str, ...]:
        pins = ("pinned apart",) if self.apart else ()
        return tuple(one.words for one in self._rules) + pins

    def excess(self, members: Ints) -> float:
        """How far a batch is from keeping them; 0 when it does."""
        found = sum(one.excess(members) for one in self._rules) if len(members) else 0.0
        if self.apart:
            inside = set(members.tolist())
            found += sum(len(self.apart[one] & inside) for one in inside & self.apart.keys()) / 2
        return found

    def within(self, rows: Ints) -> Limits:
        """The same for some of the students."""
        return Limits(
            tuple(replace(one, marks=one.marks[rows]) for one in self.shares),
            tuple(replace(one, values=one.values[rows]) for one in self.spreads),
            _apart(tuple((one, other) for one, others in self.apart.items() for other in others), rows),
        )

    def allow(self, labels: Ints, one: int, other: int, here: int, there: int) -> bool:
        """Whether an exchange (with -1: a move) leaves both batches no further off than before."""
        return self.change(labels, one, other, here, there) <= 0

    def change(self, labels: Ints, one: int, other: int, here: int, there: int) -> float:
        """What an exchange adds to the excess of both batches."""
        first, second = np.flatnonzero(labels == here), np.flatnonzero(labels == there)
        before = self.excess(first) + self.excess(second)
        first, second = first[first != one], np.append(second, one)
        if other >= 0:
            first, second = np.append(first, other), second[second != other]
        return self.excess(first) + self.excess(second) - before


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
        return Limits(shares, spreads, apart) if shares or spreads or apart else None


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
    known = values[np.isfinite(values)]
    limit = 1.0 if rule.threshold is None else rule.threshold
    return Spread(values, limit * (float(known.var()) if len(known) else 0.0), rule.words)


def _apart(pairs: tuple[tuple[int, int], ...], rows: Ints) -> dict[int, frozenset[int]]:
    """By place in the part: those with whom a student must not be."""
    if not pairs:
        return {}
    place = {row: at for at, row in enumerate(rows.tolist())}
    found: dict[int, set[int]] = {}
    for first, second in pairs:
        if first in place and second in place:
            found.setdefault(place[first], set()).add(place[second])
            found.setdefault(place[second], set()).add(place[first])
    return {one: frozenset(others) for one, others in found.items()}
