"""A measurement is only worth something when it sees the command, and neither less nor more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from loading import load_module

pytestmark = pytest.mark.skipif(
    not hasattr(os, "wait4"), reason="measuring needs os.wait4, which Windows does not have"
)


measure = load_module("measure_under_test", Path(__file__).with_name("measure.py"))


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_peak_is_the_commands_own_and_not_that_of_a_large_caller() -> None:
    ballast = b"x" * (300 * measure.MB)
    sample = measure.run(_python("pass"))
    assert len(ballast) > 2 * sample.peak


def test_the_peak_and_the_cpu_of_a_child_of_the_command_count() -> None:
    idle = measure.run(_python("pass"))
    child = "x = b'x' * 200_000_000; sum(range(5_000_000))"
    sample = measure.run(_python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"))
    assert sample.peak > 200 * measure.MB
    assert sample.cpu > 2 * idle.cpu


def test_a_failed_command_is_an_error_with_what_it_said() -> None:
    sample = measure.run(_python("import sys; sys.exit('no such luck')"))
    assert sample.exit_code == 1
    with pytest.raises(measure.BenchError, match="no such luck"):
        sample.checked("it")


def test_a_command_that_says_something_else_is_not_measured() -> None:
    subject = measure.Subject("it", lambda: _python("print('error')"), says="etl")
    with pytest.raises(measure.BenchError, match="did not say"):
        subject.run()


def test_only_with_a_terminal_the_command_sees_one_and_long_output_arrives_whole() -> None:
    code = "import sys; print('y' * 200_000, sys.stdout.isatty())"
    assert measure.run(_python(code)).stdout.endswith("False\n")
    shown = measure.run(_python(code), terminal=True).stdout
    assert shown.count("y") == 200_000
    assert "True" in shown


def test_the_callers_own_settings_do_not_reach_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SS_BUDGET__MEMORY", "NO_COLOR", "CI"):
        monkeypatch.setenv(name, "1")
    seen = measure.environment({"SS_WORKSPACE": "there"})
    assert seen["SS_WORKSPACE"] == "there"
    assert not {"SS_BUDGET__MEMORY", "NO_COLOR", "CI"} & seen.keys()


def test_the_commands_take_turns() -> None:
    order: list[str] = []
    subjects = [
        measure.Subject(name, lambda: _python("pass"), before=lambda name=name: order.append(name)) for name in "ab"
    ]
    samples = measure.alternate(subjects, 2)
    assert order == ["a", "b", "a", "b"]
    assert {name: len(runs) for name, runs in samples.items()} == {"a": 2, "b": 2}
