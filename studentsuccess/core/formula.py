"""Texts that a spreadsheet would run: one rule for every CSV that we write.

Kept apart from the writers, because the command line needs it without their libraries.
"""

from __future__ import annotations

import re

# What spreadsheets take for the beginning of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def formula_safe(text: str) -> str:
    """The text with a quote in front where a spreadsheet would run it as a formula; numbers stay numbers."""
    if text.startswith(FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text
