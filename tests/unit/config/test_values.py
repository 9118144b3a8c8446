from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from studentsuccess.config.values import (
    RejectLimit,
    is_delimiter,
    is_encoding,
    parse_age,
    parse_list,
    parse_reject_limit,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1048576", 1_048_576),
        ("512MB", 512_000_000),
        ("512 mb", 512_000_000),
        ("512MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("2GiB", 2 * 2**30),
        ("1TB", 10**12),
        (" 3kB ", 3_000),
        ("7B", 7),
    ],
)
def test_sizes_are_decimal_unless_they_say_otherwise(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(("text", "hours"), [("30d", 720), ("12h", 12), ("2W", 336), (" 0 d ", 0), ("99999h", 99_999)])
def test_ages_are_in_hours_days_or_weeks(text: str, hours: int) -> None:
    assert parse_age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "3 months", "٣d", "999999d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="age"):
        parse_age(text)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1 2MB", "1M", "1,5GB", "1e9", "much", "1MBB", "٣MB", "nan", "5%"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_a_plain_number_is_bytes(count: int) -> None:
    assert parse_size(str(count)) == parse_size(f"{count}B") == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", RejectLimit(count=0)),
        ("100", RejectLimit(count=100)),
        ("1%", RejectLimit(share=0.01)),
        ("0.5 %", RejectLimit(share=0.005)),
        ("0%", RejectLimit(share=0.0)),
        ("100%", RejectLimit(share=1.0)),
    ],
)
def test_a_reject_limit_is_a_count_or_a_share(text: str, expected: RejectLimit) -> None:
    assert parse_reject_limit(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "1%%", "0.01", "few", "1 000", "nan%"])
def test_what_is_no_reject_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_reject_limit(text)


@given(st.integers(0, 1000), st.integers(1, 10**9))
@example(290, 100)
def test_a_share_allows_exactly_as_many_rows_as_it_says(thousandths: int, read: int) -> None:
    limit = parse_reject_limit(f"{thousandths // 10}.{thousandths % 10}%")
    most = int(Fraction(thousandths, 1000) * read)
    assert limit.allows(most, read)
    assert not limit.allows(most + 1, read)


def test_a_count_allows_exactly_that_many_rows() -> None:
    assert RejectLimit(count=2).allows(2, 2)
    assert not RejectLimit(count=2).allows(3, 10**9)


def test_an_empty_input_is_within_every_limit() -> None:
    assert RejectLimit(share=0.0).allows(0, 0)
    assert RejectLimit(count=0).allows(0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("NA", ("NA",)), (",NA", ("", "NA")), ("a,b", ("a", "b")), ('["a,b", ""]', ("a,b", "")), ("[]", ())],
)
def test_a_list_is_json_or_has_commas(text: str, expected: tuple[str, ...]) -> None:
    assert parse_list(text) == expected


@pytest.mark.parametrize("text", ["auto", ";", "\t", "|", " ", "tab", "Comma", "pipe", "\\t"])
def test_a_delimiter_is_a_character_or_a_name(text: str) -> None:
    assert is_delimiter(text)


@pytest.mark.parametrize("text", ["", ";;", '"', "\n", "\r", "é", "colon"])
def test_what_can_not_separate_columns_is_no_delimiter(text: str) -> None:
    assert not is_delimiter(text)


@pytest.mark.parametrize("name", ["auto", "utf-8", "UTF-16", "latin-1", "cp1252"])
def test_encodings_that_python_knows_are_accepted(name: str) -> None:
    assert is_encoding(name)


@pytest.mark.parametrize("name", ["", "utf-9", "hex", "rot13", "undefined", "\0"])
def test_what_decodes_no_text_is_no_encoding(name: str) -> None:
    assert not is_encoding(name)
