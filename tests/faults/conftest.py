"""What every fault test may ask for: the lab, the seed, and a place to note what was tried."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import azure_wire
import pytest
from azure_wire import Cloud
from effort import FULL
from fault_book import FAULT
from harness import COMMANDS, Lab

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
    slow = given or (wanted.get("slow", max(1, turns // 4)) if FULL else turns)
    victims = [one for one in COMMANDS.values() if not one.no_victim]
    every = victims if FULL else [COMMANDS[name] for name in wanted.get("commands", SAMPLE)]
    cases = [(one, turn) for one in every for turn in range(slow if one.slow else turns)]
    metafunc.parametrize(("command", "turn"), cases, ids=[f"{one.key}-{turn}" for one, turn in cases])


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--fault-seed"))


@pytest.fixture(scope="session")
def lab(
    tmp_path_factory: pytest.TempPathFactory, session_env: dict[str, str], needs: Callable[..., str]
) -> Iterator[Lab]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if worker else shared
    with ExitStack() as stack:

        @cache
        def cloud() -> Cloud:
            place = tmp_path_factory.mktemp("azure")
            place.chmod(0o755)  # somebody else may have to read whom to trust
            return stack.enter_context(azure_wire.running(place, needs))

        yield Lab(shared / "fault-lab", session_env, cloud, worker)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`tally("kills", of="score")`: note what was tried, for the page."""
    return lambda kind, count=1, of="": request.node.user_properties.append((FAULT, (kind, of, count)))


@pytest.fixture
def strace(needs: Callable[..., str]) -> str:
    """The program that makes system calls fail; there is none like it elsewhere."""
    if sys.platform != "linux":
        pytest.skip("strace is for Linux")
    return needs("strace")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workspace"
