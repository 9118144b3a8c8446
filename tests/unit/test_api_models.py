"""Models from a notebook: the same as through the command line, in a few lines."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from trained import HEADER, csv_text, put, students

import studentsuccess as ss
from studentsuccess.core.reporter import Reporter, SilentReporter, Step
from studentsuccess.errors import UsageError


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("table") / "learn.csv", students(200))


@pytest.fixture(scope="module")
def school(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two versions of one model, the first in production."""
    workspace = tmp_path_factory.mktemp("school")
    for epochs in (5, 2):
        settings = {"train.epochs": str(epochs), "train.promote": "if-better" if epochs == 5 else "never"}
        ss.train(table, "Outcome", workspace, ids=["student_id"], settings=settings)
    return workspace


def test_a_notebook_trains_and_scores_in_three_lines(table: Path, tmp_path: Path) -> None:
    trained = ss.train(table, "Outcome", tmp_path, ids=["student_id"], settings={"train.epochs": "3"})
    scored = ss.score(table, tmp_path, output=tmp_path / "scores.csv")
    assert (trained.entry.label, bool(trained.promoted)) == ("Outcome@1", True)
    assert (scored.model, scored.counts.kept, scored.failed) == ("Outcome@1", 200, "")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as source:
        assert [row["student_id"] for row in csv.DictReader(source)] == [row[0] for row in students(200)]
    assert not [one for one in ss.verify(tmp_path) if one.level == "damage"]


def test_a_dataset_of_the_workspace_is_learned_from_by_its_name(table: Path, tmp_path: Path) -> None:
    ss.etl([table], tmp_path, ids=["student_id"], target="Outcome")
    trained = ss.train("learn", None, tmp_path, settings={"train.epochs": "2"})
    assert trained.manifest is not None
    assert (trained.manifest.trained.dataset, trained.manifest.ids) == ("learn", ("student_id",))


def test_the_registry_is_read_compared_and_moved(school: Path) -> None:
    assert [(one.entry.label, one.production) for one in ss.list_models(school)] == [
        ("Outcome@1", True),
        ("Outcome@2", False),
    ]
    assert ss.model(workspace=school).kept.manifest.label == "Outcome@1"
    assert ss.model("Outcome@2", school).kept.manifest.settings["epochs"] == "2"
    found = ss.compare(["Outcome@1", "Outcome@2"], school)
    assert (found.same_holdout, found.by) == (True, "log_loss")
    assert ss.promote("Outcome@2", school).entry.version == 2
    assert [one.production for one in ss.list_models(school)] == [False, True]
    ss.promote("Outcome@1", school)


def test_what_is_learned_may_come_in_several_files_and_be_steered(tmp_path: Path) -> None:
    rows = students(200)
    files = [put(tmp_path / f"{part}.csv", rows[part::2]) for part in range(2)]
    trained = ss.train(
        files, "year", tmp_path / "ws", name="level", task="regression", types=["Course=ignore"], ids=["student_id"],
        settings={"train.epochs": "2"},
    )  # fmt: skip
    assert trained.manifest is not None
    assert (trained.entry.name, trained.manifest.task) == ("level", "regression")
    assert "Course" not in [feature.name for feature in trained.manifest.used]


def test_scores_come_with_reasons_figures_and_ids_as_asked(school: Path, table: Path, tmp_path: Path) -> None:
    scored = ss.score(
        [table], school, model="Outcome@2", output=str(tmp_path / "out.csv"), ids=["note", "student_id"],
        evaluate=True, reasons=1, settings={"budget.cpus": 1},
    )  # fmt: skip
    assert (scored.model, scored.learned_from) == ("Outcome@2", True)
    assert scored.metrics is not None
    header = (tmp_path / "out.csv").read_text("utf-8").splitlines()[0].split(",")
    assert (header[:2], header[-2:]) == (["note", "student_id"], ["reason_1", "effect_1"])


def test_without_an_output_the_scores_are_among_the_workspaces_own(school: Path, table: Path) -> None:
    scored = ss.score(table, school)
    assert (school / "outputs" / "learn.scored.csv").samefile(scored.output)
    assert ss.score(table, school).already_scored


def test_a_model_and_one_row_are_explained(school: Path, table: Path) -> None:
    found = ss.explain(table, school, sample=50)
    assert {one.name for one in found.overview.features} == set(HEADER[1:7])
    assert all(Path(path).is_file() for path in found.outputs)
    by_place = ss.explain_row(table, school, row=8)
    by_id = ss.explain_row(table, school, student=["000007"])
    assert by_place.reasons == by_id.reasons
    assert by_place.found.row == by_id.found.row == 8
    with pytest.raises(UsageError, match="no row is named"):
        ss.explain_row(table, school)


def test_a_reporter_of_ones_own_sees_the_work(school: Path, table: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    class Listening(SilentReporter):
        def step(self, name: str, total: int | None = None, unit: str = "rows") -> Step:
            seen.append(name)
            return super().step(name, total, unit)

    listening: Reporter = Listening()
    ss.score(table, school, output=tmp_path / "out.csv", reporter=listening)
    assert "scoring" in seen


def test_public_names_stay_functions_after_they_were_used(tmp_path: Path) -> None:
    """A subpackage of the same name would take the place of a function when it is imported."""
    code = (
        "import sys, studentsuccess as ss\n"
        "first = {name: getattr(ss, name) for name in ss.__all__}\n"
        "import studentsuccess.cli.app, studentsuccess.tasks.explain, studentsuccess.tasks.risk, studentsuccess.api\n"
        "print(all(getattr(ss, name) is one for name, one in first.items()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(Path(ss.__file__).parents[1])})  # fmt: skip
    assert done.stdout.strip() == "True"


def test_a_refusal_is_an_exception_with_a_hint_and_a_code(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(csv_text(students(3)), "utf-8")
    with pytest.raises(ss.SsError) as refused:
        ss.score(tmp_path / "new.csv", tmp_path)
    assert (refused.value.code, refused.value.message) == (ss.ExitCode.USAGE, "no model is registered yet")
    assert "ss train local" in refused.value.hint
