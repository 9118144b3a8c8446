"""What every test may ask for: a workspace, the program itself, and the machine's real parts.

The program is started without the variables that steer it, so that a test says everything it depends on.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from effort import FULL

if TYPE_CHECKING:
    from real_store import AzureServer, S3Server
    from typer.testing import Result

ROOT = Path(__file__).resolve().parent.parent

# Our own variables, the old names we still obey, and what terminals and CI systems set.
STEERING = re.compile(
    r"_?SS_.*|_?TYPER_.*|COMP_.*|CI|GITHUB_ACTIONS|NO_COLOR|FORCE_COLOR|CLICOLOR.*|COLUMNS|LINES|TERM"
    r"|DATABASE_URL|S3_BUCKET|S3_PREFIX|AWS_REGION|STORAGE_BACKEND|SPLIT_WEEK|HIGH_RISK_THRESHOLD"
    r"|RISK_SPIKE_THRESHOLD_PCT|PIPELINE_DEMO_MODE|MODEL_BACKEND|AZURE_.*|AZUREML_.*"
)

SAMPLE_SEED, SEED = 1_602_592, "fault_seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=0, metavar="N", help="kill each command N times (tests/faults)")
    parser.addoption("--fault-seed", type=int, default=None, metavar="N", help="the same faults again (tests/faults)")


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults are drawn by --fault-seed={config.getoption('--fault-seed')}"


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for everything that a script starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what is interrupted here would never hear of it
    if config.option.fault_seed is None:
        # The sample of every day is the same every day; all of it is drawn anew, once for all workers.
        anew = int.from_bytes(os.urandom(3), "big") if FULL else SAMPLE_SEED
        config.option.fault_seed = getattr(config, "workerinput", {}).get(SEED, anew)
    from fault_book import FaultBook

    config.pluginmanager.register(FaultBook(config.option.fault_seed), "fault-book")
    config.addinivalue_line("markers", "turns: how often a fault test tries each command, in the sample and in full")
    config.addinivalue_line("markers", "some: tried with every third command, and with all in full")
    config.addinivalue_line("markers", "full: takes long; runs with scripts/test --full")
    config.addinivalue_line("markers", "posix: needs signals, ptys or shells; skipped on Windows")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker parses the command line by itself, and would draw a seed of its own."""
    node.workerinput[SEED] = node.config.option.fault_seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="long: scripts/test --full"))
        if item.get_closest_marker("posix") and sys.platform == "win32":
            item.add_marker(pytest.mark.skip(reason="not on Windows"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace, which is also the folder that `run_ss` and `cli` start in."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def clean_env() -> dict[str, str]:
    """The environment of a shell in which nobody has set anything of ours."""
    return scrubbed(os.environ)


@pytest.fixture(scope="session")
def session_env() -> dict[str, str]:
    """As `clean_env`, for what is made once."""
    return scrubbed(os.environ)


@dataclass(frozen=True)
class RunSs:
    """The program in a process of its own: streams, signals and exit codes are real."""

    folder: Path
    environ: Mapping[str, str]

    def __call__(
        self,
        *args: str | Path,
        input: str | bytes = b"",  # noqa: A002 - subprocess.run calls it so
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "studentsuccess", *map(str, args)],
            input=input.encode() if isinstance(input, str) else input,
            env={**self.environ, **(env or {})},
            cwd=cwd or self.folder,
            capture_output=True,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, _text(done.stdout), _text(done.stderr))


@pytest.fixture
def run_ss(workspace: Path, clean_env: dict[str, str]) -> RunSs:
    return RunSs(workspace, clean_env)


class RunCli:
    """The program in this process: quick, but without streams of its own."""

    def __call__(
        self,
        *args: str | Path,
        input: str | bytes | None = None,  # noqa: A002 - CliRunner.invoke calls it so
        env: Mapping[str, str] | None = None,
    ) -> Result:
        from typer.testing import CliRunner

        from studentsuccess.cli.app import app

        return CliRunner().invoke(app, [str(word) for word in args], input=input, env=env, catch_exceptions=False)


@pytest.fixture
def cli(workspace: Path, clean_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> RunCli:
    for name in set(os.environ) - set(clean_env):
        monkeypatch.delenv(name)
    monkeypatch.chdir(workspace)
    return RunCli()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not STEERING.fullmatch(name)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH")]))}


@dataclass(frozen=True)
class Needs:
    """The first of some programs (or files, given by an absolute path) which this machine has."""

    strict: bool

    def __call__(self, *names: str | Path) -> str:
        for name in map(str, names):
            if found := (name if Path(name).is_absolute() and Path(name).exists() else shutil.which(name)):
                return found
        reason = f"this machine has no {' or '.join(map(str, names))}"
        if self.strict:
            pytest.fail(f"{reason}, and CI=true allows no gap", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def needs() -> Needs:
    """`needs("zsh")`: the test goes on with the program's path, or is skipped; with CI=true it fails instead."""
    return Needs(strict=os.environ.get("CI", "").lower() in {"true", "1"})


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An object store that speaks S3."""
    import real_store

    with real_store.s3_server(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory, needs: Needs) -> Iterator[AzureServer]:
    """An object store that speaks Azure."""
    import real_store

    with real_store.azure_server(tmp_path_factory.mktemp("azure"), needs) as started:
        yield started


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data sets which are too large to keep here."""
    given = os.environ.get("STUDENTSUCCESS_REAL_DATA")
    if not given:
        pytest.skip("STUDENTSUCCESS_REAL_DATA names no folder with the real data sets")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"STUDENTSUCCESS_REAL_DATA is no folder: {folder}", pytrace=False)
    return folder.resolve()
