"""Students who are to stay together, and batches that are to stay as they were."""

from __future__ import annotations

import numpy as np

from studentsuccess.batching.group_part import Part, Ties, batch_sums
from studentsuccess.batching.instance import Codes, Ints
from studentsuccess.batching.kmeans import fit_sizes

# What moving a student out of a former batch must gain, in parts of the weight of pairs. At 1 their mean cosine to the
# others must go up by .5: only who is plainly in the wrong place by now is moved.
MOVE_COST = 1.0


def gathered(
    part: Part, labels: Ints, batches: int, together: tuple[Ints, ...], home: Codes | None = None
) -> tuple[Ints, Ties | None] | None:
    """Labels with each group in the batch where most of it is, and held there; None where no batch has the room."""
    labels, locked = labels.copy(), np.zeros(part.count, np.bool_)
    for group in sorted(together, key=lambda rows: (-len(rows), int(rows.min()))):
        votes = np.bincount(labels[group], minlength=batches)
        locked[group] = True
        for batch in np.argsort(-votes, kind="stable").tolist():
            if _gather(part, labels, group, batch, locked):
                break
        else:
            return None
    if not together and home is None:
        return labels, None
    kept = home if home is not None else np.full(part.count, -1, np.int32)
    return labels, Ties(locked, kept, MOVE_COST * part.pair_gain)


def _gather(part: Part, labels: Ints, group: Ints, batch: int, locked: np.ndarray) -> bool:
    """Change places with those of the batch who are least like the group."""
    coming = group[labels[group] != batch]
    free = np.flatnonzero((labels == batch) & ~locked)
    if len(free) < len(coming):
        return False
    near = part.vectors[free] @ part.vectors[group].sum(axis=0)
    leaving = free[np.argsort(near, kind="stable")[: len(coming)]]
    labels[leaving] = labels[coming]
    labels[coming] = batch
    return True


def kept_batches(part: Part, previous: Codes, batches: int) -> tuple[Ints, Codes]:
    """Labels from last time's batches, who is new where they fit; and the batch that is each one's own again."""
    codes, many = np.unique(previous[previous >= 0], return_counts=True)
    kept = codes[np.argsort(-many, kind="stable")[:batches]]
    lookup = {code: at for at, code in enumerate(kept.tolist())}
    home = np.array([lookup.get(code, -1) for code in previous.tolist()], np.int32)
    now = np.bincount(home[home >= 0], minlength=batches)
    size = _sizes(now, part)
    labels = home.astype(np.int64)
    near = part.vectors @ batch_sums(part, np.where(home >= 0, home, batches), batches + 1)[:batches].T
    for batch in np.flatnonzero(now > size).tolist():
        rows = np.flatnonzero(labels == batch)
        leaving = rows[np.argsort(near[rows, batch], kind="stable")[: int(now[batch] - size[batch])]]
        labels[leaving] = -1
    open_rows = np.flatnonzero(labels < 0)
    if len(open_rows):
        seats = size - np.bincount(labels[labels >= 0], minlength=batches)
        labels[open_rows] = fit_sizes(near[open_rows] / np.maximum(now, 1), seats)
    return labels, home


def _sizes(now: Ints, part: Part) -> Ints:
    """Sizes that sum to all students: as they are where they may be, who is new in the smallest."""
    size = np.minimum(now, part.sizes.most)
    while (size < part.sizes.least).any() or size.sum() < part.count:
        if size.sum() == part.count:
            size[int(size.argmax())] -= 1
        size[int(size.argmin())] += 1
    return size
