"""A folder with a config file, and the one call that all tests of the layers make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from studentsuccess.config.layers import Configuration, Overrides, load
from studentsuccess.config.problems import ConfigError


@dataclass(frozen=True)
class Place:
    """An empty folder to stand in; nothing of the real environment is seen."""

    folder: Path

    def load(
        self,
        toml: str | None = None,
        env: Mapping[str, str] | None = None,
        sets: tuple[str, ...] = (),
        flags: Mapping[str, object] | None = None,
    ) -> Configuration:
        if toml is not None:
            (self.folder / "config.toml").write_text(toml, encoding="utf-8")
        return load(Overrides(sets=sets, flags=flags or {}), env or {}, self.folder)

    def refused(
        self,
        toml: str | None = None,
        env: Mapping[str, str] | None = None,
        sets: tuple[str, ...] = (),
        flags: Mapping[str, object] | None = None,
    ) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(toml, env, sets, flags)
        return caught.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
