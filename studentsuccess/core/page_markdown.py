"""A page as Markdown. Names from data can neither build a table nor make a link nor move a cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator

from studentsuccess.core.page import (
    Block,
    Bullets,
    Chart,
    Code,
    Grid,
    Headline,
    Note,
    Page,
    Paragraph,
    Part,
    Strong,
    Text,
)

SPACE = "\u00a0"
# What Markdown (or a viewer's formulas and mentions) would take for markup within a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#~&$!^@])")
# A viewer makes links of bare addresses.
_ADDRESS = re.compile(r"(?i)(://|www\.)")
# What begins a list or a heading where a line begins.
_BEGINNING = re.compile(r"^(\d+)([.)])|^([-+=])")


def visible(text: str) -> str:
    """Control characters, also those that turn the direction of writing, as their escapes."""
    return "".join(mark if mark.isprintable() or mark == SPACE else repr(mark)[1:-1] for mark in text)


def markdown(page: Page) -> str:
    """The whole page, one line a paragraph."""
    return "\n".join(_lines(page)).rstrip("\n") + "\n"


def _lines(page: Page) -> Iterator[str]:
    if page.banner:
        yield from ("> " + _text(page.banner), "")
    yield from (f"# {_plain(page.title)}", "")
    if page.subtitle:
        yield from (_plain(page.subtitle), "")
    for section in page.sections:
        yield from (f"## {_plain(section.title)}", "")
        for block in section.blocks:
            yield from _block(block)
            yield ""


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield _text(text)
        case Note(text):
            yield f"> {_text(text)}"
        case Bullets(items):
            yield from (f"- {_text(item)}" for item in items)
        case Headline(figures):
            yield from (f"- **{_plain(value)}** {_plain(label)}" for value, label in figures)
        case Chart(grid=grid):
            yield from _grid(grid)
        case Grid():
            yield from _grid(block)


def _grid(grid: Grid) -> Iterator[str]:
    yield from (f"**{_plain(grid.caption)}**", "")
    yield _row([_escaped(one) for one in grid.header])
    yield _row(["---", *(["---" if grid.words else "---:"] * (len(grid.header) - 1))])
    yield from (_row([_escaped(cell) for cell in row]) for row in grid.rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: Text) -> str:
    return "".join(_part(part, first=not place) for place, part in enumerate(text))


def _part(part: Part, *, first: bool) -> str:
    match part:
        case Code(text):
            return _code(text)
        case Strong(text):
            return f"**{_plain(text)}**"
        case str():
            return _plain(part) if first else _escaped(part)


def _plain(text: str) -> str:
    """A text where a line may begin."""
    return _BEGINNING.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", _escaped(text))


def _escaped(text: str) -> str:
    return _ADDRESS.sub(_broken, _MARKUP.sub(r"\\\1", visible(text).replace(SPACE, " ")))


def _broken(found: re.Match[str]) -> str:
    return r":\/\/" if found[1] == "://" else f"{found[1][:-1]}\\."


def _code(text: str) -> str:
    """A command within a line, whatever backticks are in it."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    padding = " " if len(fence) > 1 else ""
    return f"{fence}{padding}{visible(text)}{padding}{fence}"
