"""The compiled loop of annealing."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from studentsuccess.batching.instance import Codes, Floats, Ints
from studentsuccess.core.jit import kernel, part, read

_FLOAT, _INT, _CODE = nb.float64, nb.int64, nb.int32
# xorshift64*, of Vigna 2016: a stream of our own does not change with a library's version.
_A, _B, _C = np.uint64(12), np.uint64(25), np.uint64(27)
_MULTIPLIER = np.uint64(0x2545F4914F6CDD1D)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_TO_UNIT = 1.0 / 4294967296.0
# Of the tries; the others are swaps.
_MOVES = 0.1


@part
def _next(bits: np.uint64) -> np.uint64:
    bits ^= bits >> _A
    bits ^= bits << _B
    bits ^= bits >> _C
    return bits


@part
def _dot(start: Ints, column: Codes, value: Floats, row: Any, sums: Floats) -> float:
    """A student's vector times the sum of a batch."""
    found = 0.0
    for at in range(start[row], start[row + 1]):
        found += value[at] * sums[column[at]]
    return found


@part
def _cosine(start: Ints, column: Codes, value: Floats, one: Any, other: Any) -> float:
    """Two students' vectors, both in the order of columns."""
    first, second, found = start[one], start[other], 0.0
    while first < start[one + 1] and second < start[other + 1]:
        if column[first] == column[second]:
            found += value[first] * value[second]
        step = column[first] <= column[second]
        second += column[first] >= column[second]
        first += step
    return found


@part
def _transfer(start: Ints, column: Codes, value: Floats, row: Any, here: Floats, there: Floats) -> None:
    for at in range(start[row], start[row + 1]):
        here[column[at]] -= value[at]
        there[column[at]] += value[at]


@part
def _move_gain(problem: Floats, here: float, there: float, less: float, more: float, many: float, few: float) -> float:
    """`here` and `there`: the batches' sums over pairs; `less` and `more`: what the student takes and brings."""
    after = (here - less) / (many - 2.0) if many > 2.0 else 0.0
    before = there / (few - 1.0) if few > 1.0 else 0.0
    alike = after - here / (many - 1.0) + (there + more) / few - before
    off_here, off_there = many - problem[3], few - problem[3]
    size = (off_here - 1.0) ** 2 + (off_there + 1.0) ** 2 - off_here**2 - off_there**2
    return float(problem[0] * alike - problem[1] * problem[2] * size)


@kernel(
    _FLOAT(
        *(read(_INT), read(_CODE), read(_FLOAT), read(_FLOAT)),
        *(_INT[::1], _INT[::1], _FLOAT[:, ::1], _FLOAT[::1], nb.uint64[::1]),
        *(_INT, read(_FLOAT), read(_FLOAT)),
    ),
    allocates=False,
)
def anneal_steps(
    start: Ints,
    column: Codes,
    value: Floats,
    square: Floats,
    labels: Ints,
    size: Ints,
    sums: Floats,
    pairs: Floats,
    state: npt.NDArray[np.uint64],
    steps: int,
    problem: Floats,
    heat: Floats,
) -> float:
    """Try swaps and moves at random; take the better ones and, the hotter the oftener, worse ones. What all gained.

    Students are sparse rows, their square the squared length; labels, size, sums and sums over pairs of the batches,
    and the state of the random numbers, are kept up to date. `problem`: weights of pairs and sizes, curvature, target,
    least, most. `heat`: the first temperature and the factor of each step; at 0 only what is better is taken.
    """
    count, batches = np.uint64(labels.shape[0]), np.uint64(size.shape[0])
    temperature, total, bits = heat[0], 0.0, state[0]
    for _ in range(steps):
        temperature *= heat[1]
        bits = _next(bits)
        drawn = bits * _MULTIPLIER
        bits = _next(bits)
        chance = np.float64((bits * _MULTIPLIER) >> _HALF) * _TO_UNIT
        one = np.int64((drawn >> _HALF) * count >> _HALF)
        moving = chance < _MOVES
        other = np.int64(-1) if moving else np.int64((drawn & _LOW) * count >> _HALF)
        here = labels[one]
        there = np.int64((drawn & _LOW) * batches >> _HALF) if moving else labels[other]
        if here == there or (moving and (size[here] <= problem[4] or size[there] >= problem[5])):
            continue
        chance = chance / _MOVES if moving else (chance - _MOVES) / (1.0 - _MOVES)
        many, few = np.float64(size[here]), np.float64(size[there])
        less = 2.0 * (_dot(start, column, value, one, sums[here]) - square[one])
        more = 2.0 * _dot(start, column, value, one, sums[there])
        if moving:
            gain = _move_gain(problem, pairs[here], pairs[there], less, more, many, few)
            less = -less
        else:
            both = 2.0 * _cosine(start, column, value, one, other)
            less = 2.0 * _dot(start, column, value, other, sums[here]) - less - both
            more -= 2.0 * (_dot(start, column, value, other, sums[there]) - square[other]) + both
            gain = problem[0] * (less / max(many - 1.0, 1.0) + more / max(few - 1.0, 1.0))
        if gain <= 0.0 and (temperature <= 0.0 or chance >= np.exp(gain / temperature)):
            continue
        total += gain
        pairs[here] += less
        pairs[there] += more
        labels[one] = there
        _transfer(start, column, value, one, sums[here], sums[there])
        if moving:
            size[here] -= 1
            size[there] += 1
        else:
            labels[other] = here
            _transfer(start, column, value, other, sums[there], sums[here])
    state[0] = bits
    return total
