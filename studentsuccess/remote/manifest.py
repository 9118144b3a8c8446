"""The list of what was published: written last, so that whatever stands in it has arrived and was checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from studentsuccess.warehouse.staging import RUN_ID

FORMAT = 1


@dataclass(frozen=True)
class Stamp:
    """Which run published, and when."""

    run_id: str
    at: str


@dataclass(frozen=True)
class Source:
    """What the files were made with and of."""

    program: str
    models: Sequence[Mapping[str, object]]
    database: Mapping[str, object] | None


@dataclass(frozen=True)
class Entry:
    """A file that is there: `etag` is what the store calls this version of it."""

    path: str
    size: int
    sha256: str
    uri: str
    etag: str


@dataclass(frozen=True)
class Known:
    """A manifest that was found in a store, as far as it is one."""

    raw: bytes = b""
    stamp: Stamp | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)


def render(stamp: Stamp, source: Source, to: str, entries: Sequence[Entry], *, complete: bool = True) -> bytes:
    """The same facts give the same bytes. While files are on their way the list is shorter, and says so."""
    document = {
        "format": FORMAT,
        "run_id": stamp.run_id,
        "published_at": stamp.at,
        "complete": complete,
        "to": to,
        "program": source.program,
        "models": list(source.models),
        "database": source.database,
        "files": [asdict(entry) for entry in sorted(entries, key=lambda one: one.path)],
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def parse(raw: bytes | None) -> Known:
    """What somebody else's hands may have been on: whatever is not as we write it counts as not there."""
    try:
        said = json.loads(raw or b"")
        entries = [Entry(**{name: kind(one[name]) for name, kind in _FIELDS.items()}) for one in said["files"]]
        stamp = Stamp(_matching(RUN_ID, said["run_id"]), _matching(r"[0-9T:+.-]{19,40}", said["published_at"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Known(raw or b"")
    return Known(raw or b"", stamp, {entry.path: entry for entry in entries})


_FIELDS: Mapping[str, type[Any]] = {"path": str, "size": int, "sha256": str, "uri": str, "etag": str}


def _matching(pattern: str, text: object) -> str:
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise ValueError
    return text
