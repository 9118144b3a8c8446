"""Files that appear whole or not at all: written beside their target, synced, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NEW = "new"


def temp_path(target: Path, token: str) -> Path:
    """Where the unfinished `target` of run `token` stands: the same folder, so that a rename is atomic."""
    return target.with_name(f".{target.name}.{token}.part")


def sync_file(path: Path) -> None:
    """Make the bytes of `path` durable."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Windows can't open a folder and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def promote(temp: Path, target: Path) -> None:
    """Rename a finished, synced temp file to its target."""
    temp.replace(target)
    sync_folder(target.parent)


@contextmanager
def atomic_writer(target: Path, token: str = NEW, durable: bool = True) -> Iterator[BinaryIO]:
    """A binary file that becomes `target` only when the block ends without an error.

    One that need not be durable is not synced: after a power cut it may be broken, and who reads it must see that.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = temp_path(target, token)
    try:
        with temp.open("wb") as sink:
            yield sink
            if durable:
                sink.flush()
                os.fsync(sink.fileno())
        if durable:
            promote(temp, target)
        else:
            temp.replace(target)
    except BaseException:
        with suppress(OSError):
            temp.unlink()
        raise


def atomic_write_text(target: Path, text: str, token: str = NEW) -> None:
    """Write `text` as UTF-8 with line feeds, whole or not at all."""
    with atomic_writer(target, token) as sink:
        sink.write(text.encode("utf-8"))
