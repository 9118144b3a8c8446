"""What every command shares: the common flags, declared once, and the way from an error to an exit code."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from studentsuccess.cli import output as out
from studentsuccess.errors import ExitCode, SsError

if TYPE_CHECKING:
    from studentsuccess.cli.progress import TerminalReporter
    from studentsuccess.config.layers import Configuration
    from studentsuccess.core.reporter import Reporter

COMMON = "Common options"


def _option(*names: str, text: str, metavar: str | None = None, least: float | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=COMMON, show_default=False, min=least)


_SHARED: dict[str, tuple[Any, Any]] = {
    "workspace": (
        Annotated[Path | None, _option("--workspace", "-w", text="The workspace folder.", metavar="DIR")],
        None,
    ),
    "config": (
        Annotated[Path | None, _option("--config", "-c", text="Another config.toml.", metavar="FILE")],
        None,
    ),
    "sets": (
        Annotated[
            list[str] | None, _option("--set", text="A setting for this run: section.key=value.", metavar="KEY=VALUE")
        ],
        None,
    ),
    "format_": (
        Annotated[out.Shape, _option("--format", "-f", text="How the result is written.")],
        out.Shape.AUTO,
    ),
    "wait": (
        Annotated[float, _option("--wait", text="Seconds to wait for the warehouse.", metavar="SECONDS", least=0)],
        0.0,
    ),
    "quiet": (Annotated[bool, _option("--quiet", "-q", text="No notes and no progress.")], False),
    "verbose": (Annotated[bool, _option("--verbose", "-v", text="More notes.")], False),
    "no_progress": (Annotated[bool, _option("--no-progress", text="No progress.")], False),
    "no_input": (Annotated[bool, _option("--no-input", text="Never ask.")], False),
}
_CHANGING: dict[str, tuple[Any, Any]] = {
    "dry_run": (Annotated[bool, _option("--dry-run", "-n", text="Show the plan and change nothing.")], False),
    "yes": (Annotated[bool, _option("--yes", "-y", text="Yes to every question.")], False),
}


@dataclass
class Frame:
    """The common flags of one call, and what follows from them."""

    output: out.Output
    workspace: Path | None = None
    config: Path | None = None
    sets: tuple[str, ...] = ()
    wait: float = 0.0
    dry_run: bool = False
    progress: bool = True
    command: str = "ss"
    changes: bool = False
    settled: tuple[str, ...] = ()  # commands that were cut short after their COMMIT and ended by this one
    _reporter: TerminalReporter | None = field(default=None, repr=False)

    def configuration(self, flags: Mapping[str, object] | None = None) -> Configuration:
        """The settings of this call; a command's own flags (that were given) are the last layer."""
        from studentsuccess.config.layers import Overrides, load
        from studentsuccess.config.problems import ConfigError

        given = {path: value for path, value in (flags or {}).items() if value is not None}
        try:
            loaded = load(Overrides(self.workspace, self.config, self.sets, given))
        except ConfigError as problem:
            if all(one.where.startswith("--") for one in problem.problems):
                problem.hint = f"`{self.command} -h` shows the flags, `ss config show` every setting"
            raise
        for warning in loaded.warnings:
            self.output.warn(warning)
        if self.changes and not self.dry_run and any(loaded.workspace.staging.glob("*T*-*")):
            from studentsuccess.tasks.context import Context, settle

            self.settled = settle(Context(loaded, self.wait))
        return loaded

    @property
    def again(self) -> str:
        """What a hint's command needs to mean the workspace of this one."""
        return f" -w {self.workspace}" if self.workspace else f" -c {self.config}" if self.config else ""

    def reporter(self) -> Reporter:
        from studentsuccess.cli.progress import TerminalReporter

        if self._reporter is None:
            self._reporter = TerminalReporter(self.output, progress=self.progress)
        return self._reporter

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """A line on a terminal for work that counts no rows."""
        from studentsuccess.core.reporter import phase

        with phase(self.reporter(), name):
            yield

    def close(self) -> None:
        """Take a moving bar off the screen before anything is said about how the work ended."""
        if self._reporter is not None:
            self._reporter.close()


def command(
    app: typer.Typer, name: str, *, changes: bool = False, epilog: str, group: str = ""
) -> Callable[[Any], Any]:
    """Register a function as a command: it takes a Frame first, then its own options; the shared ones are added."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared = {**_SHARED, **(_CHANGING if changes else {})}
        path = " ".join(word for word in ("ss", group, name) if word)

        @functools.wraps(function)
        def call(**values: Any) -> None:
            common = {key: values.pop(key) for key in shared}
            frame = _frame(common, path)
            guarded(frame, lambda: function(frame, **values))

        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        added = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in shared.items()
        ]
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + added
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, epilog=epilog)(call)
        return function

    return register


def _frame(common: dict[str, Any], command: str) -> Frame:
    output = out.Output(
        shape=common["format_"],
        quiet=common["quiet"],
        verbose=common["verbose"],
        no_input=common["no_input"],
        yes=common.get("yes", False),
    )
    return Frame(
        output,
        common["workspace"],
        common["config"],
        tuple(common["sets"] or ()),
        common["wait"],
        common.get("dry_run", False),
        not common["no_progress"],
        command,
        "dry_run" in common,
    )


def guarded(frame: Frame, body: Callable[[], None]) -> None:
    """Run a command's body; an expected error becomes its line, its hint and its exit code."""
    debug, output = os.environ.get("SS_DEBUG") == "1", frame.output
    try:
        with closing(frame):
            body()
    except SsError as problem:
        if debug:
            out.trace(problem)
        output.error(problem)
        raise typer.Exit(int(problem.code)) from None
    except BrokenPipeError:
        raise PipeClosed from None
    except (KeyboardInterrupt, typer.Exit, Terminated):
        raise
    except OSError as problem:
        _end_by_storage(problem, output)
    except MemoryError:
        hint = "lower `budget.batch_rows`, or give more with `--set budget.memory=2GB`"
        output.error(SsError("there is not enough memory", hint))
        raise typer.Exit(int(ExitCode.FAILED)) from None
    except Exception as problem:
        if isinstance(problem.__cause__, OSError):  # a thread that writes for others reports it so
            _end_by_storage(problem.__cause__, output)
        if debug:
            out.trace(problem)
        output.error(_defect(problem))
        raise typer.Exit(int(ExitCode.FAILED)) from None


class Terminated(BaseException):
    """SIGTERM, as an exception, so that everything is rolled back on the way out."""


class PipeClosed(BaseException):
    """Whoever read our stdout has enough. Not an OSError, which click would turn into exit 1."""


def _end_by_storage(problem: OSError, output: out.Output) -> NoReturn:
    if os.environ.get("SS_DEBUG") == "1":
        out.trace(problem)
    output.error(_storage(problem))
    raise typer.Exit(int(ExitCode.STORAGE)) from None


def _storage(problem: OSError) -> SsError:
    """What the system refused, in our words."""
    where = f"{problem.filename}: " if problem.filename else ""
    return SsError(
        f"{where}{(problem.strerror or 'storage failed').lower()}",
        "free some space or mend the permissions, then run the same command again: it is safe",
        ExitCode.STORAGE,
    )


def _defect(problem: Exception) -> SsError:
    """A defect of ours. Its text might hold data, so only its kind and place are shown."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return SsError(
        f"this is a defect of ss: {type(problem).__name__}{place}",
        "nothing half-done was kept; run it again with SS_DEBUG=1 and report what it shows",
    )
