"""Figures of a backtest, held against scikit-learn, numbers worked out by hand, and laws that are known."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import studentsuccess.warehouse.migrations as migrations
from studentsuccess.errors import SsError
from studentsuccess.models import risk_bootstrap
from studentsuccess.models.draw import COLOURS
from studentsuccess.models.risk_bootstrap import Ranking, Sums, drawings
from studentsuccess.models.risk_figures import (
    NOT_GIVEN,
    BacktestRow,
    Figure,
    Member,
    Parts,
    Rows,
    backtest_rows,
    by_module,
    figures,
    group_figures,
    new_students,
    reliability,
    unseen_modules,
)
from studentsuccess.models.risk_plot import backtest_png

Floats = npt.NDArray[np.float64]


@pytest.fixture(autouse=True)
def no_remarks() -> Iterator[None]:
    """A division by nothing is decided, never warned about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _rows(seed: int, rows: int, decimals: int = 3, students: int = 0, slope: float = 1.0) -> Rows:
    """Enrolments whose outcome follows the log-odds, told with `slope`; few decimals make ties."""
    chance = np.random.default_rng(seed)
    student = chance.integers(0, students or max(rows * 4 // 5, 1), rows) * 7 + 3
    own = chance.normal(0, 1, student.max() + 1)[student]
    odds = own + chance.normal(0, 0.7, rows)
    truth = chance.random(rows) < 1 / (1 + np.exp(-odds))
    module = np.array([f"M{one}" for one in chance.integers(0, 3, rows)], object)
    return Rows(truth, np.round(1 / (1 + np.exp(-slope * odds)), decimals), student, module)


def _made(truth: list[int], probability: list[float], student: list[int] | None = None) -> Rows:
    students = list(range(len(truth))) if student is None else student
    return Rows(np.array(truth, bool), np.array(probability, float), np.array(students, np.int64))


def _by_name(found: tuple[Figure, ...]) -> dict[str, Figure]:
    return {one.name: one for one in found}


def _value(rows: Rows, name: str, **more: Any) -> float | None:
    return _by_name(figures(rows, bootstraps=0, **more))[name].value


MIXED = st.builds(_rows, st.integers(0, 2**31), st.integers(2, 80), st.integers(0, 4)).filter(
    lambda rows: rows.truth.any() and not rows.truth.all()
)


@settings(max_examples=examples(150, daily=40), deadline=None)
@given(MIXED)
def test_figures_are_those_of_scikit_learn_also_with_ties(rows: Rows) -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    found = {one.name: one.value for one in figures(rows, bootstraps=0)}
    assert found["n"] == len(rows)
    assert found["base_rate"] == pytest.approx(rows.truth.mean())
    assert found["auc"] == pytest.approx(roc_auc_score(rows.truth, rows.probability))
    assert found["ap"] == pytest.approx(average_precision_score(rows.truth, rows.probability))
    assert found["brier"] == pytest.approx(brier_score_loss(rows.truth, rows.probability))
    kept_from_the_ends = np.clip(rows.probability, 1e-15, 1 - 1e-15)
    assert found["log_loss"] == pytest.approx(log_loss(rows.truth, kept_from_the_ends), rel=1e-3)


def test_the_calibration_error_by_hand() -> None:
    """Bins of 1/15: two rows in the first, one in the eighth, two in the last, to which 1.0 belongs."""
    rows = _made([0, 1, 1, 1, 0], [0.02, 0.04, 0.5, 0.95, 1.0])
    first, middle, last = abs(0.06 - 1), abs(0.5 - 1), abs(1.95 - 1)
    assert _value(rows, "ece") == pytest.approx((first + middle + last) / 5)
    bins = {one.place: (one.n, *(figure.value for figure in one.figures)) for one in reliability(rows, bootstraps=0)}
    assert bins == {0: (2, pytest.approx(0.03), 0.5), 7: (1, 0.5, 1.0), 14: (2, pytest.approx(0.975), 0.5)}


def test_precision_and_recall_at_capacity_and_their_ceilings_by_hand() -> None:
    rows = _made([1, 0, 1, 0, 0, 1, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    found = {one.name: one.value for one in figures(rows, (0.2, 0.4), bootstraps=0)}
    assert (found["precision_at_20"], found["recall_at_20"]) == (0.5, pytest.approx(1 / 3))
    assert (found["precision_at_40"], found["recall_at_40"]) == (0.5, pytest.approx(2 / 3))
    assert (found["precision_at_20_ceiling"], found["recall_at_20_ceiling"]) == (1.0, pytest.approx(2 / 3))
    assert (found["precision_at_40_ceiling"], found["recall_at_40_ceiling"]) == (pytest.approx(0.3 / 0.4), 1.0)


@settings(max_examples=examples(100, daily=40), deadline=None)
@given(MIXED, st.sampled_from([0.05, 0.1, 0.2, 0.33, 0.5, 1.0]))
def test_ceilings_hold_and_a_perfect_order_reaches_them(rows: Rows, capacity: float) -> None:
    share = f"{100 * capacity:g}"
    perfect = replace(rows, probability=rows.truth.astype(float))
    for name in (f"precision_at_{share}", f"recall_at_{share}"):
        found, best = (_by_name(figures(one, (capacity,), bootstraps=0)) for one in (rows, perfect))
        ceiling = found[f"{name}_ceiling"].value
        assert found[name].value is not None
        assert ceiling is not None
        assert found[name].value <= ceiling + 1e-12
        assert best[name].value == pytest.approx(ceiling)
    base_rate = float(rows.truth.mean())
    best = _by_name(figures(rows, (capacity,), bootstraps=0))
    assert best[f"precision_at_{share}_ceiling"].value == pytest.approx(min(1, base_rate / capacity))
    assert best[f"recall_at_{share}_ceiling"].value == pytest.approx(min(1, capacity / base_rate))


def test_among_equals_the_lot_decides_so_that_the_order_of_rows_does_not() -> None:
    """Capacity 4 of 20: two stand above, the other two places fall to six equals, of whom two are at risk."""
    rows = _made([1, 1, 1, 1, *[0] * 16], [0.9, 0.8, *[0.5] * 6, *[0.1] * 12])
    assert _value(rows, "precision_at_20") == pytest.approx((2 + 2 * 2 / 6) / 4)
    chance = np.random.default_rng(1)
    lots = [rows.part(chance.permutation(20)) for _ in range(3000)]
    hits = [lot.truth[np.argsort(-lot.probability, kind="stable")[:4]].sum() for lot in lots]
    assert np.mean(hits) == pytest.approx(2 + 2 * 2 / 6, abs=0.06)
    first = _by_name(figures(rows, bootstraps=0))
    for lot in lots[:20]:
        assert all(one.value == pytest.approx(first[one.name].value) for one in figures(lot, bootstraps=0))


@pytest.mark.parametrize("at_risk", [0, 1])
def test_of_one_outcome_alone_there_is_no_auc_and_it_is_said(at_risk: int) -> None:
    found = _by_name(figures(_made([at_risk] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), bootstraps=50))
    for name in ("auc", "ap"):
        assert (found[name].value, found[name].low, found[name].high) == (None, None, None)
        assert "one outcome only" in found[name].note
    assert found["base_rate"].value == at_risk
    assert found["brier"].value is not None
    assert (found["recall_at_20"].value is None) is not bool(at_risk)
    assert found["precision_at_10"].value == at_risk


def test_one_row_has_figures_without_intervals() -> None:
    found = _by_name(figures(_made([1], [0.7]), bootstraps=50))
    assert found["brier"] == Figure("brier", pytest.approx(0.09), None, None, "one student only: no interval")
    assert found["ece"].value == pytest.approx(0.3)
    assert found["auc"].value is None
    assert (found["precision_at_10"].value, found["recall_at_20"].value) == (1.0, pytest.approx(0.2))


def test_without_rows_nothing_has_a_value() -> None:
    found = figures(_made([], []))
    assert [one.value for one in found] == [0.0, *[None] * (len(found) - 1)]
    assert [one.name for one in found] == [one.name for one in figures(_rows(1, 30), bootstraps=0)]
    assert backtest_rows(_made([], []), 3, "use", Parts({"a": np.empty(0, object)}))[0].value is None


def test_a_rare_outcome_that_most_drawings_miss_has_no_interval() -> None:
    rows = _made([1, *[0] * 4], [0.9, *[0.1] * 4])
    assert _by_name(figures(rows, bootstraps=400))["auc"].low is not None
    far = _made([*[1] * 400, 0], [*np.linspace(0, 1, 400).tolist(), 0.1], [*[1] * 400, 2])
    found = _by_name(figures(far, bootstraps=400))["auc"]
    assert (found.value is not None, found.low) == (True, None)
    assert "too few of one outcome" in found.note


@pytest.mark.parametrize("wrong", [1.2, -0.3, float("nan")])
def test_a_probability_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(SsError, match="not between 0 and 1"):
        _made([0, 1], [0.5, wrong])


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SsError, match="do not fit"):
        Rows(np.array([True]), np.array([0.1, 0.2]), np.array([1, 2]))
    with pytest.raises(SsError, match="do not fit"):
        Rows(np.array([1, 0]), np.array([0.1, 0.2]), np.array([1, 2]))  # type: ignore[arg-type]
    with pytest.raises(SsError, match="do not fit"):
        group_figures(_rows(1, 5), {"gender": np.array(["F"], object)})
    with pytest.raises(SsError, match="capacity"):
        figures(_rows(1, 5), (0.0,))


# Intervals


def _places(rows: Rows) -> tuple[npt.NDArray[np.intp], int]:
    known, places = np.unique(rows.student, return_inverse=True)
    return places, len(known)


@settings(max_examples=80, deadline=None)
@given(MIXED, st.integers(0, 2**31))
def test_a_weight_is_as_if_the_rows_stood_there_so_often(rows: Rows, seed: int) -> None:
    places, students = _places(rows)
    counts = np.random.default_rng(seed).integers(0, 4, students)
    often = rows.part(np.repeat(np.arange(len(rows)), counts[places]))
    weights = counts[None, :].astype(float)
    ranked = Ranking(rows.truth, rows.probability, places).weigh(weights)
    added = Sums(rows.truth, rows.probability, places, students).add(weights)
    wanted = _by_name(figures(often, (0.2,), bootstraps=0))
    found = {
        "auc": ranked.auc(),
        "ap": ranked.average_precision(),
        "brier": added.brier(),
        "log_loss": added.log_loss(),
        "base_rate": added.base_rate(),
        "ece": np.abs(added.gaps()).sum(axis=1),
    }
    for name, one in found.items():
        value = wanted[name].value
        assert np.isnan(one[0]) if value is None else one[0] == pytest.approx(value), name
    if len(often):
        assert ranked.found(0.2)[0] == pytest.approx((wanted["precision_at_20"].value or 0) * 0.2 * len(often))


def test_the_interval_is_that_of_a_naive_bootstrap_with_the_same_drawings() -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    rows = _rows(5, 60, decimals=1, students=25)
    places, students = _places(rows)
    naive: dict[str, list[float]] = {"auc": [], "ap": [], "brier": []}
    for count in np.concatenate(list(drawings(students, 200, 9, len(rows)))).astype(int):
        often = rows.part(np.repeat(np.arange(len(rows)), count[places]))
        naive["auc"].append(roc_auc_score(often.truth, often.probability))
        naive["ap"].append(average_precision_score(often.truth, often.probability))
        naive["brier"].append(brier_score_loss(often.truth, often.probability))
    found = _by_name(figures(rows, bootstraps=200, seed=9))
    for name, values in naive.items():
        assert (found[name].low, found[name].high) == pytest.approx(tuple(np.quantile(values, (0.025, 0.975))))


def test_every_student_is_as_likely_to_be_drawn_and_as_many_are_drawn_as_there_are() -> None:
    counts = np.concatenate(list(drawings(40, 5000, 3, 40)))
    assert (counts.sum(axis=1) == 40).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(40), abs=0.07)
    assert counts.var() == pytest.approx(1 - 1 / 40, abs=0.02)


def test_neither_the_order_of_rows_nor_the_size_of_a_chunk_changes_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(2, 150, students=70)
    first = figures(rows, bootstraps=120)
    assert first == figures(rows, bootstraps=120)
    assert first != figures(rows, bootstraps=120, seed=1)
    mixed = figures(rows.part(np.random.default_rng(0).permutation(150)), bootstraps=120)
    monkeypatch.setattr(risk_bootstrap, "CELLS", 700)
    for other in (mixed, figures(rows, bootstraps=120)):
        for one, two in zip(first, other, strict=True):
            assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))


def test_all_rows_of_a_student_are_drawn_together() -> None:
    """Four copies of each student say nothing new: the interval stays, where one by row would be half as wide."""
    once = _made(*_lists(_rows(3, 200, students=10_000)))
    often = once.part(np.repeat(np.arange(200), 4))
    one, four = (_by_name(figures(rows, bootstraps=300))["auc"] for rows in (once, often))
    assert (one.value, one.low, one.high) == pytest.approx((four.value, four.low, four.high))
    apart = _by_name(figures(replace(often, student=np.arange(800)), bootstraps=300))["auc"]
    assert 0.4 < _width(apart) / _width(one) < 0.6


def _lists(rows: Rows) -> tuple[list[int], list[float]]:
    return rows.truth.astype(int).tolist(), rows.probability.tolist()


def _width(figure: Figure) -> float:
    assert figure.low is not None
    assert figure.high is not None
    return figure.high - figure.low


def _covered(make: Callable[[int], Rows], name: str, truth: float, times: int) -> float:
    found = [_by_name(figures(make(seed), bootstraps=200, seed=seed))[name] for seed in range(times)]
    return float(np.mean([(one.low or 0) <= truth <= (one.high or 0) for one in found]))


def test_intervals_hold_the_true_auc_about_as_often_as_they_promise() -> None:
    """Students with three rows each that share most of what decides; by row the intervals would be far too narrow."""

    def make(seed: int, students: int = 150) -> Rows:
        chance = np.random.default_rng(seed + 1)
        own = np.repeat(chance.normal(0, 1.5, students), 3)
        truth = np.repeat(chance.random(students), 3) < 1 / (1 + np.exp(-own))
        seen = own + chance.normal(0, 0.3, 3 * students)
        return Rows(truth, 1 / (1 + np.exp(-seen)), np.repeat(np.arange(students), 3))

    truth = _value(make(10**6, 150_000), "auc")
    assert truth is not None
    assert 0.91 <= _covered(make, "auc", truth, examples(400, daily=200)) <= 0.985
    apart = _covered(lambda seed: replace(make(seed), student=np.arange(450)), "auc", truth, examples(200, daily=100))
    assert apart < 0.85


@pytest.mark.parametrize("slope", [1.0, 1.2, 2.0])
def test_intervals_of_the_calibration_error_hold_the_truth_also_near_nothing(slope: float) -> None:
    """The bins' noise adds up: the middle of the drawings alone holds the true error hardly ever."""
    large = _rows(10**6, 400_000, decimals=12, slope=slope)
    true = _value(large, "ece") if slope != 1.0 else 0.0
    assert true is not None
    assert _covered(lambda seed: _rows(seed, 400, decimals=12, slope=slope), "ece", true, 120) >= 0.92


# Groups


def _group(seed: int, rows: int, names: tuple[str | None, ...] = ("a", "b", None)) -> npt.NDArray[np.object_]:
    return np.array([names[one] for one in np.random.default_rng(seed).integers(0, len(names), rows)], object)


def _member(members: tuple[Member, ...], name: str) -> Member:
    return next(one for one in members if one.member == name)


def test_members_have_the_figures_of_their_rows_and_rates_at_the_threshold_of_all() -> None:
    rows, group = _rows(4, 900, decimals=9), _group(1, 900)
    members, (gap,) = group_figures(rows, {"gender": group}, bootstraps=60)
    chosen = np.zeros(900, bool)
    chosen[np.argsort(-rows.probability)[:180]] = True
    rates = []
    for name, mask in (("a", group == "a"), ("b", group == "b"), (NOT_GIVEN, group == None)):  # noqa: E711
        member = _member(members, name)
        found = _by_name(member.figures)
        part = rows.part(mask)
        alone = _by_name(figures(part, bootstraps=0))
        assert (member.group, member.n, member.small) == ("gender", int(mask.sum()), False)
        for figure in ("base_rate", "auc", "ece"):
            assert found[figure].value == pytest.approx(alone[figure].value)
        assert found["mean_predicted"].value == pytest.approx(part.probability.mean())
        too_high = part.probability.mean() - part.truth.mean()
        assert found["calibration_in_the_large"].value == pytest.approx(too_high)
        assert found["selection_rate"].value == pytest.approx(chosen[mask].mean())
        assert found["true_positive_rate"].value == pytest.approx(chosen[mask & rows.truth].mean())
        assert found["false_positive_rate"].value == pytest.approx(chosen[mask & ~rows.truth].mean())
        assert all(one.low is not None and one.high is not None for one in member.figures)
        rates.append(found["true_positive_rate"].value)
    assert (gap.group, gap.members, gap.n) == ("gender", ("a", "b", NOT_GIVEN), 900)
    assert gap.figure.value == pytest.approx(max(rates) - min(rates))
    assert (gap.figure.low or 0) <= (gap.figure.value or 0) <= (gap.figure.high or 0)


def test_the_intervals_of_members_are_those_of_a_naive_bootstrap_of_all_students() -> None:
    rows, group = _rows(6, 120, decimals=1, students=50), _group(2, 120, ("a", "b"))
    places, students = _places(rows)
    naive: list[list[float]] = []
    for count in np.concatenate(list(drawings(students, 150, 4, 120))).astype(int):
        where = np.repeat(np.arange(120), count[places])
        naive.append(_rates_by_lot(rows.part(where), group[where] == "a"))
    found = _by_name(_member(group_figures(rows, {"g": group}, 0.2, 150, 4)[0], "a").figures)
    wanted = np.quantile(np.array(naive), (0.025, 0.975), axis=0)
    for place, name in enumerate(("selection_rate", "true_positive_rate", "false_positive_rate")):
        assert (found[name].low, found[name].high) == pytest.approx((wanted[0, place], wanted[1, place]))


def _rates_by_lot(rows: Rows, member: npt.NDArray[np.bool_]) -> list[float]:
    """The slow way: value by value from the top, the last value in part."""
    room, chosen = 0.2 * len(rows), np.zeros(len(rows))
    for value in sorted(set(rows.probability.tolist()), reverse=True):
        here = rows.probability == value
        chosen[here] = min(max(room, 0.0) / here.sum(), 1.0)
        room -= here.sum()
    return [
        float(chosen[member].mean()),
        float(chosen[member & rows.truth].mean()),
        float(chosen[member & ~rows.truth].mean()),
    ]


def test_a_member_is_small_below_a_hundred_rows_or_twenty_of_either_outcome() -> None:
    rows = _made([*[1, 0] * 60, *[1, 0] * 49, 1, *[1] * 19, *[0] * 120], [0.5] * (120 + 99 + 139))
    group = np.array(["large"] * 120 + ["few rows"] * 99 + ["few at risk"] * 139, object)
    members, (gap,) = group_figures(rows, {"g": group}, bootstraps=20)
    assert {one.member: one.small for one in members} == {"large": False, "few rows": True, "few at risk": True}
    assert (gap.members, gap.n, gap.figure.value) == (("large",), 120, None)
    assert "fewer than two" in gap.figure.note


def test_who_gives_no_answer_is_a_member_and_comes_last() -> None:
    rows = _rows(7, 40)
    group = np.array([None, "", float("nan"), "z"] * 10, object)
    members, _ = group_figures(rows, {"g": group}, bootstraps=5)
    assert [(one.member, one.n) for one in members] == [("z", 10), (NOT_GIVEN, 30)]


def test_a_model_that_serves_members_alike_has_a_gap_whose_interval_holds_nothing_and_one_that_does_not_has_not() -> (
    None
):
    rows, group = _rows(8, 3000, decimals=9), _group(3, 3000, ("a", "b", "c", "d"))
    (fair,) = group_figures(rows, {"g": group}, bootstraps=200)[1]
    assert fair.figure.low == 0
    lowered = np.where(group == "a", rows.probability * 0.6, rows.probability)
    (unfair,) = group_figures(replace(rows, probability=lowered), {"g": group}, bootstraps=200)[1]
    assert (unfair.figure.low or 0) > 0.1


# Parts and rows of the table


def test_masks_find_modules_and_students_that_are_new() -> None:
    rows = replace(_made([1, 0, 1], [0.1, 0.2, 0.3], [5, 6, 5]), module=np.array(["A", "B", "A"], object))
    assert {name: mask.tolist() for name, mask in by_module(rows).items()} == {
        "A": [True, False, True],
        "B": [False, True, False],
    }
    assert unseen_modules(rows, {"A"}).tolist() == [False, True, False]
    assert new_students(rows, np.array([6])).tolist() == [True, False, True]
    assert new_students(rows, np.array([], np.int64)).all()
    bare = _made([1, 0], [0.1, 0.2])
    assert (by_module(bare), unseen_modules(bare, {"A"}).tolist()) == ({}, [False, False])


def _backtest(weeks: tuple[int, ...] = (0, 8), rows: int = 600, bootstraps: int = 30) -> list[BacktestRow]:
    made: list[BacktestRow] = []
    for week in weeks:
        for demographics, slope in (("use", 1.0), ("exclude", 0.6)):
            parts = Parts({"gender": _group(week, rows)}, {"M1", "M2"}, np.arange(0, 1500))
            made += backtest_rows(_rows(week, rows, slope=slope), week, demographics, parts, bootstraps)
    return made


def test_the_rows_fit_the_table_and_name_each_figure_once() -> None:
    import duckdb

    made = _backtest()
    keys = [(one.week, one.demographics, one.scope, one.member, one.metric) for one in made]
    assert len(set(keys)) == len(keys)
    scopes = {one.scope: sorted({row.member for row in made if row.scope == one.scope}) for one in made}
    assert list(scopes) == ["all", "module", "unseen module", "new students", "bin", "gender"]
    assert (scopes["module"], scopes["unseen module"]) == (["M0", "M1", "M2"], ["M0"])
    assert scopes["gender"] == ["a", "all", "b", NOT_GIVEN]
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA ml")
    connection.execute((Path(str(migrations.__path__[0])) / "0005_risk.sql").read_text())
    for one in made:
        week, scope, member, n, metric, value, low, high, demographics = astuple(one)
        line = ("r1", "2013B", "2013J", demographics, week, scope, member, n, metric, value, low, high)
        connection.execute(f"INSERT INTO ml.backtest VALUES ({', '.join('?' * len(line))})", line)  # noqa: S608
    (kept,) = connection.execute("SELECT count(*) FROM ml.backtest WHERE value BETWEEN low AND high").fetchall()
    assert kept[0] > len(made) * 0.8


def test_a_part_without_rows_says_nothing() -> None:
    rows = _rows(1, 60)
    made = backtest_rows(rows, 4, "use", Parts({}, {"M0", "M1", "M2"}, rows.student), bootstraps=5)
    assert {one.scope for one in made} == {"all", "module", "bin"}


# The picture


def _count(png: bytes, colour: str) -> int:
    from matplotlib.image import imread

    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    pixels = np.round(np.asarray(imread(io.BytesIO(png)))[:, :, :3] * 255)
    return int((pixels == wanted).all(axis=2).sum())


def test_the_picture_shows_both_models_and_is_the_same_each_time() -> None:
    rows = _backtest()
    png = backtest_png(rows)
    assert png.startswith(b"\x89PNG")
    assert png == backtest_png(list(reversed(rows)))
    assert min(_count(png, COLOURS[0]), _count(png, COLOURS[5])) > 1500
    alone = backtest_png([one for one in rows if one.demographics == "use"])
    assert (_count(alone, COLOURS[0]) > 1500, _count(alone, COLOURS[5])) == (True, 0)


def test_the_picture_can_be_drawn_of_nothing_of_one_outcome_and_of_many_weeks() -> None:
    few = backtest_rows(_made([1] * 5, [0.5] * 5), 0, "use", Parts({}), bootstraps=5)
    many = _backtest(tuple(range(30)), rows=80, bootstraps=5)
    pictures = [backtest_png(rows) for rows in ([], few, many)]
    assert len(set(pictures)) == 3


def test_of_many_weeks_ten_are_shown_spread_from_the_first_to_the_last() -> None:
    rows = _backtest(tuple(range(28)), rows=80, bootstraps=5)
    png = backtest_png(rows)

    def without_kept(week: int) -> list[BacktestRow]:
        return [replace(one, value=0.0) if one.scope == "bin" and one.week == week else one for one in rows]

    changed = [week for week in (0, 1, 3, 26, 27) if backtest_png(without_kept(week)) != png]
    assert changed == [0, 3, 27]
