"""The report in a real browser: on a phone, on a desk, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import NAMES, Browser, browsing
from made_facts import course, made_facts, made_setting, made_trial
from page_looks import DESK, PHONE, colour, fits, letter_sizes, pixels, spoken

from studentsuccess.core.page_html import html
from studentsuccess.insights.report import compose
from studentsuccess.insights.report_setting import Recovery
from studentsuccess.warehouse.report import Published

if TYPE_CHECKING:
    from conftest import Needs

LONG = "Introduction_to_the_Philosophy_of_Mathematics_and_Everything_Else_" * 4


@pytest.fixture(scope="module")
def browser(needs: Needs) -> Iterator[Browser]:
    with browsing(needs(*NAMES)) as found:
        yield found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a report can have."""
    demo = Recovery(18, 18, 0, 3, 3, 0.02, -0.01, 0.8)
    facts = made_facts(results=(*made_facts().results, made_trial()))
    return _written(tmp_path_factory, html(compose(facts, made_setting(demo=demo, currency="€"))))


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names without end, from everywhere and hostile, and two hundred courses."""
    published = made_facts().published
    assert published is not None
    names = (
        LONG,
        "数学入門" * 30,
        "مقدمة في الرياضيات " * 8,
        "<img src=http://evil.example/x.png onerror=alert(1)>",
        "🎓" * 60,
    )
    courses = (*(course(name, 5_000_000, 0.9) for name in names), *(course(f"C{at:03}") for at in range(200)))
    facts = made_facts(published=Published(courses, published.newest, published.weeks, stale=True))
    setting = made_setting(title=LONG, school="<script src=http://evil.example/x.js></script>", value_per_pass=1e9)
    return _written(tmp_path_factory, html(compose(facts, setting)))


def _written(factory: pytest.TempPathFactory, text: str) -> Path:
    page = factory.mktemp("report") / "executive_summary.html"
    page.write_text(text, encoding="utf-8")
    return page


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ["usual", "awkward"])
def test_it_fits_and_asks_for_nothing(browser: Browser, which: str, width: int, request: pytest.FixtureRequest) -> None:
    assert fits(browser, request.getfixturevalue(which), width).shape[0] > 3_000


def test_every_picture_is_drawn_in_colour(browser: Browser, usual: Path) -> None:
    browser.look(DESK)
    browser.open(usual)
    assert browser.ask("document.querySelectorAll('svg').length") == 7
    heights = browser.ask("[...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height)")
    assert all(height > 60 for height in heights)
    fills = browser.ask(
        "[...new Set([...document.querySelectorAll('svg [class]')].map(a => getComputedStyle(a).fill))]"
    )
    assert len(fills) >= 5
    assert colour(pixels(browser.picture())) > 0.005


def test_the_letters_of_a_picture_can_be_read_on_a_phone(browser: Browser, usual: Path) -> None:
    browser.look(PHONE)
    browser.open(usual)
    assert min(letter_sizes(browser)) >= 10


def test_in_the_dark_it_is_dark(browser: Browser, usual: Path) -> None:
    browser.look(DESK, dark=True)
    browser.open(usual)
    assert pixels(browser.picture()).mean() < 0.25
    browser.look(DESK)
    assert pixels(browser.picture()).mean() > 0.75


def test_on_paper_it_is_light_and_whole(browser: Browser, usual: Path) -> None:
    browser.look(DESK, dark=True, paper=True)
    browser.open(usual)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 12


def test_the_first_stop_of_the_keyboard_leads_past_the_contents(browser: Browser, usual: Path) -> None:
    browser.look(DESK)
    browser.open(usual)
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.ask("document.activeElement.className") == "skip"
    assert browser.ask("document.activeElement.getBoundingClientRect().left") >= 0


def test_a_reader_of_the_page_is_told_every_picture(browser: Browser, usual: Path) -> None:
    """As the browser tells a screen reader."""
    browser.look(DESK)
    browser.open(usual)
    images = spoken(browser, "image", "img")
    assert len(images) == 7
    assert all(len(name) > 30 for name in images)
