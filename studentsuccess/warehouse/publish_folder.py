"""Marts into a folder, as Parquet and as CSV: it is written beside the one that stands, then the two are swapped."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.core.atomic import sync_file, sync_folder
from studentsuccess.core.digest import file_digest
from studentsuccess.core.locks import hold
from studentsuccess.core.sinks import RowFormat, encode_rows, open_rows
from studentsuccess.errors import BusyError, UsageError
from studentsuccess.warehouse.marts import KNOWN, Outgoing
from studentsuccess.warehouse.publish_book import Advance, Stamp, There
from studentsuccess.warehouse.recovery import reached, storage_errors
from studentsuccess.warehouse.staging import RUN_ID

RECEIPT = "publication.json"
FORMATS = {"parquet": RowFormat.PARQUET, "csv": RowFormat.CSV}
OWN = frozenset([RECEIPT, *(f"{name}.{ending}" for name in KNOWN for ending in FORMATS)])
# The numbers of the two systems that can swap two folders in one step (linux/fs.h, macOS' sys/stdio.h).
_AT_CWD, _EXCHANGE, _RENAME_SWAP = -100, 2, 2


@dataclass(frozen=True)
class Folder:
    """A folder that holds marts and nothing else."""

    path: Path

    @property
    def shown(self) -> str:
        return str(self.path)

    @property
    def whole(self) -> bool:
        return True

    def look(self) -> tuple[There, ...]:
        """What the receipt says, as far as the files bear it out."""
        with storage_errors(self.path):
            if not (self.path / RECEIPT).is_file():
                return ()
            noted = _receipt(self.path)
            return tuple(found for name in KNOWN if name in noted and (found := self._found(name, noted[name])))

    def _found(self, name: str, noted: dict[str, object]) -> There | None:
        """A file that is not as it was written has no digest."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = dict(noted.get("files") or {})  # type: ignore[call-overload]
        paths = {self.path / f"{name}.{ending}" for ending in FORMATS}
        there = {path for path in paths if path.is_file()}
        whole = there == paths and all(file_digest(path) == files.get(path.name) for path in paths)
        table = self.path / f"{name}.parquet"
        if table not in there:
            return None
        try:
            rows = pq.ParquetFile(table).metadata.num_rows
        except pa.ArrowInvalid:
            rows, whole = 0, False
        return There(name, rows, str(noted.get("digest")) if whole else None)

    def admit(self, tables: Sequence[Outgoing]) -> None:  # noqa: ARG002 - every place is asked in the same way
        with storage_errors(self.path):
            if os.path.lexists(self.path):
                self._refuse_foreign()
            parent = next(place for place in self.path.parents if place.exists())
            if not os.access(parent, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))

    def _refuse_foreign(self) -> None:
        """A folder is replaced as a whole, so there must be nothing of anybody else's in it."""
        if self.path.is_symlink() or not self.path.is_dir():
            raise UsageError(f"{self.shown}: is not a folder", "name a folder of its own: `--to DIR`")
        foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name not in OWN)
        if foreign:
            raise UsageError(
                f"{self.shown}: holds `{foreign[0]}`, which is no mart, and the folder would be replaced",
                "name an empty folder, or one that does not exist yet: `--to DIR`",
            )

    def replace(self, tables: Sequence[Outgoing], stamp: Stamp, advance: Advance) -> None:
        fresh = self._beside(stamp.run_id)
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Tried before the lock, which takes a place that can't be written for one that somebody holds.
            Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent)).rmdir()
            with self._alone():
                self._tidy()
                if os.path.lexists(self.path):
                    self._refuse_foreign()
                try:
                    self._write(fresh, tables, stamp, advance)
                    reached("written")
                    _swap(fresh, self.path)
                    reached("published")
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)

    def _beside(self, token: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{token}.part")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One publisher at a time, so that whatever lies about is nobody's."""
        with ExitStack() as held:
            try:
                held.enter_context(hold(self.path.with_name(f".{self.path.name}.lock"), "marts publish"))
            except BusyError:
                raise BusyError(f"{self.shown}: is being published to", "run it again when that has ended") from None
            yield

    def _tidy(self) -> None:
        """Remove what a killed publishing left; where it died between two renames put the old folder back first."""
        pattern = re.compile(rf"\.{re.escape(self.path.name)}\.(?:{RUN_ID}|old)\.part")
        old = self._beside("old")
        if old.is_dir() and not os.path.lexists(self.path):
            old.rename(self.path)
        for place in self.path.parent.iterdir():
            if pattern.fullmatch(place.name):
                shutil.rmtree(place, ignore_errors=True)

    def _write(self, fresh: Path, tables: Sequence[Outgoing], stamp: Stamp, advance: Advance) -> None:
        fresh.mkdir()
        noted = {table.name: _write_table(fresh, table, advance) for table in tables}
        receipt = {"run_id": stamp.run_id, "published_at": stamp.at, "tables": noted}
        (fresh / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n", "utf-8")
        sync_file(fresh / RECEIPT)
        sync_folder(fresh)


def _write_table(folder: Path, table: Outgoing, advance: Advance) -> dict[str, object]:
    paths = {form: folder / f"{table.name}.{ending}" for ending, form in FORMATS.items()}
    with ExitStack() as opened:
        sinks = {form: opened.enter_context(open_rows(path, form, table.schema)) for form, path in paths.items()}
        for batch in table.batches():
            for form, sink in sinks.items():
                sink.put(encode_rows(batch, form))
            advance(batch.num_rows)
            reached("copying")
    for path in paths.values():
        sync_file(path)
    files = {path.name: file_digest(path) for path in paths.values()}
    return {"rows": table.content.rows, "digest": table.content.digest, "files": files}


def _receipt(folder: Path) -> dict[str, dict[str, object]]:
    try:
        said = json.loads((folder / RECEIPT).read_bytes())["tables"]
        return {str(name): dict(facts) for name, facts in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _swap(fresh: Path, target: Path) -> None:
    """The new folder under the target's name; the old one, if any, under the new one's."""
    if not os.path.lexists(target):
        fresh.rename(target)
    elif not _exchange(fresh, target):
        old = fresh.with_name(f".{target.name}.old.part")
        target.rename(old)
        reached("between")
        try:
            fresh.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, where the system and the file system can."""
    names = os.fsencode(one), os.fsencode(other)
    with suppress(OSError, AttributeError, TypeError):
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(system.renamex_np(*names, _RENAME_SWAP) == 0)
        return bool(system.renameat2(_AT_CWD, names[0], _AT_CWD, names[1], _EXCHANGE) == 0)
    return False
