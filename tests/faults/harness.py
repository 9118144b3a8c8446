"""A real command in a prepared workspace, one fault, the command again, and what must be as if nothing had happened.

`COMMANDS` is the list of what is tried: a new command is a line in it. What each needs is made once a session by the
commands that it names, and copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow.parquet as pq
from azure_wire import Cloud
from filelock import FileLock
from made_terms import Term, write_term
from trained import put, students

import studentsuccess as ss
from studentsuccess.config.workspace import Workspace
from studentsuccess.warehouse.ledger import DONE, read_chain

KILL = 9  # SIGKILL, where there are signals
NOT_REACHED = "a system call that was not reached"  # on another schedule a thread may make fewer
PATIENCE = 300  # seconds until a command that should end is given up; never waited for otherwise
Kind = TypeVar("Kind")
# Calls by which a command changes what is on the disk.
WRITES = ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "mkdir", "rmdir", "unlink", "unlinkat")
SMALL = ("--set", "etl.demo_students=300", "--set", "risk.week=1")
LEARN = ("--data", "learn.csv", "--target", "Outcome", "--id", "student_id")
SEARCH = ("--algorithm", "search", "--name", "found", "--trials", "3", "--cv", "2")
COURSES = ("etl --demo", "train risk", "score risk")
TIDY = ("etl --demo", "train incremental", "score")
JOB = "JOB"  # stands for the one job that the cloud knows
CLOUDY = ("train remote", "train fetch")


@dataclass(frozen=True)
class Command:
    """A command that changes something, and the commands that make what it needs. `slow` ones are tried less often by
    what is no kill; one that is `no_victim` only makes what others need."""

    name: str
    words: tuple[str, ...]
    after: tuple[str, ...] = ()
    slow: bool = False
    no_victim: bool = False

    @property
    def key(self) -> str:
        """A name for files."""
        return self.name.replace(" ", "_")


COMMANDS = {
    one.name: one
    for one in (
        Command("etl", ("etl", "learn.csv", "--id", "student_id")),
        Command("etl --demo", ("etl", "--demo", "--students", "300")),
        Command("train incremental", ("train", "local", *LEARN, "--epochs", "2")),
        Command("train search", ("train", "local", *LEARN, *SEARCH), slow=True),
        Command("train risk", ("train", "local", "--algorithm", "risk", "--week", "1"), ("etl --demo",), slow=True),
        Command("score", ("score", "learn.csv"), ("train incremental",)),
        Command("score risk", ("score",), COURSES[:2], slow=True),
        Command("marts build", ("marts", "build"), COURSES),
        Command("marts publish", ("marts", "publish", "--to", "published"), (*COURSES, "marts build")),
        Command("marts to sqlite", ("marts", "publish", "--to", "sqlite:///bi.db"), (*COURSES, "marts build")),
        Command("alerts", ("alerts",), COURSES),
        Command("experiment", ("experiment",), COURSES),
        Command("report", ("report",), (*COURSES, "marts build")),
        Command("clean", ("clean", "--what", "inputs,outputs,logs", "-y"), TIDY),
        Command("clean --undo", ("clean", "--undo"), (*TIDY, "clean")),
        Command("batch process", ("batch", "process", "term", "-o", "batches", "--date", "2026-09-01")),
        Command("train remote", ("train", "remote", *LEARN, "--epochs", "2", "--follow"), no_victim=True),
        Command("train fetch", ("train", "fetch", JOB), ("train remote",), slow=True),
        Command("run", ("run", "--demo", *SMALL), slow=True),
    )
}


@dataclass(frozen=True)
class Ended:
    """How a command ended; a negative code is a signal's."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    def is_told(self) -> bool:
        """Errors are lines of ours, and never a traceback or a defect."""
        return "Traceback" not in self.err and "this is a defect of ss" not in self.err


@dataclass(frozen=True)
class State:
    """All that a command decides; ids of runs, times and what hangs on them are not among it."""

    tables: Mapping[str, tuple[int, str]]
    files: Mapping[str, str]
    done: Mapping[str, int]
    left: tuple[str, ...]


@dataclass
class Lab:
    """Workspaces in all their stages, below one folder which the workers of a session share; each has its own cloud."""

    folder: Path
    environ: Mapping[str, str]
    cloud: Callable[[], Cloud]
    worker: str = ""
    _undisturbed: dict[str, tuple[State, float]] = field(default_factory=dict)

    @cached_property
    def python(self) -> list[str]:
        return [sys.executable, "-m", "studentsuccess"]

    def call(
        self, words: Sequence[str], folder: Path, *, prefix: Sequence[str] = (), expect: int | None = None
    ) -> Ended:
        """A command to its end, whatever that is."""
        began = time.monotonic()
        done = subprocess.run(
            [*prefix, *self.python, *self._said(words)],
            cwd=folder,
            env=self._environ(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        ended = Ended(done.returncode, _text(done.stdout), _text(done.stderr), time.monotonic() - began)
        assert expect is None or ended.code == expect, (words, ended)
        return ended

    def start(self, words: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """A command that somebody will disturb."""
        return subprocess.Popen(
            [*self.python, *self._said(words)],
            cwd=folder,
            env=self._environ(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _environ(self, words: Sequence[str]) -> dict[str, str]:
        there = self.cloud().env() if " ".join(words[:2]) in CLOUDY else {}
        return {**self.environ, **there, "PYTHONDONTWRITEBYTECODE": "1"}

    def _said(self, words: Sequence[str]) -> list[str]:
        return [next(iter(self.cloud().state.jobs)) if word == JOB else word for word in words]

    def _place(self, *names: str) -> Path:
        """A place for what belongs to these commands; a job is known to the cloud of one worker only."""
        own = self.worker if set(names) & set(CLOUDY) else ""
        return self.folder / (own + hashlib.sha256(repr(names).encode()).hexdigest()[:12])

    def template(self, names: tuple[str, ...]) -> Path:
        """The workspace after these commands, made from the one before the last of them."""
        place = self._place(*names)
        with FileLock(f"{place}.lock"):
            if not Path(f"{place}.ready").exists():
                shutil.rmtree(place, ignore_errors=True)
                if names:
                    shutil.copytree(self.template(names[:-1]), place)
                    self.call([*COMMANDS[names[-1]].words, "-q"], place, expect=0)
                else:
                    place.mkdir(parents=True)
                    put(place / "learn.csv", students(150))
                    write_term(place / "term", Term(300))
                Path(f"{place}.ready").touch()
        return place

    def before(self, command: Command, folder: Path) -> Path:
        """A copy of what stands when the command begins."""
        return shutil.copytree(self.template(command.after), folder, dirs_exist_ok=True)

    def undisturbed(self, command: Command) -> tuple[State, float]:
        """What the command leaves when nothing happens, and about how long it takes."""
        if command.name not in self._undisturbed:
            after = self.template((*command.after, command.name))
            state = state_of(after)
            timed = self._place(command.name, "seconds")
            with FileLock(f"{timed}.lock"):
                if not timed.exists():
                    copy = self.before(command, timed.with_suffix(".copy"))
                    timed.write_text(str(self.call(command.words, copy, expect=0).seconds))
                    shutil.rmtree(copy)
            self._undisturbed[command.name] = (state, float(timed.read_text()))
        return self._undisturbed[command.name]

    def calls_of(self, command: Command, strace: str) -> dict[str, int]:
        """How many of each writing call the thread makes that makes the most: strace counts by thread."""
        book = self._place(command.name, "calls")
        with FileLock(f"{book}.lock"):
            if not book.exists():
                copy, traced = self.before(command, book.with_suffix(".copy")), book.with_suffix(".traced")
                trace = [strace, "-f", "-qq", "-e", f"trace={','.join(WRITES)}", "-o", str(traced)]
                self.call(command.words, copy, prefix=trace, expect=0)
                book.write_text(json.dumps(_most_in_a_thread(traced.read_text("utf-8", "replace"))))
                shutil.rmtree(copy)
                traced.unlink()
        counted: dict[str, int] = json.loads(book.read_text())
        return counted

    def kill(self, command: Command, folder: Path, part: float) -> bool:
        """After that part of the command's time; whether that hit."""
        _, seconds = self.undisturbed(command)
        with self.start(command.words, folder) as process:
            return strike(process, seconds * part, KILL).code == -KILL

    def kill_afresh(self, command: Command, folder: Path, part: float) -> bool:
        """As `kill`, in a workspace in which nothing was done yet. Where it comes too late the command takes less time
        than it once did beside others: that is remembered, and it is tried again."""
        for _ in range(2):
            self.before(command, folder)
            began = time.monotonic()
            if self.kill(command, folder, part):
                return True
            state, seconds = self.undisturbed(command)
            self._undisturbed[command.name] = (state, min(seconds, time.monotonic() - began))
            shutil.rmtree(folder)
        self.before(command, folder)
        return False

    def check_again(self, command: Command, folder: Path) -> None:
        """After a fault nothing is damaged; the same command again ends where an undisturbed one does."""
        assert not damage(folder), damage(folder)
        again = self.call([*command.words, "-q"], folder)
        assert again.code == 0, again
        self.check_as_undisturbed(command, folder)

    def check_as_undisturbed(self, command: Command, folder: Path) -> None:
        wanted, _ = self.undisturbed(command)
        changed = differences(wanted, state_of(folder))
        assert not changed, changed
        assert not damage(folder), damage(folder)


_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)


def _most_in_a_thread(traced: str) -> dict[str, int]:
    counted = Counter(_CALL.findall(traced))
    most: dict[str, int] = {}
    for (_, call), count in counted.items():
        if call in WRITES:
            most[call] = max(most.get(call, 0), count)
    return most


def differences(wanted: State, found: State) -> list[str]:
    """What a fault changed, thing by thing: the text that a failure shows."""
    told = [f"left behind: {name}" for name in found.left if name not in wanted.left]
    for what, one, other in (("table", wanted.tables, found.tables), ("file", wanted.files, found.files)):
        told += [f"{what} {name}: lost" for name in one if name not in other]
        told += [f"{what} {name}: new" for name in other if name not in one]
        both = [name for name in one if name in other and one[name] != other[name]]
        told += [f"{what} {name}: {one[name]} became {other[name]}" for name in both]
    return [*told, *([] if wanted.done == found.done else [f"runs {wanted.done} became {found.done}"])]


def damage(folder: Path) -> list[str]:
    return [f"{one.subject}: {one.what}" for one in ss.verify(folder) if one.level == "damage"]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


# What differs between two runs that did the same.
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z| UTC)?")
_BOOKS = ("warehouse.duckdb", "warehouse.duckdb.wal", "logs/ledger.jsonl", "logs/ledger.head")
_LOCKS = (".lock", ".lock.json")  # who holds something, or held it when it was killed: nobody believes that
# They hold digests of texts with ids and times in them. Predictions and figures, which hang on them, are compared.
_BOUND = ("manifest.json", "artifacts_manifest.json", "card.md", "pipeline.skops", "RUN.jsonl")
_BOUND_COLUMNS = {"run_id", "manifest_sha256", "ledger_line", "inputs", "outputs", "key", "alerts_digest", "spec"}
_BOUND_COLUMNS |= {"predictions_digest", "sequence", "data_digest"}


def state_of(folder: Path) -> State:
    """The workspace as far as two equal runs must agree."""
    chain = read_chain(Workspace(folder).ledger)
    assert chain.damage == ()
    done = Counter(entry.record.command for entry in chain.entries if entry.record.status == DONE)
    staging = folder / ".staging"
    # A folder whose owner died before it had written its name: for an hour nobody can know that it is nobody's.
    named = (
        path for path in staging.iterdir() if path.suffix != ".new" or any(one.stat().st_size for one in path.iterdir())
    )
    left = tuple(sorted(path.name for path in named)) if staging.is_dir() else ()
    parts = tuple(sorted(path.name for path in folder.rglob("*.part")))
    return State(_tables(folder), _files(folder), dict(done), (*left, *parts))


def _tables(folder: Path) -> dict[str, tuple[int, str]]:
    if not (folder / "warehouse.duckdb").exists():
        return {}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        names = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE table_name <> 'migration' ORDER BY ALL"
        ).fetchall()
        return {f"{schema}.{name}": _digest(connection, schema, name, str(folder)) for schema, name in names}


def _digest(connection: duckdb.DuckDBPyConnection, schema: str, name: str, root: str) -> tuple[int, str]:
    """Rows, and a digest of them without what no two runs share."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = ? AND table_name = ? ORDER BY ALL",
        [schema, name],
    ).fetchall()
    kept = [column for column, kind in columns if column not in _BOUND_COLUMNS and "TIMESTAMP" not in kind]
    cells = ", ".join(f'"{column}"' for column in kept)
    rows = connection.execute(f'SELECT {cells or 1} FROM "{schema}"."{name}" ORDER BY ALL').fetchall()  # noqa: S608
    return len(rows), hashlib.sha256(_plain(repr(rows).replace(root, "."))).hexdigest()


def _plain(text: str) -> bytes:
    return _TIME.sub("TIME", _ID.sub("RUN", text)).encode("utf-8", "surrogateescape")


def _files(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        skipped = name in _BOOKS or name.endswith((*_LOCKS, ".part")) or name.startswith(".staging/")
        if path.is_file() and not skipped:
            found[_ID.sub("RUN", name)] = _content(path)
    return found


def _content(path: Path) -> str:
    """A digest of what two runs share of a file; where that is nothing, that it is there."""
    if _ID.sub("RUN", path.name) in _BOUND:
        return "there"
    if path.suffix in (".parquet", ".db"):
        rows = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else _sqlite(path)
        return hashlib.sha256(_plain(_without_bound(repr(rows)))).hexdigest()
    raw = path.read_bytes()
    return hashlib.sha256(_plain(_without_bound(raw.decode("utf-8", "surrogateescape")))).hexdigest()


def _without_bound(text: str) -> str:
    """Without the digests and times of runs."""
    text = re.sub(r"datetime\.datetime\([^)]*\)", "TIME", text)
    return re.sub(r"\b[0-9a-f]{12,64}\b", "DIGEST", text)


def _sqlite(path: Path) -> list[object]:
    import sqlite3

    with closing(sqlite3.connect(path)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        return [(name, sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))) for name in names]  # noqa: S608


def strike(process: subprocess.Popen[bytes], seconds: float, blow: int = KILL) -> Ended:
    """Hit a running command after some time, if it has not ended by then. The wait is the fault, not a rendezvous."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(blow)
        out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, _text(out), _text(err))


def injected(strace: str, call: str, what: str, when: str, seen: str | Path = os.devnull) -> list[str]:
    """The words before a command that make its N-th system call of a kind fail, or be its last; what strace saw."""
    return [strace, "-f", "-qq", "-o", str(seen), "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]


def in_turn(counts: Mapping[Kind, int], draw: random.Random) -> list[tuple[Kind, int]]:
    """Each kind's things by their numbers, with a turn for each kind: the few renames and syncs of a command come whole
    before its many writes do."""
    kinds = [draw.sample([(kind, number + 1) for number in range(count)], count) for kind, count in counts.items()]
    return [one for one in chain.from_iterable(zip_longest(*kinds)) if one]


def drawn(seed: int, *what: object) -> random.Random:
    """The same draws for the same test of the same seed, in whatever order tests run."""
    return random.Random(f"{seed}:{json.dumps([str(one) for one in what])}")  # noqa: S311 - no secret
