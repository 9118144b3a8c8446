"""`ss explain` as people and programs see it, on models that `ss train` made in this session."""

from __future__ import annotations

import csv
import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest
from made_models import context_of, make_manifest

from studentsuccess.core.digest import file_digest
from studentsuccess.core.grammar import Kind
from studentsuccess.core.locks import utc_now
from studentsuccess.models.keep import MANIFEST, dump_pipeline, write_model
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.models.roles import Feature, Role
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.models import model_path, resolve_model, staged_model
from studentsuccess.tasks.models_open import open_predictor
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.models import register_model
from studentsuccess.warehouse.staging import staging_folder

ROOT = Path(__file__).resolve().parents[2]
ROWS = 360
STRANGE = "näme \x1b[31m"
HEADER = ["student_id", "points", "Fach", "weeks", STRANGE, "outcome", "grade"]
SUBJECTS = ("Mathe", "物理", "Łódź", "only few")
OUTPUTS = ("outputs/explain/{}/shap_top_features.json", "outputs/explain/{}/shap_summary.png")

Told = Callable[[str], Any]
Bytes = Callable[[Path], dict[str, bytes]]


def made_rows() -> list[list[object]]:
    """Students whose points and subject decide how they end; some values are missing, one subject is rare."""
    chance = random.Random(7)  # noqa: S311 - data, not secrets
    found: list[list[object]] = []
    for place in range(ROWS):
        points = round(chance.gauss(50, 15), 1)
        subject = SUBJECTS[3] if place % 90 == 5 else chance.choice(SUBJECTS[:3])
        weeks = chance.randint(1, 6)
        score = (points - 50) / 8 + (subject == "Mathe") - 0.4 * weeks + chance.gauss(0, 1)
        outcome = "Abbruch" if score < -2 else "offen" if score < 0 else "Abschluß"
        shown = "" if place % 11 == 0 else points
        row = [f"S-{place:05d}", shown, subject, weeks, chance.randint(0, 1), outcome, round(2 * score + 10, 2)]
        found.append(list(row))
    return found


def write(path: Path, rows: list[list[object]], header: list[str] = HEADER) -> Path:
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink, delimiter=";").writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of three classes that knows ids, and one of a number that does not."""
    folder = tmp_path_factory.mktemp("explain") / "workspace"
    folder.mkdir()
    write(folder / "students.csv", made_rows())
    for words in (
        ("--target", "outcome", "--id", "student_id", "--types", "grade=ignore"),
        ("--target", "grade", "--types", "outcome=ignore,student_id=ignore"),
    ):
        command = [sys.executable, "-m", "studentsuccess", "train", "local", "--data", "students.csv", *words]
        done = subprocess.run(
            command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture
def trained(trained_once: Path, workspace: Path) -> Path:
    """A copy of it, to do anything with."""
    return shutil.copytree(trained_once, workspace, dirs_exist_ok=True)


def document(done: Any, code: int = 0) -> Any:
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]


def predictor(workspace: Path, name: str) -> tuple[Context, Any]:
    context = context_of(workspace)
    return context, open_predictor(context, resolve_model(name, context.workspace, context.limits))


def batch_of(workspace: Path) -> Any:
    """The rows as pyarrow alone reads them."""
    options = pyarrow.csv.ParseOptions(delimiter=";")
    texts = pyarrow.csv.ConvertOptions(strings_can_be_null=False)
    table = pyarrow.csv.read_csv(workspace / "students.csv", parse_options=options, convert_options=texts)
    return table.combine_chunks().to_batches()[0]


def test_importance_is_a_table_a_picture_and_a_line_in_the_ledger(cli: Any, trained: Path) -> None:
    done = cli("explain", "students.csv", "-m", "outcome", "-f", "json")
    found = document(done)
    table, picture = (trained / one.format("outcome") for one in OUTPUTS)
    assert found["outputs"] == [one.format("outcome") for one in OUTPUTS]
    assert picture.read_bytes().startswith(b"\x89PNG")
    written = json.loads(table.read_text("utf-8"))
    more = ("outputs", "run_id", "already_explained", "features_in_all")
    assert {name: value for name, value in found.items() if name not in more} == written
    last = ledger(trained)[-1]
    assert (last["command"], last["status"], last["run_id"]) == ("explain", "done", found["run_id"])
    assert [one["path"] for one in last["inputs"]] == ["students.csv", "models/outcome/1/manifest.json"]
    assert [one["path"] for one in last["outputs"]] == found["outputs"]
    assert last["counts"]["explained"] == {"read": ROWS, "kept": ROWS, "rejected": 0, "duplicate": 0}
    assert document(cli("verify", "-f", "json"))["ok"]


def test_importance_is_the_mean_size_of_what_the_model_adds(cli: Any, trained: Path) -> None:
    found = document(cli("explain", "students.csv", "-m", "outcome", "-f", "json"))
    _, model = predictor(trained, "outcome")
    batch = batch_of(trained)
    sizes: dict[str, list[float]] = {}
    for place in range(len(model.manifest.classes)):
        told = model.contributions(batch, [place] * ROWS)
        for column, name in enumerate(told.names):
            sizes.setdefault(name, []).append(float(np.abs(told.amounts[:, column]).mean()))
    assert (found["rows"], found["classes"]) == (ROWS, ["Abbruch", "Abschluß", "offen"])
    assert {one["name"] for one in found["features"]} == {"points", "Fach", "weeks", STRANGE}
    for one in found["features"]:
        assert list(one["by_class"].values()) == pytest.approx(sizes[one["name"]])
        assert one["mean_abs"] == pytest.approx(np.mean(sizes[one["name"]]))
    assert found["features"][0]["name"] == "points"
    assert found["features"][0]["direction"] == "higher values raise Abschluß and lower Abbruch"


@pytest.mark.usefixtures("trained")
def test_codes_of_few_students_are_not_told(cli: Any) -> None:
    found = document(cli("explain", "students.csv", "-m", "outcome", "-f", "json"))
    subjects = next(one for one in found["features"] if one["name"] == "Fach")["levels"]
    assert subjects
    assert SUBJECTS[3] not in [one["level"] for one in subjects]
    assert all(one["rows"] >= 10 for one in subjects)
    left = ROWS - sum(one["rows"] for one in subjects)
    assert left >= 10
    hidden = document(cli("explain", "students.csv", "--set", "privacy.min_cell=1000", "-f", "json"))
    assert [one["levels"] for one in hidden["features"]] == [[]] * len(hidden["features"])


@pytest.mark.usefixtures("trained")
def test_people_get_a_table_and_what_was_cut_is_said(cli: Any) -> None:
    done = cli("explain", "students.csv", "-m", "outcome", "--top", "2")
    lines = done.stdout.splitlines()
    assert (done.exit_code, len(lines)) == (0, 3)
    assert lines[0].split() == ["feature", "mean", "push", "share", "what", "it", "does"]
    assert lines[1].startswith("points ")
    assert lines[1].endswith("higher values raise Abschluß and lower Abbruch")
    assert "the strongest 2 of 4 features; `--top 4` shows all" in done.stderr
    rows = list(csv.DictReader(cli("explain", "students.csv", "-m", "outcome", "-f", "csv").stdout.splitlines()))
    assert rows[0]["feature"] == "points"
    assert len(rows) == 4


def test_the_same_again_changes_nothing_and_says_so(cli: Any, trained: Path, every_byte: Bytes) -> None:
    first = document(cli("explain", "students.csv", "-f", "json"))
    before = every_byte(trained)
    again = cli("explain", "students.csv", "-f", "json")
    found = document(again)
    assert found.pop("already_explained")
    assert not first.pop("already_explained")
    assert found == first
    assert "nothing new, nothing changed" in again.stderr
    assert every_byte(trained) == before
    (trained / first["outputs"][1]).unlink()
    assert not document(cli("explain", "students.csv", "-f", "json"))["already_explained"]
    assert (trained / first["outputs"][1]).read_bytes() == before[first["outputs"][1]]


@pytest.mark.parametrize("more", [(), ("--row", "3")], ids=["all", "row"])
def test_a_dry_run_says_what_would_be_and_changes_nothing(
    cli: Any, trained: Path, more: tuple[str, ...], every_byte: Bytes
) -> None:
    before = every_byte(trained)
    found = document(cli("explain", "students.csv", "-m", "outcome", *more, "-n", "-f", "json"))
    assert (found["model"], found["already_explained"]) == ("outcome@1", False)
    assert [one["path"] for one in found["reads"]] == ["students.csv"]
    assert found["writes"] == ([] if more else [one.format("outcome") for one in OUTPUTS])
    assert every_byte(trained) == before
    if not more:
        assert cli("explain", "students.csv", "-m", "outcome").exit_code == 0
        shown = cli("explain", "students.csv", "-m", "outcome", "-n").stdout
        assert "a run would change nothing" in shown


def test_the_reasons_of_one_row_write_nothing(cli: Any, trained: Path, every_byte: Bytes) -> None:
    before = every_byte(trained)
    assert cli("explain", "students.csv", "--row", "3").exit_code == 0
    assert every_byte(trained) == before


@pytest.mark.parametrize("row", [1, 2, 40, ROWS])
def test_base_and_reasons_of_a_row_add_up_to_what_is_predicted(cli: Any, trained: Path, row: int) -> None:
    _, model = predictor(trained, "outcome")
    found = document(cli("explain", "students.csv", "-m", "outcome", "--row", str(row), "-f", "json"))
    likely = model.predict(batch_of(trained).slice(row - 1, 1)).probabilities[0]
    logs = np.log(likely)
    assert found["predicted"] == model.manifest.classes[int(likely.argmax())]
    assert found["confidence"] == pytest.approx(float(likely.max()))
    assert list(found["probabilities"].values()) == pytest.approx(likely.tolist())
    assert found["score"] == pytest.approx(float(logs.max() - logs.mean()))
    total = found["base"] + sum(one["effect"] for one in found["reasons"]) + found["rest"]["effect"]
    assert total == pytest.approx(found["score"])
    values = dict(zip(HEADER, made_rows()[row - 1], strict=True))
    for one in found["reasons"]:
        assert one["value"] == (None if values[one["feature"]] == "" else values[one["feature"]])
        assert one["words"].startswith(f"{one['feature']} is {'missing' if one['value'] is None else ''}")
        assert one["direction"] == ("up" if one["effect"] > 0 else "down")


def test_what_is_typical_is_that_of_the_training(cli: Any, trained: Path) -> None:
    alone = write(trained / "one.csv", [["S-1", 99, "Mathe", 6, 1, "", ""]])
    found = document(cli("explain", alone, "-m", "outcome", "--row", "1", "-f", "json"))
    typical = {one["feature"]: one["typical"] for one in found["reasons"]}
    rows = made_rows()
    points = [float(str(row[1])) for row in rows if row[1] != ""]
    assert typical["points"] == pytest.approx(np.mean(points), abs=2)
    subjects = [row[2] for row in rows]
    assert subjects.count(typical["Fach"]) >= 100


def test_a_number_is_explained_in_its_own_unit(cli: Any, trained: Path) -> None:
    _, model = predictor(trained, "grade")
    found = document(cli("explain", "students.csv", "-m", "grade", "--row", "2", "-f", "json"))
    value = float(model.predict(batch_of(trained).slice(1, 1)).values[0])
    assert found["predicted"] == found["score"] == pytest.approx(value)
    assert found["base"] + sum(one["effect"] for one in found["reasons"]) == pytest.approx(value)
    assert (found["scale"], found["confidence"], found["probabilities"]) == ("grade", None, {})
    assert found["interval"][0] < value < found["interval"][1]
    grades = [float(str(row[6])) for row in made_rows()]
    assert found["base"] == pytest.approx(np.mean(grades), abs=0.6)
    words = cli("explain", "students.csv", "-m", "grade", "--row", "2").stdout
    assert "log-odds" not in words
    assert " grade by " in words
    overview = document(cli("explain", "students.csv", "-m", "grade", "-f", "json"))
    assert overview["features"][0]["direction"] == "higher values raise grade"
    assert overview["features"][0]["by_class"] == {}


@pytest.mark.usefixtures("trained")
def test_people_get_sentences(cli: Any) -> None:
    done = cli("explain", "students.csv", "-m", "outcome", "--row", "2", "--top", "1")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("outcome: ")
    assert ", with a confidence of " in lines[0]
    assert any(" raises " in line for line in lines)
    assert any(" lowers " in line for line in lines)
    assert "(log-odds)" in lines[2]
    assert "`--top 4` shows all" in done.stdout
    assert lines[-1].startswith("an average row stands at ")
    assert done.stderr == "row 2 of students.csv, by outcome@1\n"
    rows = list(csv.DictReader(cli("explain", "students.csv", "--row", "2", "-f", "csv").stdout.splitlines()))
    assert list(rows[0]) == ["feature", "value", "typical", "effect"]
    assert all(math.isfinite(float(row["effect"])) for row in rows)


@pytest.mark.usefixtures("trained")
def test_a_student_is_found_by_id(cli: Any) -> None:
    by_id = document(cli("explain", "students.csv", "-m", "outcome", "--student", "S-00041", "-f", "json"))
    by_row = document(cli("explain", "students.csv", "-m", "outcome", "--row", "42", "-f", "json"))
    assert by_id == by_row
    assert by_id["row"] == 42


def test_an_unknown_id_is_told_without_anybody_elses(cli: Any, trained: Path, told: Told) -> None:
    for unknown in ("S-99999", "s-00041", "S-0004"):
        done = cli("explain", "students.csv", "-m", "outcome", "--student", unknown)
        assert (done.exit_code, done.stdout) == (2, "")
        said = told(done.stderr)
        assert said.error == "students.csv: no row has the `student_id` that was asked for"
        assert "`--row N`" in said.hint
        assert "S-0" not in done.stderr + json.dumps(ledger(trained))


def test_of_rows_with_one_id_the_first_is_told_with_a_warning(cli: Any, trained: Path) -> None:
    rows = made_rows()
    again = write(trained / "again.csv", [*rows[:20], rows[4]])
    done = cli("explain", again, "-m", "outcome", "--student", "S-00004", "-f", "json")
    assert document(done)["row"] == 5
    assert "2 rows have this id; this is the first of them, row 5" in done.stderr


def test_without_an_input_the_training_data_is_explained(cli: Any, trained: Path) -> None:
    found = document(cli("explain", "-m", "outcome", "-f", "json"))
    named = document(cli("explain", "students.csv", "-m", "outcome", "-f", "json"))
    assert named["already_explained"]
    assert found["features"] == named["features"]
    assert document(cli("explain", "--row", "3", "-m", "outcome", "-f", "json"))["row"] == 3
    assert cli("explain", "-m", "outcome", "-w", trained, "-q").exit_code == 0


@pytest.mark.parametrize("change", ["gone", "changed", "as long"])
def test_without_the_training_data_a_file_must_be_named(cli: Any, trained: Path, change: str, told: Told) -> None:
    data = trained / "students.csv"
    if change == "gone":
        data.unlink()
    else:
        text = data.read_bytes()
        data.write_bytes(text + b"\n" if change == "changed" else text[:-3] + b"9" + text[-2:])
    done = cli("explain", "-m", "outcome")
    assert (done.exit_code, done.stdout) == (2, "")
    said = told(done.stderr)
    assert said.error == "what `outcome@1` was trained on is not there any more, or has changed"
    assert "`ss explain FILE -m outcome@1`" in said.hint


def test_a_registered_dataset_is_found_by_its_name_and_by_its_model(cli: Any, trained: Path) -> None:
    assert cli("etl", "students.csv", "--id", "student_id").exit_code == 0
    (trained / "students.csv").unlink()
    words = ("--target", "outcome", "--name", "kept", "--types", "grade=ignore")
    assert cli("train", "local", "--data", "students", *words).exit_code == 0
    named = document(cli("explain", "students", "-m", "outcome", "-f", "json"))
    assert named["rows"] == ROWS
    assert document(cli("explain", "-m", "kept", "-f", "json"))["rows"] == ROWS


def test_every_format_and_stdin_are_explained_alike(run_ss: Any, trained: Path) -> None:
    lines = [dict(zip(HEADER, row, strict=True)) for row in made_rows()]
    text = "".join(json.dumps({name: value for name, value in one.items() if value != ""}) + "\n" for one in lines)
    (trained / "students.jsonl").write_text(text, "utf-8")
    first = json.loads(run_ss("explain", "students.csv", "-m", "outcome", "-f", "json").stdout)
    for words, given in ((("students.jsonl",), b""), (("-",), (trained / "students.csv").read_bytes())):
        done = run_ss("explain", *words, "-m", "outcome", "-f", "json", input=given)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["features"] == first["features"]


def test_a_sample_is_spread_evenly_and_says_its_size(cli: Any, trained: Path) -> None:
    found = document(cli("explain", "students.csv", "-m", "outcome", "--sample", "50", "-f", "json"))
    assert (found["rows"], found["rows_read"]) == (50, ROWS)
    assert ledger(trained)[-1]["counts"]["explained"]["read"] == ROWS


def test_results_go_where_they_are_sent(cli: Any, trained: Path, tmp_path: Path) -> None:
    found = document(cli("explain", "students.csv", "--into", tmp_path / "else/where", "-f", "json"))
    assert sorted(path.name for path in (tmp_path / "else/where").iterdir()) == [
        "shap_summary.png",
        "shap_top_features.json",
    ]
    assert all(Path(one).is_file() for one in found["outputs"])
    assert not (trained / "outputs").exists()
    assert document(cli("verify", "-f", "json"))["ok"]


def test_rows_that_can_not_be_read_are_left_out_and_said(cli: Any, trained: Path, told: Told) -> None:
    rows = made_rows()
    rows[30][3] = "S-secret"
    write(trained / "dirty.csv", rows)
    done = cli("explain", "dirty.csv", "-m", "outcome", "-f", "json")
    found = document(done)
    assert (found["rows"], found["rows_read"], found["rows_rejected"]) == (ROWS - 1, ROWS, 1)
    assert f"1 of {ROWS} rows, the first in dirty.csv, line 32: `weeks` not a whole number" in done.stderr
    assert "S-secret" not in done.stderr
    refused = cli("explain", "dirty.csv", "-m", "outcome", "--row", "31")
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert told(refused.stderr).error == "dirty.csv: row 31 can't be read: line 32: `weeks` not a whole number"
    beside = document(cli("explain", "dirty.csv", "-m", "outcome", "--row", "32", "-f", "json"))
    assert beside["reasons"][0]["value"] == rows[31][HEADER.index(beside["reasons"][0]["feature"])]


@pytest.mark.parametrize(
    ("called", "code", "error"),
    [
        (("students.csv", "--row", "361"), 2, "students.csv: there is no row 361: it has 360"),
        (("students.csv", "--row", "0"), 2, "invalid value for `--row`: 0 is not in the range x>=1"),
        (("students.csv", "--row", "1", "--student", "x"), 2, "`--row` and `--student` both name a row"),
        (("students.csv", "--row", "1", "--into", "x"), 2, "`--into` is for what a model looks at in general"),
        (("students.csv", "-m", "grade", "--student", "x"), 2, "`grade@1` was trained without an id"),
        (
            ("students.csv", "-m", "outcome", "--student", "x", "--student", "y"),
            2,
            "`outcome@1` tells rows by 1 column",
        ),
        (("students.csv", "--into", "students.csv"), 2, "students.csv: is a file, and two files are to be written"),
        (("students.csv", "-m", "outcom"), 2, "there is no model `outcom`"),
        (("student.csv",), 2, "student.csv: not there"),
        (("few.csv",), 4, "few.csv: `grade@1` needs 4 columns, and 2 of them are missing: `Fach`, `weeks`"),
        (("other.csv",), 4, "other.csv: the column `points` was of the kind decimal"),
        (
            ("noid.csv", "-m", "outcome", "--student", "x"),
            2,
            "noid.csv: there is no column `student_id` to find a row by",
        ),
    ],
)
@pytest.mark.parametrize("more", [(), ("-n",)], ids=["run", "dry run"])
def test_what_can_not_be_explained_is_told_and_writes_nothing(
    cli: Any, trained: Path, called: tuple[str, ...], code: int, error: str, more: tuple[str, ...], told: Told
) -> None:
    rows = made_rows()
    write(trained / "few.csv", [[row[1], row[4]] for row in rows], ["points", STRANGE])
    write(trained / "other.csv", [[row[0], "much", *row[2:]] for row in rows])
    write(trained / "noid.csv", [row[1:] for row in rows], HEADER[1:])
    done = cli("explain", *called, *more)
    if more and called[-1] == "361":
        assert done.exit_code == 0
        return
    assert (done.exit_code, done.stdout) == (code, "")
    said = told(done.stderr)
    assert said.error.startswith(error)
    assert said.hint
    assert not (trained / "outputs").exists()


def test_without_a_model_the_way_to_one_is_told(cli: Any, workspace: Path, told: Told) -> None:
    done = cli("explain")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss train local" in told(done.stderr).hint
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "manifest.json"])
@pytest.mark.parametrize("more", [(), ("-n",), ("--row", "1")], ids=["all", "dry run", "row"])
def test_a_damaged_model_explains_nothing(
    cli: Any, trained: Path, name: str, more: tuple[str, ...], told: Told
) -> None:
    path = trained / "models/grade/1" / name
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    done = cli("explain", "students.csv", "-m", "grade", *more)
    assert (done.exit_code, done.stdout) == (4, "")
    assert name in told(done.stderr).error
    assert not (trained / "outputs").exists()


@pytest.mark.usefixtures("trained")
def test_names_from_data_move_no_cursor(cli: Any) -> None:
    for words in ((), ("--row", "1"), ("--row", "1", "-f", "json"), ("-f", "json"), ("-n",)):
        done = cli("explain", "students.csv", *words)
        assert done.exit_code == 0
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.posix
def test_a_row_is_explained_while_another_holds_the_warehouse(cli: Any, trained: Path) -> None:
    from studentsuccess.core.locks import hold

    with hold(trained / "warehouse.lock", "etl"):
        assert cli("explain", "students.csv", "--row", "1").exit_code == 0


def register_search(workspace: Path) -> None:
    """A tree model as a search keeps it."""
    from studentsuccess.models import families
    from studentsuccess.models.pipeline import SearchModel, extra_of

    features = (
        Feature("points", Kind.DECIMAL, Role.NUMBER),
        Feature("weeks", Kind.INTEGER, Role.BOTH, tuple(str(week) for week in range(1, 7))),
        Feature("Fach", Kind.LABEL, Role.CATEGORY, SUBJECTS),
    )
    context, run_id, batch = context_of(workspace), new_run_id(), batch_of(workspace)
    made = make_manifest("trees", 1, algorithm="search", features=features, classes=("Abbruch", "Abschluß", "offen"))
    empty = SearchModel(made, None)
    matrix = empty.inputs.encode(batch).matrix
    target = np.searchsorted(made.classes, batch.column("outcome").to_pylist())
    pipeline = families.build(families.default("lightgbm"), empty.inputs, "classification", ROWS, 0).fit(matrix, target)
    made = replace(
        made, extra=extra_of(pipeline, empty.inputs, matrix, None), trained=replace(made.trained, run_id=run_id)
    )
    with staging_folder(context.workspace, run_id) as staging:
        folder = staging / "model"
        made = write_model(folder, made, {"pipeline.skops": dump_pipeline(pipeline)})
        entry = entry_of(made, model_path("trees", 1), file_digest(folder / MANIFEST))
        run = Run(run_id, f"key of {run_id}", "train local", ("model:trees@1",), False, utc_now(), "c" * 64)
        commit(
            context.workspace, context.limits, run, staged_model(context.workspace, folder, "trees", 1),
            lambda connection: register_model(connection, entry, figures_of(made)),
        )  # fmt: skip


def test_trees_are_explained_as_shap_does_it(cli: Any, trained: Path) -> None:
    import shap

    register_search(trained)
    found = document(cli("explain", "students.csv", "-m", "trees", "-f", "json"))
    assert (found["model"], found["rows"]) == ("trees", ROWS)
    _, model = predictor(trained, "trees")
    prepare, trees = (model.pipeline.named_steps[name] for name in ("prepare", "model"))
    prepared = prepare.transform(model.inputs.encode(batch_of(trained)).matrix)
    values = np.asarray(shap.TreeExplainer(trees).shap_values(prepared.toarray()))
    values -= values.mean(2, keepdims=True)
    expected = np.abs(values[:, 0]).mean(0)
    points = next(one for one in found["features"] if one["name"] == "points")
    assert list(points["by_class"].values()) == pytest.approx(expected.tolist(), rel=1e-6)
    row = document(cli("explain", "students.csv", "-m", "trees", "--row", "7", "-f", "json"))
    total = row["base"] + sum(one["effect"] for one in row["reasons"]) + row["rest"]["effect"]
    logs = np.log(list(row["probabilities"].values()))
    assert total == pytest.approx(row["score"]) == pytest.approx(float(logs.max() - logs.mean()))
    assert {one["feature"]: one["typical"] for one in row["reasons"]}["Fach"] in SUBJECTS


def test_weights_are_explained_without_loading_a_library_of_trees(run_ss: Any, trained: Path) -> None:
    script = (
        "import sys\n"
        "sys.argv = ['ss', 'explain', 'students.csv', '--row', '1', '-q']\n"
        "from studentsuccess.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'shap', 'sklearn', 'lightgbm', 'skops', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=trained, env=dict(run_ss.environ), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
