"""Outputs onto this disk: nothing twice, nothing half, nothing outside the folder, nothing believed unread."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from studentsuccess.core.digest import FileFact
from studentsuccess.errors import ContractError, StorageError
from studentsuccess.remote import job_download
from studentsuccess.remote.azure_errors import NetworkLostError
from studentsuccess.remote.azure_jobs import Blob
from studentsuccess.remote.job_download import Download, fetch, matched

CONTENT = {"a.bin": b"0123456789" * 50, "deep/er/b.bin": b"xyz", "c.txt": b"c" * 1000}


def facts(content: dict[str, bytes] = CONTENT) -> tuple[FileFact, ...]:
    return tuple(FileFact(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in content.items())


def blobs(content: dict[str, bytes] = CONTENT, etag: str = "1") -> tuple[Blob, ...]:
    return tuple(Blob(path, len(data), etag, path) for path, data in content.items())


class Store:
    """Outputs in memory; a line that breaks after so many bytes of a file, so many times."""

    def __init__(self, content: dict[str, bytes], broken: dict[str, list[int]] | None = None) -> None:
        self.content, self.broken = content, broken or {}
        self.asked: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def download(self, blob: Blob, sink: BinaryIO, start: int, advance: Callable[[int], None]) -> None:
        with self._lock:
            self.asked.append((blob.path, start))
            cuts = self.broken.get(blob.path) or []
            cut = cuts.pop(0) if cuts else None
        rest = self.content[blob.path][start : None if cut is None else start + cut]
        sink.write(rest)
        advance(len(rest))
        if cut is not None:
            raise NetworkLostError("the connection broke")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_download.time, "sleep", lambda _seconds: None)


def bring(folder: Path, store: Store, etag: str = "1", told: list[int] | None = None) -> Download:
    download = matched("job", folder, facts(), blobs(etag=etag))
    counts = told if told is not None else []
    fetch(download, store, 2, counts.append)
    return download


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_comes_and_every_byte_is_told_once(tmp_path: Path) -> None:
    told: list[int] = []
    download = bring(tmp_path / "in", Store(CONTENT), told=told)
    assert on_disk(tmp_path / "in") == CONTENT
    assert sum(told) == download.size == sum(map(len, CONTENT.values()))


def test_a_broken_line_goes_on_where_it_broke(tmp_path: Path) -> None:
    store, told = Store(CONTENT, {"a.bin": [100, 0, 250]}), list[int]()
    bring(tmp_path, store, told=told)
    assert [start for path, start in store.asked if path == "a.bin"] == [0, 100, 100, 350]
    assert on_disk(tmp_path) == CONTENT
    assert sum(told) == sum(map(len, CONTENT.values()))


def test_what_came_before_it_was_given_up_is_not_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(NetworkLostError):
        bring(tmp_path, Store(CONTENT, {"a.bin": [100, 0, 0, 0]}))
    again = Store(CONTENT)
    bring(tmp_path, again)
    assert ("a.bin", 100) in again.asked
    assert {path for path, start in again.asked if start == 0}.isdisjoint({"a.bin"})
    assert on_disk(tmp_path) == CONTENT


def test_the_rest_of_another_version_is_never_added(tmp_path: Path) -> None:
    with pytest.raises(NetworkLostError):
        bring(tmp_path, Store(CONTENT, {"a.bin": [100, 0, 0, 0]}))
    changed = Store(CONTENT)
    bring(tmp_path, changed, etag="2")
    assert ("a.bin", 0) in changed.asked
    assert on_disk(tmp_path)["a.bin"] == CONTENT["a.bin"]


def test_a_file_that_is_there_as_listed_is_not_fetched(tmp_path: Path) -> None:
    bring(tmp_path, Store(CONTENT))
    (tmp_path / "c.txt").write_bytes(b"d" * 1000)
    again = Store(CONTENT)
    bring(tmp_path, again)
    assert [path for path, _ in again.asked] == ["c.txt"]
    assert on_disk(tmp_path)["c.txt"] == CONTENT["c.txt"]


def test_other_content_of_the_same_size_is_refused_and_kept(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"`c\.txt` has other content than the job recorded"):
        bring(tmp_path, Store({**CONTENT, "c.txt": b"d" * 1000}))
    assert on_disk(tmp_path)["c.txt"] == b"d" * 1000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"a.bin": b""}, "`a.bin` is empty"),
        ({"a.bin": b"x" * 499}, "`a.bin` has 499 bytes instead of 500"),
        ({"../x": b"x"}, "leads out of its folder"),
        ({"/x": b"x"}, "leads out of its folder"),
    ],
)
def test_what_is_wrong_by_its_listing_is_not_fetched(tmp_path: Path, changed: dict[str, bytes], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        matched("job", tmp_path, facts(), blobs({**CONTENT, **changed}))


def test_one_that_is_missing_is_named_and_one_too_many_is_left_there(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"`c\.txt` is on its list and not among its outputs"):
        matched("job", tmp_path, facts(), blobs({path: data for path, data in CONTENT.items() if path != "c.txt"}))
    download = matched("job", tmp_path, facts(), blobs({**CONTENT, "z.txt": b"z", "ss_manifest.json": b"{}"}))
    assert download.strangers == ("z.txt",)


@pytest.mark.posix
@pytest.mark.parametrize("place", ["deep", "deep/er", "a.bin", "."])
def test_a_link_on_the_way_is_refused(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.bin").write_bytes(b"mine")
    folder = tmp_path / "in"
    if place == ".":
        folder.symlink_to(outside)
    else:
        (folder / place).parent.mkdir(parents=True)
        (folder / place).symlink_to(outside / "a.bin" if place == "a.bin" else outside)
    with pytest.raises(StorageError, match="is a link"):
        bring(folder, Store(CONTENT))
    assert on_disk(outside) == {"a.bin": b"mine"}
