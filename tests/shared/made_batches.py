"""Small problems of batching with their solutions, made by hand: what an output, a figure or a page is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from studentsuccess.batching.instance import (
    Courses,
    Grouping,
    Instance,
    Lists,
    Placement,
    Programs,
    Rooms,
    Rule,
    Shifts,
    Sizes,
    Students,
    Texts,
)

HARD = (
    Rule("PROGRAM", "student", "program_id", "no_mix", hard=True),
    Rule("YEAR", "student", "academic_year", "no_mix", hard=True),
)


def texts(values: Sequence[str | None]) -> Texts:
    labels = tuple(sorted({value for value in values if value is not None}))
    codes = [-1 if value is None else labels.index(value) for value in values]
    return Texts(np.array(codes, np.int32), labels)


def lists(values: Sequence[Sequence[str]], labels: Sequence[str] | None = None) -> Lists:
    known = tuple(sorted({one for row in values for one in row}) if labels is None else labels)
    rows = [sorted({known.index(one) for one in row}) for row in values]
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Lists(start, np.array([one for row in rows for one in row], np.int32), known)


def a_problem(
    takes: Sequence[Sequence[str]],
    *,
    programs: Sequence[str] | None = None,
    shifts: Sequence[str] = ("evening", "morning"),
    capacities: Sequence[int] = (10, 20, 40, 80),
    rules: Sequence[Rule] = HARD,
    fields: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    sizes: Sizes = Sizes(2, 3, 5),  # noqa: B008 - frozen
    **more: Any,
) -> Instance:
    """Students who take these courses; everything else has a plain default."""
    count = len(takes)
    catalogue = tuple(sorted({one for row in takes for one in row}))
    of = list(programs or ["P"] * count)
    every = tuple(sorted(set(of)))
    columns = {
        "program_id": texts(of),
        "academic_year": texts(["2024"] * count),
        "preferred_shift": texts([shifts[at % len(shifts)] for at in range(count)]),
        "enrolled_courses": lists(takes, catalogue),
        **(fields or {}),
    }
    many = len(catalogue)
    return Instance(
        Students(
            tuple(f"S{at:03}" for at in range(count)), tuple(names or [f"Name {at}" for at in range(count)]), columns
        ),
        Programs(every, tuple(f"Program {one}" for one in every), ("D",) * len(every)),
        Courses(
            catalogue,
            tuple(f"About {one}" for one in catalogue),
            np.full(many, 3.0),
            np.full(many, 2.0),
            (None,) * many,
            lists([()] * many, catalogue),
        ),
        Rooms(
            tuple(f"R{at}" for at in range(len(capacities))),
            np.array(capacities, np.int64),
            ("lecture",) * len(capacities),
            np.ones((len(capacities), len(shifts)), np.bool_),
        ),
        Shifts(tuple(shifts), tuple(one.title() for one in shifts)),
        None,
        tuple(rules),
        sizes,
        **more,
    )


def a_grouping(batch: Sequence[int], cell: Sequence[int] | None = None, **more: Any) -> Grouping:
    """Students in these batches; one cell for all of them where none is said."""
    count = max(batch, default=-1) + 1
    cells = list(cell) if cell is not None else [0] * count
    keys = tuple(f"cell {at}" for at in range(max(cells, default=-1) + 1))
    figures = {"objective": 0.8, "bound": 0.9, "random": 0.5} | more
    return Grouping(np.array(batch, np.int32), np.array(cells, np.int32), keys, **figures)


def a_placement(rooms: Sequence[int], shifts: Sequence[int], best: float = 0.9) -> Placement:
    return Placement(np.array(rooms, np.int32), np.array(shifts, np.int32), best)
