"""What a page is made of, before it is Markdown or HTML: both are made of this, so both say it.

Texts are parts, so that what comes from data is never taken for markup, and what is markup never comes from data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A command or a name, to be typed as it stands."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that must not be overlooked."""

    text: str


Part = str | Code | Strong
Text = tuple[Part, ...]


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: Text


@dataclass(frozen=True)
class Note:
    """Some sentences that change what the figures mean: set apart."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """Points of equal weight."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Headline:
    """The few figures that someone takes home, each with what it is."""

    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table: its first column names the rows, the others hold figures unless `words` says that they are texts."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture with the figures behind it, for those who can't see it and for Markdown, which has no pictures.

    On the page the figures can be unfolded; those that everyone should see stand open.
    """

    svg: str
    grid: Grid
    is_open: bool = False


Block = Paragraph | Note | Bullets | Headline | Grid | Chart


@dataclass(frozen=True)
class Section:
    """A question that someone has, and its answer. `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """The whole report. `banner` stands before everything else, also before the title."""

    title: str
    subtitle: str
    banner: Text
    sections: tuple[Section, ...]


def say(*parts: Part) -> Text:
    """A text of parts."""
    return parts


def missing(what: str, command: str) -> Paragraph:
    """What a section says whose step has not run."""
    return Paragraph(say(f"{what} ", Code(command), " makes it."))
