"""SQL stands in files, one statement of purpose each; Python adds only values and quoted names."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `warehouse/sql/<name>.sql`, with its parameters as `$name`."""
    return (files("studentsuccess.warehouse") / "sql" / f"{name}.sql").read_text("utf-8")


def identifier(name: str) -> str:
    """A table's or a column's name that a user chose, safe inside a statement."""
    if not name or "\0" in name:
        raise ValueError("a name in SQL must have at least one character, and none may be NUL")
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text inside a statement that takes no parameters, such as the body of a view."""
    return "'" + text.replace("'", "''") + "'"
