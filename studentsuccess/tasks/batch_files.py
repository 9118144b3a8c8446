"""Where a batching run writes: a folder of its own beside the target, checked as a whole before anything is renamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.atomic import atomic_write_text
from studentsuccess.core.sinks import RowFormat, encode_rows, open_rows
from studentsuccess.warehouse.commit import StagedFile
from studentsuccess.warehouse.recovery import storage_errors
from studentsuccess.warehouse.staging import OWNER, RUN_ID, UNNAMED, is_left, is_promised, make_owned, remove_owned

TABLES = ("student_batches", "batch_student_membership", "batch_course_enrollment", "batch_resource_assignment")
QUALITY, IMPOSSIBLE, LOGS = "quality.json", "infeasible.json", "logs"
# Rows that are made into text at once.
ROWS = 1 << 15


@contextmanager
def beside(target: Path, workspace: Workspace, run_id: str) -> Iterator[Path]:
    """An empty folder on the target's disk. It is gone when the block ends, unless a COMMIT has promised its files."""
    folder = target.with_name(f".{target.name}.{run_id}.part")
    with storage_errors(folder):
        make_owned(folder)
    try:
        yield folder
    finally:
        if not is_promised(workspace, run_id):
            remove_owned(folder)


def clear_leftovers(target: Path) -> None:
    """Folders of runs that were killed. Only after a commit: what one of them had promised is in its place by then."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{RUN_ID}\.part(\.\d+{re.escape(UNNAMED)})?")
    with suppress(OSError):
        for folder in target.parent.iterdir():
            if pattern.fullmatch(folder.name) and is_left(folder):
                remove_owned(folder)


def write_table(folder: Path, name: str, table: pa.Table) -> None:
    """One CSV: safe in a spreadsheet, quoted where a comma or a line end asks for it."""
    with storage_errors(folder), open_rows(folder / f"{name}.csv", RowFormat.CSV, table.schema) as sink:
        for batch in table.combine_chunks().to_batches(ROWS):
            sink.put(encode_rows(batch, RowFormat.CSV))


def write_text(folder: Path, name: str, text: str) -> None:
    with storage_errors(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "backslashreplace"))


def as_json(document: Mapping[str, object]) -> str:
    """For people and programs: an entry a line, and nothing that is not JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def staged(folder: Path, target: Path) -> list[StagedFile]:
    """Every file that was written, and where it is to appear."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != OWNER)
    return [StagedFile(path, target / path.relative_to(folder)) for path in files]


def write_impossible(target: Path, document: Mapping[str, object]) -> Path:
    """Why there is no solution, beside whatever an earlier run left."""
    path = target / IMPOSSIBLE
    with storage_errors(path):
        atomic_write_text(path, as_json(document))
    return path


def possible_now(target: Path) -> None:
    """An earlier run's reasons are history once there is a solution."""
    with suppress(OSError):
        (target / IMPOSSIBLE).unlink(missing_ok=True)
