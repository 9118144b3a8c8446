"""What the report needs to know beside the warehouse: its title, where lines are drawn, what was planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Recovery:
    """The truth of generated data, held against what was found. A figure that can't be had is None.

    `error` is how far predicted risks lie from the true probabilities, `bias` how far too high they are on average.
    """

    planted_rows: int | None = None
    rejected_rows: int | None = None
    other_rows: int | None = None
    planted_effects: int = 0
    found_effects: int = 0
    error: float | None = None
    bias: float | None = None
    linked: float | None = None


@dataclass(frozen=True)
class Setting:
    """The settings that the report follows, and where its neighbours lie. `demo` is there for generated data only."""

    title: str
    school: str | None
    currency: str
    least: int
    high_risk: float
    alert_limit: float
    capacity: int
    top_k: int
    value_per_pass: float
    contact_cost: float
    calls_file: str = "outputs/alerts/calls_latest.csv"
    letters_folder: str = "inputs/dlq"
    start_days: Mapping[str, date] = field(default_factory=dict)
    demo: Recovery | None = None
