"""`ss batch check` and `ss batch verify`: what is wrong with a term's files, and whether batches are what they say."""

from __future__ import annotations

from pathlib import Path

from studentsuccess.batching.checker import Verified
from studentsuccess.batching.checker import verify as recompute
from studentsuccess.batching.inputs import Read, read_instance
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import UsageError
from studentsuccess.tasks.batch_files import QUALITY
from studentsuccess.tasks.batch_request import Beside, input_request
from studentsuccess.tasks.context import Context


def check(folder: Path, context: Context, reporter: Reporter, beside: Beside) -> Read:
    """Read a term as a run would, and change nothing."""
    with phase(reporter, "reading the term"):
        return read_instance(folder, input_request(context, beside))


def verify(output: Path, folder: Path) -> Verified:
    """Recompute everything from the files alone, by a program that shares nothing with the one that made them."""
    for path in (output, folder):
        if not path.is_dir():
            raise UsageError(
                f"{path}: no such folder", "`ss batch verify OUT DIR`: that of the batches, that of the term"
            )
    if not (output / QUALITY).is_file():
        raise UsageError(
            f"{output}: holds no batches, there is no {QUALITY}", "make some: `ss batch process DIR -o OUT`"
        )
    return recompute(output, folder)
