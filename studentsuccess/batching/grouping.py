"""Students into batches: cells by themselves, each the best that is found, and a proof of how good the whole is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from studentsuccess.batching import comparators
from studentsuccess.batching.bound import ROUNDS, ceiling
from studentsuccess.batching.cell_obstacles import sound_cells
from studentsuccess.batching.cells import Cells, split_by
from studentsuccess.batching.group_cell import Effort, Solved, Task, solve
from studentsuccess.batching.group_limits import HardRules, Limits, hard_rules
from studentsuccess.batching.group_part import Part
from studentsuccess.batching.instance import Codes, Grouping, Infeasible, Instance, Ints, Obstacle
from studentsuccess.batching.swaps import Patience
from studentsuccess.batching.vectors import dense, vectors
from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.core.reporter import Reporter

Algorithm = Literal["auto", "kmeans", "spectral", "hierarchical"]
# From how many students on, in all or in one cell, compiled loops are worth loading, and compiling where that was never
# done; below, the others are as good and take a third of the memory.
COMPILED, COMPILED_CELL = 8000, 2000
# Starts of a cell, where there is time for several.
_STARTS, _SEVERAL = 3, 1500


@dataclass(frozen=True)
class How:
    """How hard to try, and by what."""

    algorithm: Algorithm = "auto"
    max_iterations: int = 100
    convergence: float = 1e-3
    performance: bool = False
    workers: int = 1
    time_limit: float | None = None  # seconds; with None no clock is looked at, and two runs agree


def group(instance: Instance, how: How, reporter: Reporter) -> Grouping:
    """Everyone in one batch, all hard rules kept; `Infeasible` where there is no such grouping, or none was found."""
    found = sound_cells(instance)
    table, rules, members = vectors(instance), hard_rules(instance), found.members()
    effort = _effort(instance, how, max(map(len, members), default=0))
    tasks = (_task(instance, key, rows, table, rules) for key, rows in zip(found.keys, members, strict=True))
    step = reporter.step("clustering", total=instance.students.count, unit="students")
    solved = []
    # Only compiled loops run beside each other; threads of small numpy calls wait for one another.
    engine = Engine("threads", how.workers) if how.workers > 1 and effort.annealed else Engine("serial")
    for rows, one in zip(members, ordered_map(lambda task: solve(task, effort), tasks, engine), strict=True):
        step.advance(len(rows))
        solved.append(one)
    step.close()
    _refuse_unsolved(found, members, solved, rules)
    grouping = _assembled(instance, found, members, solved, table, effort)
    assert grouping.objective <= grouping.bound, "a bound that is exceeded is a defect"
    return grouping


def _effort(instance: Instance, how: How, largest: int) -> Effort:
    iterations = max(1, how.max_iterations // 4) if how.performance else how.max_iterations
    expired = _clock(how.time_limit)
    return Effort(
        how.algorithm,
        Patience(iterations, how.convergence, expired),
        annealed=instance.students.count > COMPILED or largest > COMPILED_CELL,
        starts=1 if how.performance or instance.students.count > _SEVERAL else _STARTS,
        bound_rounds=0 if how.performance else ROUNDS,
        workers=how.workers,
    )


def _clock(limit: float | None) -> Callable[[], bool]:
    if limit is None:
        return lambda: False
    end = time.monotonic() + limit
    return lambda: time.monotonic() > end


def _task(instance: Instance, key: str, rows: Ints, table: Any, rules: HardRules) -> Task:
    seed = int.from_bytes(blake2b(f"{instance.seed}\0{key}".encode(), digest_size=8).digest()) >> 1
    part = Part(dense(table, rows), instance.sizes, instance.weights, seed)
    previous = instance.previous[rows] if instance.previous is not None else None
    known = previous is not None and bool((previous >= 0).any())
    return Task(key, part, rules.within(rows), _together(instance, rows), previous if known else None)


def _together(instance: Instance, rows: Ints) -> tuple[Ints, ...]:
    """The pinned groups of these students, by place; a group is in one cell or has been refused."""
    inside = [np.array(group) for group in instance.pins.together if _holds(rows, group[0])]
    return tuple(np.searchsorted(rows, one) for one in inside)


def _holds(rows: Ints, row: int) -> bool:
    at = int(np.searchsorted(rows, row))
    return at < len(rows) and int(rows[at]) == row


def _refuse_unsolved(found: Cells, members: list[Ints], solved: list[Solved], rules: HardRules) -> None:
    """Cells whose rules no split that was found keeps."""
    obstacles = []
    for key, rows, one in zip(found.keys, members, solved, strict=True):
        if one.labels is None:
            names, there = _broken(rules.within(rows))
            words = (
                f"{key}: no split of its {len(rows)} students {there} that keeps {' and '.join(names)} in every batch"
            )
            obstacles.append(Obstacle("CONSTRAINT_VIOLATION", key, len(rows), 0, len(rows), words, names))
    if obstacles:
        raise Infeasible(tuple(obstacles))


def _broken(limits: Limits | None) -> tuple[tuple[str, ...], str]:
    """The rules in question, and whether that they can't be kept is proven or only was not found."""
    if limits is None:
        return ("pinned together",), "was found"
    return (limits.impossible, "exists") if limits.impossible else (limits.words, "was found")


def _assembled(
    instance: Instance, found: Cells, members: list[Ints], solved: list[Solved], table: Any, effort: Effort
) -> Grouping:
    batch, cell = _numbered(instance.students.count, members, solved)
    bounds = _bounds(instance, found, members, solved, table, effort)
    weight = instance.weights.homogeneity + instance.weights.size
    whole = weight * instance.students.count

    def per(value: float, count: float) -> float:
        return value / (weight * count) if weight > 0 and count else 0.0

    return Grouping(
        batch,
        cell,
        found.keys,
        objective=sum(one.worth for one in solved) / whole if whole else 0.0,
        bound=sum(bounds) / whole if whole else 0.0,
        random=sum(one.random for one in solved) / whole if whole else 0.0,
        notes=tuple(_notes(instance, found, solved, effort)),
        cells={
            key: (per(one.worth, len(rows)), per(one.bound, len(rows)), per(one.random, len(rows)))
            for key, rows, one in zip(found.keys, members, solved, strict=True)
        },
        moved=_moved(instance.previous, batch) if instance.previous is not None else None,
    )


def _numbered(students: int, members: list[Ints], solved: list[Solved]) -> tuple[Codes, Codes]:
    """Batches cell by cell, and in a cell by their first student; and the cell of each."""
    batch, cells = np.zeros(students, np.int32), []
    count = 0
    for number, (rows, one) in enumerate(zip(members, solved, strict=True)):
        assert one.labels is not None
        _, first, labels = np.unique(one.labels, return_index=True, return_inverse=True)
        batch[rows] = count + np.argsort(np.argsort(first))[labels]
        count += len(first)
        cells += [number] * len(first)
    return batch, np.array(cells, np.int32)


def _bounds(
    instance: Instance, found: Cells, members: list[Ints], solved: list[Solved], table: Any, effort: Effort
) -> list[float]:
    """Of the wider cells, which are nearly always the cells themselves."""
    single = np.bincount(found.wider) if len(found.wider) else np.zeros(0, np.int64)
    bounds, wide = [], split_by(found.wider)
    for rows, one in zip(members, solved, strict=True):
        if len(rows) == single[found.wider[rows[0]]]:
            bounds.append(one.bound)
    for rows in wide:
        if len(np.unique(found.of[rows])) > 1:
            part = Part(dense(table, rows), instance.sizes, instance.weights, 0)
            bounds.append(ceiling(part, effort.bound_rounds, effort.workers).worth)
    return bounds


def _moved(previous: Codes, batch: Codes) -> int:
    """Students who are not in the batch that took over from theirs: the one with most of it, each taking over once."""
    known = np.flatnonzero(previous >= 0)
    pairs, many = np.unique(np.stack([previous[known], batch[known]]), axis=1, return_counts=True)
    taken: tuple[set[int], set[int]] = set(), set()
    stayed = 0
    for at in np.argsort(-many, kind="stable").tolist():
        old, new = pairs[:, at].tolist()
        if old not in taken[0] and new not in taken[1]:
            taken[0].add(old)
            taken[1].add(new)
            stayed += int(many[at])
    return len(known) - stayed


def _notes(instance: Instance, found: Cells, solved: list[Solved], effort: Effort) -> Iterator[str]:
    if found.merges:
        yield f"merged because {', '.join(instance.relax)} may be relaxed: {'; '.join(found.merges)}"
    if effort.algorithm != "auto":
        yield f"{effort.algorithm} is there to compare with: its clusters, brought to the allowed sizes and hard rules"
        large = int((found.sizes > comparators.MOST).sum())
        if large and effort.algorithm != "kmeans":
            yield f"kmeans instead of {effort.algorithm} in {large:,} cells of more than {comparators.MOST:,} students"
    if effort.bound_rounds == 0:
        yield "performance: a quarter of the iterations, one start for each cell, and a looser bound"
    if late := sum(not one.converged for one in solved):
        yield f"CONVERGENCE_FAILURE: {late} of {len(solved)} cells still got better when iterations or time ended"
