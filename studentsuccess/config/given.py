"""What each layer gives, before anything is believed: a file's tables, environment variables, flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from studentsuccess.config.keys import Setting, env_name, sections, settings_by_path
from studentsuccess.config.problems import Problem, kind_of, nearest_choice, nearest_key, shown_name

_VARIABLE = re.compile(r"SS_(?P<section>.+?)__(?P<key>.+)", re.IGNORECASE)
_KNOWN = "a known key"


@dataclass(frozen=True)
class Given:
    """One raw value and its place. A text of a variable or a flag may stand for any type, one of a file may not."""

    setting: Setting
    where: str
    value: object = field(repr=False)
    from_text: bool = True


@dataclass
class Layer:
    """What one layer gives: later values of one key win; `rivals` are those that an older name lost with."""

    given: list[Given] = field(default_factory=list)
    rivals: list[tuple[Given, Given]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def file_layer(tables: Mapping[str, object] | Problem, shown: str) -> Layer:
    """The keys of a config file."""
    if isinstance(tables, Problem):
        return Layer(problems=[tables])
    layer = Layer()
    for name, table in tables.items():
        if name not in sections():
            layer.problems.append(_unknown_section(name, table, shown))
        elif not isinstance(table, dict):
            found = kind_of(table, from_text=False)
            layer.problems.append(Problem(shown, name, found, f"a section, written `[{name}]`"))
        else:
            _take_table(layer, name, table, shown)
    return layer


def _take_table(layer: Layer, section: str, table: Mapping[str, object], shown: str) -> None:
    for key, value in table.items():
        path = f"{section}.{key}"
        if setting := settings_by_path().get(path):
            layer.given.append(Given(setting, shown, value, from_text=False))
        else:
            layer.problems.append(_unknown(shown, path, value, from_text=False))


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The variables that are settings: `SS_SECTION__KEY`, and the names that older scripts know.

    An empty variable counts as not set, as it does in cron tables and compose files.
    """
    layer = Layer()
    set_ones = {name: text for name, text in environ.items() if text}
    for setting in settings_by_path().values():
        names = [name for name in (setting.env_name, *setting.old_names) if name in set_ones]
        givens = [Given(setting, name, set_ones[name]) for name in names]
        layer.given.extend(givens[:1])
        layer.rivals.extend((givens[0], other) for other in givens[1:])
    layer.problems.extend(_unknown_variables(set_ones))
    layer.warnings.extend(_near_variables(set_ones))
    return layer


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    known = {env_name(path) for path in settings_by_path()}
    for name, text in environ.items():
        match = _VARIABLE.fullmatch(name)
        if match and name not in known:
            problem = _unknown(name, f"{match['section']}.{match['key']}".lower(), text, from_text=True)
            yield replace(problem, nearest=problem.nearest and env_name(problem.nearest))


def _near_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """One underscore instead of two makes a variable that nobody reads: not an error, but worth a word."""
    for path in settings_by_path():
        near = env_name(path).replace("__", "_")
        if near in environ:
            yield f"`{near}` is not read; the setting's variable is `{env_name(path)}`"


def flag_layer(sets: Sequence[str], flags: Mapping[str, object]) -> Layer:
    """`--set section.key=value`, and above it a command's own flags; a flag that is None was not given."""
    layer = Layer()
    for text in sets:
        _take_set(layer, text)
    for path, value in flags.items():
        setting = settings_by_path().get(path)
        plain = value.value if isinstance(value, Enum) else value
        if plain is not None:
            _take_flag(layer, setting, path, setting.flag if setting else f"--{path}", plain)
    return layer


def _take_set(layer: Layer, text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals:
        expected = "`--set section.key=value`"
        nearest = nearest_key(path, list(settings_by_path()))
        layer.problems.append(Problem("--set", "", "no `=`", expected, f"{nearest}=…" if nearest else ""))
        return
    path = path.strip()
    _take_flag(layer, settings_by_path().get(path), path, f"--set {shown_name(path)}", value)


def _take_flag(layer: Layer, setting: Setting | None, path: str, where: str, value: object) -> None:
    if setting is None:
        layer.problems.append(_unknown(where, path, value, from_text=True))
    elif setting.secret:
        expected = f"in `{setting.env_name}` or config.toml, for secrets are never flags"
        layer.problems.append(Problem(where, path, "a flag", expected))
    else:
        layer.given.append(Given(setting, where, value))


def _unknown(where: str, path: str, value: object, *, from_text: bool) -> Problem:
    nearest = nearest_key(path, list(settings_by_path()))
    return Problem(where, shown_name(path), kind_of(value, from_text=from_text), _KNOWN, nearest, unknown="key")


def _unknown_section(name: str, table: object, shown: str) -> Problem:
    """A misspelt section; a key that stands above all sections is looked for in them."""
    found = kind_of(table, from_text=False)
    expected = "one of the sections " + ", ".join(sections())
    if isinstance(table, dict):
        return Problem(shown, shown_name(name), found, expected, nearest_choice(name, sections()), unknown="section")
    nearest = nearest_key(name, list(settings_by_path()))
    return Problem(shown, shown_name(name), found, expected, nearest, unknown="key")
