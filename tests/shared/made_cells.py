"""Small instances for tests of grouping, made of what students take; everything else is as empty as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studentsuccess.batching.instance import (
    Codes,
    Courses,
    Field,
    Instance,
    Lists,
    Numbers,
    Programs,
    Rooms,
    Rule,
    Shifts,
    Sizes,
    Students,
    Texts,
)

NONE = np.zeros(0, np.int64)
USUAL = Sizes()


def lists(rows: Sequence[Sequence[str]]) -> Lists:
    labels = tuple(sorted({value for row in rows for value in row}))
    codes = [sorted(labels.index(value) for value in set(row)) for row in rows]
    start = np.cumsum([0, *(len(row) for row in codes)]).astype(np.int64)
    return Lists(start, np.array([code for row in codes for code in row], np.int32), labels)


def texts(values: Sequence[str | None]) -> Texts:
    labels = tuple(sorted({value for value in values if value is not None}))
    codes = [-1 if value is None else labels.index(value) for value in values]
    return Texts(np.array(codes, np.int32), labels)


def numbers(values: Sequence[float]) -> Numbers:
    return Numbers(np.array(values, np.float64))


def hard(kind: str, field: str, threshold: float | None = None) -> Rule:
    return Rule(f"{kind}-{field}", "student", field, kind, hard=True, threshold=threshold)


def soft(kind: str, field: str, threshold: float | None = None, weight: float = 1.0) -> Rule:
    return replace(hard(kind, field, threshold), hard=False, weight=weight)


def made(
    courses: Sequence[Sequence[str]],
    *rules: Rule,
    sizes: Sizes = USUAL,
    programs: Sequence[str] | None = None,
    seed: int = 0,
    previous: Codes | None = None,
    relax: tuple[str, ...] = (),
    **fields: Field,
) -> Instance:
    """Students S0001, S0002, …, of one program and year unless `programs` says otherwise."""
    count = len(courses)
    ids = tuple(f"S{number + 1:05d}" for number in range(count))
    taken = lists(courses)
    known: dict[str, Field] = {
        "program_id": texts(programs if programs is not None else ["P1"] * count),
        "academic_year": texts(["2024"] * count),
        "enrolled_courses": taken,
    }
    many = len(taken.labels)
    no_courses = Lists(np.zeros(many + 1, np.int64), np.zeros(0, np.int32), taken.labels)
    return Instance(
        Students(ids, ids, known | fields),
        Programs(("P1",), ("P1",), ("D1",)),
        Courses(taken.labels, taken.labels, np.ones(many), np.ones(many), (None,) * many, no_courses),
        Rooms((), NONE, (), np.zeros((0, 0), np.bool_)),
        Shifts((), ()),
        None,
        rules,
        sizes=sizes,
        seed=seed,
        previous=previous,
        relax=relax,
    )


def drawn_courses(count: int, seed: int, *, tracks: int = 3, each: int = 4, common: int = 3) -> list[list[str]]:
    """Some common courses, some of a track, now and then one of another."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        track = int(rng.integers(tracks))
        own = [f"T{track if rng.random() < 0.9 else int(rng.integers(tracks))}-{number}" for number in range(each)]
        every = [f"C{number}" for number in range(common)]
        found.append([course for course in every if rng.random() < 0.9] + [c for c in own if rng.random() < 0.6])
    return [taken or ["C0"] for taken in found]
