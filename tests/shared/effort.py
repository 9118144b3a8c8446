"""How much of a long test is done: a sample every day, all of it with `scripts/test --full`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

FULL = os.environ.get("SS_TEST_FULL") == "1"
T = TypeVar("T")


def sample(every: Sequence[T], daily: Sequence[T]) -> Sequence[T]:
    """The cases of a sweep; those of every day are among them."""
    assert all(one in every for one in daily)
    return every if FULL else daily


def examples(full: int, daily: int) -> int:
    """How many examples a property is held against."""
    return full if FULL else daily
