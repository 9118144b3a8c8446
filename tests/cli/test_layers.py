"""Defaults < config.toml < environment < --set < a command's own flag, seen from the command line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LAYERS = ("file", "environment", "set", "flag")
# Per setting: what each layer says.
SAID = {
    "etl.max_rejects": ("11", "12", "13"),
    "etl.duplicates": ("keep", "drop", "auto"),
    "etl.seed": ("1", "2", "3"),
    "budget.batch_rows": ("1000", "2000", "3000"),
    "risk.demographics": ("exclude", "use", "exclude"),
    "alerts.spike_threshold": ("0.2", "0.3", "0.4"),
}


def shown(cli: Any, key: str, *words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = cli("config", "show", "-f", "json", *words, env=env)
    assert done.exit_code == 0, done.stderr
    return {one["key"]: one for one in json.loads(done.stdout)["settings"]}[key]


@pytest.mark.parametrize("key", SAID)
@pytest.mark.parametrize("given", [c for n in range(4) for c in itertools.combinations(LAYERS[:3], n)], ids="+".join)
def test_the_highest_layer_wins_and_says_so(cli: Any, workspace: Path, key: str, given: tuple[str, ...]) -> None:
    section, _, name = key.partition(".")
    file, environment, flag = SAID[key]
    default = shown(cli, key)["value"]
    if "file" in given:
        value = file if file.replace(".", "").isdigit() else f'"{file}"'
        (workspace / "config.toml").write_text(f"[{section}]\n{name} = {value}\n", "utf-8")
    env = {f"SS_{section}__{name}".upper(): environment} if "environment" in given else {}
    words = ("--set", f"{key}={flag}") if "set" in given else ()
    found = shown(cli, key, *words, env=env)
    expected = {"file": (file, "file"), "environment": (environment, "environment"), "set": (flag, "flag")}
    value, source = expected[given[-1]] if given else (default, "default")
    assert (str(found["value"]), found["source"]) == (str(value), source)


@pytest.mark.parametrize("winner", LAYERS)
def test_a_commands_own_flag_is_above_all(cli: Any, workspace: Path, winner: str) -> None:
    """Ten rejects: only the winning layer allows them, and every layer below it forbids them."""
    rows = "".join(f"{number},1\n" for number in range(990)) + "x\n" * 10
    (workspace / "rows.csv").write_text("id,score\n" + rows, "utf-8")
    limit = dict(zip(LAYERS, ["0"] * 4, strict=True)) | {winner: "10"}
    given = LAYERS[: LAYERS.index(winner) + 1]
    (workspace / "config.toml").write_text(f"[etl]\nmax_rejects = '{limit['file']}'\n", "utf-8")
    env = {"SS_ETL__MAX_REJECTS": limit["environment"]} if "environment" in given else {}
    words = [f"--set=etl.max_rejects={limit['set']}"] if "set" in given else []
    words += ["--max-rejects", limit["flag"]] if "flag" in given else []
    assert cli("etl", "rows.csv", *words, env=env).exit_code == 0
    assert cli("etl", "rows.csv", "--max-rejects", "9", "--name", "other", env=env).exit_code == 4


def test_a_secret_is_shown_by_no_format(cli: Any) -> None:
    for shape in ("table", "json", "csv"):
        done = cli("config", "show", "-f", shape, env={"DATABASE_URL": "postgresql://me:geheim@host/db"})
        assert done.exit_code == 0
        assert "publish.database_url" in done.stdout
        assert "geheim" not in done.stdout + done.stderr


def test_an_old_name_loses_against_the_new_one_and_both_are_named(cli: Any) -> None:
    done = cli("config", "show", "-f", "json", env={"SPLIT_WEEK": "7", "SS_RISK__WEEK": "9"})
    assert {one["key"]: one["value"] for one in json.loads(done.stdout)["settings"]}["risk.week"] == 9
    assert "SPLIT_WEEK" in done.stderr
    assert "SS_RISK__WEEK" in done.stderr


def test_every_problem_is_listed_with_file_and_key(cli: Any, workspace: Path, told: Callable[[str], Any]) -> None:
    (workspace / "config.toml").write_text("[etl]\nmax_reject = 5\nseed = 'x'\n[bugdet]\nmemory = 1\n", "utf-8")
    done = cli("config", "validate")
    assert done.exit_code == 2
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["config.toml"] * 3
    for words in ("did you mean `etl.max_rejects`?", "`etl.seed` must be", "did you mean `budget`?"):
        assert words in done.stdout
    assert "(and 2 more)" in told(cli("doctor").stderr).error


def test_a_flag_outside_its_range_is_told_the_range(cli: Any, told: Callable[[str], Any]) -> None:
    said = told(cli("etl", "--demo", "--students", "0").stderr)
    assert said.error.startswith("--students: `etl.demo_students` must be a whole number from 1 to 5,000,000")
    assert "`ss etl -h`" in said.hint
