"""What is hidden stays hidden: a solver that knows all that a reader knows tries to work it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from studentsuccess.insights.suppress import Cells, Hidden, hide

THRESHOLD = 0.5
# How far a published mean, times a count, may be from the sum that it came from.
ROUNDING = 1e-7
# More students than any class here has.
MOST = 5_000.0


def cells(rows: Sequence[tuple[int, int, int, int, float]]) -> Cells:
    columns = list(zip(*rows, strict=True))
    whole = [np.array(column, np.int64) for column in columns[:4]]
    return Cells(*whole, np.array(columns[4], np.float64))


@dataclass
class Attacker:
    """All that is published and all that is known besides it, as linear constraints on what is not.

    Of each row there are three unknowns: students, those at high risk, and the sum of their risks.
    """

    made: Cells
    hidden: Hidden
    totals: bool = True

    def ranges(self) -> Iterator[tuple[str, int, int]]:
        """Each hidden number, and how few and how many it can be."""
        for row in np.flatnonzero(self.hidden.everything):
            yield "students", *self._range(3 * row)
        for row in np.flatnonzero(self.hidden.everything | self.hidden.rate):
            yield "high", *self._range(3 * row + 1)

    def _range(self, at: int) -> tuple[int, int]:
        found = []
        for sign in (1, -1):
            goal = np.zeros(3 * len(self.made))
            goal[at] = sign
            whole = np.tile([1, 1, 0], len(self.made))
            solved = milp(goal, integrality=whole, bounds=self._bounds(), constraints=self._constraints())
            assert solved.status == 0, solved.message
            found.append(round(solved.x[at]))
        return found[0], found[1]

    def _bounds(self) -> Bounds:
        made, hidden = self.made, self.hidden
        low, high = np.tile([1.0, 0.0, 0.0], len(made)), np.full(3 * len(made), MOST)
        risk = made.students * made.mean
        shown = (
            (0, ~hidden.everything, made.students, 0.0),
            (1, ~(hidden.everything | hidden.rate), made.high, 0.0),
            (2, ~(hidden.everything | hidden.mean), risk, ROUNDING),
        )
        for part, where, values, slack in shown:
            low[part::3][where], high[part::3][where] = values[where] - slack, values[where] + slack
        return Bounds(low, high)

    def _constraints(self) -> list[LinearConstraint]:
        return [*self._nature(), *(self._sums() if self.totals else ()), *self._leaving()]

    def _nature(self) -> Iterator[LinearConstraint]:
        """Nobody is at high risk twice, and who is has a risk from the threshold to one, the others one below it."""
        for row in range(len(self.made)):
            line = np.zeros((3, 3 * len(self.made)))
            line[0, 3 * row : 3 * row + 2] = 1, -1
            line[1, 3 * row + 1 : 3 * row + 3] = -THRESHOLD, 1
            line[2, 3 * row : 3 * row + 3] = THRESHOLD, 1 - THRESHOLD, -1
            yield LinearConstraint(line, -ROUNDING, np.inf)

    def _sums(self) -> Iterator[LinearConstraint]:
        """A total is published where something of it is shown."""
        made, hidden = self.made, self.hidden
        parts = (
            (0, made.students, hidden.everything, 0.0),
            (1, made.high, hidden.everything | hidden.rate, 0.0),
            (2, made.students * made.mean, hidden.everything | hidden.mean, ROUNDING),
        )
        for period in np.unique(made.period):
            rows = np.flatnonzero(made.period == period)
            for part, values, gone, slack in parts:
                if not gone[rows].all():
                    line = np.zeros(3 * len(made))
                    line[3 * rows + part] = 1
                    total = values[rows].sum()
                    yield LinearConstraint(line, total - slack, total + slack)

    def _leaving(self) -> Iterator[LinearConstraint]:
        """Where a class only ever shrinks, that is known."""
        for series in np.unique(self.made.series):
            rows = np.flatnonzero(self.made.series == series)
            rows = rows[np.argsort(self.made.period[rows])]
            if (np.diff(self.made.students[rows]) <= 0).all():
                for before, after in pairwise(rows):
                    line = np.zeros(3 * len(self.made))
                    line[3 * before], line[3 * after] = 1, -1
                    yield LinearConstraint(line, 0, np.inf)


@st.composite
def summaries(draw: st.DrawFn) -> Cells:
    """A few classes over a few weeks, most of them shrinking, around the sizes at which something is hidden."""
    rows = []
    classes, weeks = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    for series in range(classes):
        students = draw(st.integers(1, 60))
        for week in range(weeks):
            students = max(1, students - draw(st.integers(-1, 4)))
            high = draw(st.integers(0, students))
            risks = [draw(st.floats(THRESHOLD, 1)), draw(st.floats(0, THRESHOLD * 0.999))]
            rows.append((series, week, students, high, (high * risks[0] + (students - high) * risks[1]) / students))
    return cells(rows)


@settings(max_examples=50, deadline=None)
@given(summaries(), st.sampled_from([2, 5, 10]))
@example(cells([(0, 0, 9, 4, 0.4), (1, 0, 50, 25, 0.5), (2, 0, 300, 100, 0.4)]), 10)
@example(cells([(0, 0, 11, 5, 0.5), (0, 1, 9, 4, 0.5), (1, 0, 30, 12, 0.4), (1, 1, 30, 12, 0.4)]), 10)
@example(cells([(0, 0, 40, 1, 0.05), (1, 0, 60, 30, 0.5), (2, 0, 90, 30, 0.4)]), 10)
def test_every_hidden_number_could_be_one_of_as_many_as_the_smallest_shown(made: Cells, least: int) -> None:
    hidden = hide(made, least, THRESHOLD)
    for _, low, high in Attacker(made, hidden).ranges():
        assert high - low + 1 >= least


@settings(max_examples=examples(200, daily=60), deadline=None)
@given(summaries(), st.integers(2, 20))
def test_no_small_number_is_shown(made: Cells, least: int) -> None:
    hidden = hide(made, least, THRESHOLD)
    shown = ~hidden.everything
    assert (made.students[shown] >= least).all()
    shown &= ~hidden.rate
    assert (made.high[shown] >= least).all()
    assert (made.students - made.high >= least)[shown].all()


@settings(max_examples=examples(100, daily=40), deadline=None)
@given(summaries(), st.integers(2, 20), st.randoms(use_true_random=False))
def test_what_is_hidden_does_not_depend_on_the_order_of_the_rows(made: Cells, least: int, random: object) -> None:
    order = list(range(len(made)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Cells(*(getattr(made, name)[order] for name in ("series", "period", "students", "high", "mean")))
    straight, mixed = hide(made, least, THRESHOLD), hide(shuffled, least, THRESHOLD)
    assert (straight.everything[order] == mixed.everything).all()
    assert straight.any.sum() == mixed.any.sum()


def test_the_solver_breaks_what_hides_small_numbers_only() -> None:
    """The attack is worth something: without complements it finds the numbers."""
    made = cells([(0, 0, 9, 4, 0.4), (1, 0, 50, 25, 0.5), (2, 0, 300, 100, 0.4)])
    none = np.zeros(3, bool)
    naive = Hidden(made.students < 10, none, none)
    assert list(Attacker(made, naive).ranges()) == [("students", 9, 9), ("high", 4, 4)]


def test_the_solver_frames_a_week_between_its_neighbours() -> None:
    """A class hidden only in the week in which another is small is as good as shown: nobody left it meanwhile."""
    made = cells([(0, 0, 11, 5, 0.5), (0, 1, 9, 4, 0.5), (1, 0, 30, 12, 0.4), (1, 1, 30, 12, 0.4), (1, 2, 30, 12, 0.4)])
    only_now = made.period == 1
    none = np.zeros(len(made), bool)
    framed = [
        high - low + 1
        for what, low, high in Attacker(made, Hidden(only_now, none, none)).ranges()
        if what == "students"
    ]
    assert min(framed) < 10


def test_the_solver_reads_a_count_out_of_a_mean() -> None:
    """A class with a mean risk of .05 has at most 4 of 40 at high risk: hiding the rate alone hides nothing."""
    made = cells([(0, 0, 40, 1, 0.05), (1, 0, 60, 30, 0.5), (2, 0, 90, 30, 0.4)])
    rates = Hidden(np.zeros(3, bool), np.array([True, True, False]), np.zeros(3, bool))
    assert min(high - low + 1 for _, low, high in Attacker(made, rates).ranges()) < 10
    assert hide(made, 10, THRESHOLD).mean[0]


def test_large_classes_with_many_on_both_sides_are_all_shown() -> None:
    made = cells([(series, week, 200, 80, 0.4) for series in range(4) for week in range(5)])
    assert not hide(made, 10, THRESHOLD).any.any()


def test_a_small_class_is_hidden_in_all_its_weeks_and_the_smallest_other_with_it() -> None:
    rows = [(0, week, 12 - week, 6, 0.5) for week in range(5)]
    rows += [(1, week, 400, 200, 0.5) for week in range(5)]
    rows += [(2, week, 90, 45, 0.5) for week in range(5)]
    made = cells(rows)
    hidden = hide(made, 10, THRESHOLD)
    assert set(made.series[hidden.everything]) == {0, 2}
    assert not hidden.any[made.series == 1].any()


def test_a_class_alone_hides_itself_and_nothing_is_there_to_subtract_from() -> None:
    hidden = hide(cells([(0, 0, 9, 4, 0.5), (0, 1, 8, 4, 0.5)]), 10, THRESHOLD)
    assert hidden.everything.all()


@pytest.mark.parametrize("least", [0, 1])
def test_who_wants_nothing_hidden_gets_all(least: int) -> None:
    made = cells([(0, 0, 1, 0, 0.1), (1, 0, 2, 2, 0.9)])
    assert not hide(made, least, THRESHOLD).any.any()


def test_a_mean_is_hidden_only_where_it_tells() -> None:
    shown = cells([(0, 0, 100, 8, 0.35), (1, 0, 120, 50, 0.45), (2, 0, 130, 50, 0.45)])
    hidden = hide(shown, 10, THRESHOLD)
    assert hidden.rate[0]
    assert not hidden.mean.any()
    assert not hide(replace(shown, high=np.array([30, 50, 50])), 10, THRESHOLD).any.any()
