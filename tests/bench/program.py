"""The program under measurement: how it is started, and what it says about a load."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import BenchError, Sample

BOOKS = ("read", "kept", "rejected", "duplicate")


def ss(*arguments: str | Path) -> list[str]:
    """The command line of the `ss` that belongs to this interpreter."""
    script = Path(sys.executable).with_name("ss.exe" if os.name == "nt" else "ss")
    start = [str(script)] if script.is_file() else [sys.executable, "-m", "studentsuccess"]
    return [*start, *map(str, arguments)]


@dataclass(frozen=True)
class Letter:
    """One line of a dead-letter file."""

    line: int
    column: str
    raw: str


@dataclass(frozen=True)
class Loaded:
    """What `ss etl -f json` says."""

    kind: str
    books: dict[str, dict[str, int]]
    dead_letters: tuple[Path, ...]

    def letters(self) -> list[Letter]:
        csv.field_size_limit(1 << 30)
        found = []
        for path in self.dead_letters:
            with path.open(encoding="utf-8", newline="") as source:
                found += [Letter(int(row["line"]), row["column"], row["raw"]) for row in csv.DictReader(source)]
        return found


def loaded(sample: Sample) -> Loaded:
    """The document on stdout, which must be one JSON document and nothing else."""
    try:
        said = json.loads(sample.stdout)
        books = {name: {key: int(counts[key]) for key in BOOKS} for name, counts in said["tables"].items()}
        return Loaded(said["kind"], books, tuple(Path(path).absolute() for path in said["dead_letters"]))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BenchError(f"`ss etl -f json` printed something else than its document ({problem!r})") from None


@contextmanager
def scratch(data: Path) -> Iterator[Path]:
    """A folder for what a measurement writes, beside its data and gone afterwards."""
    data.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="work-", dir=data) as folder:
        yield Path(folder)


def emptied(folder: Path) -> Path:
    """The folder, new and empty: every run starts afresh."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
