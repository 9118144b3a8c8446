"""A sheet to draw on: the same figures give the same bytes, with no screen and no settings of the user's."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (12.0, 8.0)
DPI = 100
INK, PALE, OTHER = "#333333", "#D9D9D9", "#999999"


@contextmanager
def quiet() -> Iterator[None]:
    """Its own defaults, whatever the user's settings file says, and none of its remarks on fonts and folders."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            yield
    finally:
        log.setLevel(level)


def sheet(rect: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Figure:
    """An empty figure, drawn as an object: pyplot would ask for a window. `rect` is the part that is drawn on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.15, rect=rect)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The picture, without the name of the software or the time in it."""
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=DPI, metadata={"Software": None})
    return found.getvalue()


def plain(axes: Axes, *, size: int = 12) -> None:
    """Two thin lines instead of a box."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(OTHER)
    axes.tick_params(colors=INK, labelsize=size, length=3)
    axes.set_axisbelow(True)
