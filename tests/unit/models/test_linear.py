"""The model at work says what the learner would have said, counts what it never met, and its reasons add up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gathered import Prepared, pieces, prepared, rows_of
from made_models import make_manifest

from studentsuccess.models.incremental import Effort, Learner, expectation, predicted
from studentsuccess.models.linear import LinearModel, arrays_of
from studentsuccess.models.manifest import Manifest, from_document
from studentsuccess.models.roles import Role
from studentsuccess.models.softmax import Doubles

ROWS = 500


@dataclass(frozen=True)
class Made:
    prepared: Prepared
    columns: dict[str, pa.Array]
    weights: Doubles
    manifest: Manifest
    model: LinearModel

    @property
    def batch(self) -> pa.RecordBatch:
        return pa.record_batch({name: column for name, column in self.columns.items() if name != "y"})


def table(task: str, seed: int = 0) -> dict[str, pa.Array]:
    rng = np.random.default_rng(seed)
    size = [
        None if gone else float(one) for gone, one in zip(rng.random(ROWS) < 0.2, rng.normal(5, 3, ROWS), strict=True)
    ]
    text, code = rng.integers(0, 4, ROWS), rng.integers(-2, 5, ROWS)
    y = rng.normal(50, 9, ROWS) if task == "regression" else np.array(["no", "yes", "maybe"])[rng.integers(0, 3, ROWS)]
    return {
        "size": pa.array(size, pa.float64()),
        "text": pa.array([["red", "green", "blue", None][at] for at in text], pa.string()),
        "code": pa.array([int(one) if one > -2 else None for one in code], pa.int64()),
        "name": pa.array([f"student {at}" for at in range(ROWS)]),
        "truth": pa.array(rng.random(ROWS) < 0.5),
        "mark": pa.array(rng.integers(1, 4, ROWS)),
        "y": pa.array(y),
    }


def make(folder: Path, task: str) -> Made:
    columns = table(task)
    made = prepared(folder / "a.rows", columns, types={"mark": Role.CATEGORY, "code": Role.BOTH})
    effort = Effort(3)
    model = Learner(made.store, made.design, made.target.labels, made.split, effort)
    weights = model.fit(lambda _state: None, lambda _progress: None).weights
    expected = expectation(made.design, made.facts, int(made.target.training.sum()))
    labels = made.target.labels
    arrays = arrays_of(made.design, weights, expected, labels.mean, labels.spread, 2.5)
    changed: dict[str, Any] = {"features": made.design.features, "classes": made.target.classes}
    manifest = make_manifest(task=task, **changed)  # type: ignore[arg-type]
    return Made(made, columns, weights, manifest, LinearModel(from_document(manifest.document(), "it"), arrays))


@pytest.fixture(scope="module", params=["classification", "regression"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("linear"), request.param)


def outputs(made: Made, batch: pa.RecordBatch) -> Doubles:
    found = made.model.predict(batch)
    values = found.probabilities if made.model.is_classifier else found.values
    assert values is not None
    return values if values.ndim == 2 else values[:, None]


def test_it_predicts_what_the_learner_predicts_for_the_same_rows(made: Made) -> None:
    rows, labels = rows_of(made.prepared.store), made.prepared.target.labels
    theirs = predicted(made.prepared.design, rows, made.weights, labels.classes)
    theirs = theirs if labels.classes else theirs * labels.spread + labels.mean
    np.testing.assert_allclose(outputs(made, made.batch), theirs, rtol=1e-12)
    assert made.model.predict(made.batch).unseen == {}


@pytest.mark.parametrize("step", [1, 7, ROWS])
def test_batches_and_the_encoding_of_texts_do_not_show(made: Made, step: int) -> None:
    whole = outputs(made, made.batch)
    cut = np.concatenate([outputs(made, piece) for piece in pieces(made.batch, step)])
    assert cut.tobytes() == whole.tobytes()
    assert (
        np.concatenate([outputs(made, made.batch.slice(at, 33)) for at in range(0, ROWS, 33)]).tobytes()
        == whole.tobytes()
    )


def test_an_interval_stands_around_its_value(made: Made) -> None:
    found = made.model.predict(made.batch)
    if made.model.is_classifier:
        assert (found.low, found.high, found.values) == (None, None, None)
        return
    assert found.values is not None
    assert found.low is not None
    assert found.high is not None
    np.testing.assert_allclose(found.high - found.values, 2.5)
    np.testing.assert_allclose(found.values - found.low, 2.5)


def test_values_that_were_never_met_are_counted_and_bring_nothing(made: Made) -> None:
    row = {"size": 5.0, "text": "green", "code": 1, "name": "who", "truth": True, "mark": 2}
    types = made.batch.schema
    strange = [row | {"text": "violet", "code": 99, "mark": 9}, row, row | {"text": None, "code": None, "mark": None}]
    found = made.model.predict(pa.RecordBatch.from_pylist(strange, types))
    assert found.unseen == {"text": 1, "code": 1, "mark": 1}
    none, met = (
        made.model.contributions(pa.RecordBatch.from_pylist([one], types), [0]) for one in (strange[2], strange[0])
    )
    place = none.names.index("text")
    assert none.amounts[0, place] == met.amounts[0, place]


def test_reasons_add_up_to_the_score(made: Made) -> None:
    """The base and all amounts are the log-odds of a class over the mean of all, or the value itself."""
    likely = outputs(made, made.batch)
    classes = likely.argmax(1) if made.model.is_classifier else np.zeros(ROWS, int)
    told = made.model.contributions(made.batch, classes.tolist())
    total = told.base + told.amounts.sum(1)
    if made.model.is_classifier:
        logs = np.log(likely)
        np.testing.assert_allclose(total, logs[np.arange(ROWS), classes] - logs.mean(1), atol=1e-9)
    else:
        labels = made.prepared.target.labels
        np.testing.assert_allclose(total, likely[:, 0] - labels.mean, atol=1e-8)
    assert told.names == tuple(feature.name for feature in made.manifest.features)
    assert not told.amounts[:, told.names.index("name")].any()


def test_reasons_are_told_from_the_average_row_of_the_training(made: Made) -> None:
    rows = rows_of(made.prepared.store)
    mine = pa.array(made.prepared.training(rows))
    for wanted in range(made.weights.shape[1]):
        told = made.model.contributions(made.batch.take(mine), [wanted] * len(mine))
        spread = np.abs(told.amounts).max(0) + 1e-9
        assert (np.abs(told.amounts.mean(0)) / spread < 0.02).all()


@pytest.mark.parametrize("number", [1e300, -1e300, 5e-324, 0.0, None])
def test_whatever_a_row_holds_its_prediction_is_finite(made: Made, number: float | None) -> None:
    rows = [
        {"size": number, "text": text, "code": code, "name": None, "truth": None, "mark": code}
        for text in ("red", "", "x" * 5_000, None)
        for code in (0, 10**18, -(10**18), None)
    ]
    batch = pa.RecordBatch.from_pylist(rows, made.batch.schema)
    assert np.isfinite(outputs(made, batch)).all()
    assert np.isfinite(made.model.contributions(batch, [0] * len(rows)).amounts).all()


def test_an_empty_batch_has_an_empty_answer(made: Made) -> None:
    assert len(outputs(made, made.batch.slice(0, 0))) == 0
    assert made.model.contributions(made.batch.slice(0, 0), []).amounts.shape == (0, len(made.manifest.features))


def test_columns_are_found_by_their_name(made: Made) -> None:
    turned = made.batch.select(list(reversed(made.batch.schema.names)))
    assert outputs(made, turned).tobytes() == outputs(made, made.batch).tobytes()


def test_texts_beyond_the_learned_ones_share_the_buckets_of_the_training(tmp_path: Path) -> None:
    level = np.concatenate([np.tile(np.arange(20_000), 3), np.tile(np.arange(20_000, 20_500), 60)])
    rng = np.random.default_rng(3)
    columns = {
        "x": pa.array([f"v{one}" for one in level]),
        "n": pa.array(rng.normal(size=len(level))),
        "y": pa.array(np.where(level < 20_000, rng.choice(["p", "q"], len(level)), "rest")),
    }
    made = prepared(tmp_path / "a.rows", columns)
    learner = Learner(made.store, made.design, made.target.labels, made.split, Effort(5))
    weights = learner.fit(lambda _state: None, lambda _progress: None).weights
    expected = expectation(made.design, made.facts, int(made.target.training.sum()))
    manifest = make_manifest(features=made.design.features, classes=made.target.classes)
    model = LinearModel(manifest, arrays_of(made.design, weights, expected, 0.0, 1.0, 0.0))
    batch = pa.record_batch({name: columns[name].slice(60_000, 500) for name in "xn"})
    found = model.predict(batch)
    assert found.probabilities is not None
    assert (found.probabilities.argmax(1) == made.target.classes.index("rest")).mean() > 0.99
    theirs = predicted(made.design, rows_of(made.store)[60_000:60_500], weights, classes=True)
    np.testing.assert_allclose(found.probabilities, theirs, rtol=1e-12)
    assert found.unseen == {}
