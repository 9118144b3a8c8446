"""A trial that took place: what the contact did, how sure that is, and whether the arms were alike to begin with.

The headline is the plain difference of the two pass rates with Newcombe's score interval. Beside it stands the estimate
adjusted for the risk that the model saw: Lin's regression (2013; outcome on arm, centred risk and their product) with
HC2 errors, which stays a difference in points, can't be wrong for a wrong model, and is sharper where risk explains
outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from studentsuccess.errors import ContractError
from studentsuccess.insights.experiment import CONTROL, TREATMENT, Mask, Rules
from studentsuccess.insights.power import ENOUGH
from studentsuccess.insights.proportions import Floats, Interval, critical, newcombe, z_test

SMALL_ARM = 30
# Below this many degrees of freedom the errors of a regression with four coefficients say nothing.
LEAST_FREEDOM = 8
# What rounding alone leaves of a spread.
NO_SPREAD = 1e-9


@dataclass(frozen=True)
class Observed:
    """One row a student: the arm, the outcome (1 passed, 0 not, NaN unknown) and the risk before it (NaN unknown)."""

    treated: Mask
    passed: Floats
    risk: Floats


@dataclass(frozen=True)
class Arm:
    """What became of one arm; `rate` is of those whose outcome is known."""

    name: str
    assigned: int
    known: int
    passed: int
    mean_risk: float | None

    @property
    def rate(self) -> float:
        return self.passed / self.known

    @property
    def missing(self) -> int:
        return self.assigned - self.known


@dataclass(frozen=True)
class Estimate:
    """A difference of pass rates, treatment minus control."""

    difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class Balance:
    """Whether the arms were alike: the standardised difference of their mean risks, and what chance allows it."""

    matched: int
    difference: float
    chance: float

    @property
    def alike(self) -> bool:
        return abs(self.difference) <= self.chance


@dataclass(frozen=True)
class Attrition:
    """Unknown outcomes: whether one arm has more of them than chance, and the most that they could hide."""

    p_value: float
    worst: float
    best: float


@dataclass(frozen=True)
class Trial:
    """All that is said of a trial. What could not be said has its reason in `warnings`."""

    control: Arm
    treatment: Arm
    effect: Estimate
    simulated: Interval
    exact_p: float
    balance: Balance | None
    adjusted: Estimate | None
    adjusted_students: int
    attrition: Attrition | None
    warnings: tuple[str, ...]


def analyse(found: Observed, rules: Rules) -> Trial:
    """Everything about a trial's outcomes."""
    control, treatment = _arm(found, CONTROL, ~found.treated), _arm(found, TREATMENT, found.treated)
    for arm in (control, treatment):
        if not arm.known:
            raise ContractError(
                f"the {arm.name} arm is empty: {arm.assigned:,} students, none with a known outcome",
                "wait for outcomes, or check which column holds them: `--outcome COLUMN`",
            )
    counts = (treatment.passed, treatment.known, control.passed, control.known)
    interval = newcombe(*counts, rules.alpha)
    effect = Estimate(treatment.rate - control.rate, interval, z_test(*counts))
    balance = _balance(found, rules.alpha)
    adjusted, used = _adjusted(found, rules.alpha)
    attrition = _attrition(treatment, control) if treatment.missing + control.missing else None
    made = Trial(
        control,
        treatment,
        effect,
        _resampled(treatment, control, rules),
        fisher(*counts),
        balance,
        adjusted,
        used,
        attrition,
        (),
    )
    return replace(made, warnings=tuple(_warnings(made, rules.alpha)))


def _arm(found: Observed, name: str, members: Mask) -> Arm:
    outcomes, risk = found.passed[members], found.risk[members]
    known = np.isfinite(outcomes)
    there = risk[np.isfinite(risk)]
    mean = float(there.mean()) if len(there) else None
    return Arm(name, int(members.sum()), int(known.sum()), int(outcomes[known].sum()), mean)


def _resampled(treatment: Arm, control: Arm, rules: Rules) -> Interval:
    """The bootstrap: drawing students again from an arm of zeros and ones is drawing from a binomial law."""
    chance = np.random.default_rng([rules.seed, 2])
    of_treatment = chance.binomial(treatment.known, treatment.rate, rules.rounds) / treatment.known
    of_control = chance.binomial(control.known, control.rate, rules.rounds) / control.known
    low, high = np.quantile(of_treatment - of_control, [rules.alpha / 2, 1 - rules.alpha / 2])
    return Interval(float(low), float(high))


def fisher(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """Fisher's exact p value, two-sided: right however few there are."""

    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n_a + n_b + 1)))])
    passed = passed_a + passed_b
    least, most = max(0, passed - n_b), min(passed, n_a)
    of_a = np.arange(least, most + 1)
    logs = -factorial[of_a] - factorial[n_a - of_a] - factorial[passed - of_a] - factorial[n_b - passed + of_a]
    likely = np.exp(logs - logs.max())
    likely /= likely.sum()
    return float(min(1.0, likely[likely <= likely[passed_a - least] * (1 + 1e-7)].sum()))


def _balance(found: Observed, alpha: float) -> Balance | None:
    """By the students whose risk is known; nothing where an arm has fewer than two or all risks are one.

    Arms that hold one risk each have no spread of their own: then that of all students together is the measure.
    """
    known = np.isfinite(found.risk)
    one, other = found.risk[known & found.treated], found.risk[known & ~found.treated]
    if min(len(one), len(other)) < 2:
        return None
    spread = float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2))
    if spread < NO_SPREAD:
        spread = float(found.risk[known].std())
    if spread < NO_SPREAD:
        return None
    chance = critical(alpha) * float(np.sqrt(1 / len(one) + 1 / len(other)))
    return Balance(int(known.sum()), float(one.mean() - other.mean()) / spread, chance)


def _adjusted(found: Observed, alpha: float) -> tuple[Estimate | None, int]:
    """Lin's estimate with HC2 errors and Student's t; nothing where too few have both an outcome and a risk."""
    used = np.isfinite(found.passed) & np.isfinite(found.risk)
    treated, outcome, risk = found.treated[used].astype(np.float64), found.passed[used], found.risk[used]
    count = int(used.sum())
    if count - 4 < LEAST_FREEDOM or min(treated.sum(), count - treated.sum()) < 3 or risk.std() < NO_SPREAD:
        return None, count
    centred = (risk - risk.mean()) / risk.std()
    design = np.column_stack([np.ones(count), treated, centred, treated * centred])
    if np.linalg.matrix_rank(design) < 4:
        return None, count
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ outcome
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    if leverage.max() > 1 - 1e-9:
        return None, count
    squared = (outcome - design @ coefficients) ** 2 / (1 - leverage)
    error = float(np.sqrt((inverse @ (design.T * squared) @ design @ inverse)[1, 1]))
    return _with_t(float(coefficients[1]), error, count - 4, alpha), count


def _with_t(difference: float, error: float, freedom: int, alpha: float) -> Estimate | None:
    """An estimate with its interval by Student's t; without any error there is nothing to be said."""
    from scipy.special import stdtr, stdtrit

    if error < 1e-12:
        return None
    reach = float(stdtrit(freedom, 1 - alpha / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Estimate(difference, Interval(difference - reach, difference + reach), p_value)


def _attrition(treatment: Arm, control: Arm) -> Attrition:
    """The extremes: every unknown outcome against the contact, and every one for it."""
    worst = treatment.passed / treatment.assigned - (control.passed + control.missing) / control.assigned
    best = (treatment.passed + treatment.missing) / treatment.assigned - control.passed / control.assigned
    p_value = z_test(treatment.missing, treatment.assigned, control.missing, control.assigned)
    return Attrition(p_value, worst, best)


def _warnings(made: Trial, alpha: float) -> Iterator[str]:
    arms = (made.treatment, made.control)
    smallest = min(arms, key=lambda arm: arm.known)
    if smallest.known < SMALL_ARM:
        yield (
            f"the {smallest.name} arm has {smallest.known:,} known outcomes: a trial this small shows only very large"
            " effects, and no effect seen is not no effect"
        )
    if min(min(arm.passed, arm.known - arm.passed) for arm in arms) < ENOUGH:
        yield f"fewer than {ENOUGH} passed or failed in an arm: trust the exact p value, {made.exact_p:.3g}"
    if made.balance is not None and not made.balance.alike:
        yield (
            f"the arms were not alike: their mean risks differ by {abs(made.balance.difference):.2f} standard"
            f" deviations, and chance allows {made.balance.chance:.2f}: was the assignment by lot?"
        )
    if made.attrition is not None and made.attrition.p_value < alpha:
        yield (
            f"outcomes are missing more often in one arm than in the other (treatment {made.treatment.missing:,},"
            f" control {made.control.missing:,}): the difference may come from that"
        )
