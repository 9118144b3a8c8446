"""The fast typed way and the way over text give the same verdict, and it is the one that the rules give."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.blocks import cut
from studentsuccess.core.extract import Dialect, extract_csv
from studentsuccess.core.grammar import ARROW_TYPES, Kind
from studentsuccess.core.judge import GUESSABLE, Guessing, judge
from studentsuccess.core.layout import Column, Fault, Layout, Parsed, Reject, Tally, Verdict
from studentsuccess.core.origin import Origin

EXAMPLES = examples(5_000, daily=150)
ORIGIN = Origin(Path("t.csv"), "t.csv")
NULLS = ("", "?", "NA", "NULL")
INTEGERS = ["0", "-0", "7", "-7", "+5", " 5", "5\t", "123456789", "9" * 18, "-" + "9" * 18, "-007", "+0"]
DECIMALS = [
    "2.5",
    "-.5",
    "5.",
    "+.5",
    "1e5",
    "1e-999",
    "9" * 15,
    "1.0000000000000000000001",
    "1" * 20 + ".5",
    "1e20",
    "-0.0",
]
NEITHER = ["0x1F", "0X1f", "007", "00.5", "1_000", "1e999", "-1e999", "NaN", "nan", "inf", "-Infinity", " ", "twelve"]
NEITHER += [
    "1.2.3",
    "--5",
    "1,5",
    "9" * 400 + ".1",
    "n/a",
    " NA",
    "null",
    "5 5",
    'say "x"',
    "a\nb",
    "-",
    ".",
    "e5",
    "５",
]
CELLS = st.sampled_from([*INTEGERS, *DECIMALS, *NEITHER, *NULLS, "9" * 19, "9" * 16, "-" + "0" * 22 + "5"])
ROWS = st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["x", "", "NA", "é", "a,b"])), min_size=1, max_size=20)
PLAIN = st.lists(
    st.tuples(st.sampled_from([*INTEGERS, *NULLS]), st.sampled_from([*INTEGERS, *DECIMALS, *NULLS]), st.just("x")),
    min_size=1,
    max_size=20,
)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str, kind: Kind) -> float | None:
    """The value, or None where the written rules refuse it."""
    body = text.strip(" \t")
    signed, bare = body[:1] in ("+", "-"), body.lstrip("+-") if body[1:2] not in ("+", "-") else "!"
    if not signed and len(bare) > 1 and bare[0] == "0" and _digits(bare[1]):
        return None
    if _digits(bare):
        most = 18 if kind is Kind.INTEGER else 15
        fits = len(bare.lstrip("0")) <= most
        return (int(body) if kind is Kind.INTEGER else float(body)) if fits else None
    if kind is Kind.INTEGER or not bare.isascii() or not set(bare) <= set("0123456789.eE+-"):
        return None
    try:
        value = float(body)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _layout(*, required: bool = False) -> Layout:
    return Layout((Column("i", Kind.INTEGER, required), Column("d", Kind.DECIMAL), Column("t", Kind.TEXT)), NULLS)


def _write(rows: list[tuple[str, ...]], end: str = "\n") -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator=end).writerows(rows)
    return sink.getvalue()


def _judge(text: str, layout: Layout, *, typed: bool, rules: object = None) -> Parsed:
    (block,) = cut(iter([text.encode()]), ORIGIN, ord(","), 10**6)
    chosen = frozenset(layout.names if typed else ())
    extracted = extract_csv(block, ORIGIN, Dialect(",", ("i", "d", "t")), layout, chosen)
    return judge(extracted, layout, 3, rules, Guessing(), len(text))  # type: ignore[arg-type]


def _texts(batch: pa.RecordBatch) -> list[tuple[str, ...]]:
    """Every value with its sign and all its digits: -0.0 is not 0.0 here."""
    return [tuple(map(repr, row.values())) for row in batch.to_pylist()]


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS | PLAIN, end=st.sampled_from(["\n", "\r\n"]), required=st.booleans())
@example(rows=[("-" + "0" * 22 + "5", "-" + "0" * 22 + "5", "x")], end="\n", required=False)
@example(rows=[("9" * 18, "9" * 15, "x"), ("-" + "9" * 18, "-" + "9" * 15, "x")], end="\n", required=False)
def test_the_fast_way_and_the_way_over_text_agree_in_all_they_say(
    rows: list[tuple[str, ...]], end: str, required: bool
) -> None:
    text, layout = _write(rows, end), _layout(required=required)
    fast, slow = _judge(text, layout, typed=True), _judge(text, layout, typed=False)
    assert fast.batch.schema == slow.batch.schema == layout.schema()
    assert _texts(fast.batch) == _texts(slow.batch)
    assert fast.rejects == slow.rejects
    assert fast.rejected_records.tolist() == slow.rejected_records.tolist()
    assert fast.tallies == slow.tallies
    assert (fast.read, fast.source) == (slow.read, slow.source) == (len(rows), 3)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS, typed=st.booleans(), required=st.booleans())
def test_every_row_is_kept_or_rejected_with_its_line_column_and_text_as_the_rules_say(
    rows: list[tuple[str, ...]], typed: bool, required: bool
) -> None:
    text, line = _write(rows), 1
    kept: list[tuple[object, ...]] = []
    rejected: list[tuple[int, str, str]] = []
    for row in rows:
        raw = _write([row]).removesuffix("\n")
        values: list[object] = []
        blamed = []
        for cell, kind, name in zip(row[:2], (Kind.INTEGER, Kind.DECIMAL), "id", strict=True):
            value = None if cell in NULLS else _number(cell, kind)
            values.append(value)
            if value is None and (cell not in NULLS or (required and name == "i")):
                blamed.append(name)
        if blamed:
            rejected.append((line, blamed[0], raw))
        else:
            kept.append((*values, None if row[2] in NULLS else row[2]))
        line += raw.count("\n") + 1
    parsed = _judge(text, _layout(required=required), typed=typed)
    assert [tuple(row.values()) for row in parsed.batch.to_pylist()] == kept
    assert [(one.line, one.column, one.raw) for one in parsed.rejects] == rejected


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS, typed=st.booleans())
def test_the_tallies_count_present_and_refused_values_of_every_column(rows: list[tuple[str, ...]], typed: bool) -> None:
    tallies = _judge(_write(rows), _layout(), typed=typed).tallies
    present = [[cell for cell in column if cell not in NULLS] for column in zip(*rows, strict=True)]
    bad = [cell for cell in present[0] if _number(cell, Kind.INTEGER) is None]
    wider = [cell for cell in bad if _number(cell, Kind.DECIMAL) is None]
    assert tallies["i"] == Tally(len(present[0]), len(bad), len(wider))
    refused = sum(_number(cell, Kind.DECIMAL) is None for cell in present[1])
    assert tallies["d"] == Tally(len(present[1]), refused, refused)
    assert tallies["t"] == Tally(len(present[2]))


def test_a_row_is_rejected_once_with_its_first_reason() -> None:
    parsed = _judge("x,y,t\n1,2\n,1,t\n5,nan,t\n6,1,t\n", _layout(required=True), typed=False)
    assert parsed.rejects == (
        Reject(1, "i", "not a whole number", "x,y,t"),
        Reject(2, "", "2 fields, expected 3", "1,2"),
        Reject(3, "i", "is empty", ",1,t"),
        Reject(4, "d", "not a finite number", "5,nan,t"),
    )
    assert parsed.rejected_records.tolist() == [0, 1, 2, 3]
    assert parsed.batch.to_pylist() == [{"i": 6, "d": 1.0, "t": "t"}]


def test_faults_of_a_sources_rules_are_blamed_on_the_right_record_between_other_rejects() -> None:
    def rules(batch: pa.RecordBatch) -> Verdict:
        rows = np.flatnonzero(pc.greater(batch.column("i"), 10).to_numpy(zero_copy_only=False))
        return Verdict(batch.append_column("twice", pc.multiply(batch.column("i"), 2)), (Fault(rows, "i", "too much"),))

    text = 'bad,1,t\n11,1,"a\nb"\n1,1\n2,1,t\n,,\n99,1,z\n'
    parsed = _judge(text, _layout(), typed=True, rules=rules)
    assert [(one.line, one.column, one.reason, one.raw) for one in parsed.rejects] == [
        (1, "i", "not a whole number", "bad,1,t"),
        (2, "i", "too much", '11,1,"a\nb"'),
        (4, "", "2 fields, expected 3", "1,1"),
        (7, "i", "too much", "99,1,z"),
    ]
    assert parsed.batch.column("twice").to_pylist() == [4, None]
    assert parsed.read == len(parsed.rejects) + parsed.batch.num_rows


def test_a_text_column_that_is_still_open_says_what_each_kind_would_refuse() -> None:
    layout = Layout((Column("i", Kind.TEXT), Column("d", Kind.TEXT), Column("t", Kind.TEXT)), NULLS)
    (block,) = cut(iter([b"1,2024-01-01,x\n2.5,true,x\n,2024-01-01 10:00,\n"]), ORIGIN, ord(","), 10**6)
    extracted = extract_csv(block, ORIGIN, Dialect(",", ("i", "d", "t")), layout, frozenset())
    guesses = judge(extracted, layout, 0, None, Guessing(frozenset({"i", "d"}), frozenset({"i", "d"})), 1).guesses
    assert set(guesses) == {"i", "d"}
    assert guesses["i"] == {**dict.fromkeys(GUESSABLE, 2), Kind.INTEGER: 1, Kind.DECIMAL: 0}
    assert guesses["d"] == {**dict.fromkeys(GUESSABLE, 3), Kind.DATE: 2, Kind.TIME: 1, Kind.BOOLEAN: 2}


def test_every_kind_has_an_arrow_type_and_labels_come_as_dictionaries() -> None:
    layout = Layout((Column("i", Kind.LABEL, True), Column("d", Kind.BOOLEAN), Column("t", Kind.DATE)), NULLS)
    parsed = _judge("AAA,true,2024-02-29\n,TRUE,\nBBB,yes,2024-01-01\nAAA,,2023-02-29\n", layout, typed=True)
    assert parsed.batch.schema.types == [ARROW_TYPES[column.kind] for column in layout.columns]
    assert [(one.line, one.column, one.reason) for one in parsed.rejects] == [
        (2, "i", "is empty"),
        (3, "d", "not true or false"),
        (4, "t", "not a date (YYYY-MM-DD)"),
    ]
