"""The task follows from the target's values, and what stands on which side is counted exactly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gathered import gathered, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.errors import ContractError
from studentsuccess.models.gather import Gatherer
from studentsuccess.models.incremental import Labels
from studentsuccess.models.labels import MOST_CLASSES, Asked, Target, study, text_of
from studentsuccess.models.split import Split, digest

ROWS = 300
RNG = np.random.default_rng(2)
SPLIT = Split(0.2)


def table(tmp_path: Path, target: pa.Array, step: int = 64) -> Gatherer:
    x = np.random.default_rng(3).normal(size=len(target))
    return gathered(tmp_path / "a.rows", {"x": pa.array(x), "y": target}, "y", step=step)


def studied(tmp_path: Path, target: pa.Array, asked: Asked = "auto") -> Target:
    found = table(tmp_path, target)
    return study(found.store(), found.target, SPLIT, asked)


def some(values: Any) -> Any:
    return np.array(values)[RNG.integers(0, len(values), ROWS)]


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        (pa.array(some(["Graduate", "Dropout"])), "classification", ("Dropout", "Graduate")),
        (pa.array(some([0, 1])), "classification", ("0", "1")),
        (pa.array(some([10, 9, 2])), "classification", ("2", "9", "10")),
        (pa.array(some([1.0, 2.5])), "classification", ("1", "2.5")),
        (pa.array(some([True, False])), "classification", ("false", "true")),
        (pa.array(some(range(10))), "classification", tuple("0123456789")),
        (pa.array(some(range(11))), "regression", ()),
        (pa.array(RNG.normal(size=ROWS)), "regression", ()),
    ],
)
def test_the_task_follows_from_the_values(
    tmp_path: Path, target: pa.Array, task: str, classes: tuple[str, ...]
) -> None:
    found = studied(tmp_path, target)
    assert (found.task, found.classes) == (task, classes)


def test_the_task_may_be_said(tmp_path: Path) -> None:
    marks = pa.array(some(range(21)))
    assert len(studied(tmp_path, marks, "classification").classes) == 21
    assert studied(tmp_path, pa.array(some([0, 1])), "regression").task == "regression"


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=40, max_size=120),
    share=st.sampled_from([0.2, 0.5]),
)
def test_every_row_is_counted_on_its_side(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str | None], share: float
) -> None:
    found = table(tmp_path_factory.mktemp("labels"), pa.array(labels, pa.string()), step=7)
    rows, split = rows_of(found.store()), Split(share)
    sides = Counter(
        (bool(held), label)
        for held, label in zip(split.held_out(rows["key"]), labels, strict=True)
        if label is not None
    )
    try:
        target = study(found.store(), found.target, split, "auto")
    except ContractError:
        known = {label for held, label in sides if not held}
        held = sum(count for (outside, _), count in sides.items() if outside)
        assert len(known) < 2 or not held
        return
    assert target.training.tolist() == [sides[False, one] for one in target.classes]
    assert target.held_out.tolist() == [sides[True, one] for one in target.classes]
    assert target.unknown == sum(n for (held, one), n in sides.items() if held and one not in target.classes)
    assert target.unlabelled == labels.count(None)
    held_keys = rows["key"][split.held_out(rows["key"]) & ~np.isnan(rows["target"])]
    assert target.digest == f"{digest(held_keys):016x}"


@pytest.mark.parametrize("centre", [0.0, 1e6, 1.7e9, 1e12])
def test_the_scale_of_a_number_is_right_however_far_from_zero_it_is(tmp_path: Path, centre: float) -> None:
    values = centre + np.random.default_rng(4).normal(0, 10, 3_000)
    found = table(tmp_path, pa.array(values))
    target = study(found.store(), found.target, SPLIT, "auto")
    rows = rows_of(found.store())
    mine = rows["target"][~SPLIT.held_out(rows["key"])]
    assert target.labels.mean == pytest.approx(float(mine.mean()), abs=1e-3)
    assert target.labels.spread == pytest.approx(float(mine.std()), rel=1e-3)


@pytest.mark.parametrize(
    ("target", "asked", "problem"),
    [
        (pa.array([None] * ROWS, pa.string()), "auto", "the target `y` is empty in every row"),
        (pa.array([None] * ROWS, pa.float64()), "auto", "the target `y` is empty in every row"),
        (pa.array(["yes"] * ROWS), "auto", "only one class"),
        (pa.array([3] * ROWS), "auto", "only one class"),
        (pa.array([0.1] * ROWS), "regression", "always the same"),
        (pa.array([1.7e9 + 0.1] * ROWS), "regression", "always the same"),
        (pa.array(RNG.normal(0, 1e200, ROWS)), "auto", "numbers too large to learn from"),
        (pa.array(some(["a", "b"])), "regression", "holds texts, and a regression predicts numbers"),
        (pa.array([str(at) for at in range(MOST_CLASSES + 2)]), "auto", "more than 1,000 classes"),
        (pa.array(range(MOST_CLASSES + 2)), "classification", "more than 1,000 classes"),
        (pa.array(["a", "b"]), "auto", "too few for an honest figure"),
        (pa.array(["a"]), "auto", "too few for an honest figure"),
    ],
)
def test_a_target_that_nothing_can_be_learned_from_is_refused(
    tmp_path: Path, target: pa.Array, asked: Asked, problem: str
) -> None:
    with pytest.raises(ContractError, match=problem) as caught:
        studied(tmp_path, target, asked)
    assert caught.value.hint
    assert "`yes`" not in caught.value.message, "a cell may be somebody's name"


def test_a_thousand_classes_are_not_too_many(tmp_path: Path) -> None:
    found = studied(tmp_path, pa.array([f"c{at % MOST_CLASSES:04d}" for at in range(12 * MOST_CLASSES)]))
    assert len(found.classes) == MOST_CLASSES
    assert list(found.classes) == sorted(found.classes)


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.integers(-5, 20).map(float), min_size=1, max_size=8, unique=True),
    asked=st.lists(st.integers(-6, 21)),
)
def test_a_class_is_told_by_its_place_and_a_stranger_by_minus_one(values: list[float], asked: list[int]) -> None:
    found = Labels(np.array(values)).encode(np.array(asked, np.float64))
    assert found.tolist() == [values.index(one) if one in values else -1 for one in asked]


def test_a_number_is_told_in_units_of_its_spread() -> None:
    labels = Labels(np.zeros(0), mean=10.0, spread=4.0)
    assert not labels.classes
    assert labels.encode(np.array([10.0, 18.0, 8.0])).tolist() == [0.0, 2.0, -0.5]


def test_a_class_is_told_as_people_write_it(tmp_path: Path) -> None:
    book = table(tmp_path, pa.array([0.5, 2.0, -1.0])).target
    assert [text_of(book, value) for value in (0.5, 2.0, -1.0)] == ["0.5", "2", "-1"]
