"""Figures that are added up over batches, held against scikit-learn and against numbers worked out by hand."""

from __future__ import annotations

import json
import math
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.errors import ContractError, ExitCode, SsError
from studentsuccess.models.metrics import ClassMetrics, Moments, ValueMetrics, majority, mean_baseline

EXAMPLES = examples(2_000, daily=40)


@dataclass(frozen=True)
class Case:
    """Rows with known answers: labels by index (-1: a label that the model does not know) and probabilities."""

    classes: int
    actual: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"class {place}" for place in range(self.classes))

    def metrics(self, start: int = 0, stop: int | None = None) -> ClassMetrics:
        found = ClassMetrics(self.names)
        found.add(self.actual[start:stop], self.probabilities[start:stop])
        return found


def _case(seed: int, rows: int, classes: int, unknown: bool = False, sharp: float = 1.0) -> Case:
    """`sharp` near 0 gives probabilities of nearly (and exactly) 0 and 1."""
    chance = np.random.default_rng(seed)
    likely = chance.dirichlet(np.full(classes, sharp), rows) if classes > 1 else np.ones((rows, 1))
    likely[~np.isfinite(likely).all(axis=1)] = 1 / classes
    return Case(classes, chance.integers(-1 if unknown else 0, classes, rows), likely)


CASES = st.builds(
    _case,
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from([0.001, 0.1, 1.0, 50.0]),
)


def _same(one: Any, other: Any) -> bool:
    """Equal but for rounding, however deep."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) if not isinstance(one, float) else math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=CASES)
@example(case=_case(1, 500, 3))
@example(case=_case(2, 500, 300))
@example(case=Case(3, np.array([-1, -1]), np.full((2, 3), 1 / 3)))
def test_rates_and_their_averages_are_those_of_scikit_learn(case: Case) -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    found = case.metrics().result()
    predicted = case.probabilities.argmax(axis=1)
    assert math.isclose(found["accuracy"], accuracy_score(case.actual, predicted))
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            case.actual, predicted, average=average, zero_division=0
        )
        mine = [found[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert np.allclose(mine, [precision, recall, f1])
    each = precision_recall_fscore_support(case.actual, predicted, labels=range(case.classes), zero_division=0)
    mine = [[row[name] for row in found["classes"].values()] for name in ("precision", "recall", "f1", "support")]
    assert np.allclose(mine, each)
    theirs = confusion_matrix(case.actual, predicted, labels=range(-1, case.classes))[:, 1:]
    assert found["confusion"] == theirs[1:].tolist() + ([theirs[0].tolist()] if theirs[0].any() else [])


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=CASES)
def test_losses_are_those_of_the_plain_formulas(case: Case) -> None:
    found = case.metrics().result()
    losses, squares = [], []
    for label, likely in zip(case.actual.tolist(), case.probabilities.tolist(), strict=True):
        losses.append(-math.log(min(max(likely[label] if label >= 0 else 0.0, 1e-15), 1.0)))
        truth = [float(place == label) for place in range(case.classes)]
        squares.append(
            sum((chance - true) ** 2 for chance, true in zip(likely, truth, strict=True)) + (1.0 if label < 0 else 0.0)
        )
    assert math.isclose(found["log_loss"], math.fsum(losses) / len(losses), rel_tol=1e-9, abs_tol=1e-12)
    usual = math.fsum(squares) / len(squares) / (2 if case.classes == 2 else 1)
    assert math.isclose(found["brier"], usual, rel_tol=1e-9, abs_tol=1e-12)
    if len(losses) > 1:
        reach = 1.959964 * float(np.std(losses, ddof=1)) / math.sqrt(len(losses))
        middle = math.fsum(losses) / len(losses)
        assert np.allclose(found["intervals"]["log_loss"], [max(middle - reach, 0), middle + reach], atol=1e-6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 6))
def test_log_loss_and_brier_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    from sklearn.metrics import brier_score_loss, log_loss

    case = _case(seed, 200, classes)
    found = case.metrics().result()
    assert math.isclose(found["log_loss"], log_loss(case.actual, case.probabilities, labels=range(classes)))
    theirs = brier_score_loss(case.actual, case.probabilities, labels=list(range(classes)), scale_by_half="auto")
    assert math.isclose(found["brier"], theirs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=CASES)
@example(case=Case(2, np.array([0, 1, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])))
def test_calibration_is_that_of_rows_put_into_their_bins_one_by_one(case: Case) -> None:
    found = case.metrics().result()
    bins: dict[int, list[tuple[float, bool]]] = {place: [] for place in range(15)}
    for label, likely in zip(case.actual.tolist(), case.probabilities.tolist(), strict=True):
        top = max(likely)
        bins[min(int(top * 15), 14)].append((top, likely.index(top) == label))
    expected = [
        {
            "low": place / 15,
            "high": (place + 1) / 15,
            "rows": len(rows),
            "confidence": sum(top for top, _ in rows) / len(rows) if rows else None,
            "accuracy": sum(hit for _, hit in rows) / len(rows) if rows else None,
        }
        for place, rows in bins.items()
    ]
    assert _same(expected, found["calibration"])
    error = sum(abs(sum(top - hit for top, hit in rows)) for rows in bins.values()) / len(case.actual)
    assert math.isclose(found["ece"], error, abs_tol=1e-12)


def test_each_class_has_its_own_reliability_unless_there_are_many() -> None:
    case = _case(3, 400, 3, unknown=True)
    curves = case.metrics().result()["class_calibration"]
    for place, curve in enumerate(curves.values()):
        assert sum(one["rows"] for one in curve) == 400
        filled = [one for one in curve if one["rows"]]
        assert math.isclose(sum(one["rows"] * one["accuracy"] for one in filled), (case.actual == place).sum())
        assert math.isclose(sum(one["rows"] * one["confidence"] for one in filled), case.probabilities[:, place].sum())
    assert "class_calibration" not in _case(3, 40, 21).metrics().result()


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=CASES, cuts=st.lists(st.integers(0, 60), max_size=5), chance=st.randoms(use_true_random=False))
def test_any_split_into_batches_merged_in_any_order_gives_the_same_result(
    case: Case, cuts: list[int], chance: Any
) -> None:
    edges = [0, *sorted(min(cut, len(case.actual)) for cut in cuts), len(case.actual)]
    parts = [case.metrics(start, stop) for start, stop in pairwise(edges)]
    chance.shuffle(parts)
    merged = ClassMetrics(case.names)
    for part in parts:
        merged.merge(part)
    one_by_one = ClassMetrics(case.names)
    for row in chance.sample(range(len(case.actual)), len(case.actual)):
        one_by_one.add(case.actual[row : row + 1], case.probabilities[row : row + 1])
    whole = case.metrics().result()
    assert _same(whole, merged.result())
    assert _same(whole, one_by_one.result())


def test_a_result_is_plain_json_with_the_keys_that_the_registry_reads() -> None:
    found = _case(4, 300, 3).metrics().result()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {
        *("rows", "accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "weighted_precision"),
        *("weighted_recall", "log_loss", "brier", "ece", "classes", "confusion", "calibration"),
        *("intervals", "class_calibration"),
    }
    assert found["classes"].keys() == {"class 0", "class 1", "class 2"}
    assert np.array(found["confusion"]).sum() == found["rows"] == 300


def test_an_unknown_label_is_an_error_that_costs_as_much_as_a_probability_of_0() -> None:
    sure = np.array([[1.0, 0.0]] * 4)
    found = Case(2, np.array([0, 0, 0, -1]), sure).metrics().result()
    assert found["accuracy"] == 0.75
    assert found["confusion"] == [[3, 0], [0, 0], [1, 0]]
    assert found["classes"]["class 0"] == {"precision": 0.75, "recall": 1.0, "f1": pytest.approx(6 / 7), "support": 3}
    assert found["weighted_recall"] == 0.75
    assert found["macro_recall"] == 0.5
    assert found["log_loss"] == pytest.approx(-math.log(1e-15) / 4)
    assert found["brier"] == 0.25
    assert found["ece"] == 0.25


def test_one_class_alone_is_always_right() -> None:
    found = Case(1, np.zeros(5, np.int64), np.ones((5, 1))).metrics().result()
    assert [found[name] for name in ("accuracy", "macro_f1", "log_loss", "brier", "ece")] == [1, 1, 0, 0, 0]
    assert found["intervals"]["log_loss"] == [0, 0]


def test_probabilities_of_0_and_1_cost_a_bounded_loss() -> None:
    found = Case(2, np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]])).metrics().result()
    assert found["log_loss"] == pytest.approx(-math.log(1e-15) / 2)
    assert found["brier"] == 0.5
    assert found["calibration"][-1] == {"low": 14 / 15, "high": 1.0, "rows": 2, "confidence": 1.0, "accuracy": 0.5}


def test_probabilities_and_labels_of_any_width_are_taken() -> None:
    case = _case(5, 200, 3, unknown=True)
    narrow = ClassMetrics(case.names)
    narrow.add(case.actual.astype(np.int8), np.asfortranarray(case.probabilities.astype(np.float32)))
    assert narrow.result()["log_loss"] == pytest.approx(case.metrics().result()["log_loss"], rel=1e-5)
    assert narrow.result()["confusion"] == case.metrics().result()["confusion"]


def test_one_row_has_no_interval_of_its_loss() -> None:
    assert set(_case(6, 1, 2).metrics().result()["intervals"]) == {"accuracy"}


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (10, 10), (81, 263), (15, 148), (1, 29)])
def test_accuracy_lies_in_its_wilson_interval(hits: int, rows: int) -> None:
    """The bounds solve (p - hits/rows)^2 = z^2 p (1 - p) / rows, by definition."""
    actual = np.array([0] * hits + [1] * (rows - hits))
    low, high = Case(2, actual, np.array([[0.9, 0.1]] * rows)).metrics().result()["intervals"]["accuracy"]
    assert 0 <= low <= hits / rows <= high <= 1
    for bound in (low, high):
        assert (bound - hits / rows) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / rows, abs=1e-7)


def test_the_memory_does_not_grow_with_the_rows() -> None:
    metrics = ClassMetrics(tuple(map(str, range(300))))
    batch = _case(7, 500, 300, unknown=True)
    metrics.add(batch.actual, batch.probabilities)
    tracemalloc.start()
    for _ in range(20):
        metrics.add(batch.actual, batch.probabilities)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert metrics.result()["rows"] == 21 * 500
    assert held < 2_000_000


@pytest.mark.parametrize(
    ("actual", "probabilities"),
    [
        ([0, 1], [[0.5, 0.5]]),
        ([0], [[0.2, 0.3, 0.5]]),
        ([2], [[0.5, 0.5]]),
        ([-2], [[0.5, 0.5]]),
        ([0], [[math.nan, 0.5]]),
        ([0], [[math.inf, 0.5]]),
        ([0], [[-0.5, 1.5]]),
    ],
)
def test_a_batch_that_does_not_make_sense_is_refused_and_counts_for_nothing(
    actual: list[int], probabilities: list[list[float]]
) -> None:
    metrics = ClassMetrics(("a", "b"))
    with pytest.raises(SsError) as raised:
        metrics.add(np.array(actual), np.array(probabilities))
    assert raised.value.hint
    with pytest.raises(ContractError):
        metrics.result()


def test_figures_of_other_classes_are_not_added() -> None:
    with pytest.raises(SsError):
        ClassMetrics(("a", "b")).merge(ClassMetrics(("b", "a")))


@pytest.mark.parametrize("metrics", [ClassMetrics(("a", "b")), ValueMetrics()])
def test_no_rows_are_an_error_that_says_what_to_do(metrics: ClassMetrics | ValueMetrics) -> None:
    with pytest.raises(ContractError) as raised:
        metrics.result()
    assert raised.value.code is ExitCode.CONTRACT
    assert "no rows" in raised.value.message
    assert "--holdout" in raised.value.hint


def test_an_empty_batch_changes_nothing() -> None:
    case = _case(8, 30, 2)
    metrics = case.metrics()
    metrics.add(np.zeros(0, np.int64), np.zeros((0, 2)))
    metrics.merge(ClassMetrics(case.names))
    assert metrics.result() == case.metrics().result()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    train=st.lists(st.integers(0, 50), min_size=2, max_size=5).filter(any),
    held=st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(lambda counts: any(counts[:2])),
    unknown=st.integers(0, 3),
)
def test_the_majority_is_what_its_predictions_give_row_by_row(train: list[int], held: list[int], unknown: int) -> None:
    held = held[: len(train)]
    labels = np.repeat([*range(len(train)), -1], [*held, unknown])
    shares = np.tile(np.array(train) / sum(train), (len(labels), 1))
    expected = Case(len(train), labels, shares).metrics().result()
    found = majority(np.array(train), np.array(held), unknown)
    assert _same({name: expected[name] for name in found}, found)


@pytest.mark.parametrize(("train", "held"), [([0, 0], [1, 1]), ([1, 2], [1]), ([[1]], [1])])
def test_a_majority_of_nothing_is_refused(train: Any, held: Any) -> None:
    with pytest.raises(SsError):
        majority(np.array(train), np.array(held))


NUMBERS = st.lists(
    st.tuples(*[st.floats(-1e6, 1e6, allow_subnormal=False)] * 2).map(lambda pair: (round(pair[0], 3), pair[1])),
    min_size=2,
    max_size=50,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pairs=NUMBERS)
def test_r2_rmse_and_mae_are_those_of_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    actual, predicted = np.array(pairs).T
    metrics = ValueMetrics()
    metrics.add(actual, predicted)
    found = metrics.result()
    assert found["rows"] == len(pairs)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(actual, predicted))
    assert found["mae"] == pytest.approx(mean_absolute_error(actual, predicted))
    if len(set(actual)) > 1:
        assert found["r2"] == pytest.approx(r2_score(actual, predicted), rel=1e-6, abs=1e-6)
    for name, (low, high) in found["intervals"].items():
        assert low <= found[name] * (1 + 1e-9) + 1e-9
        assert high >= found[name] * (1 - 1e-9) - 1e-9


@settings(max_examples=EXAMPLES, deadline=None)
@given(pairs=NUMBERS, cuts=st.lists(st.integers(0, 50), max_size=4), chance=st.randoms(use_true_random=False))
def test_any_split_of_numbers_gives_the_same_result(
    pairs: list[tuple[float, float]], cuts: list[int], chance: Any
) -> None:
    actual, predicted = np.array(pairs).T
    edges = [0, *sorted(min(cut, len(pairs)) for cut in cuts), len(pairs)]
    parts = []
    for start, stop in pairwise(edges):
        part = ValueMetrics(0.9)
        part.add(actual[start:stop], predicted[start:stop], actual[start:stop] - 1, predicted[start:stop])
        parts.append(part)
    chance.shuffle(parts)
    merged, whole = ValueMetrics(0.9), ValueMetrics(0.9)
    for part in parts:
        merged.merge(part)
    whole.add(actual, predicted, actual - 1, predicted)
    mine, theirs = merged.result(), whole.result()
    for name in ("rmse", "mae", "r2"):
        assert mine[name] == pytest.approx(theirs[name], rel=1e-6, abs=1e-6)
    assert mine["interval"] == theirs["interval"]


def test_large_numbers_that_differ_little_keep_their_spread() -> None:
    base = np.array([4.0, 7.0, 13.0, 16.0] * 250)
    moments = Moments()
    for piece in np.array_split(base + 1e9, 13):
        moments.add(piece)
    assert moments.squares / (moments.count - 1) == pytest.approx(base.var(ddof=1), rel=1e-9)
    assert moments.mean == pytest.approx(1e9 + 10)


@pytest.mark.parametrize(("predicted", "r2"), [(0.1, 1.0), (0.2, 0.0)])
def test_a_target_that_never_varies_has_an_r2_of_0_or_1(predicted: float, r2: float) -> None:
    metrics = ValueMetrics()
    for size in (1, 7, 1000):
        metrics.add(np.full(size, 0.1), predicted)
    assert metrics.result()["r2"] == r2


def test_the_mean_explains_nothing_of_what_it_was_taken_from() -> None:
    actual = np.array([1.0, 2.0, 6.0])
    assert mean_baseline(3.0, actual) == {
        "rows": 3,
        "r2": pytest.approx(0),
        "rmse": pytest.approx(actual.std()),
        "mae": pytest.approx(2),
    }


def test_coverage_counts_the_rows_within_their_bounds() -> None:
    metrics = ValueMetrics(0.9)
    metrics.add(np.arange(4.0), 0.0, np.zeros(4), np.array([0.0, 1.0, 1.0, 1.0]))
    assert metrics.result()["interval"] == {"level": 0.9, "coverage": 0.5}


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_numbers_without_a_finite_square_end_the_evaluation(bad: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SsError):
            ValueMetrics().add(np.array([bad]), 0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ValueMetrics().add(np.zeros(3), np.zeros(2)),
        lambda: ValueMetrics().add(np.zeros((3, 1)), np.zeros((3, 1))),
        lambda: ValueMetrics().add(np.zeros(1), np.zeros(3)),
    ],
)
def test_predictions_of_other_rows_are_refused(call: Callable[[], None]) -> None:
    with pytest.raises(SsError):
        call()
