"""Four layers into one: defaults < config.toml < environment < flags, and where each value came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from studentsuccess.config.given import Given, Layer, environment_layer, file_layer, flag_layer
from studentsuccess.config.keys import settings_by_path
from studentsuccess.config.problems import ConfigError, Problem, kind_of, nearest_choice
from studentsuccess.config.schema import Settings
from studentsuccess.config.toml import read_toml
from studentsuccess.config.values import parse_list
from studentsuccess.config.workspace import Workspace, find_workspace, from_here
from studentsuccess.errors import UsageError

LayerName = Literal["default", "file", "environment", "flag"]
Shown = str | int | float | bool | tuple[str, ...] | None
MASK = "********"


@dataclass(frozen=True)
class Overrides:
    """What a command line says. A text of `--set` may hold anything, so it is never shown."""

    workspace: Path | None = None
    config: Path | None = None
    sets: tuple[str, ...] = field(default=(), repr=False)
    flags: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Origin:
    """The layer that a value came from, and the place in it: a file, a variable or a flag."""

    layer: LayerName
    where: str = ""


@dataclass(frozen=True)
class Configuration:
    """The resolved settings, where each came from, the workspace they hold for, and the file that was read."""

    settings: Settings
    origins: Mapping[str, Origin]
    workspace: Workspace
    warnings: tuple[str, ...]
    digest: str
    file: Path | None = None

    def shown_value(self, path: str) -> Shown:
        """The value of a dotted path as it may be printed."""
        return _shown(self.settings, path)


def load(overrides: Overrides, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Configuration:
    """All settings of this call, or one `ConfigError` with everything that is wrong."""
    variables = os.environ if environ is None else environ
    here = (cwd or _current_folder()).absolute()
    named = _named_config(overrides, variables, here)
    workspace = find_workspace(overrides.workspace, named, variables, here)
    file = named or (workspace.config_file if os.path.lexists(workspace.config_file) else None)
    shown = _shown_path(file, here) if file else ""
    merge = _Merge()
    merge.take("file", file_layer(read_toml(file, shown), shown) if file else Layer())
    merge.take("environment", environment_layer(variables))
    merge.take("flag", flag_layer(overrides.sets, overrides.flags))
    if merge.problems:
        raise ConfigError(merge.problems, _validate_command(overrides))
    settings = merge.settings()
    return Configuration(settings, merge.origins, workspace, tuple(merge.warnings), _digest(settings), file)


class _Merge:
    """The layers taken so far. A value that a higher layer replaces must be right all the same."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origins = {path: Origin("default") for path in settings_by_path()}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def take(self, name: LayerName, layer: Layer) -> None:
        self.problems.extend(layer.problems)
        self.warnings.extend(layer.warnings)
        for given in layer.given:
            result = _checked(given)
            if isinstance(result, Problem):
                self.problems.append(result)
            else:
                self.values[given.setting.path] = result.value
                self.origins[given.setting.path] = Origin(name, given.where)
        self.warnings.extend(_disagreements(layer.rivals))

    def settings(self) -> Settings:
        nested: dict[str, dict[str, object]] = {}
        for path, value in self.values.items():
            section, _, key = path.partition(".")
            nested.setdefault(section, {})[key] = value
        return Settings.model_validate(nested)


@dataclass(frozen=True)
class _Value:
    value: object = field(repr=False)


def _checked(given: Given) -> _Value | Problem:
    """The typed value, or what is wrong with it. The validator's own error holds the input, so it goes no further."""
    setting = given.setting
    try:
        raw = _raw(given)
        section = setting.model.model_validate({setting.key: raw}, strict=not given.from_text)
        return _Value(getattr(section, setting.key))
    except (ValueError, RecursionError):
        nearest = nearest_choice(given.value, setting.choices)
    found = kind_of(given.value, from_text=given.from_text)
    return Problem(given.where, setting.path, found, setting.expected, nearest)


def _raw(given: Given) -> object:
    value = given.value
    if given.from_text and given.setting.many and isinstance(value, str):
        return parse_list(value)
    return tuple(value) if isinstance(value, list) else value


def _disagreements(rivals: Iterable[tuple[Given, Given]]) -> Iterable[str]:
    for winner, loser in rivals:
        if _checked(winner) != _checked(loser):
            yield f"`{winner.where}` and `{loser.where}` are both set and differ: `{winner.where}` is used"


def _named_config(overrides: Overrides, environ: Mapping[str, str], here: Path) -> Path | None:
    """The config file that `-c`, else `SS_CONFIG`, names; it must be there."""
    named, where = (overrides.config, "-c") if overrides.config else (environ.get("SS_CONFIG"), "SS_CONFIG")
    if not named:
        return None
    path = from_here(here, Path(named))
    if not os.path.lexists(path):
        raise UsageError(f"{where}: {named} is not there", "`ss init` writes a commented config.toml")
    return path


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder is gone", "`cd` into one that is there") from None


def _shown_path(path: Path, here: Path) -> str:
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _validate_command(overrides: Overrides) -> str:
    """The command that lists every problem of this very configuration."""
    given = (("-w", overrides.workspace), ("-c", overrides.config))
    return " ".join(["ss config validate", *(f"{flag} {_quoted(path)}" for flag, path in given if path)])


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def _shown(settings: Settings, path: str) -> Shown:
    section, _, key = path.partition(".")
    value: Shown | SecretStr = getattr(getattr(settings, section), key)
    return MASK if isinstance(value, SecretStr) else value


def _digest(settings: Settings) -> str:
    """One digest per set of values, whatever layers they came from; secrets take no part."""
    values = {path: _shown(settings, path) for path, setting in settings_by_path().items() if not setting.secret}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
