"""What the command line gives: sizes, weights, and how long to try; held to what is possible and to what is usual."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from studentsuccess.batching.input_problems import Code, Problem
from studentsuccess.batching.instance import Sizes, Weights

# Where institutions usually are.
USUAL = {
    "--min-size": (5, 25),
    "--target-size": (15, 80),
    "--max-size": (30, 100),
    "--max-iterations": (10, 1000),
    "--convergence": (1e-6, 1e-3),
}
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Arguments:
    """The numbers of a request."""

    sizes: Sizes = field(default_factory=Sizes)
    weights: Weights = field(default_factory=Weights)
    max_iterations: int | None = None
    convergence: float | None = None


def check_arguments(given: Arguments) -> Iterator[Problem]:
    """Everything that can't be, and everything that surprises."""
    sizes = given.sizes
    if not 1 <= sizes.least <= sizes.target <= sizes.most:
        said = f"sizes must be 1 ≤ min ≤ target ≤ max, not {sizes.least}, {sizes.target}, {sizes.most}"
        fix = "`--min-size 15 --target-size 35 --max-size 60`"
        yield Problem(Code.BATCH_SIZE_BOUNDS_VIOLATED, said, fix, column="--min-size")
    yield from _weights(given.weights)
    if given.max_iterations is not None and given.max_iterations < 1:
        yield Problem(Code.INVALID_ARGUMENT, "must be at least 1", "`--max-iterations 100`", column="--max-iterations")
    if given.convergence is not None and not 0 < given.convergence < 1:
        yield Problem(Code.INVALID_ARGUMENT, "must be between 0 and 1", "`--convergence 1e-4`", column="--convergence")
    asked = (sizes.least, sizes.target, sizes.most, given.max_iterations, given.convergence)
    for (flag, (least, most)), value in zip(USUAL.items(), asked, strict=True):
        if value is not None and not least <= value <= most:
            said = f"{value:g} is unusual: most are from {least:g} to {most:g}"
            yield Problem(Code.UNUSUAL_VALUE, said, column=flag, warning=True)


def _weights(weights: Weights) -> Iterator[Problem]:
    parts = (weights.homogeneity, weights.balance, weights.size)
    total = math.fsum(parts)
    if not all(math.isfinite(part) and part >= 0 for part in parts):
        said = "no weight may be below 0, and each must be a number"
    elif abs(total - 1) > TOLERANCE:
        said = f"the weights must sum to 1, not to {total:.6g}"
    elif weights.homogeneity + weights.size == 0:
        said = "batches are formed on homogeneity and size: one of the two needs a weight"
    else:
        return
    fix = "`--weights homogeneity=.4,balance=.3,size=.3`"
    yield Problem(Code.WEIGHT_NORMALIZATION_FAILED, said, fix, column="--weights")
