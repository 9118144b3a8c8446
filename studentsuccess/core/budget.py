"""How much of the machine a run may use: memory and processors, by cgroup, host or configuration.

The budget is for the whole process. The interpreter with its libraries takes its part first, blocks under way the next,
and the database gets what is left.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

FALLBACK_BYTES = 1 << 30
# cgroup v1 writes about 2^63 where there is no limit.
V1_UNLIMITED = 10**15
# What the interpreter and its libraries hold before the first row: measured 150 MB on Linux, with a margin.
INTERPRETER_BYTES = 170 << 20
MIN_BATCH_ROWS, MAX_BATCH_ROWS = 5_000, 500_000
DEFAULT_ROW_BYTES = 1024
MIN_BLOCK, MAX_BLOCK = 1 << 20, 4 << 20
DATABASE_FLOOR, DATABASE_CEILING = 128 << 20, 4 << 30


@dataclass(frozen=True)
class Budget:
    """What a run may use, and who said so."""

    memory: int
    memory_source: str
    cpus: int
    cpu_source: str
    configured_rows: int | None = None

    @property
    def database_memory(self) -> int:
        """DuckDB overshoots its limit by 60 to 80 MB, so it is told less than what is left."""
        left = int((self.memory - INTERPRETER_BYTES - self.workers * 8 * MAX_BLOCK) * 0.7)
        return max(DATABASE_FLOOR, min(DATABASE_CEILING, left))

    @property
    def workers(self) -> int:
        """Threads that parse; two blocks each may be in memory."""
        return max(1, self.cpus)

    @property
    def block_bytes(self) -> int:
        """Bytes of text a worker takes at a time: decoded and typed it needs about eight times that."""
        fair = (self.memory - INTERPRETER_BYTES) // (self.workers * 16)
        return max(MIN_BLOCK, min(MAX_BLOCK, fair))

    def batch_rows(self, row_bytes: int = DEFAULT_ROW_BYTES) -> int:
        """Rows a batch: as configured, else half the memory over the jobs and the measured width of a row."""
        if self.configured_rows:
            return self.configured_rows
        fair = int(self.memory * 0.5 / self.workers / max(row_bytes, 1))
        return max(MIN_BATCH_ROWS, min(MAX_BATCH_ROWS, fair))


def measure(memory: int | None = None, cpus: int | None = None, batch_rows: int | None = None) -> Budget:
    """The budget: what is configured wins, else what the machine allows."""
    limit, source = (memory, "configured") if memory else memory_limit()
    processors, cpu_source = (cpus, "configured") if cpus else cpu_limit()
    return Budget(limit, source, processors, cpu_source, batch_rows)


def memory_limit(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> tuple[int, str]:
    """The memory this process may use: cgroup v2, else v1, else the host's, else 1 GiB."""
    host = host_memory()
    for limit, source in ((_v2_limit(root, membership), "cgroup v2"), (_v1_limit(root, membership), "cgroup v1")):
        if limit is not None and (host is None or limit < host):
            return limit, source
    return (host, "host") if host else (FALLBACK_BYTES, "unknown host: 1 GiB assumed")


def _groups_above(root: Path, relative: str) -> list[Path]:
    """The group itself and those it stands in: the tightest of their limits holds."""
    inner = root / relative.strip("/")
    return [inner, *(parent for parent in inner.parents if parent == root or root in parent.parents)]


def _membership(path: Path, controller: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if controllers == controller or controller in controllers.split(","):
            return group
    return None


def _v2_limit(root: Path, membership: Path) -> int | None:
    group = _membership(membership, "")
    groups = _groups_above(root, group) if group is not None else [root]
    limits = [number for place in groups if (number := _number(place / "memory.max")) is not None]
    return min(limits, default=None)


def _v1_limit(root: Path, membership: Path) -> int | None:
    group = _membership(membership, "memory")
    groups = _groups_above(root / "memory", group or "/")
    limits = [number for place in groups if (number := _number(place / "memory.limit_in_bytes")) is not None]
    return min((limit for limit in limits if limit < V1_UNLIMITED), default=None)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def host_memory() -> int | None:
    """The machine's own memory."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _windows_memory() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page", "page_free", "virtual", "virtual_free", "x")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
        return None
    return int(status.total)


def cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, str]:
    """Processors this process may use: its affinity, cut by a cgroup quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(root)
    return (quota, "cgroup quota") if quota is not None and quota < available else (available, "host")


def _cpu_quota(root: Path) -> int | None:
    try:
        limit, period = (root / "cpu.max").read_text(encoding="ascii").split()[:2]
    except (OSError, ValueError):
        return None
    return max(1, round(int(limit) / int(period))) if limit.isdigit() else None
