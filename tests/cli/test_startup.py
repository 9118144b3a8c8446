"""What a start may not do: import what help does not need, talk to the network, or colour what goes into a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Words = tuple[str, ...]
HEAVY = {"pandas", "numpy", "sklearn", "duckdb", "pyarrow", "azure", "pydantic", "polars", "rich", "joblib", "filelock"}
ESCAPE = "\x1b"
COLOURED = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "GITHUB_ACTIONS": "true"}
SPY = """
import atexit, json, os, sys
atexit.register(lambda: open(os.environ["SPY"], "w").write(json.dumps(sorted({n.split(".")[0] for n in sys.modules}))))
from studentsuccess.__main__ import main
sys.argv = ["ss", *sys.argv[1:]]
main()
"""
NO_NETWORK = """
import atexit, os, socket, sys
atexit.register(lambda: "azure" in sys.modules and open(os.environ["TRIED"] + ".azure", "w").close())
def refuse(*_, **__):
    open(os.environ["TRIED"], "a").write("tried\\n")
    raise OSError("no network in this test")
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
class Deaf(socket.socket):
    connect = connect_ex = sendto = refuse
socket.socket = Deaf
"""


@pytest.fixture
def imported(tmp_path: Path, workspace: Path, clean_env: dict[str, str]) -> Callable[..., tuple[str, set[str]]]:
    """What a call printed, and the top packages that it imported."""

    def call(*words: str, **env: str) -> tuple[str, set[str]]:
        spied = tmp_path / "modules.json"
        done = subprocess.run(
            [sys.executable, "-c", SPY, *words],
            env=clean_env | {"SPY": str(spied)} | env,
            cwd=workspace,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr, set(json.loads(spied.read_text("utf-8")))

    return call


def test_help_imports_nothing_heavy_and_no_rich(imported: Any, place: Words) -> None:
    text, modules = imported(*place, "--help", **COLOURED)
    assert "Usage:" in text
    assert ESCAPE not in text
    assert HEAVY & modules == set()


def test_the_version_imports_nothing_heavy(imported: Any) -> None:
    text, modules = imported("--version")
    assert text.startswith("ss ")
    assert HEAVY & modules == set()


def test_a_wrong_call_imports_nothing_heavy(imported: Any) -> None:
    text, modules = imported("elt")
    assert "ss etl" in text
    assert HEAVY & modules == set()


def test_tab_imports_nothing_heavy(imported: Any) -> None:
    text, modules = imported(_SS_COMPLETE="complete_bash", COMP_WORDS="ss et", COMP_CWORD="1")
    assert text.split() == ["etl"]
    assert HEAVY & modules == set()


def test_the_spy_sees_what_a_command_imports(imported: Any) -> None:
    assert "pydantic" in imported("config", "show")[1]


@pytest.fixture
def offline(tmp_path: Path, clean_env: dict[str, str]) -> dict[str, str]:
    """An environment in which every attempt to reach the network fails and leaves a note."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NO_NETWORK, "utf-8")
    path = f"{tmp_path / 'site'}{':' if sys.platform != 'win32' else ';'}{clean_env['PYTHONPATH']}"
    return {"PYTHONPATH": path, "TRIED": str(tmp_path / "tried")}


@pytest.mark.usefixtures("demo")
def test_no_command_reaches_for_the_network_or_colours_a_pipe(
    run_ss: Any, tmp_path: Path, offline: dict[str, str], words: Words, something: Any
) -> None:
    done = run_ss(*something(words), env=offline | COLOURED)
    assert done.returncode == 0, done.stderr
    assert ESCAPE not in done.stdout + done.stderr
    assert not (tmp_path / "tried").exists()
    # Only a plan to send something looks at Azure's library; no command that stays here does.
    assert (tmp_path / "tried.azure").exists() == (words == ("train", "remote"))


def test_the_network_is_really_blocked_in_these_tests(
    tmp_path: Path, clean_env: dict[str, str], offline: dict[str, str]
) -> None:
    code = "import socket; socket.socket().connect(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", code], env=clean_env | offline, capture_output=True, check=False)
    assert done.returncode != 0
    assert (tmp_path / "tried").read_text("utf-8") == "tried\n"


@pytest.mark.parametrize("name", ["ss", "studentsuccess"])
def test_both_names_are_the_same_program(name: str) -> None:
    import tomllib

    root = Path(__file__).resolve().parents[2]
    scripts = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts[name] == "studentsuccess.__main__:main"
