"""A call that the command line itself can't take, answered in our words: what is wrong, and the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from studentsuccess.cli import output as out
from studentsuccess.errors import UsageError

_NO_COMMAND = re.compile(r"No such command '(?P<given>.*)'\.")
_TOO_MANY = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<given>.*)\)")


def answer(problem: Any, root: Any, words: Iterable[str]) -> None:
    """Help on stderr where a command is missing, else one line and a hint that can be run."""
    if type(problem).__name__ == "NoArgsIsHelpError":
        out.usage(problem.ctx.get_help())
        return
    path = problem.ctx.command_path if problem.ctx is not None else _path(root, words)
    out.Output().error(UsageError(_said(problem), _hint(problem, path) or f"`{path} -h` shows what it takes"))


def _path(root: Any, words: Iterable[str]) -> str:
    """The command that was meant, for the few problems that do not know theirs."""
    found, command = [str(root.name)], root
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        found.append(word)
    return " ".join(found)


def _said(problem: Any) -> str:
    if (option := getattr(problem, "option_name", None)) and hasattr(problem, "possibilities"):
        return f"no such option: `{option}`"
    message = str(problem.format_message())
    if found := _NO_COMMAND.match(message):
        return f"no such command: `{found['given']}`"
    if found := _TOO_MANY.search(message):
        return f"unexpected argument: `{found['given']}`"
    quoted = re.sub(r"'([^']*)'", r"`\1`", message.rstrip("."))
    return quoted[:1].lower() + quoted[1:]


def _hint(problem: Any, path: str) -> str:
    message = str(problem.format_message())
    if found := _NO_COMMAND.match(message):
        near = _nearest(found["given"], problem.ctx.command.list_commands(problem.ctx))
        return f"did you mean `{path} {near}`?" if near else ""
    if (option := getattr(problem, "option_name", None)) and problem.ctx is not None:
        return _option_hint(option, problem.ctx.command, path)
    choices = getattr(getattr(getattr(problem, "param", None), "type", None), "choices", None) or ()
    names = [str(getattr(choice, "value", choice)) for choice in choices]
    given = next((part for part in message.split("'")[1::2] if part not in names and part[:1] != "-"), "")
    near = _nearest(given, names, 0.4)
    return f"did you mean `{near}`?" if near else ""


def _option_hint(option: str, command: Any, path: str) -> str:
    """The nearest option; one that every command has, and that stands before the command, is told its place."""
    inner = getattr(command, "commands", {})
    if any(option in _options(one) for one in inner.values()):
        return f"it comes after the command: `{path} COMMAND {option} …`"
    near = _nearest(option, _options(command))
    return f"did you mean `{near}`? `{path} -h` shows all" if near else ""


def _options(command: Any) -> list[str]:
    return [name for param in command.params for name in (*param.opts, *param.secondary_opts) if name[:1] == "-"]


def _nearest(given: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    return next(iter(difflib.get_close_matches(given, list(names), 1, cutoff)), "")
