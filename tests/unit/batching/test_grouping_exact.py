"""Small instances of two batches: what is found is the best there is, as CP-SAT proves it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from made_cells import drawn_courses, made

from studentsuccess.batching.grouping import How, group
from studentsuccess.batching.instance import Floats, Pins, Sizes
from studentsuccess.core.reporter import SilentReporter

cp_model = pytest.importorskip("ortools.sat.python.cp_model")
SIZES = Sizes(5, 8, 11)
SCALE = 10**7


def cosines(courses: list[list[str]]) -> Floats:
    found = np.zeros((len(courses), len(courses)))
    for one, other in combinations(range(len(courses)), 2):
        both = len(set(courses[one]) & set(courses[other]))
        found[one, other] = found[other, one] = both / np.sqrt(len(set(courses[one])) * len(set(courses[other])))
    return found


def best_with(alike: Floats, first: int, apart: tuple[tuple[int, int], ...] = ()) -> float:
    """The most that a batch of `first` and one of the others can be worth, with a variable for each pair."""
    count = len(alike)
    model = cp_model.CpModel()
    inside = [model.new_bool_var(f"x{one}") for one in range(count)]
    model.add(sum(inside) == first)
    for one, other in apart:
        model.add(inside[one] + inside[other] == 1)
    terms = []
    for one, other in combinations(range(count), 2):
        both = model.new_bool_var(f"both{one}-{other}")
        neither = model.new_bool_var(f"neither{one}-{other}")
        model.add_implication(both, inside[one])
        model.add_implication(both, inside[other])
        model.add_implication(neither, inside[one].negated())
        model.add_implication(neither, inside[other].negated())
        terms.append(round(2 * alike[one, other] / (first - 1) * SCALE) * both)
        terms.append(round(2 * alike[one, other] / (count - first - 1) * SCALE) * neither)
    model.maximize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    bend = SIZES.least / (SIZES.target - SIZES.least) ** 2, SIZES.most / (SIZES.most - SIZES.target) ** 2
    off = (first - SIZES.target) ** 2 + (count - first - SIZES.target) ** 2
    return float(0.4 * solver.objective_value / SCALE + 0.3 * (count - min(bend) * off)) / (0.7 * count)


@pytest.mark.parametrize("seed", range(8))
def test_two_batches_are_the_best_two_batches(seed: int) -> None:
    count = 12 + seed % 3
    courses = drawn_courses(count, seed)
    best = max(best_with(cosines(courses), first) for first in range(SIZES.least, count // 2 + 1))
    found = group(made(courses, sizes=SIZES, seed=seed), How(), SilentReporter())
    assert found.count == 2
    assert found.objective == pytest.approx(best, abs=1e-6)
    assert found.bound >= best - 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_also_with_students_who_must_not_meet(seed: int) -> None:
    from dataclasses import replace

    courses = drawn_courses(12, seed)
    apart = ((0, 1), (2, 3))
    instance = replace(made(courses, sizes=SIZES, seed=seed), pins=Pins(apart=apart))
    found = group(instance, How(), SilentReporter())
    best = max(best_with(cosines(courses), first, apart) for first in range(5, 7))
    assert found.objective == pytest.approx(best, abs=1e-6)
    assert all(found.batch[one] != found.batch[other] for one, other in apart)
