"""A secret is used, and never seen."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from studentsuccess.config.keys import settings_by_path
from studentsuccess.config.layers import MASK, Overrides
from studentsuccess.config.schema import Settings
from studentsuccess.config.show import rows

if TYPE_CHECKING:
    from conftest import Place

PASSWORD = "correct-horse"  # noqa: S105 - made up
URL = f"postgresql://me:{PASSWORD}@host/marts"
SECRETS = [path for path, setting in settings_by_path().items() if setting.secret]
IN_FILE = f'[publish]\ndatabase_url = "{URL}"'


def test_keys_and_the_url_of_the_database_are_secrets() -> None:
    assert SECRETS == ["train.signing_key", "privacy.pseudonym_key", "publish.database_url"]


@pytest.mark.parametrize(
    ("toml", "env"),
    [(IN_FILE, {}), ("", {"SS_PUBLISH__DATABASE_URL": URL}), ("", {"DATABASE_URL": URL})],
    ids=["file", "environment", "old name"],
)
def test_it_is_read_and_masked_everywhere(place: Place, toml: str, env: dict[str, str]) -> None:
    loaded = place.load(toml, env)
    secret = loaded.settings.publish.database_url
    assert secret is not None
    assert secret.get_secret_value() == URL
    assert loaded.shown_value("publish.database_url") == MASK
    shown = (repr(loaded), str(loaded.settings), loaded.settings.model_dump_json(), repr(rows(loaded)))
    assert PASSWORD not in "".join(shown)


def test_an_unset_one_shows_as_none(place: Place) -> None:
    assert place.load().shown_value("publish.database_url") is None


def test_it_takes_no_part_in_the_digest(place: Place) -> None:
    assert place.load().digest == place.load(env={"DATABASE_URL": URL}).digest


def test_the_environment_beats_the_file(place: Place) -> None:
    loaded = place.load(IN_FILE, {"SS_PUBLISH__DATABASE_URL": "sqlite:///x"})
    assert loaded.settings.publish.database_url is not None
    assert loaded.settings.publish.database_url.get_secret_value() == "sqlite:///x"
    assert loaded.origins["publish.database_url"].where == "SS_PUBLISH__DATABASE_URL"


def test_it_is_never_a_flag(place: Place) -> None:
    by_set = place.refused(sets=(f"publish.database_url={URL}",))
    by_flag = place.refused(flags={"publish.database_url": URL})
    for error in (by_set, by_flag):
        assert "secrets are never flags" in error.message
        assert "SS_PUBLISH__DATABASE_URL" in error.message


def test_two_that_differ_are_warned_about_without_a_value(place: Place) -> None:
    loaded = place.load(env={"SS_PUBLISH__DATABASE_URL": URL, "DATABASE_URL": "sqlite:///x"})
    (warning,) = loaded.warnings
    assert "`SS_PUBLISH__DATABASE_URL` and `DATABASE_URL`" in warning
    assert PASSWORD not in warning


@pytest.mark.parametrize(
    ("toml", "env", "sets"),
    [
        (f'[publish]\ndatabase_ur = "{URL}"', {}, ()),
        (f'[publis]\ndatabase_url = "{URL}"', {}, ()),
        (f'database_url = "{URL}"', {}, ()),
        (f'[publish]\ndatabase_url = ["{URL}"]', {}, ()),
        (f'[publish]\n"{URL}" = 1', {}, ()),
        (f'[publish]\nstorage = "{URL}"', {}, ()),
        (f"[publish]\ndatabase_url = {URL}", {}, ()),
        (f'[publish]\ndatabase_url = "{URL}', {}, ()),
        (f'publish = "{URL}"', {}, ()),
        ("", {"SS_PUBLISH__DATABASE_UR": URL}, ()),
        ("", {"SS_PUBLISH__STORAGE": URL}, ()),
        ("", {"SS_ETL__NULL_VALUES": f'["{URL}"'}, ()),
        ("", {}, (f"publish.database_url={URL}",)),
        ("", {}, (f"publish.database_url {URL}",)),
        ("", {}, (f"publish.database_ur={URL}",)),
        ("", {}, (f"risk.week={URL}",)),
        ("", {}, (f"{URL}?sslmode=require",)),
        ("", {}, (URL,)),
    ],
)
def test_no_error_repeats_one_that_stands_in_the_wrong_place(
    place: Place, toml: str, env: dict[str, str], sets: tuple[str, ...]
) -> None:
    error = place.refused(toml, env, sets)
    everything = [
        *traceback.format_exception(error),
        repr(error),
        repr(error.args),
        repr(error.problems),
        *(problem.text for problem in error.problems),
        error.hint,
        repr(error.__context__),
        repr(error.__cause__),
    ]
    assert PASSWORD not in "".join(everything)


def test_the_schemas_own_error_does_not_show_what_it_was_given() -> None:
    with pytest.raises(ValueError, match="database_url") as caught:
        Settings.model_validate({"publish": {"database_url": [URL]}})
    assert PASSWORD not in str(caught.value)


def test_what_a_command_line_says_is_not_in_a_repr() -> None:
    assert PASSWORD not in repr(Overrides(sets=(f"publish.database_url={URL}",), flags={"x": URL}))
