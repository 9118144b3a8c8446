"""The ledger outside the database: one line per run, each bound to the one before it by its hash.

A line that was changed, removed, moved or added by hand breaks the chain at its place. Lines cut off at the end
leave the chain whole, so the newest hash also stands in `ledger.head`, which is written after its line: a head that
is behind means a crash in between, a head without its line means that the line was taken away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from studentsuccess.core.atomic import atomic_write_text, sync_folder
from studentsuccess.core.counts import Counts
from studentsuccess.core.digest import FileFact, canonical, text_digest

GENESIS = "0" * 64
DONE = "done"


@dataclass(frozen=True)
class Record:
    """What a line tells about a run, before it is chained. Times are ISO 8601 in UTC."""

    run_id: str
    command: str
    status: str
    started: str
    finished: str
    config_digest: str
    version: str
    code: int = 0
    inputs: tuple[FileFact, ...] = ()
    outputs: tuple[FileFact, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)
    warehouse_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """The end of a chain: what the next line is bound to."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True)
class Entry:
    """A line as it stands in the file."""

    line_number: int
    seq: int
    previous: str
    hash: str
    record: Record

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)


@dataclass(frozen=True)
class Damage:
    """What is wrong with a line, as the end of the sentence `line 7 …`; `torn` is what a crash leaves behind."""

    line_number: int
    what: str
    torn: bool = False


@dataclass(frozen=True)
class Chain:
    """The readable lines in file order, and everything that is wrong."""

    entries: tuple[Entry, ...]
    damage: tuple[Damage, ...]

    @property
    def head(self) -> Head:
        return self.entries[-1].head if self.entries else Head()


def build_line(record: Record, head: Head) -> str:
    """The line (without its line feed) that follows `head`."""
    inputs = tuple(replace(fact, path=_printable(fact.path)) for fact in record.inputs)
    plain = replace(record, inputs=inputs, counts=dict(record.counts), warehouse_rows=dict(record.warehouse_rows))
    body = {**asdict(plain), "seq": head.seq + 1}
    sealed = {**body, "previous": head.hash, "hash": _seal(head.hash, body)}
    return canonical(sealed)


def _printable(path: str) -> str:
    """A file name that is not Unicode comes with lone surrogates, which no UTF-8 file can hold."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _seal(previous: str, body: Mapping[str, Any]) -> str:
    return text_digest(previous + canonical(body))


def head_path(path: Path) -> Path:
    """Where the newest hash stands beside the ledger at `path`."""
    return path.with_suffix(".head")


def append_line(path: Path, line: str) -> None:
    """Add one line and make it durable, then move the head."""
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as sink:
        sink.write(line.encode("utf-8") + b"\n")
        os.fsync(sink.fileno())
    if fresh:
        sync_folder(path.parent)
    said = json.loads(line)
    write_head(path, Head(said["seq"], said["hash"]))


def write_head(path: Path, head: Head) -> None:
    """Note the end of the chain."""
    atomic_write_text(head_path(path), canonical(asdict(head)) + "\n")


def read_head(path: Path) -> Head | None:
    """The noted end of the chain; nothing where there is none. Nonsense is a head that no line has."""
    try:
        said = json.loads(head_path(path).read_bytes())
        return Head(int(said["seq"]), str(said["hash"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Head(-1, "unreadable")


def cut_torn_tail(path: Path) -> bool:
    """Remove what a crash left after the last line feed; whole lines are never touched."""
    if not path.exists():
        return False
    with path.open("r+b") as ledger:
        content = ledger.read()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return False
        ledger.truncate(whole)
        ledger.flush()
        os.fsync(ledger.fileno())
    return True


def read_chain(path: Path) -> Chain:
    """Read every line and hold it against its hash and its neighbour. Only reads."""
    content = path.read_bytes() if path.exists() else b""
    *lines, tail = content.split(b"\n")
    entries: list[Entry] = []
    damage: list[Damage] = []
    head = Head()
    for number, raw in enumerate(lines, start=1):
        entry = _parsed(number, raw)
        if entry is None:
            damage.append(Damage(number, "is not a line that ss wrote: it was edited"))
            continue
        damage.extend(_faults(entry, raw, head))
        entries.append(entry)
        head = entry.head
    if tail:
        damage.append(Damage(len(lines) + 1, "is torn: it has no end", torn=True))
    damage.extend(_head_faults(path, entries, len(lines)))
    return Chain(tuple(entries), tuple(damage))


def _faults(entry: Entry, raw: bytes, head: Head) -> Iterable[Damage]:
    said = json.loads(raw)
    body = {key: value for key, value in said.items() if key not in ("previous", "hash")}
    if canonical(said).encode("utf-8", "surrogatepass") != raw or _seal(entry.previous, body) != entry.hash:
        yield Damage(entry.line_number, f"(run {entry.record.run_id}) was edited: it does not match its own hash")
    if entry.seq == head.seq + 1 and entry.previous == head.hash:
        return
    if entry.seq > head.seq + 1:
        what = f"has number {entry.seq} after {head.seq}: lines before it were removed"
    elif entry.seq <= head.seq:
        what = f"has number {entry.seq} after {head.seq}: lines were moved or repeated"
    else:
        what = "does not follow the line before it: that one was edited or replaced"
    yield Damage(entry.line_number, what)


def _head_faults(path: Path, entries: list[Entry], lines: int) -> Iterable[Damage]:
    """A head that names no line was written for a line that is gone; no head at all beside lines is a lost one."""
    head = read_head(path)
    if head is None:
        if len(entries) > 1:
            yield Damage(lines, f"can't be proved to be the last: `{head_path(path).name}` is missing")
    elif head not in {entry.head for entry in entries} and head != Head():
        yield Damage(lines + 1, f"is missing: the ledger once ended with number {head.seq}")


def read_record(line: str) -> Record | None:
    """What a finished line tells, also one that is not in the ledger yet."""
    entry = _parsed(0, line.encode("utf-8"))
    return entry.record if entry else None


def _parsed(number: int, raw: bytes) -> Entry | None:
    try:
        said = json.loads(raw)
        record = Record(
            **{key: said[key] for key in _PLAIN},
            code=int(said["code"]),
            inputs=tuple(FileFact(**fact) for fact in said["inputs"]),
            outputs=tuple(FileFact(**fact) for fact in said["outputs"]),
            counts={name: Counts(**counts) for name, counts in said["counts"].items()},
            warehouse_rows={name: int(rows) for name, rows in said["warehouse_rows"].items()},
        )
        return Entry(number, int(said["seq"]), str(said["previous"]), str(said["hash"]), record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


_PLAIN = ("run_id", "command", "status", "started", "finished", "config_digest", "version")
