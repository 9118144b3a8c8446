"""What goes to which stream, when it moves, and how a command ends that is stopped: on real pipes and terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pexpect

Words = tuple[str, ...]
Something = Callable[[Words], Words]
PATIENCE = 60  # seconds until a program that says nothing is given up; never waited for otherwise
ESCAPE = "\x1b"
PLAIN = ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"GITHUB_ACTIONS": "true"}, {"CI": "true"})
posix = pytest.mark.posix


@pytest.fixture
def terminal(workspace: Path, clean_env: dict[str, str]) -> Callable[..., Any]:
    """The program on a terminal of its own; everything that it writes there ends up in `logfile_read`."""

    @contextmanager
    def start(*words: str, columns: int = 100, env: dict[str, str] | None = None) -> Iterator[pexpect.spawn[str]]:
        import io

        import pexpect

        spawned = pexpect.spawn(
            sys.executable,
            ["-m", "studentsuccess", *words],
            env={**clean_env, "TERM": "xterm-256color", **(env or {})},
            cwd=str(workspace),
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(40, columns),
        )
        spawned.logfile_read = io.StringIO()
        try:
            yield spawned
        finally:
            spawned.close(force=True)

    return start


def to_the_end(spawned: Any) -> tuple[int, str]:
    import pexpect

    spawned.expect(pexpect.EOF)
    spawned.wait()
    return spawned.exitstatus, spawned.logfile_read.getvalue().replace("\r\n", "\n")


def screen(text: str) -> str:
    """What a person reads: without the codes that colour it and move it about."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.usefixtures("demo")
def test_json_is_one_document_on_stdout(
    cli: Any, words: Words, something: Something, document: Callable[[str], Any]
) -> None:
    done = cli(*something(words), "-f", "json", "--no-input")
    assert isinstance(document(done.stdout), dict)
    assert "{" not in done.stderr


def test_json_is_nothing_at_all_when_there_is_no_result(cli: Any, workspace: Path, words: Words) -> None:
    (workspace / "config.toml").write_text("[etl]\nmax_rejects = 'many'\n", "utf-8")
    done = cli(*words, "-f", "json")
    if words == ("config", "validate"):
        assert done.exit_code == 2
        assert json.loads(done.stdout)["ok"] is False
    elif words != ("init",):
        assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.some
@pytest.mark.usefixtures("demo")
def test_csv_is_a_table_that_python_reads(cli: Any, words: Words, something: Something) -> None:
    import csv

    rows = list(csv.reader(cli(*something(words), "-f", "csv").stdout.splitlines()))
    assert len({len(row) for row in rows}) == 1


@pytest.mark.some
@pytest.mark.usefixtures("demo")
def test_quiet_leaves_stderr_empty_where_all_is_well(cli: Any, words: Words, something: Something) -> None:
    cli(*something(words))
    loud, quiet = cli(*something(words)), cli(*something(words), "-q")
    assert quiet.stdout == loud.stdout
    assert [line for line in quiet.stderr.splitlines() if not line.startswith(("ss: warning: ", "hint: "))] == []


STEERED = ({}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}, {"GITHUB_ACTIONS": "true"})


@pytest.mark.full
@pytest.mark.usefixtures("demo")
def test_nothing_escapes_into_a_pipe(run_ss: Any, place: Words, something: Something) -> None:
    """Every day `test_startup` asks it of every command and every help, with all that steers colour at once."""
    for words in ((*place, "-h"), something(place), (*place, "--nonsense")):
        for env in STEERED:
            done = run_ss(*words, env=env)
            assert ESCAPE not in done.stdout + done.stderr, (words, env)


@pytest.mark.parametrize("steering", STEERED, ids=lambda env: next(iter(env), "none"))
@pytest.mark.usefixtures("demo")
def test_what_a_shell_says_about_colour_does_not_reach_a_pipe(run_ss: Any, steering: dict[str, str]) -> None:
    for words in (("etl", "inputs/demo/studentInfo.csv"), ("config", "show"), ("elt",)):
        done = run_ss(*words, env=steering)
        assert ESCAPE not in done.stdout + done.stderr, words


@posix
@pytest.mark.parametrize("plain", PLAIN, ids=lambda env: next(iter(env)))
@pytest.mark.usefixtures("demo")
def test_a_terminal_that_wants_no_colour_gets_none(terminal: Any, plain: dict[str, str]) -> None:
    for call in (("-h",), ("etl", "inputs/demo/studentInfo.csv"), ("config", "show"), ("elt",)):
        with terminal(*call, env=plain) as spawned:
            assert ESCAPE not in to_the_end(spawned)[1]


@posix
def test_a_terminal_gets_panels_and_colour(terminal: Any) -> None:
    with terminal("etl", "-h") as spawned:
        code, text = to_the_end(spawned)
    assert code == 0
    assert "╭─ Common options" in screen(text)
    assert ESCAPE in text


@posix
@pytest.mark.usefixtures("demo")
def test_a_narrow_terminal_folds_a_table_and_cuts_nothing(terminal: Any) -> None:
    with terminal("config", "show", columns=48) as spawned:
        narrow = screen(to_the_end(spawned)[1])
    with terminal("config", "show", columns=200) as spawned:
        wide = screen(to_the_end(spawned)[1])
    assert max(map(len, narrow.splitlines())) <= 48
    assert sorted("".join(narrow.split())) == sorted("".join(wide.split()))


@posix
def test_on_a_terminal_every_part_of_a_load_is_seen(terminal: Any) -> None:
    with terminal("etl", "--demo", "--students", "2000") as spawned:
        for part in ("demo", "studentVle", "rows", "loading into the warehouse", "18 rejected|rows rejected"):
            spawned.expect(part)
        code, text = to_the_end(spawned)
    assert code == 0
    assert "studentVle" in screen(text).rsplit("loading into the warehouse", 1)[1]


def test_a_silent_step_still_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from studentsuccess.cli import progress
    from studentsuccess.cli.output import Output

    spoken = threading.Event()
    lines: list[str] = []

    class Ear:
        closed = False

        def write(self, text: str) -> None:
            lines.append(text)
            spoken.set()

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(progress, "LOG_SECONDS", 0.001)
    monkeypatch.setattr(sys, "stderr", Ear())
    step = progress.TerminalReporter(Output()).step("sorting", unit="")
    assert spoken.wait(PATIENCE)
    step.close()
    assert re.fullmatch(r"sorting: \d+ s\n", lines[0])


def test_a_progress_line_has_rows_rate_rejects_and_time_left() -> None:
    from studentsuccess.cli.progress import Pace

    pace = Pace("studentVle", 3_000_000, "rows")
    pace.rows, pace.rejected, pace._start = 1_000_000, 7, pace._start - 10
    rows, rate, rejected, left = pace.told().split(" · ")
    assert (rows, rejected) == ("1,000,000 rows", "7 rejected")
    assert re.fullmatch(r"\d+\.\dk/s", rate)
    assert re.fullmatch(r"about \d+ s left", left)


def test_no_progress_and_quiet_show_none(capsys: pytest.CaptureFixture[str]) -> None:
    from studentsuccess.cli.output import Output
    from studentsuccess.cli.progress import TerminalReporter
    from studentsuccess.core.reporter import SilentStep

    assert isinstance(TerminalReporter(Output(), progress=False).step("reading"), SilentStep)
    assert isinstance(TerminalReporter(Output(quiet=True)).step("reading"), SilentStep)
    assert capsys.readouterr().err == ""


def test_a_question_without_a_terminal_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    from studentsuccess.cli.output import Output
    from studentsuccess.errors import UsageError

    for output, asks in ((Output(), False), (Output(no_input=True), True)):
        monkeypatch.setattr("studentsuccess.cli.output.can_ask", lambda answer=asks: answer)
        with pytest.raises(UsageError) as refused:
            output.confirm("delete 3 files?")
        assert (refused.value.code, refused.value.hint) == (2, "say it with `--yes`")
    assert Output(yes=True).confirm("delete 3 files?")


@pytest.mark.parametrize(
    ("answer", "meant"), [("y\n", True), ("YES\n", True), ("\n", False), ("no\n", False), ("", False)]
)
def test_a_question_takes_only_a_yes_for_a_yes(
    answer: str, meant: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    from studentsuccess.cli.output import Output

    monkeypatch.setattr("studentsuccess.cli.output.can_ask", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert Output().confirm("delete 3 files?") is meant
    assert capsys.readouterr() == ("", "delete 3 files? [y/N] ")


def test_the_bytes_of_a_redirect_are_those_of_a_pipe(run_ss: Any, workspace: Path, clean_env: dict[str, str]) -> None:
    piped = run_ss("config", "show").stdout
    with (workspace.parent / "shown.txt").open("wb") as sink:
        command = [sys.executable, "-m", "studentsuccess", "config", "show"]
        subprocess.run(command, cwd=workspace, env=clean_env, stdout=sink, check=True)
    assert (workspace.parent / "shown.txt").read_text("utf-8") == piped


@posix
@pytest.mark.some
def test_a_reader_that_has_enough_ends_it_quietly(
    demo: Path, place: Words, something: Something, clean_env: dict[str, str], tree: dict[Words, Any]
) -> None:
    bare_group = hasattr(tree[place], "commands") and not tree[place].invoke_without_command
    calls = [(*place, "-h"), ("--version",) if bare_group else something(place)]
    for call in calls:
        reader, writer = os.pipe()
        os.close(reader)
        command = (
            [sys.executable, "-m", "studentsuccess", *call, "-q"]
            if "-h" not in call
            else [sys.executable, "-m", "studentsuccess", *call]
        )
        command = [word for word in command if not ("--version" in call and word == "-q")]
        done = subprocess.run(
            command, cwd=demo, env=clean_env, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writer)
        assert done.returncode == 141, call
        assert [line for line in done.stderr.splitlines() if not line.startswith(("ss: warning", "hint"))] == []


def loaded_nothing(workspace: Path) -> bool:
    """No data, no dataset, no unfinished file: only the ledger may know of the attempt."""
    kept = [path.relative_to(workspace).as_posix() for path in workspace.rglob("*") if path.is_file()]
    allowed = re.compile(r"logs/.*|warehouse\.(lock|duckdb)|inputs/demo/.*")
    return not [name for name in kept if not allowed.fullmatch(name)] and not list(workspace.glob(".staging/*"))


@posix
@pytest.mark.parametrize("moment", [r"[1-9]\d* students", r"studentVle"])
def test_ctrl_c_is_one_line_and_leaves_nothing_half_done(
    terminal: Any, workspace: Path, moment: str, tables: Callable[[Path], dict[str, Any]]
) -> None:
    with terminal("etl", "--demo", "--students", "12000") as spawned:
        spawned.expect(moment)
        spawned.sendintr()
        code, text = to_the_end(spawned)
    assert code == 130
    assert screen(text).replace("^C", "").rstrip().splitlines()[-1] == "ss: interrupted; nothing half-done was kept"
    assert loaded_nothing(workspace)
    assert not any(tables(workspace).values())


@posix
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_signal_is_one_line_and_its_exit_code(
    workspace: Path, clean_env: dict[str, str], number: signal.Signals, code: int, word: str
) -> None:
    """What does not fit a pipe is taken only once the program reads: then it is at work, and the signal is sent."""
    with subprocess.Popen(
        [sys.executable, "-m", "studentsuccess", "etl", "-", "-f", "json"],
        cwd=workspace,
        env=clean_env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdin
        running.stdin.write(b"id,score\n" + b"1,2\n" * 1_000_000)
        running.stdin.flush()
        running.send_signal(number)
        stdout, stderr = running.communicate()
    assert running.returncode == code
    assert stdout == b""
    assert stderr.decode() == f"ss: {word}; nothing half-done was kept\n"
    assert loaded_nothing(workspace)


@posix
def test_a_termination_in_the_middle_of_a_load_leaves_nothing(
    terminal: Any, workspace: Path, tables: Callable[[Path], dict[str, Any]]
) -> None:
    with terminal("etl", "--demo", "--students", "12000") as spawned:
        spawned.expect("studentVle")
        spawned.kill(signal.SIGTERM)
        code, text = to_the_end(spawned)
    assert code == 143
    assert screen(text).rstrip().splitlines()[-1] == "ss: terminated; nothing half-done was kept"
    assert loaded_nothing(workspace)
    assert not any(tables(workspace).values())
    last = (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-1]
    assert json.loads(last)["code"] == 143


def shell(clean_env: dict[str, str], folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of a POSIX shell in which `$SS` is the program: only a shell can close a stream before the start."""
    env = clean_env | {"SS": f"{sys.executable} -m studentsuccess"}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("call", ["-h", "--version", "config show", "verify -f json"])
def test_a_result_that_finds_no_space_is_a_storage_error(
    workspace: Path, clean_env: dict[str, str], call: str, told: Callable[[str], Any]
) -> None:
    done = shell(clean_env, workspace, f"$SS {call} > /dev/full")
    assert done.returncode == 6
    assert told(done.stderr).error == "stdout can't be written: no space left on device"


@posix
def test_a_closed_stream_is_no_defect(workspace: Path, clean_env: dict[str, str], told: Callable[[str], Any]) -> None:
    without_stdout = shell(clean_env, workspace, "$SS config show >&-")
    assert without_stdout.returncode == 6
    assert told(without_stdout.stderr).error.startswith("stdout is closed")
    without_stderr = shell(clean_env, workspace, "$SS config show 2>&-")
    assert without_stderr.returncode == 0
    assert without_stderr.stdout.startswith("key")
    without_stdin = shell(clean_env, workspace, "$SS etl - <&-")
    assert without_stdin.returncode == 2
    assert told(without_stdin.stderr).error == "stdin is closed"
    assert shell(clean_env, workspace, "$SS elt 2>&- >&-").returncode == 2


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_load_does_not_fail_because_nobody_can_be_told(demo: Path, clean_env: dict[str, str]) -> None:
    done = shell(clean_env, demo, "$SS etl inputs/demo/studentInfo.csv --name lone -v 2> /dev/full")
    assert done.returncode == 0
    assert "lone" in done.stdout


INTERRUPTED_IMPORT = """
import os, signal, sys
class Early:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Early())
"""


@posix
def test_ctrl_c_while_the_program_starts_shows_no_traceback(
    tmp_path: Path, workspace: Path, clean_env: dict[str, str]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(INTERRUPTED_IMPORT, "utf-8")
    path = os.pathsep.join([str(tmp_path / "site"), clean_env["PYTHONPATH"]])
    done = shell(clean_env | {"PYTHONPATH": path}, workspace, "$SS doctor; exit $?")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


STRUCK_AT_EXIT = """
import atexit, os, signal
atexit.register(lambda: os.kill(os.getpid(), signal.{name}))
"""


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_when_all_is_said_and_done_changes_nothing(
    tmp_path: Path, workspace: Path, clean_env: dict[str, str], name: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(STRUCK_AT_EXIT.format(name=name), "utf-8")
    path = os.pathsep.join([str(tmp_path / "site"), clean_env["PYTHONPATH"]])
    done = shell(clean_env | {"PYTHONPATH": path}, workspace, "$SS config show -q; exit $?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("key")


@posix
def test_a_step_that_an_interrupt_left_open_is_taken_off_the_screen() -> None:
    from studentsuccess.cli.output import Output
    from studentsuccess.cli.progress import TerminalReporter
    from studentsuccess.core.reporter import SilentStep

    closed: list[str] = []

    class Watched(SilentStep):
        def close(self, summary: str = "") -> None:
            closed.append(summary)

    reporter = TerminalReporter(Output())
    reporter._open = Watched()
    reporter.close()
    reporter.close()
    assert closed == [""]
