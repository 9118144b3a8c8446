"""The root of the command line: what is listed, how a wrong call is answered, how the process ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from studentsuccess import __version__
from studentsuccess.cli import output as out
from studentsuccess.cli.frame import PipeClosed, Terminated
from studentsuccess.cli.wrong_call import answer
from studentsuccess.errors import ExitCode, SsError

ClickUsageError: Any = typer.BadParameter.__base__
MARKUP: Any = "rich" if out.fancy() else None


class RootGroup(TyperGroup):
    """Answers a wrong call in our words, for the test runner and the process alike."""

    def main(self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        try:
            code = super().main(args=args, standalone_mode=False, **extra)
        except ClickUsageError as problem:
            answer(problem, self, sys.argv[1:] if args is None else args)
            code = int(ExitCode.USAGE)
        except SsError as problem:
            out.Output().error(problem)
            code = int(problem.code)
        except typer.Abort:
            code = int(ExitCode.INTERRUPTED)
        if code == int(ExitCode.INTERRUPTED):
            out.interrupted()
        if standalone_mode:
            sys.exit(code or 0)
        return code


app = typer.Typer(
    name="ss",
    cls=RootGroup,
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: ss etl exports/*.csv --dry-run",
)


def _show_version(asked: bool) -> None:
    if asked:
        out.emit(f"ss {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Who needs help, why, and what helping is worth: from a school's own files, on one laptop."""


def _register() -> None:
    from studentsuccess.cli import (
        alerts,
        archive,
        batch,
        clean,
        config,
        doctor,
        etl,
        experiment,
        explain,
        init,
        marts,
        models,
        publish,
        report,
        roi,
        run,
        score,
        train,
        verify,
    )

    steps = (init, run, etl, train, score, explain, marts, alerts, experiment, roi, report, publish, batch)
    for module in (*steps, models, archive, clean, verify, doctor, config):
        module.register(app)


_register()


def run_process() -> int:
    """The whole process: completion, signals, pipes; returns the exit code."""
    try:
        return _run()
    finally:
        # All is done or undone, and said: a signal now would only be a traceback from the interpreter's last steps.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _run() -> int:
    if "_SS_COMPLETE" in os.environ:
        import typer.completion as shells

        shells.completion_init()  # type: ignore[attr-defined]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(prog_name="ss")
    except SystemExit as end:
        return _flushed(int(end.code or 0) if not isinstance(end.code, str) else 1)
    except (BrokenPipeError, PipeClosed):
        return _broken_pipe()
    except OSError as problem:
        return _undelivered(problem)
    except KeyboardInterrupt:
        out.interrupted()
        return int(ExitCode.INTERRUPTED)
    except Terminated:
        out.interrupted("terminated")
        return int(ExitCode.TERMINATED)
    return int(ExitCode.DONE)


def _terminate(_number: int, _frame: object) -> None:
    raise Terminated


def _flushed(code: int) -> int:
    if type(sys.stdout).__name__ == "PacifyFlushWrapper":
        return int(ExitCode.BROKEN_PIPE)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as problem:
        return _undelivered(problem, code)
    return code


def _undelivered(problem: OSError, code: int = 0) -> int:
    """Help or a result that could not be written, to a full disk for example; said once."""
    _broken_pipe()
    if not code:
        out.Output().error(out.undeliverable(problem))
    return code or int(ExitCode.STORAGE)


def _broken_pipe() -> int:
    """Whoever read us has enough. Python would complain once more when it flushes at exit: give it nowhere to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(ExitCode.BROKEN_PIPE)
