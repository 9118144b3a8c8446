"""One holder at a time, named to whoever has to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from studentsuccess.core.locks import hold, is_alive, is_gone, read_holder, sidecar_path, this_process
from studentsuccess.errors import BusyError, ExitCode, StorageError

_HOLDING = """
import sys
from pathlib import Path
from studentsuccess.core.locks import hold
with hold(Path(sys.argv[1]), "ss etl"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(lock: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", _HOLDING, str(lock)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def at(hour: int, day: int = 20) -> Callable[[], datetime]:
    return lambda: datetime(2026, 11, day, hour, 3, 10, tzinfo=UTC)


def test_the_one_who_waits_learns_pid_and_command(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    with held_elsewhere(lock) as holder, pytest.raises(BusyError) as raised, hold(lock, "ss score"):
        pass
    assert f"held by pid {holder.pid} (`ss etl`, since " in raised.value.message
    assert "--wait 60" in raised.value.hint
    assert raised.value.code is ExitCode.BUSY


def test_a_killed_holder_frees_the_lock_and_its_sidecar_confuses_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    with held_elsewhere(lock) as holder:
        holder.kill()
        holder.wait()
    assert sidecar_path(lock).exists()
    assert read_holder(lock) is None
    with hold(lock, "ss score"):
        now = read_holder(lock)
        assert now is not None
        assert (now.pid, now.command) == (os.getpid(), "ss score")


def test_a_stale_sidecar_does_not_name_a_dead_process_as_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    dead = {"pid": ended_pid(), "command": "ss etl", "started": "2026-11-20T14:03:10+00:00"}
    with held_elsewhere(lock):
        sidecar_path(lock).write_text(json.dumps(dead))
        with pytest.raises(BusyError) as raised, hold(lock, "ss score"):
            pass
    assert raised.value.message == "the warehouse is held by another process"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "x"}', '{"pid": 1}', '"pid"'])
def test_a_damaged_sidecar_still_gives_a_busy_error(tmp_path: Path, text: str) -> None:
    lock = tmp_path / "warehouse.lock"
    with hold(lock, "ss etl"):
        sidecar_path(lock).write_text(text)
        with pytest.raises(BusyError, match="held by another process"), hold(lock, "ss score"):
            pass


def test_the_lock_is_taken_once_the_holder_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    with held_elsewhere(lock) as holder:
        assert holder.stdin is not None
        holder.stdin.close()
        with hold(lock, "ss score", wait=60):
            now = read_holder(lock)
            assert now is not None
            assert now.command == "ss score"


def test_release_removes_the_sidecar_also_after_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    with pytest.raises(KeyError), hold(lock, "ss etl"):
        raise KeyError
    assert not sidecar_path(lock).exists()
    with hold(lock, "ss etl"):
        assert sidecar_path(lock).exists()


def test_the_start_has_its_date_only_on_another_day(tmp_path: Path) -> None:
    lock = tmp_path / "warehouse.lock"
    with hold(lock, "ss etl", clock=at(12)):
        with pytest.raises(BusyError) as same_day, hold(lock, "ss score", clock=at(12)):
            pass
        with pytest.raises(BusyError) as later, hold(lock, "ss score", clock=at(12, day=25)):
            pass
    local = at(12)().astimezone()
    assert f"since {local:%H:%M:%S})" in same_day.value.message
    assert f"since {local:%Y-%m-%d %H:%M:%S})" in later.value.message


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_is_never_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    lock = tmp_path / "warehouse.lock"
    lock.symlink_to(precious)
    with pytest.raises(StorageError, match="is a link"), hold(lock, "ss etl"):
        pass
    lock.unlink()
    sidecar_path(lock).symlink_to(precious)
    (tmp_path / ".warehouse.lock.json.new.part").symlink_to(precious)
    with hold(lock, "ss etl"):
        pass
    assert precious.read_text() == "mine"


def test_a_lock_that_cannot_be_made_names_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lock = tmp_path / "file" / "warehouse.lock"
    with pytest.raises(StorageError) as raised, hold(lock, "ss etl"):
        pass
    assert str(lock) in raised.value.message


def test_only_a_process_of_this_machine_that_ended_is_gone() -> None:
    me = this_process()
    assert is_alive(me.pid)
    assert not is_gone(me)
    assert is_gone(replace(me, pid=ended_pid()))
    assert not is_gone(replace(me, pid=ended_pid(), host="elsewhere"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs the start ticks of /proc")
def test_a_number_used_again_is_another_process() -> None:
    assert is_gone(replace(this_process(), birth="1"))
