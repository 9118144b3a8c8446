"""The variables in people's scripts keep working."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studentsuccess.config.keys import settings_by_path

if TYPE_CHECKING:
    from conftest import Place

# old name: setting, a value as scripts write it, what it means, another value
OLD_NAMES: dict[str, tuple[str, str, object, str]] = {
    "DATABASE_URL": ("publish.database_url", "postgresql://host/db", "********", "sqlite:///x"),
    "S3_BUCKET": ("publish.s3_bucket", "my-oulad-artifacts", "my-oulad-artifacts", "other"),
    "S3_PREFIX": ("publish.s3_prefix", "prod", "prod", "test"),
    "AWS_REGION": ("publish.s3_region", "us-east-1", "us-east-1", "eu-west-1"),
    "STORAGE_BACKEND": ("publish.storage", "s3", "s3", "local"),
    "SPLIT_WEEK": ("risk.week", "7", 7, "9"),
    "HIGH_RISK_THRESHOLD": ("alerts.high_risk_threshold", "0.30", 0.3, "0.4"),
    "RISK_SPIKE_THRESHOLD_PCT": ("alerts.spike_threshold", "0.20", 0.2, "0.3"),
    "PIPELINE_DEMO_MODE": ("etl.demo", "true", True, "false"),
    "AZURE_SUBSCRIPTION_ID": ("azure.subscription_id", "0000-1111", "0000-1111", "2222-3333"),
    "AZURE_RESOURCE_GROUP": ("azure.resource_group", "school", "school", "other"),
    "MODEL_BACKEND": ("train.backend", "sklearn", "sklearn", "pytorch"),
}


def test_the_schema_knows_exactly_these() -> None:
    known = {name: path for path, setting in settings_by_path().items() for name in setting.old_names}
    assert known == {name: path for name, (path, *_) in OLD_NAMES.items()}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_an_old_name_sets_its_setting(place: Place, name: str) -> None:
    path, text, expected, _ = OLD_NAMES[name]
    loaded = place.load(env={name: text})
    assert loaded.shown_value(path) == expected
    assert (loaded.origins[path].layer, loaded.origins[path].where) == ("environment", name)
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", OLD_NAMES)
def test_the_new_name_wins_and_a_difference_is_warned_about(place: Place, name: str) -> None:
    path, text, expected, other = OLD_NAMES[name]
    new = settings_by_path()[path].env_name
    loaded = place.load(env={name: other, new: text})
    assert loaded.shown_value(path) == expected
    assert loaded.origins[path].where == new
    assert loaded.warnings == (f"`{new}` and `{name}` are both set and differ: `{new}` is used",)


@pytest.mark.parametrize(("new", "old"), [("7", "7"), ("7", "07")])
def test_two_names_with_one_meaning_need_no_warning(place: Place, new: str, old: str) -> None:
    assert place.load(env={"SS_RISK__WEEK": new, "SPLIT_WEEK": old}).warnings == ()


def test_an_old_name_beats_the_file_and_loses_to_a_flag(place: Place) -> None:
    toml = "[risk]\nweek = 5"
    assert place.load(toml, {"SPLIT_WEEK": "6"}).settings.risk.week == 6
    assert place.load(toml, {"SPLIT_WEEK": "6"}, ("risk.week=7",)).settings.risk.week == 7


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow", "SKLEARN"])
def test_another_backend_is_refused_with_the_reason(place: Place, backend: str) -> None:
    error = place.refused(env={"MODEL_BACKEND": backend})
    assert error.message.startswith("MODEL_BACKEND: `train.backend` must be `sklearn`")
    assert "only scikit-learn backends exist now" in error.message


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("TRUE", True), ("1", True), ("false", False)])
def test_demo_mode_is_read_as_scripts_write_it(place: Place, text: str, expected: bool) -> None:
    assert place.load(env={"PIPELINE_DEMO_MODE": text}).settings.etl.demo is expected
