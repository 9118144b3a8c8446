"""The trial on paper: the test and its interval by hand, the simulation against laws that are known exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.errors import ContractError, ExitCode, UsageError
from studentsuccess.insights import experiment
from studentsuccess.insights.experiment import Rules, assign, base_rate, lifted, simulate
from studentsuccess.insights.experiment_report import PLAN_NOT_EVIDENCE, Setting, report
from studentsuccess.insights.proportions import newcombe, wilson, z_test

RULES = Rules(rounds=2000, alpha=0.05, power=0.8, seed=42)
UPLIFTS = (0.03, 0.05, 0.08)
ARMS = st.tuples(st.integers(1, 400), st.floats(0, 1)).map(lambda arm: (round(arm[0] * arm[1]), arm[0]))


def by_hand(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """The two-proportion z-test from its definition, with a normal law that is integrated by Simpson's rule."""
    pooled = (passed_a + passed_b) / (n_a + n_b)
    z = abs(passed_a / n_a - passed_b / n_b) / math.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    grid = np.linspace(0, z, 20_001)
    heights = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    step = grid[1] - grid[0]
    inner = step / 3 * (heights[0] + 4 * heights[1:-1:2].sum() + 2 * heights[2:-1:2].sum() + heights[-1])
    return float(1 - 2 * inner)


@pytest.mark.parametrize("arms", [(30, 60, 20, 60), (5, 25, 12, 25), (400, 900, 350, 900), (7, 10, 7, 10)])
def test_the_p_value_is_the_one_computed_by_hand(arms: tuple[int, int, int, int]) -> None:
    assert z_test(*arms) == pytest.approx(by_hand(*arms), abs=1e-9)


@given(ARMS, ARMS)
@settings(deadline=None)
def test_the_p_value_is_that_of_statsmodels(one: tuple[int, int], other: tuple[int, int]) -> None:
    known = pytest.importorskip("statsmodels.stats.proportion")
    passed = one[0] + other[0]
    if passed in (0, one[1] + other[1]):
        assert z_test(*one, *other) == 1.0
    else:
        _, p_value = known.proportions_ztest([one[0], other[0]], [one[1], other[1]])
        assert z_test(*one, *other) == pytest.approx(p_value, rel=1e-9, abs=1e-300)


def test_the_interval_is_the_one_that_newcombe_printed() -> None:
    """His first example (1998, table II, method 10): 56 of 70 against 48 of 80."""
    found = newcombe(56, 70, 48, 80, 0.05)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


@given(ARMS, ARMS, st.sampled_from([0.01, 0.05, 0.2]))
@settings(deadline=None)
def test_the_interval_is_that_of_statsmodels_and_holds_the_difference(
    one: tuple[int, int], other: tuple[int, int], alpha: float
) -> None:
    known = pytest.importorskip("statsmodels.stats.proportion")
    found = newcombe(*one, *other, alpha)
    low, high = known.confint_proportions_2indep(*one, *other, method="newcomb", alpha=alpha)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    difference = one[0] / one[1] - other[0] / other[1]
    assert -1 - 1e-12 <= found.low <= difference <= found.high <= 1 + 1e-12


@given(ARMS)
def test_a_share_lies_in_its_interval(arm: tuple[int, int]) -> None:
    found = wilson(*arm, 0.05)
    assert 0 <= found.low <= arm[0] / arm[1] <= found.high <= 1


def exact_law(n: int, base: float, raised: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Every difference two arms of n can show, its probability, and the chance of a significant z-test."""
    counts = np.arange(n + 1)
    ways = np.array([math.comb(n, k) for k in counts], float)
    control = ways * base**counts * (1 - base) ** (n - counts)
    treatment = ways * raised**counts * (1 - raised) ** (n - counts)
    likely = treatment[:, None] * control[None, :]
    difference = (counts[:, None] - counts[None, :]) / n
    shown = np.array([[z_test(a, n, b, n) < 0.05 for b in counts] for a in counts])
    return difference.ravel(), likely.ravel(), float((likely * shown).sum())


@pytest.mark.parametrize(("base", "uplift"), [(0.3, 0.08), (0.55, 0.25)])
def test_where_everyone_is_alike_the_simulation_is_two_binomial_arms(base: float, uplift: float) -> None:
    n = 30
    rules = replace(RULES, rounds=20_000)
    found = simulate(np.full(2 * n, 1 - base), (uplift,), rules).scenarios[0]
    difference, likely, power = exact_law(n, base, base + uplift)
    assert found.power == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / rules.rounds))
    inside = likely[(difference >= found.simulated.low - 1e-9) & (difference <= found.simulated.high + 1e-9)].sum()
    below = likely[difference < found.simulated.low - 1e-9].sum()
    above = likely[difference > found.simulated.high + 1e-9].sum()
    assert inside >= 0.94
    assert max(below, above) <= 0.03


def test_the_interval_covers_what_new_trials_show_as_often_as_it_says() -> None:
    """Trials drawn here, with other numbers: the difference falls outside in about one of twenty."""
    chance = np.random.default_rng(11)
    risk = chance.beta(2, 3, 120)
    found = simulate(risk, (0.1,), replace(RULES, rounds=10_000)).scenarios[0]
    passing, outside, trials = 1 - risk, 0, 3000
    saved = 0.1 / risk.mean()
    for _ in range(trials):
        treated = np.isin(np.arange(120), chance.choice(120, 60, replace=False))
        likely = np.where(treated, passing + (1 - passing) * saved, passing)
        passed = chance.random(120) < likely
        difference = passed[treated].mean() - passed[~treated].mean()
        outside += not found.simulated.low <= difference <= found.simulated.high
    assert 0.025 <= outside / trials <= 0.065


def test_what_is_expected_comes_from_the_model_alone() -> None:
    """No clipping that makes every class alike: the predecessor's result was the same on any data."""
    low, high = (simulate(np.full(50, risk), UPLIFTS, RULES).scenarios for risk in (0.97, 0.2))
    assert [one.control_rate for one in low] == pytest.approx([0.03] * 3)
    assert [one.treatment_rate for one in low] == pytest.approx([0.06, 0.08, 0.11])
    assert [one.control_rate for one in high] == pytest.approx([0.8] * 3)
    for one, other in zip(low, high, strict=True):
        assert one.p_value != other.p_value
        assert one.interval != other.interval
        assert one.needed != other.needed


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.floats(0.001, 1))
def test_contact_raises_the_mean_by_the_uplift_and_harms_nobody(risks: list[float], part: float) -> None:
    passing = 1 - np.array(risks)
    room = 1 - passing.mean()
    if room > 1e-6:
        raised = lifted(passing, part * room)
        assert raised.mean() == pytest.approx(passing.mean() + part * room, abs=1e-12)
        assert (raised >= passing).all()
        assert raised.max() <= 1 + 1e-12


@given(st.integers(2, 200), st.integers(0, 2**63 - 1))
@settings(max_examples=50)
def test_half_are_contacted_and_the_one_left_over_is_not(count: int, seed: int) -> None:
    treated = assign(count, seed)
    assert treated.sum() == count // 2
    assert (treated == assign(count, seed)).all()


def test_the_lot_favours_nobody() -> None:
    drawn = np.stack([assign(10, seed) for seed in range(4000)])
    assert drawn.mean(axis=0) == pytest.approx(np.full(10, 0.5), abs=0.04)
    assert not (assign(50, 1) == assign(50, 2)).all()


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_arm_is_an_error_with_the_way_out(count: int) -> None:
    with pytest.raises(ContractError) as caught:
        simulate(np.full(count, 0.5), UPLIFTS, RULES)
    assert "each arm" in caught.value.message
    assert "`ss score`" in caught.value.hint


def test_an_uplift_above_everyone_is_left_out_and_named() -> None:
    found = simulate(np.full(50, 0.06), UPLIFTS, RULES)
    assert [one.uplift for one in found.scenarios] == [0.03, 0.05]
    assert found.impossible == (0.08,)
    with pytest.raises(UsageError) as caught:
        simulate(np.full(50, 0.01), UPLIFTS, RULES)
    assert caught.value.code == ExitCode.USAGE
    assert "experiment.uplifts=0.005" in caught.value.hint


def test_certain_predictions_are_borne() -> None:
    found = simulate(np.array([0.0, 1.0] * 20), UPLIFTS, RULES)
    assert found.base_rate == 0.5
    assert all(math.isfinite(one.p_value) for one in found.scenarios)


def test_the_same_seed_gives_the_same_figures_however_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    risk = np.linspace(0.1, 0.9, 40)
    first = simulate(risk, UPLIFTS, RULES)
    monkeypatch.setattr(experiment, "_AT_ONCE", 333)
    again = simulate(risk, UPLIFTS, RULES)
    assert again.scenarios == first.scenarios
    assert simulate(risk, UPLIFTS, replace(RULES, seed=43)).scenarios != first.scenarios


def test_a_larger_uplift_is_never_harder_to_prove() -> None:
    found = simulate(np.linspace(0.3, 0.9, 100), (0.3, 0.05, 0.1, 0.2, 0.1), RULES).scenarios
    assert [one.uplift for one in found] == [0.05, 0.1, 0.2, 0.3]
    powers = [one.power for one in found]
    assert powers == sorted(powers)
    needed = [one.needed for one in found]
    assert needed == sorted(needed, reverse=True)


def test_the_page_says_first_and_last_that_it_is_a_plan() -> None:
    risk = np.linspace(0.2, 0.95, 7)
    page = report(simulate(risk, (0.03, 0.6), RULES), RULES, Setting(7, 50, (8,), "outputs/x.csv"))
    lines = [line for line in page.splitlines() if line]
    assert PLAN_NOT_EVIDENCE in lines[1]
    assert PLAN_NOT_EVIDENCE in lines[-1]
    assert "3 contacted, 4 not" in page
    assert "the one left over is not contacted" in page
    assert "there are no more: this is the whole class" in page
    assert f"expects {100 * base_rate(risk):.1f} % of them to pass" in page
    assert "An uplift of 60 points is left out" in page
    assert "ss experiment analyze" in page
