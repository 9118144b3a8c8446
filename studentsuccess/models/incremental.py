"""Learning from rows on disk, in passes: out of core, in an order that only the seed decides, and resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from studentsuccess.models.design import Design, Facts
from studentsuccess.models.gather import ColumnBook
from studentsuccess.models.softmax import Doubles, Index, learn, moments, predict, tally
from studentsuccess.models.split import Split
from studentsuccess.models.store import Positions, Rows, RowStore

# A buffer is made of blocks from all over the file, so that even a file sorted by class is mixed well.
BLOCK_ROWS, BUFFER_BLOCKS = 256, 128
# Chosen on the UCI 697 table by repeated cross-validation; a table of two million rows is indifferent to them.
RATE = 0.03
FIRST_SQUARE = 1.0
MOST_EPOCHS, LEAST_GAIN = 50, 1e-4
# The inner slice of a small table is noisy: it is asked more often before it is believed.
SMALL_ROWS, SMALL_PATIENCE, PATIENCE = 100_000, 4, 2
FLOOR = 1e-15


@dataclass(frozen=True)
class Labels:
    """From a stored target to what is learned: the place of a class, or a number in units of its spread."""

    values: Doubles
    mean: float = 0.0
    spread: float = 1.0

    @property
    def classes(self) -> bool:
        return len(self.values) > 0

    def encode(self, target: Doubles) -> Doubles:
        """Classes by place (-1: none of them); numbers standardised."""
        if not self.classes:
            return np.asarray((target - self.mean) / self.spread)
        order = np.argsort(self.values)
        found = np.searchsorted(self.values[order], target).clip(0, len(order) - 1)
        known = self.values[order][found] == target
        return np.where(known, order[found], -1).astype(np.float64)


@dataclass
class State:
    """Everything that the next epoch starts from; what a checkpoint keeps."""

    weights: Doubles
    squares: Doubles
    best: Doubles
    best_loss: float = np.inf
    best_epoch: int = 0
    epoch: int = 0

    @classmethod
    def begin(cls, width: int, outputs: int) -> State:
        shape = (width, outputs)
        return cls(np.zeros(shape), np.full(shape, FIRST_SQUARE), np.zeros(shape))


@dataclass(frozen=True)
class Effort:
    """How long to learn. No `epochs`: until the inner slice gains nothing."""

    epochs: int | None = None
    seed: int = 0
    everything: bool = False
    inner: bool = True


@dataclass(frozen=True)
class Progress:
    """What may be shown of an epoch under way."""

    epoch: int
    epochs: int | None
    rows: int
    loss: float


@dataclass(frozen=True)
class Fitted:
    """The weights that are kept, and how they came about."""

    weights: Doubles
    epochs: int
    inner_loss: float
    losses: tuple[float, ...] = field(default=())


def measure(store: RowStore, books: Sequence[ColumnBook], chosen: Callable[[Rows], Positions]) -> dict[str, Facts]:
    """Scale and frequency of every column over the chosen rows, in an order that batches have no part in."""
    shape = store.shape
    count, total, squared = (np.zeros(shape.numbers) for _ in range(3))
    widths = np.zeros(shape.codes + 1, np.int64)
    for book in books:
        if book.code is not None:
            widths[book.code + 1] = book.width
    starts = np.cumsum(widths)
    counts = np.zeros(int(starts[-1]), np.int64)
    rows_chosen = 0
    for rows in store.scan():
        mine = chosen(rows)
        rows_chosen += len(mine)
        moments(np.ascontiguousarray(rows["numbers"]), mine, count, total, squared)
        tally(_within(np.ascontiguousarray(rows["codes"]), widths[1:]), mine, starts, counts)
    return {book.column.name: _facts(book, count, total, squared, starts, counts) for book in books}


def _within(codes: npt.NDArray[np.int32], widths: Index) -> npt.NDArray[np.int32]:
    """Codes of a column that turned out to have too many are none."""
    codes[codes >= widths.astype(np.int32)] = -1
    return codes


def _facts(book: ColumnBook, count: Doubles, total: Doubles, squared: Doubles, starts: Index, counts: Index) -> Facts:
    mine = counts[starts[book.code] : starts[book.code + 1]] if book.code is not None else counts[:0]
    if book.number is None:
        return Facts(int(mine.sum()), 0.0, 0.0, mine)
    present = count[book.number]
    mean = total[book.number] / present if present else 0.0
    variance = squared[book.number] / present - mean * mean if present else 0.0
    return Facts(int(present), float(mean), float(np.sqrt(max(variance, 0.0))), mine)


class Learner:
    """Epochs over a store for one design."""

    def __init__(self, store: RowStore, design: Design, labels: Labels, split: Split, effort: Effort) -> None:
        self._store, self._design, self._labels = store, design, labels
        self._split, self._effort = split, effort
        self.state = State.begin(design.width, max(1, len(labels.values)))

    @property
    def rows(self) -> int:
        """How many rows an epoch goes through, those passed over among them."""
        return self._store.rows

    @property
    def _slices(self) -> bool:
        """Whether an inner slice is set apart: to stop by, and to see how wide an interval must be."""
        wanted = self._effort.epochs is None or not self._labels.classes
        return wanted and self._effort.inner and not self._effort.everything

    def training(self, rows: Rows) -> Positions:
        """Which rows of a piece are learned from."""
        return np.flatnonzero(self._usable(rows) & ~self._inner(rows))

    def inner(self, rows: Rows) -> Positions:
        return np.flatnonzero(self._usable(rows) & self._inner(rows))

    def _usable(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """A held-out row may be of a class that the model does not know: no refit learns from it."""
        usable: npt.NDArray[np.bool_] = np.isfinite(rows["target"])
        if not self._effort.everything:
            return usable & ~self._split.held_out(rows["key"])
        return usable & (self._labels.encode(rows["target"]) >= 0) if self._labels.classes else usable

    def _inner(self, rows: Rows) -> npt.NDArray[np.bool_]:
        return self._split.inner(rows["key"]) if self._slices else np.zeros(len(rows), bool)

    def fit(
        self, keep: Callable[[State], None], show: Callable[[Progress], None], losses: list[float] | None = None
    ) -> Fitted:
        """Go on from the state until the epochs are done or nothing is gained; `keep` may write a checkpoint."""
        state, told = self.state, losses if losses is not None else []
        most = self._effort.epochs or MOST_EPOCHS
        while state.epoch < most and not self._settled():
            average, loss = self._epoch(show)
            state.epoch += 1
            told.append(loss)
            self._judge(average)
            keep(state)
        return Fitted(state.best, state.best_epoch, state.best_loss, tuple(told))

    def _settled(self) -> bool:
        patience = SMALL_PATIENCE if self._store.rows < SMALL_ROWS else PATIENCE
        return self._effort.epochs is None and self.state.epoch - self.state.best_epoch >= patience

    def _judge(self, average: Doubles) -> None:
        """Keep the average when the inner slice likes it better, or the last one when their number is given."""
        state = self.state
        loss = self.inner_loss(average) if self._slices else np.nan
        if self._effort.epochs is not None or not loss >= state.best_loss * (1 - LEAST_GAIN):
            state.best, state.best_loss, state.best_epoch = average, loss, state.epoch

    def _epoch(self, show: Callable[[Progress], None]) -> tuple[Doubles, float]:
        state, design = self.state, self._design
        pull = np.zeros_like(state.weights)
        loss, seen = 0.0, 0
        for rows, order in self._shuffled(state.epoch):
            loss += learn(
                design.numbers_of(rows), design.codes_of(rows), self._labels.encode(rows["target"]), order,
                design.mean, design.inverse, design.starts, design.table,
                state.weights, state.squares, pull, float(seen), RATE, self._labels.classes,
            )  # fmt: skip
            seen += len(order)
            show(Progress(state.epoch + 1, self._effort.epochs, len(rows), loss / max(seen, 1)))
        return state.weights - pull / max(0.5 * seen * (seen + 1.0), 1.0), loss / max(seen, 1)

    def _shuffled(self, epoch: int) -> Iterator[tuple[Rows, Positions]]:
        """Buffers of blocks from all over the file and the order of their rows; one is read while one is learned."""
        draw = np.random.default_rng([self._effort.seed, epoch])
        blocks = draw.permutation(-(-self._store.rows // BLOCK_ROWS))
        groups = [blocks[first : first + BUFFER_BLOCKS] for first in range(0, len(blocks), BUFFER_BLOCKS)]
        with self._store.open() as source, ThreadPoolExecutor(1, thread_name_prefix="ss-rows") as ahead:
            coming = [ahead.submit(self._gather, source, group) for group in groups[:1]]
            for number in range(len(groups)):
                rows = coming.pop().result()
                if number + 1 < len(groups):
                    coming.append(ahead.submit(self._gather, source, groups[number + 1]))
                yield rows, draw.permutation(self.training(rows))

    def _gather(self, source: object, group: npt.NDArray[np.int64]) -> Rows:
        store = self._store
        sizes = np.minimum(BLOCK_ROWS, store.rows - group * BLOCK_ROWS)
        rows = np.empty(int(sizes.sum()), store.shape.dtype)
        at = 0
        for block, size in zip(group.tolist(), sizes.tolist(), strict=True):
            store.read_into(source, block * BLOCK_ROWS, rows[at : at + size])  # type: ignore[arg-type]
            at += size
        return rows

    def inner_loss(self, weights: Doubles) -> float:
        """The loss of some weights on the inner slice."""
        total, count = 0.0, 0
        for rows in self._store.scan():
            mine = rows[self.inner(rows)]
            found = predicted(self._design, mine, weights, self._labels.classes)
            total += _loss(found, self._labels.encode(mine["target"]), self._labels.classes)
            count += len(mine)
        return total / count if count else np.nan

    def residuals(self, weights: Doubles) -> Doubles:
        """How far off the inner slice's numbers are, in their own units; without such a slice, those learned from."""
        found = self._residuals(weights, self.inner)
        return found if len(found) else self._residuals(weights, self.training)

    def _residuals(self, weights: Doubles, chosen: Callable[[Rows], Positions]) -> Doubles:
        parts = [np.zeros(0)]
        for rows in self._store.scan():
            mine = rows[chosen(rows)]
            found = predicted(self._design, mine, weights, classes=False)[:, 0]
            parts.append(np.abs(found - self._labels.encode(mine["target"])) * self._labels.spread)
        return np.concatenate(parts)


def predicted(design: Design, rows: Rows, weights: Doubles, classes: bool) -> Doubles:
    """Probabilities, or the standardised value, of encoded rows."""
    found = np.empty((len(rows), weights.shape[1]))
    predict(
        design.numbers_of(rows), design.codes_of(rows), design.mean, design.inverse, design.starts, design.table,
        weights, found, classes,
    )  # fmt: skip
    return found


def _loss(found: Doubles, wanted: Doubles, classes: bool) -> float:
    if not classes:
        return float(((found[:, 0] - wanted) ** 2).sum())
    hits = found[np.arange(len(found)), wanted.astype(np.int64)]
    return float(-np.log(np.maximum(hits, FLOOR)).sum())


def expectation(design: Design, facts: Mapping[str, Facts], rows: int) -> Doubles:
    """What a row brings to each weight on average: the point from which explanations are told."""
    found = np.zeros(design.width)
    found[0] = 1.0
    at = 1
    for feature in design.features:
        if feature.has_number:
            found[at + 1] = 1.0 - facts[feature.name].present / max(rows, 1)
            at += 2
    coded = [feature for feature in design.features if feature.has_category]
    for place, feature in enumerate(coded):
        weights = design.table[design.starts[place] : design.starts[place + 1]]
        counts = facts[feature.name].counts
        found[weights[weights >= 0]] = counts[weights >= 0] / max(rows, 1)
    return found
