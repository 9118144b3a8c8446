"""Pictures are looked at as pixels: they are there, they show the data, and the same figures give the same bytes."""

from __future__ import annotations

import io
import logging
import math
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.errors import SsError
from studentsuccess.models.draw import COLOURS, calibration_png, importance_png, shortened
from studentsuccess.models.metrics import ClassMetrics

HOSTILE = [
    "$x_{1$",
    "a\nb",
    "\x1b[31m",
    "学生の成績",
    "علامة",
    "👩‍🎓",
    "\ud800",
    "%s {} \\frac{",
    "x" * 500,
    "",
    "\u202egnp",
]


def _metrics(rows: int = 400) -> dict[str, Any]:
    chance = np.random.default_rng(1)
    likely = chance.dirichlet((1.0, 1.0, 1.0), rows)
    found = ClassMetrics(("a", "b", "c"))
    found.add(np.array([chance.choice(3, p=one) for one in likely]), likely)
    return found.result()


def _pixels(png: bytes) -> npt.NDArray[np.uint8]:
    from matplotlib.image import imread

    return np.asarray(np.round(imread(io.BytesIO(png))[:, :, :3] * 255), np.uint8)


def _count(png: bytes, colour: str) -> int:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((_pixels(png) == wanted).all(axis=2).sum())


def _chunks(png: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append(png[at + 4 : at + 8])
        at += length + 12
    return found


@pytest.fixture(autouse=True)
def no_remarks(caplog: pytest.LogCaptureFixture) -> Any:
    """A picture never says a word on the way."""
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        yield
    assert not caplog.records


def test_pictures_are_of_one_size_and_say_nothing_of_when_and_where() -> None:
    for png in (calibration_png(_metrics(), "risk@1"), importance_png(["a", "b"], [1.0, 2.0], "risk@1")):
        assert png.startswith(b"\x89PNG")
        assert struct.unpack(">II", png[16:24]) == (1200, 800)
        assert set(_chunks(png)) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_the_same_figures_give_the_same_bytes_whatever_the_users_settings() -> None:
    import matplotlib

    first = calibration_png(_metrics(), "risk@1"), importance_png(["a", "b"], [1.0, 2.0], "risk@1", ["x", "y"])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": True, "lines.linewidth": 9}):
        again = calibration_png(_metrics(), "risk@1"), importance_png(["a", "b"], [1.0, 2.0], "risk@1", ["x", "y"])
        assert matplotlib.rcParams["font.size"] == 30
    assert again == first


def test_a_picture_needs_neither_a_screen_nor_pyplot_nor_a_home(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from studentsuccess.models import draw\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sys.stdout.buffer.write(draw.importance_png(['a', 'b'], [1.0, 2.0], 'risk@1'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    home = {"HOME": str(tmp_path / "not-there"), "MPLCONFIGDIR": str(tmp_path / "a-file" / "x"), "MPLBACKEND": "TkAgg"}
    (tmp_path / "a-file").touch()
    root = Path(__file__).resolve().parents[3]
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**kept, **home, "PYTHONPATH": str(root)}, capture_output=True, check=False
    )
    assert done.stderr == b""
    assert done.stdout == importance_png(["a", "b"], [1.0, 2.0], "risk@1")


def test_a_longer_bar_is_a_greater_importance() -> None:
    pixels = _pixels(importance_png(["small", "large"], [1.0, 3.0], ""))
    blue = (pixels == [0, 0x72, 0xB2]).all(axis=2).sum(axis=1)
    widths = [int(width) for width in blue[blue > 0]]
    assert max(widths) == widths[0]
    assert widths[0] / widths[-1] == pytest.approx(3, rel=0.05)


def test_twenty_bars_are_drawn_at_most_and_the_greatest_of_them() -> None:
    names = [f"column {place}" for place in range(50)]
    few = importance_png(names[:20], [100.0 - place for place in range(20)], "")
    many = importance_png(names, [100.0 - place for place in range(50)], "")
    assert _count(many, COLOURS[0]) == pytest.approx(_count(few, COLOURS[0]), rel=0.01)
    assert many != few


def test_each_group_has_its_colour() -> None:
    png = importance_png(["a", "b", "c"], [3.0, 2.0, 1.0], "", ["code", "number", "code"])
    assert _count(png, COLOURS[0]) > _count(png, COLOURS[1]) > 1000
    assert importance_png(list("abcdefghij"), [1.0] * 10, "", list("abcdefghij"))


def test_bins_of_few_rows_are_not_in_the_picture() -> None:
    metrics = _metrics()
    small = {**metrics, "calibration": [{**one, "rows": min(one["rows"], 9)} for one in metrics["calibration"]]}
    assert _count(calibration_png(metrics, ""), COLOURS[4]) > 10_000
    assert _count(calibration_png(small, ""), COLOURS[4]) == 0
    assert _count(calibration_png(small, "", smallest=1), COLOURS[4]) > 1000


@pytest.mark.parametrize("metrics", [{}, {"calibration": []}, _metrics(1)])
def test_no_figures_give_a_picture_that_says_so(metrics: dict[str, Any]) -> None:
    assert calibration_png(metrics, "risk@1") == calibration_png({}, "risk@1")


@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_can_be_drawn(text: str) -> None:
    assert importance_png([text, "b"], [2.0, 1.0], text, [text, "b"]).startswith(b"\x89PNG")
    assert calibration_png(_metrics(), text).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("names", "amounts", "groups"),
    [([], [], None), (["a"], [1.0, 2.0], None), (["a"], [math.nan], None), (["a"], [-1.0], None), (["a"], [1.0], [])],
)
def test_what_can_not_be_drawn_is_refused(names: list[str], amounts: list[float], groups: list[str] | None) -> None:
    with pytest.raises(SsError) as raised:
        importance_png(names, amounts, "", groups)
    assert raised.value.hint


def test_importances_of_nothing_are_drawn_as_nothing() -> None:
    assert _count(importance_png(["a", "b"], [0.0, 0.0], ""), COLOURS[0]) == 0


@settings(deadline=None)
@given(text=st.text(max_size=120), longest=st.integers(6, 60))
def test_a_long_name_keeps_its_beginning_and_its_end(text: str, longest: int) -> None:
    found = shortened(text, longest)
    assert len(found) <= max(longest, 6) or any(not mark.isascii() for mark in found)
    if "…" in found and "…" not in text:
        head, tail = found.split("…")
        shown = shortened(text, 10_000)
        assert shown.startswith(head)
        assert shown.endswith(tail)
        assert len(head) + len(tail) < len(shown)


def test_names_that_differ_in_their_ends_alone_stay_apart() -> None:
    names = [f"Curricular units of the second semester ({end})" for end in ("evaluations", "enrolled", "approved")]
    assert len({shortened(name, 40) for name in names}) == 3
