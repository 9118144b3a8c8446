from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest
from made_predictions import make_predictions

TEXT, PAGE = "reports/executive_summary.md", "reports/executive_summary.html"
STEPS = ["ss score", "ss marts build", "ss alerts", "ss experiment", "ss train local --algorithm risk --backtest"]


@pytest.fixture
def scored(demo: Path) -> Path:
    make_predictions(demo)
    return demo


def query(workspace: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def words(page: str) -> str:
    """What a reader sees of the page."""

    class Reader(HTMLParser):
        seen = ""

        def handle_data(self, data: str) -> None:
            self.seen += f" {data}"

    reader = Reader()
    reader.feed(page.partition("</style>")[2])
    return reader.seen


def test_with_data_alone_the_report_says_what_comes_next(cli: Any, demo: Path, document: Callable[[str], Any]) -> None:
    done = cli("report", "-f", "json")
    assert done.exit_code == 0
    found = document(done.stdout)
    assert found["not_made_yet"] == STEPS
    assert found["outputs"] == [TEXT, PAGE]
    assert "nobody has been scored yet" in (demo / TEXT).read_text("utf-8")
    assert all(f"`{step}`" in done.stderr for step in STEPS)


def test_a_section_whose_step_has_not_run_names_it(cli: Any, scored: Path, document: Callable[[str], Any]) -> None:
    found = document(cli("report", "-f", "json").stdout)
    assert found["not_made_yet"] == STEPS[1:]
    text = (scored / TEXT).read_text("utf-8")
    assert all(f"`{step}` makes it" in text for step in STEPS[1:])


def test_the_first_line_says_that_the_data_is_generated(cli: Any, scored: Path, document: Callable[[str], Any]) -> None:
    assert document(cli("report", "-f", "json").stdout)["demo"] is True
    first = (scored / TEXT).read_text("utf-8").splitlines()[0]
    assert "generated data" in first
    rejected = re.search(r"(\d+) of (\d+) bad rows rejected, and no other", first)
    assert rejected
    assert int(rejected[1]) == int(rejected[2]) > 10
    assert re.search(r"points from the true probabilities on average \(.*\), correlation 0\.\d\d", first)
    body = (scored / PAGE).read_text("utf-8").partition("<body>")[2]
    assert body.index("generated data") < body.index("<h1>")


def test_generated_data_whose_folder_is_gone_is_still_called_generated(cli: Any, scored: Path) -> None:
    for path in sorted((scored / "inputs" / "demo").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert cli("report", "-q").exit_code == 0
    assert "generated data" in (scored / TEXT).read_text("utf-8").splitlines()[0]


def test_real_data_is_not_called_generated(cli: Any, demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for path in (demo / "inputs" / "demo").glob("*.csv"):
        text = path.read_text("utf-8").splitlines(keepends=True)
        (folder / path.name).write_text("".join([*text, *([] if path.name != "vle.csv" else text[-1:])]), "utf-8")
    other = tmp_path / "other"
    assert cli("etl", folder, "-w", other, "-q").exit_code == 0
    assert cli("report", "-w", other, "-q").exit_code == 0
    assert "generated" not in (other / TEXT).read_text("utf-8")


def test_with_everything_made_no_section_is_empty(cli: Any, scored: Path, document: Callable[[str], Any]) -> None:
    for command in ("marts", "alerts", "experiment"):
        assert cli(command, "-q").exit_code == 0
    found = document(cli("report", "-f", "json").stdout)
    assert found["not_made_yet"] == ["ss train local --algorithm risk --backtest"]
    text = (scored / TEXT).read_text("utf-8")
    assert "a plan, not evidence" in text
    assert "**Courses, the highest share first**" in text
    assert "calls on this week's list" in text
    assert (scored / PAGE).read_text("utf-8").count("<svg") == 6


def test_the_figures_are_those_of_the_warehouse(cli: Any, scored: Path) -> None:
    assert cli("marts", "-q").exit_code == cli("report", "-q").exit_code == 0
    text = (scored / TEXT).read_text("utf-8")
    newest = "FROM ml.prediction WHERE week = (SELECT max(week) FROM ml.prediction)"
    students, high = query(scored, f"SELECT count(*), count(*) FILTER (probability >= 0.5) {newest}")[0]
    assert f"**{high:,} of {students:,} students**" in text
    gone = query(scored, "SELECT sum(gone) FROM ml.population WHERE week = (SELECT max(week) FROM ml.population)")[0][0]
    assert (f"{gone:,} had left by then" if gone >= 10 else "\\<10 had left by then") in text
    shown = query(
        scored,
        "SELECT code_module, student_count, round(100 * avg_risk_score) FROM mart.course_summary_daily"
        " WHERE week = (SELECT max(week) FROM mart.course_summary_daily) AND student_count IS NOT NULL",
    )
    assert shown
    for course, count, mean in shown:
        assert re.search(rf"^\| {course} \| {count} \|.*", text, re.MULTILINE)
        assert mean is None or re.search(rf"^\| {course} \|.*\| {mean:.0f} % \|$", text, re.MULTILINE)


def test_nothing_personal_is_in_it(cli: Any, scored: Path) -> None:
    for command in ("marts", "alerts", "experiment", "report"):
        assert cli(command, "-q").exit_code == 0
    students = {str(row[0]) for row in query(scored, "SELECT DISTINCT student_id FROM core.enrollment")}
    assert len(students) > 100
    for text in ((scored / TEXT).read_text("utf-8"), words((scored / PAGE).read_text("utf-8"))):
        assert not students & set(re.findall(r"(?<![\w.])\d{5,}(?![\w.])", text))
        assert not re.search(r"(?<![\d.,])[1-9] students", text)


def test_the_same_warehouse_gives_the_same_bytes_once(cli: Any, scored: Path, document: Callable[[str], Any]) -> None:
    first = document(cli("report", "-f", "json").stdout)
    before = [(scored / name).read_bytes() for name in (TEXT, PAGE)]
    again = cli("report", "-f", "json")
    assert document(again.stdout)["already_done"] is True
    assert document(again.stdout)["run_id"] == first["run_id"]
    assert "already made by run" in again.stderr
    (scored / PAGE).unlink()
    made_again = document(cli("report", "-f", "json").stdout)
    assert made_again["already_done"] is False
    assert [(scored / name).read_bytes() for name in (TEXT, PAGE)] == before
    assert cli("verify", "-q").exit_code == 0


def test_the_report_has_no_clock_and_no_run_of_its_own(cli: Any, scored: Path, document: Callable[[str], Any]) -> None:
    run_id = document(cli("report", "-f", "json").stdout)["run_id"]
    text = (scored / TEXT).read_text("utf-8")
    assert run_id not in text
    assert "| report |" not in text
    assert query(scored, "SELECT count(*) FROM ops.run WHERE command = 'report'") == [(1,)]


def test_what_changes_in_the_warehouse_changes_the_report(cli: Any, scored: Path) -> None:
    assert cli("report", "-q").exit_code == 0
    before = (scored / TEXT).read_bytes()
    make_predictions(scored, weeks=range(5))
    assert cli("report", "-q").exit_code == 0
    assert (scored / TEXT).read_bytes() != before
    assert "as of week 4" in (scored / TEXT).read_text("utf-8")


def test_marts_of_an_earlier_scoring_are_called_so(cli: Any, scored: Path) -> None:
    assert cli("marts", "-q").exit_code == cli("report", "-q").exit_code == 0
    assert "earlier scoring" not in (scored / TEXT).read_text("utf-8")
    make_predictions(scored, seed=8)
    assert cli("report", "-q").exit_code == 0
    assert "The courses below are of an earlier scoring" in (scored / TEXT).read_text("utf-8")


def test_a_dry_run_changes_nothing(
    cli: Any, scored: Path, document: Callable[[str], Any], every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(scored)
    done = cli("report", "--dry-run", "-f", "json")
    assert (done.exit_code, document(done.stdout)["writes"]) == (0, [TEXT, PAGE])
    assert every_byte(scored) == before


def test_title_school_and_currency_are_the_user_s(cli: Any, scored: Path) -> None:
    assert cli("experiment", "-q").exit_code == 0
    settings = ("report.title=Spring review", "report.school=Hill & Dale", "report.currency=€")
    assert cli("report", *(word for one in settings for word in ("--set", one))).exit_code == 0
    page = (scored / PAGE).read_text("utf-8")
    assert "<title>Spring review</title>" in page
    assert "Hill &amp; Dale · term" in page
    assert "€1,200" in page


def test_a_larger_smallest_cell_hides_more(cli: Any, scored: Path) -> None:
    few = ("--set", "privacy.min_cell=1000")
    assert cli("report", "-q", *few).exit_code == 0
    text = (scored / TEXT).read_text("utf-8")
    assert "Too few students are scored" in text
    assert "<svg" not in (scored / PAGE).read_text("utf-8")


@pytest.mark.parametrize("loaded", [False, True], ids=["no warehouse", "no courses"])
def test_without_course_data_there_is_nothing_to_report(
    cli: Any, workspace: Path, told: Callable[[str], Any], loaded: bool
) -> None:
    if loaded:
        (workspace / "grades.csv").write_text("id,grade\n1,2\n", "utf-8")
        assert cli("etl", "grades.csv", "-q").exit_code == 0
    done = cli("report")
    assert (done.exit_code, done.stdout) == (2, "")
    said = told(done.stderr)
    assert "no course data" in said.error
    assert "`ss etl FOLDER`" in said.hint
    assert not (workspace / "reports").exists()


def test_a_file_in_the_way_is_an_error_and_is_recorded(cli: Any, scored: Path, told: Callable[[str], Any]) -> None:
    (scored / "reports").write_text("mine", "utf-8")
    done = cli("report")
    assert (done.exit_code, done.stdout) == (6, "")
    told(done.stderr)
    assert (scored / "reports").read_text("utf-8") == "mine"
    last = json.loads((scored / "logs" / "ledger.jsonl").read_text("utf-8").splitlines()[-1])
    assert (last["command"], last["status"], last["code"]) == ("report", "failed", 6)


def test_hints_and_notes_lead_to_the_same_workspace(cli: Any, scored: Path, tmp_path: Path) -> None:
    scored.rename(tmp_path / "elsewhere")
    done = cli("report", "-w", tmp_path / "elsewhere")
    assert done.exit_code == 0
    assert f"`ss marts build -w {tmp_path / 'elsewhere'}`" in done.stderr
    assert str(tmp_path) not in (tmp_path / "elsewhere" / TEXT).read_text("utf-8")
    assert "open " in done.stderr
