"""Run a command and say what it cost: wall time, CPU of it and its children, peak memory.

Run as a script this file is the small process in between. Linux counts the memory of the process that starts a command
as the command's own until it is executed, so a large one, like the benchmark itself, must not start it directly.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Decimal, the smaller of the two readings of "MB" and so the stricter limit.
MB = 10**6
# What would change how the program behaves or speaks; a benchmark must not depend on who starts it.
SCRUBBED = (
    "CI", "GITHUB_ACTIONS", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE",
)  # fmt: skip
STDERR_SHOWN = 400


class BenchError(Exception):
    """A command that was to be measured failed, or said something else than expected."""


@dataclass(frozen=True)
class Sample:
    """The cost of one run, and what it said. `peak` is that of the largest process, in bytes."""

    wall: float
    cpu: float
    peak: int
    exit_code: int
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)

    def checked(self, what: str) -> Sample:
        """The sample itself when the command succeeded."""
        if self.exit_code == 0:
            return self
        raise BenchError(f"{what} ended with exit code {self.exit_code}: {self.stderr.strip()[-STDERR_SHOWN:]}")


@dataclass(frozen=True)
class Subject:
    """What is measured: its name, and how to run it once. What a run needs to start afresh belongs into `before`."""

    name: str
    command: Callable[[], Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    terminal: bool = False
    says: str = ""

    def run(self) -> Sample:
        self.before()
        sample = run(self.command(), self.env, terminal=self.terminal).checked(self.name)
        if self.says not in sample.stdout:
            raise BenchError(f"{self.name} did not say {self.says!r}: {sample.stdout[:STDERR_SHOWN]!r}")
        return sample


def alternate(subjects: Sequence[Subject], repeats: int, warm: bool = False) -> dict[str, list[Sample]]:
    """Every subject in turn, `repeats` times, so that whatever slows the machine down hits all of them alike."""
    for subject in subjects if warm else ():
        subject.run()
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in subjects}
    for _ in range(repeats):
        for subject in subjects:
            samples[subject.name].append(subject.run())
    return samples


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def ratio(above: Sequence[Sample], below: Sequence[Sample], what: str = "wall") -> float:
    """The ratio of the medians."""
    return median([getattr(one, what) for one in above]) / median([getattr(one, what) for one in below])


def run(command: Sequence[str], env: Mapping[str, str] | None = None, *, terminal: bool = False) -> Sample:
    """Run once. With `terminal` the command talks to a pseudo-terminal, and stdout holds what that showed."""
    if not hasattr(os, "wait4"):
        raise BenchError("measuring needs os.wait4, which this system does not have; use Linux or macOS")
    with tempfile.TemporaryDirectory(prefix="ss-bench-") as folder:
        cost = Path(folder) / "cost.json"
        between = [sys.executable, "-I", "-S", __file__, str(cost), *command]
        done = _on_terminal(between, environment(env)) if terminal else _piped(between, environment(env), Path(folder))
        if not cost.is_file():
            raise BenchError(f"could not start {command[0]}: {done[1].strip()[-STDERR_SHOWN:]}")
        return Sample(**json.loads(cost.read_text(encoding="utf-8")), stdout=done[0], stderr=done[1])


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would change the result, and with `env`."""
    kept = {name: value for name, value in os.environ.items() if name not in SCRUBBED and not name.startswith("SS_")}
    return kept | dict(env or {})


def warm_up(*paths: Path) -> None:
    """Read files once, so that the first run does not pay for the disk."""
    for path in paths:
        with path.open("rb") as source:
            while source.read(1 << 20):
                pass


def _piped(command: Sequence[str], env: Mapping[str, str], folder: Path) -> tuple[str, str]:
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False)
    return out.read_text(encoding="utf-8", errors="replace"), err.read_text(encoding="utf-8", errors="replace")


def _on_terminal(command: Sequence[str], env: Mapping[str, str]) -> tuple[str, str]:
    import pty

    reading, terminal = pty.openpty()
    shown: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(reading, shown))
    reader.start()
    try:
        subprocess.run(
            command,
            env={"TERM": "xterm-256color", **env},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            check=False,
        )
    finally:
        os.close(terminal)
        reader.join()
        os.close(reading)
    return b"".join(shown).decode("utf-8", "replace"), ""


def _drain(descriptor: int, into: list[bytes]) -> None:
    """Read until the other side is closed; Linux says so with an error."""
    try:
        while chunk := os.read(descriptor, 1 << 16):
            into.append(chunk)
    except OSError:
        return


def _between(cost: Path, command: Sequence[str]) -> None:
    """In the small process: run the command, write down what the system says it used."""
    started = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    code = os.waitstatus_to_exitcode(status)
    used_up = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": peak, "exit_code": code}
    cost.write_text(json.dumps(used_up), encoding="utf-8")


if __name__ == "__main__":
    _between(Path(sys.argv[1]), sys.argv[2:])
