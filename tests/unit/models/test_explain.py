"""Importance and reasons, held against shap's own explainers, plain formulas and the probabilities themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import CLASSES, make_manifest

from studentsuccess.core.counts import Counts
from studentsuccess.core.grammar import ARROW_TYPES, Kind
from studentsuccess.models import families
from studentsuccess.models.explain import MOST_CLASSES, MOST_LEVELS, Importance, overview
from studentsuccess.models.explain_row import Reason, amount, row_reasons, sentence, typical_of
from studentsuccess.models.explain_words import direction, group_of, importance_document, row_document, row_words, tells
from studentsuccess.models.linear import LinearModel
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.pipeline import SearchModel, extra_of
from studentsuccess.models.predictor import Contributions, Predictions
from studentsuccess.models.roles import Feature, Role

ROWS = 300
LEVELS = ("red", "green", "blüe")
NUMBERS = ("points", "hours")
FEATURES = (
    Feature("points", Kind.DECIMAL, Role.NUMBER),
    Feature("Farbe", Kind.LABEL, Role.CATEGORY, LEVELS),
    Feature("unused", Kind.TEXT, Role.IGNORE),
    Feature("hours", Kind.INTEGER, Role.BOTH, ("0", "1", "2")),
)
# The weights: the bias; points and its absence; hours and its absence; colours; hours as codes.
ORIGIN, MEAN, SPREAD = (10.0, 0.0), (2.0, 1.0), (4.0, 0.5)
OWNER = (-1, 0, 0, 3, 3, 1, 1, 1, 3, 3, 3)
EXPECTED = (1.0, 0.0, 0.1, 0.0, 0.0, 0.5, 0.3, 0.1, 0.3, 0.4, 0.3)


def made_batch(rows: int = ROWS, seed: int = 5) -> pa.RecordBatch:
    """Numbers, colours (some of them missing, one never met) and small whole numbers."""
    chance = np.random.default_rng(seed)
    points = pa.array(chance.normal(12.0, 3.0, rows), mask=chance.random(rows) < 0.1)
    colours = pa.array(chance.choice([*LEVELS, "violet"], rows, p=[0.5, 0.3, 0.1, 0.1]), mask=chance.random(rows) < 0.1)
    hours = pa.array(chance.integers(0, 3, rows))
    return pa.RecordBatch.from_pydict({"points": points, "Farbe": colours, "hours": hours, "unused": ["x"] * rows})


def linear_model(task: str = "classification") -> LinearModel:
    """A linear model that nobody trained: every one of its arrays is written here."""
    outputs = 3 if task == "classification" else 1
    arrays: dict[str, npt.NDArray[Any]] = {
        "origin": np.array(ORIGIN),
        "scale": np.ones(2),
        "mean": np.array(MEAN),
        "inverse": 1.0 / np.array(SPREAD),
        "starts": np.array([0, 3, 6]),
        "table": np.arange(5, 11),
        "owner": np.array(OWNER),
        "weights": np.random.default_rng(3).normal(size=(len(OWNER), outputs)),
        "expected": np.array(EXPECTED),
        "level": np.array([11.0]),
        "spread": np.array([2.5]),
        "half_width": np.array([3.0]),
    }
    return LinearModel(make_manifest(task=task, features=FEATURES), arrays)  # type: ignore[arg-type]


def two_classes() -> LinearModel:
    """The same with the first two of its classes."""
    arrays = dict(linear_model()._arrays)
    return LinearModel(
        make_manifest(features=FEATURES, classes=CLASSES[:2]),
        arrays | {"weights": np.ascontiguousarray(arrays["weights"][:, :2])},
    )


def weights_of(model: LinearModel) -> npt.NDArray[np.float64]:
    return model.weights


def inputs_of(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """What each row brings to each weight, row by row and in plain Python."""
    found = []
    for row in batch.to_pylist():
        points, hours, colour = row["points"], row["hours"], row["Farbe"]
        scaled = [0.0, 1.0] if points is None else [min(max((points - 10.0 - 2.0) / 4.0, -4.0), 4.0), 0.0]
        found.append(
            [
                *(1.0, *scaled, min(max((hours - 1.0) / 0.5, -4.0), 4.0), 0.0),
                *(float(colour == level) for level in LEVELS),
                *(float(hours == level) for level in range(3)),
            ]
        )
    return np.array(found)


def search_model(family: str, classes: Sequence[str] = CLASSES, rows: int = ROWS) -> tuple[SearchModel, pa.RecordBatch]:
    """A fitted pipeline of one family on made rows."""
    batch = made_batch(rows)
    task = "classification" if classes else "regression"
    manifest = make_manifest(task=task, features=FEATURES, classes=tuple(classes))  # type: ignore[arg-type]
    empty = SearchModel(manifest, None)
    matrix = empty.inputs.encode(batch).matrix
    noise = np.random.default_rng(1).normal(size=rows)
    score = np.nan_to_num(matrix[:, 0] - 12) + 2 * matrix[:, 1] + noise
    target = np.searchsorted(np.quantile(score, np.arange(1, len(classes)) / len(classes)), score) if classes else score
    pipeline = families.build(families.default(family), empty.inputs, task, rows, 0).fit(matrix, target)  # type: ignore[arg-type]
    extra = extra_of(pipeline, empty.inputs, matrix, 1.5)
    return SearchModel(replace(manifest, extra=extra), pipeline), batch


def of_feature(amounts: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Amounts by weight, added up by feature."""
    owner = np.array(OWNER)
    return {feature.name: amounts[:, owner == place].sum(1) for place, feature in enumerate(FEATURES)}


def test_importances_of_weights_are_those_of_shaps_linear_explainer() -> None:
    import shap

    model, batch = linear_model(), made_batch()
    inputs, weights = inputs_of(batch), weights_of(model)
    spread = np.eye(len(OWNER))
    expected: dict[str, dict[str, float]] = {}
    for place, label in enumerate(CLASSES):
        coefficients = weights[:, place] - weights.mean(1)
        explainer = shap.LinearExplainer((coefficients, 0.0), (np.array(EXPECTED), spread))
        amounts = of_feature(np.asarray(explainer.shap_values(inputs)))
        expected[label] = {name: float(np.abs(one).mean()) for name, one in amounts.items()}
    found = overview(model, batch, 1)
    assert {one.name for one in found.features} == {"points", "Farbe", "hours"}
    for one in found.features:
        assert one.by_output == pytest.approx({label: expected[label][one.name] for label in CLASSES}, rel=1e-5)
        assert one.mean_abs == pytest.approx(np.mean([expected[label][one.name] for label in CLASSES]), rel=1e-5)
    assert sum(one.share for one in found.features) == pytest.approx(1.0)
    assert [one.mean_abs for one in found.features] == sorted((one.mean_abs for one in found.features), reverse=True)


def test_importances_of_trees_are_those_of_shaps_tree_explainer() -> None:
    import shap

    model, batch = search_model("lightgbm")
    prepared = model.pipeline.named_steps["prepare"].transform(model.inputs.encode(batch).matrix)
    values = np.asarray(shap.TreeExplainer(model.pipeline.named_steps["model"]).shap_values(prepared.toarray()))
    values = values - values.mean(2, keepdims=True)
    only_points = np.abs(values[:, 0]).mean(0)
    found = {one.name: one for one in overview(model, batch, 1).features}
    assert list(found["points"].by_output.values()) == pytest.approx(only_points.tolist(), rel=1e-6)


@pytest.mark.parametrize("family", ["linear", "lightgbm", "boosting", "forest"])
def test_every_family_is_explained_and_knows_what_it_learned_from(family: str) -> None:
    model, batch = search_model(family)
    found = overview(model, batch, 1)
    names = [one.name for one in found.features]
    assert set(names[:2]) == {"points", "hours"}
    assert all(math.isfinite(one.mean_abs) for one in found.features)
    points = next(one for one in found.features if one.name == "points")
    assert direction(points) == "higher values raise Graduate and lower Dropout"


def test_progress_counts_every_row_of_every_class() -> None:
    told: list[int] = []
    overview(linear_model(), made_batch(700), 10, told.append)
    assert sum(told) == 700 * len(CLASSES)
    assert max(told) < 700


def test_what_codes_do_is_the_mean_over_their_rows() -> None:
    model, batch = linear_model(), made_batch()
    pushes = of_feature((inputs_of(batch) - np.array(EXPECTED)) * (weights_of(model)[:, 0] - weights_of(model).mean(1)))
    colours = batch.column("Farbe").to_pylist()
    found = next(one for one in overview(model, batch, 1).features if one.name == "Farbe")
    assert {level.text for level in found.levels} == {*LEVELS, "violet", None}
    for level in found.levels:
        mine = [place for place, colour in enumerate(colours) if colour == level.text]
        assert level.rows == len(mine)
        assert level.effects["Dropout"] == pytest.approx(pushes["Farbe"][mine].mean(), rel=1e-5)
    sizes = [level.rows * max(map(abs, level.effects.values())) for level in found.levels]
    assert sizes == sorted(sizes, reverse=True)


@dataclass(frozen=True)
class Codes:
    """A model of one code, which pushes by the code's own length."""

    manifest: Manifest

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        return Predictions(values=self.contributions(batch, ()).amounts[:, 0])

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:  # noqa: ARG002
        texts = [text or "" for text in batch.column("code").to_pylist()]
        amounts = np.array([[float(len(text))] for text in texts]).reshape(-1, 1)
        return Contributions(("code",), amounts, np.zeros(len(texts)))


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=14).filter(any),
    missing=st.integers(0, 20),
    smallest=st.integers(1, 15),
)
def test_no_code_of_few_rows_is_told_not_even_by_subtraction(counts: list[int], missing: int, smallest: int) -> None:
    feature = Feature("code", Kind.LABEL, Role.CATEGORY, ("x",))
    texts = [None] * missing + ["x" * (place + 1) for place, count in enumerate(counts) for _ in range(count)]
    batch = pa.RecordBatch.from_pydict({"code": pa.array(texts, pa.string())})
    model = Codes(make_manifest(task="regression", features=(feature,)))
    (found,) = overview(model, batch, smallest).features
    rows = [level.rows for level in found.levels]
    assert all(count >= smallest for count in rows)
    assert len(rows) <= MOST_LEVELS
    left = len(texts) - sum(rows)
    assert left == 0 or left >= smallest or not rows
    truth = {None: missing} | {"x" * (place + 1): count for place, count in enumerate(counts)}
    assert all(truth[level.text] == level.rows for level in found.levels)


@dataclass(frozen=True)
class Bent:
    """A model of one column, which pushes by a function of the number beside it and a little at random."""

    shape: Any
    kind: Kind = Kind.INTEGER

    @property
    def manifest(self) -> Manifest:
        return make_manifest(task="regression", features=(Feature("x", self.kind, Role.NUMBER),))

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        return Predictions(values=np.zeros(batch.num_rows))

    def contributions(self, batch: pa.RecordBatch, classes: Sequence[int]) -> Contributions:  # noqa: ARG002
        noise = np.random.default_rng(batch.num_rows).normal(size=batch.num_rows) * 0.01
        amounts = np.array([self.shape(number or 0) for number in batch.column("number").to_pylist()]) + noise
        return Contributions(("x",), amounts[:, None], noise)


def with_numbers(numbers: list[int | None], kind: Kind) -> pa.RecordBatch:
    """Numbers, and beside them the column of a kind that counts them."""
    given = pa.array(numbers, pa.int64())
    counted = given.cast(pa.int32() if kind is Kind.DATE else pa.int64()).cast(ARROW_TYPES[kind])
    return pa.RecordBatch.from_pydict({"x": counted, "number": given})


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (lambda value: 3 * value, "higher values raise G3"),
        (lambda value: -math.exp(value), "higher values lower G3"),
        (lambda value: float(value > 4.5), "higher values raise G3"),
        (lambda value: (value - 4.5) ** 2, None),
    ],
)
@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.DECIMAL, Kind.DATE, Kind.TIME])
def test_a_direction_is_told_where_there_is_one(shape: Any, expected: str | None, kind: Kind) -> None:
    numbers = [*(place % 10 for place in range(200)), None]
    (found,) = overview(Bent(shape, kind), with_numbers(numbers, kind), 10).features
    assert direction(found) == expected
    assert tells(found) == (expected or "no one direction")


def test_yes_and_no_have_a_direction_whatever_else_moves_their_rows() -> None:
    """Interactions make rows of one value differ; that takes nothing from a steady difference."""
    batch = with_numbers([0] * 30 + [1] * 270, Kind.INTEGER)
    (found,) = overview(Bent(lambda number: number / 100), batch, 10).features
    assert found.trends["G3"] == pytest.approx(1.0)


def test_of_very_many_classes_the_most_expected_are_told() -> None:
    labels = tuple(f"class {place}" for place in range(MOST_CLASSES + 5))
    arrays = dict(linear_model()._arrays)
    weights = np.zeros((len(OWNER), len(labels)))
    weights[0] = np.arange(len(labels)) / 10
    weights[1] = np.linspace(-1, 1, len(labels))
    model = LinearModel(make_manifest(features=FEATURES, classes=labels), arrays | {"weights": weights})
    found = overview(model, made_batch(40), 1)
    likely = model.predict(made_batch(40)).probabilities
    assert likely is not None
    expected = {labels[place] for place in np.argsort(-likely.mean(0))[:MOST_CLASSES]}
    assert set(found.outputs) == expected
    assert set(found.features[0].by_output) == expected


@pytest.mark.parametrize("row", range(12))
def test_base_and_amounts_of_a_row_are_its_score_by_the_probabilities(row: int) -> None:
    model, batch = linear_model(), made_batch()
    told = row_reasons(model, batch.slice(row, 1), {})
    likely = model.predict(batch.slice(row, 1)).probabilities
    assert likely is not None
    logs = np.log(likely[0])
    assert told.about == CLASSES[int(likely[0].argmax())]
    assert told.confidence == pytest.approx(float(likely[0].max()))
    assert told.score == pytest.approx(float(logs.max() - logs.mean()))
    assert told.base + sum(one.effect for one in told.reasons) == pytest.approx(told.score)
    average = np.array(EXPECTED) @ (weights_of(model) - weights_of(model).mean(1, keepdims=True))
    assert told.base == pytest.approx(average[int(likely[0].argmax())])


@pytest.mark.parametrize("kind", ["weights", "linear", "lightgbm", "boosting"])
def test_of_two_classes_the_score_is_the_log_odds(kind: str) -> None:
    model, batch = (two_classes(), made_batch()) if kind == "weights" else search_model(kind, ("no", "yes"))
    for row in range(5):
        told = row_reasons(model, batch.slice(row, 1), {})
        share = told.confidence or 0.0
        assert told.score == pytest.approx(math.log(share / (1 - share)), rel=1e-6)
        assert told.base + sum(one.effect for one in told.reasons) == pytest.approx(told.score, rel=1e-6)


@pytest.mark.parametrize("kind", ["weights", "linear", "lightgbm", "forest"])
def test_base_and_amounts_of_a_row_are_its_value(kind: str) -> None:
    model, batch = (linear_model("regression"), made_batch()) if kind == "weights" else search_model(kind, ())
    values = model.predict(batch).values
    assert values is not None
    bases = set()
    for row in range(6):
        told = row_reasons(model, batch.slice(row, 1), {})
        assert told.score == told.value == pytest.approx(float(values[row]))
        assert told.base + sum(one.effect for one in told.reasons) == pytest.approx(float(values[row]))
        bases.add(round(told.base, 6))
    assert len(bases) == 1
    assert told.about == "G3"
    assert told.scale == ""
    assert told.interval is not None
    assert told.interval[0] < told.score < told.interval[1]


def test_what_is_usual_is_known_from_the_training_of_our_own_model() -> None:
    strange = pa.RecordBatch.from_pydict({"points": [99.0], "Farbe": ["blüe"], "hours": [2], "unused": ["x"]})
    assert typical_of(linear_model(), strange) == {"points": 12.0, "Farbe": "red", "hours": 1}


def test_what_is_usual_for_another_model_is_what_is_usual_in_the_rows() -> None:
    model, batch = search_model("linear")
    found = typical_of(model, batch)
    points = [value for value in batch.column("points").to_pylist() if value is not None]
    assert found == {"points": pytest.approx(np.mean(points)), "Farbe": "red", "hours": found["hours"]}
    hours = batch.column("hours").to_pylist()
    assert hours.count(found["hours"]) == max(map(hours.count, set(hours)))
    assert typical_of(model, batch.slice(0, 3)) == {}


@pytest.mark.parametrize(
    ("kind", "values", "usual"),
    [
        (Kind.DATE, [date(2024, 1, 1), date(2024, 1, 3), None], date(2024, 1, 2)),
        (Kind.TIME, [datetime(2024, 1, 1), datetime(2024, 1, 3), None], datetime(2024, 1, 2)),  # noqa: DTZ001
        (Kind.INTEGER, [1, 2, 2], 2),
        (Kind.DECIMAL, [1.0, 2.0, None], 1.5),
        (Kind.BOOLEAN, [True, True, False], True),
        (Kind.DECIMAL, [None, None, None], None),
    ],
)
def test_what_is_usual_is_a_value_of_its_column(kind: Kind, values: list[object], usual: object) -> None:
    model = Codes(make_manifest(task="regression", features=(Feature("code", kind, Role.NUMBER),)))
    batch = pa.RecordBatch.from_pydict({"code": pa.array(values * 5, ARROW_TYPES[kind])})
    found = typical_of(model, batch)
    assert found == {"code": usual}
    assert type(found["code"]) is type(usual)


@pytest.mark.parametrize(
    ("reason", "about", "scale", "words"),
    [
        (
            Reason("Curricular units 2nd sem (approved)", 0, -1.2, (5,)),
            "Graduate",
            "log-odds",
            "Curricular units 2nd sem (approved) is 0: lowers Graduate by 1.2 (log-odds); typical is 5",
        ),
        (Reason("G1", 12.5, 0.75, (10.46,)), "G3", "", "G1 is 12.5: raises G3 by 0.75; typical is 10.5"),
        (Reason("pay", 12345.6, 4321.0, (2.0,)), "G3", "", "pay is 12,346: raises G3 by 4,321; typical is 2"),
        (Reason("G1", None, 0.5, (10,)), "G3", "", "G1 is missing: raises G3 by 0.5; typical is 10"),
        (Reason("G1", None, 0.5, (None,)), "G3", "", "G1 is missing: raises G3 by 0.5; it mostly is"),
        (Reason("G1", 4, 0.5, (None,)), "G3", "", "G1 is 4: raises G3 by 0.5; it is mostly missing"),
        (Reason("G1", 4, 0.5, (4,)), "G3", "", "G1 is 4: raises G3 by 0.5; that is typical"),
        (Reason("G1", 4, 0.5), "G3", "", "G1 is 4: raises G3 by 0.5"),
        (Reason("day", date(2024, 2, 1), -2.0, (date(2024, 1, 1),)), "G3", "",
         "day is 2024-02-01: lowers G3 by 2; typical is 2024-01-01"),
        (Reason("paid", True, 2.0, (False,)), "G3", "", "paid is true: raises G3 by 2; typical is false"),
        (
            Reason("城市", "Łódź", -0.1, ("Graz",), unseen=True),
            "ja",
            "log-odds",
            "城市 is Łódź, which the model never met: lowers ja by 0.1 (log-odds); typical is Graz",
        ),
    ],
)  # fmt: skip
def test_a_reason_is_a_sentence(reason: Reason, about: str, scale: str, words: str) -> None:
    assert sentence(reason, about, scale) == words


def test_a_value_that_the_model_never_met_is_said_to_be_one() -> None:
    row = pa.RecordBatch.from_pydict({"points": [12.0], "Farbe": ["violet"], "hours": [1], "unused": ["x"]})
    for model in (linear_model(), search_model("linear")[0]):
        told = {one.name: one for one in row_reasons(model, row, {}).reasons}
        assert told["Farbe"].unseen
        assert not told["hours"].unseen


@given(st.floats(allow_nan=False))
def test_an_amount_is_short(number: float) -> None:
    assert len(amount(number)) <= 10 or abs(number) >= 1e6
    if math.isfinite(number) and number:
        assert float(amount(number).replace(",", "")) == pytest.approx(number, rel=0.006)


@pytest.mark.parametrize("top", [None, 1, 2, 50])
def test_what_is_shown_and_the_rest_add_up(top: int | None) -> None:
    model, batch = linear_model(), made_batch()
    told = row_reasons(model, batch.slice(0, 1), typical_of(model, batch))
    document = json.loads(json.dumps(row_document(model.manifest, ("rows.csv", 1), told, top)))
    shown = sum(one["effect"] for one in document["reasons"])
    assert document["base"] + shown + document["rest"]["effect"] == pytest.approx(document["score"])
    assert len(document["reasons"]) + document["rest"]["reasons"] == len(told.reasons) == 3
    assert {one["direction"] for one in document["reasons"]} <= {"up", "down"}
    assert document["predicted"] == max(document["probabilities"], key=document["probabilities"].get)


def test_words_tell_the_strongest_both_ways_and_what_is_left() -> None:
    model, batch = linear_model("regression"), made_batch()
    told = row_reasons(model, batch.slice(0, 1), {})
    lines = row_words(model.manifest, told, 1)
    up = max((one.effect for one in told.reasons if one.effect > 0), default=0.0)
    assert lines[0].startswith(f"G3: {amount(told.score)}, most likely between ")
    assert f"raises G3 by {amount(up)}" in lines[2]
    assert "weaker reason" in lines[-3]
    assert "`--top 3` shows all" in lines[-3]
    assert lines[-1] == (
        f"an average row stands at {amount(told.base)}, and the reasons bring this one to {amount(told.score)}"
    )
    assert not [line for line in row_words(model.manifest, told, 3) if "weaker" in line]


def test_the_document_is_plain_json_with_all_that_was_found() -> None:
    model, batch = linear_model(), made_batch()
    found = overview(model, batch, 10)
    document = importance_document(model.manifest, found, Counts(310, 300, 10))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["rows"], document["rows_read"], document["rows_rejected"]) == (300, 310, 10)
    assert (document["model"], document["version"], document["classes"]) == ("risk", 1, list(CLASSES))
    names = [one["name"] for one in document["features"]]
    assert sorted(names) == ["Farbe", "hours", "points"]
    points = document["features"][names.index("points")]
    assert (points["levels"], set(points["by_class"])) == ([], set(CLASSES))
    regression = linear_model("regression")
    told = importance_document(regression.manifest, overview(regression, batch, 10), Counts(300, 300))
    assert all(one["by_class"] == {} for one in told["features"])
    assert told["scale"] == "G3"


def test_bars_are_coloured_by_what_they_move() -> None:
    one = Importance("a", 1.0, 1.0, {"x": 1.0, "y": 3.0, "z": 2.0}, {"x": 1.0, "y": -1.0, "z": 0.0})
    assert group_of(one, ("x", "y", "z")) == "moves y most"
    assert group_of(one, ("x", "y")) == "higher values lower y"
    assert group_of(replace(one, trends={"x": 1.0}), ("x",)) == "higher values raise x"
    assert group_of(replace(one, trends={}), ("x",)) == "no one direction"
