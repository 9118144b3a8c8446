"""The report of batches in a real browser: on a phone, on a desk, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import NAMES, Browser, browsing
from made_batches import HARD, a_grouping, a_placement, a_problem
from page_looks import DESK, PHONE, colour, fits, letter_sizes, pixels, spoken

from studentsuccess.batching.instance import Instance, Rule, Sizes
from studentsuccess.batching.outputs import Solution, names_of
from studentsuccess.batching.pages import page
from studentsuccess.batching.quality import assess
from studentsuccess.batching.report_facts import facts_of
from studentsuccess.core.page_html import html

if TYPE_CHECKING:
    from conftest import Needs

LONG = "Introduction_to_the_Philosophy_of_Mathematics_and_Everything_Else_" * 3
HOSTILE = "<img src=http://evil.example/x.png onerror=alert(1)>"
WISHES = (
    Rule("ONE_SHIFT", "student", "preferred_shift", "homogeneous", hard=False, weight=2.0, threshold=0.9),
    Rule("ONE_PROGRAM", "student", "program_id", "no_mix", hard=False),
)
PICTURES = 5


@pytest.fixture(scope="module")
def browser(needs: Needs) -> Iterator[Browser]:
    with browsing(needs(*NAMES)) as found:
        yield found


def report(instance: Instance, batches: int) -> str:
    """Dealt out in turn, each batch in the next room and shift."""
    grouping = a_grouping([at % batches for at in range(instance.students.count)], [at // 4 for at in range(batches)])
    rooms, shifts = len(instance.rooms.ids), len(instance.shifts.ids)
    numbers = range(batches)
    placement = a_placement([at % rooms for at in numbers], [at // rooms % shifts for at in numbers], best=1.0)
    wanted = {"academic_coherence": 0.7, "resource_utilization": 0.75, "silhouette": 0.3, "size_balance": 0.8}
    quality = assess(instance, grouping, placement, wanted)
    solution = Solution(instance, grouping, placement)
    notes = ("courses have prerequisites, and nobody can verify them",)
    return html(page(facts_of(solution, names_of(instance, grouping, ""), quality, date(2025, 9, 1), notes)))


def problem(students: int, shifts: tuple[str, ...] = ("evening", "morning"), program: str = "P") -> Instance:
    draw = np.random.default_rng(3)
    takes = [sorted(draw.choice(list("abcdefghij"), int(draw.integers(0, 6)), replace=False)) for _ in range(students)]
    programs = [f"{program}{at % 3}" for at in range(students)]
    return a_problem(takes, programs=programs, shifts=shifts, capacities=(30, 40, 50), rules=(*HARD, *WISHES),
                     sizes=Sizes(10, 20, 30))  # fmt: skip


def written(factory: pytest.TempPathFactory, text: str) -> Path:
    found = factory.mktemp("report") / "report.html"
    found.write_text(text, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory, report(problem(120), 6))


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names without end, from everywhere and hostile."""
    shifts = (LONG, "数学入門" * 30, "مقدمة في الرياضيات " * 8, HOSTILE, "🎓" * 60)
    instance = problem(300, shifts, LONG)
    ids = tuple(f"{HOSTILE} {LONG} {at}" for at in range(300))
    return written(tmp_path_factory, report(replace(instance, students=replace(instance.students, ids=ids)), 15))


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ["usual", "awkward"])
def test_it_fits_and_asks_for_nothing(browser: Browser, which: str, width: int, request: pytest.FixtureRequest) -> None:
    fits(browser, request.getfixturevalue(which), width)


def test_every_question_has_its_picture_in_colour(browser: Browser, usual: Path) -> None:
    browser.look(DESK)
    browser.open(usual)
    titles = browser.ask("[...document.querySelectorAll('svg title')].map(one => one.textContent)")
    assert titles == [
        "What was measured",
        "Batches by size",
        "Batches by coherence",
        "Rooms in use by shift",
        "Batches by share of seats in use",
    ]
    heights = browser.ask("[...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height)")
    assert len(heights) == PICTURES
    assert all(height > 60 for height in heights)
    assert colour(pixels(browser.picture())) > 0.003


def test_the_letters_of_a_picture_can_be_read_on_a_phone(browser: Browser, usual: Path) -> None:
    browser.look(PHONE)
    browser.open(usual)
    assert min(letter_sizes(browser)) >= 10


def test_in_the_dark_it_is_dark_and_on_paper_light(browser: Browser, usual: Path) -> None:
    browser.look(DESK, dark=True)
    browser.open(usual)
    assert pixels(browser.picture()).mean() < 0.25
    browser.look(DESK, dark=True, paper=True)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 9


def test_a_reader_of_the_page_is_told_every_picture_and_table(browser: Browser, usual: Path) -> None:
    """As the browser tells a screen reader."""
    browser.look(DESK)
    browser.open(usual)
    images = spoken(browser, "image", "img")
    assert len(images) == PICTURES
    assert all(len(name) > 10 for name in images)
    tables = spoken(browser, "table")
    assert any("hard to place" in name for name in tables)
    assert any("Use of rooms by shift" in name for name in tables)


def test_who_was_hard_to_place_stands_there_with_a_reason(browser: Browser, usual: Path) -> None:
    browser.look(DESK)
    browser.open(usual)
    rows = browser.ask(
        "[...document.querySelector('#hardest').parentElement.querySelectorAll('tbody tr')]"
        ".map(row => [...row.children].map(cell => cell.innerText))"
    )
    assert len(rows) == 25
    assert all(row[0].startswith("S") and len(row[4]) > 20 for row in rows)
