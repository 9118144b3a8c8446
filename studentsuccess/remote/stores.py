"""Where files are published to, as little as all such places have in common; and the plainest of them, a folder."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Protocol

from studentsuccess.core.atomic import atomic_writer, sync_folder
from studentsuccess.core.digest import file_digest
from studentsuccess.errors import ExitCode, SsError, StorageError, UsageError
from studentsuccess.warehouse.recovery import storage_errors

CHUNK = 1 << 20
# A manifest of a hundred thousand files has about this size; whatever is longer is none of ours.
MOST_READ = 32 << 20


@dataclass(frozen=True)
class Stored:
    """What stands there under a name: its size, and what the place calls this version of it."""

    size: int
    tag: str


class Store(Protocol):
    """A place for files. Names are relative, with slashes; what is put is there whole or not at all."""

    @property
    def shown(self) -> str:
        """The place in a message: never a key, never a token."""
        ...

    def uri(self, name: str) -> str: ...

    def admit(self) -> None:
        """Raise what publishing would fail with, as far as that can be known without writing."""
        ...

    def stat(self, name: str) -> Stored | None: ...

    def read(self, name: str) -> bytes | None:
        """A small file as a whole; nothing where there is none, or none that is small."""
        ...

    def digest(self, name: str) -> str | None:
        """The sha256 of what stands there, read back."""
        ...

    def put(self, name: str, source: BinaryIO, media_type: str) -> None: ...


def no_access(message: str, hint: str) -> SsError:
    return SsError(message, hint, ExitCode.ACCESS)


def chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    return iter(lambda: read(CHUNK), b"")


def digest_of(read: Callable[[int], bytes]) -> str:
    found = hashlib.sha256()
    for chunk in chunks(read):
        found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder on this machine, or one that is mounted here. Its files' versions are told by their content."""

    path: Path

    @property
    def shown(self) -> str:
        return str(self.path)

    def uri(self, name: str) -> str:
        return (self.path / name).as_uri()

    def admit(self) -> None:
        with storage_errors(self.path):
            there = next(place for place in (self.path, *self.path.parents) if os.path.lexists(place))
            if not there.is_dir():
                raise UsageError(f"{there}: is not a folder", "name a folder: `--to DIR`")
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))

    def stat(self, name: str) -> Stored | None:
        with self._found(name) as path:
            return Stored(path.stat().st_size, file_digest(path)) if path else None

    def read(self, name: str) -> bytes | None:
        with self._found(name) as path:
            return path.read_bytes() if path and path.stat().st_size <= MOST_READ else None

    def digest(self, name: str) -> str | None:
        with self._found(name) as path:
            return file_digest(path) if path else None

    def put(self, name: str, source: BinaryIO, media_type: str) -> None:  # noqa: ARG002 - a folder keeps no types
        target = self.path / name
        with storage_errors(target):
            self._make_folders(target.parent)
            with atomic_writer(target, f"publish-{os.getpid()}") as sink:
                for chunk in chunks(source.read):
                    sink.write(chunk)

    @contextmanager
    def _found(self, name: str) -> Iterator[Path | None]:
        """The file, where there is one; a link there is not followed."""
        path = self.path / name
        with storage_errors(path):
            try:
                whole = S_ISREG(path.lstat().st_mode)
            except (FileNotFoundError, NotADirectoryError):
                whole = False
            yield path if whole else None

    def _make_folders(self, folder: Path) -> None:
        """Each folder on the way; a link among them could lead anywhere, so it ends the way."""
        self.path.mkdir(parents=True, exist_ok=True)
        below = folder.relative_to(self.path)
        for place in reversed([folder, *(self.path / part for part in below.parents)][:-1]):
            if place.is_symlink():
                raise StorageError(f"`{place}` is a link, and may lead out of the folder", f"remove it: `rm '{place}'`")
            if not place.is_dir():
                place.mkdir(exist_ok=True)
                sync_folder(place.parent)
