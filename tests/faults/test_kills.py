"""Killed at any moment, a command that is run again ends where an undisturbed one does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import COMMANDS, KILL, NOT_REACHED, Command, Lab, damage, drawn, in_turn, injected, state_of, strike

pytestmark = pytest.mark.posix
Tally = Callable[..., None]
RANDOM, TOO_LATE = "SIGKILL at a random moment", "a kill that came too late"


@pytest.mark.turns(full=20, sample=1, slow=20)
def test_a_kill_at_a_random_moment(
    lab: Lab, command: Command, turn: int, folder: Path, seed: int, tally: Tally
) -> None:
    for blow in range(1 + turn % 3):  # the run that should mend it is killed as well, and the one after that
        # Nothing is written before the program is loaded: the second half of its time is worth more.
        part = drawn(seed, command.name, turn, blow).triangular(0.1, 1.05, 0.8)
        hit = lab.kill(command, folder, part) if blow else lab.kill_afresh(command, folder, part)
        tally(RANDOM if hit else TOO_LATE, of=command.name)
    lab.check_again(command, folder)


@pytest.mark.turns(full=20, sample=1, slow=20)
def test_a_kill_in_the_middle_of_a_system_call(
    lab: Lab, command: Command, turn: int, folder: Path, seed: int, tally: Tally, strace: str
) -> None:
    moments = in_turn(lab.calls_of(command, strace), drawn(seed, command.name))
    if turn >= len(moments):
        pytest.skip(f"`{command.name}` makes fewer writing calls than were asked for")
    call, number = moments[turn]
    lab.before(command, folder)
    struck = lab.call(command.words, folder, prefix=injected(strace, call, "signal=SIGKILL", str(number)))
    assert struck.code in (0, -KILL, 128 + KILL), struck
    tally("SIGKILL in a system call" if struck.code else NOT_REACHED, of=command.name)
    lab.check_again(command, folder)


@pytest.mark.turns(full=2, sample=1, commands=("etl", "score"))
@pytest.mark.parametrize(
    ("blow", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_is_one_line_and_nothing_half_done(
    lab: Lab, command: Command, turn: int, folder: Path, seed: int, tally: Tally, blow: int, code: int, word: str
) -> None:
    _, seconds = lab.undisturbed(command)
    lab.before(command, folder)
    with lab.start([*command.words, "-q", "--no-progress"], folder) as process:
        struck = strike(process, seconds * drawn(seed, command.name, turn, word).uniform(0.2, 0.9), blow)
    assert struck.is_told(), struck
    told = [line for line in struck.err.splitlines() if not line.startswith(("ss: warning: ", "hint: "))]
    assert (
        struck.code == 0
        or (struck.code, told) == (code, [f"ss: {word}; nothing half-done was kept"])
        or too_early(struck.code, blow)
    ), struck
    tally("SIGINT or SIGTERM", of=command.name)
    lab.check_again(command, folder)


def too_early(code: int, blow: int) -> bool:
    """Before the interpreter has begun to run us the system's own answer holds."""
    return code == -blow


def test_a_reader_that_is_killed_changes_nothing(lab: Lab, folder: Path, seed: int, tally: Tally) -> None:
    lab.before(COMMANDS["score"], folder)
    wanted = state_of(folder)
    for turn in range(3):
        with lab.start(["verify"], folder) as process:
            struck = strike(process, drawn(seed, turn).uniform(0.2, 1.5), KILL)
        tally(RANDOM if struck.code == -KILL else TOO_LATE, of="verify")
    assert state_of(folder) == wanted
    assert damage(folder) == []
