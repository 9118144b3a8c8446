"""What is to be predicted: the classes of a target, or a number and its scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from studentsuccess.core.grammar import Kind
from studentsuccess.errors import ContractError
from studentsuccess.models.gather import ColumnBook
from studentsuccess.models.incremental import Labels
from studentsuccess.models.manifest import Task
from studentsuccess.models.metrics import Moments
from studentsuccess.models.softmax import Doubles, Index
from studentsuccess.models.split import Split, digest
from studentsuccess.models.store import Rows, RowStore

Asked = Literal["auto", "classification", "regression"]
# A numeric target with more values than this is a quantity.
MOST_NUMBER_CLASSES = 10
MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Target:
    """The task that follows from the target's values, and how often each class stands where."""

    task: Task
    labels: Labels
    classes: tuple[str, ...]
    training: Index
    held_out: Index
    unknown: int
    unlabelled: int
    digest: str


@dataclass
class _Seen:
    """What one look at all targets brings."""

    counts: dict[float, list[int]] = field(default_factory=dict)
    moments: Moments = field(default_factory=Moments)
    held: int = 0
    keys: int = 0
    unlabelled: int = 0

    def add(self, rows: Rows, split: Split) -> None:
        target = np.ascontiguousarray(rows["target"])
        self.unlabelled += int(np.isnan(target).sum())
        usable, outside = np.isfinite(target), split.held_out(rows["key"])
        held = usable & outside
        self.held += int(held.sum())
        self.keys = digest(rows["key"][held], self.keys)
        values = target[usable & ~outside]
        self.moments.add(values)
        for side, chosen in enumerate((values, target[held])):
            self._count(side, chosen)

    def _count(self, side: int, values: Doubles) -> None:
        if len(self.counts) <= MOST_CLASSES:
            for value, count in zip(*np.unique(values, return_counts=True), strict=True):
                self.counts.setdefault(float(value), [0, 0])[side] += int(count)


def study(store: RowStore, book: ColumnBook, split: Split, asked: Asked) -> Target:
    """Look at all targets once; a class that is only held out is unknown to the model."""
    seen = _Seen()
    for rows in store.scan():
        seen.add(rows, split)
    _enough(book, seen.moments.count, seen.held)
    return (_numbers if _task(book, seen.counts, asked) == "regression" else _classes)(book, seen)


def _task(book: ColumnBook, counts: dict[float, list[int]], asked: Asked) -> Task:
    name = book.column.name
    if book.is_text:
        if asked == "regression":
            raise ContractError(
                f"the target `{name}` holds texts, and a regression predicts numbers", "leave `--task` out"
            )
        return "classification"
    if asked != "auto":
        return asked
    many = book.column.kind is not Kind.BOOLEAN and len(counts) > MOST_NUMBER_CLASSES
    return "regression" if many else "classification"


def _numbers(book: ColumnBook, seen: _Seen) -> Target:
    moments = seen.moments
    spread = float(np.sqrt(moments.squares / moments.count))
    if not np.isfinite(spread):
        raise ContractError(
            f"the target `{book.column.name}` holds numbers too large to learn from",
            "look for a wrong one, or leave it empty",
        )
    if not spread:
        raise ContractError(
            f"the target `{book.column.name}` is always the same: there is nothing to learn", "choose another target"
        )
    sides = np.array([moments.count]), np.array([seen.held])
    labels = Labels(np.zeros(0), moments.mean, spread)
    return Target("regression", labels, (), *sides, 0, seen.unlabelled, f"{seen.keys:016x}")


def _classes(book: ColumnBook, seen: _Seen) -> Target:
    name, counts = book.column.name, seen.counts
    if len(counts) > MOST_CLASSES:
        raise ContractError(
            f"the target `{name}` has more than {MOST_CLASSES:,} classes: it looks like an id or a free text",
            "choose another target, or `--task regression` for a number",
        )
    learned = sorted((text_of(book, value), value) for value, (training, _) in counts.items() if training)
    if len(learned) < 2:
        raise ContractError(
            f"the target `{name}` has only one class: there is nothing to learn",
            "give rows of at least two classes, or choose another target",
        )
    if not book.is_text:
        learned.sort(key=lambda pair: pair[1])
    values = np.array([value for _, value in learned])
    return Target(
        "classification",
        Labels(values),
        tuple(text for text, _ in learned),
        np.array([counts[value][0] for value in values], np.int64),
        np.array([counts[value][1] for value in values], np.int64),
        sum(held for training, held in counts.values() if not training),
        seen.unlabelled,
        f"{seen.keys:016x}",
    )


def text_of(book: ColumnBook, value: float) -> str:
    """A class as people know it."""
    if book.is_text:
        return book.levels[int(value)]
    if book.column.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    return str(int(value)) if value == int(value) else repr(value)


def _enough(book: ColumnBook, training: int, held_out: int) -> None:
    if training >= 2 and held_out >= 1:
        return
    if not training + held_out:
        raise ContractError(f"the target `{book.column.name}` is empty in every row", "choose another target")
    raise ContractError(
        f"{training} rows to learn from and {held_out} held out are too few for an honest figure",
        "give more rows, or hold out another share: `--holdout 0.5`",
    )
