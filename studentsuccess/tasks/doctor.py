"""`ss doctor`: this machine and this workspace, as far as a look tells."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studentsuccess import __version__
from studentsuccess.core.locks import read_holder
from studentsuccess.tasks.context import Context, free_space

LIBRARIES = ("duckdb", "pyarrow", "polars", "numpy", "typer", "pydantic")
EXTRAS = {
    "azure": "azure-ai-ml",
    "postgres": "duckdb-extension-postgres-scanner",
    "s3": "duckdb-extension-httpfs",
    "dask": "distributed",
}
LOW_SPACE = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    topic: str
    value: str
    level: Literal["ok", "note", "problem"] = "ok"
    hint: str = ""


def run(context: Context) -> tuple[Check, ...]:
    """Look at everything; change nothing."""
    return (*_program(), *_budget(context), *_workspace(context), *_extras())


def _program() -> Iterator[Check]:
    yield Check("program", f"studentsuccess {__version__} in {Path(sys.prefix)}")
    yield Check("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _command()
    yield Check("libraries", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES))


def _command() -> Check:
    """Which `ss` the shell will find: Linux has another one, iproute2's list of sockets."""
    found = shutil.which("ss")
    folder = Path(sys.executable).parent
    if found is None:
        return Check(
            "ss command",
            "the shell finds none",
            "note",
            f'add this folder to the PATH: `export PATH="{folder}:$PATH"`, or call `studentsuccess`',
        )
    if Path(found).resolve().parent == folder.resolve() or Path(found).parent.resolve() == folder.resolve():
        return Check("ss command", f"{found} is ours")
    return Check(
        "ss command",
        f"{found} is another program",
        "note",
        f'to make ours win: `export PATH="{folder}:$PATH"`, or call `studentsuccess`, which is the same',
    )


def _budget(context: Context) -> Iterator[Check]:
    budget = context.budget
    yield Check("memory", f"{_size(budget.memory)} ({budget.memory_source})")
    yield Check("processors", f"{budget.cpus} ({budget.cpu_source})")
    yield Check("batch", f"{budget.batch_rows():,} rows of 1 KiB; blocks of {_size(budget.block_bytes)}")
    yield Check("database", f"{_size(budget.database_memory)} of memory, {budget.workers} threads")


def _workspace(context: Context) -> Iterator[Check]:
    place = context.workspace
    exists = place.root.is_dir()
    yield Check("workspace", f"{place.root}" + ("" if exists else " (not there yet: made when first written)"))
    yield Check("config", str(place.config_file) if place.config_file.is_file() else "none: the defaults are complete")
    yield _space(place.root)
    existing = next(path for path in (place.root, *place.root.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Check("writable", f"{existing} can't be written", "problem", "choose another folder with `-w`")
    yield _warehouse(context)
    yield _lock(context)


def _space(root: Path) -> Check:
    free = free_space(root)
    if free < LOW_SPACE:
        return Check("disk", f"{_size(free)} free", "problem", "free some space, or choose another disk with `-w`")
    return Check("disk", f"{_size(free)} free")


def _warehouse(context: Context) -> Check:
    file = context.workspace.warehouse
    if not file.is_file():
        return Check("warehouse", "none yet")
    return Check("warehouse", f"{file.name}, {_size(file.stat().st_size)}; `ss verify` checks it")


def _lock(context: Context) -> Check:
    holder = read_holder(context.workspace.lock)
    if holder is None:
        return Check("lock", "free")
    return Check("lock", f"last held by pid {holder.pid} (`ss {holder.command}`)", "note", "`--wait 60` waits for it")


def _extras() -> Iterator[Check]:
    have, lack = [], []
    for extra, package in EXTRAS.items():
        try:
            importlib.metadata.version(package)
            have.append(extra)
        except importlib.metadata.PackageNotFoundError:
            lack.append(extra)
    value = f"{', '.join(have) or 'none'} installed" + (f"; without {', '.join(lack)}" if lack else "")
    yield Check("extras", value)


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} bytes"
