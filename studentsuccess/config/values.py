"""The small languages that settings are written in: sizes, ages, limits, lists and delimiters."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

# As DuckDB counts: MB is a million bytes, MiB is 2^20.
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", 1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)", re.IGNORECASE)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_AGE = re.compile(r"([0-9]{1,5}) ?([hdw])", re.IGNORECASE)
_AGES = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_COUNT = re.compile(r"[0-9]{1,18}")

DELIMITER_NAMES = ("tab", "\\t", "comma", "semicolon", "pipe")


@dataclass(frozen=True)
class RejectLimit:
    """How many rejected rows a load stands: exactly one of a count and a share of the rows read."""

    count: int | None = None
    share: float | None = None

    def allows(self, rejected: int, read: int) -> bool:
        """Whether a load of `read` rows with so many rejected may stand.

        Divides instead of multiplying: 29 / 100 is the very float of "29%", 0.29 * 100 is not 29.
        """
        if self.share is None:
            return rejected <= (self.count or 0)
        return rejected == 0 or rejected / read <= self.share


def parse_size(text: str) -> int:
    """Bytes of a size such as `512MB`, `1.5 GiB` or `1048576`."""
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError("not a size such as 512MB or 2GiB")
    return int(Decimal(match[1]) * unit)


def parse_age(text: str) -> timedelta:
    """A span of time such as `30d`, `12h` or `2w`."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not an age such as 30d, 12h or 2w")
    return int(match[1]) * _AGES[match[2].lower()]


def parse_reject_limit(text: str) -> RejectLimit:
    """The limit that `1%` or `100` asks for."""
    given = text.strip()
    if match := _SHARE.fullmatch(given):
        share = float(Decimal(match[1]) / 100)
        if share <= 1:
            return RejectLimit(share=share)
    if _COUNT.fullmatch(given):
        return RejectLimit(count=int(given))
    raise ValueError("not a count such as 100 or a share such as 1%")


def parse_list(text: str) -> tuple[object, ...]:
    """The items of a JSON list, or of a text with commas between them; an empty text is an empty list."""
    if text.lstrip().startswith("["):
        return tuple(json.loads(text))
    return tuple(text.split(",")) if text else ()


def is_delimiter(text: str) -> bool:
    """Whether a delimiter can be meant: `auto`, a name, or one plain character."""
    named = text.lower() in ("auto", *DELIMITER_NAMES)
    return named or (len(text) == 1 and text.isascii() and text not in '"\r\n')


def is_encoding(name: str) -> bool:
    """Whether Python can decode text of this encoding; `auto` looks at the file."""
    if name == "auto":
        return True
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return bool(name)


def is_epochs(text: str) -> bool:
    """`auto`, or how often."""
    return text == "auto" or (text.isdecimal() and text.isascii() and 1 <= int(text) <= 1000)
