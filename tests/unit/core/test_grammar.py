"""The written grammar of values, held against the same rules written down a second time without expressions."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.grammar import ARROW_TYPES, FEW, Kind, convert, fits, reason

EXAMPLES = examples(5_000, daily=120)
AWKWARD = [
    *(
        "0",
        "-0",
        "+0",
        "007",
        "-007",
        "+5",
        "-5",
        " 5",
        "5\t",
        "\xa05",
        "5\n",
        "1 2",
        "--5",
        "+-5",
        "- 5",
        "-",
        "+",
        "",
    ),
    *("0x1F", "1_000", "1,000", "NaN", "nan", "-nan", "inf", "-Infinity", "1e999", "-1e999", "1e-999", "1e5", "1E+05"),
    *("1.", ".5", "-.5", "+.5e1", ".", "-.", "e5", "1e", "1e+", "1.2.3", "00.5", "0.50", "-00.5", "5e", "1d5", "0b1"),
    *("9" * 15, "9" * 16, "9" * 18, "9" * 19, "-" + "9" * 18, "-" + "9" * 19, "1" + "0" * 15, "1" + "0" * 18),
    *("-" + "0" * 25 + "5", "+" + "0" * 19, "9" * 16 + ".0", "0." + "1" * 40, "1" * 30 + "e-10", "9" * 400 + ".5"),
    *("true", "True", "TRUE", "tRuE", "false", "yes", "1", "T", "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29"),
    *("2024-06-31", "2024-13-01", "2024-00-10", "2024-01-00", "24-01-01", "2024-1-1", "2024-01-01 ", "20240101"),
    *("2024-01-01 10:00", "2024-01-01T10:00:59.5", "2024-01-01T24:00", "2024-01-01 23:59:59.123456Z", "2024-01-01Z"),
    *("2023-02-30 10:00", "2024-01-01 10:60", "2024-01-01 10:00:00.1234567", "2024-01-01T10", "１２", "٣", "½", "1e５"),
]
CELLS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(alphabet="0123456789+-.eE \t", max_size=22),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.dates().map(str),
    st.text(max_size=5),
)


def _digits(text: str) -> bool:
    return text != "" and all(char in "0123456789" for char in text)


def _signed(text: str) -> tuple[bool, str]:
    body = text.strip(" \t")
    return (True, body[1:]) if body[:1] in ("+", "-") else (False, body)


def _identifier(signed: bool, digits: str) -> bool:
    """A leading zero before another digit marks a code, not a number, unless a sign says otherwise."""
    return not signed and len(digits) > 1 and digits[0] == "0" and _digits(digits[1])


def is_integer(text: str) -> bool:
    signed, body = _signed(text)
    return _digits(body) and len(body.lstrip("0")) <= 18 and not _identifier(signed, body)


def is_decimal(text: str) -> bool:
    signed, body = _signed(text)
    mantissa, mark, exponent = body.replace("E", "e", 1).partition("e")
    whole, point, part = mantissa.partition(".")
    if not (_digits(whole + part) and all(_digits(one) for one in (whole, part) if one)):
        return False
    if mark and not _digits(exponent[1:] if exponent[:1] in ("+", "-") else exponent):
        return False
    if not point and not mark and len(whole.lstrip("0")) > 15:
        return False
    return not _identifier(signed, body) and math.isfinite(float(text.strip(" \t")))


def is_date(text: str) -> bool:
    shape = len(text) == 10 and text[4] == text[7] == "-" and _digits(text[:4] + text[5:7] + text[8:])
    return shape and text[:4] != "0000" and _calendar(text)


def _calendar(text: str) -> bool:
    try:
        date(int(text[:4]), int(text[5:7]), int(text[8:10]))
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    day, clock = text[:10], text[11:].removesuffix("Z")
    if not is_date(day) or (len(text) > 10 and text[10] not in " T"):
        return False
    if len(text) == 10:
        return True
    main, point, part = clock.partition(".")
    fields = main.split(":")
    good = len(fields) in (2, 3) and all(len(one) == 2 and _digits(one) for one in fields)
    good = good and (not point or (len(fields) == 3 and _digits(part) and len(part) <= 6))
    return good and int(fields[0]) < 24 and all(int(one) < 60 for one in fields[1:])


def is_boolean(text: str) -> bool:
    return text in ("true", "false", "True", "False", "TRUE", "FALSE")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z") if len(text) > 10 else text)


ORACLE: dict[Kind, Callable[[str], bool]] = {
    Kind.INTEGER: is_integer,
    Kind.DECIMAL: is_decimal,
    Kind.DATE: is_date,
    Kind.TIME: is_time,
    Kind.BOOLEAN: is_boolean,
}
VALUES: dict[Kind, Callable[[str], object]] = {
    Kind.INTEGER: int,
    Kind.DECIMAL: float,
    Kind.DATE: date.fromisoformat,
    Kind.TIME: moment,
    Kind.BOOLEAN: lambda text: text.lower() == "true",
}


@pytest.mark.parametrize("kind", ORACLE)
@pytest.mark.parametrize("repeat", [1, FEW + 1])
@settings(max_examples=EXAMPLES, deadline=None)
@given(cells=st.lists(st.none() | CELLS, max_size=12))
@example(cells=[*AWKWARD, None])
def test_a_value_is_accepted_exactly_when_the_rules_say_so(kind: Kind, repeat: int, cells: list[str | None]) -> None:
    cells = [cell for cell in cells if cell is None or not cell.startswith("0000-")]
    texts = pa.array(cells * repeat, pa.string())
    expected = [cell is not None and ORACLE[kind](cell) for cell in cells] * repeat
    assert fits(texts, kind).tolist() == expected
    typed = convert(texts, kind)
    bad = np.zeros(len(texts), bool) if typed.bad is None else typed.bad
    assert bad.tolist() == [cell is not None and not good for cell, good in zip(cells * repeat, expected, strict=True)]
    assert typed.values.type == ARROW_TYPES[kind]
    assert typed.values.to_pylist() == [
        VALUES[kind](cell) if good and cell is not None else None
        for cell, good in zip(cells * repeat, expected, strict=True)
    ]


def test_points_before_a_slice_are_not_its_own() -> None:
    found = convert(pa.array(["1.", "1.", "..", "0", "tail"]).slice(2, 2), Kind.DECIMAL)
    assert found.values.to_pylist() == [None, 0.0]
    assert found.bad is not None
    assert found.bad.tolist() == [True, False]


@settings(max_examples=EXAMPLES, deadline=None)
@given(before=st.lists(CELLS, max_size=3), cells=st.lists(CELLS, max_size=6), kind=st.sampled_from(sorted(ORACLE)))
def test_a_slice_of_a_column_is_judged_like_a_column_of_its_own(
    before: list[str], cells: list[str], kind: Kind
) -> None:
    sliced = pa.array([*before, *cells, "tail"], pa.string()).slice(len(before), len(cells))
    own = convert(pa.array(cells, pa.string()), kind)
    ours = convert(sliced, kind)
    assert ours.values.equals(own.values)
    assert (ours.bad is None) == (own.bad is None)
    assert ours.bad is None or own.bad is None or ours.bad.tolist() == own.bad.tolist()


def test_one_bad_value_among_many_is_found_wherever_it_stands() -> None:
    good = [str(number) for number in range(5_000)]
    for place in (0, 1, 255, 256, 2_499, 4_999):
        for text in ("--5", "1-2", "5-"):
            cells = [*good[:place], text, *good[place + 1 :]]
            typed = convert(pa.array(cells), Kind.INTEGER)
            assert typed.bad is not None
            assert np.flatnonzero(typed.bad).tolist() == [place]
            assert typed.values.null_count == 1


def test_negative_zero_stays_negative_in_a_decimal() -> None:
    assert math.copysign(1, convert(pa.array(["-0"]), Kind.DECIMAL).values[0].as_py()) == -1


def test_text_and_labels_are_taken_as_they_are() -> None:
    texts = pa.array(["007", None, " x "])
    assert convert(texts, Kind.TEXT).values.equals(texts)
    assert convert(texts, Kind.LABEL).values.to_pylist() == ["007", None, " x "]


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("twelve", Kind.INTEGER, "not a whole number"),
        ("2.7", Kind.INTEGER, "not a whole number"),
        ("3,5", Kind.DECIMAL, "not a number"),
        ("007", Kind.DECIMAL, "not a number"),
        ("NaN", Kind.DECIMAL, "not a finite number"),
        ("-inf", Kind.DECIMAL, "not a finite number"),
        (" Infinity ", Kind.DECIMAL, "not a finite number"),
        ("1e999", Kind.DECIMAL, "not a finite number"),
        ("yes", Kind.BOOLEAN, "not true or false"),
        ("31/12/2024", Kind.DATE, "not a date (YYYY-MM-DD)"),
        ("2024-02-30", Kind.DATE, "not a date (YYYY-MM-DD)"),
        ("10:00", Kind.TIME, "not a date and time (YYYY-MM-DD HH:MM:SS)"),
    ],
)
def test_the_reason_says_what_the_value_is_not(text: str, kind: Kind, why: str) -> None:
    assert reason(text, kind) == why
