"""Which rows are held out follows from their hash alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.models.split import INNER_SHARE, Split, digest

KEYS = np.random.default_rng(5).integers(0, 2**64, 200_000, dtype=np.uint64)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
def test_the_share_is_the_one_that_was_asked_for(share: float) -> None:
    assert Split(share).held_out(KEYS).mean() == pytest.approx(share, abs=4 * (share * (1 - share) / len(KEYS)) ** 0.5)
    assert Split(share).inner(KEYS).mean() == pytest.approx(INNER_SHARE, abs=0.003)


def test_the_inner_slice_knows_nothing_of_the_hold_out() -> None:
    split = Split(0.2)
    held = split.held_out(KEYS)
    assert split.inner(KEYS[held]).mean() == pytest.approx(split.inner(KEYS[~held]).mean(), abs=0.01)
    assert split.inner(KEYS).tolist() == Split(0.5).inner(KEYS).tolist()


def test_a_larger_share_holds_out_what_a_smaller_one_did() -> None:
    assert not (Split(0.2).held_out(KEYS) & ~Split(0.3).held_out(KEYS)).any()


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(st.integers(0, 2**64 - 1), max_size=30), step=st.integers(1, 30), order=st.randoms())
def test_the_digest_is_of_the_set_however_it_comes(keys: list[int], step: int, order: object) -> None:
    def told(some: list[int]) -> int:
        so_far = 0
        for first in range(0, len(some), step):
            so_far = digest(np.array(some[first : first + step], np.uint64), so_far)
        return so_far

    shuffled = list(keys)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert told(keys) == told(shuffled) == digest(np.array(keys, np.uint64))


def test_the_digest_sees_one_row_more_or_other() -> None:
    some = KEYS[:1000]
    assert len({digest(some), digest(some[1:]), digest(KEYS[1:1001]), digest(np.append(some, some[:1]))}) == 4
