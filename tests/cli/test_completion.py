"""TAB in the real shells: the generated scripts, installed where a user would put them, asked through a terminal.

Nothing of the screen is parsed: Ctrl-G is bound to print the shell's own edit buffer, so what is compared is what Enter
would run. Shells handle keys in order, so the print comes after the completion and no test has to sleep.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from loading import load_module

if TYPE_CHECKING:
    import pexpect

ROOT = Path(__file__).resolve().parents[2]
COMPLETIONS = ROOT / "completions"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
PATIENCE = 60  # seconds until a shell that says nothing is given up; never waited for otherwise

Needs = Callable[..., str]


@dataclass(frozen=True)
class Shell:
    """How one shell is made ready: where its completion goes, and the file that it reads at its start."""

    program: str
    script: str
    installed: str
    start: tuple[str, ...]
    rc_file: str
    rc: str


BASH = Shell(
    program="bash",
    script="ss.bash",
    installed=".local/share/ss.bash",
    start=("--noprofile", "--rcfile", "{home}/.bashrc", "-i"),
    rc_file=".bashrc",
    rc="""
        bind 'set bell-style none'
        bind -x '"\\C-g": printf "[[%s]]\\n" "$READLINE_LINE"'
        . ~/.local/share/ss.bash
        PS1='ready> '
    """,
)
BASH_WITH_COMPLETIONS = Shell(
    program="bash",
    script="ss.bash",
    installed=".local/share/bash-completion/completions/ss",
    start=BASH.start,
    rc_file=".bashrc",
    rc=f"""
        bind 'set bell-style none'
        bind -x '"\\C-g": printf "[[%s]]\\n" "$READLINE_LINE"'
        . {BASH_COMPLETION}
        PS1='ready> '
    """,
)
ZSH = Shell(
    program="zsh",
    script="_ss",
    installed=".zfunc/_ss",
    start=("-i",),
    rc_file=".zshrc",
    rc="""
        unsetopt beep
        fpath=(~/.zfunc $fpath)
        autoload -Uz compinit && compinit -D -u
        show() { print -r -- "[[$BUFFER]]" }
        zle -N show && bindkey '^G' show
        PS1='ready> '
    """,
)
FISH = Shell(
    program="fish",
    script="ss.fish",
    installed=".config/fish/completions/ss.fish",
    start=("-i",),
    rc_file=".config/fish/config.fish",
    rc="""
        set -g fish_greeting
        set -g fish_autosuggestion_enabled 0
        function fish_prompt; printf 'ready> '; end
        bind \\cg 'printf "[[%s]]\\n" (commandline)'
    """,
)
SHELLS = {"bash": BASH, "bash-completion": BASH_WITH_COMPLETIONS, "zsh": ZSH, "fish": FISH}


class Session:
    """An interactive shell at its prompt."""

    def __init__(self, terminal: pexpect.spawn[str]) -> None:
        self._terminal = terminal
        self._terminal.expect("ready> ")

    def after_tab(self, typed: str) -> str:
        """What stands on the command line after typing something and TAB."""
        self._terminal.send(f"{typed}\t\x07")
        self._terminal.expect(r"\[\[(?P<line>[^\[\]]*)\]\]")
        found: re.Match[str] = self._terminal.match
        self._terminal.send("\x15")
        return found["line"].rstrip()


@contextmanager
def session(shell: Shell, program: str, home: Path, env: dict[str, str]) -> Iterator[Session]:
    import pexpect

    for name in (shell.installed, shell.rc_file):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(COMPLETIONS / shell.script, home / shell.installed)
    (home / shell.rc_file).write_text(shell.rc, encoding="utf-8")
    start = [word.format(home=home) for word in shell.start]
    terminal = pexpect.spawn(
        program, start, env=env, cwd=str(home), encoding="utf-8", timeout=PATIENCE, dimensions=(40, 200)
    )
    try:
        yield Session(terminal)
    finally:
        terminal.close(force=True)


@pytest.fixture(params=SHELLS)
def at_prompt(
    request: pytest.FixtureRequest, tmp_path: Path, needs: Needs, clean_env: dict[str, str]
) -> Iterator[Session]:
    shell = SHELLS[request.param]
    program = needs(shell.program)
    if shell is BASH_WITH_COMPLETIONS:
        needs(BASH_COMPLETION)
    ours = Path(needs(Path(sys.executable).with_name("ss"))).parent
    env = clean_env | {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    env["PATH"] = f"{ours}:{env['PATH']}"
    for name in [name for name in env if name.startswith("XDG_")]:
        del env[name]
    with session(shell, program, tmp_path, env) as ready:
        yield ready


@pytest.mark.posix
def test_the_first_tab_completes_a_command(at_prompt: Session) -> None:
    assert at_prompt.after_tab("ss et") == "ss etl"


@pytest.mark.posix
def test_tab_completes_an_option(at_prompt: Session) -> None:
    assert at_prompt.after_tab("ss etl --max-rej") == "ss etl --max-rejects"


@pytest.mark.posix
def test_tab_completes_a_command_inside_a_group(at_prompt: Session) -> None:
    assert at_prompt.after_tab("ss config val") == "ss config validate"


@pytest.mark.posix
def test_tab_falls_back_to_file_names(at_prompt: Session, tmp_path: Path) -> None:
    (tmp_path / "exported.csv").touch()
    assert at_prompt.after_tab("ss etl expo") == "ss etl exported.csv"


@pytest.fixture(scope="module")
def gen() -> ModuleType:
    return load_module("gen", ROOT / "scripts" / "gen.py")


@pytest.mark.parametrize("name", ["ss.bash", "_ss", "ss.fish", "ss.ps1"])
def test_the_completion_file_is_what_the_program_writes_now(gen: ModuleType, name: str) -> None:
    written = (COMPLETIONS / name).read_text(encoding="utf-8")
    assert written == gen.completion(gen.COMPLETIONS[name])


def test_zsh_finds_its_mark_on_the_first_line() -> None:
    assert (COMPLETIONS / "_ss").read_text(encoding="utf-8").splitlines()[0] == "#compdef ss"
