"""What a job says it left: believed only when it is that job's, whole, and signed where that is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core.digest import FileFact
from studentsuccess.errors import ContractError
from studentsuccess.remote.job_manifest import JobManifest, is_safe, parse, render, sign_key

JOB = "ss-final-1"
KEY = b"0123456789abcdef"
MADE = JobManifest(
    JOB, "0.1.0", "d" * 64, ("train", "local"), "2025-01-01", "2025-01-02", "final@1", "workspace/models/final/1",
    0.5, 0.6, (FileFact("workspace/models/final/1/weights.safetensors", 3, "a" * 64),),
)  # fmt: skip


def test_what_was_written_is_read_again() -> None:
    assert parse(render(MADE, None), JOB, None) == MADE
    assert parse(render(MADE, KEY), JOB, KEY) == MADE
    assert parse(render(MADE, KEY), JOB, None) == MADE  # nobody here has a key to check it with
    unmeasured = replace(MADE, inner=None, held_out=None)
    assert parse(render(unmeasured, None), JOB, None) == unmeasured


@pytest.mark.parametrize("key", [None, KEY])
def test_anothers_list_is_refused(key: bytes | None) -> None:
    with pytest.raises(ContractError, match="is that of another job"):
        parse(render(MADE, key), "ss-final-2", key)


def test_a_key_asks_for_its_own_signature() -> None:
    with pytest.raises(ContractError, match="is unsigned"):
        parse(render(MADE, None), JOB, KEY)
    with pytest.raises(ContractError, match="signed with another key"):
        parse(render(MADE, b"fedcba9876543210"), JOB, KEY)


@pytest.mark.parametrize("name", ["model", "held_out", "files", "command", "format"])
def test_a_signed_list_that_was_changed_anywhere_is_refused(name: str) -> None:
    document = json.loads(render(MADE, KEY))
    document[name] = {"model": "other@1", "held_out": 0.1, "files": [], "command": ["x"], "format": 2}[name]
    with pytest.raises(ContractError, match="changed since"):
        parse(json.dumps(document).encode(), JOB, KEY)


def test_the_key_of_a_job_is_no_other_jobs_and_not_the_schools() -> None:
    assert len({sign_key(KEY, "a"), sign_key(KEY, "b"), sign_key(b"other", "a"), KEY.decode()}) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(json.loads(render(MADE, None)))), json_values)
def test_nonsense_in_any_field_is_refused_or_understood(name: str, value: Any) -> None:
    document = json.loads(render(MADE, None)) | {name: value}
    try:
        found = parse(json.dumps(document).encode(), JOB, None)
    except ContractError:
        return
    assert found.job == JOB
    assert all(is_safe(fact.path) for fact in found.files)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_list_are_refused(raw: bytes) -> None:
    with pytest.raises(ContractError, match="is not the list that a job writes"):
        parse(raw, JOB, None)


@settings(deadline=None)
@given(st.text(st.sampled_from("a./\\:~ \0é\n*-C"), max_size=12))
def test_a_safe_path_stays_below_its_folder_on_every_system(path: str) -> None:
    if not is_safe(path):
        return
    for kind in (PurePosixPath, PureWindowsPath):
        found = kind(path)
        assert not found.is_absolute()
        assert not found.drive
        assert ".." not in found.parts
        assert len(found.parts) == len(path.split("/"))


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "C:/x", "a\\..\\b", "a\0b"]
)
def test_these_are_not_safe(path: str) -> None:
    assert not is_safe(path)


def test_ordinary_names_are_safe() -> None:
    assert all(map(is_safe, ("result.json", "workspace/models/Maße 1/1/manifest.json", "a/.hidden")))
