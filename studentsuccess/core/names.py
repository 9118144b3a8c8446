"""The nearest name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(wanted: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, whatever its case."""
    by_fold = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(wanted.casefold(), by_fold, 1, 0.6)
    return by_fold[found[0]] if found else None
