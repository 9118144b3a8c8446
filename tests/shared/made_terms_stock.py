"""What a made term has to teach with: shifts, rooms that nest, and faculty with hours enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

TARGET, MARGIN, SHIFTS = 35, 0.9, 3
SMALLER = 0.7  # rather three batches of 28 than two of 42: fewer students are more alike
HOURS = 18
# Every eighth room is there twice, for those that are closed in the evening; a few are larger than needed.
AGAIN, CLOSED, SPARE_ROOMS = 8, 0.12, 0.1
SPARE_HOURS = 1.25
KINDS = ("lecture", "seminar", "lab")


@dataclass(frozen=True)
class Section:
    """Hours a week that a department has to teach."""

    department: int
    hours: int


def shifts_table() -> pa.Table:
    return pa.table(
        {
            "shift_id": ["morning", "afternoon", "evening"],
            "shift_name": ["Morning", "Afternoon, late", 'The "evening"'],
            "start": ["08:00", "13:00", "18:00"],
            "end": ["12:00", "17:00", "21:30"],
        }
    )


def rooms_table(cells: Sequence[int], rng: np.random.Generator) -> pa.Table:
    """One room for every three batches, as large as the largest of them asks for, some of the same, some larger."""
    needed = np.sort(_seats(cells))[::-1][::SHIFTS]
    needed = np.concatenate([needed, needed[::AGAIN]])
    extra = rng.choice([44, 50, 67, 90], int(len(needed) * SPARE_ROOMS) + 3, p=[0.45, 0.3, 0.2, 0.05])
    capacity = np.concatenate([needed + rng.integers(0, 2, len(needed)), extra])
    capacity = capacity[rng.permutation(len(capacity))]
    closed = rng.random(len(capacity)) < CLOSED
    closed[np.argmax(capacity)] = False
    return pa.table(
        {
            "room_id": [f"R{number + 1:04d}" for number in range(len(capacity))],
            "capacity": capacity,
            "room_type": [KINDS[number % len(KINDS)] for number in range(len(capacity))],
            "shifts": ["morning;afternoon" if shut else "morning;afternoon;evening" for shut in closed],
        }
    )


def _seats(cells: Sequence[int]) -> np.ndarray:
    """What each batch asks for, when a cell is split evenly and a batch may be two larger than that."""
    batches = [max(1, int(size / TARGET + SMALLER)) for size in cells]
    sizes = [np.full(count, -(-size // count) + 2) for size, count in zip(cells, batches, strict=True)]
    return np.ceil(np.concatenate(sizes) / MARGIN).astype(np.int64)


def faculty_table(sections: Sequence[Section], departments: int) -> pa.Table:
    """Most work in any shift, some in two of them only."""
    hours = np.bincount([one.department for one in sections], [one.hours for one in sections], departments)
    people = np.ceil(hours * SPARE_HOURS / HOURS).astype(np.int64) + 2
    department = np.repeat(np.arange(departments), people)
    shifts = ("[]", '["morning", "afternoon"]', '["afternoon", "evening"]')
    every = '["morning", "afternoon", "evening"]'
    turn = np.arange(len(department)) % 5
    return pa.table(
        {
            "faculty_id": [f"F{number + 1:05d}" for number in range(len(department))],
            "department_id": [f"D{number + 1:02d}" for number in department],
            "max_hours_per_week": np.full(len(department), HOURS),
            "shifts": [shifts[at] if at in (1, 2) else every for at in turn],
        }
    )
