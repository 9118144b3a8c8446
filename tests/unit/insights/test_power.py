"""Sizes and chances, held against statsmodels, against trials that are drawn, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from studentsuccess.errors import ExitCode, UsageError
from studentsuccess.insights.power import is_rough, minimum_effect, power_of, sample_size

SHARES = st.floats(0.02, 0.9)
UPLIFTS = st.floats(0.02, 0.5)
POWERS = st.floats(0.55, 0.99)
ALPHAS = st.sampled_from([0.01, 0.05, 0.1])


@given(SHARES, UPLIFTS, st.integers(10, 5000), ALPHAS)
@settings(deadline=None)
def test_the_chance_is_that_of_statsmodels(base: float, uplift: float, n: int, alpha: float) -> None:
    known = pytest.importorskip("statsmodels.stats.proportion")
    assume(base + uplift < 0.999)
    theirs = known.power_proportions_2indep(uplift, base, n, alpha=alpha, return_results=False)
    assert power_of(base, uplift, n, alpha) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("base", "uplift", "n"), [(0.4, 0.1, 300), (0.15, 0.08, 250), (0.7, 0.05, 800)])
def test_the_chance_is_the_share_of_drawn_trials_that_show_it(base: float, uplift: float, n: int) -> None:
    """The test is written out here once more: 1.96 pooled standard errors. Counts are whole: that costs a little."""
    chance = np.random.default_rng(5)
    drawn = 40_000
    control, treatment = chance.binomial(n, base, drawn), chance.binomial(n, base + uplift, drawn)
    pooled = (control + treatment) / (2 * n)
    error = np.sqrt(pooled * (1 - pooled) * 2 / n)
    shown = np.abs(treatment - control) / n > 1.959963984540054 * error
    assert power_of(base, uplift, n, 0.05) == pytest.approx(shown.mean(), abs=0.02)


def test_without_an_effect_to_speak_of_the_chance_is_that_of_a_false_alarm() -> None:
    assert power_of(0.4, 1e-9, 500, 0.05) == pytest.approx(0.05, abs=1e-6)


def test_the_size_that_every_textbook_has() -> None:
    assert sample_size(0.5, 0.1, 0.8, 0.05) == 388
    assert sample_size(0.1, 0.1, 0.8, 0.05) == 199


@given(SHARES, UPLIFTS, POWERS, ALPHAS)
@settings(deadline=None)
def test_the_size_is_the_smallest_that_does(base: float, uplift: float, power: float, alpha: float) -> None:
    assume(base + uplift <= 1)
    found = sample_size(base, uplift, power, alpha)
    assert power_of(base, uplift, found, alpha) >= power
    assert found == 2 or power_of(base, uplift, found - 1, alpha) < power


@given(SHARES, st.integers(20, 20_000), POWERS, ALPHAS)
@settings(max_examples=60, deadline=None)
def test_the_smallest_effect_of_a_size_needs_that_size(base: float, n: int, power: float, alpha: float) -> None:
    found = minimum_effect(base, n, power, alpha)
    assume(found is not None)
    assert found is not None
    assert 0 < found <= 1 - base
    assert power_of(base, found, n, alpha) == pytest.approx(power, abs=1e-6) or found == 1 - base
    assert sample_size(base, found * 1.0001, power, alpha) <= n if base + found * 1.0001 <= 1 else True


def test_with_too_few_students_no_effect_can_be_seen() -> None:
    assert minimum_effect(0.9, 5, 0.8, 0.05) is None
    assert minimum_effect(1.0, 5000, 0.8, 0.05) is None


def test_everyone_passing_is_an_effect_like_any_other() -> None:
    assert 0 < power_of(0.0, 1.0, 2, 0.05) <= 1
    assert sample_size(0.0, 1.0, 0.8, 0.05) <= 4


@pytest.mark.parametrize(
    ("base", "uplift"), [(0.9, 0.2), (0.5, 0.0), (0.5, -0.1), (0.5, float("nan")), (1.0, 0.1), (-0.1, 0.1)]
)
def test_what_cannot_be_is_refused_with_what_can(base: float, uplift: float) -> None:
    for ask in (lambda: power_of(base, uplift, 100, 0.05), lambda: sample_size(base, uplift, 0.8, 0.05)):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.code == ExitCode.USAGE
        assert caught.value.hint


def test_an_effect_that_no_trial_could_show_ends_the_search() -> None:
    with pytest.raises(UsageError, match="too small"):
        sample_size(0.5, 1e-9, 0.8, 0.05)


def test_few_passes_or_failures_make_it_rough() -> None:
    assert is_rough(0.05, 0.05, 50)
    assert is_rough(0.9, 0.08, 100)
    assert not is_rough(0.4, 0.1, 50)
