"""`ss batch`: what a registrar gets, what stops them, and what is left when something goes wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from effort import sample
from made_terms import Term, write_term

from studentsuccess.errors import StorageError

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("student_batches", "batch_student_membership", "batch_course_enrollment", "batch_resource_assignment")
WRITTEN = {
    *(f"{name}.csv" for name in TABLES), "quality.json", "report.txt", "report.json", "report.html", "report.csv",
}  # fmt: skip
STAGES = ["validate", "rules", "sizes", "clustering", "rooms", "membership", "enrolment", "quality", "report"]
DAY = ("--date", "2025-09-01")
Bytes = Callable[[Path], dict[str, bytes]]


def tables_of(folder: Path) -> dict[str, bytes]:
    """Every CSV: what must be the same in two runs of the same."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs" / "ledger.jsonl").read_text("utf-8").splitlines()]


def edit(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the rows of a CSV; the first is the header."""
    with path.open(encoding="utf-8", newline="") as source:
        rows = list(csv.reader(source))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink).writerows(rows)


def process(cli: Any, *words: str | Path) -> Any:
    done = cli("batch", "process", "term", "-o", "batches", *DAY, *words)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.mark.usefixtures("term")
def test_a_term_becomes_batches_with_rooms_and_all_of_it_is_there(cli: Any, workspace: Path) -> None:
    said = json.loads(process(cli, "-f", "json").stdout)
    assert {path.name for path in (workspace / "batches").iterdir()} == {*WRITTEN, "logs"}
    assert {Path(path).name for path in said["outputs"]} == WRITTEN
    assert (said["students"], said["hard_violations"], said["already_done"]) == (150, 0, False)
    assert said["random"] <= said["objective"] <= said["bound"]
    assert set(said["measures"]["academic_coherence"]) == {"value", "ceiling", "threshold", "verdict"}
    members = rows_of(workspace / "batches" / "batch_student_membership.csv")
    assert len({row["student_id"] for row in members}) == len(members) == 150
    assert {row["enrollment_date"] for row in members} == {"2025-09-01"}
    quality = json.loads((workspace / "batches" / "quality.json").read_text("utf-8"))
    assert {name: quality[name] for name in ("run_id", "objective", "bound", "measures")} == {
        name: said[name] for name in ("run_id", "objective", "bound", "measures")
    }


@pytest.mark.usefixtures("term")
def test_every_stage_has_its_line_and_the_ledger_holds(cli: Any, workspace: Path) -> None:
    said = json.loads(process(cli, "-f", "json").stdout)
    lines = ledger(workspace)
    assert [one["command"] for one in lines] == [*(f"batch process: {one}" for one in STAGES), "batch process"]
    assert [one["status"] for one in lines] == ["stage"] * len(STAGES) + ["done"]
    assert lines[0]["counts"]["student_data.csv"] == {"read": 150, "kept": 150, "rejected": 0, "duplicate": 0}
    assert {Path(one["path"]).name for one in lines[-1]["outputs"]} >= WRITTEN
    assert cli("verify").exit_code == 0
    log = [
        json.loads(line) for line in (workspace / "batches/logs" / f"{said['run_id']}.jsonl").read_text().splitlines()
    ]
    assert [one["stage"] for one in log] == STAGES


@pytest.mark.usefixtures("term")
def test_nobody_is_in_a_log_or_a_ledger(cli: Any, workspace: Path) -> None:
    process(cli)
    names = {row["student_name"].split()[0] for row in rows_of(workspace / "term" / "student_data.csv")}
    ids = {row["student_id"] for row in rows_of(workspace / "term" / "student_data.csv")}
    logged = "".join(path.read_text("utf-8") for path in (*workspace.glob("logs/*"), *workspace.glob("batches/logs/*")))
    assert not [one for one in (*ids, "Chloé", "Đorđe", "Óscar") if one in logged]
    assert {"Chloé", "Đorđe", "Óscar"} <= names


@pytest.mark.usefixtures("term")
def test_the_same_again_is_already_done(cli: Any, workspace: Path, every_byte: Bytes) -> None:
    first = json.loads(process(cli, "-f", "json").stdout)
    before = every_byte(workspace / "batches")
    done = process(cli, "-f", "json")
    again = json.loads(done.stdout)
    assert again["already_done"]
    assert {**again, "already_done": False} == first
    assert "nothing new, nothing changed" in done.stderr
    assert every_byte(workspace / "batches") == before


@pytest.mark.usefixtures("term")
@pytest.mark.parametrize("change", [("--seed", "7"), ("--date", "2025-10-01"), ("--max-size", "48")], ids=" ".join)
def test_whatever_decides_the_result_makes_another_run(cli: Any, change: tuple[str, str]) -> None:
    process(cli)
    done = cli("batch", "process", "term", "-o", "batches", *DAY, *change, "-f", "json")
    assert json.loads(done.stdout)["already_done"] is False


def test_the_order_of_rows_and_the_workers_change_no_byte(cli: Any, workspace: Path) -> None:
    write_term(workspace / "term", Term(260, seed=5))
    write_term(workspace / "shuffled", Term(260, seed=5, shuffle=True))
    assert tables_of(workspace / "term") != tables_of(workspace / "shuffled")
    for term, workers in (("term", "1"), ("term", "2"), ("shuffled", "2")):
        done = cli("batch", "process", term, "-o", f"{term}-{workers}", *DAY, "--workers", workers)
        assert done.exit_code == 0, done.stderr
    expected = tables_of(workspace / "term-1")
    assert set(expected) == {*(f"{name}.csv" for name in TABLES), "report.csv"}
    assert tables_of(workspace / "term-2") == expected
    assert tables_of(workspace / "shuffled-2") == expected


@pytest.mark.usefixtures("term")
def test_a_dry_run_changes_nothing_and_names_what_it_would_write(cli: Any, workspace: Path, every_byte: Bytes) -> None:
    before = every_byte(workspace)
    done = process(cli, "--dry-run", "-f", "json")
    said = json.loads(done.stdout)
    assert every_byte(workspace) == before
    assert {Path(path).name for path in said["writes"]} == WRITTEN
    assert (said["students"], said["ready"], said["already_done"]) == (150, True, False)
    process(cli)
    assert json.loads(process(cli, "--dry-run", "-f", "json").stdout)["already_done"] is True


def spoil(term: Path) -> None:
    """An orphan program in line 3, an unknown course in line 5, and a rule that means nothing."""

    def change(rows: list[list[str]]) -> None:
        rows[2][rows[0].index("program_id")] = "NOWHERE"
        rows[4][rows[0].index("enrolled_courses")] = '["NO-SUCH"]'

    edit(term / "student_data.csv", change)
    edit(
        term / "dynamic_parameters.csv", lambda rows: rows.append(["ODD", "student", "shoe", "no_mix", "hard", "1", ""])
    )


def test_a_check_says_everything_at_once_with_file_line_and_fix(cli: Any, term: Path) -> None:
    spoil(term)
    done = cli("batch", "check", "term", "-f", "json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["ready"]) == (4, False)
    errors = {(one["code"], one["file"], one["line"]) for one in said["problems"] if one["severity"] == "error"}
    assert ("ORPHAN_REFERENCE", "student_data.csv", 3) in errors
    assert ("ORPHAN_REFERENCE", "student_data.csv", 5) in errors
    assert any(code == "INVALID_CONSTRAINT_RULE" and file == "dynamic_parameters.csv" for code, file, _ in errors)
    files = {one["path"]: one for one in said["files"]}
    assert files["rooms.csv"]["ready"]
    assert not files["student_data.csv"]["ready"]
    assert (files["student_data.csv"]["rows"], files["student_data.csv"]["delimiter"]) == (150, ",")
    assert len(files["student_data.csv"]["sha256"]) == 64


@pytest.mark.usefixtures("term")
def test_a_check_of_a_good_term_is_ready(cli: Any) -> None:
    done = cli("batch", "check", "term")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "ready"


def test_a_run_on_a_bad_term_says_the_first_problem_and_how_many_more(
    cli: Any, term: Path, workspace: Path, told: Callable[[str], Any]
) -> None:
    spoil(term)
    done = cli("batch", "process", "term", "-o", "batches", *DAY)
    assert (done.exit_code, done.stdout) == (4, "")
    said = told(done.stderr)
    assert "more to mend" in said.error
    assert said.hint == "`ss batch check term` lists everything"
    assert not (workspace / "batches").exists()
    dry = cli("batch", "process", "term", "-o", "batches", *DAY, "--dry-run", "-f", "json")
    assert (dry.exit_code, json.loads(dry.stdout)["ready"]) == (4, False)


@pytest.mark.parametrize("given", [(), ("-q",)])
@pytest.mark.usefixtures("term")
def test_strict_fails_on_what_is_wanted_and_not_met_and_keeps_the_result(
    cli: Any, workspace: Path, given: tuple[str, ...]
) -> None:
    wanted = ("--set", "batch.least_silhouette=0.999")
    assert cli("batch", "process", "term", "-o", "batches", *DAY, *wanted, *given).exit_code == 0
    done = cli("batch", "process", "term", "-o", "strict", *DAY, *wanted, "--strict", "-f", "json", *given)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["measures"]["silhouette"]["verdict"] in ("FAIL", "UNATTAINABLE")
    assert tables_of(workspace / "strict") == tables_of(workspace / "batches")


def shrink_rooms(term: Path, seats: str = "20") -> None:
    def change(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[rows[0].index("capacity")] = seats

    edit(term / "rooms.csv", change)


def test_without_a_solution_the_reasons_and_the_ways_out_are_said(
    cli: Any, term: Path, workspace: Path, told: Callable[[str], Any]
) -> None:
    shrink_rooms(term)
    done = cli("batch", "process", "term", "-o", "batches", *DAY)
    assert done.exit_code == 4
    said = told(done.stderr)
    document = json.loads((workspace / "batches" / "infeasible.json").read_text("utf-8"))
    first = document["obstacles"][0]
    assert first["code"] == "INSUFFICIENT_ROOMS"
    assert said.error == first["words"]
    assert said.hint.endswith("details in batches/infeasible.json")
    assert first["fixes"]
    assert "way out" in done.stdout
    assert all(fix["words"] in done.stdout for fix in first["fixes"])
    assert {path.name for path in (workspace / "batches").iterdir()} == {"infeasible.json"}
    assert [one["status"] for one in ledger(workspace)][-1] == "failed"
    assert [one["code"] for one in ledger(workspace)][-1] == 4


def test_reasons_are_data_in_every_shape(cli: Any, term: Path) -> None:
    shrink_rooms(term)
    done = cli("batch", "process", "term", "-o", "batches", *DAY, "-f", "json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["feasible"]) == (4, False)
    assert set(said["obstacles"][0]) == {
        "code", "scope", "required", "available", "shortfall", "words", "rules", "fixes",
    }  # fmt: skip
    done = cli("batch", "process", "term", "-o", "batches", *DAY, "-f", "csv")
    header, *rows = csv.reader(done.stdout.splitlines())
    assert header[:5] == ["code", "scope", "required", "available", "shortfall"]
    assert rows[0][0] == "INSUFFICIENT_ROOMS"


def test_a_way_out_that_is_offered_leads_out(cli: Any, term: Path) -> None:
    """Rooms of 36 seats hold no batch of 35 with the usual margin."""
    shrink_rooms(term, "36")
    done = cli("batch", "process", "term", "-o", "batches", *DAY, "-f", "json")
    assert done.exit_code == 4
    ways = [fix["flag"] for one in json.loads(done.stdout)["obstacles"] for fix in one["fixes"] if fix["flag"]]
    assert ways
    for number, flag in enumerate(ways):
        again = cli("batch", "process", "term", "-o", f"way-{number}", *DAY, *flag.split())
        assert again.exit_code == 0, (flag, again.stderr)


def test_reasons_go_away_once_there_is_a_solution(cli: Any, term: Path, workspace: Path, term_once: Path) -> None:
    shrink_rooms(term)
    assert cli("batch", "process", "term", "-o", "batches", *DAY).exit_code == 4
    shutil.copy(term_once / "rooms.csv", term / "rooms.csv")
    process(cli)
    assert {path.name for path in (workspace / "batches").iterdir()} == {*WRITTEN, "logs"}


@pytest.mark.usefixtures("term")
def test_what_an_earlier_run_made_stands_until_the_next_one_is_whole(
    cli: Any, workspace: Path, every_byte: Bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(cli)
    before = every_byte(workspace / "batches")

    def full(*_: object, **__: object) -> None:
        raise StorageError("no space left", "free some")

    for place in ("tasks.batch.commit", "tasks.batch_write.verify", "tasks.batch_write.html"):
        with monkeypatch.context() as patch:
            patch.setattr(f"studentsuccess.{place}", full)
            done = cli("batch", "process", "term", "-o", "batches", *DAY, "--seed", "8")
        assert done.exit_code == 6
        assert "ss: error: no space left" in done.stderr
        assert every_byte(workspace / "batches") == before
    assert not [path.name for path in workspace.iterdir() if path.name.endswith(".part")]
    assert ledger(workspace)[-1]["status"] == "failed"
    assert cli("verify").exit_code == 0


@pytest.mark.usefixtures("term")
def test_nothing_is_kept_where_the_checker_disagrees(
    cli: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch, told: Callable[[str], Any]
) -> None:
    from studentsuccess.tasks import batch_write

    real = batch_write.outputs.assignment_rows

    def double_booked(*given: Any) -> Any:
        table = real(*given)
        rooms = table.column("room_id").combine_chunks()
        return table.set_column(2, "room_id", rooms.take([0] * len(rooms)))

    monkeypatch.setattr(batch_write.outputs, "assignment_rows", double_booked)
    done = cli("batch", "process", "term", "-o", "batches", *DAY)
    assert (done.exit_code, done.stdout) == (1, "")
    assert told(done.stderr).error.startswith("the checker disagrees with what was written: ")
    assert not (workspace / "batches").exists()


KILLED = """
import os, signal, sys
import studentsuccess.tasks.{module} as task
def killed(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)
task.{stage} = killed
sys.argv = ["ss", *sys.argv[1:]]
from studentsuccess.__main__ import main
main()
"""


@pytest.mark.posix
@pytest.mark.usefixtures("term")
@pytest.mark.parametrize(
    ("stage", "goes_on"),
    sample(
        [
            ("batch.group", False),
            ("batch.place", True),
            ("batch.write_results", True),
            ("batch._committed", True),
            ("batch_files.is_promised", False),  # the first thing after the COMMIT
            ("batch._tidy", False),
        ],
        daily=[("batch.write_results", True), ("batch_files.is_promised", False)],
    ),
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    cli: Any, workspace: Path, clean_env: Mapping[str, str], stage: str, goes_on: bool
) -> None:
    call = ("batch", "process", "term", "-o", "batches", *DAY)
    module, _, name = stage.partition(".")
    code = KILLED.format(module=module, stage=name)
    done = subprocess.run([sys.executable, "-c", code, *call], cwd=workspace, env=clean_env, check=False)
    assert done.returncode == -9
    after = cli(*call)
    assert after.exit_code == 0, after.stderr
    assert ("going on after the clustering of run " in after.stderr) is goes_on
    assert not [path.name for path in workspace.iterdir() if path.name.endswith(".part")]
    assert not [path.name for path in (workspace / ".staging").iterdir() if path.name.startswith("batch-")]
    assert cli("batch", "process", "term", "-o", "whole", *DAY).exit_code == 0
    assert tables_of(workspace / "batches") == tables_of(workspace / "whole")
    assert cli("verify").exit_code == 0


@pytest.mark.usefixtures("term")
def test_a_run_that_goes_on_groups_nobody_again(cli: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StorageError("no space left", "free some")

    def never(*_: object) -> None:
        raise AssertionError("it was grouped already")

    with monkeypatch.context() as patch:
        patch.setattr("studentsuccess.tasks.batch.place", broken)
        assert cli("batch", "process", "term", "-o", "batches", *DAY).exit_code == 6
    with monkeypatch.context() as patch:
        patch.setattr("studentsuccess.tasks.batch.group", never)
        process(cli)
    lines = [one["command"] for one in ledger(workspace) if one["status"] == "stage"]
    assert lines == [f"batch process: {one}" for one in (*STAGES[:4], *STAGES)]


@pytest.mark.usefixtures("term")
def test_an_intermediate_result_that_is_broken_is_made_again(
    cli: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StorageError("no space left", "free some")

    with monkeypatch.context() as patch:
        patch.setattr("studentsuccess.tasks.batch.place", broken)
        cli("batch", "process", "term", "-o", "batches", *DAY)
    kept = next(workspace.glob(".staging/batch-*/clustering.npz"))
    kept.write_bytes(kept.read_bytes()[:200])
    assert "going on" not in process(cli).stderr


@pytest.mark.usefixtures("term")
def test_a_file_that_was_deleted_is_made_again(cli: Any, workspace: Path) -> None:
    process(cli)
    before = tables_of(workspace / "batches")
    (workspace / "batches" / "student_batches.csv").unlink()
    assert json.loads(process(cli, "-f", "json").stdout)["already_done"] is False
    assert tables_of(workspace / "batches") == before


def query(workspace: Path, text: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(text).fetchall()


@pytest.mark.usefixtures("term")
def test_the_warehouse_has_each_place_once_and_no_name(cli: Any, workspace: Path) -> None:
    process(cli)
    process(cli, "--seed", "9")
    assert cli("batch", "process", "term", "-o", "other", *DAY).exit_code == 0
    members = query(
        workspace,
        "SELECT output, count(*), count(DISTINCT student_id) FROM batch.batch_student_membership GROUP BY ALL"
        " ORDER BY ALL",
    )
    assert members == [("batches", 150, 150), ("other", 150, 150)]
    columns = query(workspace, "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'batch'")
    assert ("student_name",) not in columns
    batches = rows_of(workspace / "batches" / "student_batches.csv")
    found = query(workspace, "SELECT batch_id::VARCHAR, size FROM batch.student_batches WHERE output = 'batches'")
    assert dict(found) == {row["batch_id"]: int(row["size"]) for row in batches}
    assert query(workspace, "SELECT count(*) FROM batch.batch_resource_assignment WHERE output = 'other'")[0][0] > 0
    assert query(workspace, "SELECT count(*) FROM batch.batch_course_enrollment WHERE output = 'other'")[0][0] > 0


def test_bad_rows_go_to_the_dead_letters_when_that_is_wanted(cli: Any, term: Path, workspace: Path) -> None:
    edit(term / "student_data.csv", lambda rows: rows[2].__setitem__(rows[0].index("program_id"), "NOWHERE"))
    said = json.loads(process(cli, "--lenient", "-f", "json").stdout)
    assert said["students"] == 149
    letters = rows_of(workspace / said["dead_letters"][0])
    assert [(row["source"], row["line"], row["column"]) for row in letters] == [("student_data.csv", "3", "program_id")]
    counts = next(one for one in ledger(workspace) if one["command"] == "batch process")["counts"]["student_data.csv"]
    assert counts == {"read": 150, "kept": 149, "rejected": 1, "duplicate": 0}
    assert cli("batch", "verify", "batches", "term").exit_code == 0


@pytest.mark.usefixtures("term")
def test_only_the_reports_that_are_wanted_are_written(cli: Any, workspace: Path) -> None:
    process(cli, "--report-format", "html,txt")
    assert {path.name for path in (workspace / "batches").glob("report.*")} == {"report.html", "report.txt"}


@pytest.mark.usefixtures("term")
def test_a_report_that_does_not_exist_is_named(cli: Any, told: Callable[[str], Any]) -> None:
    done = cli("batch", "process", "term", "-o", "batches", "--report-format", "pdf")
    assert done.exit_code == 2
    assert "pdf" in told(done.stderr).error or "html" in told(done.stderr).error


@pytest.mark.usefixtures("term")
def test_who_must_be_apart_is_apart_and_who_must_be_together_together(cli: Any, workspace: Path) -> None:
    process(cli)
    by_batch: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(workspace / "batches" / "batch_student_membership.csv"):
        by_batch.setdefault(row["batch_id"], []).append(row)
    (one, other, *_), *others = sorted(by_batch.values(), key=len, reverse=True)
    stranger = next(
        row
        for rows in others
        for row in rows
        if row["program_id"] == one["program_id"] and row["academic_year"] == one["academic_year"]
    )
    pins = [
        ("student_id", "group", "relation"),
        (one["student_id"], "a", "apart"),
        (other["student_id"], "a", "apart"),
        (one["student_id"], "b", "together"),
        (stranger["student_id"], "b", "together"),
    ]
    (workspace / "pins.csv").write_text("".join(",".join(row) + "\n" for row in pins), "utf-8")
    assert cli("batch", "process", "term", "-o", "pinned", *DAY, "--pin", "pins.csv").exit_code == 0
    placed = {
        row["student_id"]: row["batch_id"] for row in rows_of(workspace / "pinned" / "batch_student_membership.csv")
    }
    assert placed[one["student_id"]] != placed[other["student_id"]]
    assert placed[one["student_id"]] == placed[stranger["student_id"]]


@pytest.mark.usefixtures("term")
def test_who_moves_since_last_time_is_counted(cli: Any) -> None:
    first = json.loads(process(cli, "-f", "json").stdout)
    done = cli("batch", "process", "term", "-o", "next", *DAY, "--seed", "77", "--previous", "batches", "-f", "json")
    said = json.loads(done.stdout)
    assert (first["moved"], said["moved"]) == (None, 0)


@pytest.mark.usefixtures("batches")
def test_verify_recomputes_and_agrees(cli: Any) -> None:
    done = cli("batch", "verify", "batches", "term", "-f", "json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["ok"], said["disagreements"], said["hard_violations"]) == (0, True, [], 0)
    assert said["students"] == 150


@pytest.fixture
def batches(batches_once: Path, term: Path) -> Path:
    return shutil.copytree(batches_once, term.parent / "batches")


@pytest.mark.parametrize("name", TABLES)
def test_verify_finds_what_was_changed_by_hand(cli: Any, batches: Path, name: str) -> None:
    edit(batches / f"{name}.csv", lambda rows: rows.__delitem__(1))
    done = cli("batch", "verify", "batches", "term", "-f", "json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["ok"]) == (4, False)
    assert said["disagreements"] or said["hard_violations"]


def test_verify_finds_a_figure_that_was_embellished(cli: Any, batches: Path) -> None:
    said = json.loads((batches / "quality.json").read_text("utf-8"))
    said["measures"]["academic_coherence"]["value"] += 0.01
    (batches / "quality.json").write_text(json.dumps(said), "utf-8")
    done = cli("batch", "verify", "batches", "term")
    assert done.exit_code == 4
    assert "academic_coherence" in done.stdout


@pytest.mark.usefixtures("term")
@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (("process",), "name it: `ss batch process DIR`"),
        (("process", "term"), "name a folder: `-o OUT`"),
        (("process", "term", "-o", "-"), "name a folder: `-o OUT`"),
        (("process", "term", "-o", "term"), "name another folder: `-o OUT`"),
        (("process", "term", "-o", "term/rooms.csv"), "name a folder: `-o OUT`"),
        (("process", "term", "-o", "out", "--date", "soon"), "such as `--date 2025-09-01`"),
        (("process", "term", "-o", "out", "--weights", "homogenity=1"), "did you mean `homogeneity`?"),
        (("process", "term", "-o", "out", "--weights", "size=much"),
         "such as `--weights homogeneity=.4,balance=.3,size=.3`"),
        (("process", "trem", "-o", "out"), "did you mean `term`?"),
        (("check",), "name it: `ss batch check DIR`"),
        (("verify", "term"), "`ss batch verify OUT DIR`"),
        (("verify", "term", "term"), "make some: `ss batch process DIR -o OUT`"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_the_way(cli: Any, call: tuple[str, ...], hint: str, told: Callable[[str], Any]) -> None:
    done = cli("batch", *call)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told(done.stderr).hint == hint


@pytest.mark.usefixtures("term")
def test_settings_come_from_every_layer(cli: Any, workspace: Path) -> None:
    (workspace / "config.toml").write_text("[batch]\nmax_size = 50\nlenient = true\n", "utf-8")
    process(cli, "--target-size", "30")
    request = json.loads((workspace / "batches" / "quality.json").read_text("utf-8"))["request"]
    assert request["sizes"] == {"min": 15, "target": 30, "max": 50}
    assert request["lenient"] is True
    assert os.environ.get("SS_BATCH__MAX_SIZE") is None


@pytest.mark.usefixtures("term")
def test_nothing_with_an_id_on_it_is_published_unless_somebody_says_so(cli: Any) -> None:
    done = cli("batch", "process", "term", "-o", "outputs/batches", *DAY)
    assert done.exit_code == 0, done.stderr
    (Path("reports")).mkdir()
    (Path("reports") / "page.html").write_text("<p>nobody</p>", "utf-8")
    said = json.loads(cli("publish", "--to", "there", "-n", "-f", "json").stdout)
    assert [one["path"] for one in said["files"]] == ["reports/page.html"]


def test_what_is_relaxed_may_be_mixed_and_is_no_violation(cli: Any, workspace: Path) -> None:
    """Cells of which no batches of 33 to 40 can be made, by themselves."""
    write_term(workspace / "term", Term(500, seed=1))
    sizes = ("--min-size", "33", "--target-size", "36", "--max-size", "40")
    refused = cli("batch", "process", "term", "-o", "batches", *DAY, *sizes, "-f", "json")
    assert refused.exit_code == 4
    assert json.loads(refused.stdout)["obstacles"][0]["code"] in ("SIZE_GAP", "UNDERSIZED_CELL")
    said = json.loads(process(cli, *sizes, "--relax", "program_id", "-f", "json").stdout)
    shares = [float(row["program_consistency"]) for row in rows_of(workspace / "batches" / "student_batches.csv")]
    assert (said["hard_violations"], min(shares) < 1) == (0, True)
    assert any("program_id" in note for note in said["notes"])
    assert cli("batch", "verify", "batches", "term").exit_code == 0


@pytest.mark.usefixtures("term")
@pytest.mark.parametrize("algorithm", ["kmeans", "spectral", "hierarchical"])
def test_others_are_brought_to_sizes_and_rules_and_say_so(cli: Any, algorithm: str) -> None:
    ours, said = (json.loads(process(cli, *more, "-f", "json").stdout) for more in ((), ("--algorithm", algorithm)))
    assert said["hard_violations"] == 0
    assert any(algorithm in note for note in said["notes"])
    assert said["objective"] <= ours["objective"] + 1e-9


def test_any_dialect_gives_the_same_batches(cli: Any, term: Path, workspace: Path) -> None:
    """Other names, UTF-16, semicolons, lists in braces."""
    process(cli)
    with (term / "student_data.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.reader(source))
    at = rows[0].index("enrolled_courses")
    for row in rows[1:]:
        row[at] = "{" + row[at].strip("[]").replace(" ", "") + "}"
    with (term / "people.csv").open("w", encoding="utf-16", newline="") as sink:
        csv.writer(sink, delimiter=";").writerows(rows)
    (term / "student_data.csv").unlink()
    (term / "rooms.csv").rename(term / "Raumliste.csv")
    assert cli("batch", "process", "term", "-o", "odd", *DAY).exit_code == 0
    assert tables_of(workspace / "odd") == tables_of(workspace / "batches")


@pytest.mark.usefixtures("term")
def test_the_checker_knows_which_texts_mean_nothing(cli: Any, workspace: Path) -> None:
    """With a text for nothing of one's own, what was left empty is the same to both programs."""

    def blanked(rows: list[list[str]]) -> None:
        shift = rows[0].index("preferred_shift")
        for row in rows[1:40]:
            row[shift] = "unknown"

    edit(workspace / "term" / "student_data.csv", blanked)
    process(cli, "--set", 'etl.null_values=["", "unknown"]')
    assert json.loads((workspace / "batches" / "quality.json").read_text("utf-8"))["request"]["null_values"] == [
        "", "unknown",
    ]  # fmt: skip
