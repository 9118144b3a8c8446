"""Digests of files and of settings: what the ledger and the idempotency keys are made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileFact:
    """One file as it was when a run read or wrote it."""

    path: str
    size: int
    sha256: str


def file_digest(path: Path) -> str:
    """The sha256 of a file, streamed."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def file_fact(path: Path, shown_as: str | None = None) -> FileFact:
    """Size and sha256 of `path`, named as the ledger should show it."""
    return FileFact(shown_as or path.as_posix(), path.stat().st_size, file_digest(path))


def canonical(value: object) -> str:
    """One JSON text per value, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text_digest(text: str) -> str:
    """The sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
