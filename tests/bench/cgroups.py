"""A group of processes with a memory limit of its own, by cgroup v2 or v1, below the group this process is in.

Below, never beside: whatever limits this process limits the measured one too. `ulimit -v` would count addresses,
which a database reserves without using.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# The kernel lets a group go a moment after its last process.
REMOVAL_TRIES, REMOVAL_PAUSE = 100, 0.02


class NotPossibleError(Exception):
    """This machine, or this user, can't limit memory by cgroup; says why."""


@dataclass(frozen=True)
class Group:
    """A memory-limited group. It stands empty until a wrapped command runs."""

    folder: Path
    version: int

    def wrap(self, command: Sequence[str]) -> list[str]:
        """The command that enters the group and becomes `command`."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]

    def peak(self) -> int | None:
        """The most that all of its processes used together, page cache included."""
        text = _read(self.folder / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"))
        return int(text) if text.isdigit() else None

    def was_killed(self) -> bool:
        """Whether the kernel killed a process of the group for want of memory."""
        text = _read(self.folder / ("memory.events" if self.version == 2 else "memory.oom_control"))
        return any(line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in text.splitlines() if line)


@contextmanager
def memory_limited(limit: int) -> Iterator[Group]:
    """A group that may use `limit` bytes, and no swap; gone afterwards."""
    group = _created()
    try:
        _set_limit(group, limit)
        yield group
    finally:
        _remove(group.folder)


def _created() -> Group:
    if not MEMBERSHIP.is_file():
        raise NotPossibleError("this system has no cgroups")
    problem = "no memory controller is mounted below /sys/fs/cgroup"
    for version, parent in (*_v2_parents(), *_v1_parents()):
        folder = parent / f"ss-bench-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError as refusal:
            problem = f"may not create a cgroup: {refusal.strerror}; run as root"
            continue
        return Group(folder, version)
    raise NotPossibleError(problem)


def _set_limit(group: Group, limit: int) -> None:
    v2 = group.version == 2
    try:
        (group.folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit), encoding="ascii")
    except OSError as refusal:
        raise NotPossibleError(f"may not limit a cgroup: {refusal.strerror}") from None
    # Without swap accounting in the kernel there is no such file.
    with suppress(OSError):
        swap = ("memory.swap.max", "0") if v2 else ("memory.memsw.limit_in_bytes", str(limit))
        (group.folder / swap[0]).write_text(swap[1], encoding="ascii")


def _v2_parents() -> Iterator[tuple[int, Path]]:
    """The groups, from our own upwards, that hand the memory controller down to the groups in them."""
    own = _own_group("")
    if own is None or not (ROOT / "cgroup.controllers").is_file():
        return
    inner = ROOT / own.strip("/")
    for folder in (inner, *inner.parents):
        within = folder == ROOT or ROOT in folder.parents
        if within and "memory" in _read(folder / "cgroup.subtree_control").split():
            yield 2, folder


def _v1_parents() -> Iterator[tuple[int, Path]]:
    """Our own group; in a container, whose view starts at it, the root."""
    own = _own_group("memory")
    root = ROOT / "memory"
    if own is None or not root.is_dir():
        return
    inner = root / own.strip("/")
    yield 1, inner if inner.is_dir() else root


def _own_group(controller: str) -> str | None:
    for line in _read(MEMBERSHIP).splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            return group
    return None


def _remove(folder: Path) -> None:
    for _ in range(REMOVAL_TRIES):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(REMOVAL_PAUSE)
        else:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
