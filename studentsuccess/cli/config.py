"""`ss config show` and `ss config validate`."""

from __future__ import annotations

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.output import Table
from studentsuccess.errors import ExitCode


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Show or check the settings.", epilog="Example: ss config show")
    app.add_typer(group, name="config")

    @command(group, "show", group="config", epilog="Example: ss config show --set etl.max_rejects=100 -f json")
    def show(frame: Frame) -> None:
        """Every setting, its value and where it came from."""
        from studentsuccess.config.show import rows

        configuration = frame.configuration()
        found = rows(configuration)
        document = {
            "workspace": str(configuration.workspace.root),
            "settings": [
                {"key": one.key, "value": one.value, "source": one.source, "where": one.where} for one in found
            ],
        }
        table = [(one.key, _shown(one.value), one.source, one.where) for one in found]
        frame.output.result(document, Table(("key", "value", "source", "where"), table))

    @command(group, "validate", group="config", epilog="Example: ss config validate -c other.toml")
    def validate(frame: Frame) -> None:
        """Check config.toml, the environment and --set, all at once."""
        from studentsuccess.config.problems import ConfigError

        try:
            configuration = frame.configuration()
        except ConfigError as problem:
            document = {"ok": False, "problems": [_document(one) for one in problem.problems]}
            words = tuple(one.text for one in problem.problems)
            frame.output.result(document, Table((), (), words))
            raise typer.Exit(int(ExitCode.USAGE)) from None
        where = str(configuration.workspace.config_file)
        there = configuration.workspace.config_file.is_file()
        note = f"{where}: right" if there else "no config.toml: the defaults are complete"
        frame.output.result({"ok": True, "problems": []}, Table((), (), (note,)))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f'"{one}"' for one in value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _document(problem: object) -> dict[str, object]:
    from dataclasses import asdict, is_dataclass
    from typing import Any, cast

    return asdict(cast(Any, problem)) if is_dataclass(problem) else {"problem": str(problem)}
