"""The learner's inner loops: softmax (or squared error) by stochastic gradient, each weight with its own step.

One row at a time and in an order that only the seed decides, so that neither batches nor workers can change a result.
Each weight's step shrinks with its own gradients (Adagrad); the weights kept are an average over an epoch in which
later ones count more, because the first ones are still far off.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from studentsuccess.core.jit import kernel, part, read

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Index = npt.NDArray[np.int64]
CLIP = 4.0
FLOOR = 1e-15
_INDEX, _DOUBLES, _TABLE = read(nb.int64), read(nb.float64), read(nb.float64, 2)
_GROWING = nb.float64[:, ::1]
# Numbers, codes; mean, inverse, starts, table: a piece of rows and the design that it is read by.
_ROWS = (read(nb.float32, 2), read(nb.int32, 2))
_DESIGN = (_DOUBLES, _DOUBLES, _INDEX, _INDEX)


@part
def _inputs(
    row: int,
    numbers: Singles,
    codes: Codes,
    mean: Doubles,
    inverse: Doubles,
    starts: Index,
    table: Index,
    at: Index,
    value: Doubles,
) -> int:
    """The weights that a row touches and with what: bias, number or its absence, code. Returns how many."""
    at[0] = 0
    value[0] = 1.0
    used = 1
    for column in range(len(mean)):
        number = np.float64(numbers[row, column])
        if np.isnan(number):
            at[used] = 2 + 2 * column
            value[used] = 1.0
        else:
            scaled = (number - mean[column]) * inverse[column]
            at[used] = 1 + 2 * column
            value[used] = min(max(scaled, -CLIP), CLIP)
        used += 1
    for column in range(len(starts) - 1):
        code = codes[row, column]
        if code >= 0:
            weight = table[starts[column] + code]
            if weight >= 0:
                at[used] = weight
                value[used] = 1.0
                used += 1
    return used


@part
def _scores(at: Index, value: Doubles, used: int, weights: Doubles, scores: Doubles) -> None:
    for output in range(len(scores)):
        scores[output] = 0.0
    for step in range(used):
        weight = at[step]
        amount = value[step]
        for output in range(len(scores)):
            scores[output] += amount * weights[weight, output]


@part
def _softmax(scores: Doubles) -> None:
    top = scores[0]
    for output in range(1, len(scores)):
        top = max(top, scores[output])
    total = 0.0
    for output in range(len(scores)):
        scores[output] = np.exp(scores[output] - top)
        total += scores[output]
    for output in range(len(scores)):
        scores[output] /= total


@kernel(
    nb.float64(*_ROWS, _DOUBLES, _INDEX, *_DESIGN, _GROWING, _GROWING, _GROWING, nb.float64, nb.float64, nb.boolean)
)
def learn(
    numbers: Singles,
    codes: Codes,
    target: Doubles,
    order: Index,
    mean: Doubles,
    inverse: Doubles,
    starts: Index,
    table: Index,
    weights: Doubles,
    squares: Doubles,
    pull: Doubles,
    seen: float,
    rate: float,
    classes: bool,
) -> float:
    """Go through the rows of `order` once; returns the loss before each step, summed.

    `squares` holds each weight's squared gradients, `pull` each weight's steps times the weight of the steps before:
    the average of the epoch is weights - pull / total.
    """
    outputs = weights.shape[1]
    scores = np.empty(outputs)
    at = np.empty(1 + len(mean) + len(starts), np.int64)
    value = np.empty(len(at))
    loss = 0.0
    for row in order:
        used = _inputs(row, numbers, codes, mean, inverse, starts, table, at, value)
        _scores(at, value, used, weights, scores)
        if classes:
            _softmax(scores)
            label = int(target[row])
            loss -= np.log(max(scores[label], FLOOR))
            scores[label] -= 1.0
        else:
            scores[0] -= target[row]
            loss += scores[0] * scores[0]
        before = 0.5 * seen * (seen + 1.0)
        seen += 1.0
        for step in range(used):
            weight = at[step]
            amount = value[step]
            for output in range(outputs):
                slope = scores[output] * amount
                squares[weight, output] += slope * slope
                move = -rate * slope / np.sqrt(squares[weight, output])
                weights[weight, output] += move
                pull[weight, output] += before * move
    return loss


@kernel(nb.void(*_ROWS, *_DESIGN, _TABLE, _GROWING, nb.boolean))
def predict(
    numbers: Singles,
    codes: Codes,
    mean: Doubles,
    inverse: Doubles,
    starts: Index,
    table: Index,
    weights: Doubles,
    found: Doubles,
    classes: bool,
) -> None:
    """Probabilities (or the value) of every row, into `found`."""
    at = np.empty(1 + len(mean) + len(starts), np.int64)
    value = np.empty(len(at))
    for row in range(len(found)):
        used = _inputs(row, numbers, codes, mean, inverse, starts, table, at, value)
        _scores(at, value, used, weights, found[row])
        if classes:
            _softmax(found[row])


@kernel(nb.void(*_ROWS, *_DESIGN, _INDEX, _TABLE, _INDEX, _GROWING))
def contribute(
    numbers: Singles,
    codes: Codes,
    mean: Doubles,
    inverse: Doubles,
    starts: Index,
    table: Index,
    owner: Index,
    weights: Doubles,
    wanted: Index,
    found: Doubles,
) -> None:
    """What each feature adds to the score of the wanted output of its row, over the average of all outputs."""
    at = np.empty(1 + len(mean) + len(starts), np.int64)
    value = np.empty(len(at))
    outputs = weights.shape[1]
    for row in range(len(found)):
        used = _inputs(row, numbers, codes, mean, inverse, starts, table, at, value)
        for step in range(1, used):
            weight = at[step]
            level = 0.0
            if outputs > 1:
                for output in range(outputs):
                    level += weights[weight, output] / outputs
            found[row, owner[weight]] += value[step] * (weights[weight, wanted[row]] - level)


@kernel(nb.void(_ROWS[0], _INDEX, nb.float64[::1], nb.float64[::1], nb.float64[::1]), allocates=False)
def moments(numbers: Singles, chosen: Index, count: Doubles, total: Doubles, squared: Doubles) -> None:
    """Present values, their sum and the sum of their squares, of the chosen rows, added to what is there."""
    for row in chosen:
        for column in range(numbers.shape[1]):
            number = np.float64(numbers[row, column])
            if not np.isnan(number):
                count[column] += 1.0
                total[column] += number
                squared[column] += number * number


@kernel(nb.void(_ROWS[1], _INDEX, _INDEX, nb.int64[::1]), allocates=False)
def tally(codes: Codes, chosen: Index, starts: Index, counts: Index) -> None:
    """How often each code stands in the chosen rows, added to what is there."""
    for row in chosen:
        for column in range(codes.shape[1]):
            code = codes[row, column]
            if code >= 0:
                counts[starts[column] + code] += 1
