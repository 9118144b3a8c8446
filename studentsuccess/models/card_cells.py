"""Small counts are hidden, and enough others that the sums beside them do not give them away."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Hidden = npt.NDArray[np.bool_]


def hide_line(counts: Counts, smallest: int) -> Hidden:
    """Which of the counts to hide when their sum is known."""
    hidden = counts < smallest
    _never_alone(counts, hidden)
    return hidden


def hide_table(counts: Counts, smallest: int) -> tuple[Hidden, Hidden]:
    """Which cells to hide, and which sums of rows.

    The sums of columns, of the diagonal (the accuracy) and of everything are taken as known.
    """
    rows, columns = counts.shape
    sums = np.column_stack([counts, counts.sum(axis=1)])
    hidden = sums < smallest
    square = min(rows, columns)
    diagonals = sums[:square, :square].diagonal(), np.einsum("ii->i", hidden[:square, :square])
    lines = [*zip(sums, hidden, strict=True), *zip(sums.T, hidden.T, strict=True), diagonals]
    before = -1
    while (now := int(hidden.sum())) != before:
        before = now
        for line, mask in lines:
            _never_alone(line, mask)
    return hidden[:, :-1], hidden[:, -1]


def _never_alone(counts: Counts, hidden: Hidden) -> None:
    """Hide the smallest other cell of a line in which one cell alone is hidden. Writes into `hidden`."""
    if int(hidden.sum()) == 1 and len(hidden) > 1:
        hidden[np.argmin(np.where(hidden, np.iinfo(np.int64).max, counts))] = True
