"""Reading config.toml: what is in it, or what keeps it from being read."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path

from studentsuccess.config.problems import Problem
from studentsuccess.config.workspace import is_folder
from studentsuccess.errors import StorageError, UsageError

_LINES = 'lines such as `[section]` and `key = "text"`'
_PLACE = re.compile(r"(?P<said>.*?) ?\(at (?P<place>line \d+, column \d+|end of document)\)", re.DOTALL)


def read_toml(path: Path, shown: str) -> dict[str, object] | Problem:
    """The tables of a config file, or the one problem that a broken one is."""
    data = _read(path, shown)
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        return Problem(shown, "", "looks like UTF-16", "UTF-8: save the file again with that encoding")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        return Problem(f"{shown}, line {line}", "", "a byte that is not UTF-8", "UTF-8: save it with that encoding")
    return _parse(text, shown)


def _parse(text: str, shown: str) -> dict[str, object] | Problem:
    try:
        return tomllib.loads(text)
    except RecursionError:
        return Problem(shown, "", "lists or tables nested too deep", _LINES)
    except ValueError as problem:
        match = _PLACE.fullmatch(str(problem))
        if match is None:
            return Problem(shown, "", "a value that can't be read", _LINES)
        said, place = match["said"], match["place"]
    if place == "end of document":
        place = f"line {text.count(chr(10)) + (not text.endswith(chr(10)))}"
    return Problem(f"{shown}, {place}", "", f"not valid TOML ({said[:1].lower()}{said[1:]})", _LINES)


def _read(path: Path, shown: str) -> bytes:
    if is_folder(path):
        raise UsageError(
            f"{shown}: is a folder, not a config file", "name the file in it: `ss config validate -c FILE`"
        )
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{shown}: there is no such config file", "`ss init` writes a commented one") from None
    except OSError as problem:
        reason = (problem.strerror or "input or output error").lower()
        raise StorageError(f"{shown}: can't be read: {reason}", "check its permissions and its disk") from None
