"""Columns of which the card asks whether they may be used: it cannot know, so it asks rather often."""

from __future__ import annotations

import re

# Words in the names of columns that may stand for what a law or a rule protects.
_ASK_WORDS = frozenset(
    (
        *(
            "address",
            "age",
            "aged",
            "born",
            "country",
            "displaced",
            "education",
            "educational",
            "family",
            "famsize",
            "fedu",
        ),
        *(
            "fjob",
            "foster",
            "gender",
            "guardian",
            "health",
            "imd",
            "income",
            "international",
            "language",
            "marital",
            "medu",
        ),
        *(
            "mjob",
            "postcode",
            "pstatus",
            "race",
            "racial",
            "refugee",
            "region",
            "romantic",
            "sen",
            "ses",
            "sex",
            "special",
        ),
        *("veteran", "zip"),
    )
)
_ASK_STARTS = (
    *(
        "birth",
        "citizen",
        "depriv",
        "disab",
        "ethnic",
        "father",
        "handicap",
        "immigra",
        "mother",
        "nacionality",
        "nation",
    ),
    *("parent", "pregnan", "religi", "sexual", "socio"),
)
_WORDS = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])")


def asks(name: str) -> bool:
    """Whether a column's name sounds like something that a rule may protect. Names in English only."""
    words = [word.casefold() for word in _WORDS.findall(name)]
    return any(word in _ASK_WORDS or word.startswith(_ASK_STARTS) for word in words)
