"""A real trial: every figure recomputed another way, and held against trials whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.errors import ContractError, ExitCode
from studentsuccess.insights.experiment import Rules
from studentsuccess.insights.trial import Observed, Trial, analyse, fisher

RULES = Rules(rounds=2000, alpha=0.05, power=0.8, seed=42)
NAN = float("nan")


def observed(treatment: list[float], control: list[float], risk: list[float] | None = None) -> Observed:
    treated = np.array([True] * len(treatment) + [False] * len(control))
    passed = np.array([*treatment, *control], np.float64)
    return Observed(treated, passed, np.array(risk, np.float64) if risk else np.full(len(passed), np.nan))


def arms(passed_t: int, n_t: int, passed_c: int, n_c: int) -> Trial:
    one = [1.0] * passed_t + [0.0] * (n_t - passed_t)
    return analyse(observed(one, [1.0] * passed_c + [0.0] * (n_c - passed_c)), RULES)


def drawn(seed: int, count: int = 200, uplift: float = 0.1) -> Observed:
    """A trial by lot: risk explains much of who passes, and contact adds the uplift."""
    chance = np.random.default_rng(seed)
    risk = chance.beta(1.5, 1.5, count)
    treated = np.zeros(count, bool)
    treated[chance.permutation(count)[: count // 2]] = True
    likely = (1 - risk) * (1 - 0.2) + 0.05 + uplift * treated
    return Observed(treated, (chance.random(count) < likely).astype(np.float64), risk)


def test_the_effect_is_the_plain_difference_of_the_rates() -> None:
    found = arms(56, 70, 48, 80)
    assert found.effect.difference == pytest.approx(0.8 - 0.6)
    assert (found.effect.interval.low, found.effect.interval.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
    pooled = 104 / 150
    z = 0.2 / math.sqrt(pooled * (1 - pooled) * (1 / 70 + 1 / 80))
    assert found.effect.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=1e-12)
    assert found.warnings == ()


def test_the_bootstrap_agrees_with_drawing_students_again() -> None:
    found = arms(56, 70, 48, 80)
    chance = np.random.default_rng(3)
    treatment, control = np.repeat([1, 0], [56, 14]), np.repeat([1, 0], [48, 32])
    again = [chance.choice(treatment, 70).mean() - chance.choice(control, 80).mean() for _ in range(4000)]
    low, high = np.quantile(again, [0.025, 0.975])
    assert (found.simulated.low, found.simulated.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))


@given(st.integers(1, 80), st.integers(1, 80), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=80)
def test_the_exact_p_value_is_fishers(n_t: int, n_c: int, share_t: float, share_c: float) -> None:
    from scipy.stats import fisher_exact

    a, b = round(n_t * share_t), round(n_c * share_c)
    assert fisher(a, n_t, b, n_c) == pytest.approx(fisher_exact([[a, n_t - a], [b, n_c - b]])[1], rel=1e-6)


def test_the_adjusted_estimate_is_that_of_a_regression_with_hc2_errors() -> None:
    models = pytest.importorskip("statsmodels.regression.linear_model")
    given_ = drawn(4)
    centred = given_.risk - given_.risk.mean()
    treated = given_.treated.astype(float)
    design = np.column_stack([np.ones(200), treated, centred, treated * centred])
    theirs = models.OLS(given_.passed, design).fit(cov_type="HC2", use_t=True)
    ours = analyse(given_, RULES).adjusted
    assert ours is not None
    assert ours.difference == pytest.approx(theirs.params[1])
    assert (ours.interval.low, ours.interval.high) == pytest.approx(tuple(theirs.conf_int()[1]))
    assert ours.p_value == pytest.approx(theirs.pvalues[1])


def test_both_intervals_hold_the_truth_as_often_as_they_say_and_adjusting_sharpens() -> None:
    plain = adjusted = 0
    widths = []
    trials = 600
    for seed in range(trials):
        found = analyse(drawn(seed), Rules(100, 0.05, 0.8, 1))
        assert found.adjusted is not None
        plain += found.effect.interval.low <= 0.1 <= found.effect.interval.high
        adjusted += found.adjusted.interval.low <= 0.1 <= found.adjusted.interval.high
        ends = found.adjusted.interval, found.effect.interval
        widths.append((ends[0].high - ends[0].low) / (ends[1].high - ends[1].low))
    assert 0.925 <= plain / trials <= 0.985
    assert 0.925 <= adjusted / trials <= 0.98
    assert np.mean(widths) < 0.95


def test_arms_that_were_not_alike_are_told_and_adjusted_for() -> None:
    """Those at lower risk were contacted, and contact did nothing: the plain difference is a mirage."""
    chance = np.random.default_rng(8)
    risk = np.concatenate([chance.uniform(0.1, 0.6, 300), chance.uniform(0.4, 0.9, 300)])
    treated = np.arange(600) < 300
    found = analyse(Observed(treated, (chance.random(600) < 1 - risk).astype(float), risk), RULES)
    assert found.balance is not None
    assert not found.balance.alike
    assert any("were not alike" in warning for warning in found.warnings)
    assert found.effect.interval.low > 0.15
    assert found.adjusted is not None
    assert found.adjusted.interval.low < 0 < found.adjusted.interval.high


def test_arms_by_lot_are_alike_nineteen_times_in_twenty() -> None:
    told = [analyse(drawn(seed), Rules(100, 0.05, 0.8, 1)).balance for seed in range(400)]
    unlike = sum(one is not None and not one.alike for one in told)
    assert 0.02 <= unlike / 400 <= 0.09


def test_unknown_outcomes_are_counted_and_their_extremes_told() -> None:
    found = analyse(observed([1.0] * 30 + [0.0] * 20 + [NAN] * 10, [1.0] * 20 + [0.0] * 40), RULES)
    assert (found.treatment.assigned, found.treatment.known, found.treatment.missing) == (60, 50, 10)
    assert found.effect.difference == pytest.approx(0.6 - 1 / 3)
    assert found.attrition is not None
    assert found.attrition.worst == pytest.approx(30 / 60 - 20 / 60)
    assert found.attrition.best == pytest.approx(40 / 60 - 20 / 60)
    assert found.attrition.p_value < 0.05
    assert any("missing more often" in warning for warning in found.warnings)
    assert analyse(observed([1.0, 0.0] * 20, [1.0, 0.0] * 20), RULES).attrition is None


def test_small_arms_and_rare_outcomes_are_warned_of() -> None:
    found = arms(8, 9, 3, 40)
    assert any("treatment arm has 9 known outcomes" in warning for warning in found.warnings)
    assert any("exact p value" in warning for warning in found.warnings)


def test_without_risks_nothing_is_said_about_balance() -> None:
    found = arms(30, 60, 30, 60)
    assert (found.balance, found.adjusted, found.adjusted_students) == (None, None, 0)


def test_risks_that_say_nothing_give_no_adjusted_estimate() -> None:
    found = analyse(observed([1.0, 0.0] * 15, [1.0, 0.0] * 15, [0.1] * 60), RULES)
    assert (found.adjusted, found.balance) == (None, None)


def test_arms_of_one_risk_each_can_not_be_told_apart_from_their_risks() -> None:
    found = analyse(observed([1.0, 0.0] * 15, [1.0, 0.0] * 15, [*([0.4] * 30), *([0.6] * 30)]), RULES)
    assert found.adjusted is None
    assert found.balance is not None
    assert found.balance.difference == pytest.approx(-2)
    assert not found.balance.alike


def test_only_students_with_a_risk_are_adjusted() -> None:
    risk = [float(one) for one in np.linspace(0.1, 0.9, 60)]
    risk[3] = risk[40] = NAN
    chance = np.random.default_rng(1)
    outcomes = (chance.random(60) < 0.5).astype(float).tolist()
    found = analyse(observed(outcomes[:30], outcomes[30:], risk), RULES)
    assert found.adjusted_students == 58
    assert found.balance is not None
    assert found.balance.matched == 58


@pytest.mark.parametrize(("treatment", "control"), [([NAN, NAN], [1.0, 0.0]), ([1.0], []), ([], [1.0])])
def test_an_empty_arm_is_an_error(treatment: list[float], control: list[float]) -> None:
    with pytest.raises(ContractError) as caught:
        analyse(observed(treatment, control), RULES)
    assert caught.value.code == ExitCode.CONTRACT
    assert "arm is empty" in caught.value.message


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_turned_round_the_effect_changes_its_sign_alone(n_t: int, n_c: int, a: float, b: float) -> None:
    one, other = arms(round(n_t * a), n_t, round(n_c * b), n_c), arms(round(n_c * b), n_c, round(n_t * a), n_t)
    assert one.effect.difference == pytest.approx(-other.effect.difference)
    assert one.effect.interval.low == pytest.approx(-other.effect.interval.high)
    assert one.effect.p_value == pytest.approx(other.effect.p_value)
    assert one.exact_p == pytest.approx(other.exact_p)
