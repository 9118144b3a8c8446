"""`ss marts`: built once, published whole, checked honestly."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import real_postgres
from made_predictions import make_predictions

FILES = (
    "student_risk_daily_sample.csv",
    "course_summary_daily_sample.csv",
    "student_risk_latest.csv",
    "course_summary_latest.csv",
)
BUILT = ("student_risk_daily", "course_summary_daily", "calendar", "course", "model_version")
KEY = "a key that nobody else has"
PSEUDONYMS = {"SS_PRIVACY__PSEUDONYMOUS_IDS": "true", "SS_PRIVACY__PSEUDONYM_KEY": KEY}


@pytest.fixture
def scored(demo: Path) -> Path:
    make_predictions(demo)
    return demo


@pytest.fixture
def built(scored: Path, cli: Any) -> Path:
    assert cli("marts").exit_code == 0
    return scored


@pytest.fixture(scope="session")
def server(needs: Callable[..., str]) -> Iterator[real_postgres.Server]:
    pytest.importorskip("psycopg")
    with real_postgres.running(needs) as started:
        yield started


def rows(workspace: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def change(workspace: Path, sql: str) -> None:
    with duckdb.connect(str(workspace / "warehouse.duckdb")) as connection:
        connection.execute(sql)


def content(workspace: Path) -> dict[str, Any]:
    return {name: rows(workspace, f"SELECT * FROM mart.{name} ORDER BY ALL") for name in BUILT}  # noqa: S608


def test_bare_it_builds_and_names_its_tables_and_files(cli: Any, scored: Path) -> None:
    done = cli("marts", "-f", "json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert tuple(said["tables"]) == BUILT
    assert said["tables"] == {name: len(found) for name, found in content(scored).items()}
    assert [Path(file).name for file in said["files"]] == list(FILES)
    assert all((scored / "outputs/marts" / name).is_file() for name in FILES)


def test_a_second_time_nothing_changes_and_it_says_so(
    cli: Any, built: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(built)
    done = cli("marts", "build", "-f", "json")
    assert json.loads(done.stdout)["already_built"] is True
    assert "already built" in done.stderr
    assert every_byte(built) == before


def test_two_workspaces_with_the_same_data_have_the_same_marts(
    cli: Any, demo: Path, tmp_path: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    other = shutil.copytree(demo, tmp_path / "other")
    for place in (demo, other):
        make_predictions(place)
        assert cli("marts", "-w", place).exit_code == 0
    assert content(demo) == content(other)
    assert every_byte(demo / "outputs") == every_byte(other / "outputs")


def test_a_deleted_file_is_made_again(cli: Any, built: Path) -> None:
    kept = (built / "outputs/marts" / FILES[0]).read_bytes()
    (built / "outputs/marts" / FILES[0]).unlink()
    assert json.loads(cli("marts", "-f", "json").stdout)["already_built"] is False
    assert (built / "outputs/marts" / FILES[0]).read_bytes() == kept


def test_new_predictions_and_other_settings_are_a_reason_to_build_again(cli: Any, built: Path) -> None:
    before = content(built)
    make_predictions(built, seed=8)
    assert json.loads(cli("marts", "-f", "json").stdout)["already_built"] is False
    after = content(built)
    assert after != before
    cli("marts", "--set", "risk.high_risk_probability=0.9")
    flags = {row[5] for row in content(built)["student_risk_daily"] if row[4] < 0.9}
    assert flags == {0}


def test_a_dry_run_shows_the_plan_and_changes_no_byte(
    cli: Any, scored: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(scored)
    said = json.loads(cli("marts", "build", "-n", "-f", "json").stdout)
    assert said["already_built"] is False
    assert said["reads"]["predictions"] == len(rows(scored, "FROM ml.prediction"))
    assert every_byte(scored) == before


@pytest.mark.parametrize("command", ["build", "publish"])
def test_before_there_are_predictions_the_step_that_makes_them_is_named(
    cli: Any, demo: Path, command: str, told: Callable[[str], Any]
) -> None:
    done = cli("marts", command, *(("--to", "bi") if command == "publish" else ()))
    assert (done.exit_code, done.stdout) == (2, "")
    assert ("ss score" if command == "build" else "ss marts build") in told(done.stderr).hint
    assert not (demo / "outputs/marts").exists()


def test_in_an_empty_folder_it_is_told_what_comes_first(cli: Any, told: Callable[[str], Any]) -> None:
    done = cli("marts")
    assert done.exit_code == 2
    assert "ss train local --algorithm risk" in told(done.stderr).hint


def test_small_classes_are_hidden_as_the_setting_says(cli: Any, scored: Path) -> None:
    said = json.loads(cli("marts", "--set", "privacy.min_cell=25", "-f", "json").stdout)
    found = rows(scored, "SELECT student_count, suppressed FROM mart.course_summary_daily")
    assert said["suppressed"] == sum(hidden for _, hidden in found) > 0
    assert all(students is None or students >= 25 for students, _ in found)
    assert any(students is None and hidden for students, hidden in found)
    shown = json.loads(cli("marts", "--set", "privacy.min_cell=1", "-f", "json").stdout)
    assert shown["suppressed"] == 0


def test_a_term_that_nobody_can_date_is_said_and_can_be_told(cli: Any, scored: Path) -> None:
    change(scored, "UPDATE core.course_run SET term = 'Autumn' WHERE term = '2014J'")
    done = cli("marts")
    assert "`Autumn`" in done.stderr
    assert "marts.term_starts=Autumn=YYYY-MM-DD" in done.stderr
    assert "Autumn" not in cli("marts", "--set", "marts.term_starts=Autumn=2025-09-01").stderr
    assert str(rows(scored, "SELECT min(run_date) FROM mart.student_risk_daily")[0][0]) == "2025-09-01"


def test_a_wrong_day_of_a_term_is_a_usage_error(cli: Any, told: Callable[[str], Any]) -> None:
    done = cli("marts", "--set", "marts.term_starts=Autumn=soon")
    assert done.exit_code == 2
    assert "2025-SPRING=2025-02-17" in told(done.stderr).error


def test_the_ledger_has_the_books_and_verify_finds_nothing_wrong(cli: Any, built: Path) -> None:
    last = json.loads((built / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-1])
    assert last["command"] == "marts build"
    counts = last["counts"]["student_risk_daily"]
    assert counts["read"] == counts["kept"] == len(rows(built, "FROM mart.student_risk_daily"))
    assert cli("verify").exit_code == 0


def test_a_name_that_is_a_formula_is_harmless_in_every_csv(cli: Any, scored: Path) -> None:
    change(scored, "UPDATE ml.prediction SET student_id = '=cmd|calc' WHERE week = 8")
    cli("marts")
    cli("marts", "publish", "--to", "bi")
    for path in (scored / "outputs/marts/student_risk_latest.csv", scored / "bi/student_risk_daily.csv"):
        with path.open(encoding="utf-8", newline="") as source:
            names = [row["id_student"] for row in csv.DictReader(source)]
        assert "'=cmd|calc" in names
        assert "=cmd|calc" not in names


@pytest.mark.parametrize("to", ["bi", "sqlite:///bi.db"])
def test_published_marts_are_checked_as_the_same(cli: Any, built: Path, to: str) -> None:
    done = cli("marts", "publish", "--to", to, "-f", "json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["already_published"] is False
    assert set(BUILT) <= set(said["changed"])
    assert said["tables"]["student_risk_daily"] == len(rows(built, "FROM mart.student_risk_daily"))
    checked = cli("marts", "check", "--to", to, "-f", "json")
    found = json.loads(checked.stdout)
    assert (checked.exit_code, found["ok"]) == (0, True)
    assert {one["state"] for one in found["tables"]} == {"same"}


def test_publishing_again_does_nothing_and_says_so(
    cli: Any, built: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    cli("marts", "publish", "--to", "bi")
    before = every_byte(built)
    done = cli("marts", "publish", "--to", "bi", "-f", "json")
    assert json.loads(done.stdout)["already_published"] is True
    assert "already published" in done.stderr
    assert every_byte(built) == before


def test_only_what_changed_is_sent_to_a_database(cli: Any, built: Path) -> None:
    cli("marts", "publish", "--to", "sqlite:///bi.db")
    make_predictions(built, seed=8)
    cli("marts")
    said = json.loads(cli("marts", "publish", "--to", "sqlite:///bi.db", "-f", "json").stdout)
    assert {"student_risk_daily", "course_summary_daily"} <= set(said["changed"])
    assert "calendar" not in said["changed"]


def test_a_dry_run_of_publishing_writes_nothing_anywhere(
    cli: Any, built: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(built)
    said = json.loads(cli("marts", "publish", "--to", "bi", "-n", "-f", "json").stdout)
    assert {one["state"] for one in said["tables"]} == {"missing"}
    assert every_byte(built) == before


def test_a_check_tells_how_each_table_differs(cli: Any, built: Path) -> None:
    cli("marts", "publish", "--to", "sqlite:///bi.db")
    with closing(sqlite3.connect(built / "bi.db")) as connection:
        connection.execute("DELETE FROM calendar WHERE month = 2")
        connection.execute("DROP TABLE model_version")
        connection.commit()
    make_predictions(built, seed=8)
    cli("marts", "--set", "privacy.min_cell=1")
    done = cli("marts", "check", "--to", "sqlite:///bi.db", "-f", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (4, False)
    states = {one["name"]: one["state"] for one in found["tables"]}
    assert states["calendar"] == "other rows"
    assert states["model_version"] == "missing"
    assert states["student_risk_daily"] == "other content"
    assert states["course"] == "same"
    assert next(one for one in found["tables"] if one["name"] == "model_version")["there"] is None


def test_marts_that_are_older_than_the_predictions_are_published_with_a_warning(cli: Any, built: Path) -> None:
    make_predictions(built, seed=8)
    done = cli("marts", "publish", "--to", "bi")
    assert done.exit_code == 0
    assert "`ss marts build`" in done.stderr


@pytest.mark.parametrize("command", ["publish", "check"])
@pytest.mark.usefixtures("built")
def test_without_a_place_the_ways_to_say_it_are_told(cli: Any, command: str, told: Callable[[str], Any]) -> None:
    done = cli("marts", command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "DATABASE_URL" in told(done.stderr).hint


def test_the_old_variable_names_the_place(cli: Any, built: Path) -> None:
    place = {"DATABASE_URL": f"sqlite:///{built}/old.db"}
    assert cli("marts", "publish", env=place).exit_code == 0
    assert (built / "old.db").is_file()
    assert cli("marts", "check", env=place).exit_code == 0


@pytest.mark.parametrize("to", [".", "sqlite:///warehouse.duckdb"])
def test_the_workspace_is_not_overwritten(cli: Any, built: Path, to: str, told: Callable[[str], Any]) -> None:
    before = rows(built, "FROM mart.course")
    done = cli("marts", "publish", "--to", to)
    assert done.exit_code == 2
    assert "own" in told(done.stderr).error
    assert rows(built, "FROM mart.course") == before


def test_under_pseudonyms_no_id_leaves_and_the_key_is_nowhere(cli: Any, scored: Path) -> None:
    ids = {str(one[0]) for one in rows(scored, "SELECT DISTINCT student_id FROM ml.prediction")}
    assert cli("marts", env=PSEUDONYMS).exit_code == 0
    done = cli("marts", "publish", "--to", "bi", "-f", "json", env=PSEUDONYMS)
    assert json.loads(done.stdout)["pseudonymous"] is True
    published = set(pq.read_table(scored / "bi/student_risk_daily.parquet").column("id_student").to_pylist())
    assert published
    assert not published & ids
    for path in [*(scored / "bi").glob("*.csv"), *(scored / "outputs/marts").iterdir()]:
        with path.open(encoding="utf-8", newline="") as source:
            assert not {cell for row in csv.reader(source) for cell in row if cell in ids}
    for path in scored.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()
    assert {str(one[0]) for one in rows(scored, "SELECT DISTINCT id_student FROM mart.student_risk_daily")} == ids


def test_under_pseudonyms_counting_rows_finds_no_hidden_class(cli: Any, scored: Path) -> None:
    few = ("--set", "privacy.min_cell=20")
    cli("marts", *few, env=PSEUDONYMS)
    cli("marts", "publish", "--to", "bi", *few, env=PSEUDONYMS)
    summary = pq.read_table(scored / "bi/course_summary_daily.parquet").to_pylist()
    students = pq.read_table(scored / "bi/student_risk_daily.parquet").to_pylist()
    hidden = {row["course_run_id"] for row in summary if row["student_count"] is None}
    assert hidden
    assert not hidden & {row["course_run_id"] for row in students}
    assert cli("marts", "check", "--to", "bi", *few, env=PSEUDONYMS).exit_code == 0


def test_another_key_makes_other_names_and_none_is_refused(cli: Any, built: Path, told: Callable[[str], Any]) -> None:
    def names(key: str) -> set[str]:
        env = PSEUDONYMS | {"SS_PRIVACY__PSEUDONYM_KEY": key}
        assert cli("marts", "publish", "--to", "bi", env=env).exit_code == 0
        return set(pq.read_table(built / "bi/student_risk_daily.parquet").column("id_student").to_pylist())

    assert not names(KEY) & names(KEY[::-1])
    done = cli("marts", "publish", "--to", "bi", env={"SS_PRIVACY__PSEUDONYMOUS_IDS": "true"})
    assert done.exit_code == 2
    assert "SS_PRIVACY__PSEUDONYM_KEY" in told(done.stderr).hint


def test_postgres_by_way_of_the_command_line(cli: Any, built: Path, server: real_postgres.Server) -> None:
    url = server.url("postgres")
    said = json.loads(cli("marts", "publish", "--to", url, "--schema", "bi", "-f", "json").stdout)
    assert said["to"] == f"postgresql://127.0.0.1:{server.port}/postgres (schema bi)"
    assert cli("marts", "check", "--schema", "bi", env={"DATABASE_URL": url}).exit_code == 0
    assert cli("marts", "check", "--to", url).exit_code == 4
    with server.connect() as connection:
        counted = connection.execute("SELECT count(*), sum(high_risk_flag) FROM bi.student_risk_daily").fetchone()
    assert counted == rows(built, "SELECT count(*), sum(high_risk_flag) FROM mart.student_risk_daily")[0]
    ledger = (built / "logs/ledger.jsonl").read_text("utf-8")
    for secret in (real_postgres.PASSWORD, real_postgres.QUOTED):
        assert secret not in ledger


@pytest.mark.parametrize("command", ["publish", "check"])
def test_a_refused_connection_is_one_line_exit_3_and_no_password(
    cli: Any, built: Path, server: real_postgres.Server, command: str, told: Callable[[str], Any]
) -> None:
    for shape in ("table", "json"):
        done = cli("marts", command, "--to", server.url("postgres", password="geheim"), "-f", shape)  # noqa: S106
        assert (done.exit_code, done.stdout) == (3, "")
        said = told(done.stderr)
        assert "wrong password" in said.error
        assert "geheim" not in done.stderr
    assert "geheim" not in (built / "logs/ledger.jsonl").read_text("utf-8")


def test_what_was_published_by_a_run_that_died_is_noted_by_the_next(
    cli: Any, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the COMMIT there and the line in the ledger here."""

    def stop(name: str) -> None:
        if name == "published":
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as dying:
        dying.setattr("studentsuccess.warehouse.recovery._step", stop)
        assert cli("marts", "publish", "--to", "sqlite:///bi.db").exit_code == 6
    assert json.loads(cli("marts", "publish", "--to", "sqlite:///bi.db", "-f", "json").stdout)["already_published"]
    last = json.loads((built / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-1])
    assert (last["command"], last["status"]) == ("marts publish", "done")


def test_a_failed_publishing_leaves_its_line_in_the_ledger(
    cli: Any, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studentsuccess.warehouse.publish_folder._write_table", fails)
    assert cli("marts", "publish", "--to", "bi").exit_code == 6
    last = json.loads((built / "logs/ledger.jsonl").read_text("utf-8").splitlines()[-1])
    assert (last["command"], last["status"], last["code"]) == ("marts publish", "failed", 6)
