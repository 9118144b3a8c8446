"""When a term began: the day that turns "day 56 of the course" into a date on a calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

# OULAD names a term by its year and the letter of its first month: B is February, J is October.
STARTS = {"B": 2, "J": 10}
_TERM = re.compile(r"(?P<year>(?:19|20)[0-9]{2})(?P<letter>[BJ])")
_NOBODY_SAID: Mapping[str, date] = {}


def term_start(term: str, known: Mapping[str, date] = _NOBODY_SAID) -> date | None:
    """The first day of a term: as the settings say, else as OULAD means it, else unknown."""
    if term in known:
        return known[term]
    found = _TERM.fullmatch(term)
    return date(int(found["year"]), STARTS[found["letter"]], 1) if found else None
