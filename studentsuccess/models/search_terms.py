"""What a search is given and what it brings: tables, options, a leaderboard, a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from studentsuccess.models.families import FAMILIES, Configuration, Parameters
from studentsuccess.models.manifest import Task
from studentsuccess.models.pipeline_inputs import Floats, Inputs
from studentsuccess.models.roles import Feature
from studentsuccess.models.search_folds import Interval

TRIALS, CV = 12, 5
OnTrial = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Table:
    """A table in memory. `matrix` holds all rows as `Inputs.of(features).encode` gives them, batch after batch.

    The target is the class's position or the number; `holdout` marks the rows that nobody learns from; rows of one
    group (of one student, say) are never on both sides of a fold.
    """

    matrix: Floats
    features: tuple[Feature, ...]
    target: npt.NDArray[Any]
    classes: tuple[str, ...]
    task: Task
    holdout: npt.NDArray[np.bool_]
    seed: int = 0
    groups: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Options:
    """How long and how wide to search. `on_trial` hears of fits done, fits in all and the best mean loss so far."""

    trials: int = TRIALS
    cv: int = CV
    workers: int = 1
    on_trial: OnTrial | None = None

    @property
    def kept(self) -> int:
        """How many configurations see all folds: the better half, and never fewer than there are families."""
        return min(self.trials, max(len(FAMILIES), (self.trials + 1) // 2))


@dataclass(frozen=True)
class Standing:
    """One line of the leaderboard: mean loss over the folds with its 95% interval; `seconds` of processor time.

    A line that is not finished was let go after the first folds, so that its loss is of other rows than the finished
    ones'. `behind` compares all: how much worse than the chosen one on the same folds.
    """

    rank: int
    name: str
    family: str
    parameters: Parameters
    loss: float
    low: float
    high: float
    behind: float
    folds: int
    finished: bool
    seconds: float
    baseline: bool


@dataclass(frozen=True)
class Verdict:
    """Whether the chosen model is better than the best baseline on the same folds, by more than chance explains."""

    beats_baseline: bool
    reason: str
    baseline: str
    gain: Interval


@dataclass(frozen=True)
class Choice:
    """What was chosen: one configuration, or several whose predictions are averaged."""

    name: str
    members: tuple[Configuration, ...]
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Found:
    """What a search brings. `model` is fitted on all rows but those held out, whose predictions are `predictions`.

    They are probabilities (rows x classes) or values (rows x 1), in the table's order of the rows held out.
    `half_width` belongs to numbers: so far from the truth, or nearer, were nine in ten predictions outside their folds.
    `extra` is what a `SearchModel` reads in its manifest's `extra`.
    """

    leaderboard: tuple[Standing, ...]
    choice: Choice
    model: Any
    predictions: Floats
    verdict: Verdict
    scoring: Literal["log_loss", "rmse"]
    folds: int
    half_width: float | None
    extra: Mapping[str, Any]


# The libraries' own part, and a table's: measured with 20 numbers and 16 codes a row, 100,000 and 200,000 rows, one and
# two workers. The matrix stands there once, the rows to learn from once more, and every fit under way has its own.
LIBRARY_BYTES = 192 << 20
TABLE_COPIES, WORKER_COPIES = 5.0, 4.5
# Of each row and class: the predictions of every trial, and the gradients of every fit under way.
PREDICTION_BYTES, GRADIENT_BYTES = 8, 40


def needed_bytes(rows: int, features: Sequence[Feature], outputs: int, options: Options) -> int:
    """About what a search holds at its peak, beyond the interpreter; `outputs` is the number of classes, or one."""
    matrix = rows * len(Inputs.of(features).owners) * 8
    told = rows * outputs * (PREDICTION_BYTES * (options.trials + 4) + GRADIENT_BYTES * options.workers)
    return LIBRARY_BYTES + int(matrix * (TABLE_COPIES + WORKER_COPIES * options.workers)) + told
