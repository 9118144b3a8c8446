"""Pseudonyms: the same every time, another with every key, and never without one."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studentsuccess.config.schema import PrivacySettings
from studentsuccess.errors import ExitCode, SsError
from studentsuccess.insights.pseudonyms import aliases, fingerprint, pseudonym, pseudonym_key

KEY = "sixteen letters!"


@given(st.binary(min_size=16, max_size=64), st.text(st.characters(exclude_categories=("Cs",))))
def test_a_pseudonym_is_the_keyed_digest_that_anybody_with_the_key_can_repeat(key: bytes, identity: str) -> None:
    assert pseudonym(key, identity) == hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()


def test_each_student_has_one_of_their_own() -> None:
    found = aliases(pa.table({"id_student": ["7", "8", "é"]}), KEY.encode())
    assert found.column_names == ["id_student", "pseudonym"]
    assert len(set(found.column("pseudonym").to_pylist())) == 3


def test_a_fingerprint_tells_keys_apart_and_is_no_students_pseudonym() -> None:
    assert fingerprint(b"a" * 16) != fingerprint(b"b" * 16)
    assert fingerprint(b"a" * 16) != pseudonym(b"a" * 16, "which key is this")


def test_nobody_is_asked_for_a_key_who_wants_no_pseudonyms(tmp_path: Path) -> None:
    assert pseudonym_key(PrivacySettings(pseudonym_key=KEY), tmp_path) is None  # type: ignore[arg-type]


def test_the_key_comes_from_the_setting_or_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", "utf-8")
    given_key = PrivacySettings(pseudonymous_ids=True, pseudonym_key=KEY)  # type: ignore[arg-type]
    in_file = PrivacySettings(pseudonymous_ids=True, pseudonym_key_file="key")
    assert pseudonym_key(given_key, tmp_path) == pseudonym_key(in_file, tmp_path) == KEY.encode()


def refused(settings: PrivacySettings, root: Path) -> SsError:
    with pytest.raises(SsError) as caught:
        pseudonym_key(settings, root)
    assert KEY not in caught.value.message + caught.value.hint
    return caught.value


def test_pseudonyms_without_a_key_are_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    problem = refused(PrivacySettings(pseudonymous_ids=True), tmp_path)
    assert problem.code == ExitCode.USAGE
    assert "openssl rand -hex 32" in problem.hint


@pytest.mark.parametrize("content", [None, b"", b"short\n"])
def test_a_key_file_that_is_missing_or_too_short_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    problem = refused(PrivacySettings(pseudonymous_ids=True, pseudonym_key_file="key"), tmp_path)
    assert problem.code == ExitCode.USAGE


def test_a_key_file_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    problem = refused(PrivacySettings(pseudonymous_ids=True, pseudonym_key_file="key"), tmp_path)
    assert problem.code == ExitCode.STORAGE


def test_a_key_in_the_home_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    (tmp_path / "key").write_text(KEY, "utf-8")
    settings = PrivacySettings(pseudonymous_ids=True, pseudonym_key_file="~/key")
    assert pseudonym_key(settings, tmp_path / "workspace") == KEY.encode()
