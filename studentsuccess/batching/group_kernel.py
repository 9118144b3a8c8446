"""The compiled loop of annealing."""

from __future__ import annotations

import numba as nb
import numpy as np

from studentsuccess.batching.instance import Codes, Floats, Ints
from studentsuccess.core.jit import kernel, read

_FLOAT, _INT, _CODE = nb.float64, nb.int64, nb.int32
# xorshift64*, of Vigna 2016: a stream of our own does not change with a library's version.
_MULTIPLIER = np.uint64(0x2545F4914F6CDD1D)
_TO_UNIT = 1.0 / 9007199254740992.0
_MOVE = 0.1  # of the tries; the others are swaps


@kernel(
    _FLOAT(
        read(_FLOAT, 2),
        read(_INT),
        read(_CODE),
        _INT[::1],
        _INT[::1],
        _FLOAT[:, ::1],
        _FLOAT[::1],
        nb.uint64[::1],
        _INT,
        read(_FLOAT),
        read(_FLOAT),
    ),
    allocates=False,
)
def anneal_steps(  # noqa: C901
    vectors: Floats,
    start: Ints,
    column: Codes,
    labels: Ints,
    size: Ints,
    sums: Floats,
    pairs: Floats,
    state: np.typing.NDArray[np.uint64],
    steps: int,
    problem: Floats,
    heat: Floats,
) -> float:
    """Try swaps and moves at random, take the better ones and, the hotter the oftener, worse ones; the gain of all.

    `problem`: weight of pairs, weight of sizes, curvature, target, least, most. `heat`: the first temperature and the
    factor of each step; a temperature of 0 takes only what is better.
    """
    weight, size_weight, curvature, target, least, most = (
        problem[0],
        problem[1],
        problem[2],
        problem[3],
        problem[4],
        problem[5],
    )
    count, batches = labels.shape[0], size.shape[0]
    temperature, total, bits = heat[0], 0.0, state[0]
    for _ in range(steps):
        temperature *= heat[1]
        bits ^= bits >> np.uint64(12)
        bits ^= bits << np.uint64(25)
        bits ^= bits >> np.uint64(27)
        drawn = bits * _MULTIPLIER
        one = np.int64((drawn >> np.uint64(32)) * np.uint64(count) >> np.uint64(32))
        low = drawn & np.uint64(0xFFFFFFFF)
        here = labels[one]
        bits ^= bits >> np.uint64(12)
        bits ^= bits << np.uint64(25)
        bits ^= bits >> np.uint64(27)
        chance = np.float64((bits * _MULTIPLIER) >> np.uint64(11)) * _TO_UNIT
        moving = chance < _MOVE
        other = np.int64(-1)
        if moving:
            there = np.int64(low * np.uint64(batches) >> np.uint64(32))
            if there == here or size[here] <= least or size[there] >= most:
                continue
            chance /= _MOVE
        else:
            other = np.int64(low * np.uint64(count) >> np.uint64(32))
            there = labels[other]
            if there == here:
                continue
            chance = (chance - _MOVE) / (1.0 - _MOVE)
        left, gone, own = 0.0, 0.0, 0.0
        for at in range(start[one], start[one + 1]):
            value = vectors[one, column[at]]
            left += value * sums[here, column[at]]
            gone += value * sums[there, column[at]]
            own += value * value
        left -= own
        many, few = np.float64(size[here]), np.float64(size[there])
        if moving:
            first, second = -2.0 * left, 2.0 * gone
            after_here = (pairs[here] + first) / (many - 2.0) if many > 2.0 else 0.0
            before_there = pairs[there] / (few - 1.0) if few > 1.0 else 0.0
            gain = weight * (
                after_here - pairs[here] / (many - 1.0) + (pairs[there] + second) / few - before_there
            ) - size_weight * curvature * (
                (many - 1.0 - target) ** 2 + (few + 1.0 - target) ** 2 - (many - target) ** 2 - (few - target) ** 2
            )
        else:
            came, out, both, theirs = 0.0, 0.0, 0.0, 0.0
            for at in range(start[other], start[other + 1]):
                value = vectors[other, column[at]]
                came += value * sums[here, column[at]]
                out += value * sums[there, column[at]]
                both += value * vectors[one, column[at]]
                theirs += value * value
            first = 2.0 * (came - left - both)
            second = 2.0 * (gone - (out - theirs) - both)
            gain = 0.0
            if many > 1.0:
                gain += weight * first / (many - 1.0)
            if few > 1.0:
                gain += weight * second / (few - 1.0)
        if gain <= 0.0 and (temperature <= 0.0 or chance >= np.exp(gain / temperature)):
            continue
        total += gain
        pairs[here] += first
        pairs[there] += second
        labels[one] = there
        for at in range(start[one], start[one + 1]):
            sums[here, column[at]] -= vectors[one, column[at]]
            sums[there, column[at]] += vectors[one, column[at]]
        if moving:
            size[here] -= 1
            size[there] += 1
        else:
            labels[other] = here
            for at in range(start[other], start[other + 1]):
                sums[there, column[at]] -= vectors[other, column[at]]
                sums[here, column[at]] += vectors[other, column[at]]
    state[0] = bits
    return total
