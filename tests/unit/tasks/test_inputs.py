"""What is named on the command line becomes files, in one order, each once."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from studentsuccess.errors import ExitCode, UsageError
from studentsuccess.tasks.inputs import is_data, resolved


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as people have them, and the test stands beside it."""
    folder = tmp_path / "exports"
    (folder / "deeper").mkdir(parents=True)
    for name in (
        "b.csv",
        "a.csv",
        "c.CSV.gz",
        "d.jsonl",
        "e.parquet",
        "notes.docx",
        ".hidden.csv",
        "deeper/f.csv",
        "g.tsv.zst",
    ):
        (folder / name).write_text("x\n")
    monkeypatch.chdir(tmp_path)
    return folder


def _shown(*named: str | Path) -> list[str]:
    with resolved([str(name) for name in named]) as files:
        return [file.shown for file in files]


def test_a_folder_is_its_tables_by_name_without_hidden_and_other_files(exports: Path) -> None:
    names = ["a.csv", "b.csv", "c.CSV.gz", "d.jsonl", "e.parquet", "g.tsv.zst"]
    assert _shown("exports") == _shown("exports/") == [f"exports/{name}" for name in names]
    assert all(is_data(exports / name) for name in names)


def test_files_keep_the_order_they_were_named_in(exports: Path) -> None:
    assert exports.is_dir()
    assert _shown("exports/b.csv", "exports/a.csv") == ["exports/b.csv", "exports/a.csv"]


def test_a_named_file_is_read_whatever_its_ending(exports: Path) -> None:
    assert exports.is_dir()
    assert _shown("exports/notes.docx", "exports/.hidden.csv") == ["exports/notes.docx", "exports/.hidden.csv"]


def test_a_file_that_is_named_twice_is_read_once(exports: Path) -> None:
    assert _shown("exports/a.csv", exports / "a.csv", "exports/../exports/a.csv", "exports")[0] == "exports/a.csv"
    assert len(_shown("exports/a.csv", exports / "a.csv", "exports")) == 6


@pytest.mark.posix
def test_a_link_to_a_file_is_the_file(exports: Path) -> None:
    (exports / "z.csv").symlink_to(exports / "a.csv")
    assert "exports/z.csv" not in _shown("exports")


def test_a_pattern_that_the_shell_left_alone_is_taken_as_one(exports: Path) -> None:
    assert exports.is_dir()
    assert _shown("exports/*.csv") == [str(Path("exports/a.csv")), str(Path("exports/b.csv"))]


def test_a_file_with_pattern_signs_in_its_name_is_that_file(exports: Path) -> None:
    (exports / "a[1].csv").write_text("x\n")
    assert _shown("exports/a[1].csv") == ["exports/a[1].csv"]


def test_home_is_understood(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(exports))
    monkeypatch.setenv("USERPROFILE", str(exports))
    with resolved(["~/a.csv"]) as files:
        assert files[0].path == exports / "a.csv"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("exports/aa.csv", "exports/aa.csv: not there", "did you mean"),
        ("nowhere/at/all.csv", "nowhere/at/all.csv: not there", "`-` reads stdin"),
        ("exports/*.xlsx", "exports/*.xlsx: not there", ""),
        ("empty", "empty: no table in this folder", ".csv"),
    ],
)
def test_what_is_not_there_is_a_mistake_of_usage_with_the_nearest_name(
    exports: Path, name: str, message: str, hint: str
) -> None:
    (exports.parent / "empty").mkdir()
    with pytest.raises(UsageError) as found:
        _shown(name)
    assert found.value.message == message
    assert hint in found.value.hint
    assert found.value.code == ExitCode.USAGE


def test_stdin_is_kept_while_it_is_needed_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\r\n\xff\x00\n")))
    with resolved(["-"]) as files:
        (kept,) = files
        assert (kept.shown, kept.path.read_bytes()) == ("stdin", b"a,b\r\n\xff\x00\n")
    assert not kept.path.exists()
    assert not os.path.lexists(kept.path.parent)


def test_no_name_is_no_file() -> None:
    assert _shown() == []
