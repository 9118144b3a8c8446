"""`ss alerts`: alerts, the calls of the week, and who was called, from the demo's predictions."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from made_models import context_of
from made_predictions import make_predictions

from studentsuccess.core.locks import utc_now
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import BusyError
from studentsuccess.tasks import alerts as task
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, EngineLimits
from studentsuccess.warehouse.experiment import TRIAL, Result, replace_results

Told = Callable[[str], Any]
Bytes = Callable[[Path], dict[str, bytes]]
FIRST = ("run_ts", "alert_type", "high_risk_rate", "spike_pct", "message")
PAGE, LIST = "outputs/alerts/alert_latest.md", "outputs/alerts/calls_latest.csv"
# Nothing is hidden, so that every figure can be held against the predictions.
OPEN = ("--set", "privacy.min_cell=1")


@pytest.fixture(scope="session")
def scored_once(demo_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alerts") / "workspace"
    shutil.copytree(demo_once, folder)
    make_predictions(folder)
    return folder


@pytest.fixture
def scored(scored_once: Path, workspace: Path) -> Path:
    """The demo with predictions, to do anything with; `cli` starts in it."""
    return shutil.copytree(scored_once, workspace, dirs_exist_ok=True)


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextmanager
def opened(workspace: Path) -> Iterator[Any]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        yield connection


def logged(workspace: Path) -> list[dict[str, Any]]:
    with opened(workspace) as connection:
        return list(
            connection.execute("SELECT * FROM mart.alert_log ORDER BY run_ts, code_module NULLS FIRST")
            .to_arrow_table()
            .to_pylist()
        )


def work_in(workspace: Path, work: Callable[[Connection], None]) -> None:
    """Change the warehouse as a run of another command would."""
    limits, run_id = EngineLimits(256 * 2**20, 1), new_run_id()
    commit(
        context_of(workspace).workspace, limits, Run(run_id, run_id, "test", (), False, utc_now(), "c" * 64), (), work
    )


def change(workspace: Path, statement: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute(statement)

    work_in(workspace, work)


def read_list(workspace: Path) -> list[dict[str, str]]:
    with (workspace / LIST).open(encoding="utf-8-sig", newline="") as source:
        return list(csv.DictReader(source))


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]


def test_bare_it_raises_alerts_and_takes_the_options_of_raise(cli: Any, scored: Path) -> None:
    bare = document(cli("alerts", "-f", "json"))
    again = document(cli("alerts", "raise", "-f", "json"))
    assert (bare.pop("already_raised"), again.pop("already_raised")) == (False, True)
    assert bare == again
    assert len(bare["calls"]) == 40
    assert (scored / PAGE).is_file()


def test_the_log_has_the_columns_that_people_bind_to(cli: Any, scored: Path) -> None:
    document(cli("alerts", "-f", "json"))
    rows = logged(scored)
    assert tuple(rows[0])[:5] == FIRST
    assert {row["alert_type"] for row in rows} <= {"none", "threshold", "spike", "threshold_and_spike"}
    assert [row["code_module"] for row in rows] == [None, "AAA", "BBB", "CCC", "DDD"]


def test_every_figure_is_that_of_the_predictions(cli: Any, scored: Path) -> None:
    document(cli("alerts", "-f", "json", *OPEN))
    with opened(scored) as connection:
        expected = connection.execute(
            "SELECT split_part(course_run_id, '-', 1), count(*) FILTER (week = 8),"
            " avg(CAST(probability >= 0.5 AS INTEGER)) FILTER (week = 8),"
            " avg(probability) FILTER (week = 8) / avg(probability) FILTER (week = 7) - 1"
            " FROM ml.prediction GROUP BY ROLLUP (course_run_id) ORDER BY 1 NULLS FIRST"
        ).fetchall()
    for row, (module, students, rate, spike) in zip(logged(scored), expected, strict=True):
        assert (row["code_module"], row["students"]) == (module, students)
        assert row["high_risk_rate"] == pytest.approx(rate)
        assert row["spike_pct"] == pytest.approx(spike, abs=1e-9)
        assert row["alert_type"] == ("threshold" if rate > 0.25 else "none")


@pytest.mark.usefixtures("scored")
def test_the_limits_do_not_hang_on_the_probability_that_makes_a_student_high_risk(cli: Any) -> None:
    usual = document(cli("alerts", "-f", "json", *OPEN))["alerts"]
    stricter = document(cli("alerts", "-f", "json", *OPEN, "--set", "risk.high_risk_probability=0.9"))["alerts"]
    assert [one["spike_pct"] for one in usual] == [one["spike_pct"] for one in stricter]
    assert all(one["high_risk_rate"] > two["high_risk_rate"] for one, two in zip(usual, stricter, strict=True))
    jumpy = document(cli("alerts", "-f", "json", *OPEN, "--set", "alerts.spike_threshold=0"))["alerts"]
    assert [one["high_risk_rate"] for one in jumpy] == [one["high_risk_rate"] for one in usual]
    assert any("spike" in one["alert_type"] for one in jumpy)


def test_the_same_predictions_are_logged_once_and_the_files_stay_as_they_are(
    cli: Any, scored: Path, every_byte: Bytes
) -> None:
    first = cli("alerts")
    files, rows = every_byte(scored / "outputs"), logged(scored)
    again = cli("alerts")
    assert "already raised by run" in again.stderr
    assert (again.stdout, every_byte(scored / "outputs"), logged(scored)) == (first.stdout, files, rows)
    (scored / PAGE).unlink()
    assert "already" not in cli("alerts").stderr
    assert (every_byte(scored / "outputs"), logged(scored)) == (files, rows)
    cli("alerts", "--set", "alerts.high_risk_threshold=0.5")
    assert len(logged(scored)) == 2 * len(rows)


def test_a_dry_run_shows_all_of_it_and_changes_no_byte(cli: Any, scored: Path, every_byte: Bytes) -> None:
    before = every_byte(scored)
    planned = document(cli("alerts", "-n", "-f", "json"))
    assert every_byte(scored) == before
    done = document(cli("alerts", "-f", "json"))
    assert (planned["alerts"], planned["calls"]) == (done["alerts"], done["calls"])
    assert document(cli("alerts", "-n", "-f", "json"))["already_raised"]


def test_without_predictions_the_step_that_makes_them_is_named(
    cli: Any, workspace: Path, demo_once: Path, told: Told
) -> None:
    for _ in range(2):
        done = cli("alerts")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "there are no risk predictions yet" in told(done.stderr).error
        shutil.copytree(demo_once, workspace, dirs_exist_ok=True)


def test_predictions_that_the_model_learned_from_raise_nothing(cli: Any, scored: Path, told: Told) -> None:
    change(scored, "UPDATE ml.prediction SET out_of_sample = false")
    done = cli("alerts")
    assert done.exit_code == 2
    assert "learned from every student" in told(done.stderr).error


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    "setting", ["high_risk_threshold=1.5", "spike_threshold=-0.1", "cooldown_days=-1", "capacity=0"]
)
def test_a_limit_that_is_none_is_refused(cli: Any, told: Told, setting: str) -> None:
    done = cli("alerts", "--set", f"alerts.{setting}")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"`alerts.{setting.partition('=')[0]}`" in told(done.stderr).error


@pytest.mark.usefixtures("scored")
def test_a_day_that_is_none_is_refused(cli: Any, told: Told) -> None:
    done = cli("alerts", "--on", "2025-02-30")
    assert done.exit_code == 2
    assert "`--on 2025-03-14`" in told(done.stderr).hint


def test_the_file_holds_the_list_of_the_screen(cli: Any, scored: Path) -> None:
    calls = document(cli("alerts", "--capacity", "7", "-f", "json"))["calls"]
    rows = read_list(scored)
    assert [row["student"] for row in rows] == [one["student"] for one in calls]
    assert [int(row["risk_percent"]) for row in rows] == [round(100 * one["courses"][0]["risk"]) for one in calls]
    assert len(rows) == 7
    shown = list(csv.DictReader(cli("alerts", "--capacity", "7", "-f", "csv").stdout.splitlines()))
    assert shown == rows
    screen = cli("alerts", "--capacity", "7", "--calls").stdout
    assert all(row["student"] in screen for row in rows)
    assert "students are at high risk" not in screen
    assert "students are at high risk" in cli("alerts", "--capacity", "7").stdout


def test_the_page_names_nobody(cli: Any, scored: Path) -> None:
    calls = document(cli("alerts", "-f", "json"))["calls"]
    text = (scored / PAGE).read_text("utf-8")
    assert text.startswith("# Alerts, week 8\n")
    assert "2014J up to 2014-11-26" in text
    assert not [one for one in calls if one["student"] in text]


def test_an_alert_is_on_the_page_and_in_the_log_in_the_same_words(cli: Any, scored: Path) -> None:
    found = document(cli("alerts", "-f", "json"))["alerts"]
    assert [one["message"] for one in found] == [row["message"] for row in logged(scored)]
    text = (scored / PAGE).read_text("utf-8")
    for one in found:
        if one["alert_type"] != "none":
            assert one["message"].partition(",")[2] in text


def test_a_reason_is_new_when_the_week_before_had_not_got_it(cli: Any, workspace: Path, demo_once: Path) -> None:
    shutil.copytree(demo_once, workspace, dirs_exist_ok=True)
    make_predictions(workspace, range(8))
    calls = document(cli("alerts", "-f", "json"))["calls"]
    assert {why["new"] for one in calls for why in one["reasons"]} == {None}
    make_predictions(workspace, range(9))
    change(workspace, "UPDATE ml.reason SET feature = 'quiet', words = 'quiet of late' WHERE feature = 'late_first'")
    calls = document(cli("alerts", "-f", "json"))["calls"]
    news = {why["words"].rpartition(": ")[2] for one in calls for why in one["reasons"] if why["new"]}
    assert "quiet of late" in news
    again = document(cli("alerts", "-f", "json"))
    assert (again["already_raised"], again["calls"]) == (True, calls)


def test_who_somebody_is_stays_off_the_list(cli: Any, scored: Path) -> None:
    change(scored, "UPDATE ml.reason SET feature = 'disability', words = 'a disability', effect = 9 WHERE rank = 1")
    assert "disability" not in cli("alerts", "-f", "json").stdout + (scored / LIST).read_text("utf-8")


def test_a_trial_that_was_analysed_sets_what_a_call_is_worth(cli: Any, scored: Path) -> None:
    before = document(cli("alerts", "-f", "json"))
    stamp = utc_now().replace(tzinfo=None)
    head = (stamp, None, 0.4, 0.5, 0.1, 0.01, 0.02, 0.18, TRIAL, "spring", 200, 200, 0.02, 0.18)
    work_in(scored, lambda connection: replace_results(connection, [Result(*head, *[None] * 6, "run")]))
    after = document(cli("alerts", "-f", "json"))
    assert (before["effect"]["basis"], after["effect"]["basis"]) == ("assumed", "measured")
    assert after["expected_passes"]["value"] > before["expected_passes"]["value"]
    assert "measured by the trial spring" in (scored / PAGE).read_text("utf-8")


def test_scored_anew_between_plan_and_run_nothing_is_written(scored: Path) -> None:
    context = context_of(scored)
    made = task.plan(context, date(2014, 11, 26))
    make_predictions(scored, seed=8)
    with pytest.raises(BusyError, match="changed meanwhile"):
        task.run(made, SilentReporter())
    assert logged(scored) == []
    assert [path for path in scored.rglob("*") if "alert" in path.name] in ([], [scored / "outputs/alerts"])


def test_a_run_of_all_steps_hears_it_in_a_line(scored: Path) -> None:
    first = task.run(task.plan(context_of(scored)), SilentReporter())
    again = task.run(task.plan(context_of(scored)), SilentReporter())
    assert first.words() == again.words()
    assert first.words().endswith(" · 40 calls")
    assert (first.already_done, again.already_done, again.run_id) == (False, True, first.run_id)


def test_the_workspace_is_whole_afterwards(cli: Any, scored: Path) -> None:
    (first, *_) = document(cli("alerts", "-f", "json"))["calls"]
    cli("alerts", "log", first["student"])
    cli("alerts")
    assert cli("verify").exit_code == 0
    assert (scored / PAGE).is_file()


def test_the_log_of_contacts_is_empty_at_first_and_says_how_to_fill_it(cli: Any, workspace: Path) -> None:
    done = cli("alerts", "log")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "`ss alerts log STUDENT`" in done.stderr
    assert list(workspace.iterdir()) == []


@pytest.mark.usefixtures("scored")
def test_who_was_contacted_is_left_out_until_the_cool_down_is_over(cli: Any) -> None:
    first, second = (one["student"] for one in document(cli("alerts", "--capacity", "2", "-f", "json"))["calls"])
    assert cli("alerts", "log", first, "--on", "2024-03-01", "--by", "Kim", "--note", "left a message").exit_code == 0
    later = document(cli("alerts", "--capacity", "2", "--on", "2024-03-14", "-f", "json"))
    assert later["calls"][0]["student"] == second
    assert later["left_out"]["cooling_down"] == 1
    free = document(cli("alerts", "--capacity", "2", "--on", "2024-03-15", "-f", "json"))
    call = free["calls"][0]
    assert (call["student"], call["contacts"], call["last_contact"]) == (first, 1, "2024-03-01")


def test_a_contact_is_noted_once_and_can_be_taken_back(cli: Any, scored: Path, every_byte: Bytes) -> None:
    student = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    words = ("alerts", "log", student, "--on", "2024-03-01", "-f", "json")
    assert document(cli(*words))["logged"] == 1
    before = every_byte(scored)
    again = document(cli(*words))
    assert (again["logged"], again["unchanged"], again["run_id"]) == (0, 1, None)
    assert every_byte(scored) == before
    assert document(cli(*words, "--remove", "-n"))["removed"] == 1
    assert every_byte(scored) == before
    assert cli(*words, "--remove").exit_code == 2
    assert document(cli(*words, "--remove", "-y"))["removed"] == 1
    assert document(cli(*words, "--remove", "-y"))["removed"] == 0
    assert document(cli("alerts", "log", "-f", "json")) == {"contacts": []}
    assert document(cli(*words))["logged"] == 1


def test_another_note_on_the_same_day_is_another_contact(cli: Any, scored: Path) -> None:
    student = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    for note in ("no answer", "will come on Monday"):
        assert cli("alerts", "log", student, "--on", "2024-03-01", "--note", note).exit_code == 0
    assert [one["note"] for one in document(cli("alerts", "log", "-f", "json"))["contacts"]] == [
        "no answer",
        "will come on Monday",
    ]
    assert logged(scored)


def test_nothing_personal_leaves_the_warehouse(cli: Any, scored: Path) -> None:
    student = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    done = cli("alerts", "log", student, "--by", "Ada Lovelace", "--note", "a canary sang")
    assert done.exit_code == 0
    text = (scored / "logs/ledger.jsonl").read_text("utf-8") + done.stderr
    assert not [word for word in (student, "Lovelace", "canary") if word in text]
    line = ledger(scored)[-1]
    assert (line["command"], line["counts"]["contacts"]["kept"]) == ("alerts log", 1)


def test_an_unknown_student_stops_all_of_it_and_is_not_repeated(
    cli: Any, scored: Path, told: Told, every_byte: Bytes
) -> None:
    known = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    before = every_byte(scored)
    wrong = f"{known[:-1]}x"
    done = cli("alerts", "log", known, wrong)
    assert (done.exit_code, done.stdout) == (2, "")
    said = told(done.stderr)
    assert "student 2 of 2" in said.error
    assert not [one for one in (known, wrong) if one in done.stderr]
    assert every_byte(scored) == before


@pytest.mark.usefixtures("scored")
def test_a_contact_in_the_future_is_refused(cli: Any, told: Told) -> None:
    student = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    done = cli("alerts", "log", student, "--on", str(task.today() + timedelta(days=2)))
    assert done.exit_code == 2
    assert "is not over yet" in told(done.stderr).error


@pytest.mark.parametrize("options", [("--remove",), ("--by", "Kim"), ("--on", "2024-03-01"), ("--note", "x")])
def test_options_without_a_student_are_not_a_listing(cli: Any, told: Told, options: tuple[str, ...]) -> None:
    done = cli("alerts", "log", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told(done.stderr).error == "no student is named"


def test_the_list_goes_back_with_the_days_filled_in(cli: Any, scored: Path, tmp_path: Path) -> None:
    cli("alerts", "--capacity", "5")
    rows = read_list(scored)
    rows[1] |= {"contacted_on": "2024-03-01", "contacted_by": "Kim", "note": "=will come"}
    rows[3] |= {"contacted_on": "2024-03-04"}
    back = tmp_path / "back.csv"
    with back.open("w", encoding="utf-8-sig", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    done = document(cli("alerts", "log", "--file", back, "--by", "Sam", "-f", "json"))
    assert (done["logged"], done["not_contacted_yet"]) == (2, 3)
    told = document(cli("alerts", "log", "-f", "json"))["contacts"]
    assert told == [
        {"student": rows[3]["student"], "contacted_on": "2024-03-04", "contacted_by": "Sam", "note": ""},
        {"student": rows[1]["student"], "contacted_on": "2024-03-01", "contacted_by": "Kim", "note": "=will come"},
    ]
    assert "'=will come" in cli("alerts", "log", "-f", "csv").stdout
    assert ledger(scored)[-1]["inputs"][0]["path"] == str(back)


def test_a_file_with_students_alone_is_contacts_of_the_day(cli: Any, scored: Path) -> None:
    students = [one["student"] for one in document(cli("alerts", "--capacity", "3", "-f", "json"))["calls"]]
    Path("called.csv").write_text("Student\n" + "".join(f"{one}\n" for one in [*students, students[0]]), "utf-8")
    done = document(cli("alerts", "log", "--file", "called.csv", "--on", "2024-03-01", "-f", "json"))
    assert (done["logged"], done["unchanged"]) == (3, 1)
    counts = ledger(scored)[-1]["counts"]["contacts"]
    assert (counts["read"], counts["kept"], counts["duplicate"]) == (4, 3, 1)


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("", 4, "is empty"),
        ("student\n", 4, "0 data rows"),
        ("pupil,day\n1,2\n", 2, "no column `student`"),
        ("student,contacted_on\nKNOWN,2024-03-01\nKNOWN,1 March\n", 4, "line 3: `contacted_on` is not a day"),
        ("student,contacted_on\n,2024-03-01\n", 4, "line 2: `student` is empty"),
        ("student,note\nKNOWN,a\nnobody-there,b\n", 2, "line 3 of contacts.csv"),
        ("student,note\nKNOWN\n", 4, "line 2"),
        ("student,contacted_on\nKNOWN,2999-01-01\n", 2, "line 2 of contacts.csv: 2999-01-01 is not over yet"),
    ],
)
def test_a_file_that_can_not_be_read_is_told_by_its_line(
    cli: Any, told: Told, text: str, code: int, named: str
) -> None:
    known = document(cli("alerts", "-f", "json"))["calls"][0]["student"]
    Path("contacts.csv").write_text(text.replace("KNOWN", known), "utf-8")
    done = cli("alerts", "log", "--file", "contacts.csv")
    assert (done.exit_code, done.stdout) == (code, "")
    assert named in told(done.stderr).error
    assert known not in done.stderr
    assert "nobody-there" not in done.stderr
    assert document(cli("alerts", "log", "-f", "json")) == {"contacts": []}
