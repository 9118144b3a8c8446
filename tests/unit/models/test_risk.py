"""The risk model: what it promises for each class, reasons that add up, and rows that training never met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.errors import ContractError, ExitCode
from studentsuccess.models import risk
from studentsuccess.models.keep import dump_weights, load_weights
from studentsuccess.models.risk import LEVEL, Calibration, WeekModel, fit_week, pack, unpack
from studentsuccess.models.risk_inputs import learn, ordered

Floats = npt.NDArray[np.float64]
FEATURES = (
    "clicks",
    "marks",
    "constant",
    "empty",
    "often_missing",
    "course_id",
    "education",
    "deprivation",
    "disability",
)
EDUCATION = ("No Formal quals", "Lower Than A Level", "A Level or Equivalent", "HE Qualification", None)


def drawn(rows: int, seed: int) -> pa.Table:
    """Students whose risk follows from what is known of them, and chance."""
    chance = np.random.default_rng(seed)
    clicks, marks = chance.normal(4, 1.5, rows), np.clip(chance.normal(65, 15, rows), 0, 100)
    course, education = chance.integers(0, 4, rows), chance.integers(0, 5, rows)
    odds = -0.8 * (clicks - 4) - (marks - 65) / 15 + 0.5 * (course == 2) - 0.2 * education
    return pa.table(
        {
            "at_risk": chance.random(rows) < 1 / (1 + np.exp(-odds)),
            "student_id": [f"s{one}" for one in range(seed * 10**6, seed * 10**6 + rows)],
            "clicks": clicks,
            "marks": pa.array(marks, mask=chance.random(rows) < 0.1),
            "constant": np.full(rows, 3.0),
            "empty": pa.nulls(rows, pa.float64()),
            "often_missing": pa.array(np.full(rows, 1.0), mask=odds + chance.normal(0, 2, rows) > 1),
            "course_id": [f"C{one}" for one in course],
            "education": [EDUCATION[one] for one in education],
            "deprivation": pa.array([f"{10 * one}-{10 * one + 10}%" for one in chance.integers(0, 10, rows)]),
            "disability": ["Y" if one else "N" for one in chance.random(rows) < 0.1],
        }
    )


@pytest.fixture(scope="module")
def model() -> WeekModel:
    return fit_week(drawn(3000, 1), 8, FEATURES, seed=42)


@pytest.fixture(scope="module")
def fresh() -> pa.Table:
    return drawn(8000, 2)


def truth_of(table: pa.Table) -> npt.NDArray[np.bool_]:
    return np.asarray(table["at_risk"].to_numpy(zero_copy_only=False), bool)


def test_each_class_is_in_the_set_of_about_nine_in_ten_of_its_fresh_members(model: WeekModel, fresh: pa.Table) -> None:
    words = np.array(model.calibration.decisions(model.probability(fresh)))
    truth = truth_of(fresh)
    probability = model.probability(fresh)
    kept = probability[truth] >= model.calibration.least_at_risk
    cleared = probability[~truth] <= model.calibration.most_not_at_risk
    assert LEVEL == 0.9
    assert 0.87 < kept.mean() < 0.94
    assert 0.87 < cleared.mean() < 0.94
    assert (words[truth] == "not at risk").mean() < 0.13
    assert (words[~truth] == "at risk").mean() < 0.13
    assert set(words) == {"at risk", "not at risk", "unsure"}


def test_probabilities_come_true_on_fresh_students(model: WeekModel, fresh: pa.Table) -> None:
    probability, truth = model.probability(fresh), truth_of(fresh)
    assert abs(probability.mean() - truth.mean()) < 0.02
    places = np.digitize(probability, np.linspace(0, 1, 6)[1:-1])
    for place in range(5):
        mine = places == place
        assert abs(probability[mine].mean() - truth[mine].mean()) < 0.06


@given(st.integers(1, 400), st.integers(0, 10**6))
def test_the_promise_is_kept_by_counting_in_a_class_of_any_size(members: int, seed: int) -> None:
    """Of n members and a new one, each place in the order is as likely: nine in ten, or more, must be inside."""
    strangeness = np.random.default_rng(seed).random(members)
    inside = int((strangeness <= risk._reach(strangeness)).sum())
    assert inside + (inside == members) >= LEVEL * (members + 1) - 1e-9
    assert risk._reach(strangeness) <= 1.0


def test_a_class_of_a_handful_is_never_ruled_out() -> None:
    table = drawn(150, 5)
    few = np.zeros(150, bool)
    few[:5] = True
    table = table.set_column(0, "at_risk", pa.array(few))
    model = fit_week(table, 0, FEATURES, seed=1)
    assert "not at risk" not in model.calibration.decisions(model.probability(drawn(400, 6)))


def test_a_set_of_both_or_of_none_is_unsure() -> None:
    both, none = Calibration(1, 0, 0.2, 0.8), Calibration(1, 0, 0.8, 0.2)
    numbers = np.array([0.1, 0.2, 0.5, 0.8, 0.9])
    assert both.decisions(numbers) == ["not at risk", "unsure", "unsure", "unsure", "at risk"]
    assert none.decisions(numbers) == ["not at risk", "not at risk", "unsure", "at risk", "at risk"]


def test_reasons_add_up_to_the_log_odds(model: WeekModel, fresh: pa.Table) -> None:
    names, effects, start = model.reasons(fresh)
    probability = model.probability(fresh)
    assert np.allclose(start + effects.sum(1), np.log(probability / (1 - probability)), rtol=0, atol=1e-9)
    assert set(names) <= set(FEATURES)
    assert len(set(names)) == len(names)
    assert effects.shape == (fresh.num_rows, len(names))


def test_the_strongest_reason_is_what_made_the_difference(model: WeekModel) -> None:
    one = drawn(1, 3).set_column(2, "clicks", pa.array([8.0])).set_column(3, "marks", pa.array([65.0]))
    names, effects, _ = model.reasons(one)
    assert names[int(np.abs(effects[0]).argmax())] == "clicks"
    assert effects[0][names.index("clicks")] < 0


def test_the_blend_is_the_weighted_sum_of_a_logistic_and_trees_then_calibrated(
    model: WeekModel, fresh: pa.Table
) -> None:
    import lightgbm

    matrix = model.inputs.matrix(fresh)
    line = model.logistic
    scaled = np.clip((np.where(np.isnan(matrix), line.mean, matrix) - line.mean) / line.spread, -4, 4)
    odds = scaled @ line.values + np.isnan(matrix) @ line.absent + line.bias
    trees = lightgbm.Booster(model_str=model.trees.text).predict(matrix, raw_score=True)
    blend = model.weight * odds + (1 - model.weight) * np.asarray(trees)
    expected = 1 / (1 + np.exp(-(model.calibration.slope * blend + model.calibration.shift)))
    assert np.allclose(model.probability(fresh), expected, rtol=0, atol=1e-12)


def test_a_model_that_was_kept_predicts_the_same_bits(model: WeekModel, fresh: pa.Table, tmp_path: Path) -> None:
    arrays, texts, facts = pack([model, replace(model, week=9)])
    (tmp_path / "weights.safetensors").write_bytes(dump_weights(arrays))
    again = unpack(
        load_weights(tmp_path / "weights.safetensors"), {name: text.decode() for name, text in texts.items()}, facts
    )
    assert sorted(again) == [8, 9]
    assert again[8].inputs == model.inputs
    assert again[8].calibration == model.calibration
    assert again[8].probability(fresh).tobytes() == model.probability(fresh).tobytes()
    head = fresh.slice(0, 500)
    for one, other in zip(again[9].reasons(head)[1:], model.reasons(head)[1:], strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_fitting_twice_gives_the_same_bits(model: WeekModel, fresh: pa.Table) -> None:
    again = fit_week(drawn(3000, 1), 8, FEATURES, seed=42)
    assert again.probability(fresh).tobytes() == model.probability(fresh).tobytes()


def test_constant_and_empty_columns_are_left_out(model: WeekModel) -> None:
    owners = set(model.inputs.owners)
    assert not owners & {"constant", "empty"}
    assert "often_missing" in owners, "constant, and that it is missing says something"


def test_nothing_but_a_column_that_varies_is_needed() -> None:
    """As at week 0 where nobody has handed anything in."""
    table = drawn(200, 4)
    for name in ("marks", "often_missing"):
        table = table.set_column(table.column_names.index(name), name, pa.nulls(200, pa.float64()))
    assert set(fit_week(table, 0, FEATURES, seed=1).inputs.owners) <= set(FEATURES) - {"marks", "empty", "constant"}


@pytest.mark.parametrize(
    "change",
    [
        {"course_id": "ZZZ"},
        {"course_id": None},
        {"education": None, "deprivation": None, "disability": None},
        {"education": "Doctor of everything", "deprivation": "unknown", "disability": "perhaps"},
        {"clicks": None, "marks": None, "often_missing": None},
        {"clicks": 1e9, "marks": -1e9},
        {"constant": 7.0, "empty": 7.0},
    ],
)
def test_values_that_training_never_met_still_give_a_probability(model: WeekModel, change: dict[str, Any]) -> None:
    table = drawn(50, 9)
    for name, value in change.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array([value] * 50, table.schema.field(name).type))
    found = model.probability(table)
    assert np.isfinite(found).all()
    assert ((found > 0) & (found < 1)).all()
    _, effects, start = model.reasons(table)
    assert np.allclose(start + effects.sum(1), np.log(found / (1 - found)), rtol=0, atol=1e-9)


def test_no_rows_give_no_predictions(model: WeekModel) -> None:
    none = drawn(5, 1).slice(0, 0)
    assert model.probability(none).shape == (0,)
    names, effects, start = model.reasons(none)
    assert effects.shape == (0, len(names))
    assert start.shape == (0,)


@pytest.mark.parametrize("at_risk", [[True] * 200, [False] * 200, [True, False] * 49])
def test_too_few_rows_or_one_outcome_are_refused(at_risk: Sequence[bool]) -> None:
    table = drawn(len(at_risk), 1).set_column(0, "at_risk", pa.array(at_risk))
    with pytest.raises(ContractError, match=f"{len(at_risk)} enrolments") as refused:
        fit_week(table, 3, FEATURES, seed=1)
    assert refused.value.code is ExitCode.CONTRACT
    assert "week 3" in refused.value.message
    assert "--week" in refused.value.hint


def test_texts_with_an_order_are_one_column_and_names_one_each() -> None:
    rows = 100
    table = pa.table(
        {
            "education": ["No Formal quals", "HE Qualification"] * 50,
            "deprivation": ["0-10%", "90-100%"] * 50,
            "age_band": ["0-35", "55<="] * 50,
            "region": [*["Wales"] * 40, *["Scotland"] * 40, *["Ireland"] * 19, None],
            "gender": [*["F"] * 60, *["M"] * 40],
        }
    )
    inputs = learn(table, table.column_names)
    assert [part.name for part in inputs.parts] == [
        "education", "deprivation", "age_band", "region=Scotland", "region=Wales", "gender=F",
    ]  # fmt: skip
    matrix = inputs.matrix(table)
    assert matrix.shape == (rows, 6)
    assert matrix[:2].tolist() == [[0, 0, 0, 0, 1, 1], [3, 90, 2, 0, 1, 1]]
    assert np.isnan(matrix[-1]).tolist() == [False, False, False, True, True, False]
    values = ordered("education", table["education"])
    assert values is not None
    assert values[:2].tolist() == [0, 3]
    assert ordered("region", table["region"]) is None


def test_what_could_not_be_known_yet_speaks_neither_for_nor_against_and_what_is_absent_does(model: WeekModel) -> None:
    row = {name: drawn(1, 77)[name].to_pylist()[0] for name in FEATURES}
    asked = pa.table({name: pa.array([value] * 3, drawn(1, 77)[name].type) for name, value in row.items()})
    place = FEATURES.index("marks")
    typical = next(part.typical for part in model.inputs.parts if part.feature == "marks")
    asked = asked.set_column(place, "marks", pa.array([float("nan"), typical, None]))
    matrix = model.inputs.matrix(asked)
    assert np.array_equal(matrix[0], matrix[1], equal_nan=True)
    assert np.isnan(matrix[2][model.inputs.owners.index("marks")])
    names, effects, _ = model.reasons(asked)
    line = model.logistic.terms(matrix)[:, model.inputs.owners.index("marks")]
    assert abs(line[0]) < 1e-9, "the mean of the training rows moves nothing"
    assert names.index("marks") >= 0
    assert effects[2, names.index("marks")] != effects[0, names.index("marks")]


def test_the_typical_value_is_the_mean_of_the_training_rows_that_have_one() -> None:
    table = pa.table({"marks": pa.array([10.0, None, 30.0, float("nan")] * 5)})
    (part,) = learn(table, ["marks"]).parts
    assert part.typical == 20.0
