"""A disk that is full, fails or takes no writes: one line, exit 6, the old state intact, and the next run is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import COMMANDS, NOT_REACHED, Command, Ended, Lab, damage, drawn, in_turn, injected

pytestmark = pytest.mark.posix
Tally = Callable[..., None]
DONE, STORAGE = 0, 6
PAGE = 4096
FAILURES = (("pwrite64", "ENOSPC", "+"), ("write", "ENOSPC", ""), ("fsync", "EIO", ""), ("pwrite64", "EIO", ""))
FAILURES += (("write", "EIO", ""), ("ftruncate", "ENOSPC", ""), ("rename", "EIO", ""), ("mkdir", "ENOSPC", ""))


def check_told(ended: Ended, folder: Path) -> None:
    """Done in spite of it, or one line about storage that names a path."""
    assert ended.is_told(), ended
    assert ended.code in (DONE, STORAGE), ended
    if ended.code == STORAGE and ended.err:
        errors = [line for line in ended.err.splitlines() if line.startswith("ss: error: ")]
        assert len(errors) == 1, ended
        assert any(place in errors[0] for place in (str(folder), tempfile.gettempdir(), "stdout")), ended


@pytest.mark.turns(full=12, sample=1, commands=("etl", "clean"))
def test_a_write_or_a_sync_that_fails(
    lab: Lab, command: Command, turn: int, folder: Path, seed: int, tally: Tally, strace: str
) -> None:
    calls = lab.calls_of(command, strace)
    faults = in_turn({one: calls.get(one[0], 0) for one in FAILURES}, drawn(seed, command.name, "fails"))
    (call, error, on), number = faults[turn % len(faults)]
    lab.before(command, folder)
    seen = folder.with_name("seen")
    prefix = injected(strace, call, f"error={error}", f"{number}{on}", seen)
    ended = lab.call([*command.words, "-q"], folder, prefix=prefix)
    tally("a call that fails" if "(INJECTED)" in seen.read_text("utf-8", "replace") else NOT_REACHED, of=command.name)
    check_told(ended, folder)
    lab.check_again(command, folder)


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A file system of its own; what is yielded makes it larger."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this user can't mount a tmpfs: {mounted.stderr.strip().splitlines()[-1]}")
    try:
        yield (
            lambda more: (
                subprocess.run(["mount", "-o", f"remount,size={more}", str(place)], check=True, capture_output=True)
                and None
            )
        )
    finally:
        subprocess.run(["umount", str(place)], check=True)


def taken(folder: Path) -> int:
    """Bytes on a tmpfs, which gives whole pages; a folder takes one too."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE if path.is_file() else PAGE for path in folder.rglob("*"))


@pytest.mark.turns(full=2, sample=1, commands=("etl --demo", "train incremental"))
def test_a_disk_that_is_too_small(
    lab: Lab, command: Command, turn: int, tmp_path: Path, seed: int, tally: Tally, needs: Callable[..., str]
) -> None:
    if sys.platform != "linux":
        pytest.skip("a tmpfs is for Linux")
    needs("mount")
    before = lab.template(command.after)
    used = taken(before)
    grown = taken(lab.template((*command.after, command.name))) - used
    free = int(max(grown, 100_000) * drawn(seed, command.name, turn).uniform(0.05, 0.8))
    with small_disk(tmp_path / "disk", used + free + 400_000) as enlarge:
        folder = lab.before(command, tmp_path / "disk" / "workspace")
        ended = lab.call([*command.words, "-q"], folder)
        tally("too small a disk", of=command.name)
        check_told(ended, folder)
        if ended.code:
            assert re.search("no space left|are needed and", ended.err), ended
        assert damage(folder) == []
        enlarge(500_000_000)
        lab.check_again(command, folder)


@pytest.mark.turns(full=1, sample=1, commands=("score",))
def test_a_workspace_that_takes_no_writes(lab: Lab, command: Command, turn: int, folder: Path, tally: Tally) -> None:  # noqa: ARG001
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv to be somebody else")
    lab.before(command, folder)
    others = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for place in (folder.parent, *folder.parent.parents[:3]):
        if place.stat().st_uid == os.geteuid() and place.is_relative_to("/tmp") and place != Path("/tmp"):  # noqa: S108
            place.chmod(place.stat().st_mode | 0o055)
    probe = subprocess.run(
        [*others, *lab.python, "--version"], cwd="/", env=lab.environ, capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip("nobody else may read this program here")
    ended = lab.call([*command.words, "-q"], folder, prefix=others)
    tally("no write allowed", of=command.name)
    assert ended.is_told(), ended
    # What can't be moved is no candidate of a clean: it says so, and has nothing to do.
    assert ended.code == STORAGE or (command.name == "clean" and "can't be written to" in ended.out), ended
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    lab.check_again(command, folder)


def test_an_input_that_vanishes_or_grows_while_it_is_read(lab: Lab, folder: Path, seed: int, tally: Tally) -> None:
    """Whatever moment it is: the rows are those of one state of the file, or nothing was loaded."""
    command = COMMANDS["etl"]
    for turn, what in enumerate(("vanish", "grow", "shrink")):
        place = lab.before(command, folder / what)
        source = place / "learn.csv"
        header, *rows = source.read_text("utf-8").splitlines()
        many = [f"{number}{row[6:]}" for number in range(100, 400) for row in rows]
        source.write_text("\n".join([header, *many]) + "\n", "utf-8")
        draw = drawn(seed, what)

        def disturb(what: str = what, source: Path = source) -> None:
            if what == "vanish":
                source.unlink()
            elif what == "grow":
                with source.open("ab") as more:
                    more.write(b"999999,40,2.0,Math,1,true,2014-01-01,,Graduate\n" * 1000)
            else:
                os.truncate(source, source.stat().st_size // 2)

        timer = threading.Timer(draw.uniform(0.3, 1.5), disturb)
        timer.start()
        ended = lab.call(["etl", "learn.csv", "-q", "--max-rejects", "100%"], place)
        timer.join()
        tally(f"inputs that {what} while they are read")
        assert ended.is_told(), (turn, ended)
        assert ended.code in (0, 1, 2, 4, 6), ended
        assert damage(place) == []
