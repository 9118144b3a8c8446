"""What tests of a page in a browser ask it: whether it fits, whether letters lie over each other, what is drawn."""

from __future__ import annotations

import io

import numpy as np

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
