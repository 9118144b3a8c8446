from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from studentsuccess.config.keys import settings_by_path
from studentsuccess.config.layers import Overrides, load
from studentsuccess.config.problems import ConfigError, nearest_key, shown_name
from studentsuccess.errors import ExitCode, SsError, StorageError, UsageError

if TYPE_CHECKING:
    from conftest import Place

KNOWN = list(settings_by_path())


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("toml", "key", "nearest"),
        [
            ("[etl]\nmax_reject = 1", "etl.max_reject", "etl.max_rejects"),
            ("[etl]\nMAX_REJECTS = 1", "etl.MAX_REJECTS", "etl.max_rejects"),
            ("[etl]\nweek = 1", "etl.week", "risk.week"),
            ("max_rejects = 1", "max_rejects", "etl.max_rejects"),
            ("etl.delimeter = ';'", "etl.delimeter", "etl.delimiter"),
            ("[etll]\ndemo = true", "etll", "etl"),
            ("[Risk]\nweek = 3", "Risk", "risk"),
            ("[etl]\nzzz = 1", "etl.zzz", ""),
            ("[zzz]", "zzz", ""),
        ],
    )
    def test_in_the_file(self, place: Place, toml: str, key: str, nearest: str) -> None:
        (problem,) = place.refused(toml).problems
        assert (problem.where, problem.key, problem.nearest) == ("config.toml", key, nearest)
        assert problem.text.startswith(f"config.toml: unknown {problem.unknown} `{key}`")
        assert ("did you mean" in problem.text) == bool(nearest)

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("SS_ETL__MAX_REJECT", "SS_ETL__MAX_REJECTS"),
            ("SS_ETLL__DEMO", "SS_ETL__DEMO"),
            ("SS_ETL__WEEK", "SS_RISK__WEEK"),
            ("SS_etl__demo", "SS_ETL__DEMO"),
            ("SS_QQQ__QQQ", ""),
        ],
    )
    def test_in_the_environment(self, place: Place, name: str, nearest: str) -> None:
        (problem,) = place.refused(env={name: "1"}).problems
        assert (problem.where, problem.nearest) == (name, nearest)

    def test_in_set(self, place: Place) -> None:
        (problem,) = place.refused(sets=("etl.duplicate=keep",)).problems
        assert (problem.where, problem.nearest) == ("--set etl.duplicate", "etl.duplicates")

    @pytest.mark.parametrize("path", KNOWN)
    def test_a_key_with_a_letter_missing_is_recognised(self, path: str) -> None:
        section, _, key = path.partition(".")
        for at in range(1, len(key)):
            assert nearest_key(f"{section}.{key[:at]}{key[at + 1 :]}", KNOWN) == path

    def test_what_resembles_nothing_gets_no_guess(self) -> None:
        assert nearest_key("publish.z", KNOWN) == ""
        assert nearest_key("", KNOWN) == ""


class TestWrongValues:
    @pytest.mark.parametrize(
        ("toml", "found", "expected"),
        [
            ("[risk]\nweek = '8'", "text", "a whole number from 1 to 52"),
            ("[risk]\nweek = 8.0", "a number", "a whole number from 1 to 52"),
            ("[risk]\nweek = true", "true or false", "a whole number from 1 to 52"),
            ("[risk]\nweek = 0", "a whole number", "a whole number from 1 to 52"),
            ("[risk]\nweek = 2026-11-21", "a date or time", "a whole number from 1 to 52"),
            ("[risk.week]\nx = 1", "a table", "a whole number from 1 to 52"),
            ("[risk]\nhigh_risk_probability = 1.0", "a number", "a number above 0 and below 1"),
            ("[budget]\ncpus = 0", "a whole number", "a whole number from 1 upwards"),
            ("[etl]\ntype_tolerance = 0.5", "a number", "a number from 0 to below 0.5"),
            ("[etl]\ntype_tolerance = nan", "a number", "a number from 0 to below 0.5"),
            ("[etl]\ndemo = 1", "a whole number", "true or false"),
            ("[etl]\nnull_values = 'NA'", "text", "a list of texts"),
            ("[etl]\nnull_values = [1]", "a list", "a list of texts"),
            ("[etl]\nmax_rejects = 0.01", "a number", "a share such as `1%` or a count such as `100`"),
            ("[etl]\nmax_rejects = -1", "a whole number", "a share such as `1%` or a count such as `100`"),
            ("[etl]\ndelimiter = ''", "an empty text", "`auto`, one character, or `tab`, `comma`, `semicolon`, `pipe`"),
            ("[etl]\nmax_record = '2GB'", "text", "a size from 1KB to 1GB"),
            ("[budget]\nmemory = 512", "a whole number", "a size of at least 200MB, such as `512MB` or `2GiB`"),
            ("[publish]\ns3_bucket = 5", "a whole number", "text"),
            ("etl = 3", "a whole number", "a section, written `[etl]`"),
            ("[[etl]]\ndemo = true", "a list", "a section, written `[etl]`"),
        ],
    )
    def test_the_kind_found_and_what_is_expected_are_said(
        self, place: Place, toml: str, found: str, expected: str
    ) -> None:
        (problem,) = place.refused(toml).problems
        assert (problem.where, problem.found, problem.expected) == ("config.toml", found, expected)
        assert problem.text == f"config.toml: `{problem.key}` must be {expected}; found {found}"

    @pytest.mark.parametrize("text", ["x", "99", "1.5", "nan", "9" * 5000])
    def test_in_a_variable(self, place: Place, text: str) -> None:
        (problem,) = place.refused(env={"SS_RISK__WEEK": text}).problems
        assert (problem.where, problem.key) == ("SS_RISK__WEEK", "risk.week")
        assert problem.found == ("text" if text in ("x", "nan") else "a number")

    def test_in_a_list_that_is_not_json(self, place: Place) -> None:
        for text in ('["a"', "[1]", "[" * 100_000):
            (problem,) = place.refused(env={"SS_ETL__NULL_VALUES": text}).problems
            assert problem.expected == "a list of texts"

    def test_a_misspelt_choice_is_recognised(self, place: Place) -> None:
        (problem,) = place.refused(sets=("etl.duplicates=dorp",)).problems
        assert problem.nearest == "drop"
        assert problem.text.endswith("did you mean `drop`?")

    def test_in_a_commands_own_flag(self, place: Place) -> None:
        (problem,) = place.refused(flags={"etl.demo_weeks": 99}).problems
        assert (problem.where, problem.key) == ("--weeks", "etl.demo_weeks")

    def test_a_wrong_value_that_a_higher_layer_replaces_is_still_wrong(self, place: Place) -> None:
        (problem,) = place.refused("[risk]\nweek = 99", sets=("risk.week=8",)).problems
        assert problem.where == "config.toml"

    @pytest.mark.parametrize("text", ["risk.week", "risk.week 8", "", "hunter2"])
    def test_set_without_an_equals_sign(self, place: Place, text: str) -> None:
        (problem,) = place.refused(sets=(text,)).problems
        assert problem.text.startswith("--set: no `=`; expected `--set section.key=value`")
        assert "hunter2" not in problem.text


def test_all_problems_of_all_layers_come_at_once(place: Place) -> None:
    error = place.refused(
        "[etl]\nmax_reject = 1\ndemo = 'yes'\n[risk]\nweek = 0",
        env={"SS_ETL__DEM": "1", "SPLIT_WEEK": "x"},
        sets=("privacy.min_cell=none", "nothing"),
        flags={"etl.seed": -1},
    )
    assert [problem.where for problem in error.problems] == [
        *("config.toml",) * 3,
        "SS_ETL__DEM",
        "SPLIT_WEEK",
        "--set",
        "--set privacy.min_cell",
        "--seed",
    ]
    assert error.message == f"{error.problems[0].text} (and 7 more)"
    assert str(error) == error.message
    assert "\n" not in error.message
    assert error.code is ExitCode.USAGE


def test_a_broken_file_does_not_hide_the_other_layers(place: Place) -> None:
    error = place.refused("[etl", env={"SS_RISK__WEEK": "x"})
    assert [problem.where.partition(",")[0] for problem in error.problems] == ["config.toml", "SS_RISK__WEEK"]


def test_one_problem_has_no_rest(place: Place) -> None:
    error = place.refused("[risk]\nweek = 0")
    assert error.message == error.problems[0].text


def test_the_hint_is_the_command_that_lists_them_all(tmp_path: Path) -> None:
    (tmp_path / "my school").mkdir()
    (tmp_path / "my.toml").write_text("x = 1", encoding="utf-8")
    with pytest.raises(ConfigError) as plain:
        load(Overrides(sets=("x=1",)), {}, tmp_path)
    assert "`ss config validate`" in plain.value.hint
    with pytest.raises(ConfigError) as named:
        load(Overrides(Path("my school"), Path("my.toml")), {}, tmp_path)
    assert '`ss config validate -w "my school" -c my.toml`' in named.value.hint


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b"[etl]\nmax_rejects = 1%\n", "line 2, column "),
            (b"[etl]\r\ndemo = true\r\ndemo = false\r\n", "line 3, column "),
            (b"[etl\n", "line 1, column "),
            (b'[etl]\nencoding = """x\n\n', "line 3"),
            (b"[etl]\n\n# caf\xe9\n", "line 3"),
        ],
    )
    def test_the_line_is_said(self, place: Place, content: bytes, line: str) -> None:
        (place.folder / "config.toml").write_bytes(content)
        (problem,) = place.refused().problems
        assert problem.where.startswith(f"config.toml, {line}")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_utf_16_is_named(self, place: Place, encoding: str) -> None:
        (place.folder / "config.toml").write_bytes("[risk]\nweek = 9\n".encode(encoding))
        assert "UTF-16" in place.refused().message

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", codecs.BOM_UTF8])
    def test_an_empty_file_sets_nothing(self, place: Place, content: bytes) -> None:
        (place.folder / "config.toml").write_bytes(content)
        assert {origin.layer for origin in place.load().origins.values()} == {"default"}

    def test_the_mark_that_windows_editors_write_is_no_problem(self, place: Place) -> None:
        assert place.load("\ufeff[risk]\r\nweek = 9\r\n").settings.risk.week == 9

    def test_deep_nesting_and_endless_numbers_are_refused(self, place: Place) -> None:
        for value in ("[" * 100_000, "9" * 10_000):
            (problem,) = place.refused(f"x = {value}").problems
            assert problem.where.startswith("config.toml")
            assert len(problem.text) < 300

    def test_a_folder_is_no_config_file(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").mkdir()
        with pytest.raises(UsageError, match=r"config\.toml: is a folder"):
            load(Overrides(), {}, tmp_path)
        with pytest.raises(UsageError, match=r"config\.toml: is a folder"):
            load(Overrides(config=Path("config.toml")), {}, tmp_path)

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
    def test_a_link_to_nothing_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").symlink_to("gone.toml")
        with pytest.raises(UsageError, match="no such config file"):
            load(Overrides(), {}, tmp_path)

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a file that nobody can read, root neither")
    def test_an_unreadable_file_is_a_storage_error(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="/proc/self/mem: can't be read: input/output error") as caught:
            load(Overrides(config=Path("/proc/self/mem")), {}, tmp_path)
        assert caught.value.code is ExitCode.STORAGE


def failure(overrides: Overrides, env: dict[str, str], folder: Path) -> str | None:
    """The message of an expected error; None where there is a configuration. Anything else escapes."""
    try:
        load(overrides, env, folder)
    except SsError as problem:
        return problem.message
    return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text("[]=.\"'\n#-etlriskweek0189:_T", max_size=40).map(str.encode)))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"etl=1979-05-27T07:32:00Z")
def test_any_file_gives_a_configuration_or_an_expected_error(place: Place, content: bytes) -> None:
    (place.folder / "config.toml").write_bytes(content)
    message = failure(Overrides(), {}, place.folder)
    assert message is None or message.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KNOWN), st.text())
def test_any_text_for_any_key_gives_a_configuration_or_an_expected_error(place: Place, path: str, text: str) -> None:
    setting = settings_by_path()[path]
    for env, sets in (({setting.env_name: text}, ()), ({}, (f"{path}={text}",))):
        message = failure(Overrides(sets=sets), env, place.folder)
        assert message is None or path in message


@pytest.mark.parametrize("text", ["postgresql://me:pw@host/db", "a\nb", "\x1b[31m", "x" * 61, "\udc80"])
def test_what_does_not_look_like_a_key_is_not_shown(text: str) -> None:
    assert shown_name(text) == "(not a name)"


def test_a_nul_in_a_text_is_told_before_anybody_opens_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[privacy]\npseudonym_key_file = "a\\u0000b"\n', "utf-8")
    with pytest.raises(ConfigError, match="a text with a NUL character") as caught:
        load(Overrides(workspace=tmp_path), {}, tmp_path)
    assert caught.value.code == ExitCode.USAGE
