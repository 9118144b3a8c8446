"""Exchanges: every gain that is reckoned is the difference of two worths, and at the end none is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cells import drawn_courses, made

from studentsuccess.batching.group_anneal import annealed
from studentsuccess.batching.group_part import Part, Ties, random_worth, worth
from studentsuccess.batching.instance import Ints, Sizes, Weights
from studentsuccess.batching.kmeans import kmeans
from studentsuccess.batching.sizes import near_equal
from studentsuccess.batching.swaps import Offers, Patience, Split, best_apart, improve
from studentsuccess.batching.vectors import dense, vectors

SIZES = Sizes(3, 6, 10)


def part_of(count: int, seed: int, sizes: Sizes = SIZES, weights: Weights | None = None) -> Part:
    table = vectors(made([*drawn_courses(count - 1, seed), []], sizes=sizes))
    return Part(dense(table, np.arange(count)), sizes, weights or Weights(), seed)


def dealt(count: int, batches: int, seed: int) -> Ints:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(batches), near_equal(count, batches)))


def after(labels: Ints, offers: Offers, row: int) -> Ints:
    changed = labels.copy()
    changed[offers.one[row]] = offers.there[row]
    if offers.other[row] >= 0:
        changed[offers.other[row]] = offers.here[row]
    return changed


def offers_of(split: Split) -> Offers:
    return Offers.joined([split.swaps(), split.moves()])


@given(st.integers(0, 10_000), st.integers(9, 40), st.sampled_from([Weights(), Weights(0.1, 0.1, 0.8)]))
@settings(max_examples=30, deadline=None)
def test_a_gain_is_the_difference_of_two_worths(seed: int, count: int, weights: Weights) -> None:
    part = part_of(count, seed, weights=weights)
    batches = max(2, count // 7)
    labels = dealt(count, batches, seed)
    offers = offers_of(Split(part, labels, batches))
    before = worth(part, labels, batches)
    for row in range(len(offers.gain)):
        assert worth(part, after(labels, offers, row), batches) - before == pytest.approx(offers.gain[row], abs=1e-9)


@given(st.integers(0, 10_000), st.integers(12, 60))
@settings(max_examples=30, deadline=None)
def test_exchanges_made_at_once_gain_what_each_of_them_would(seed: int, count: int) -> None:
    part = part_of(count, seed)
    batches = count // 6
    split = Split(part, dealt(count, batches, seed), batches)
    for _ in range(3):
        before = worth(part, split.labels, batches)
        chosen = best_apart(offers_of(split), split, None)
        touched = [*chosen.here.tolist(), *chosen.there.tolist()]
        assert len(touched) == len(set(touched))
        split.make(chosen)
        assert worth(part, split.labels, batches) - before == pytest.approx(float(chosen.gain.sum()), abs=1e-9)
        assert (split.size == np.bincount(split.labels, minlength=batches)).all()
        fresh = Split(part, split.labels, batches)
        assert split.near == pytest.approx(fresh.near, abs=1e-9)
        assert split.pairs == pytest.approx(fresh.pairs, abs=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_at_the_end_no_single_exchange_is_better(seed: int) -> None:
    """Looked for among all of them, not only the candidates."""
    part = part_of(24, seed)
    split = Split(part, dealt(24, 4, seed), 4)
    assert improve(split, None, Patience(100, 0.0, lambda: False))
    reached = worth(part, split.labels, 4)
    better = 0
    for one in range(24):
        for other in range(one):
            changed = split.labels.copy()
            changed[[one, other]] = changed[[other, one]]
            better += worth(part, changed, 4) > reached + 1e-9
        for there in range(4):
            moved = split.labels.copy()
            moved[one] = there
            size = np.bincount(moved, minlength=4)
            if size.min() >= SIZES.least and size.max() <= SIZES.most:
                better += worth(part, moved, 4) > reached + 1e-9
    assert better == 0


def test_sizes_stay_within_their_limits() -> None:
    part = part_of(100, 1, Sizes(9, 10, 11), Weights(0.98, 0.0, 0.02))
    split = Split(part, dealt(100, 10, 1), 10)
    improve(split, None, Patience(50, 0.0, lambda: False))
    assert split.size.min() >= 9
    assert split.size.max() <= 11


def test_who_is_locked_stays_and_who_is_drawn_back_returns() -> None:
    part = part_of(60, 2)
    labels = dealt(60, 10, 2)
    locked = np.arange(60) < 20
    home = np.where(np.arange(60) >= 50, (labels + 1) % 10, -1).astype(np.int32)
    split = Split(part, labels, 10, Ties(locked, home, 5.0))
    improve(split, None, Patience(50, 0.0, lambda: False))
    assert (split.labels[locked] == labels[locked]).all()
    assert (split.labels[50:] == home[50:]).all()
    assert (split.labels[20:50] != labels[20:50]).any()


def test_patience_that_ends_is_said() -> None:
    part = part_of(200, 3, Sizes())
    assert not improve(Split(part, dealt(200, 6, 3), 6), None, Patience(1, 0.0, lambda: False))
    assert not improve(Split(part, dealt(200, 6, 3), 6), None, Patience(100, 0.0, lambda: True))


@pytest.mark.parametrize("count", [60, 300, 2000])
def test_annealing_reaches_what_exchanges_reach(count: int) -> None:
    part = part_of(count, 4, Sizes())
    batches = count // 33
    labels, _ = annealed(part, batches, Patience(100, 1e-3, lambda: False))
    size = np.bincount(labels, minlength=batches)
    assert size.min() >= 15
    assert size.max() <= 60
    split = Split(part, kmeans(part, batches, np.random.default_rng(0), 2)[0], batches)
    improve(split, None, Patience(100, 1e-3, lambda: False))
    lowest = random_worth(part)
    reached = (worth(part, labels, batches) - lowest) / (worth(part, split.labels, batches) - lowest)
    assert reached > 0.98


def test_annealing_keeps_its_own_sums_right() -> None:
    """Its sum of gains, frozen at once and so only upwards, is the difference of two worths."""
    from scipy import sparse

    from studentsuccess.batching.group_kernel import anneal_steps
    from studentsuccess.batching.group_part import batch_sums

    part, batches = part_of(120, 5, SIZES), 20
    labels = dealt(120, batches, 5)
    before = worth(part, labels, batches)
    size, sums = np.bincount(labels, minlength=batches), batch_sums(part, labels, batches)
    pairs = np.einsum("ij,ij->i", sums, sums) - np.bincount(labels, part.square, batches)
    table = sparse.csr_array(part.vectors)
    problem = np.array([0.4, 0.3, SIZES.curvature, 6, 3, 10], np.float64)
    for heat in (0.05, 0.0):
        gained = anneal_steps(
            *(table.indptr.astype(np.int64), table.indices.astype(np.int32), table.data, part.square),
            *(labels, size, sums, pairs, np.array([99], np.uint64), 20_000, problem, np.array([heat, 1.0])),
        )
        now = worth(part, labels, batches)
        assert now - before == pytest.approx(gained, abs=1e-8)
        assert (size == np.bincount(labels, minlength=batches)).all()
        assert sums == pytest.approx(batch_sums(part, labels, batches), abs=1e-9)
        assert heat > 0 or now > before
        assert size.min() >= 3
        assert size.max() <= 10
        before = now
