"""Repeats are found as a plain dictionary would find them, and a filter's mistake never costs a row."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studentsuccess.core.duplicates import Bloom, Suspicion, fingerprints, settle

EXAMPLES = examples(3_000, daily=120)
Row = tuple[str | None, int | None, float | None]
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "", None]), st.sampled_from([0, 1, None]), st.sampled_from([0.5, 1.0, None])),
    max_size=20,
)


def _table(rows: list[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    types = (pa.string(), pa.int64(), pa.float64())
    return pa.table({name: pa.array(one, kind) for name, one, kind in zip("kvw", columns, types, strict=True)})


def _batches(rows: list[Row], size: int) -> list[pa.RecordBatch]:
    return _table(rows).combine_chunks().to_batches(max_chunksize=size)


def _by_dictionary(rows: list[Row], keys: tuple[str, ...]) -> tuple[list[int], list[int], list[int]]:
    """Repeats, conflicts and the first row of each conflict."""
    places = ["kvw".index(key) for key in keys]
    contents = defaultdict(set)
    for row in rows:
        contents[tuple(row[place] for place in places)].add(row)
    repeats, conflicts, firsts, seen, seen_keys = [], [], [], set(), set()
    for number, row in enumerate(rows):
        key = tuple(row[place] for place in places)
        if len(contents[key]) > 1:
            conflicts.append(number)
            firsts += [number] if key not in seen_keys else []
        elif row in seen:
            repeats.append(number)
        seen.add(row)
        seen_keys.add(key)
    return repeats, conflicts, firsts


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=ROWS, keys=st.sampled_from([("k",), ("v",), ("k", "v"), ("k", "v", "w")]), size=st.integers(1, 9))
@example(rows=[(None, None, None)] * 3, keys=("k", "v", "w"), size=2)
@example(rows=[(None, 1, None), (None, 1, 0.5), (None, None, None)], keys=("k", "v"), size=1)
def test_repeats_and_conflicts_are_those_of_a_dictionary(rows: list[Row], keys: tuple[str, ...], size: int) -> None:
    suspicion = Suspicion(1)
    hashes = [fingerprints(batch, keys) for batch in _batches(rows, size)]
    for one in hashes:
        suspicion.see(one)
    positions, shared = suspicion.candidates(iter(hashes))
    assert len(positions) == len(shared)
    order = np.random.default_rng(0).permutation(len(positions))
    if not len(positions):
        assert _by_dictionary(rows, keys) == ([], [], [])
        return
    shuffled = positions[order]
    found = settle(_table(rows).take(pa.array(shuffled)), shuffled, keys)
    ours = (found.duplicates.tolist(), found.conflicts.tolist(), found.conflict_first.tolist())
    assert ours == _by_dictionary(rows, keys)


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(rows=ROWS.filter(bool), others=ROWS)
def test_equal_rows_have_equal_hashes_in_whatever_batch_they_stand(rows: list[Row], others: list[Row]) -> None:
    alone = fingerprints(_batches(rows, 100)[0], ("k", "v", "w"))
    among = fingerprints(_batches([*others, *rows], 100)[0], ("k", "v", "w"))
    assert alone.tolist() == among[len(others) :].tolist()


@pytest.mark.parametrize("rows", [100_000, 1_000_000])
@pytest.mark.parametrize("expected", [1, 100, 1_000_000])
def test_of_distinct_rows_none_is_ever_a_candidate_however_full_the_filter(rows: int, expected: int) -> None:
    hashes = np.random.default_rng(7).permutation(np.arange(rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    suspicion = Suspicion(expected)
    parts = np.array_split(hashes, 16)
    for part in parts:
        suspicion.see(part)
    positions, _ = suspicion.candidates(iter(parts))
    assert not len(positions)


def test_every_repeat_among_a_million_rows_is_a_candidate() -> None:
    rng = np.random.default_rng(11)
    hashes = rng.integers(0, 2**63, 1_000_000, dtype=np.uint64)
    again = rng.integers(0, 500_000, 1_000)
    hashes[-1_000:] = hashes[again]
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    for expected in (10, 1_000_000):
        suspicion = Suspicion(expected)
        for part in np.array_split(hashes, 9):
            suspicion.see(part)
        positions, _ = suspicion.candidates(iter(np.array_split(hashes, 5)))
        assert positions.tolist() == np.flatnonzero(counts[place] > 1).tolist()


@settings(max_examples=EXAMPLES, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=12), max_size=5))
def test_a_filter_never_forgets_what_it_has_seen(batches: list[list[int]]) -> None:
    bloom, seen = Bloom(1), set[int]()
    for batch in batches:
        nominated = set(bloom.nominate(np.array(batch, np.uint64)).tolist())
        assert nominated <= set(batch)
        assert {number for number in batch if number in seen or batch.count(number) > 1} <= nominated
        seen |= set(batch)


@pytest.mark.parametrize("rows", [1_000, 50_000, 300_000])
def test_a_filter_of_the_right_size_errs_a_few_times_in_a_hundred(rows: int) -> None:
    bloom = Bloom(rows)
    rng = np.random.default_rng(rows)
    for part in np.array_split(rng.integers(0, 2**63, rows, dtype=np.uint64) * np.uint64(2), 4):
        bloom.nominate(part)
    strangers = np.unique(rng.integers(0, 2**63, 100_000, dtype=np.uint64) * np.uint64(2) + np.uint64(1))
    wrong = sum(len(bloom.nominate(part)) for part in np.array_split(strangers[:1_000], 10))
    assert wrong < 80


def test_two_keys_that_share_a_hash_are_told_apart_by_their_content() -> None:
    rows = _table([("a", 1, 0.5), ("b", 1, 0.5), ("a", 1, 0.5)])
    found = settle(rows, np.array([0, 1, 2]), ("k",))
    assert (found.duplicates.tolist(), found.conflicts.tolist()) == ([2], [])
