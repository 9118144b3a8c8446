"""The grid by hand, its break-even line, what is undefined, and the picture as pixels."""

from __future__ import annotations

import csv
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.errors import ExitCode, UsageError
from studentsuccess.insights.proportions import Interval
from studentsuccess.insights.roi import (
    HEADER,
    SIMULATION,
    TRIAL,
    Contacted,
    Effect,
    as_csv,
    break_even,
    costs_around,
    grid,
    number,
)
from studentsuccess.insights.roi_chart import COLOURS, roi_png

FIFTY = Contacted(50, 20.0)
FIVE = Effect(SIMULATION, "simulation", 0.05, Interval(-0.1, 0.2))
AMOUNTS = st.floats(0, 1e6)


def test_the_return_is_extra_passes_times_value_minus_the_whole_cost() -> None:
    found = grid(FIFTY, [FIVE], [40.0, 150.0], 1200)
    cheap, dear = found.cells
    assert (cheap.extra.low, cheap.extra.mid, cheap.extra.high) == (-5.0, 2.5, 10.0)
    assert cheap.whole_cost == 40 * 50
    assert cheap.roi.mid == 2.5 * 1200 - 40 * 50 == 1000
    assert (cheap.roi.low, cheap.roi.high) == (-5 * 1200 - 2000, 10 * 1200 - 2000)
    assert dear.roi.mid == 2.5 * 1200 - 150 * 50 == -4500
    assert cheap.cost_per_pass == 800
    assert dear.break_even_uplift == 150 / 1200


@given(st.integers(2, 5000), st.floats(0, 1), st.floats(-1, 1), AMOUNTS)
def test_at_the_break_even_cost_nothing_is_won_and_nothing_lost(
    students: int, share: float, uplift: float, value: float
) -> None:
    contacted = Contacted(students, students * share)
    effect = Effect(SIMULATION, "simulation", uplift, Interval(uplift - 0.1, uplift + 0.1))
    line = break_even(contacted, effect, value)
    if line.mid is None:
        assert contacted.gained(uplift) * value <= 0
        return
    cell = grid(contacted, [effect], [line.mid], value).cells[0]
    assert cell.roi.mid == pytest.approx(0, abs=1e-6 * max(1.0, value * students))
    assert cell.roi.low <= cell.roi.mid <= cell.roi.high


@given(st.integers(2, 500), st.floats(0, 1), st.floats(-3, 3))
def test_no_more_can_pass_than_there_are_and_no_fewer_than_none(students: int, share: float, uplift: float) -> None:
    contacted = Contacted(students, students * share)
    after = contacted.expected_passes + contacted.gained(uplift)
    assert -1e-9 <= after <= students + 1e-9


def test_what_is_not_defined_is_empty_and_not_infinite() -> None:
    worthless = grid(FIFTY, [FIVE], [0.0, 10.0], 0)
    assert [cell.break_even_uplift for cell in worthless.cells] == [None, None]
    assert worthless.break_even[0].mid is None
    harmful = Effect(TRIAL, "spring", -0.04, Interval(-0.2, 0.1))
    found = grid(FIFTY, [harmful], [10.0], 1200)
    assert found.cells[0].cost_per_pass is None
    assert (found.break_even[0].low, found.break_even[0].mid) == (None, None)
    assert found.break_even[0].high == pytest.approx(120)
    text = as_csv(found)
    assert "inf" not in text
    assert "nan" not in text
    assert next(csv.DictReader(text.splitlines()))["break_even_cost"] == ""


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_an_amount_that_is_none_is_refused(wrong: float) -> None:
    for cost, value in ((wrong, 1200.0), (150.0, wrong)):
        with pytest.raises(UsageError) as caught:
            grid(FIFTY, [FIVE], [cost], value)
        assert caught.value.code == ExitCode.USAGE
        assert "from 0 upwards" in caught.value.message


def test_the_table_holds_every_cell_in_order_and_no_formula() -> None:
    effects = [Effect(TRIAL, "=cmd|x", 0.1, Interval(0.01, 0.2)), Effect(SIMULATION, "simulation", 0.08, FIVE.interval)]
    found = grid(FIFTY, [*effects, FIVE], [20.0, 10.0, 20.0], 1200)
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert tuple(rows[0]) == HEADER
    assert [(row["kind"], row["uplift_scenario"], row["cost_per_contact"]) for row in rows] == [
        ("simulation", "0.05", "10"),
        ("simulation", "0.05", "20"),
        ("simulation", "0.08", "10"),
        ("simulation", "0.08", "20"),
        ("trial", "0.1", "10"),
        ("trial", "0.1", "20"),
    ]
    assert rows[-1]["name"] == "'=cmd|x"
    for row in rows:
        extra, whole = float(row["incremental_passes"]), float(row["intervention_cost"])
        assert whole == float(row["cost_per_contact"]) * int(row["contacted"])
        assert float(row["roi"]) == pytest.approx(extra * float(row["value_per_pass"]) - whole)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_a_number_reads_back_without_an_exponent(value: float) -> None:
    shown = number(value)
    assert float(shown) == pytest.approx(value, abs=5.1e-7)
    assert "e" not in shown
    assert shown != "-0"


def test_the_costs_lie_around_the_one_that_is_set() -> None:
    assert costs_around(150) == (15, 37.5, 75, 150, 300)
    assert costs_around(0) == (0,)


def pixels(png: bytes) -> np.ndarray:
    import io

    from matplotlib.image import imread

    return np.asarray(np.round(imread(io.BytesIO(png))[:, :, :3] * 255), np.uint8)


def test_the_picture_shows_every_effect_in_its_colour_and_is_the_same_each_time() -> None:
    effects = [FIVE, Effect(TRIAL, "Frühling $x_1$", 0.12, Interval(0.01, 0.2))]
    found = grid(FIFTY, effects, [20.0, 150.0], 1200)
    first = roi_png(found, 150)
    assert struct.unpack(">II", first[16:24]) == (1200, 800)
    assert roi_png(found, 150) == first
    shown = pixels(first)
    for colour in COLOURS[:2]:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (shown == wanted).all(axis=2).sum() > 100


@pytest.mark.parametrize(
    ("contacted", "effects", "costs", "value", "cost"),
    [
        (FIFTY, [FIVE], [0.0], 0.0, 0.0),
        (Contacted(2, 2.0), [FIVE], [1e12], 1e12, 1e12),
        (
            FIFTY,
            [Effect(SIMULATION, "simulation", place / 13, FIVE.interval) for place in range(1, 13)],
            [1.0],
            1.0,
            9.0,
        ),
        (FIFTY, [Effect(TRIAL, "x" * 80, -0.5, Interval(-0.9, -0.1))], [10.0], 1200.0, 10.0),
    ],
)
def test_odd_grids_are_drawn_too(
    contacted: Contacted, effects: list[Effect], costs: list[float], value: float, cost: float
) -> None:
    assert roi_png(grid(contacted, effects, costs, value), cost).startswith(b"\x89PNG")


def test_no_window_is_asked_for() -> None:
    script = (
        "import sys\n"
        "from studentsuccess.insights import roi, roi_chart\n"
        "from studentsuccess.insights.proportions import Interval\n"
        "assert 'matplotlib' not in sys.modules\n"
        "found = roi.grid(roi.Contacted(9, 1.0), [roi.Effect('trial', 'a', .1, Interval(0, .2))], [1.0], 5.0)\n"
        "roi_chart.roi_png(found, 1.0)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
