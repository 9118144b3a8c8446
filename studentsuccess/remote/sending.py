"""Files into a store: only what is not there yet, several at once, each read back or known by its tag, the list last.

At every moment the manifest in the store lists only what stands there as it says: before a file is replaced it is
taken off the list. Two who publish to one place at once can't be locked apart, so each looks again when it has
ended; the one that began later goes on until all is as it wrote it.
"""

from __future__ import annotations

import hashlib
import io
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.errors import BusyError, SsError
from studentsuccess.remote.artifacts import MANIFEST, Artifact, media_type, opened
from studentsuccess.remote.manifest import Entry, Known, Source, Stamp, parse, render
from studentsuccess.remote.stores import Store, Stored
from studentsuccess.warehouse.recovery import reached

SAME, NEW, CHANGED = "as there", "new", "changed"
# Sent again when something else arrived; begun again when somebody else wrote meanwhile.
TRIES, TURNS = 3, 5
Advance = Callable[[int], None]


@dataclass(frozen=True)
class FileState:
    """A file here, and how it stands there."""

    file: Artifact
    state: str
    etag: str = ""

    @property
    def same(self) -> bool:
        return self.state == SAME


@dataclass(frozen=True)
class Shipment:
    """What goes where, and what the manifest says about it."""

    store: Store
    workspace: Workspace
    files: tuple[Artifact, ...]
    source: Source
    engine: Engine

    def manifest(self, stamp: Stamp, states: Sequence[FileState], *, complete: bool = True) -> bytes:
        """The list of those of the files that are there."""
        entries = [
            Entry(one.file.path, one.file.size, one.file.sha256, self.store.uri(one.file.path), one.etag)
            for one in states
            if one.same
        ]
        return render(stamp, self.source, self.store.shown, entries, complete=complete)


@dataclass(frozen=True)
class Seen:
    """How everything stands in the store at one moment."""

    known: Known
    states: tuple[FileState, ...]

    @property
    def unlisted(self) -> int:
        """Files of earlier runs that will not be listed any more. They are left where they are."""
        return len(self.known.entries.keys() - {one.file.path for one in self.states})


def look(shipment: Shipment) -> Seen:
    """Hold each file against the manifest there, and against what really stands there."""
    store = shipment.store
    known = parse(store.read(MANIFEST))

    def state(file: Artifact) -> FileState:
        found = store.stat(file.path)
        if found is None:
            return FileState(file, NEW)
        return FileState(file, SAME if _is(file, found, known.entries) else CHANGED, found.tag)

    return Seen(known, tuple(ordered_map(state, shipment.files, shipment.engine)))


def _is(file: Artifact, found: Stored, listed: Mapping[str, Entry]) -> bool:
    """Whether what stands there is this file: its tag is a digest, or one that the manifest knows for this digest."""
    entry = listed.get(file.path)
    noted = {entry.etag} if entry and (entry.size, entry.sha256) == (file.size, file.sha256) else set()
    return found.size == file.size and found.tag in {file.md5, file.sha256} | noted - {""}


def is_published(shipment: Shipment, seen: Seen) -> bool:
    """Whether a run would leave the very manifest that stands there."""
    if seen.known.stamp is None or not all(one.same for one in seen.states):
        return False
    return shipment.manifest(seen.known.stamp, seen.states) == seen.known.raw


def deliver(shipment: Shipment, stamp: Stamp, seen: Seen, advance: Advance) -> bytes:
    """Send what is missing, then the manifest; its bytes, when everything stands there as it says."""
    for turn in range(TURNS):
        if not all(one.same for one in seen.states):
            _list(shipment.store, shipment.manifest(stamp, seen.states, complete=False))
            reached("announced")
        states = tuple(ordered_map(lambda one: _sent(shipment, one, advance), seen.states, shipment.engine))
        reached("sent")
        text = shipment.manifest(stamp, states)
        _list(shipment.store, text)
        reached("listed")
        seen = look(shipment)
        if seen.known.raw == text and all(one.same for one in seen.states):
            return text
        _yield_to_newer(shipment.store, stamp, seen.known)
        time.sleep(random.uniform(0, turn + 1))  # noqa: S311 - only so that two do not keep step
    raise BusyError(
        f"{shipment.store.shown}: somebody else is writing there at the same time", "run it again when that has ended"
    )


def _yield_to_newer(store: Store, stamp: Stamp, known: Known) -> None:
    if known.stamp is not None and known.stamp.run_id > stamp.run_id:
        raise BusyError(
            f"{store.shown}: run {known.stamp.run_id} began to publish there later than this one, and goes first",
            "run it again when that has ended",
        )


def _list(store: Store, text: bytes) -> None:
    """Put the manifest. What came of it is looked at later, with everything else."""
    store.put(MANIFEST, io.BytesIO(text), media_type(MANIFEST))


def _sent(shipment: Shipment, one: FileState, advance: Advance) -> FileState:
    """The state once the file is there, checked; what is there already is not sent."""
    try:
        return one if one.same else FileState(one.file, SAME, _send(shipment, one.file))
    finally:
        advance(1)


def _send(shipment: Shipment, file: Artifact) -> str:
    """Send one file until what arrived is what was sent; the tag that it has there."""
    store = shipment.store
    for _ in range(TRIES):
        with opened(shipment.workspace, file.path) as source:
            if source is None:
                raise _moved(file)
            reader = _Hashing(source)
            store.put(file.path, reader, media_type(file.path))  # type: ignore[arg-type]
        if reader.sha256.hexdigest() != file.sha256:
            raise _moved(file)
        found = store.stat(file.path)
        if found is not None and found.size == file.size and _arrived(store, file, found):
            reached("arrived")
            return found.tag
    raise SsError(
        f"{store.shown}: `{file.path}` arrived {TRIES} times as something else", "see what stands between, then again"
    )


def _arrived(store: Store, file: Artifact, found: Stored) -> bool:
    """By its tag where that is a digest, by reading it back where it is not: parts, encryption, Azure."""
    return found.tag in (file.md5, file.sha256) or store.digest(file.path) == file.sha256


def _moved(file: Artifact) -> SsError:
    return BusyError(
        f"`{file.path}` changed while it was published", "run it again: what has arrived is not sent twice"
    )


class _Hashing:
    """A file that is hashed as it is read: what is sent is what was looked at, or nothing is listed."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self.sha256.update(chunk)
        return chunk
