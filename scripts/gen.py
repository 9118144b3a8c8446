"""Writes every file that is made from the program itself, so that none can say something the program does not.

`--check` writes nothing, names each file that differs from what would be written, and exits 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parent.parent
COMPLETIONS = {"ss.bash": "bash", "_ss": "zsh", "ss.fish": "fish", "ss.ps1": "powershell"}
BLOCK = re.compile(r"(?P<head><!-- gen:(?P<name>[^>]*?) -->\n)(?P<body>.*?)(?P<tail><!-- /gen -->)", re.DOTALL)

# An autoloaded function's file is only read at the first TAB: without this line that TAB would complete nothing.
ZSH_FIRST_TAB = '\n[ "${funcstack[1]}" != _ss ] || _ss_completion "$@"\n'

# The program as `ss` would start it, without asking the PATH: `ss` may be somebody else's there.
PROGRAM = "import sys; sys.argv[0] = 'ss'; from studentsuccess.__main__ import main; sys.exit(main())"


class GenError(Exception):
    """A generated file cannot be made: the program or the README is not as this script expects."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/gen", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that drifted")
    check: bool = parser.parse_args().check
    try:
        drifted = [path for path, text in generated() if read(path) != text and (check or write(path, text))]
    except GenError as error:
        print(f"scripts/gen: error: {error}", file=sys.stderr)
        return 1
    for path in drifted:
        print(f"{'differs' if check else 'written'}  {path.relative_to(ROOT).as_posix()}")
    if check and drifted:
        print("hint: scripts/gen", file=sys.stderr)
    return 1 if check and drifted else 0


def generated() -> Iterator[tuple[Path, str]]:
    """Each generated file with the text it should have."""
    for name, shell in COMPLETIONS.items():
        yield ROOT / "completions" / name, completion(shell)
    yield ROOT / "config_template.toml", config_template()
    readme = ROOT / "README.md"
    if text := read(readme):
        yield readme, with_blocks(text)


def completion(shell: str) -> str:
    # The first line matters: zsh looks for `#compdef` there and nowhere else.
    script = run(_SS_COMPLETE=f"source_{shell}").strip() + "\n"
    return script + ZSH_FIRST_TAB if shell == "zsh" else script


def config_template() -> str:
    from studentsuccess.config.template import render_template

    return render_template()


def with_blocks(text: str) -> str:
    """The README with what stands between its `gen` marks made anew."""
    opened, whole = text.count("<!-- gen:"), len(BLOCK.findall(text))
    if opened != whole or text.count("<!-- /gen -->") != whole:
        raise GenError("README.md has a `<!-- gen:NAME -->` without its `<!-- /gen -->`, or the reverse")
    return BLOCK.sub(lambda found: f"{found['head']}{block(found['name'].strip())}{found['tail']}", text)


def block(name: str) -> str:
    what, _, words = name.partition(" ")
    if what == "help":
        return help_block(words.split())
    if name == "exit-codes":
        return exit_codes()
    if name == "commands":
        return commands()
    if name == "demo":
        return demo()
    raise GenError(f"README.md wants `{name}`; there are: help [COMMAND], exit-codes, commands, demo")


def demo() -> str:
    """What the demo prints, and the first dead letter of it: run here, so that the tour can't go stale."""
    with tempfile.TemporaryDirectory() as folder:
        printed = run("etl", "--demo", "-w", "demo", folder=Path(folder))
        letters = next(Path(folder, "demo", "inputs", "dlq").glob("*-studentInfo.csv"))
        first = "\n".join(letters.read_text(encoding="utf-8").splitlines()[:2])
    return f"```text\n$ ss etl --demo -w demo\n{printed}\n$ head -2 demo/inputs/dlq/*-studentInfo.csv\n{first}\n```\n"


def help_block(words: list[str]) -> str:
    text = "\n".join(line.rstrip() for line in run(*words, "--help").strip("\n").splitlines())
    return f"```text\n$ {' '.join(['ss', *words, '--help'])}\n{text}\n```\n"


def exit_codes() -> str:
    from studentsuccess.errors import ExitCode

    return table(("exit", "means"), [(str(code.value), code.meaning) for code in sorted(ExitCode)])


def commands() -> str:
    from studentsuccess.cli.app import app

    return table(("command", "does"), list(listed(typer.main.get_command(app), "ss")))


def listed(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Everything that can be run, in the order of the help; a group itself only when it runs bare."""
    if not isinstance(command, typer.core.TyperGroup):
        yield f"`{name}`", purpose(command)
        return
    if command.invoke_without_command and name != "ss":
        yield f"`{name}`", purpose(command)
    for word, inner in command.commands.items():
        if not inner.hidden:
            yield from listed(inner, f"{name} {word}")


def purpose(command: Any) -> str:
    lines = (command.short_help or command.help or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else ""


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    cells = [head, ("---", "---"), *((left, right.replace("|", "\\|")) for left, right in rows)]
    return "".join(f"| {left} | {right} |\n" for left, right in cells)


def run(*words: str, folder: Path = ROOT, **environment: str) -> str:
    """What the program prints, whoever asks and however wide their terminal is."""
    foreign = re.compile(r"_?(SS|TYPER|COMP|FORCE|CLICOLOR)_")
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=kept | plain | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise GenError(f"`ss {' '.join(words)}` failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write(path: Path, text: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.part")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    fresh.replace(path)
    return True


if __name__ == "__main__":
    sys.exit(main())
