"""Why students can't be split as the rules want it, and the ways out, each of them tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from studentsuccess.batching.cells import Cells, cells_of, ill_sized, is_partition, partition_fields
from studentsuccess.batching.instance import Fix, Infeasible, Instance, Ints, Obstacle, Sizes
from studentsuccess.batching.sizes import fits

# More cells than that are no more telling one by one.
_LISTED = 20


def sound_cells(instance: Instance) -> Cells:
    """The cells, every one of a size that batches fit; otherwise `Infeasible` says which is not, and the ways out."""
    found = cells_of(instance, instance.relax)
    obstacles = _pinned_apart(instance, found)
    if ill := ill_sized(found, instance):
        obstacles += _ill_sizes(instance, found, ill)
    if obstacles:
        raise Infeasible(tuple(obstacles))
    return found


def _ill_sizes(instance: Instance, found: Cells, ill: list[int]) -> list[Obstacle]:
    sizes, count = instance.sizes, found.sizes
    rules = tuple(rule.words for rule in instance.hard if is_partition(rule.kind, rule.threshold))
    fixes = (*_relaxing(instance), *_resizing(sizes, count[np.array(ill)]))
    listed = [_ill_size(found.keys[at], int(count[at]), sizes, rules, fixes) for at in ill[:_LISTED]]
    if len(ill) > _LISTED:
        listed.append(_others(len(ill) - _LISTED, count[np.array(ill[_LISTED:])], sizes, rules, fixes))
    return listed


def _ill_size(key: str, students: int, sizes: Sizes, rules: tuple[str, ...], fixes: tuple[Fix, ...]) -> Obstacle:
    if students < sizes.least:
        short = sizes.least - students
        words = f"{key}: {_students(students)}, a batch needs {sizes.least}: short {short}"
        return Obstacle("UNDERSIZED_CELL", key, sizes.least, students, short, words, rules, fixes)
    batches = students // sizes.least
    below, above = batches * sizes.most, (batches + 1) * sizes.least
    near = below if students - below <= above - students else above
    words = (
        f"{key}: {_students(students)} do not split into batches of {sizes.least} to {sizes.most}: "
        f"at most {below} make {batches}, at least {above} make {batches + 1}"
    )
    return Obstacle("SIZE_GAP", key, near, students, abs(near - students), words, rules, fixes)


def _others(many: int, students: Ints, sizes: Sizes, rules: tuple[str, ...], fixes: tuple[Fix, ...]) -> Obstacle:
    small = int((students < sizes.least).sum())
    code = "UNDERSIZED_CELL" if small else "SIZE_GAP"
    short = float(np.maximum(sizes.least - students, 0).sum())
    words = f"{many} more cells: {small} have fewer than {sizes.least} students, {many - small} fall between two sizes"
    return Obstacle(code, f"{many} more cells", sizes.least, float(students.min()), short, words, rules, fixes)


def _relaxing(instance: Instance) -> list[Fix]:
    """The fields that help when their values may be merged: one where one is enough, else all that keep apart."""
    fields = [name for name in partition_fields(instance) if name not in instance.relax]
    alone: list[tuple[str, ...]] = [(name,) for name in fields if _helps(instance, (name,))]
    ways = alone or ([tuple(fields)] if len(fields) > 1 and _helps(instance, tuple(fields)) else [])
    return [
        Fix(f"merge what differs only in {' or '.join(names)}", f"--relax {','.join((*instance.relax, *names))}")
        for names in ways
    ]


def _helps(instance: Instance, names: tuple[str, ...]) -> bool:
    return not ill_sized(cells_of(instance, (*instance.relax, *names)), instance)


def _resizing(sizes: Sizes, students: Ints) -> list[Fix]:
    """The largest least size, and the smallest greatest one, with which batches fit all of these cells."""
    fixes = []
    least = min(int(count) // -(-int(count) // sizes.most) for count in students)
    if least < sizes.least and _all_fit(students, replace(sizes, least=least)):
        fixes.append(Fix(f"at least {least} per batch", f"--min-size {least}"))
    if (students >= sizes.least).all():
        most = max(-(-int(count) // (int(count) // sizes.least)) for count in students)
        if _all_fit(students, replace(sizes, most=most)):
            fixes.append(Fix(f"at most {most} per batch", f"--max-size {most}"))
    return fixes


def _all_fit(students: Ints, sizes: Sizes) -> bool:
    return all(fits(int(count), sizes) for count in students)


def _pinned_apart(instance: Instance, found: Cells) -> list[Obstacle]:
    """Groups that are to be together and can't be: in several cells, more than a batch holds, or also kept apart."""
    obstacles = []
    apart = {frozenset(pair) for pair in instance.pins.apart}
    rules = tuple(rule.words for rule in instance.hard if is_partition(rule.kind, rule.threshold))
    for number, group in enumerate(instance.pins.together):
        scope = f"pinned group {number + 1}"
        spread = len(np.unique(found.of[list(group)]))
        if spread > 1:
            words = f"{scope}: its {_students(len(group))} are in {spread} cells, which no batch mixes"
            obstacles.append(Obstacle("CONFLICTING_RULES", scope, 1, spread, spread - 1, words, rules))
        if (over := len(group) - instance.sizes.most) > 0:
            words = f"{scope}: {_students(len(group))} are more than the {instance.sizes.most} of a batch"
            fix = Fix(f"at most {len(group)} per batch", f"--max-size {len(group)}")
            obstacles.append(
                Obstacle("CONFLICTING_RULES", scope, len(group), instance.sizes.most, over, words, (), (fix,))
            )
        if any(pair <= set(group) for pair in apart):
            words = f"{scope}: two of its students are also to be kept apart"
            obstacles.append(Obstacle("CONFLICTING_RULES", scope, 0, 1, 1, words))
    return obstacles


def _students(count: int) -> str:
    return f"{count} student" if count == 1 else f"{count} students"
