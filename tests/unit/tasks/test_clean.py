"""What goes, what stays and why, and that it comes back: also when a clean was killed at any of its steps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from effort import examples, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_models import context_of, make_manifest, register

import studentsuccess as ss
from studentsuccess.core.locks import utc_now
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import ContractError, SsError, StorageError, UsageError
from studentsuccess.tasks import clean, models
from studentsuccess.tasks.clean import CleanRequest
from studentsuccess.tasks.context import Context, settle
from studentsuccess.warehouse.ledger import read_chain
from studentsuccess.warehouse.trash import standing_trash
from studentsuccess.warehouse.verify import verify

EVERYTHING = ("inputs", "outputs", "logs", "models", "cache", "downloads")
ROWS = "id,mark\n" + "".join(f"{number},{number / 4}\n" for number in range(200))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with a bad row, two versions of a model (the first is used), and what people leave lying about."""
    workspace = tmp_path_factory.mktemp("template")
    (workspace / "inputs").mkdir()
    (workspace / "inputs" / "marks.csv").write_text(ROWS + "200,much\n")
    (workspace / "inputs" / "notes.txt").write_text("mine\n")
    ss.etl([workspace / "inputs" / "marks.csv"], workspace, ids=["id"])
    context = context_of(workspace)
    register(context, make_manifest("grade", 1), production=True)
    register(context, make_manifest("grade", 2))
    for name in ("logs/follow.log", "downloads/job/outputs/a.bin", "models/.unfinished/k-learn.safetensors"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(name)
    return workspace


@pytest.fixture
def context(template: Path, workspace: Path) -> Context:
    """A copy of it, to do anything with."""
    shutil.copytree(template, workspace, dirs_exist_ok=True)
    return context_of(workspace)


def plan(context: Context, *what: str, older_than: str | None = None, keep_last: int = 0) -> clean.CleanPlan:
    return clean.plan(CleanRequest(what or EVERYTHING, older_than, keep_last), context)


def run(context: Context, *what: str) -> clean.Cleaned:
    return clean.run(plan(context, *what), SilentReporter())


def undo(context: Context) -> clean.Cleaned:
    return clean.run_undo(clean.plan_undo(context))


def goes(made: clean.CleanPlan) -> set[str]:
    return {item.path for item in made.goes}


def stays(made: clean.CleanPlan) -> dict[str, str]:
    return {item.path: item.why for item in made.stays}


def files(workspace: Path) -> dict[str, bytes]:
    """Everything that a clean may move; the books and the lock are not among it."""
    return {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for path in workspace.rglob("*")
        if path.is_file() and not path.name.startswith(("warehouse.", "ledger."))
    }


def levels(context: Context) -> set[str]:
    return {one.level for one in verify(context.workspace, context.limits)}


def test_what_a_run_read_or_made_goes_and_the_rest_stays_with_its_reason(context: Context) -> None:
    made = plan(context)
    (letters,) = (path for path in stays(made) if path.startswith("inputs/dlq/"))
    assert goes(made) == {
        "inputs/marks.csv",
        "logs/follow.log",
        "models/grade/2",
        "models/.unfinished/k-learn.safetensors",
        "downloads/job/outputs/a.bin",
    }
    assert stays(made) == {
        letters: "dead letters that nobody fed back: `ss etl --retry` does",
        "inputs/datasets/marks/data.parquet": "`raw.marks` stands on it",
        "inputs/notes.txt": "no run has read it",
        "logs/ledger.head": "the ledger",
        "logs/ledger.jsonl": "the ledger",
        "models/grade/1": "in production",
    }
    assert made.size == sum(
        path.stat().st_size for item in made.goes for path in (context.workspace.root / name for name in item.files)
    )


def test_a_plan_changes_no_byte(context: Context, workspace: Path) -> None:
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    plan(context)
    assert {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()} == before


def test_without_a_kind_only_what_nobody_misses_goes(context: Context) -> None:
    made = clean.plan(CleanRequest(), context)
    assert {str(item.kind) for item in (*made.goes, *made.stays)} == {"logs", "cache", "downloads"}


def test_an_unknown_kind_suggests_the_nearest(context: Context) -> None:
    with pytest.raises(UsageError, match="--what model`") as caught:
        plan(context, "model")
    assert "`models`" in caught.value.hint


def test_it_comes_back_byte_by_byte_and_nothing_is_left_of_the_trash(context: Context, workspace: Path) -> None:
    before = files(workspace)
    done = run(context)
    assert done.files == 7
    assert set(files(workspace)) & {"inputs/marks.csv", "models/grade/2/manifest.json"} == set()
    assert levels(context) == {"ok"}
    undo(context)
    assert files(workspace) == before
    assert not context.workspace.trash.exists()
    assert levels(context) == {"ok"}
    assert [entry.record.command for entry in read_chain(context.workspace.ledger).entries][-2:] == [
        "clean",
        "clean --undo",
    ]


@settings(
    max_examples=examples(12, daily=4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(EVERYTHING), cut=st.integers(1, 5))
def test_any_cleans_are_undone_in_reverse(context: Context, workspace: Path, order: list[str], cut: int) -> None:
    before = files(workspace)
    parts = [part for part in (order[:cut], order[cut:]) if plan(context, *part).goes]
    after = []
    for part in parts:
        after.append(files(workspace))
        run(context, *part)
    for expected in reversed(after):
        undo(context)
        now = files(workspace)
        assert {name: now[name] for name in now if not name.startswith(".trash")} == {
            name: expected[name] for name in expected if not name.startswith(".trash")
        }
    assert files(workspace) == before
    assert levels(context) == {"ok"}


def test_dead_letters_go_once_they_were_fed_back(context: Context, workspace: Path) -> None:
    (letters,) = (workspace / "inputs" / "dlq").iterdir()
    letters.write_text(letters.read_text().replace("200,much", "200,1.5"))
    ss.etl_mended(letters, workspace)
    assert letters.relative_to(workspace).as_posix() in goes(plan(context, "inputs"))


def test_dead_letters_of_a_load_that_was_replaced_go(context: Context, workspace: Path) -> None:
    (letters,) = (workspace / "inputs" / "dlq").iterdir()
    (workspace / "marks.csv").write_text(ROWS)
    ss.etl([workspace / "marks.csv"], workspace, ids=["id"])
    assert letters.relative_to(workspace).as_posix() in goes(plan(context, "inputs"))


def test_a_result_that_somebody_changed_stays(context: Context, workspace: Path) -> None:
    made = trained(workspace)
    (workspace / made).write_text("with my remarks\n")
    (workspace / "outputs" / "mine.txt").write_text("mine\n")
    assert stays(plan(context, "outputs")) == {
        made: "changed since its run wrote it",
        "outputs/mine.txt": "no run wrote it",
    }


def trained(workspace: Path) -> str:
    """The path of a file that a model scored which learned from the table."""
    ss.train("marks", "mark", workspace, settings={"train.epochs": "1"})
    return (
        Path(ss.score(workspace / "inputs" / "marks.csv", workspace, model="mark").output)
        .relative_to(workspace)
        .as_posix()
    )


def test_a_cleaned_result_is_made_again_and_then_an_undo_refuses(context: Context, workspace: Path) -> None:
    path = trained(workspace)
    run(context, "outputs")
    assert not (workspace / path).exists()
    ss.score(workspace / "inputs" / "marks.csv", workspace, model="mark")
    assert (workspace / path).exists()
    with pytest.raises(UsageError, match="exists again") as caught:
        undo(context)
    assert "nothing overwritten" in caught.value.message
    assert levels(context) <= {"ok", "warning"}


def test_what_a_standing_model_learned_from_stays(context: Context, workspace: Path) -> None:
    ss.train(workspace / "inputs" / "marks.csv", "mark", workspace, settings={"train.epochs": "1"})
    assert stays(plan(context, "inputs"))["inputs/marks.csv"] == "`mark@1` was trained on it"


def test_age_and_number_keep_what_is_young_or_last(context: Context, workspace: Path) -> None:
    old = (utc_now() - timedelta(days=40)).timestamp()
    os.utime(workspace / "logs" / "follow.log", (old, old))
    made = plan(context, "logs", "downloads", older_than="30d")
    assert goes(made) == {"logs/follow.log"}
    assert stays(made)["downloads/job/outputs/a.bin"] == "younger than 30d"
    register(context, make_manifest("grade", 3))
    assert goes(plan(context, "models", keep_last=1)) == {"models/grade/2"}
    assert goes(plan(context, "models", keep_last=2)) == set()


@pytest.mark.parametrize("age", ["30", "d", "-1d", "30 years", ""])
def test_what_is_no_age_is_refused(context: Context, age: str) -> None:
    with pytest.raises(UsageError, match="is no age") if age else pytest.raises(UsageError):
        plan(context, older_than=age or "x")


def test_a_cleaned_model_says_how_it_comes_back(context: Context) -> None:
    run(context, "models")
    cleaned = {one.entry.label: one.cleaned for one in models.listing(context)}
    assert cleaned == {"grade@1": "", "grade@2": "is in the trash"}
    with pytest.raises(UsageError, match="`grade@2` is in the trash") as caught:
        models.plan("grade@2", context)
    assert caught.value.hint == "bring it back: `ss clean --undo`"
    run(context, "logs")
    with pytest.raises(UsageError) as caught:
        models.plan("grade@2", context)
    assert "2 times" in caught.value.hint
    clean.run_empty(clean.plan_empty(context))
    with pytest.raises(UsageError, match="the trash emptied"):
        models.plan("grade@2", context)
    register(context, make_manifest("grade", 3))
    assert [one.cleaned for one in models.listing(context)] == ["", "was cleaned, and the trash emptied", ""]


def test_an_emptied_trash_is_gone_and_nothing_is_missed(context: Context) -> None:
    run(context)
    done = clean.run_empty(clean.plan_empty(context))
    assert (done.files, context.workspace.trash.exists()) == (7, False)
    assert levels(context) == {"ok"}
    assert undo(context) == clean.Cleaned(None, 0, 0)


def test_a_trash_that_is_not_whole_is_brought_back_not_at_all(context: Context, workspace: Path) -> None:
    run(context)
    (trash,) = standing_trash(context.workspace)
    (context.workspace.trash / trash.run_id / "files" / "inputs" / "marks.csv").unlink()
    before = files(workspace)
    with pytest.raises(ContractError, match="`inputs/marks"):
        undo(context)
    assert files(workspace) == before
    assert "warning" in levels(context)


@pytest.mark.parametrize("damage", ["flip", "forge", "drop"])
def test_a_damaged_trash_is_found(context: Context, workspace: Path, damage: str) -> None:
    run(context)
    (trash,) = standing_trash(context.workspace)
    manifest = context.workspace.trash / trash.run_id / "manifest.json"
    if damage == "flip":
        (manifest.parent / "files" / "logs" / "follow.log").write_text("logs/FOLLOW.log")
    elif damage == "forge":
        manifest.write_text(manifest.read_text().replace("logs/follow.log", "../../outside.log"))
    else:
        manifest.unlink()
    assert "damage" in levels(context)
    with pytest.raises(SsError):
        undo(context)
    assert not (workspace.parent / "outside.log").exists()


def test_links_are_neither_followed_nor_moved(context: Context, workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious")
    (workspace / "downloads" / "link").symlink_to(outside)
    (workspace / "logs" / "link.log").symlink_to(outside / "precious.txt")
    (workspace / "models" / "grade" / "2" / "card.md").unlink()
    (workspace / "models" / "grade" / "2" / "card.md").symlink_to(outside / "precious.txt")
    made = plan(context)
    assert stays(made)["downloads/link"] == stays(made)["logs/link.log"] == "is a link"
    assert stays(made)["models/grade/2"] == "models/grade/2/card.md is a link"
    run(context)
    assert [path.read_text() for path in outside.iterdir()] == ["precious"]
    assert (workspace / "downloads" / "link").is_symlink()


@pytest.mark.parametrize("folder", ["downloads", "logs", "inputs", "models"])
def test_a_folder_that_is_a_link_stays_as_it_is(context: Context, workspace: Path, tmp_path: Path, folder: str) -> None:
    moved = (workspace / folder).rename(tmp_path / f"real-{folder}")
    (workspace / folder).symlink_to(moved)
    made = plan(context, folder)
    assert (goes(made), stays(made)) == (set(), {folder: "is a link"})


def test_a_trash_that_is_a_link_is_refused(context: Context, workspace: Path, tmp_path: Path) -> None:
    (workspace / ".trash").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is a link"):
        plan(context)


def test_an_undo_does_not_write_through_a_link(context: Context, workspace: Path, tmp_path: Path) -> None:
    run(context, "downloads")
    (workspace / "downloads").rmdir()
    (workspace / "downloads").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="`downloads` is a link now"):
        undo(context)
    assert not (tmp_path / "job").exists()


def test_what_changes_between_plan_and_run_stops_it(context: Context, workspace: Path) -> None:
    made = plan(context)
    (workspace / "logs" / "follow.log").unlink()
    before = files(workspace)
    with pytest.raises((SsError, OSError)):
        clean.run(made, SilentReporter())
    assert files(workspace) == before


def test_a_checkpoint_of_a_run_that_is_going_on_stays(context: Context) -> None:
    from studentsuccess.warehouse.commit import new_run_id
    from studentsuccess.warehouse.staging import staging_folder

    with staging_folder(context.workspace, new_run_id()):
        assert set(stays(plan(context, "cache")).values()) == {"a run is going on"}
    assert stays(plan(context, "cache")) == {}


STEPS = sample(
    (
        *("locked", "recovered", "sealed", "worked", "recorded", "committed", "renamed-0", "renamed-3", "renamed-6"),
        *("appended", "checkpointed", "closed"),
    ),
    daily=("recorded", "committed", "renamed-3", "closed"),
)
_DIES = """
import os, sys
from pathlib import Path
from made_models import context_of
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.tasks import clean
from studentsuccess.warehouse import recovery
recovery._step = lambda name: os._exit(9) if name == sys.argv[2] else None
context = context_of(Path(sys.argv[1]))
if sys.argv[3] == "clean":
    clean.run(clean.plan(clean.CleanRequest(tuple(clean.Kind)), context), SilentReporter())
elif sys.argv[3] == "undo":
    clean.run_undo(clean.plan_undo(context))
else:
    clean.run_empty(clean.plan_empty(context))
"""


def die(context: Context, step: str, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(context.workspace.root), step, what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr


def everywhere(workspace: Path) -> dict[str, bytes]:
    """Each file by the place that it has or had: nothing may be lost, nothing be there twice."""
    found: dict[str, bytes] = {}
    for path, content in files(workspace).items():
        if path.startswith((".trash/", ".staging/")):
            if "/files/" not in path:
                continue
            path = path.split("/files/", 1)[1]
        assert path not in found
        found[path] = content
    return found


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_a_clean_loses_nothing_and_the_next_one_ends_it(
    context: Context, workspace: Path, step: str
) -> None:
    before = files(workspace)
    die(context, step, "clean")
    assert everywhere(workspace) == before
    named = {fact.path for trash in standing_trash(context.workspace) for fact in trash.files}
    assert set(before) - set(files(workspace)) <= named
    assert "damage" not in levels(context)
    settle(context)
    if plan(context).goes:
        run(context)
    assert len(standing_trash(context.workspace)) == 1
    assert levels(context) == {"ok"}
    undo(context)
    assert files(workspace) == before
    assert levels(context) == {"ok"}


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_an_undo_is_ended_by_the_next_one(context: Context, workspace: Path, step: str) -> None:
    before = files(workspace)
    run(context)
    die(context, step, "undo")
    assert everywhere(workspace) == before
    assert "damage" not in levels(context)
    clean.run_undo(clean.plan_undo(context, settle(context)))
    assert everywhere(workspace) == before
    assert not context.workspace.trash.exists()
    run(context, "logs")
    undo(context)
    assert files(workspace) == before
    assert levels(context) == {"ok"}


@pytest.mark.parametrize("step", ["committed", "renamed-0"])
def test_an_undo_that_is_ended_by_the_next_one_leaves_the_clean_before_it_alone(
    context: Context, workspace: Path, step: str
) -> None:
    run(context, "logs")
    after_one = files(workspace)
    run(context, "outputs", "downloads")
    die(context, step, "undo")
    made = clean.plan_undo(context, settle(context))
    assert (made.ended, made.trash, made.older) == (True, None, 1)
    clean.run_undo(made)
    assert files(workspace) == after_one
    assert levels(context) == {"ok"}


@pytest.mark.parametrize("step", sample(("locked", "recorded", "committed", "appended", "closed"), ("committed",)))
def test_killed_anywhere_an_emptying_is_ended_by_the_next_one(context: Context, workspace: Path, step: str) -> None:
    run(context)
    kept = {name: content for name, content in files(workspace).items() if not name.startswith(".trash/")}
    die(context, step, "empty")
    assert "damage" not in levels(context)
    settle(context)
    assert (clean.plan_undo(context).trash is None) == (step not in ("locked", "recorded"))
    clean.run_empty(clean.plan_empty(context))
    (workspace / "logs" / "more.log").write_text("more")
    run(context, "logs")
    undo(context)
    (workspace / "logs" / "more.log").unlink()
    assert files(workspace) == kept
    assert levels(context) == {"ok"}
