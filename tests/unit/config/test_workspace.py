from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from studentsuccess.config.workspace import Workspace, find_workspace
from studentsuccess.errors import UsageError


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A folder two below one that holds a config.toml."""
    (tmp_path / "config.toml").touch()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    return inner


def test_the_places_of_a_workspace() -> None:
    root = Path("school")
    workspace = Workspace(root)
    places = {
        name: getattr(workspace, name).relative_to(root).as_posix()
        for name, kind in vars(Workspace).items()
        if isinstance(kind, property)
    }
    assert places == {
        "config_file": "config.toml",
        "warehouse": "warehouse.duckdb",
        "lock": "warehouse.lock",
        "inputs": "inputs",
        "datasets": "inputs/datasets",
        "dead_letters": "inputs/dlq",
        "models": "models",
        "outputs": "outputs",
        "reports": "reports",
        "logs": "logs",
        "downloads": "downloads",
        "ledger": "logs/ledger.jsonl",
        "staging": ".staging",
        "trash": ".trash",
        "cache": ".cache",
        "unfinished_models": "models/.unfinished",
    }


def test_config_toml_is_found_upwards(nested: Path, tmp_path: Path) -> None:
    assert find_workspace(None, None, {}, nested).root == tmp_path


def test_the_nearest_config_toml_wins(nested: Path) -> None:
    (nested.parent / "config.toml").touch()
    assert find_workspace(None, None, {}, nested).root == nested.parent


def test_without_any_config_the_current_folder_is_the_workspace(tmp_path: Path) -> None:
    if any((folder / "config.toml").exists() for folder in tmp_path.parents):
        pytest.skip("a config.toml stands above the temporary folder")
    assert find_workspace(None, None, {}, tmp_path).root == tmp_path


def test_each_way_to_name_a_workspace_beats_the_next(nested: Path, tmp_path: Path) -> None:
    environ = {"SS_WORKSPACE": str(tmp_path / "env")}
    config = tmp_path / "conf" / "mine.toml"
    assert find_workspace(tmp_path / "flag", config, environ, nested).root == tmp_path / "flag"
    assert find_workspace(None, config, environ, nested).root == tmp_path / "env"
    assert find_workspace(None, config, {}, nested).root == tmp_path / "conf"
    assert find_workspace(None, None, {}, nested).root == tmp_path


def test_relative_names_count_from_the_current_folder(nested: Path) -> None:
    assert find_workspace(Path("w"), None, {}, nested).root == nested / "w"
    assert find_workspace(None, None, {"SS_WORKSPACE": "w"}, nested).root == nested / "w"
    assert find_workspace(None, Path("c/x.toml"), {}, nested).root == nested / "c"


def test_an_empty_variable_names_nothing(nested: Path, tmp_path: Path) -> None:
    assert find_workspace(None, None, {"SS_WORKSPACE": ""}, nested).root == tmp_path


def test_a_tilde_that_no_shell_expanded_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    assert find_workspace(None, None, {"SS_WORKSPACE": "~/school"}, Path.cwd()).root == tmp_path / "school"


def test_nothing_is_created(tmp_path: Path) -> None:
    find_workspace(tmp_path / "new", None, {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["file", "file/below", "file/far/below"])
def test_a_file_is_no_workspace(tmp_path: Path, given: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"-w: .*folder") as caught:
        find_workspace(Path(given), None, {}, tmp_path)
    assert "ss init" in caught.value.hint


def test_a_file_in_the_variable_is_refused_by_the_variables_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="SS_WORKSPACE"):
        find_workspace(None, None, {"SS_WORKSPACE": "file"}, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_to_a_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert find_workspace(Path("link"), None, {}, tmp_path).root == tmp_path / "link"
