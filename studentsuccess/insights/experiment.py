"""A trial, tried out on paper: who would be in it, in which arm, and what it could show.

The passing of a student is drawn with the model's own probability. Contact is taken to save the same share of those
who would not pass, so that the arm's rate rises by the uplift, no probability leaves 0 to 1, and nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from studentsuccess.errors import ContractError, UsageError
from studentsuccess.insights.power import minimum_effect, sample_size
from studentsuccess.insights.proportions import Floats, Interval, critical, newcombe, z_scores, z_test

Mask = npt.NDArray[np.bool_]
TREATMENT, CONTROL = "treatment", "control"
# Simulated students at a time: what bounds the memory.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Rules:
    """How a trial is simulated and judged."""

    rounds: int
    alpha: float
    power: float
    seed: int


@dataclass(frozen=True)
class Scenario:
    """What a trial could show if contact raised the pass rate by `uplift`.

    `p_value` and `interval` are those of a trial that comes out just as expected; `simulated` holds the difference of
    all but a share alpha of the simulated trials, and `power` is the share of them that would show an effect.
    """

    uplift: float
    control_rate: float
    treatment_rate: float
    p_value: float
    interval: Interval
    simulated: Interval
    power: float
    needed: int

    @property
    def rate_diff(self) -> float:
        return self.uplift


@dataclass(frozen=True)
class Simulation:
    """The trial on paper: the arms that were drawn, and what each scenario would show."""

    treated: Mask
    base_rate: float
    risk_treatment: float
    risk_control: float
    scenarios: tuple[Scenario, ...]
    impossible: tuple[float, ...]
    smallest: float | None

    @property
    def n_treatment(self) -> int:
        return int(self.treated.sum())

    @property
    def n_control(self) -> int:
        return len(self.treated) - self.n_treatment


def base_rate(risk: Floats) -> float:
    """The share that is expected to pass without help, by the model."""
    return float(np.mean(1 - risk))


def assign(count: int, seed: int) -> Mask:
    """Who is contacted, by lot: half of them; of an odd number the last one is not."""
    if count < 2:
        raise ContractError(
            f"a trial needs a student in each arm, and {count} could be taken in",
            "score more students: `ss score`; or load a larger class",
        )
    treated = np.zeros(count, bool)
    treated[np.random.default_rng(seed).permutation(count)[: count // 2]] = True
    return treated


def simulate(risk: Floats, uplifts: Sequence[float], rules: Rules) -> Simulation:
    """Draw the arms, then many trials for every uplift. All uplifts meet the same luck, so that they compare."""
    treated = assign(len(risk), rules.seed)
    base = base_rate(risk)
    possible, impossible = sorted_out(base, uplifts)
    found = _differences(1 - risk, possible, int(treated.sum()), rules)
    scenarios = tuple(_scenario(base, uplift, treated, found[at], rules) for at, uplift in enumerate(possible))
    return Simulation(
        treated,
        base,
        float(risk[treated].mean()),
        float(risk[~treated].mean()),
        scenarios,
        impossible,
        minimum_effect(base, len(risk) // 2, rules.power, rules.alpha),
    )


def sorted_out(base: float, uplifts: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The uplifts that can be, and those with which more than everyone would pass; it is an error if none can."""
    wanted = sorted(set(uplifts))
    possible = tuple(uplift for uplift in wanted if base + uplift <= 1)
    if not possible:
        raise UsageError(
            f"of these students {base:.0%} are expected to pass without help: no uplift of {wanted[0]:g} is possible",
            f"try smaller ones: `--set experiment.uplifts={max((1 - base) / 2, 0.0001):.2g}`",
        )
    return possible, tuple(uplift for uplift in wanted if uplift not in possible)


@dataclass(frozen=True)
class _Outcomes:
    """The difference of the arms in every simulated trial, and whether its test would call it an effect."""

    difference: Floats
    shown: Mask


def _differences(passing: Floats, uplifts: Sequence[float], treated: int, rules: Rules) -> list[_Outcomes]:
    count = len(passing)
    control = count - treated
    parts: list[list[_Outcomes]] = [[] for _ in uplifts]
    for lots, luck in _draws(count, rules):
        contacted = lots <= np.partition(lots, treated - 1, axis=1)[:, treated - 1 : treated]
        in_control = (~contacted & (luck < passing)).sum(1).astype(np.float64)
        for at, uplift in enumerate(uplifts):
            in_treatment = (contacted & (luck < lifted(passing, uplift))).sum(1).astype(np.float64)
            z = z_scores(in_treatment, treated, in_control, control)
            shown = np.abs(z) > critical(rules.alpha)
            parts[at].append(_Outcomes(in_treatment / treated - in_control / control, shown))
    return [
        _Outcomes(np.concatenate([one.difference for one in part]), np.concatenate([one.shown for one in part]))
        for part in parts
    ]


def _draws(count: int, rules: Rules) -> Iterator[tuple[Floats, Floats]]:
    """Each round: a lot for every student (the lower half is contacted), and their luck.

    One round's numbers depend on the seed and the round alone, whatever is drawn at a time.
    """
    chance = np.random.default_rng([rules.seed, 1])
    step = max(1, _AT_ONCE // count)
    for first in range(0, rules.rounds, step):
        both = chance.random((min(step, rules.rounds - first), 2, count))
        yield both[:, 0], both[:, 1]


def lifted(passing: Floats, uplift: float) -> Floats:
    """The probabilities of passing with help: of what is missing to 1 everyone gains the same share."""
    missing = 1 - passing.mean()
    return np.asarray(passing + (1 - passing) * (uplift / missing), np.float64)


def _scenario(base: float, uplift: float, treated: Mask, found: _Outcomes, rules: Rules) -> Scenario:
    in_treatment = int(treated.sum())
    in_control = len(treated) - in_treatment
    raised = base + uplift
    expected = (raised * in_treatment, in_treatment, base * in_control, in_control)
    low, high = np.quantile(found.difference, [rules.alpha / 2, 1 - rules.alpha / 2])
    return Scenario(
        uplift,
        base,
        raised,
        z_test(*expected),
        newcombe(*expected, rules.alpha),
        Interval(float(low), float(high)),
        float(found.shown.mean()),
        sample_size(base, uplift, rules.power, rules.alpha),
    )
