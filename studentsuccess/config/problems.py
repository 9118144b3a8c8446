"""What is wrong with a configuration: all of it at once, and never a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from typing import Literal

from studentsuccess.errors import UsageError

# A name that is shown back must look like one: a secret in its place does not.
_NAME = re.compile(r"[\w.\- ]{1,60}")
_NUMBER = re.compile(r"\s*[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    ((list, tuple), "a list"),
    (dict, "a table"),
    ((date, time), "a date or time"),
)


@dataclass(frozen=True)
class Problem:
    """One thing to mend: where it stands, which key, what kind of value was found and what is expected."""

    where: str
    key: str
    found: str
    expected: str
    nearest: str = ""
    unknown: Literal["", "key", "section"] = ""

    @property
    def text(self) -> str:
        """The problem as one sentence."""
        if not self.key:
            said = f"{self.found}; expected {self.expected}"
        elif self.unknown:
            said = f"unknown {self.unknown} `{self.key}`"
        else:
            said = f"`{self.key}` must be {self.expected}; found {self.found}"
        return f"{self.where}: {said}" + (f"; did you mean `{self.nearest}`?" if self.nearest else "")


class ConfigError(UsageError):
    """A configuration that can't be used, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], command: str = "ss config validate") -> None:
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0].text + rest, f"`{command}` lists every problem")
        self.problems = list(problems)


def shown_name(text: str) -> str:
    """A key as it may be shown back to the one who wrote it."""
    return text if _NAME.fullmatch(text) else "(not a name)"


def kind_of(value: object, *, from_text: bool) -> str:
    """What kind of value was found; a number in a variable or a flag is a number although it comes as text."""
    if isinstance(value, str):
        if "\0" in value:
            return "a text with a NUL character"
        if from_text and _NUMBER.fullmatch(value):
            return "a number"
        return "text" if value else "an empty text"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "something else")


def nearest_choice(value: object, choices: Iterable[str]) -> str:
    """The choice that a misspelt value may have meant."""
    return next(iter(_close(value, choices)), "") if isinstance(value, str) else ""


def nearest_key(key: str, known: Sequence[str]) -> str:
    """The known dotted key that was probably meant.

    The same name in another section comes first, then a misspelt name in its section, a misspelt section, and a
    misspelt name anywhere.
    """
    section, _, name = key.lower().rpartition(".")
    names = {path: path.rpartition(".")[2] for path in known}
    same = [path for path in known if names[path] == name]
    within = [f"{section}.{close}" for close in _close(name, [names[path] for path in known if _in(path, section)])]
    whole = _close(key, known, 0.75)
    anywhere = [path for close in _close(name, names.values(), 0.75) for path in known if names[path] == close]
    return next(iter([*_close(key, same, 0.0), *within, *whole, *anywhere]), "")


def _in(path: str, section: str) -> bool:
    return path.rpartition(".")[0] == section


def _close(value: str, candidates: Iterable[str], cutoff: float = 0.6) -> list[str]:
    return get_close_matches(value.lower(), list(candidates), 1, cutoff)
