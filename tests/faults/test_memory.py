"""In little memory a demo that does not fit is finished all the same, or the program says in one line what it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from harness import Lab, damage

pytestmark = [pytest.mark.posix, pytest.mark.full]
Tally = Callable[..., None]
MB = 10**6
CALLS = {
    "etl": ("etl", "--demo", "--students", "20000"),
    "train": ("train", "local", "--data", "inputs/demo/studentAssessment.csv", "--target", "score", "--epochs", "1"),
    "run": ("run", "--demo", "--set", "etl.demo_students=4000"),
}


def _cgroups() -> ModuleType:
    path = Path(__file__).parents[1] / "bench" / "cgroups.py"
    spec = importlib.util.spec_from_file_location("cgroups", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["cgroups"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("limit", [512, 384])
@pytest.mark.parametrize("what", CALLS)
def test_a_demo_that_does_not_fit(lab: Lab, folder: Path, limit: int, what: str, tally: Tally) -> None:
    cgroups = _cgroups()
    folder.mkdir()
    if what == "train":
        lab.call(CALLS["etl"], folder, expect=0)
    try:
        with cgroups.memory_limited(limit * MB) as group:
            ended = lab.call([*CALLS[what], "-q"], folder, prefix=group.wrap([]))
            killed = group.was_killed()
    except cgroups.NotPossibleError as problem:
        pytest.skip(str(problem))
    tally(f"little memory ({limit} MB)")
    assert not killed, f"the kernel killed `ss {what}` in {limit} MB"
    assert ended.is_told(), ended
    assert ended.code in (0, 1), ended
    if ended.code:
        assert "memory" in ended.err, ended
    assert damage(folder) == []
