"""Whether departments have the hours that batches ask for: each teacher's, split over their shifts as need be."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np

from studentsuccess.batching.checker.rules import Batches, program_rows
from studentsuccess.batching.checker.tables import Ints
from studentsuccess.batching.checker.term import Term, opened

# Hours below it are noise.
_TINY = 1e-6
Demand = Mapping[str, Mapping[int, float]]


def short_departments(
    term: Term, batches: Batches, sections: tuple[Ints, Ints], pooled: np.ndarray, shift: Ints
) -> int:
    """Departments whose teachers can't give what is asked in each shift; none where no faculty is given."""
    if "faculty" not in term.tables:
        return 0
    asked = _asked(term, batches, sections, pooled, shift)
    staff = _staff(term)
    return sum(not _enough(shifts, staff.get(department, {})) for department, shifts in asked.items())


def _asked(term: Term, batches: Batches, sections: tuple[Ints, Ints], pooled: np.ndarray, shift: Ints) -> Demand:
    """Hours by department and shift. A pooled course counts once in each shift in which it is taken."""
    courses = term.tables["courses"]
    hours = np.nan_to_num(courses["weekly_hours"].numbers())
    own = courses["department_id"].texts() if "department_id" in courses else [""] * len(hours)
    homes = _homes(term, batches)
    asked: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    seen: set[tuple[int, str, int]] = set()
    for batch, course, is_pooled in zip(*(one.tolist() for one in (*sections, pooled)), strict=True):
        when = int(shift[batch])
        department = own[course] or homes[batch]
        if is_pooled and (course, department, when) in seen:
            continue
        if is_pooled:
            seen.add((course, department, when))
        asked[department][when] += float(hours[course])
    return asked


def _homes(term: Term, batches: Batches) -> list[str]:
    """The department of the program that most members of a batch are in; of equals the first by the program's id."""
    ids, departments = term.ids("programs", "program_id"), term.ids("programs", "department_id")
    row = program_rows(term, batches.who)
    known = row >= 0
    pairs, counts = np.unique(np.stack([batches.batch[known], row[known]]), axis=1, return_counts=True)
    best: dict[int, tuple[int, str, str]] = {}
    for batch, program, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        best[batch] = min(best.get(batch, (0, "", "")), (-count, ids[program], departments[program]))
    return [best.get(batch, (0, "", ""))[2] for batch in range(batches.count)]


def _staff(term: Term) -> dict[str, dict[tuple[int, ...], float]]:
    """Hours by department and the set of shifts in which they can be given."""
    table = term.tables["faculty"]
    works = opened(term.tables, "faculty")
    hours = np.nan_to_num(table["max_hours_per_week"].numbers())
    found: dict[str, dict[tuple[int, ...], float]] = defaultdict(lambda: defaultdict(float))
    for department, when, many in zip(table["department_id"].texts(), works, hours.tolist(), strict=True):
        found[department][tuple(np.flatnonzero(when).tolist())] += many
    return found


def _enough(asked: Mapping[int, float], staff: Mapping[tuple[int, ...], float]) -> bool:
    """A flow from teachers through their shifts covers all that is asked: paths are added until there is none."""
    groups = list(staff)
    left = [staff[group] for group in groups]
    open_ = dict(asked)
    given: dict[tuple[int, int], float] = defaultdict(float)
    while any(hours > _TINY for hours in open_.values()):
        path = _path(groups, left, open_, given)
        if path is None:
            return False
        _push(path, left, open_, given)
    return True


def _path(
    groups: list[tuple[int, ...]], left: list[float], open_: Mapping[int, float], given: Mapping[tuple[int, int], float]
) -> list[int] | None:
    """Groups and shifts in turn, from a group with hours left to a shift that lacks some; back along what is given."""
    came: dict[tuple[str, int], tuple[str, int] | None] = {
        ("group", at): None for at, hours in enumerate(left) if hours > _TINY / 10
    }
    queue = deque(came)
    while queue:
        kind, at = node = queue.popleft()
        if kind == "shift" and open_.get(at, 0.0) > _TINY:
            return _walked(came, node)
        if kind == "group":
            steps = [("shift", shift) for shift in groups[at]]
        else:
            steps = [("group", of) for of in range(len(groups)) if given[of, at] > _TINY / 10]
        for step in steps:
            if step not in came:
                came[step] = node
                queue.append(step)
    return None


def _walked(came: Mapping[tuple[str, int], tuple[str, int] | None], node: tuple[str, int] | None) -> list[int]:
    path: list[int] = []
    while node is not None:
        path.append(node[1])
        node = came[node]
    return path[::-1]


def _push(path: list[int], left: list[float], open_: dict[int, float], given: dict[tuple[int, int], float]) -> None:
    """As many hours as the path holds."""
    ahead = list(zip(path[::2], path[1::2], strict=True))
    back = list(zip(path[2::2], path[1::2], strict=False))
    hours = min([left[path[0]], open_[path[-1]], *(given[step] for step in back)])
    left[path[0]] -= hours
    open_[path[-1]] -= hours
    for step in ahead:
        given[step] += hours
    for step in back:
        given[step] -= hours
