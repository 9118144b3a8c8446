"""Markdown that says what it was told to say: names from data can neither build a table nor move a cursor."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

LONGEST = 80
# Everything that Markdown (or a viewer's formulas) would take for markup within a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#~&$!^])")
# Viewers make links of bare addresses.
_ADDRESS = re.compile(r"(?i)(:)(//)|(www)(\.)|(@)(?=[^\s@]*\.)")
NOTHING = "–"


def visible(text: str) -> str:
    """Control characters, also those that turn the direction of writing, as their escapes."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def plain(text: object, longest: int = LONGEST) -> str:
    """A text from outside, to stand within a line of Markdown."""
    shown = visible(str(text))
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return _ADDRESS.sub(_broken, _MARKUP.sub(r"\\\1", shown))


def _broken(found: re.Match[str]) -> str:
    if found[1]:
        return r":\/\/"
    return rf"{found[3]}\." if found[3] else r"\@"


def code(text: str) -> str:
    """A command within a line, whatever backticks are in it."""
    fence = _fence(text, 1)
    padding = " " if fence != "`" else ""
    return f"{fence}{padding}{visible(text)}{padding}{fence}"


def _fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)


def listed(names: Sequence[str], most: int) -> str:
    """Names in a row, the first `most` of them."""
    shown = ", ".join(plain(name) for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], numbers_from: int = 1) -> list[str]:
    """A Markdown table of texts that are escaped already; columns from `numbers_from` on stand to the right."""
    heads = list(heads)
    rule = ["---" if place < numbers_from else "---:" for place in range(len(heads))]
    return [_line(heads), _line(rule), *(_line(row) for row in rows), ""]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def fenced(text: str) -> list[str]:
    """A block that no run of backticks in the text can end."""
    fence = _fence(text, 3)
    return [fence, visible(text), fence, ""]


def figure(value: object, places: int = 3) -> str:
    """A share or a loss; nothing where there is none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return NOTHING
    return f"{value:.{places}f}"


def amount(value: object) -> str:
    """A figure in the target's own unit, whatever its size."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return NOTHING
    return f"{value:.4g}"
