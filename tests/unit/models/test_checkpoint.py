"""A checkpoint is everything that the next epoch starts from, or it is not believed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from file_limits import no_file_longer_than
from gathered import prepared
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.atomic import NEW, temp_path
from studentsuccess.models.checkpoint import Checkpoints
from studentsuccess.models.incremental import Effort, Learner, State

KEY = "0123456789abcdef" * 4


@dataclass
class Holder:
    state: State


def made_state(best_loss: float = 0.5, seed: int = 0) -> State:
    arrays = (np.random.default_rng([seed, at]).normal(size=(4, 3)) for at in range(3))
    return State(*arrays, best_loss=best_loss, best_epoch=2, epoch=3)


def blank() -> Holder:
    return Holder(State.begin(4, 3))


def bits(state: State) -> tuple[bytes, ...]:
    return tuple(getattr(state, name).tobytes() for name in ("weights", "squares", "best"))


@settings(max_examples=50, deadline=None)
@given(loss=st.floats(0, 1e9) | st.just(math.nan), losses=st.lists(st.floats(0, 1e3), max_size=5))
def test_a_state_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, loss: float, losses: list[float]
) -> None:
    folder, state, found = tmp_path_factory.mktemp("kept") / "deep", made_state(loss), blank()
    Checkpoints(folder, KEY, resume=False).save("learn", state, losses)
    assert Checkpoints(folder, KEY, resume=True).restore("learn", found) == losses
    assert bits(found.state) == bits(state)
    assert (found.state.epoch, found.state.best_epoch) == (3, 2)
    assert found.state.best_loss == loss or (math.isnan(loss) and math.isnan(found.state.best_loss))


def test_nothing_is_restored_unasked_or_for_another_training_or_stage(tmp_path: Path) -> None:
    Checkpoints(tmp_path, KEY, resume=True).save("learn", made_state(), [1.0])
    for kept, stage in (
        (Checkpoints(tmp_path, KEY, resume=False), "learn"),
        (Checkpoints(tmp_path, "f" + KEY[1:], resume=True), "learn"),
        (Checkpoints(tmp_path, KEY, resume=True), "whole"),
    ):
        found = blank()
        assert kept.restore(stage, found) == []
        assert found.state.epoch == 0


def test_a_state_of_another_shape_is_not_believed(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, KEY, resume=True)
    kept.save("learn", made_state(), [1.0])
    for shape in ((5, 3), (4, 2), (3, 4)):
        found = Holder(State.begin(*shape))
        assert kept.restore("learn", found) == []
        assert found.state.weights.shape == shape


def test_a_damaged_checkpoint_begins_anew_wherever_it_is_damaged(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, KEY, resume=True)
    kept.save("learn", made_state(), [1.0])
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    cuts = [whole[:at] for at in (0, 4, 8, 9, 60, len(whole) - 1)]
    flipped = [bytes([*whole[:at], whole[at] ^ 0x80, *whole[at + 1 :]]) for at in range(0, len(whole), 7)]
    for damaged in [*cuts, *flipped, b"\x00" * len(whole), os.urandom(300)]:
        path.write_bytes(damaged)
        found = blank()
        losses = kept.restore("learn", found)
        assert (losses, found.state.epoch) == ([], 0), "a damaged checkpoint was believed"


def test_the_files_of_a_training_go_when_it_is_done_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / ".unfinished"
    mine, other = Checkpoints(folder, KEY, resume=True), Checkpoints(folder, "f" + KEY[1:], resume=True)
    assert not mine.exist()
    for stage in ("learn", "whole"):
        mine.save(stage, made_state(), [])
    other.save("learn", made_state(), [])
    mine.clear()
    assert (mine.exist(), other.exist()) == (False, True)
    other.clear()
    assert not folder.exists()
    other.clear()


def test_a_save_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, KEY, resume=True)
    for epoch in (1, 2):
        kept.save("learn", replace(made_state(seed=epoch), epoch=epoch), [0.5] * epoch)
    found = blank()
    assert len(list(tmp_path.iterdir())) == 1
    assert kept.restore("learn", found) == [0.5, 0.5]
    assert bits(found.state) == bits(made_state(seed=2))


def test_a_disk_that_refuses_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    kept, larger, found = Checkpoints(tmp_path, KEY, resume=True), Holder(State.begin(4_000, 3)), blank()
    kept.save("learn", made_state(), [0.5])
    with no_file_longer_than(10_000), pytest.raises(OSError, match="too large"):
        kept.save("learn", larger.state, [])
    assert len(list(tmp_path.iterdir())) == 1
    assert kept.restore("learn", found) == [0.5]


def test_a_checkpoint_that_a_kill_left_half_written_goes_with_the_others(tmp_path: Path) -> None:
    folder = tmp_path / ".unfinished"
    kept = Checkpoints(folder, KEY, resume=True)
    kept.save("learn", made_state(), [])
    whole = next(folder.iterdir())
    temp_path(whole, NEW).write_bytes(whole.read_bytes()[:40])
    whole.unlink()
    assert not kept.exist()
    kept.clear()
    assert not folder.exists()


def test_what_was_restored_can_be_learned_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"x": pa.array(rng.normal(size=200)), "y": pa.array(np.where(rng.random(200) < 0.5, "a", "b"))}
    made = prepared(tmp_path / "a.rows", columns)

    def learner() -> Learner:
        return Learner(made.store, made.design, made.target.labels, made.split, Effort(3))

    kept, losses = Checkpoints(tmp_path / "kept", KEY, resume=True), list[float]()
    whole = learner().fit(lambda state: kept.save(f"{state.epoch}", state, losses), lambda _progress: None, losses)
    again = learner()
    so_far = kept.restore("1", again)
    assert again.state.epoch == len(so_far) == 1
    rest = again.fit(lambda _state: None, lambda _progress: None, so_far)
    assert (rest.weights.tobytes(), rest.losses) == (whole.weights.tobytes(), whole.losses)
