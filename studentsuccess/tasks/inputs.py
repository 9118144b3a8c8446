"""What the user named on the command line, as files: paths, folders, patterns and stdin."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.core.names import nearest
from studentsuccess.errors import StorageError, UsageError

DATA_ENDINGS = (".csv", ".tsv", ".txt", ".psv", ".parquet", ".jsonl", ".ndjson", ".json")
PACKED_ENDINGS = (".gz", ".zst")
STDIN = "-"


@dataclass(frozen=True)
class NamedFile:
    """A file to read and what the user calls it."""

    path: Path
    shown: str


@contextmanager
def resolved(named: Sequence[str]) -> Iterator[tuple[NamedFile, ...]]:
    """Every file that was meant, in a stable order. Stdin is kept in a temporary file while it is needed."""
    with tempfile.TemporaryDirectory(prefix="ss-stdin-") as folder:
        files: list[NamedFile] = []
        for name in named:
            files.extend([_spooled(Path(folder))] if name == STDIN else _files(name))
        unique = {file.path.resolve(): file for file in reversed(files)}
        yield tuple(sorted(unique.values(), key=files.index))


def _spooled(folder: Path) -> NamedFile:
    """Stdin as a file: its types are decided over the whole of it, so it may be read twice."""
    if sys.stdin is None:
        raise UsageError("stdin is closed", "give it a file: `ss etl - < FILE`")
    path = folder / "stdin"
    try:
        with path.open("wb") as sink:
            shutil.copyfileobj(sys.stdin.buffer, sink, 1 << 20)
    except OSError as problem:
        raise StorageError(
            f"stdin can't be kept in {folder.parent}: {(problem.strerror or 'no space').lower()}",
            "set TMPDIR to a folder with more space",
        ) from None
    return NamedFile(path, "stdin")


def _files(name: str) -> list[NamedFile]:
    path = Path(name).expanduser()
    if path.is_dir():
        found = [NamedFile(inner, f"{name.rstrip('/')}/{inner.name}") for inner in sorted(path.iterdir())]
        tables = [file for file in found if is_data(file.path)]
        if not tables:
            raise UsageError(
                f"{name}: no table in this folder", f"it should hold {', '.join(DATA_ENDINGS[:5])} … files"
            )
        return tables
    if path.exists():
        return [NamedFile(path, name)]
    matches = sorted(glob.glob(name)) if glob.has_magic(name) else []  # noqa: PTH207 - patterns may be absolute
    if matches:
        return [NamedFile(Path(match), match) for match in matches if Path(match).is_file()]
    near = nearest(path.name, _siblings(path))
    hint = f"did you mean `{path.with_name(near)}`?" if near else "check the path; `-` reads stdin"
    raise UsageError(f"{name}: not there", hint)


def _siblings(path: Path) -> list[str]:
    try:
        return [inner.name for inner in path.parent.iterdir()]
    except OSError:
        return []


def is_data(path: Path) -> bool:
    """Whether a file in a folder is one to read, by its ending; hidden ones never are."""
    name = path.name.lower()
    for ending in PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return path.is_file() and not name.startswith(".") and name.endswith(DATA_ENDINGS)
