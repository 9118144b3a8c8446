"""What a killed run leaves: the same when it is read again, and nothing at all where it was damaged."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from file_limits import no_file_longer_than
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studentsuccess.batching.instance import Grouping, Placement
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.counts import Counts
from studentsuccess.tasks.batch_unfinished import KEPT_SECONDS, Unfinished, forget_old, unfinished
from studentsuccess.warehouse.stages import Stage

START = datetime(2025, 9, 1, 8, tzinfo=UTC)
STAGE = Stage("20250901T080000-abcdef", "clustering", START, START + timedelta(seconds=3), {"students": Counts(4, 4)})
figures = st.floats(0, 1, allow_subnormal=False)


@st.composite
def groupings(draw: st.DrawFn) -> Grouping:
    batch = draw(st.lists(st.integers(0, 3), max_size=12))
    keys = draw(st.lists(st.text(max_size=6), min_size=4, max_size=4, unique=True))
    return Grouping(
        np.array(batch, np.int32),
        np.array([0, 1, 2, 3], np.int32),
        tuple(keys),
        draw(figures),
        draw(figures),
        draw(figures),
        tuple(draw(st.lists(st.text(max_size=9), max_size=2))),
        {key: (draw(figures), draw(figures), draw(figures)) for key in keys[:2]},
        draw(st.none() | st.integers(0, 12)),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groupings())
def test_a_grouping_is_read_as_it_was_kept(tmp_path: Path, made: Grouping) -> None:
    kept = Unfinished(tmp_path / "kept")
    kept.keep_grouping(made, STAGE)
    found = kept.grouping()
    assert found is not None
    for one in fields(Grouping):
        before, after = getattr(made, one.name), getattr(found[0], one.name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype
            assert before.tolist() == after.tolist()
        else:
            assert before == after
            assert type(before) is type(after)
    assert found[1] == STAGE


def test_a_placement_is_read_as_it_was_kept(tmp_path: Path) -> None:
    kept = Unfinished(tmp_path)
    kept.keep_placement(Placement(np.array([2, 0], np.int32), np.array([1, 1], np.int32), 0.1 + 0.2), STAGE)
    found = kept.placement()
    assert found is not None
    assert (found[0].room.tolist(), found[0].shift.tolist(), found[0].best_utilisation) == ([2, 0], [1, 1], 0.1 + 0.2)


def test_nothing_kept_is_nothing(tmp_path: Path) -> None:
    assert Unfinished(tmp_path / "none").grouping() is None
    assert Unfinished(tmp_path / "none").placement() is None


def test_every_damage_is_noticed(tmp_path: Path) -> None:
    """Whatever byte is another one: it is as it was, or it is nothing."""
    kept = Unfinished(tmp_path)
    kept.keep_placement(Placement(np.arange(5, dtype=np.int32), np.arange(5, dtype=np.int32), 0.5), STAGE)
    whole = (tmp_path / "rooms.npz").read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "rooms.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        found = kept.placement()
        assert found is None or (found[0].room.tolist(), found[0].best_utilisation) == ([0, 1, 2, 3, 4], 0.5)


@pytest.mark.parametrize("part", [0, 10, 300])
def test_a_part_of_it_is_nothing(tmp_path: Path, part: int) -> None:
    kept = Unfinished(tmp_path)
    kept.keep_placement(Placement(np.arange(5, dtype=np.int32), np.arange(5, dtype=np.int32), 0.5), STAGE)
    (tmp_path / "rooms.npz").write_bytes((tmp_path / "rooms.npz").read_bytes()[:part])
    assert kept.placement() is None


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    kept, many = Unfinished(tmp_path / "kept"), np.zeros(4_000, np.int32)
    with no_file_longer_than(10_000), pytest.raises(OSError, match="too large"):
        kept.keep_placement(Placement(many, many, 1.0), STAGE)
    assert list(kept.folder.iterdir()) == []
    assert kept.placement() is None


def test_another_run_has_another_folder_and_a_finished_one_has_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    one, other = unfinished(workspace, "a" * 64), unfinished(workspace, "b" * 64)
    one.keep_placement(Placement(np.zeros(1, np.int32), np.zeros(1, np.int32), 1.0), STAGE)
    assert other.placement() is None
    one.clear()
    one.clear()
    assert one.placement() is None
    assert not one.folder.exists()


def test_what_nobody_went_on_with_is_forgotten_after_a_month(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    kept = unfinished(workspace, "a" * 64)
    kept.keep_placement(Placement(np.zeros(1, np.int32), np.zeros(1, np.int32), 1.0), STAGE)
    written = kept.folder.stat().st_mtime
    forget_old(workspace, written + KEPT_SECONDS)
    assert kept.folder.exists()
    forget_old(workspace, written + KEPT_SECONDS + 1)
    assert not kept.folder.exists()
    forget_old(Workspace(tmp_path / "nowhere"), written)
