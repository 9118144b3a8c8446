"""How good predicted risks were, once the end is known: figures with intervals, for all, for parts, and for groups.

Everything here is a function of arrays. A figure that does not exist (the AUC of one class) has no value and says why,
because a 0 or a .5 in its place would be believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from studentsuccess.errors import SsError
from studentsuccess.models.metrics_classes import SLACK
from studentsuccess.models.metrics_values import misshapen
from studentsuccess.models.risk_bootstrap import (
    STRAYED,
    Added,
    Figure,
    Flags,
    Floats,
    Measures,
    Places,
    Ranking,
    Sums,
    Weighed,
    drawings,
    figure,
    figures_of,
    gathered,
    ratio,
)

Texts = npt.NDArray[np.object_]
# A list that advisers can work through, and one that is twice as long.
CAPACITY = (0.1, 0.2)
BOOTSTRAPS = 500
# Below so many rows, or so many of either outcome, a member's figures are mostly chance.
SMALLEST, FEWEST = 100, 20
NOT_GIVEN, ALL, GAP = "not given", "all", "true_positive_rate_gap"
BIN, PROMISED, KEPT = "bin", "mean_predicted", "base_rate"


@dataclass(frozen=True)
class Rows:
    """One row an enrolment: whether it ended in Fail or Withdrawn, what was predicted, and whose it is.

    `student` is any number that is the same for all rows of a student.
    """

    truth: Flags
    probability: Floats
    student: npt.NDArray[np.integer]
    module: Texts | None = None

    def __post_init__(self) -> None:
        parts = [self.truth, self.probability, self.student, *(() if self.module is None else (self.module,))]
        if any(one.ndim != 1 or len(one) != len(self.truth) for one in parts) or self.truth.dtype != np.bool_:
            raise misshapen("outcomes, probabilities, students and modules")
        if len(self.truth) and not (self.probability.min() >= -SLACK and self.probability.max() <= 1 + SLACK):
            raise SsError("a model gave a probability that is not between 0 and 1", "`ss verify` checks its files")
        object.__setattr__(self, "probability", np.clip(np.asarray(self.probability, np.float64), 0.0, 1.0))

    def __len__(self) -> int:
        return len(self.truth)

    def part(self, mask: Flags) -> Rows:
        """Some of the rows."""
        module = None if self.module is None else self.module[mask]
        return Rows(self.truth[mask], self.probability[mask], self.student[mask], module)


@dataclass(frozen=True)
class Member:
    """The figures of one member of a group; `small` warns that they are mostly chance."""

    group: str
    member: str
    n: int
    small: bool
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Gap:
    """How far the members of a group are apart, from the highest to the lowest; small members do not count."""

    group: str
    members: tuple[str, ...]
    n: int
    figure: Figure


@dataclass(frozen=True)
class Bin:
    """What was promised and what came true between two probabilities."""

    place: int
    n: int
    figures: tuple[Figure, ...]


def figures(
    rows: Rows, capacity: Sequence[float] = CAPACITY, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> tuple[Figure, ...]:
    """The figures of a backtest. The same students and seed give the same drawings: two models can be compared."""
    if any(not 0 < one <= 1 for one in capacity):
        raise SsError("a capacity must be a share above 0 and up to 1", "0.1 is a list of every tenth student")
    names = [name for one in capacity for name in _capacity_names(one)]
    if not len(rows):
        gone = ("base_rate", "auc", "ap", "brier", "ece", "log_loss", *names)
        return (Figure("n", 0.0), *(Figure(name, None, note="no rows") for name in gone))
    places, students = _places(rows)
    ranking = Ranking(rows.truth, rows.probability, places)
    sums = Sums(rows.truth, rows.probability, places, students)
    gaps = sums.add(np.ones((1, students))).gaps()

    def measure(counts: Floats) -> Measures:
        return _measures(ranking.weigh(counts), sums.add(counts), gaps, capacity)

    found = figures_of(measure, students, len(rows), bootstraps, seed)
    return Figure("n", float(len(rows))), *found


def _places(rows: Rows) -> tuple[Places, int]:
    known, places = np.unique(rows.student, return_inverse=True)
    return places, len(known)


def _capacity_names(capacity: float) -> tuple[str, str, str, str]:
    share = f"{100 * capacity:g}"
    found, ceiling = f"precision_at_{share}", f"recall_at_{share}"
    return found, f"{found}_ceiling", ceiling, f"{ceiling}_ceiling"


def _measures(weighed: Weighed, added: Added, gaps: Floats, capacity: Sequence[float]) -> Measures:
    found = {
        "base_rate": added.base_rate(),
        "auc": weighed.auc(),
        "ap": weighed.average_precision(),
        "brier": added.brier(),
        **_calibration_error(added, gaps),
        "log_loss": added.log_loss(),
    }
    for one in capacity:
        found |= dict(zip(_capacity_names(one), _at_capacity(weighed, one), strict=True))
    return found


def _calibration_error(added: Added, gaps: Floats) -> Measures:
    drawn = added.gaps()
    return {"ece": np.abs(drawn).sum(axis=1), "ece" + STRAYED: np.abs(drawn - gaps).sum(axis=1)}


def _at_capacity(weighed: Weighed, capacity: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Precision and recall among the first, each with the best that any order could reach."""
    found, room = weighed.found(capacity), capacity * weighed.total
    best = np.minimum(room, weighed.positives)
    return ratio(found, room), ratio(best, room), ratio(found, weighed.positives), ratio(best, weighed.positives)


def reliability(rows: Rows, bootstraps: int = BOOTSTRAPS, seed: int = 0) -> tuple[Bin, ...]:
    """The bins of the ECE that hold rows, the lowest probabilities first."""
    places, students = _places(rows)
    sums = Sums(rows.truth, rows.probability, places, students)

    def measure(counts: Floats) -> Measures:
        added = sums.add(counts)
        return {PROMISED: ratio(added.promised, added.rows), KEPT: ratio(added.hits, added.rows)}

    def shown(place: int) -> tuple[Figure, ...]:
        drawn_here = {name: table[:, place] for name, table in drawn.items()}
        return tuple(figure(name, float(table[0, place]), drawn_here, students) for name, table in values.items())

    every = np.ones((1, students))
    values, held = measure(every), sums.add(every).rows[0].astype(np.int64)
    drawn = gathered([measure(counts) for counts in drawings(students, bootstraps, seed, len(rows))], values)
    return tuple(Bin(int(place), int(held[place]), shown(int(place))) for place in np.flatnonzero(held))


def by_module(rows: Rows) -> dict[str, Flags]:
    """The rows of each module."""
    if rows.module is None:
        return {}
    return {name: np.asarray(rows.module == name, np.bool_) for name in sorted(set(rows.module.tolist()))}


def unseen_modules(rows: Rows, train_modules: Collection[str]) -> Flags:
    """Rows of modules that the model was not trained on."""
    known = set(train_modules)
    modules = [] if rows.module is None else rows.module.tolist()
    return np.fromiter((one not in known for one in modules), np.bool_) if modules else np.zeros(len(rows), np.bool_)


def new_students(rows: Rows, train_students: npt.NDArray[np.integer]) -> Flags:
    """Rows of students whom the model was not trained on."""
    return np.isin(rows.student, train_students, invert=True)


def group_figures(
    rows: Rows,
    groups: Mapping[str, Texts],
    capacity: float = CAPACITY[1],
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> tuple[tuple[Member, ...], tuple[Gap, ...]]:
    """Whether a model serves the members of each group alike.

    Who is selected is decided among all rows, in each drawing anew. Who gives no answer is a member too.
    """
    if any(len(texts) != len(rows) for texts in groups.values()):
        raise misshapen("groups and rows")
    if not len(rows) or not groups:
        return (), ()
    known, places = np.unique(rows.student, return_inverse=True)
    parts = [
        _Part(name, member, flags, rows, places) for name, texts in groups.items() for member, flags in _split(texts)
    ]
    selection = _Selection(rows, places, np.stack([part.flags for part in parts], axis=1), capacity)

    def measure(counts: Floats) -> list[Measures]:
        rates = selection.measure(counts)
        return [part.measure(counts) | rate for part, rate in zip(parts, rates, strict=True)]

    values = measure(np.ones((1, len(known))))
    chunks = [measure(counts) for counts in drawings(len(known), bootstraps, seed, len(rows))]
    drawn = [gathered([one[place] for one in chunks], value) for place, value in enumerate(values)]
    judged = [_Judged(*one) for one in zip(parts, values, drawn, strict=True)]
    gaps = (_gap([one for one in judged if one.part.group == name], len(known)) for name in groups)
    return tuple(one.member() for one in judged), tuple(gaps)


def _split(texts: Texts) -> Iterator[tuple[str, Flags]]:
    """The members in the order of their names; those without an answer come last."""
    names = np.array([one if isinstance(one, str) and one else NOT_GIVEN for one in texts.tolist()], object)
    for name in sorted(set(names.tolist()), key=lambda one: (one == NOT_GIVEN, one)):
        yield name, np.asarray(names == name, np.bool_)


class _Part:
    """The rows of one member, ready to be weighed by the drawings of all students."""

    def __init__(self, group: str, member: str, flags: Flags, rows: Rows, places: Places) -> None:
        self.group, self.member, self.flags = group, member, flags
        mine = rows.part(flags)
        self.n, self.positives = len(mine), int(np.count_nonzero(mine.truth))
        self.students, inside = np.unique(places[flags], return_inverse=True)
        self.ranking = Ranking(mine.truth, mine.probability, inside)
        self.sums = Sums(mine.truth, mine.probability, inside, len(self.students))
        self.gaps = self.sums.add(np.ones((1, len(self.students)))).gaps()

    @property
    def small(self) -> bool:
        return self.n < SMALLEST or min(self.positives, self.n - self.positives) < FEWEST

    def measure(self, counts: Floats) -> Measures:
        mine = counts[:, self.students]
        added = self.sums.add(mine)
        base_rate, predicted = added.base_rate(), added.mean_predicted()
        return {
            "base_rate": base_rate,
            "mean_predicted": predicted,
            "calibration_in_the_large": predicted - base_rate,
            "auc": self.ranking.weigh(mine).auc(),
            **_calibration_error(added, self.gaps),
        }


class _Selection:
    """Who is among the first of all rows, counted for each member."""

    def __init__(self, rows: Rows, places: Places, members: Flags, capacity: float) -> None:
        self.ranking = Ranking(rows.truth, rows.probability, places)
        self.capacity = capacity
        ranked = members[self.ranking.order].astype(np.float64)
        self.every = ranked
        self.hits = ranked * self.ranking.truth[:, None]
        self.all_hits = self._by_student(self.hits, len(np.unique(places)))
        self.all_rows = self._by_student(ranked, len(self.all_hits))

    def _by_student(self, table: Floats, students: int) -> Floats:
        found = np.zeros((students, table.shape[1]))
        np.add.at(found, self.ranking.student, table)
        return found

    def measure(self, counts: Floats) -> list[Measures]:
        taken = self.ranking.weigh(counts).taken(self.capacity)
        until = int(np.searchsorted(self.ranking.step, taken.shape[1]))
        chosen = taken[:, self.ranking.step[:until]] * counts[:, self.ranking.student[:until]]
        selected, caught = chosen @ self.every[:until], chosen @ self.hits[:until]
        rows, hits = counts @ self.all_rows, counts @ self.all_hits
        rates = {
            "selection_rate": ratio(selected, rows),
            "true_positive_rate": ratio(caught, hits),
            "false_positive_rate": ratio(selected - caught, rows - hits),
        }
        return [{name: table[:, place] for name, table in rates.items()} for place in range(rows.shape[1])]


@dataclass(frozen=True)
class _Judged:
    """A member's figures of the data, and over the drawings."""

    part: _Part
    values: Measures
    drawn: Measures

    def member(self) -> Member:
        shown = (name for name in self.values if not name.endswith(STRAYED))
        students = len(self.part.students)
        found = tuple(figure(name, float(self.values[name][0]), self.drawn, students) for name in shown)
        return Member(self.part.group, self.part.member, self.part.n, self.part.small, found)


def _gap(members: Sequence[_Judged], students: int) -> Gap:
    """The range of the true-positive rates; over few rows a range is wide by chance, so small members are left out."""
    large = [one for one in members if not one.part.small]
    names, rows = tuple(one.part.member for one in large), sum(one.part.n for one in large)
    group = members[0].part.group
    if len(large) < 2:
        return Gap(group, names, rows, Figure(GAP, None, note="fewer than two members are large enough"))
    rate = "true_positive_rate"
    value = np.array([float(one.values[rate][0]) for one in large])
    drawn = np.stack([one.drawn[rate] for one in large], axis=1)
    measures = {GAP: np.ptp(drawn, axis=1), GAP + STRAYED: np.ptp(drawn - value, axis=1)}
    return Gap(group, names, rows, figure(GAP, float(np.ptp(value)), measures, students))


@dataclass(frozen=True)
class BacktestRow:
    """One line of `ml.backtest`, but for what is the same in a whole backtest: its run and its terms."""

    week: int
    scope: str
    member: str
    n: int
    metric: str
    value: float | None
    low: float | None
    high: float | None
    demographics: str = "use"


@dataclass(frozen=True)
class Parts:
    """What a backtest is looked at by, beside all of its rows."""

    groups: Mapping[str, Texts]
    train_modules: Collection[str] | None = None
    train_students: npt.NDArray[np.integer] | None = None


def backtest_rows(
    rows: Rows, week: int, demographics: str, parts: Parts, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> list[BacktestRow]:
    """Everything that is said of one week, by a model with demographics (`use`) or without (`exclude`).

    Parts without rows say nothing. Scope `bin` is the reliability: its members are the bins of the ECE, so that the
    picture needs the table alone. The member of `unseen module` names all of them, and a group's member `all` has the
    gap between its members.
    """

    def lines(scope: str, member: str, n: int, found: Sequence[Figure]) -> Iterator[BacktestRow]:
        for one in found:
            if one.name != "n":
                yield BacktestRow(week, scope, member, n, one.name, one.value, one.low, one.high, demographics)

    made: list[BacktestRow] = []
    for scope, member, flags in _scopes(rows, parts):
        part = rows.part(flags)
        made += lines(scope, member, len(part), figures(part, bootstraps=bootstraps, seed=seed))
    for one in reliability(rows, bootstraps, seed):
        made += lines(BIN, f"{one.place + 1:02}", one.n, one.figures)
    members, gaps = group_figures(rows, parts.groups, bootstraps=bootstraps, seed=seed)
    for of in members:
        made += lines(of.group, of.member, of.n, (*of.figures, Figure("small", float(of.small))))
    for gap in gaps:
        made += lines(gap.group, ALL, gap.n, (gap.figure,))
    return made


def _scopes(rows: Rows, parts: Parts) -> Iterator[tuple[str, str, Flags]]:
    yield ALL, ALL, np.ones(len(rows), np.bool_)
    for module, flags in by_module(rows).items():
        yield "module", module, flags
    if parts.train_modules is not None and rows.module is not None:
        flags = unseen_modules(rows, parts.train_modules)
        if flags.any():
            yield "unseen module", ", ".join(sorted(set(rows.module[flags].tolist()))), flags
    if parts.train_students is not None:
        flags = new_students(rows, parts.train_students)
        if flags.any():
            yield "new students", ALL, flags
