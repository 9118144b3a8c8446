"""Outputs of a job onto this disk: several at once, going on where a line broke, checked before they are believed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

from studentsuccess.core.digest import FileFact, file_digest
from studentsuccess.errors import ContractError, StorageError
from studentsuccess.remote.azure_errors import NetworkLostError
from studentsuccess.remote.azure_jobs import Blob
from studentsuccess.remote.job_manifest import NAME, is_safe, refused
from studentsuccess.warehouse.recovery import storage_errors

TRIES = 4
_PART = ".part"


class Source(Protocol):
    """Where outputs are read from."""

    def download(self, blob: Blob, sink: BinaryIO, start: int, advance: Callable[[int], None]) -> None: ...


@dataclass(frozen=True)
class Download:
    """What is to be on the disk: by path, the file as the job's list has it and the output that should be it."""

    job: str
    folder: Path
    wanted: Mapping[str, tuple[FileFact, Blob]]
    strangers: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(fact.size for fact, _ in self.wanted.values())

    @property
    def facts(self) -> tuple[FileFact, ...]:
        return tuple(fact for fact, _ in self.wanted.values())


def matched(job: str, folder: Path, facts: tuple[FileFact, ...], blobs: tuple[Blob, ...]) -> Download:
    """The outputs held against the list, before a byte of them is fetched: all there, none empty, none elsewhere."""
    unsafe = [blob.path for blob in blobs if not is_safe(blob.path)]
    if unsafe:
        raise refused(job, f"an output has a path that leads out of its folder: {unsafe[0]!r}")
    by_path = {blob.path: blob for blob in blobs}
    for fact in facts:
        blob = by_path.get(fact.path)
        if blob is None:
            raise refused(job, f"`{fact.path}` is on its list and not among its outputs")
        if blob.size == 0 and fact.size != 0:
            raise refused(job, f"`{fact.path}` is empty")
        if blob.size != fact.size:
            raise refused(job, f"`{fact.path}` has {blob.size:,} bytes instead of {fact.size:,}")
    listed = {fact.path for fact in facts} | {NAME}
    strangers = tuple(sorted(path for path in by_path if path not in listed))
    return Download(job, folder, {fact.path: (fact, by_path[fact.path]) for fact in facts}, strangers)


def fetch(download: Download, source: Source, workers: int, advance: Callable[[int], None]) -> None:
    """Bring everything, then raise what is wrong with the first file that is not what the list says."""
    with storage_errors(download.folder), ThreadPoolExecutor(workers, thread_name_prefix="ss-fetch") as executor:
        waiting = [executor.submit(_one, download, path, source, advance) for path in download.wanted]
        try:
            for one in waiting:
                one.result()
        finally:
            for one in waiting:
                one.cancel()
    wrong = [path for path, (fact, _) in download.wanted.items() if not _is(download.folder / path, fact)]
    if wrong:
        what = f"`{wrong[0]}` has other content than the job recorded"
        raise ContractError(
            f"job `{download.job}`: {what}", f"nothing was registered; look at it: `ls -l '{download.folder}'`"
        )


def _one(download: Download, path: str, source: Source, advance: Callable[[int], None]) -> None:
    fact, blob = download.wanted[path]
    target = download.folder / path
    _make_folders(download.folder, target.parent)
    if _is(target, fact):
        advance(fact.size)
        return
    # A part belongs to the version of the output that it was read from, and to no other.
    version = sha256(blob.etag.encode()).hexdigest()[:12]
    part = target.with_name(f".{target.name}.{version}{_PART}")
    refuse_link(part)
    refuse_link(target)
    _resumed(part, blob, source, advance)
    part.replace(target)


def _resumed(part: Path, blob: Blob, source: Source, advance: Callable[[int], None]) -> None:
    """Go on where the last try ended, so long as it brings anything or has tries left."""
    told = 0
    for tries_left in range(TRIES - 1, -1, -1):
        start = part.stat().st_size if part.exists() else 0
        advance(start - told)
        told = start

        def counted(size: int) -> None:
            nonlocal told
            told += size
            advance(size)

        try:
            with part.open("ab") as sink:
                source.download(blob, sink, start, counted)
                sink.flush()
                os.fsync(sink.fileno())
            return
        except NetworkLostError:
            if not tries_left:
                raise
            time.sleep(0.2 * (TRIES - tries_left))


def _is(path: Path, fact: FileFact) -> bool:
    return (
        not path.is_symlink()
        and path.is_file()
        and path.stat().st_size == fact.size
        and file_digest(path) == fact.sha256
    )


def refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise StorageError(f"`{path}` is a link, and may lead out of the folder", f"remove it: `rm '{path}'`")


def _make_folders(top: Path, folder: Path) -> None:
    """Each folder on the way; a link among them could lead anywhere."""
    for place in (top, *_below(top, folder)):
        refuse_link(place)
        place.mkdir(parents=True, exist_ok=True)


def _below(top: Path, folder: Path) -> Iterator[Path]:
    place = top
    for part in folder.relative_to(top).parts:
        place = place / part
        yield place
