"""A search chooses on inner folds, never looks at what is held out, and keeps what it fitted."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from effort import sample
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_models import make_manifest
from scipy import stats

from studentsuccess.core.grammar import Kind
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.models import families
from studentsuccess.models.families import FAMILIES
from studentsuccess.models.keep import dump_pipeline, load_pipeline
from studentsuccess.models.manifest import Task
from studentsuccess.models.pipeline import SearchModel, extra_of, predicted
from studentsuccess.models.pipeline_inputs import Inputs
from studentsuccess.models.roles import Feature, Role
from studentsuccess.models.search import fit_choice, search
from studentsuccess.models.search_folds import Rows, folds, interval
from studentsuccess.models.search_terms import Choice, Found, Options, Table, needed_bytes

CLASSES = ("left", "stays", "wins")
QUICK = Options(trials=5, cv=3)
FEATURES = (
    Feature("grade", Kind.DECIMAL, Role.NUMBER),
    Feature("course", Kind.INTEGER, Role.BOTH, tuple(str(code) for code in (33, 171, 8014, 9070, 9254))),
    Feature("town", Kind.LABEL, Role.CATEGORY, tuple("abcdefgh")),
    Feature("debtor", Kind.BOOLEAN, Role.NUMBER),
    Feature("name", Kind.TEXT, Role.IGNORE),
    Feature("started", Kind.DATE, Role.NUMBER),
)


@dataclass(frozen=True)
class Made:
    """A small school: who stays hangs on the grade, the course and the town; a fifth is held out."""

    batch: pa.RecordBatch
    table: Table


def make(task: Task = "classification", rows: int = 260, noise: float = 0.6, seed: int = 0) -> Made:
    random = np.random.default_rng(seed)
    grade, course = random.normal(12, 3, rows), random.integers(0, 5, rows)
    town, debtor = random.integers(0, 8, rows), random.random(rows) < 0.3
    score = (grade - 12) / 3 + np.array([1.0, -1.0, 0.5, -0.5, 0.0])[course] + (town % 3 - 1) - debtor
    score = score / 1.5 + noise * random.normal(size=rows)
    empty = random.random(rows) < 0.1
    codes = np.array([33, 171, 8014, 9070, 9254])
    batch = pa.RecordBatch.from_pydict(
        {
            "grade": pa.array(grade, mask=empty),
            "course": pa.array(codes[course]),
            "town": pa.array(
                [None if gap else "abcdefgh"[place] for gap, place in zip(empty[::-1], town, strict=True)]
            ),
            "debtor": pa.array(debtor),
            "name": pa.array(["x"] * rows),
            "started": pa.array(random.integers(18_000, 19_000, rows).astype(np.int32)).cast(pa.date32()),
        }
    )
    target = np.digitize(score, [-0.5, 0.7]).astype(np.int64) if task == "classification" else 10 + 2 * score
    classes = CLASSES if task == "classification" else ()
    holdout = random.random(rows) < 0.2
    return Made(batch, Table(Inputs.of(FEATURES).encode(batch).matrix, FEATURES, target, classes, task, holdout, seed))


def model_of(found: Found, table: Table, **changed: Any) -> SearchModel:
    manifest = make_manifest(task=table.task, features=table.features, classes=table.classes, extra=found.extra)
    return SearchModel(replace(manifest, **changed), found.model)


def same(one: Found, other: Found) -> bool:
    """All but the seconds."""
    boards = [[replace(line, seconds=0.0) for line in found.leaderboard] for found in (one, other)]
    told = [(found.choice, found.verdict, found.half_width, found.extra) for found in (one, other)]
    return boards[0] == boards[1] and told[0] == told[1] and np.array_equal(one.predictions, other.predictions)


@pytest.fixture(scope="module")
def school() -> Made:
    return make()


@pytest.fixture(scope="module")
def found(school: Made) -> Found:
    return search(school.table, QUICK)


@pytest.fixture(scope="module")
def grades() -> Made:
    return make("regression", rows=500)


@pytest.fixture(scope="module")
def found_grades(grades: Made) -> Found:
    return search(grades.table, replace(QUICK, cv=5))


def test_what_is_held_out_has_no_say_in_the_choice(school: Made, found: Found) -> None:
    table, random = school.table, np.random.default_rng(9)
    target = table.target.copy()
    target[table.holdout] = random.permutation(target[table.holdout])
    assert same(search(replace(table, target=target), QUICK), found)


def test_what_is_held_out_has_no_say_in_the_fit(school: Made, found: Found) -> None:
    table = school.table
    matrix = table.matrix.copy()
    matrix[table.holdout] = np.nan
    other = search(replace(table, matrix=matrix), QUICK)
    ours, theirs = (one.model.predict_proba(table.matrix) for one in (found, other))
    assert other.choice == found.choice
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("workers", [2, 5])
def test_the_result_does_not_depend_on_the_number_of_workers(school: Made, found: Found, workers: int) -> None:
    assert same(search(school.table, replace(QUICK, workers=workers)), found)


def test_another_seed_draws_other_configurations(school: Made, found: Found) -> None:
    other = search(replace(school.table, seed=1), replace(QUICK, trials=5))
    drawn = [
        [line.parameters for line in one.leaderboard if line.name.endswith(" 2") and line.family != "blend"]
        for one in (found, other)
    ]
    assert len(drawn[0]) == 1
    assert drawn[0] != drawn[1]


def test_the_predictions_are_those_of_the_model_kept_for_the_rows_held_out(school: Made, found: Found) -> None:
    held = school.batch.filter(pa.array(school.table.holdout))
    assert np.array_equal(model_of(found, school.table).predict(held).probabilities, found.predictions)


def test_the_baselines_are_always_on_the_board(school: Made) -> None:
    one = search(school.table, Options(trials=1, cv=2))
    baselines = {line.name for line in one.leaderboard if line.baseline}
    assert baselines == {"plain linear", "shares of the classes"}
    assert {line.name for line in one.leaderboard if not line.baseline} == {"linear 1"}


def test_every_family_begins_as_it_is_by_default(found: Found) -> None:
    given = {line.name: line.parameters for line in found.leaderboard}
    assert {name: given[f"{name} 1"] for name in FAMILIES} == dict(families.DEFAULTS)


def test_the_chosen_one_is_the_best_that_is_finished(found: Found) -> None:
    finished = [line for line in found.leaderboard if line.finished]
    best = min(finished, key=lambda line: line.loss)
    assert found.choice.name == best.name == found.leaderboard[0].name
    assert best.behind == 0.0
    assert all(line.behind >= 0.0 for line in finished)


def test_the_worse_half_is_let_go_after_two_folds_and_ranks_last(school: Made) -> None:
    board = search(school.table, Options(trials=10, cv=3)).leaderboard
    tried = [line for line in board if line.family in FAMILIES and not line.baseline]
    assert [line.rank for line in board] == list(range(1, len(board) + 1))
    assert [line.folds for line in board] == sorted((line.folds for line in board), reverse=True)
    assert [sum(line.folds == seen for line in tried) for seen in (2, 3)] == [5, 5]
    assert {line.family for line in tried if line.finished} == set(FAMILIES)


def test_a_signal_beats_the_baseline_and_noise_does_not(school: Made) -> None:
    loud = search(make(rows=500, noise=0.1).table, replace(QUICK, cv=5))
    assert loud.verdict.beats_baseline
    assert loud.verdict.gain.low > 0
    random = np.random.default_rng(3)
    table = replace(school.table, target=random.permutation(school.table.target))
    for task, target in (("classification", table.target), ("regression", table.target.astype(float))):
        noise = search(replace(table, target=target, task=task), QUICK)
        assert not noise.verdict.beats_baseline
        assert noise.verdict.baseline in noise.verdict.reason
        assert noise.verdict.gain.low <= 0


def test_an_interval_is_a_t_interval_that_knows_that_folds_share_rows() -> None:
    scores = [0.5, 0.56, 0.48, 0.6, 0.55]
    wide = stats.t.interval(0.95, 4, np.mean(scores), np.std(scores, ddof=1) * np.sqrt(1 / 5 + 1 / 4))
    told = interval(scores, 5)
    assert (told.low, told.high) == pytest.approx(wide)
    assert told.mean == pytest.approx(np.mean(scores))


def test_progress_is_told_after_every_fit_up_to_the_last(school: Made) -> None:
    heard: list[tuple[int, int, float]] = []
    search(school.table, Options(trials=6, cv=3, workers=2, on_trial=lambda *given: heard.append(given)))
    assert [done for done, _, _ in heard] == list(range(1, len(heard) + 1))
    assert {total for _, total, _ in heard} == {len(heard)}
    best = [loss for _, _, loss in heard]
    assert best == sorted(best, reverse=True)


def test_codes_and_texts_that_were_never_met_are_counted_and_missing_ones_are_not(school: Made, found: Found) -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "grade": pa.array([12.0, None, 1e300, -1e300]),
            "course": pa.array([33, 34, None, 171]),
            "town": pa.array(["a", "Ü", None, "zz"]),
            "debtor": pa.array([True, None, False, True]),
            "started": pa.array([date(2020, 1, 1), None, date(1, 1, 1), date(9999, 1, 1)]),
        }
    )
    told = model_of(found, school.table).predict(batch)
    assert told.probabilities is not None
    assert {name: count for name, count in told.unseen.items() if count} == {"course": 1, "town": 2}
    assert np.isfinite(told.probabilities).all()
    assert np.allclose(told.probabilities.sum(axis=1), 1)
    assert (told.probabilities >= 0).all()


def test_texts_and_dictionaries_and_column_orders_are_one(school: Made) -> None:
    inputs, plain = Inputs.of(FEATURES), school.batch
    town = plain.column("town")
    strange = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["h", None, "zz"]))
    other = plain.set_column(2, "town", town.dictionary_encode()).select(plain.schema.names[::-1])
    assert np.array_equal(inputs.encode(other).matrix, inputs.encode(plain).matrix, equal_nan=True)
    few = plain.slice(0, 4).set_column(2, "town", strange)
    text = few.set_column(2, "town", strange.cast(pa.string()))
    assert np.array_equal(inputs.encode(few).matrix, inputs.encode(text).matrix, equal_nan=True)
    assert inputs.encode(few).unseen == inputs.encode(text).unseen
    assert inputs.encode(few).unseen["town"] == 1


def test_days_moments_and_truth_values_are_numbers() -> None:
    features = tuple(
        Feature(name, kind, Role.NUMBER)
        for name, kind in (("day", Kind.DATE), ("moment", Kind.TIME), ("flag", Kind.BOOLEAN), ("many", Kind.INTEGER))
    )
    batch = pa.RecordBatch.from_pydict(
        {
            "day": pa.array([date(1970, 1, 11), None]),
            "moment": pa.array([datetime(1970, 1, 2, 12), None], pa.timestamp("us")),  # noqa: DTZ001 - as it is read
            "flag": pa.array([True, None]),
            "many": pa.array([10**18 - 1, None]),
        }
    )
    matrix = Inputs.of(features).encode(batch).matrix
    assert matrix[0].tolist() == [10.0, 1.5, 1.0, 1e18]
    assert np.isnan(matrix[1]).all()


@given(arrays.arrays(np.int64, st.integers(0, 40), elements=st.integers(-3, 6)), st.booleans())
def test_a_code_is_the_place_of_its_level(values: npt.NDArray[np.int64], as_text: bool) -> None:
    levels = ("-1", "3", "0", "5")
    kind = Kind.LABEL if as_text else Kind.INTEGER
    feature = Feature("code", kind, Role.CATEGORY, levels)
    column = pa.array(values).cast(pa.string()).dictionary_encode() if as_text else pa.array(values)
    told = Inputs.of((feature,)).encode(pa.RecordBatch.from_pydict({"code": column}))
    expected = [levels.index(str(value)) if str(value) in levels else len(levels) for value in values.tolist()]
    assert told.matrix[:, 0].tolist() == expected
    assert told.unseen["code"] == expected.count(len(levels))


@given(st.data())
def test_folds_judge_each_row_once_and_keep_groups_together(data: st.DataObject) -> None:
    rows, wanted = data.draw(st.integers(12, 60)), data.draw(st.integers(2, 5))
    target = data.draw(arrays.arrays(np.int64, rows, elements=st.integers(0, 3)))
    groups = data.draw(st.none() | arrays.arrays(np.int64, rows, elements=st.integers(0, 8)))
    if groups is not None and len(np.unique(groups)) < 2:
        groups[0] += 1
    task: Task = data.draw(st.sampled_from(("classification", "regression")))
    table = Rows(np.zeros((rows, 1)), target, task, 4, groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = folds(table, wanted, 0)
    assert sorted(np.concatenate([part.test for part in parts]).tolist()) == list(range(rows))
    for part in parts:
        assert sorted([*part.train.tolist(), *part.test.tolist()]) == list(range(rows))
        assert groups is None or not set(groups[part.train]) & set(groups[part.test])


def test_a_search_with_groups_is_judged_on_groups_that_it_never_met() -> None:
    """The answer stands beside each group's number: with the group on both sides of a fold it would be known."""
    random = np.random.default_rng(1)
    groups = np.arange(240) // 4
    answer = random.integers(0, 2, 60)[groups]
    feature = Feature("group", Kind.INTEGER, Role.BOTH, tuple(str(group) for group in range(60)))
    matrix = np.column_stack([groups, groups]).astype(float)
    table = Table(matrix, (feature,), answer, ("a", "b"), "classification", np.zeros(240, bool), 0)
    apart, together = search(table, QUICK), search(replace(table, groups=groups), QUICK)
    assert apart.leaderboard[0].loss < 0.45
    assert together.leaderboard[0].loss > 0.6
    assert not together.verdict.beats_baseline
    assert len(together.predictions) == 0


def test_empty_and_constant_columns_are_no_trouble(school: Made) -> None:
    table = school.table
    features = (Feature("none", Kind.DECIMAL, Role.NUMBER), Feature("one", Kind.DECIMAL, Role.NUMBER), *FEATURES)
    features = (*features, Feature("blank", Kind.LABEL, Role.CATEGORY, ("a",)))
    count = len(table.target)
    batch = school.batch
    for name, column in (("none", pa.nulls(count, pa.float64())), ("one", pa.array(np.full(count, 7.0)))):
        batch = batch.append_column(name, column)
    batch = batch.append_column("blank", pa.nulls(count, pa.string()))
    wide = replace(table, features=features, matrix=Inputs.of(features).encode(batch).matrix)
    told = search(wide, QUICK)
    reasons = model_of(told, wide).contributions(batch.slice(0, 20), [0] * 20)
    assert np.isfinite(told.predictions).all()
    for name in ("none", "one", "blank"):
        assert np.allclose(reasons.amounts[:, reasons.names.index(name)], 0, atol=1e-9)


@pytest.mark.parametrize("held", [False, True])
def test_a_class_of_two_rows_is_no_trouble(school: Made, held: bool) -> None:
    """Whether a fold has none of it, or all of its rows are held out."""
    table = school.table
    target = table.target.copy()
    target[np.flatnonzero(table.holdout == held)[:2]] = 3
    told = search(replace(table, target=target, classes=(*CLASSES, "rare")), replace(QUICK, cv=5))
    assert told.predictions.shape == (table.holdout.sum(), 4)
    assert np.allclose(told.predictions.sum(axis=1), 1)
    assert not held or (told.predictions[:, 3] == 0).all()


def test_a_fold_whose_rows_have_one_class_is_no_trouble(school: Made) -> None:
    table = school.table
    target, groups = np.zeros(len(table.target), np.int64), np.arange(len(table.target)) % 6
    target[groups == 0] = 1
    told = search(replace(table, target=target, classes=("a", "b"), groups=groups), QUICK)
    assert np.isfinite(told.predictions).all()


def test_two_classes_of_very_few_rows_can_be_searched(school: Made) -> None:
    few = np.arange(8)
    table = replace(school.table, matrix=school.table.matrix[few], target=few % 2, classes=("a", "b"))
    table = replace(table, holdout=np.zeros(8, bool))
    assert not search(table, replace(QUICK, cv=4)).verdict.beats_baseline


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"features": tuple(replace(feature, role=Role.IGNORE) for feature in FEATURES)}, "no column is left"),
        ({"target": np.zeros(260, np.int64)}, "one class only"),
        ({"holdout": np.arange(260) > 8}, "9 rows to learn from are too few"),
        ({"groups": np.zeros(260, np.int64)}, "one group"),
    ],
)
def test_a_table_that_nothing_can_be_learned_from_is_refused(school: Made, changed: Any, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        search(replace(school.table, **changed), replace(QUICK, cv=5))


@pytest.mark.parametrize("options", [Options(trials=0), Options(cv=1)])
def test_a_search_without_trials_or_folds_is_refused(school: Made, options: Options) -> None:
    with pytest.raises(UsageError, match="1 trial and 2 folds"):
        search(school.table, options)


def test_nine_in_ten_values_held_out_are_within_the_interval(grades: Made, found_grades: Found) -> None:
    table = grades.table
    told = model_of(found_grades, table).predict(grades.batch.filter(pa.array(table.holdout)))
    assert told.values is not None
    assert told.low is not None
    assert told.high is not None
    truth = table.target[table.holdout]
    assert 0.8 < np.mean((told.low <= truth) & (truth <= told.high)) < 0.98
    assert 1 - np.mean((told.values - truth) ** 2) / np.var(truth) > 0.5
    assert np.allclose(told.high - told.low, 2 * (found_grades.half_width or 0))
    assert found_grades.verdict.beats_baseline
    assert found_grades.scoring == "rmse"


def choices() -> list[Choice]:
    """Each family alone, and every blend of two."""
    one = [families.default(family) for family in FAMILIES]
    pairs = [(first, second) for at, first in enumerate(one) for second in one[at + 1 :]]
    return [Choice(first.name, (first,)) for first in one] + [Choice("blend", pair, (0.5, 0.5)) for pair in pairs]


def fitted(choice: Choice, table: Table) -> SearchModel:
    model = fit_choice(table, choice)
    extra = extra_of(model, Inputs.of(table.features), table.matrix, 1.0)
    manifest = make_manifest(task=table.task, features=table.features, classes=table.classes, extra=extra)
    return SearchModel(manifest, model)


@pytest.fixture(scope="module", params=["three classes", "two classes", "values"])
def case(request: pytest.FixtureRequest, school: Made, grades: Made) -> Made:
    if request.param == "values":
        return grades
    if request.param == "three classes":
        return school
    two = replace(school.table, target=np.minimum(school.table.target, 1), classes=("left", "stays"))
    return replace(school, table=two)


@pytest.mark.parametrize(
    "choice", sample(choices(), daily=choices()[::5]), ids=lambda choice: "+".join(one.family for one in choice.members)
)
def test_a_model_that_was_kept_predicts_and_explains_the_same(case: Made, choice: Choice, tmp_path: Path) -> None:
    model = fitted(choice, case.table)
    path = tmp_path / "pipeline.skops"
    path.write_bytes(dump_pipeline(model.pipeline))
    again = SearchModel(model.manifest, load_pipeline(path))
    few = case.batch.slice(0, 50)
    outputs = max(len(case.table.classes), 1)
    ours, theirs = (predicted(one.pipeline, one.inputs.encode(few).matrix, outputs) for one in (model, again))
    assert np.array_equal(ours, theirs)
    reasons = [one.contributions(few, [1] * 50).amounts for one in (model, again)]
    assert np.allclose(*reasons, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_reasons_add_up_to_the_score(case: Made, family: str) -> None:
    """Worked out anew from the probabilities: log-odds for two classes, logs over their mean for more."""
    model = fitted(Choice(family, (families.default(family),)), case.table)
    wanted = np.arange(case.batch.num_rows) % max(len(case.table.classes), 1)
    told = model.contributions(case.batch, wanted.tolist())
    assert told.names == tuple(feature.name for feature in FEATURES if feature.role is not Role.IGNORE)
    total = told.base + told.amounts.sum(axis=1)
    assert np.allclose(total, _score(model, case, wanted, family), atol=1e-6)


def _score(model: SearchModel, case: Made, wanted: npt.NDArray[np.int64], family: str) -> npt.NDArray[np.float64]:
    told = model.predict(case.batch)
    if told.probabilities is None:
        assert told.values is not None
        return told.values
    share = told.probabilities[np.arange(len(wanted)), wanted]
    if family == "forest":
        share = np.clip(share, 1e-3, 1 - 1e-3)
    if family == "forest" or len(case.table.classes) == 2:
        return np.log(share / (1 - share))
    logs: npt.NDArray[np.float64] = np.log(share) - np.log(told.probabilities).mean(axis=1)
    return logs


def test_the_reasons_of_a_blend_are_the_mean_of_its_members(case: Made) -> None:
    one, other = families.default("linear"), families.default("lightgbm")
    parts = [(Choice("one", (one,)), 0.3), (Choice("other", (other,)), 0.7)]
    both = fitted(Choice("both", (one, other), (0.3, 0.7)), case.table)
    wanted = [0] * case.batch.num_rows
    members = [(fitted(choice, case.table).contributions(case.batch, wanted), weight) for choice, weight in parts]
    told = both.contributions(case.batch, wanted)
    assert np.allclose(told.amounts, sum(weight * member.amounts for member, weight in members))
    assert np.allclose(told.base, sum(weight * member.base for member, weight in members))


def test_the_average_row_has_no_reasons(case: Made) -> None:
    model = fitted(Choice("linear", (families.default("linear"),)), case.table)
    told = model.contributions(case.batch, [0] * case.batch.num_rows)
    assert np.allclose(told.amounts.mean(axis=0), 0, atol=1e-9)
    assert np.abs(told.amounts).max() > 0.1


def test_threads_that_share_a_model_get_what_one_gets(school: Made) -> None:
    pair = (families.default("lightgbm"), families.default("boosting"))
    model = fitted(Choice("blend", pair, (0.5, 0.5)), school.table)
    parts = [school.batch.slice(start, 13) for start in range(0, 247, 13)]

    def work(batch: pa.RecordBatch) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        told = model.predict(batch).probabilities
        assert told is not None
        return told, model.contributions(batch, [1] * batch.num_rows).amounts

    alone = [work(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        shared = list(pool.map(work, parts * 3))
    assert all(
        np.array_equal(mine[0], theirs[0]) and np.array_equal(mine[1], theirs[1])
        for mine, theirs in zip(alone * 3, shared, strict=True)
    )


def test_no_rows_have_no_predictions(school: Made, found: Found) -> None:
    model = model_of(found, school.table)
    none = school.batch.slice(0, 0)
    told = model.predict(none).probabilities
    assert told is not None
    assert told.shape == (0, 3)
    assert model.contributions(none, []).amounts.shape == (0, 5)


def test_libraries_say_nothing_to_the_user(school: Made, capfd: pytest.CaptureFixture[str]) -> None:
    target = school.table.target.copy()
    target[np.flatnonzero(~school.table.holdout)[0]] = 3
    table = replace(school.table, target=target, classes=(*CLASSES, "rare"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = search(table, replace(QUICK, workers=2))
        model = model_of(told, table)
        model.predict(school.batch)
        model.contributions(school.batch.slice(0, 5), [0] * 5)
    assert capfd.readouterr() == ("", "")


def test_the_modules_load_none_of_the_heavy_libraries() -> None:
    names = "sklearn|lightgbm|shap|skops|pandas|scipy"
    code = "import sys, studentsuccess.models.search, studentsuccess.models.pipeline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if re.fullmatch(names, name)]


@given(st.integers(1, 10**8), st.integers(1, 300), st.integers(1, 16))
def test_the_memory_told_grows_with_rows_classes_and_workers(rows: int, outputs: int, workers: int) -> None:
    told = needed_bytes(rows, FEATURES, outputs, Options(workers=workers))
    assert told > rows * 5 * 8
    assert needed_bytes(rows + 1, FEATURES, outputs, Options(workers=workers)) > told
    assert needed_bytes(rows, FEATURES, outputs + 1, Options(workers=workers)) > told
    assert needed_bytes(rows, FEATURES, outputs, Options(workers=workers + 1)) > told


Read = Callable[[str, str, str, int], Table]


@pytest.fixture
def read(real_data: Path) -> Read:
    """A public table with every fifth row held out, its whole numbers of few values both numbers and codes."""

    def table(path: str, target: str, task: str, first: int) -> Table:
        found = pacsv.read_csv(real_data / path, parse_options=pacsv.ParseOptions(delimiter=";")).combine_chunks()
        names = [name for name in found.column_names if name != target]
        features = tuple(_feature(name, found.column(name)) for name in names)
        batch = found.select(names).to_batches()[0]
        goal = found.column(target).combine_chunks()
        classes: Sequence[str] = sorted(set(goal.to_pylist())) if task == "classification" else ()
        values = np.array([classes.index(one) for one in goal.to_pylist()] if classes else goal.to_pylist())
        holdout = np.random.default_rng(0).integers(0, 5, len(values)) == first
        kind: Task = "classification" if classes else "regression"
        return Table(Inputs.of(features).encode(batch).matrix, features, values, tuple(classes), kind, holdout, 0)

    return table


def _feature(name: str, column: pa.ChunkedArray) -> Feature:
    levels = tuple(str(value) for value in column.unique().to_pylist())
    if pa.types.is_string(column.type):
        return Feature(name, Kind.LABEL, Role.CATEGORY, levels)
    if pa.types.is_integer(column.type) and 2 < len(levels) <= min(256, len(column) / 10):
        return Feature(name, Kind.INTEGER, Role.BOTH, levels)
    return Feature(name, Kind.DECIMAL, Role.NUMBER)


def test_grades_of_student_mat_are_told_better_than_by_a_plain_regression(read: Read) -> None:
    table = read("uci_student/student-mat.csv", "G3", "regression", 0)
    told = search(table, Options(workers=2))
    truth = table.target[table.holdout]
    assert 1 - np.mean((told.predictions[:, 0] - truth) ** 2) / np.var(truth) > 0.75
    assert told.leaderboard[0].loss < next(line.loss for line in told.leaderboard if line.name == "plain linear")


@pytest.mark.full
def test_outcomes_of_uci697_are_told_as_well_as_is_known(read: Read) -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    figures = []
    for first in range(5):
        table = read("uci697/data.csv", "Target", "classification", first)
        told, truth = search(table, Options(workers=2)), table.target[table.holdout]
        guess = told.predictions.argmax(axis=1)
        figures.append(
            (accuracy_score(truth, guess), f1_score(truth, guess, average="macro"), log_loss(truth, told.predictions))
        )
        assert told.verdict.beats_baseline
    accuracy, macro_f1, loss = np.mean(figures, axis=0)
    assert (accuracy >= 0.78, macro_f1 >= 0.705, loss <= 0.55) == (True, True, True), (accuracy, macro_f1, loss)
