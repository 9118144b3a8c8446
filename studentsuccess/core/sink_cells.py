"""The columns of a result as cells: whole numbers that a loop can write, or texts that are finished.

Numbers have one rule each. A probability has a fixed number of decimals, rounded half to even from the exact value of
the double (as Python's `format` does); what rounds to zero has no sign. Any other decimal has the shortest text that
reads back as the same double.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from studentsuccess.core.formula import FORMULA_STARTS, formula_safe
from studentsuccess.errors import SsError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Table = npt.NDArray[np.bool_]

PROBABILITY_DECIMALS = 6
# The field's own note on how many decimals it is written with.
DECIMALS = b"decimals"
# A power of ten up to here has at most 26 bits, half of a double's: its product with either half of a double is exact.
MOST_DECIMALS = 7
# Splits a double into two halves of 26 bits (Veltkamp).
SPLIT = float(2**27 + 1)
# Below it a double still has a binary place for a half.
MOST_SCALED = float(2**52)
_CSV_QUOTED = re.compile(r'[,"\r\n]|^ |[ \t]$|^$')


@dataclass(frozen=True)
class Numbers:
    """Whole numbers without nulls, written with `point` digits behind a point."""

    values: Integers
    point: int = 0


@dataclass(frozen=True)
class Cells:
    """Finished texts. Row i has `texts[at[i]]`, or `texts[i]` where there is no `at`; a null is written as none."""

    texts: pa.Array
    at: pa.Array | None = None

    def spread(self) -> pa.Array:
        """One text a row."""
        return self.texts if self.at is None else self.texts.take(self.at)


@dataclass(frozen=True)
class Dialect:
    """How a format writes what is not a number: texts, values such as dates, and nothing."""

    texts: Callable[[pa.Array], pa.Array]
    values: Callable[[pa.Array], pa.Array]
    null: str


def probability_field(name: str, decimals: int = PROBABILITY_DECIMALS) -> pa.Field:
    """A column of doubles that is written with a fixed number of decimals."""
    if not 1 <= decimals <= MOST_DECIMALS:
        raise ValueError(f"{decimals} decimals: 1 to {MOST_DECIMALS} are possible")
    return pa.field(name, pa.float64(), metadata={DECIMALS: str(decimals).encode()})


def column_cells(values: pa.Array, field: pa.Field, dialect: Dialect) -> Numbers | Cells:
    """One column, ready to be written."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        inner = column_cells(values.dictionary, pa.field(field.name, kind.value_type), dialect)
        return Cells(_texts_of(inner), values.indices.cast(pa.int32()))
    if pa.types.is_integer(kind) and kind != pa.uint64() and not values.null_count:
        return Numbers(values.cast(pa.int64()).to_numpy())
    if pa.types.is_floating(kind):
        return _decimals(values, field)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return Cells(values.cast(pa.string()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return Cells(dialect.texts(values.cast(pa.string())))
    return Cells(dialect.values(_plain(values)))


def _texts_of(column: Numbers | Cells) -> pa.Array:
    return column.spread() if isinstance(column, Cells) else number_texts(column)


def _plain(values: pa.Array) -> pa.Array:
    """Dates and times in ISO form, without a fraction that is nothing."""
    return pc.replace_substring_regex(values.cast(pa.string()), r"\.0+(Z?)$", r"\1")


def check_finite(values: pa.Array, name: str) -> None:
    """The last guard before a file: a score that is not finite is never written."""
    if not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise SsError(
            f"column `{name}`: a value is not a finite number, and such a score is never written",
            "train the model again, on data without extreme values: `ss train local`",
        )


def _decimals(values: pa.Array, field: pa.Field) -> Numbers | Cells:
    check_finite(values, field.name)
    point = int((field.metadata or {}).get(DECIMALS, b"0"))
    if not point:
        return Cells(values.cast(pa.string()))
    doubles = values.cast(pa.float64()).fill_null(0.0).to_numpy()
    large = np.abs(doubles) >= MOST_SCALED / 10.0**point
    numbers = Numbers(scaled(np.where(large, 0.0, doubles), point), point)
    if not large.any() and not values.null_count:
        return numbers
    texts = number_texts(numbers)
    if large.any():
        spelled = [f"{value:.{point}f}" for value in doubles[large]]
        texts = pc.replace_with_mask(texts, pa.array(large), pa.array(spelled, pa.string()))
    return Cells(pc.if_else(values.is_valid(), texts, None))


def scaled(values: Floats, point: int) -> Integers:
    """Values times a power of ten as the nearest whole numbers, ties to even, decided by the exact product.

    The product of two doubles is a rounded one and an error that is a double too (Dekker); the two together say on
    which side of a half it lies.
    """
    factor, sizes = 10.0**point, np.abs(values)
    product = sizes * factor
    high = sizes * SPLIT
    high -= high - sizes
    error = (high * factor - product) + (sizes - high) * factor
    whole = np.floor(product)
    beyond = (product - whole - 0.5) + error
    found = whole.astype(np.int64)
    found += (beyond > 0) | ((beyond == 0) & (found % 2 == 1))
    return np.where(values < 0, -found, found)


def number_texts(column: Numbers) -> pa.Array:
    """Numbers as text: digits, and the point before the last of them."""
    if not column.point:
        return pa.array(column.values).cast(pa.string())
    digits = pa.array(np.abs(column.values)).cast(pa.string())
    padded = pc.ascii_lpad(digits, column.point + 1, padding="0").cast(pa.binary())
    pointed = pc.binary_replace_slice(padded, -column.point, -column.point, b".").cast(pa.string())
    if not (column.values < 0).any():
        return pointed
    signs = pc.if_else(pa.array(column.values < 0), "-", "")
    return pc.binary_join_element_wise(signs, pointed, "")


def csv_texts(texts: pa.Array) -> pa.Array:
    """Text for CSV: quoted where it must be, and never a formula."""
    return _replaced(texts, _suspects(texts, _CSV_INSIDE, _CSV_FIRST, _CSV_LAST, empty=True), csv_cell)


def csv_cell(text: str) -> str:
    """One text for CSV. Empty text is quoted: bare it would be a null."""
    safe = formula_safe(text)
    return '"' + safe.replace('"', '""') + '"' if _CSV_QUOTED.search(safe) else safe


def json_texts(texts: pa.Array) -> pa.Array:
    """Text for JSON, in quotes and in its own letters."""
    escaped = _replaced(texts, _suspects(texts, _JSON_INSIDE), lambda text: json_text(text)[1:-1])
    return json_values(escaped)


def json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def json_values(values: pa.Array) -> pa.Array:
    """What JSON has no type for, in quotes."""
    quote = pa.scalar('"')
    return pc.binary_join_element_wise(quote, values, quote, "")


def _marked(letters: str) -> Table:
    table = np.zeros(256, bool)
    table[list(letters.encode())] = True
    return table


_NOTHING = _marked("")
_CSV_INSIDE, _CSV_FIRST, _CSV_LAST = _marked(',"\r\n'), _marked("".join(FORMULA_STARTS) + " "), _marked(" \t")
_JSON_INSIDE = _marked('"\\' + "".join(map(chr, range(32))))


def _suspects(
    texts: pa.Array, inside: Table, first: Table = _NOTHING, last: Table = _NOTHING, *, empty: bool = False
) -> Table:
    """Which texts have a byte that may need care: a few passes over bytes instead of a rule for every value."""
    offsets, data = text_parts(texts)
    found = np.zeros(len(texts), bool)
    found[np.searchsorted(offsets, np.flatnonzero(inside[data]), side="right") - 1] = True
    lengths = np.diff(offsets)
    filled = np.flatnonzero(lengths)
    found[filled] |= first[data[offsets[filled]]] | last[data[offsets[filled + 1] - 1]]
    return found | (lengths == 0) if empty else found


def text_parts(texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where each text begins (and the last one ends), and the bytes of all."""
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]


def _replaced(texts: pa.Array, wanted: Table, rewrite: Callable[[str], str]) -> pa.Array:
    if texts.null_count:
        wanted = wanted & texts.is_valid().to_numpy(zero_copy_only=False)
    if not wanted.any():
        return texts
    mask = pa.array(wanted)
    fresh = [rewrite(text) for text in texts.filter(mask).to_pylist()]
    return pc.replace_with_mask(texts, mask, pa.array(fresh, pa.string()))


CSV = Dialect(csv_texts, csv_texts, "")
LONE_CSV = Dialect(csv_texts, csv_texts, '""')  # of a row with one null a reader would see a blank line
JSON = Dialect(json_texts, json_values, "null")
