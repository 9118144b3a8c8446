"""Why not (to come)."""

from __future__ import annotations

from studentsuccess.batching.instance import Grouping, Instance, Obstacle
from studentsuccess.batching.place_case import Case


def why_not(instance: Instance, grouping: Grouping, case: Case) -> tuple[Obstacle, ...]:
    """The reasons."""
    return (Obstacle("INSUFFICIENT_ROOMS", "all", case.batches, 0, 0, f"{grouping.count} batches don't fit", ()),)
