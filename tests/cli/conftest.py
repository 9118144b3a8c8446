"""What the tests of the command line share: every command that exists, a workspace with a demo in it, small helpers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from effort import FULL
from made_jobs import JOB, NOWHERE, an_entry, noted
from made_models import context_of, make_manifest, register
from made_predictions import make_predictions
from made_terms import Term, write_term
from made_trials import a_trial
from trained import put, students

ROOT = Path(__file__).resolve().parents[2]
STUDENTS = 300
TERM_STUDENTS = 150
# What a command needs to have something to do; one that is not named here is run bare.
SOMETHING_TO_DO: dict[str, tuple[str, ...]] = {
    "etl": ("inputs/demo", "--kind", "oulad"),
    "models show": ("grade@1",),
    "models compare": ("grade@1", "grade@2"),
    "models promote": ("grade@2",),
    "train local": ("--data", "learn.csv", "--target", "Outcome", "--id", "student_id", "--epochs", "2"),
    "train remote": ("--data", "azureml://datastores/a/paths/b.csv", "--target", "c", "--dry-run", *NOWHERE),
    "train fetch": (JOB, "--dry-run", *NOWHERE),
    "train cancel": (JOB, "--dry-run", *NOWHERE),
    "archive": (JOB, "--dry-run", *NOWHERE),
    "score": ("learn.csv",),
    "explain": ("learn.csv", "--top", "2"),
    "run": ("--from", "marts", "--until", "alerts"),
    "marts publish": ("--to", "published"),
    "marts check": ("--to", "published"),
    "experiment analyze": ("trial.csv",),
    "publish": ("--to", "artifacts"),
    "batch check": ("term",),
    "batch process": ("term", "-o", "batches", "--date", "2025-09-01"),
    "batch verify": ("batches", "term"),
}
# These need a job that was sent. One that is archived is not asked about, so that nobody needs the network.
SENT = (("train", "status"), ("train", "fetch"), ("train", "cancel"), ("archive",))
# These need a table and a model that learned from it.
LEARNED = ("score", "explain")
# These need predictions, marts and a trial on paper.
FORETOLD = ("run", "marts", "alerts", "experiment", "roi", "report", "publish")


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The root, every group and every command, as they are typed."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*words, name))


def everything() -> dict[tuple[str, ...], Any]:
    import typer

    from studentsuccess.cli.app import app

    return dict(walk(typer.main.get_command(app)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`words`: every command that does something. `group`: every bare group without a default. `place`: all of them."""
    found, step = everything(), 3 if metafunc.definition.get_closest_marker("some") and not FULL else 1
    commands = [words for words, one in found.items() if not hasattr(one, "commands")]
    groups = [words for words, one in found.items() if hasattr(one, "commands") and not one.invoke_without_command]
    for name, cases in (("words", commands), ("group", groups), ("place", list(found))):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, cases[::step], ids=[" ".join(("ss", *case)) for case in cases[::step]])


@pytest.fixture(scope="session")
def tree() -> dict[tuple[str, ...], Any]:
    """Every command by the words that call it."""
    return everything()


@pytest.fixture(scope="session")
def learned_once(demo_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with a table and a model that learned from it; not to be written to."""
    import studentsuccess as ss

    folder = shutil.copytree(demo_once, tmp_path_factory.mktemp("learned") / "workspace")
    ss.train(put(folder / "learn.csv", students(120)), "Outcome", folder, settings={"train.epochs": "2"})
    return folder


@pytest.fixture(scope="session")
def foretold_once(demo_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with predictions, marts that are published in a folder, and a trial; not to be written to."""
    from studentsuccess.core.reporter import SilentReporter
    from studentsuccess.tasks import alerts_log, experiment, marts, marts_publish

    folder = shutil.copytree(demo_once, tmp_path_factory.mktemp("foretold") / "workspace")
    made = make_predictions(folder)
    context, silent = context_of(folder), SilentReporter()
    marts.run(marts.plan(context), silent)
    experiment.run(experiment.plan(context), silent)
    marts_publish.run(marts_publish.plan(str(folder / "published"), context), silent)
    called = made.prediction["student_id"][0].as_py()
    alerts_log.run(alerts_log.plan(alerts_log.LogRequest((called,), on=date(2014, 11, 1)), (), context))
    a_trial(folder / "trial.csv", (("treatment", 30, 24), ("control", 30, 15)))
    return folder


@pytest.fixture(scope="session")
def term_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A term's files; not to be written to."""
    return write_term(tmp_path_factory.mktemp("made") / "term", Term(TERM_STUDENTS, seed=3))


@pytest.fixture(scope="session")
def batches_once(term_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The batches of that term; not to be written to."""
    import studentsuccess as ss

    folder = tmp_path_factory.mktemp("batched")
    ss.process_student_batching(term_once, folder / "batches", folder / "workspace", day=date(2025, 9, 1))
    return folder / "batches"


@pytest.fixture
def term(term_once: Path, workspace: Path) -> Path:
    """A copy of that term, to do anything with, where `run_ss` and `cli` start."""
    return shutil.copytree(term_once, workspace / "term")


@pytest.fixture
def something(workspace: Path, request: pytest.FixtureRequest) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """The words of a command and the arguments with which it has something to do; the models it needs are there."""

    ready: set[tuple[str, ...]] = set()

    def call(words: tuple[str, ...]) -> tuple[str, ...]:
        if words[:1] == ("models",) and not (workspace / "models").exists():
            context = context_of(workspace)
            for version in (1, 2):
                register(context, make_manifest("grade", version, "regression"), production=version == 1)
        if words in SENT and words not in ready:
            noted(workspace, an_entry(), archived=True)
            ready.add(words)
        if words[:1] == ("train",) and not (workspace / "learn.csv").exists():
            put(workspace / "learn.csv", students(120))
        if words[:1] in {(name,) for name in LEARNED} and not (workspace / "learn.csv").exists():
            shutil.copytree(request.getfixturevalue("learned_once"), workspace, dirs_exist_ok=True)
        if words[:1] in {(name,) for name in FORETOLD} and not (workspace / "published").exists():
            shutil.copytree(request.getfixturevalue("foretold_once"), workspace, dirs_exist_ok=True)
        if words[:1] == ("batch",) and not (workspace / "term").exists():
            shutil.copytree(request.getfixturevalue("term_once"), workspace / "term")
            if words == ("batch", "verify"):
                shutil.copytree(request.getfixturevalue("batches_once"), workspace / "batches")
        return (*words, *SOMETHING_TO_DO.get(" ".join(words), ()))

    return call


@pytest.fixture(scope="session")
def demo_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace into which the demo was loaded; not to be written to."""
    folder = tmp_path_factory.mktemp("demo") / "workspace"
    folder.mkdir()
    steering = re.compile(r"_?SS_.*|_?TYPER_.*|CI|GITHUB_ACTIONS|FORCE_COLOR|PIPELINE_DEMO_MODE")
    env = {name: value for name, value in os.environ.items() if not steering.fullmatch(name)}
    done = subprocess.run(
        [sys.executable, "-m", "studentsuccess", "etl", "--demo", "--students", str(STUDENTS), "-f", "json"],
        cwd=folder,
        env=env | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    (folder.parent / "result.json").write_bytes(done.stdout)
    (folder.parent / "stderr.txt").write_bytes(done.stderr)
    return folder


@pytest.fixture
def demo(demo_once: Path, workspace: Path) -> Path:
    """A copy of that workspace, to do anything with; `run_ss` and `cli` start in it."""
    return shutil.copytree(demo_once, workspace, dirs_exist_ok=True)


@dataclass(frozen=True)
class Said:
    """An expected error as a user sees it."""

    error: str
    hint: str


@pytest.fixture(scope="session")
def told() -> Callable[[str], Said]:
    """The one error line and the one hint in what was written to stderr; anything else fails the test."""

    def read(stderr: str) -> Said:
        assert "Traceback" not in stderr
        lines = [line for line in stderr.splitlines() if not line.startswith("ss: warning: ")]
        assert len(lines) == 2, stderr
        assert lines[0].startswith("ss: error: ")
        assert lines[1].startswith("hint: ")
        return Said(lines[0].removeprefix("ss: error: "), lines[1].removeprefix("hint: "))

    return read


@pytest.fixture(scope="session")
def tables() -> Callable[[Path], dict[str, Any]]:
    """The data of a workspace: every row of every table, in order, without `ops`."""

    def read(workspace: Path) -> dict[str, Any]:
        import duckdb

        if not (workspace / "warehouse.duckdb").exists():
            return {}
        with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
            names = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('raw', 'core')"
                " ORDER BY ALL"
            ).fetchall()
            return {
                f"{schema}.{name}": connection.execute(f'SELECT * FROM {schema}."{name}" ORDER BY ALL').fetchall()  # noqa: S608
                for schema, name in names
            }

    return read


@pytest.fixture(scope="session")
def every_byte() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, and every folder, with its content."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
            for path in sorted(folder.rglob("*"))
        }

    return read


@pytest.fixture(scope="session")
def document() -> Callable[[str], Any]:
    """What stands on stdout with `-f json`: one document, and nothing beside it."""
    return lambda stdout: json.loads(stdout)
