"""The plain baseline is as good as what scikit-learn makes of the same rows, said in the weights of our design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from gathered import Prepared, prepared, rows_of

from studentsuccess.models.baseline import SAMPLE_ROWS, Plain, fit_plain
from studentsuccess.models.incremental import predicted


def table(count: int, outcome: pa.Array | None = None, seed: int = 0) -> dict[str, pa.Array]:
    rng = np.random.default_rng(seed)
    size, text = rng.normal(10, 4, count), rng.integers(0, 3, count)
    label = (size - 10 + 3 * (text == 1) + rng.normal(size=count) * 2 > 0).astype(int) + (text == 2)
    return {
        "size": pa.array(size),
        "text": pa.array(np.array(["red", "green", "blue"])[text]),
        "code": pa.array(rng.integers(1, 6, count)),
        "y": pa.array(np.array(["low", "mid", "top"])[label]) if outcome is None else outcome,
    }


def plain(made: Prepared) -> Plain:
    found = fit_plain(made.store, made.design, made.target.labels, made.training)
    assert found is not None
    return found


def matrix(columns: dict[str, pa.Array], made: Prepared, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Numbers scaled by the training rows and clipped, texts one column a value."""
    parts = []
    for name in ("size", "code"):
        values = columns[name].to_numpy(zero_copy_only=False).astype(float)
        mine = values[made.training(rows_of(made.store))]
        parts.append(np.clip((values - mine.mean()) / mine.std(), -4, 4)[:, None])
    text = columns["text"].to_numpy(zero_copy_only=False)
    parts.append(np.stack([text == level for level in ("red", "green", "blue")], 1).astype(float))
    return np.hstack(parts)[chosen]


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_as_good_as_the_logistic_regression_of_scikit_learn(tmp_path: Path, classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    columns = table(800)
    if classes == 2:
        columns["y"] = pa.array(np.where(columns["y"].to_numpy(zero_copy_only=False) == "low", "low", "top"))
    made = prepared(tmp_path / "a.rows", columns)
    rows = rows_of(made.store)
    mine = made.training(rows)
    theirs = LogisticRegression(max_iter=300).fit(
        matrix(columns, made, mine), columns["y"].to_numpy(zero_copy_only=False)[mine]
    )
    held = np.flatnonzero(made.split.held_out(rows["key"]))
    ours = predicted(made.design, rows[held], plain(made).weights, classes=True)
    reference = theirs.predict_proba(matrix(columns, made, held))
    actual = made.target.labels.encode(rows["target"][held]).astype(int)
    losses = [-np.log(one[np.arange(len(held)), actual]).mean() for one in (ours, reference)]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)
    assert (ours.argmax(1) == reference.argmax(1)).mean() > 0.97
    assert plain(made).rows == len(mine)


def test_it_is_the_ridge_regression_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(1)
    columns = table(800)
    columns["y"] = pa.array(columns["size"].to_numpy() * 2 + rng.normal(size=800))
    made = prepared(tmp_path / "a.rows", columns)
    rows, labels = rows_of(made.store), made.target.labels
    mine = made.training(rows)
    theirs = Ridge().fit(matrix(columns, made, mine), columns["y"].to_numpy()[mine])
    ours = predicted(made.design, rows, plain(made).weights, classes=False)[:, 0] * labels.spread + labels.mean
    np.testing.assert_allclose(ours, theirs.predict(matrix(columns, made, np.arange(len(rows)))), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("period", [2, 3])
def test_a_file_whose_classes_take_turns_is_sampled_fairly(tmp_path: Path, period: int) -> None:
    """A sample of every n-th row would see one class alone."""
    count = 2 * SAMPLE_ROWS * 4
    turn = np.array(["a", "b", "c"])[np.arange(count) % period]
    x = np.random.default_rng(2).normal(size=count)
    made = prepared(tmp_path / "a.rows", {"x": pa.array(x), "y": pa.array(turn)})
    found = plain(made)
    likely = predicted(made.design, rows_of(made.store), found.weights, classes=True)
    assert SAMPLE_ROWS * 0.8 < found.rows <= SAMPLE_ROWS
    np.testing.assert_allclose(likely.mean(0), 1 / period, atol=0.02)


def test_a_class_that_the_sample_lacks_is_next_to_impossible(tmp_path: Path) -> None:
    columns = table(400)
    made = prepared(tmp_path / "a.rows", columns)
    lacking = made.target.classes.index("top")

    def without(rows: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
        mine = made.training(rows)
        return mine[made.target.labels.encode(rows["target"][mine]) != lacking]

    found = fit_plain(made.store, made.design, made.target.labels, without)
    assert found is not None
    likely = predicted(made.design, rows_of(made.store), found.weights, classes=True)
    assert likely[:, lacking].max() < 1e-3
    assert np.isfinite(likely).all()


def test_from_one_class_or_no_rows_there_is_no_baseline(tmp_path: Path) -> None:
    made = prepared(tmp_path / "a.rows", table(200))
    one = made.target.labels.values[0]
    for chosen in (
        lambda rows: np.flatnonzero(rows["target"] == one),
        lambda _rows: np.zeros(0, np.int64),
    ):
        assert fit_plain(made.store, made.design, made.target.labels, chosen) is None


def test_a_table_without_a_usable_column_has_a_baseline_of_its_classes_alone(tmp_path: Path) -> None:
    names = pa.array([f"name {at}" for at in range(300)])
    made = prepared(tmp_path / "a.rows", {"name": names, "y": pa.array(["a", "b", "b"] * 100)})
    likely = predicted(made.design, rows_of(made.store), plain(made).weights, classes=True)
    rows = rows_of(made.store)
    share = float((rows["target"][made.training(rows)] == 0).mean())
    np.testing.assert_allclose(likely, [[share, 1 - share]] * 300, atol=0.01)
