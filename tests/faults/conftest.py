"""What every fault test may ask for: the lab, the seed, and a place to note what was tried."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_book import FAULT
from harness import COMMANDS, QUICK, Lab

FULL = os.environ.get("SS_TEST_FULL") == "1"
# A sample: what is tried on each `scripts/test`. One of each kind and command is enough to see a defect of today.
SAMPLE = ("etl", "score", "clean")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`command` and `turn`: each command so many times; a test marked `every` tries the slow ones too."""
    if "command" not in metafunc.fixturenames:
        return
    given = metafunc.config.getoption("--kills")
    asked = metafunc.definition.get_closest_marker("turns")
    wanted = asked.kwargs if asked else {}
    turns = given or (wanted.get("full", 10) if FULL else wanted.get("sample", 1))
    chosen = list(COMMANDS) if FULL else wanted.get("commands", SAMPLE)
    cases = [(COMMANDS[name], turn) for name in chosen for turn in range(_turns(name, turns))]
    metafunc.parametrize(
        ("command", "turn"), cases, ids=[f"{one.name.replace(' ', '_')}-{turn}" for one, turn in cases]
    )


def _turns(name: str, turns: int) -> int:
    return turns if COMMANDS[name] in QUICK else max(1, turns // 2)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--fault-seed"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, session_env: dict[str, str]) -> Lab:
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    return Lab(shared / "fault-lab", session_env)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`tally("kills")`: note what was tried, for the page."""
    return lambda kind, count=1: request.node.user_properties.append((FAULT, (kind, count)))


@pytest.fixture
def strace(needs: Callable[..., str]) -> str:
    """The program that makes system calls fail; there is none like it elsewhere."""
    if sys.platform != "linux":
        pytest.skip("strace is for Linux")
    return needs("strace")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workspace"
