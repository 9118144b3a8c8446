"""This very program as a job's code: the same bytes every time, complete, and able to run without being installed."""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from importlib import metadata
from pathlib import Path

import pytest

from studentsuccess.remote import job_program
from studentsuccess.remote.job_program import REQUIREMENTS, START, Program, package_files, this_program

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def program() -> Program:
    return this_program()


def wheel_of(program: Program) -> zipfile.ZipFile:
    (name,) = (name for name in program.snapshot if name.endswith(".whl"))
    return zipfile.ZipFile(io.BytesIO(program.snapshot[name]))


def test_it_is_the_same_every_time(program: Program) -> None:
    again = this_program()
    assert again.snapshot == program.snapshot
    assert again.digest == program.digest


def test_a_changed_line_is_another_program(program: Program) -> None:
    name = "studentsuccess/errors.py"
    changed = {**program.sources, name: program.sources[name] + b"\n"}
    other = Program(program.version, program.python, program.requirements, changed)
    older = Program(program.version, program.python, (*program.requirements[:-1], "typer==0.26.0"), program.sources)
    assert len({program.digest, other.digest, older.digest}) == 3


def test_every_file_of_the_package_is_in_it_and_nothing_that_python_left(program: Program) -> None:
    names = {name for name in wheel_of(program).namelist() if name.startswith("studentsuccess/")}
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "studentsuccess").rglob("*.sql")}
    assert tracked <= names
    assert {"studentsuccess/py.typed", "studentsuccess/core/templates/page.css"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".nbi", ".nbc"))]


def test_its_record_lists_every_file_with_its_digest(program: Program) -> None:
    wheel = wheel_of(program)
    info = f"studentsuccess-{program.version}.dist-info"
    record = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode()))}
    assert set(record) == set(wheel.namelist())
    for name, (digest, size) in record.items():
        if not name.endswith("RECORD"):
            content = wheel.read(name)
            hashed = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, size) == (f"sha256={hashed}", str(len(content)))


def test_its_requirements_are_what_is_installed_here_without_the_extras(program: Program) -> None:
    pinned = dict(line.split("==") for line in program.snapshot[REQUIREMENTS].decode().split())
    assert pinned["duckdb"] == metadata.version("duckdb")
    assert {"numpy", "numba", "typer", "pyarrow", "skops"} <= set(pinned)
    assert not {"azure-ai-ml", "psycopg", "pytest", "hypothesis"} & set(pinned)


def test_it_runs_from_its_wheel_and_not_from_what_is_installed(program: Program, tmp_path: Path) -> None:
    marked = {**program.sources, "studentsuccess/remote/job_entry.py": b"import sys; print(__file__, sys.argv[1:])\n"}
    other = Program(program.version, program.python, program.requirements, marked)
    for name, content in other.snapshot.items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, START, "a b", "--"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    inside = tmp_path / "program/studentsuccess/remote/job_entry.py"
    assert done.stdout == f"{inside} ['a b', '--']\n"


def test_a_program_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", nothing)
    with pytest.raises(job_program.SsError, match="is not installed"):
        this_program()


def test_what_a_job_notes_is_the_digest_of_what_it_ran(program: Program) -> None:
    assert job_program.source_digest(package_files()) == job_program.source_digest(program.sources)
