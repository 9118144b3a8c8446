"""Azurite, Microsoft's own emulator of blobs: installed by the tests into .cache/, from npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from filelock import FileLock
from servers import ended, free_port, wait_for

VERSION = "3.35.0"
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / f"azurite-{VERSION}"


@contextmanager
def started(needs: Callable[..., str], *words: str, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of one that runs while the block does. Without Node.js the test is skipped, and in CI it fails."""
    node, program, port = needs("node"), _installed(needs), free_port()
    usual = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--silent")
    running = subprocess.Popen(
        [node, str(program), *usual, "--disableTelemetry", *words],
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ended(running) as process:
        wait_for(port, process)
        yield port


def _installed(needs: Callable[..., str]) -> Path:
    """Where this version is, installed by the first who asks; npm is asked for it once."""
    program = FOLDER / "node_modules/azurite/dist/src/blob/main.js"
    if not program.exists():
        npm = needs("npm")
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(FOLDER.with_suffix(".lock")):
            if not program.exists():
                part = FOLDER.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                words = ["--no-audit", "--no-fund", "--loglevel=error", f"azurite@{VERSION}"]
                done = subprocess.run([npm, "install", "--prefix", part, *words], capture_output=True, check=False)
                if done.returncode:
                    _without(needs, f"npm could not install azurite {VERSION}")
                part.rename(FOLDER)
    return program


def _without(needs: Any, reason: str) -> NoReturn:
    """As for a program that is missing: no test where nobody has a network, but in CI there is no gap."""
    if needs.strict:
        pytest.fail(f"{reason}, and CI=true allows no gap", pytrace=False)
    pytest.skip(reason)
