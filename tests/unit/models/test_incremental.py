"""The learner does what is written of it, to the last bit where it says so, whatever the rows and their order are."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from gathered import Prepared, prepared, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.models.incremental import (
    BLOCK_ROWS,
    FIRST_SQUARE,
    MOST_EPOCHS,
    RATE,
    Effort,
    Fitted,
    Learner,
    Progress,
    State,
    expectation,
    predicted,
)
from studentsuccess.models.roles import Role
from studentsuccess.models.softmax import CLIP

Weights = list[list[float]]
Floats = npt.NDArray[np.float64]


def learner(made: Prepared, **effort: Any) -> Learner:
    return Learner(made.store, made.design, made.target.labels, made.split, Effort(**effort))


def fitted(made: Prepared, **effort: Any) -> Fitted:
    return learner(made, **effort).fit(lambda _state: None, lambda _progress: None)


def accuracy(made: Prepared, weights: Floats) -> float:
    """On the rows that were held out."""
    rows = rows_of(made.store)
    mine = rows[np.isfinite(rows["target"]) & made.split.held_out(rows["key"])]
    found = predicted(made.design, mine, weights, classes=True).argmax(1)
    return float((found == made.target.labels.encode(mine["target"])).mean())


def some_table(count: int, seed: int = 0) -> dict[str, pa.Array]:
    """A bit of everything: numbers with gaps, whole numbers that are codes, texts, truths."""
    rng = np.random.default_rng(seed)
    size = [
        None if gone else float(one) for gone, one in zip(rng.random(count) < 0.2, rng.normal(5, 3, count), strict=True)
    ]
    return {
        "size": pa.array(size, pa.float64()),
        "code": pa.array(rng.integers(1, 5, count)),
        "text": pa.array([["red", "green", "blue", None][at] for at in rng.integers(0, 4, count)], pa.string()),
        "truth": pa.array(rng.random(count) < 0.5),
        "y": pa.array([["no", "yes", "maybe"][at] for at in rng.integers(0, 3, count)], pa.string()),
    }


def inputs_by_hand(made: Prepared, row: Any) -> dict[int, float]:
    """Weight by weight what a row brings: the bias, each number in units of its spread or its absence, each code."""
    design, found = made.design, {0: 1.0}
    for place, column in enumerate(design.columns.tolist()):
        number = float(row["numbers"][column])
        if math.isnan(number):
            found[2 + 2 * place] = 1.0
        else:
            scaled = (number - design.mean[place]) * design.inverse[place]
            found[1 + 2 * place] = min(max(scaled, -CLIP), CLIP)
    for place, column in enumerate(design.code_columns.tolist()):
        code = int(row["codes"][column])
        weight = int(design.table[design.starts[place] + code]) if code >= 0 else -1
        if weight >= 0:
            found[weight] = 1.0
    return found


def scores_by_hand(inputs: dict[int, float], weights: Weights) -> list[float]:
    return [sum(amount * weights[at][output] for at, amount in inputs.items()) for output in range(len(weights[0]))]


def softmax_by_hand(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def order_by_hand(made: Prepared, seed: int, epoch: int) -> list[Any]:
    """The rows of an epoch: blocks from all over the file, and the rows of them all shuffled."""
    rows, draw = rows_of(made.store), np.random.default_rng([seed, epoch])
    blocks = draw.permutation(-(-len(rows) // BLOCK_ROWS))
    mixed = np.concatenate([rows[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS] for block in blocks])
    return [mixed[at] for at in draw.permutation(made.training(mixed))]


def learn_by_hand(made: Prepared, epochs: int, seed: int) -> Weights:
    """The rule in plain Python: the average over the last epoch of all weights, each as heavy as its step is late."""
    labels, outputs = made.target.labels, max(1, len(made.target.classes))
    weights = [[0.0] * outputs for _ in range(made.design.width)]
    squares = [[FIRST_SQUARE] * outputs for _ in range(made.design.width)]
    average: Weights = []
    for epoch in range(epochs):
        total, heavy = [[0.0] * outputs for _ in weights], 0
        for step, row in enumerate(order_by_hand(made, seed, epoch), 1):
            inputs = inputs_by_hand(made, row)
            scores = scores_by_hand(inputs, weights)
            wanted = float(labels.encode(row["target"][None])[0])
            if labels.classes:
                wrong = [one - (place == wanted) for place, one in enumerate(softmax_by_hand(scores))]
            else:
                wrong = [scores[0] - wanted]
            for at, amount in inputs.items():
                for output in range(outputs):
                    slope = wrong[output] * amount
                    squares[at][output] += slope**2
                    weights[at][output] -= RATE * slope / math.sqrt(squares[at][output])
            heavy += step
            total = [[a + step * b for a, b in zip(*pair, strict=True)] for pair in zip(total, weights, strict=True)]
        average = [[one / heavy for one in line] for line in total]
    return average


@pytest.mark.parametrize("rows", [90, 700])
@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_an_epoch_is_what_plain_python_makes_of_the_rule(tmp_path: Path, rows: int, target: str) -> None:
    columns = some_table(rows)
    if target == "numbers":
        columns["y"] = pa.array(np.random.default_rng(1).normal(50, 9, rows))
    made = prepared(tmp_path / "a.rows", columns, types={"code": Role.BOTH})
    found = fitted(made, epochs=2, seed=5, inner=False)
    assert (found.epochs, len(found.losses)) == (2, 2)
    np.testing.assert_allclose(found.weights, learn_by_hand(made, 2, 5), rtol=0, atol=1e-9)


def test_probabilities_and_the_loss_are_those_of_plain_python(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", some_table(120))
    found = fitted(made, epochs=1)
    rows = rows_of(made.store)
    by_hand = [softmax_by_hand(scores_by_hand(inputs_by_hand(made, row), found.weights.tolist())) for row in rows]
    ours = predicted(made.design, rows, found.weights, classes=True)
    np.testing.assert_allclose(ours, by_hand, rtol=1e-12)
    model = learner(made)
    inner = model.inner(rows)
    wanted = made.target.labels.encode(rows["target"][inner]).astype(int)
    mine = -np.log(ours[inner, wanted]).mean()
    assert model.inner_loss(found.weights) == pytest.approx(mine, rel=1e-12)
    assert len(inner)
    assert not set(inner) & set(model.training(rows))


@settings(max_examples=25, deadline=None)
@given(step=st.integers(1, 400), seed=st.integers(0, 3))
def test_the_weights_do_not_show_how_the_table_was_cut(
    tmp_path_factory: pytest.TempPathFactory, step: int, seed: int
) -> None:
    folder, columns = tmp_path_factory.mktemp("cut"), some_table(400)
    whole = fitted(prepared(folder / "a.rows", columns), seed=seed)
    cut = fitted(prepared(folder / "b.rows", columns, step=step), seed=seed)
    assert cut.weights.tobytes() == whole.weights.tobytes()
    assert (cut.losses, cut.inner_loss, cut.epochs) == (whole.losses, whole.inner_loss, whole.epochs)


def test_another_seed_is_another_order_and_no_other_hold_out(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", some_table(400))
    one, again, other = (fitted(made, seed=seed, epochs=2).weights for seed in (0, 0, 1))
    assert one.tobytes() == again.tobytes() != other.tobytes()
    assert np.abs(one - other).max() < 0.5


def test_the_order_of_columns_changes_the_place_of_weights_alone(tmp_path: Path) -> None:
    columns = some_table(300)
    one = prepared(tmp_path / "a.rows", columns)
    other = prepared(tmp_path / "b.rows", {name: columns[name] for name in reversed(columns)})
    assert one.target.digest == other.target.digest
    ours = predicted(one.design, rows_of(one.store), fitted(one, epochs=2).weights, classes=True)
    theirs = predicted(other.design, rows_of(other.store), fitted(other, epochs=2).weights, classes=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def stop_after(epochs: int, model: Learner) -> State:
    """The learner's state when it is killed after so many epochs."""
    kept: list[State] = []

    def keep(state: State) -> None:
        copies = {name: getattr(state, name).copy() for name in ("weights", "squares", "best")}
        kept.append(replace(state, **copies))
        if len(kept) == epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(keep, lambda _progress: None)
    return kept[-1]


@pytest.mark.parametrize("effort", [{}, {"epochs": 4}])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_going_on_after_any_epoch_ends_in_the_same_bits(tmp_path: Path, after: int, effort: dict[str, Any]) -> None:
    made = prepared(tmp_path / "a.rows", some_table(400))
    whole = fitted(made, **effort)
    second = learner(made, **effort)
    second.state = stop_after(after, learner(made, **effort))
    rest = second.fit(lambda _state: None, lambda _progress: None)
    assert rest.weights.tobytes() == whole.weights.tobytes()
    assert (rest.epochs, rest.inner_loss) == pytest.approx((whole.epochs, whole.inner_loss), nan_ok=True)


def test_learning_stops_by_itself_and_keeps_the_epoch_that_was_best(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", some_table(600))
    judged: list[float] = []
    model = learner(made)
    found = model.fit(lambda _state: judged.append(model.state.best_loss), lambda _progress: None)
    assert 1 <= found.epochs < len(judged) < MOST_EPOCHS
    assert found.inner_loss == min(judged) == model.inner_loss(found.weights)


def test_progress_counts_every_row_of_every_epoch(tmp_path: Path) -> None:
    made, told = prepared(tmp_path / "a.rows", some_table(300)), list[Progress]()
    learner(made, epochs=3).fit(lambda _state: None, told.append)
    for epoch in (1, 2, 3):
        mine = [one for one in told if one.epoch == epoch]
        assert sum(one.rows for one in mine) == 300
        assert all(one.epochs == 3 and one.loss > 0 for one in mine)


def test_when_everything_is_learned_from_nothing_is_set_apart(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", some_table(300))
    rows, model = rows_of(made.store), learner(made, epochs=1, everything=True)
    assert model.training(rows).tolist() == list(range(300))
    assert not len(model.inner(rows))


@pytest.mark.parametrize("order", ["as it came", "sorted by class", "one row last"])
def test_a_file_in_any_order_is_learned_from_as_well(tmp_path: Path, order: str) -> None:
    """Also one whose blocks hold a single class each, and one whose last row is the first of its class."""
    rng = np.random.default_rng(7)
    label = rng.integers(0, 3, 6_000)
    x = label * 3.0 + rng.normal(size=6_000)
    if order == "sorted by class":
        place = np.argsort(label, kind="stable")
        label, x = label[place], x[place]
    names = np.array(["a", "b", "c", "z"])
    label[-1] = 3 if order == "one row last" else label[-1]
    made = prepared(tmp_path / "a.rows", {"x": pa.array(x), "y": pa.array(names[label])}, step=500)
    bayes = (np.clip(np.round(x / 3), 0, 2) == label).mean()
    assert accuracy(made, fitted(made).weights) > bayes - 0.02


def test_the_loss_comes_near_that_of_the_truth(tmp_path: Path) -> None:
    """Labels drawn from a known softmax: nobody can do better than its own probabilities."""
    rng = np.random.default_rng(8)
    x, code = rng.normal(size=(20_000, 3)), rng.integers(0, 6, 20_000)
    true = x @ rng.normal(size=(3, 3)) + rng.normal(size=(6, 3))[code]
    likely = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    label = (likely.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    columns = {f"x{at}": pa.array(x[:, at]) for at in range(3)}
    columns |= {"code": pa.array([f"c{one}" for one in code]), "y": pa.array(label.astype(str))}
    made = prepared(tmp_path / "a.rows", columns)
    rows = rows_of(made.store)
    held = made.split.held_out(rows["key"])
    found = predicted(made.design, rows[held], fitted(made).weights, classes=True)
    best = -np.log(likely[held, label[held]]).mean()
    ours = -np.log(found[np.arange(int(held.sum())), label[held]]).mean()
    majority = -np.log(np.bincount(label)[label[held]] / len(label)).mean()
    assert best * 0.98 < ours < best * 1.03 < majority


def test_a_category_that_comes_late_gets_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    text = np.where(np.arange(4_000) < 3_600, "early", "late").astype(object)
    label = np.where(text == "late", "x", rng.choice(["p", "q"], 4_000))
    made = prepared(
        tmp_path / "a.rows",
        {"text": pa.array(text), "noise": pa.array(rng.normal(size=4_000)), "y": pa.array(label)},
        step=100,
    )
    weights = fitted(made).weights
    late = made.design.table[made.gatherer.books[0].levels.index("late")]
    assert made.target.classes[weights[late].argmax()] == "x"
    rows = rows_of(made.store)
    mine = rows[made.split.held_out(rows["key"]) & (rows["codes"][:, 0] == 1)]
    found = predicted(made.design, mine, weights, classes=True)
    assert len(mine) > 40
    assert (found.argmax(1) == made.target.classes.index("x")).all()


def test_that_a_value_is_missing_is_information(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    gone = rng.random(3_000) < 0.4
    size = pa.array([None if one else float(number) for one, number in zip(gone, rng.normal(size=3_000), strict=True)])
    made = prepared(tmp_path / "a.rows", {"size": size, "noise": pa.array(rng.normal(size=3_000)), "y": pa.array(gone)})
    assert accuracy(made, fitted(made).weights) > 0.99


def test_codes_that_follow_no_line_are_learned_as_codes(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    code = rng.integers(0, 12, 4_000)
    columns = {"code": pa.array(code), "noise": pa.array(rng.normal(size=4_000)), "y": pa.array(code % 2 == 0)}
    both = prepared(tmp_path / "a.rows", columns)
    line = prepared(tmp_path / "b.rows", columns, types={"code": Role.NUMBER})
    assert both.role("code") is Role.BOTH
    assert accuracy(both, fitted(both).weights) == 1.0
    assert accuracy(line, fitted(line).weights) < 0.7


def test_more_levels_than_are_learned_by_name_are_learned_in_buckets(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    level = np.concatenate([np.tile(np.arange(20_000), 3), np.tile(np.arange(20_000, 20_500), 60)])
    text = np.array([f"v{at}" for at in range(20_500)])[level]
    label = np.where(level < 20_000, rng.choice(["p", "q"], len(level)), "rest")
    noise = rng.normal(size=len(level))
    made = prepared(tmp_path / "a.rows", {"x": pa.array(text), "n": pa.array(noise), "y": pa.array(label)}, step=10_000)
    weights = fitted(made, epochs=5).weights
    assert made.role("x") is Role.CATEGORY
    rows = rows_of(made.store)
    mine = rows[made.split.held_out(rows["key"]) & (rows["codes"][:, 0] >= 20_000)]
    found = predicted(made.design, mine, weights, classes=True).argmax(1)
    assert (found == made.target.classes.index("rest")).mean() > 0.99


ABSURD = [0.0, -0.0, 5e-324, 1e-300, 1e15, -1e38, 1e300, -1e300, None]


@settings(max_examples=30, deadline=None)
@given(size=st.lists(st.sampled_from(ABSURD), min_size=60, max_size=60), code=st.integers(-(10**18), 10**18))
def test_absurd_values_leave_every_figure_finite(
    tmp_path_factory: pytest.TempPathFactory, size: list[float | None], code: int
) -> None:
    columns = some_table(60) | {"size": pa.array(size, pa.float64()), "code": pa.array([code, *[1] * 59])}
    made = prepared(tmp_path_factory.mktemp("absurd") / "a.rows", columns, share=0.5)
    found = fitted(made, epochs=3)
    assert np.isfinite(found.weights).all()
    likely = predicted(made.design, rows_of(made.store), found.weights, classes=True)
    assert np.isfinite(likely).all()
    np.testing.assert_allclose(likely.sum(1), 1.0)


def test_what_a_row_brings_on_average_is_the_average_of_what_rows_bring(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", some_table(500), types={"code": Role.BOTH})
    rows = rows_of(made.store)
    total = np.zeros(made.design.width)
    mine = rows[made.training(rows)]
    for row in mine:
        for at, amount in inputs_by_hand(made, row).items():
            total[at] += amount
    clipped = [at for at in range(made.design.width) if at in (1, 3, 5)]
    ours = expectation(made.design, made.facts, len(mine))
    others = [at for at in range(made.design.width) if at not in clipped]
    np.testing.assert_allclose(ours[others], total[others] / len(mine), atol=1e-12)
    np.testing.assert_allclose(total[clipped] / len(mine), 0.0, atol=0.02)
