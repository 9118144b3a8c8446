"""One writer at a time, and whoever waits learns for whom.

The lock itself is the operating system's, so that it dies with its holder. The sidecar beside it only tells a
name: nothing is decided by it, and one that a killed process left behind is ignored.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from studentsuccess.core.atomic import atomic_write_text, temp_path
from studentsuccess.errors import BusyError, StorageError

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of the world; tests bring their own."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the command's name only, because its arguments may be personal."""

    pid: int
    command: str
    started: str


def sidecar_path(lock_path: Path) -> Path:
    """Where the holder of `lock_path` says its name."""
    return lock_path.with_name(f"{lock_path.name}.json")


@contextmanager
def hold(lock_path: Path, command: str, wait: float = 0.0, clock: Clock = utc_now) -> Iterator[None]:
    """Hold the lock while the block runs; a `BusyError` names the holder after `wait` seconds in vain."""
    lock = _acquired(lock_path, wait, clock)
    sidecar = sidecar_path(lock_path)
    try:
        _announce(sidecar, Holder(os.getpid(), command, clock().astimezone(UTC).isoformat(timespec="seconds")))
        yield
    finally:
        with suppress(OSError):
            sidecar.unlink(missing_ok=True)
        lock.release()


def _acquired(lock_path: Path, wait: float, clock: Clock) -> FileLock:
    """The lock, taken. A link in its place could make us truncate a stranger's file, so it is refused."""
    if lock_path.is_symlink():
        raise StorageError(f"`{lock_path}` is a link, and a lock must be a file", f"delete it: `rm '{lock_path}'`")
    lock = FileLock(lock_path, timeout=max(wait, 0.0))
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=0.05)
    except Timeout:
        raise busy_error(read_holder(lock_path), clock) from None
    except OSError as error:
        raise StorageError(
            f"can't write the lock `{lock_path}`: {error.strerror or error}",
            f"see who may write there: `ls -ld '{lock_path.parent}'`",
        ) from error
    return lock


def _announce(sidecar: Path, holder: Holder) -> None:
    """Say who holds the lock. That the name can't be written must not stop the work: the lock is what counts."""
    with suppress(OSError):
        temp_path(sidecar, "new").unlink(missing_ok=True)
        atomic_write_text(sidecar, json.dumps(asdict(holder)))


def read_holder(lock_path: Path) -> Holder | None:
    """Who says to hold the lock, unless that process is gone or the sidecar is no sidecar."""
    try:
        said = json.loads(sidecar_path(lock_path).read_text("utf-8"))
        holder = Holder(int(said["pid"]), str(said["command"]), str(said["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return holder if is_alive(holder.pid) else None


def busy_error(holder: Holder | None, clock: Clock = utc_now) -> BusyError:
    """The refusal, with the holder's name where it is known."""
    if holder is None:
        return BusyError("the warehouse is held by another process", "wait with `--wait 60`, or run it again later")
    since = _since(holder.started, clock())
    hint = "wait with `--wait 60`, or run it again when that has ended"
    return BusyError(f"the warehouse is held by pid {holder.pid} (`{holder.command}`{since})", hint)


def _since(started: str, now: datetime) -> str:
    """The start on the reader's own clock, with the date only where it is another day's."""
    try:
        local = datetime.fromisoformat(started).astimezone()
    except ValueError:
        return ""
    same_day = local.date() == now.astimezone().date()
    return f", since {local:%H:%M:%S}" if same_day else f", since {local:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True)
class Owner:
    """One process, told apart from a later one with the same number where the system makes that cheap."""

    pid: int
    birth: str
    host: str


def this_process() -> Owner:
    """The running process."""
    return Owner(os.getpid(), _birth(os.getpid()), platform.node())


def is_gone(owner: Owner) -> bool:
    """Whether `owner` has certainly ended. Of another machine nothing is certain, so its owner counts as there."""
    if owner.host != platform.node():
        return False
    if not is_alive(owner.pid):
        return True
    birth = _birth(owner.pid)
    return bool(owner.birth and birth and owner.birth != birth)


def _birth(pid: int) -> str:
    """The kernel's start tick of a process on Linux (proc(5), field 22); nothing elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


if sys.platform == "win32":
    import ctypes

    _QUERY_LIMITED_INFORMATION = 0x1000  # winnt.h, PROCESS_QUERY_LIMITED_INFORMATION
    _STILL_ACTIVE = 259  # minwinbase.h, STILL_ACTIVE

    def is_alive(pid: int) -> bool:
        """Whether a process with this number runs; `os.kill(pid, 0)` would end it on Windows."""
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if not handle:
            return False
        status = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(status))
        kernel.CloseHandle(handle)
        return status.value == _STILL_ACTIVE

else:

    def is_alive(pid: int) -> bool:
        """Whether a process with this number runs."""
        if pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True
