"""What can go wrong on purpose: one sentence for the user, one way out, one exit code.

Everything that a user can cause is an `SsError`; anything else that escapes is a defect of ours.
This module imports nothing of the project, so that every layer may raise.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. The README's table is generated from the members' labels."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ACCESS = 3
    CONTRACT = 4
    BUSY = 5
    STORAGE = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the run failed, or only part of it succeeded",
    ExitCode.USAGE: "usage or configuration, a path that is not there",
    ExitCode.ACCESS: "connection or authentication",
    ExitCode.CONTRACT: "the data breaks its contract",
    ExitCode.BUSY: "another process holds the warehouse",
    ExitCode.STORAGE: "storage: full, unreadable, unwritable",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.BROKEN_PIPE: "broken pipe",
    ExitCode.TERMINATED: "terminated",
}


class SsError(Exception):
    """An expected failure: `message` says what, `hint` gives a command or an action that mends it.

    Neither may hold a secret or anything personal: they end up in terminals, logs and tickets.
    """

    def __init__(self, message: str, hint: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class UsageError(SsError):
    """The command line, the configuration or a path in them is wrong."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, ExitCode.USAGE)


class ContractError(SsError):
    """The data is not what its format or its schema promises."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, ExitCode.CONTRACT)


class BusyError(SsError):
    """Another process holds the warehouse."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, ExitCode.BUSY)


class StorageError(SsError):
    """A disk is full, or a file can't be read or written."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, ExitCode.STORAGE)
