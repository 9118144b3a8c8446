"""A workspace per test, and the run that is committed in it (see job.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from loading import load_module

from studentsuccess.config.workspace import Workspace

_JOB = Path(__file__).with_name("job.py")


def _load_job() -> ModuleType:
    return load_module("warehouse_job", _JOB)


@pytest.fixture(scope="session")
def job() -> ModuleType:
    return _load_job()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "it's a term")


@pytest.fixture(scope="session")
def child() -> Callable[..., subprocess.Popen[str]]:
    """Start Python with the same import path and pipes on all sides."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return start


@pytest.fixture(scope="session")
def killed_at(child: Callable[..., subprocess.Popen[str]], job: ModuleType) -> Callable[[Workspace, str], None]:
    """Run the job in a process of its own that dies at a step."""

    def run(workspace: Workspace, step: str) -> None:
        process = child(str(_JOB), str(workspace.root), step)
        _, errors = process.communicate()
        assert process.returncode == job.KILLED, errors

    return run
