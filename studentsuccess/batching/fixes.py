"""Ways out, each of them tried: the case is solved again with it, everything else that is short being mended.

Also which of the user's rules make it impossible: they are given up one by one while it stays so, and what is then
left is the smallest conflict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from studentsuccess.batching.instance import Fix, Grouping, Instance, Obstacle, Rule, Sizes
from studentsuccess.batching.place_case import WISH, Case, case_of, limits, placing_rules, tying
from studentsuccess.batching.place_changes import Change, define, fill_up, let_go, split_anew
from studentsuccess.batching.placement import is_possible, shifts_of
from studentsuccess.batching.shortage import ROOMS, Shortage, batches

RELAX = f"--relax {WISH}"
BESIDE = ", and mend what else is short"
# Smaller sizes that are tried, the largest first; and shortages of which more than the plain remedy is tried.
_TRIES, _CLOSELY = 8, 5


def with_fixes(
    instance: Instance, grouping: Grouping, case: Case, found: tuple[Shortage, ...], mended: bool
) -> Iterator[Obstacle]:
    """Every shortage as an obstacle: the rules that have a part in it, and what works.

    `mended` says that there is a solution with the plain remedies of all of them, which is one case for all. What does
    not work alone, but does when the others are mended, says so.
    """
    for at, short in enumerate(found):
        others = tuple(one.remedy for one in found[:at] + found[at + 1 :])
        plain = {"plain": Fix(short.remedy.words)} if mended and short.remedy.flag != RELAX else {}
        alone = {} if others else plain
        beside = plain if others else {}
        if at < _CLOSELY:
            alone |= _Ways(instance, grouping, case, short, ()).working()
            beside |= _Ways(instance, grouping, case, short, others).working() if others else {}
        more = (Fix(fix.words + BESIDE, fix.flag) for kind, fix in beside.items() if kind not in alone)
        yield Obstacle(
            short.code, short.scope, short.required, short.available, short.shortfall, short.words,
            tuple(rule.words for rule in _part(instance, case, short)), (*alone.values(), *more),
        )  # fmt: skip


def _part(instance: Instance, case: Case, short: Shortage) -> Iterator[Rule]:
    """Rules without which there would be less to ask for."""
    if short.ties and case.strict:
        yield from tying(instance.rules)
    if short.seats and case.fill < 1:
        yield from limits(instance.rules)


class _Ways:
    """What could be done about one shortage besides the plain remedy."""

    def __init__(
        self, instance: Instance, grouping: Grouping, case: Case, short: Shortage, others: tuple[Change, ...]
    ) -> None:
        self.instance, self.grouping, self.short, self.others = instance, grouping, short, others
        self.case = self._mended(case)

    def _mended(self, case: Case) -> Case:
        for one in self.others:
            case = one.apply(case)
        return case

    def working(self) -> dict[str, Fix]:
        """Those that work, by their kind, the plainest first."""
        name = self.short.scope
        full = Change("let rooms be filled to the last seat: capacity_limit(size, 1)", fill_up)
        tied = self.case.strict and bool(tying(self.instance.rules))
        found = {
            "define": self._plain(Change(f"define the shift `{name}`", define(name)))
            if name in self.case.lost
            else None,
            "move": self._moved() if tied else None,
            "smaller": self._smaller() if self.short.code == ROOMS else None,
        }
        found["larger"] = None if found["smaller"] else self._larger()
        found["full"] = self._plain(full) if self.short.seats and self.case.fill < 1 else None
        return {kind: fix for kind, fix in found.items() if fix is not None}

    def _plain(self, change: Change) -> Fix | None:
        return Fix(change.words, change.flag) if is_possible(change.apply(self.case)) else None

    def _moved(self) -> Fix | None:
        """Some batches meet when their members would rather not, as few as possible."""
        shift = shifts_of(let_go(self.case), thorough=False)
        if shift is None:
            return None
        gone = ~self.case.home[np.arange(self.case.batches), shift]
        if not gone.any():
            return None
        where = np.bincount(shift[gone], minlength=len(self.case.shifts))
        told = [self._free(place, int(many), gone) for place, many in enumerate(where) if many]
        return Fix(f"move {batches(int(gone.sum()))}{':' * (len(told) > 1)} " + ", ".join(told), RELAX)

    def _free(self, place: int, many: int, gone: np.ndarray) -> str:
        """`to the afternoon (5 free)`, and of several shifts how many go to each."""
        case, name = self.case, self.case.shifts[place]
        seats = int(case.needs[gone].min())
        rooms = int((case.open[:, place] & (case.capacity >= seats)).sum())
        there = case.home[:, place] & case.tied & ~gone & (case.needs >= seats)
        said = f"{many} to {name}" if many < gone.sum() else f"to {name}"
        return f"{said} ({max(rooms - int(there.sum()), many)} free)"

    def _smaller(self) -> Fix | None:
        """Batches that go into smaller rooms: the largest size that works, if need be with all of them as large."""
        sizes, case = self.instance.sizes, self.case
        usable = np.unique(np.floor(case.fill * case.capacity + 1e-9).astype(int))
        usable = usable[(usable < sizes.most) & (usable >= sizes.least)]
        for most in usable[::-1][:_TRIES].tolist():
            for target in sorted({min(sizes.target, most), most}):
                if self._works(Sizes(sizes.least, target, most)):
                    flag = f"--max-size {most}" + (f" --target-size {target}" if target != sizes.target else "")
                    return Fix(f"at most {most} per batch", flag)
        return None

    def _larger(self) -> Fix | None:
        """Fewer batches need fewer rooms and hours."""
        sizes = self.instance.sizes
        for target in sorted({(sizes.target + sizes.most) // 2, sizes.most} - {sizes.target}):
            if self._works(Sizes(sizes.least, target, sizes.most)):
                return Fix(f"larger batches, about {target} each", f"--target-size {target}")
        return None

    def _works(self, sizes: Sizes) -> bool:
        case = split_anew(self.instance, self.grouping, sizes)
        return case is not None and is_possible(self._mended(case))


def conflict(instance: Instance, grouping: Grouping, case: Case) -> Iterator[Obstacle]:
    """The smallest set of rules that can't all hold here, where giving up rules helps at all."""
    held = placing_rules(instance)

    def possible(rules: tuple[Rule, ...]) -> bool:
        fewer = case_of(instance, grouping.batch, grouping.count, rules, case.teaching)
        return is_possible(replace(fewer, strict=case.strict))

    if not case.batches or not held or not possible(()):
        return
    for rule in held:
        rest = tuple(one for one in held if one is not rule)
        if not possible(rest):
            held = rest
    said = " and ".join(rule.words for rule in held)
    alone = len(held) == 1
    words = f"{said} can't hold with these rooms and teachers" if alone else f"{said} can't all hold: each one could"
    fixes = tuple(Fix(f"make {rule.words} soft", RELAX if rule in tying(held) else "") for rule in held)
    code = "CONSTRAINT_VIOLATION" if alone else "CONFLICTING_RULES"
    names = tuple(rule.words for rule in held)
    yield Obstacle(code, "rules", len(held), len(held) - 1, 1, words, names, fixes)
