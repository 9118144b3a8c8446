"""The rules of help and of wrong calls, on every command that exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from effort import sample

Words = tuple[str, ...]
Tree = dict[Words, Any]
ROOT = Path(__file__).resolve().parents[2]


def options(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "option"]


def long_names(command: Any) -> list[str]:
    return [name for param in options(command) for name in param.opts if name.startswith("--")]


def test_help_says_its_purpose_and_gives_an_example(cli: Any, place: Words, tree: Tree) -> None:
    short, long = cli(*place, "-h"), cli(*place, "--help")
    assert (short.exit_code, short.stderr) == (0, "")
    assert short.stdout == long.stdout
    assert (tree[place].help or "").strip().splitlines()[0] in " ".join(short.stdout.split())
    assert "Example: ss " in short.stdout


def test_the_example_of_a_command_is_a_call_of_that_command(place: Words, tree: Tree) -> None:
    called = shlex.split(tree[place].epilog.removeprefix("Example: "))
    assert called[: len(place) + 1] == ["ss", *place]
    words = tuple(called[1:])
    command = next(tree[words[:end]] for end in range(len(words), -1, -1) if words[:end] in tree)
    known = {name for param in command.params for name in param.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_no_line_of_help_is_cut(cli: Any, place: Words) -> None:
    assert "..." not in re.sub(r"(\]|ARGS\]|\[INPUT\])\.\.\.", "", cli(*place, "-h").stdout)


def test_a_bare_group_prints_its_help_to_stderr(run_ss: Any, group: Words) -> None:
    done = run_ss(*group)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == run_ss(*group, "-h").stdout.strip()


def test_the_version_is_one_line(cli: Any) -> None:
    from studentsuccess import __version__

    assert cli("--version").stdout == f"ss {__version__}\n"


def test_a_misspelt_option_suggests_the_nearest(cli: Any, words: Words, tree: Tree, told: Callable[[str], Any]) -> None:
    names = long_names(tree[words])
    for name in sample(names, daily=names[::4]):
        done = cli(*words, f"{name}{name[-1]}")
        assert (done.exit_code, done.stdout) == (2, "")
        said = told(done.stderr)
        assert f"`{name}{name[-1]}`" in said.error
        assert f"`{name}`" in said.hint


def test_a_misspelt_command_suggests_the_nearest(cli: Any, place: Words, told: Callable[[str], Any]) -> None:
    if place:
        done = cli(*place[:-1], f"{place[-1]}x")
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"`{' '.join(('ss', *place))}`" in told(done.stderr).hint


def test_a_misspelt_choice_suggests_the_nearest(cli: Any, words: Words, tree: Tree, told: Callable[[str], Any]) -> None:
    for param in options(tree[words]):
        for choice in getattr(param.type, "choices", ()):
            value = str(getattr(choice, "value", choice))
            done = cli(*words, param.opts[0], f"{value}{value[-1]}")
            assert (done.exit_code, done.stdout) == (2, "")
            assert f"`{value}`" in told(done.stderr).hint


def test_an_unknown_setting_suggests_the_nearest(cli: Any, words: Words, told: Callable[[str], Any]) -> None:
    done = cli(*words, "--set", "etl.max_reject=1", "-q")
    if words == ("config", "validate"):
        assert (done.exit_code, done.stderr) == (2, "")
        assert "did you mean `etl.max_rejects`?" in done.stdout
    else:
        assert (done.exit_code, done.stdout) == (2, "")
        assert "did you mean `etl.max_rejects`?" in told(done.stderr).error


def test_an_option_without_its_value_names_the_command(
    cli: Any, words: Words, tree: Tree, told: Callable[[str], Any]
) -> None:
    valued = [param.opts[0] for param in options(tree[words]) if not param.is_flag]
    for name in sample(valued, daily=valued[::3]):
        done = cli(*words, name)
        assert done.exit_code == 2
        assert told(done.stderr).hint == f"`{' '.join(('ss', *words))} -h` shows what it takes"


def test_a_common_option_before_the_command_is_told_its_place(cli: Any, told: Callable[[str], Any]) -> None:
    assert told(cli("-w", "x", "etl").stderr).hint == "it comes after the command: `ss COMMAND -w …`"


def test_an_argument_too_many_is_named(cli: Any, told: Callable[[str], Any]) -> None:
    assert told(cli("verify", "extra").stderr).error == "unexpected argument: `extra`"


def test_a_config_file_that_is_not_there_is_named(cli: Any, words: Words, told: Callable[[str], Any]) -> None:
    done = cli(*words, "-c", "nowhere.toml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "nowhere.toml" in told(done.stderr).error


@pytest.mark.parametrize("raised", [ValueError("Ada Lovelace"), KeyError("Ada Lovelace"), MemoryError()])
def test_a_defect_is_one_line_that_shows_no_data(
    cli: Any, words: Words, raised: Exception, told: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("studentsuccess.config.layers.load", broken)
    monkeypatch.setattr("studentsuccess.tasks.init.plan", broken)
    done = cli(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    told(done.stderr)
    assert "Lovelace" not in done.stderr


def test_a_traceback_is_for_those_who_ask(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("deep down")

    monkeypatch.setattr("studentsuccess.config.layers.load", broken)
    assert "deep down" not in cli("doctor").stderr
    assert "Traceback" in cli("doctor", env={"SS_DEBUG": "1"}).stderr


def test_every_short_flag_has_a_long_one(words: Words, tree: Tree) -> None:
    for param in options(tree[words]):
        assert any(name.startswith("--") for name in param.opts), param.opts


def test_a_flag_means_the_same_on_every_command(tree: Tree) -> None:
    """Which algorithms there are is the command's own affair."""
    meanings: dict[str, set[tuple[object, ...]]] = {}
    for command in tree.values():
        for param in options(command):
            own = param.opts == ["--algorithm"]
            kind = type(param.type).__name__
            said = () if own else (kind, param.help, *map(str, getattr(param.type, "choices", ())))
            meaning = (tuple(param.opts), param.metavar, param.is_flag, param.multiple, *said)
            for name in param.opts:
                meanings.setdefault(name, set()).add(meaning)
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_every_command_takes_the_common_flags(words: Words, tree: Tree) -> None:
    common = {"--workspace", "--config", "--format", "--wait", "--quiet", "--verbose", "--no-progress", "--no-input"}
    assert common <= set(long_names(tree[words]))


def test_no_flag_takes_a_secret(tree: Tree) -> None:
    names = {name for command in tree.values() for name in long_names(command)}
    assert not [name for name in names if re.search("password|secret|token|database-url", name)]


def test_the_template_is_what_the_schema_says() -> None:
    from studentsuccess.config.template import render_template

    assert (ROOT / "config_template.toml").read_text("utf-8") == render_template()
