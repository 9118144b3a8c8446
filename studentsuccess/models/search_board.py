"""From losses on folds to a leaderboard and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from studentsuccess.models.families import Configuration, Parameters
from studentsuccess.models.search_folds import Outcome, interval
from studentsuccess.models.search_terms import Choice, Standing, Verdict


@dataclass(eq=False)
class Trial:
    """A configuration on its way through the folds."""

    choice: Choice
    family: str
    parameters: Parameters
    outcomes: list[Outcome] = field(default_factory=list)
    baseline: bool = False

    @property
    def losses(self) -> list[float]:
        return [outcome.loss for outcome in self.outcomes]

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))

    def forget(self) -> None:
        """Let go of the predictions: only the losses are asked for from now on."""
        self.outcomes = [replace(outcome, predictions=np.zeros((0, 0))) for outcome in self.outcomes]


def trial_of(configuration: Configuration, baseline: bool = False) -> Trial:
    choice = Choice(configuration.name, (configuration,))
    return Trial(choice, configuration.family, configuration.parameters, baseline=baseline)


def leaderboard(trials: Sequence[Trial], chosen: Trial) -> tuple[Standing, ...]:
    """Those that saw every fold come first: a mean over fewer folds is not to be compared with theirs."""
    by_rank = sorted(trials, key=lambda trial: (-len(trial.outcomes), trial.mean))
    return tuple(_standing(rank, trial, chosen) for rank, trial in enumerate(by_rank, 1))


def _standing(rank: int, trial: Trial, chosen: Trial) -> Standing:
    seen, in_all = len(trial.outcomes), len(chosen.outcomes)
    spread = interval(trial.losses, in_all)
    return Standing(
        rank,
        trial.choice.name,
        trial.family,
        trial.parameters,
        spread.mean,
        spread.low,
        spread.high,
        float(np.mean(np.subtract(trial.losses, chosen.losses[:seen]))),
        seen,
        seen == in_all,
        round(sum(outcome.seconds for outcome in trial.outcomes), 3),
        trial.baseline,
    )


def judge(chosen: Trial, baselines: Sequence[Trial], folds_in_all: int) -> Verdict:
    """Fold by fold against the best baseline: what is hard in a fold is hard for both, and drops out."""
    best = min(baselines, key=lambda trial: trial.mean)
    gain = interval(np.subtract(best.losses, chosen.losses).tolist(), folds_in_all)
    name = best.choice.name
    if chosen is best:
        return Verdict(False, f"nothing is better than the baseline ({name}), which is kept", name, gain)
    shown = f"{gain.mean:.4g} [{gain.low:.4g}, {gain.high:.4g}]"
    if gain.low > 0:
        return Verdict(True, f"{chosen.choice.name} is better than {name} by {shown} on the same folds", name, gain)
    return Verdict(
        False, f"{chosen.choice.name} is not clearly better than {name}: by {shown} on the same folds", name, gain
    )
