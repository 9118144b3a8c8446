from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studentsuccess.config.keys import Setting, settings_by_path
from studentsuccess.config.schema import Settings
from studentsuccess.config.template import render_template

if TYPE_CHECKING:
    from conftest import Place

ROOT = Path(__file__).resolve().parents[3]
KEY_LINE = re.compile(r"^# ([a-z0-9_]+ = .*)$", re.MULTILINE)
SETTINGS = pytest.mark.parametrize("setting", settings_by_path().values(), ids=lambda setting: setting.path)


def uncommented() -> str:
    return KEY_LINE.sub(r"\1", render_template())


def block(setting: Setting) -> str:
    """The comment of a key with its key line."""
    section = render_template().split(f"\n[{setting.section}]\n")[1]
    return next(part for part in section.split("\n\n") if f"\n# {setting.key} = " in f"\n{part}")


def test_the_file_in_the_repository_is_the_rendered_one() -> None:
    assert (ROOT / "config_template.toml").read_bytes() == render_template().encode("utf-8")


def test_it_sets_nothing(place: Place) -> None:
    loaded = place.load(render_template())
    assert loaded.settings == Settings()
    assert {origin.layer for origin in loaded.origins.values()} == {"default"}


def test_with_every_key_uncommented_it_sets_the_defaults(place: Place) -> None:
    loaded = place.load(uncommented())
    assert loaded.settings == Settings()
    assert {origin.layer for origin in loaded.origins.values()} == {"file"}


def test_every_key_stands_once_in_the_schemas_order() -> None:
    tables = tomllib.loads(uncommented())
    assert [f"{section}.{key}" for section, table in tables.items() for key in table] == list(settings_by_path())
    assert len(KEY_LINE.findall(render_template())) == len(settings_by_path())


@SETTINGS
def test_a_comment_says_what_a_key_is_for_and_how_else_to_set_it(setting: Setting) -> None:
    comment = " ".join(line.removeprefix("#").strip() for line in block(setting).splitlines())
    assert setting.description in comment
    assert setting.expected in comment
    assert all(name in comment for name in (setting.env_name, *setting.old_names, *setting.choices))


@SETTINGS
def test_an_example_is_a_value_that_works(setting: Setting, place: Place) -> None:
    if setting.example is None:
        assert not setting.optional, "a setting without a default value needs an example"
        return
    example = json.dumps(setting.example)
    assert example in block(setting)
    loaded = place.load(f"[{setting.section}]\n{setting.key} = {example}")
    assert loaded.origins[setting.path].layer == "file"


def test_no_line_is_too_long_for_a_terminal() -> None:
    assert max(map(len, render_template().splitlines())) <= 100


def test_it_ends_with_one_line_feed() -> None:
    assert render_template().endswith("\n")
    assert not render_template().endswith("\n\n")
