"""Codes by first appearance: as a dictionary would give them, and late values are not lost."""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.models.roles import Hashing
from studentsuccess.models.vocabulary import BUCKETS, MOST_LEVELS, NONE, Integers, Vocabulary, bucket

EVERYTHING = np.zeros(0, np.bool_)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(max_size=4), max_size=40), most=st.integers(1, 8), step=st.integers(1, 40))
def test_texts_get_the_code_of_their_first_appearance_and_strangers_a_bucket(
    texts: list[str], most: int, step: int
) -> None:
    known = list(dict.fromkeys(texts))[:most]
    expected = [known.index(text) if text in known else most + zlib.crc32(text.encode()) % BUCKETS for text in texts]
    book = Vocabulary(most)
    pieces = [book.learn(pa.array(texts[at : at + step], pa.string())) for at in range(0, len(texts), step)]
    assert [code for piece in pieces for code in piece.tolist()] == expected
    assert book.levels == tuple(known)
    late = len(set(texts)) > most
    assert book.width == len(known) + (BUCKETS if late else 0)
    assert book.hashing == (Hashing("crc32", BUCKETS) if late else None)


def test_one_text_more_than_are_learned_by_name_shares_a_bucket() -> None:
    book = Vocabulary()
    codes = book.learn(pa.array([f"level {number}" for number in range(MOST_LEVELS + 1)]))
    assert codes[:-1].tolist() == list(range(MOST_LEVELS))
    assert codes[-1] == MOST_LEVELS + bucket(f"level {MOST_LEVELS}", BUCKETS)
    assert (len(book.levels), book.width) == (MOST_LEVELS, MOST_LEVELS + BUCKETS)
    assert codes.max() < book.width


def test_a_bucket_is_the_same_everywhere() -> None:
    assert [bucket(text, 4096) for text in ("", "Straße", "物理")] == [0, 2897, 1247]


WHOLE = st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1024, 2048, 4096, -1024])


@settings(max_examples=200, deadline=None)
@given(values=st.lists(WHOLE | st.none(), max_size=60), most=st.integers(1, 30), step=st.integers(1, 60))
def test_whole_numbers_get_the_code_of_their_first_appearance(values: list[int | None], most: int, step: int) -> None:
    book, found = Integers(most), []
    for first in range(0, len(values), step):
        piece = values[first : first + step]
        there = np.array([one is not None for one in piece])
        numbers = np.array([one or 0 for one in piece], np.int64)
        found += book.encode(numbers, EVERYTHING if there.all() else there).tolist()
    known = list(dict.fromkeys(one for one in values if one is not None))
    assert book.too_many == (len(known) > most)
    assert book.values == tuple(known[:most])
    if not book.too_many:
        assert found == [NONE if one is None else known.index(one) for one in values]


def test_numbers_that_fall_into_one_slot_are_told_apart() -> None:
    values = np.arange(256, dtype=np.int64) << 40
    book = Integers()
    codes = [book.encode(values[part], EVERYTHING) for part in (slice(0, 1), slice(1, 256), slice(0, 256))]
    assert codes[2].tolist() == list(range(256))
    assert not book.too_many
    assert book.encode(np.array([7], np.int64), EVERYTHING).tolist() == [NONE]
    assert book.too_many
    assert book.values == tuple(values.tolist())
