"""What tests of a page in a browser ask it: whether it fits, whether letters lie over each other, what is drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser

PHONE, DESK = 390, 1280
WIDE = "document.documentElement.scrollWidth"
# Letters of a picture that stick out of it, or tables that push the page instead of scrolling by themselves.
STICKS_OUT = """
[...document.querySelectorAll('svg text')].filter(text => {
  const inner = text.getBoundingClientRect(), outer = text.closest('svg').getBoundingClientRect();
  return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
}).map(text => text.textContent)
"""
# Pairs of texts in one picture that lie over each other.
OVERLAPS = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, one], at) => boxes.slice(at + 1).filter(([b, other]) =>
    one.left < other.right - 1 && other.left < one.right - 1 && one.top < other.bottom - 3 && other.top < one.bottom - 3
  ).map(([b]) => a + ' / ' + b));
})
"""


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png), format="png"))[:, :, :3]


def fits(browser: Browser, page: Path, width: int) -> np.ndarray:
    """The page is as wide as the screen, nothing sticks out or lies over another, and nothing else is asked for; what
    is drawn then."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.look(width)
    browser.open(page)
    assert browser.ask(WIDE) <= width
    assert browser.ask(STICKS_OUT) == []
    assert browser.ask(OVERLAPS) == []
    drawn = pixels(browser.picture())
    assert drawn.shape[1] == width
    assert drawn.std() > 0.05
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []
    return drawn


def colour(drawn: np.ndarray) -> float:
    """The share of what is drawn that has a strong colour."""
    return float(((drawn.max(axis=2) - drawn.min(axis=2)) > 0.3).mean())


def letter_sizes(browser: Browser) -> list[float]:
    """How large the letters of the pictures are on the screen."""
    found: list[float] = browser.ask(
        "[...document.querySelectorAll('svg text')].map(text =>"
        " parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"
    )
    return found


def spoken(browser: Browser, *roles: str) -> list[str]:
    """What a screen reader is told of everything that has such a role."""
    browser.call("Accessibility.enable")
    nodes: list[dict[str, Any]] = browser.call("Accessibility.getFullAXTree")["nodes"]
    return [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") in roles]
