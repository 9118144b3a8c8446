"""Where scores go while they are written: what can go wrong there is said, and no part of them stays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from studentsuccess.errors import StorageError


class Stdout:
    """The stream that takes the rows; what it refuses is said of it and not of a file."""

    def __init__(self, stream: BinaryIO | None) -> None:
        if stream is None and sys.stdout is None:
            raise StorageError("stdout is closed, and the rows should go there", "send them somewhere: `-o FILE`")
        self._stream = stream or sys.stdout.buffer

    def write(self, data: bytes) -> int:
        with self._refusals():
            return self._stream.write(data)

    def flush(self) -> None:
        with self._refusals():
            self._stream.flush()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as problem:
            reason = (problem.strerror or "it takes no more").lower()
            raise StorageError(
                f"stdout can't be written: {reason}", "send it where there is space: `ss … > FILE`"
            ) from None


@contextmanager
def removed_on_failure(unfinished: Path | None) -> Iterator[None]:
    """The part that was written goes, also where no later run would find it: outside of the workspace."""
    try:
        yield
    except BaseException:
        if unfinished is not None:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        raise
