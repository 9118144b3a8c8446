"""Several commands on one workspace: each is done or told who holds it, and what stands is as if they had queued."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from effort import FULL
from harness import COMMANDS, PATIENCE, Ended, Lab, damage, state_of

import studentsuccess as ss

pytestmark = pytest.mark.posix
Tally = Callable[..., None]
DONE, BUSY = 0, 5


def all_at_once(lab: Lab, calls: list[tuple[str, ...]], folder: Path) -> list[Ended]:
    """Every command is started before any is waited for."""
    running = [lab.start([*words, "-q"], folder) for words in calls]
    ended = []
    for process in running:
        out, err = process.communicate(timeout=PATIENCE)
        ended.append(Ended(process.returncode, out.decode(), err.decode()))
    return ended


@pytest.mark.parametrize("count", [2, 4, 8] if FULL else [3])
def test_the_same_command_many_times_is_done_once(lab: Lab, folder: Path, count: int, tally: Tally) -> None:
    command = COMMANDS["etl"]
    lab.before(command, folder)
    ended = all_at_once(lab, [command.words] * count, folder)
    tally("commands at once", count)
    for one in ended:
        assert one.is_told(), one
        assert one.code in (DONE, BUSY), one
        if one.code == BUSY:
            assert re.search(r"held by (pid \d+|another process)", one.err), one
    assert DONE in [one.code for one in ended]
    lab.check_again(command, folder)


@pytest.mark.parametrize("count", [4, 8] if FULL else [3])
def test_with_patience_all_of_them_are_done(lab: Lab, folder: Path, count: int, tally: Tally) -> None:
    lab.before(COMMANDS["etl"], folder)
    for number in range(count):
        shutil.copy(folder / "learn.csv", folder / f"part_{number}.csv")
    calls = [("etl", f"part_{number}.csv", "--wait", "120") for number in range(count)]
    ended = all_at_once(lab, calls, folder)
    tally("commands at once", count)
    assert [one.code for one in ended] == [DONE] * count, ended
    rows = state_of(folder).tables["ops.dataset"][0]
    assert (rows, damage(folder)) == (count, [])


def test_a_reader_beside_a_writer_sees_a_whole_world_or_waits(lab: Lab, folder: Path, tally: Tally) -> None:
    command = COMMANDS["score"]
    lab.before(command, folder)
    calls = [
        command.words,
        ("models", "list"),
        ("verify",),
        command.words,
        ("marts", "check", "--to", "nowhere"),
        ("clean", "-n"),
    ]
    ended = all_at_once(lab, calls, folder)
    tally("commands at once", len(calls))
    for words, one in zip(calls, ended, strict=True):
        assert one.is_told(), (words, one)
        assert one.code in ((DONE, BUSY) if words[0] != "marts" else (DONE, 2, BUSY)), (words, one)
    lab.check_again(command, folder)


HASHES = """
import hashlib, sys, time
from pathlib import Path
path = Path(sys.argv[1])
print("reading", flush=True)
while path.exists() and not Path(sys.argv[2]).exists():
    hashlib.sha256(path.read_bytes()).hexdigest()
"""


def test_a_program_that_hashes_the_open_warehouse_lets_nobody_in(lab: Lab, folder: Path, tally: Tally) -> None:
    """Another process that opens and closes the file must not loosen the lock that keeps a second writer out."""
    lab.before(COMMANDS["score"], folder)
    stop = folder.parent / "stop"
    with subprocess.Popen(
        [sys.executable, "-c", HASHES, str(folder / "warehouse.duckdb"), str(stop)], stdout=subprocess.PIPE
    ) as hashing:
        assert hashing.stdout is not None
        hashing.stdout.readline()
        for number in range(2):
            shutil.copy(folder / "learn.csv", folder / f"part_{number}.csv")
        ended = all_at_once(lab, [("etl", f"part_{number}.csv", "--wait", "120") for number in range(2)], folder)
        stop.touch()
    tally("commands at once", 3)
    assert [one.code for one in ended] == [DONE, DONE], ended
    assert damage(folder) == []
    assert not [one for one in ss.verify(folder) if "lost" in one.what]
