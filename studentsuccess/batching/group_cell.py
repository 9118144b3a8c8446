"""One cell: how many batches, and who is in which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.bound import Ceiling, ceiling
from studentsuccess.batching.chunks import MOST, bisected, improve_windows
from studentsuccess.batching.comparators import compared
from studentsuccess.batching.group_anneal import annealed
from studentsuccess.batching.group_limits import Limits
from studentsuccess.batching.group_part import Part, Ties, random_worth, worth
from studentsuccess.batching.group_pins import gathered, kept_batches
from studentsuccess.batching.group_repair import orderly_starts, repaired
from studentsuccess.batching.instance import Codes, Ints
from studentsuccess.batching.kmeans import kmeans
from studentsuccess.batching.sizes import best_worth, counts
from studentsuccess.batching.swaps import Patience, Split, improve

# Rounds of k-means before exchanges take over: more of them gain nothing that these do not.
_ROUNDS = 2
# The part of the iterations that is spent on each number of batches, to see which is the best.
_TRIAL = 0.08
# How much of the difference that batch sizes make to the best cosines is there for real batches.
_REACHED = 0.7


@dataclass(frozen=True)
class Effort:
    """How a cell is to be worked on."""

    algorithm: str
    patience: Patience
    annealed: bool  # compiled loops, which are worth loading for large inputs
    starts: int
    bound_rounds: int
    workers: int = 1


@dataclass(frozen=True)
class Task:
    """A cell, and what holds single students of it; all by place in the part."""

    key: str
    part: Part
    limits: Limits | None = None
    together: tuple[Ints, ...] = ()
    previous: Codes | None = None

    @property
    def plain(self) -> bool:
        return self.limits is None and not self.together and self.previous is None


@dataclass(frozen=True)
class Solved:
    """Labels, or none where no split was found that keeps the limits."""

    labels: Ints | None
    worth: float
    bound: float
    random: float
    converged: bool = True


def solve(task: Task, effort: Effort) -> Solved:
    """The best split that the effort finds."""
    part = task.part
    if counts(part.count, part.sizes) == range(1, 2):
        return _undivided(task)
    top = ceiling(part, effort.bound_rounds, effort.workers)
    labels, converged = None, True
    if task.limits is None or not task.limits.impossible:
        labels, converged = _split(task, effort, top)
    reached = worth(part, labels, int(labels.max()) + 1) if labels is not None else 0.0
    return Solved(labels, reached, top.worth, random_worth(part), converged)


def _undivided(task: Task) -> Solved:
    """Only one batch is possible: there is nothing to choose, and the bound is what it is worth."""
    everyone = np.zeros(task.part.count, np.int64)
    found = worth(task.part, everyone, 1)
    broken = task.limits is not None and bool(task.limits.excess(everyone, 1).any())
    return Solved(None if broken else everyone, found, found, found)


def _split(task: Task, effort: Effort, top: Ceiling) -> tuple[Ints | None, bool]:
    few = _promising(task.part, top)
    if effort.algorithm == "auto" and effort.annealed and task.plain:
        return _tried_and_annealed(task.part, few, effort.patience)
    if task.previous is not None and effort.algorithm == "auto":
        few = [_nearest(task.part, task.previous)]
    labels, converged = _best(task, few, effort)
    if labels is None and task.limits is not None:
        others = [count for count in counts(task.part.count, task.part.sizes) if count not in few]
        return _best(task, others, effort)
    return labels, converged


def _tried_and_annealed(part: Part, few: list[int], patience: Patience) -> tuple[Ints, bool]:
    """A short trial of each number of batches, then the whole way with the best of them."""
    trial = Patience(max(1, round(patience.iterations * _TRIAL)), patience.convergence, patience.expired)
    if len(few) > 1:
        few = [max(few, key=lambda count: worth(part, annealed(part, count, trial)[0], count))]
    return annealed(part, few[0], patience)


def _promising(part: Part, top: Ceiling) -> list[int]:
    """The numbers of batches that are worth a try: smaller batches are more alike, but further off the target."""
    possible = counts(part.count, part.sizes)
    sizes = np.arange(len(top.alike)) + part.sizes.least

    def guess(count: int) -> float:
        alike = float(np.interp(part.count / count, sizes, top.alike)) * part.count
        return part.size_gain * best_worth(part.count, count, part.sizes) + _REACHED * alike

    best = max(possible, key=guess)
    step = max(1, best // 60)
    near = {best - step, best, best + step, part.count // part.sizes.target, -(-part.count // part.sizes.target)}
    return sorted(sorted(near & set(possible), key=lambda count: -guess(count))[:3])


def _nearest(part: Part, previous: Codes) -> int:
    """As many batches as there were, or nearly."""
    were = len(np.unique(previous[previous >= 0]))
    return min(counts(part.count, part.sizes), key=lambda count: (abs(count - were), count))


def _best(task: Task, few: list[int], effort: Effort) -> tuple[Ints | None, bool]:
    """The first start with each number of batches, then the other starts with the best number."""
    found = _Found(task)
    for count in few:
        found.take(count, _starts(task, count, effort, range(1)), effort)
    if found.labels is not None and effort.algorithm == "auto" and task.previous is None:
        found.take(found.count, _starts(task, found.count, effort, range(1, effort.starts)), effort)
    return found.labels, found.converged


class _Found:
    """The best labels so far."""

    def __init__(self, task: Task) -> None:
        self.task, self.converged, self.count, self._worth = task, True, 0, -np.inf
        self.labels: Ints | None = None

    def take(self, count: int, starts: Iterable[tuple[Ints, Ties | None]], effort: Effort) -> None:
        for start, ties in starts:
            if self.labels is not None and effort.patience.expired():
                return
            labels, converged = _from(self.task, start, count, ties, effort)
            value = worth(self.task.part, labels, count)
            if value > self._worth + 1e-9:
                self.labels, self.converged, self.count, self._worth = labels, converged, count, value


def _from(task: Task, start: Ints, count: int, ties: Ties | None, effort: Effort) -> tuple[Ints, bool]:
    """Improved by exchanges; comparators are left as they are."""
    part = task.part
    if effort.algorithm != "auto":
        return start, True
    if part.count > MOST:
        return improve_windows(part, start, count, ties, task.limits, effort.patience)
    split = Split(part, start, count, ties)
    converged = improve(split, task.limits, effort.patience)
    return split.labels, converged


def _starts(task: Task, count: int, effort: Effort, numbers: range) -> Iterator[tuple[Ints, Ties | None]]:
    """Starts that keep all limits and pins; where none of the usual ones can be mended, those that rules like."""
    found = 0
    for labels, ties in _raw_starts(task, count, effort, numbers):
        if task.limits is not None:
            mended = repaired(task.part, labels, count, task.limits, ties, task.part.seed)
            if mended is None:
                continue
            labels = mended
        found += 1
        yield labels, ties
    if not found and numbers.start == 0 and task.limits is not None:
        for labels in orderly_starts(task.part, count, task.limits):
            held = gathered(task.part, labels, count, task.together)
            if held is None:
                continue
            mended = repaired(task.part, held[0], count, task.limits, held[1], task.part.seed)
            if mended is not None:
                yield mended, held[1]


def _raw_starts(task: Task, count: int, effort: Effort, numbers: range) -> Iterator[tuple[Ints, Ties | None]]:
    part = task.part
    if effort.algorithm == "auto" and task.previous is not None:
        labels, home = kept_batches(part, task.previous, count)
        held = gathered(part, labels, count, task.together, home)
        if held is not None:
            yield held
        return
    for number in numbers:
        held = gathered(part, _first_labels(part, count, number, effort), count, task.together)
        if held is not None:
            yield held


def _first_labels(part: Part, count: int, number: int, effort: Effort) -> Ints:
    """Bisection has the best first start, k-means others; beyond a size only bisection is quick."""
    rng = np.random.default_rng([part.seed, count, number])
    if effort.algorithm != "auto":
        return compared(effort.algorithm, part, count, rng, effort.patience)
    return kmeans(part, count, rng, _ROUNDS)[0] if number and part.count <= MOST else bisected(part, count)
