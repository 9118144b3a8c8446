"""A page as one HTML file that asks nobody for anything: style and pictures are in it, and it needs no script.

Texts are escaped by the template engine; only our own pictures go in as they are, and those escape their texts
themselves. The page forbids its own outside requests, so that not even a mistake of ours could make one.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from studentsuccess.core.page import Page
from studentsuccess.core.page_markdown import visible

FOLDER = "templates"


def html(page: Page) -> str:
    """The whole file."""
    return _environment().get_template("page.html").render(page=page)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["kind"] = lambda block: type(block).__name__
    made.filters["visible"] = visible
    made.filters["picture"] = Markup  # our own SVG, see charts.py
    return made


def template(name: str) -> str:
    """The text of a template."""
    return (files("studentsuccess.core") / FOLDER / name).read_text("utf-8").replace("\r\n", "\n")
