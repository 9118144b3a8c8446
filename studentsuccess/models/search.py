"""The honest search: configurations of several families are compared on inner folds, and the best one is kept.

The rows held out take no part in it: they are neither in a fold nor in the final fit, so that the figure reported on
them is not the one that was selected for. Every worker count gives the same result, since a fit depends on its
configuration, its fold and the seed only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import numpy as np

from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.models import families
from studentsuccess.models.families import FAMILIES, Configuration
from studentsuccess.models.manifest import Task
from studentsuccess.models.pipeline import extra_of, predicted
from studentsuccess.models.pipeline_inputs import Floats, Inputs
from studentsuccess.models.search_board import Trial, judge, leaderboard, trial_of
from studentsuccess.models.search_folds import (
    Fold,
    Outcome,
    Rows,
    evaluate,
    fit,
    folds,
    loss,
    naive,
)
from studentsuccess.models.search_terms import Choice, Found, Options, Table

# After so many folds the worse half of the configurations is let go.
FIRST_FOLDS = 2
INTERVAL_LEVEL = 0.9
BLEND, NAIVE = "blend", "naive"


def search(table: Table, options: Options) -> Found:
    """Compare, choose, fit, and predict the rows held out."""
    with _undisturbed():
        return _Search(table, options).run()


def fit_choice(table: Table, choice: Choice) -> Any:
    """The chosen configuration on all rows of a table, those held out as well (`--refit`)."""
    with _undisturbed():
        inputs = Inputs.of(table.features)
        return fit(_estimator(choice, inputs, table.task, len(table.target), table.seed), table.matrix, table.target)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No warnings of libraries on the user's screen, one BLAS thread. Both are global: only the caller sets them."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield


def _estimator(choice: Choice, inputs: Inputs, task: Task, rows: int, seed: int) -> Any:
    members = tuple(families.build(member, inputs, task, rows, seed) for member in choice.members)
    if len(members) == 1:
        return members[0]
    return families.blend(members, choice.weights, tuple(member.family for member in choice.members), task)


class _Search:
    """One search: two rounds over the folds, blends of what is left, a verdict."""

    def __init__(self, table: Table, options: Options) -> None:
        if options.trials < 1 or options.cv < 2:
            raise UsageError("a search needs at least 1 trial and 2 folds", "leave --trials and --cv out")
        self.table, self.options = table, options
        self.inputs = Inputs.of(table.features)
        self.rows = _learnable(table, options.cv)
        self.folds = folds(self.rows, options.cv, table.seed)
        self.first = min(FIRST_FOLDS, len(self.folds))
        self.trials = [trial_of(one) for one in _configurations(options.trials, table.seed)]
        self.plain = trial_of(families.plain(), baseline=True)
        self.done, self.best = 0, float("inf")

    def run(self) -> Found:
        finalists = self._race()
        naive_trial = Trial(Choice(_naive_name(self.table.task), ()), NAIVE, {}, baseline=True)
        naive_trial.outcomes = [naive(self.rows, fold) for fold in self.folds]
        candidates = [*finalists, self.plain]
        blends = self._blends(candidates)
        chosen = min([*candidates, *blends], key=lambda trial: trial.mean)
        model, predictions = self._final(chosen.choice)
        half_width = self._half_width(chosen)
        return Found(
            leaderboard([*self.trials, self.plain, naive_trial, *blends], chosen),
            chosen.choice,
            model,
            predictions,
            judge(chosen, [self.plain, naive_trial], len(self.folds)),
            "log_loss" if self.table.task == "classification" else "rmse",
            len(self.folds),
            half_width,
            extra_of(model, self.inputs, self.rows.matrix, half_width),
        )

    @property
    def fits(self) -> int:
        later = len(self.folds) - self.first
        return (len(self.trials) + 1) * self.first + (self.options.kept + 1) * later + 1

    def _race(self) -> list[Trial]:
        """Everybody on the first folds, the better ones on the others. A family's best stays: it may make a blend."""
        self._evaluate([*self.trials, self.plain], self.folds[: self.first])
        by_rank = sorted(self.trials, key=lambda trial: trial.mean)
        heads = [next(trial for trial in by_rank if trial.family == name) for name in _families_of(by_rank)]
        others = [trial for trial in by_rank if trial not in heads]
        finalists = sorted([*heads, *others][: self.options.kept], key=lambda trial: trial.mean)
        for trial in [trial for trial in self.trials if trial not in finalists]:
            trial.forget()
        self._evaluate([*finalists, self.plain], self.folds[self.first :])
        return finalists

    def _evaluate(self, trials: Sequence[Trial], parts: Sequence[Fold]) -> None:
        jobs = [(trial, fold) for trial in trials for fold in parts]
        engine = Engine("threads" if self.options.workers > 1 else "serial", self.options.workers)
        for (trial, _), outcome in zip(jobs, ordered_map(self._fit, jobs, engine), strict=True):
            trial.outcomes.append(outcome)
            self._tell(trial)

    def _fit(self, job: tuple[Trial, Fold]) -> Outcome:
        trial, fold = job
        estimator = _estimator(trial.choice, self.inputs, self.rows.task, len(fold.train), self.table.seed)
        return evaluate(estimator, self.rows, fold)

    def _tell(self, trial: Trial | None = None) -> None:
        self.done += 1
        if trial is not None and len(trial.outcomes) in (self.first, len(self.folds)):
            self.best = min(self.best, trial.mean)
        if self.options.on_trial is not None:
            self.options.on_trial(self.done, self.fits, self.best)

    def _blends(self, candidates: Sequence[Trial]) -> list[Trial]:
        """The best even blend of two families' best, judged by what its members said outside their folds."""
        by_rank = sorted(candidates, key=lambda trial: trial.mean)
        heads = [next(trial for trial in by_rank if trial.family == name) for name in _families_of(by_rank)]
        pairs = [self._blend(one, other) for one, other in combinations(heads, 2)]
        return [min(pairs, key=lambda trial: trial.mean)] if pairs else []

    def _blend(self, one: Trial, other: Trial) -> Trial:
        choice = Choice(
            f"blend of {one.choice.name} and {other.choice.name}",
            one.choice.members + other.choice.members,
            (0.5, 0.5),
        )
        outcomes = []
        for fold, left, right in zip(self.folds, one.outcomes, other.outcomes, strict=True):
            mixed = (left.predictions + right.predictions) / 2
            judged = loss(self.rows.target[fold.test], mixed, self.rows.task)
            outcomes.append(Outcome(judged, mixed, left.seconds + right.seconds))
        return Trial(choice, BLEND, {"weight": 0.5}, outcomes)

    def _final(self, choice: Choice) -> tuple[Any, Floats]:
        table = self.table
        estimator = _estimator(choice, self.inputs, table.task, len(self.rows), table.seed)
        model = fit(estimator, self.rows.matrix, self.rows.target)
        held = table.matrix[table.holdout]
        found = predicted(model, held, self.rows.outputs)
        self._tell()
        return model, found

    def _half_width(self, chosen: Trial) -> float | None:
        """The quantile of the errors outside the folds, with one row more than there are: the next one counts too."""
        if self.table.task == "classification":
            return None
        pairs = zip(self.folds, chosen.outcomes, strict=True)
        errors = [np.abs(outcome.predictions[:, 0] - self.rows.target[fold.test]) for fold, outcome in pairs]
        every = np.sort(np.concatenate(errors))
        return float(every[min(len(every), int(np.ceil((len(every) + 1) * INTERVAL_LEVEL))) - 1])


def _learnable(table: Table, cv: int) -> Rows:
    """The rows that are not held out, if a search can learn from them."""
    chosen = ~table.holdout
    target = table.target[chosen]
    if not Inputs.of(table.features).owners:
        raise ContractError("no column is left to learn from", "`--types NAME=number` takes one in")
    if len(target) < 2 * cv:
        raise ContractError(
            f"{len(target)} rows to learn from are too few for {cv} folds", "bring more rows, or say a smaller --cv"
        )
    if table.task == "classification":
        target = target.astype(np.int64)
        if (target == target[0]).all():
            raise ContractError("the rows to learn from have one class only", "bring rows of another class")
    groups = table.groups[chosen] if table.groups is not None else None
    if groups is not None and (groups == groups[0]).all():
        raise ContractError("the rows to learn from are one group", "bring rows with another id")
    outputs = len(table.classes) if table.task == "classification" else 1
    return Rows(table.matrix[chosen], target, table.task, outputs, groups)


def _configurations(trials: int, seed: int) -> list[Configuration]:
    """Each family as it is by default, then drawn ones in turn."""
    random = np.random.default_rng(seed)
    found = [families.default(family) for family in FAMILIES[:trials]]
    while len(found) < trials:
        turn, place = divmod(len(found), len(FAMILIES))
        found.append(families.draw(FAMILIES[place], turn + 1, random))
    return found


def _families_of(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.family for trial in trials))


def _naive_name(task: Task) -> str:
    return "shares of the classes" if task == "classification" else "mean"
