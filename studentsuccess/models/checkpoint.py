"""Where a training stood after its last epoch, so that a killed one goes on to the very same result."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from studentsuccess.core.atomic import atomic_writer
from studentsuccess.models.incremental import State
from studentsuccess.models.softmax import Doubles

_ARRAYS = ("weights", "squares", "best")


class Resumable(Protocol):
    """What can begin from a state that is not its first."""

    state: State


@dataclass(frozen=True)
class Checkpoints:
    """The files of one training, told by the digest of all that decides it: another training can't mistake them."""

    folder: Path
    key: str
    resume: bool

    def restore(self, stage: str, learner: Resumable) -> list[float]:
        """Put the learner where an earlier run left it; returns that run's losses."""
        path = self._path(stage)
        if not self.resume or not path.is_file():
            return []
        from safetensors import SafetensorError, safe_open

        shape = learner.state.weights.shape
        try:
            with safe_open(path, "numpy") as file:
                told = file.metadata() or {}
                arrays = [file.get_tensor(name) for name in _ARRAYS]
            if told["check"] != _check(told["state"], arrays):
                return []
            if any(array.shape != shape or array.dtype != np.float64 for array in arrays):
                return []
            facts, (weights, squares, best) = json.loads(told["state"]), arrays
            learner.state = State(weights, squares, best, facts["best_loss"], facts["best_epoch"], facts["epoch"])
            return [float(loss) for loss in facts["losses"]]
        except (SafetensorError, KeyError, ValueError, TypeError, OSError):
            return []

    def save(self, stage: str, state: State, losses: list[float]) -> None:
        """Whole or not at all. It is not synced: after a power cut the training begins anew."""
        from safetensors.numpy import save

        loss = float(state.best_loss)
        facts = {"best_loss": loss, "best_epoch": state.best_epoch, "epoch": state.epoch, "losses": losses}
        text, arrays = json.dumps(facts), {name: getattr(state, name) for name in _ARRAYS}
        with atomic_writer(self._path(stage), durable=False) as sink:
            sink.write(save(arrays, {"state": text, "check": _check(text, arrays.values())}))

    def exist(self) -> bool:
        return any(True for _ in self.folder.glob(f"{self.key[:24]}-*.safetensors"))

    def clear(self) -> None:
        """The training is done, or begins anew. A checkpoint that a kill left half-written goes with the others."""
        for path in self.folder.glob(f"*{self.key[:24]}-*"):
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def _path(self, stage: str) -> Path:
        return self.folder / f"{self.key[:24]}-{stage}.safetensors"


def _check(facts: str, arrays: Iterable[Doubles]) -> str:
    """A sum over all that was kept: a flipped bit would otherwise be learned on from."""
    found = zlib.crc32(facts.encode("utf-8"))
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return f"{found:08x}"
