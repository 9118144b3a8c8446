"""`ss verify`'s eyes: what differs is found, named and told what to do about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.digest import file_digest
from studentsuccess.warehouse.commit import record_failure
from studentsuccess.warehouse.database import connect
from studentsuccess.warehouse.ledger import head_path
from studentsuccess.warehouse.verify import Finding, verify

Kill = Callable[[Workspace, str], None]


@pytest.fixture
def loaded(workspace: Workspace, job: ModuleType) -> Workspace:
    job.load(workspace)
    record_failure(workspace, job.LIMITS, job.make_run("key-2"), "failed", 4)
    job.load(workspace, job.make_run("key-3", targets=("core.activity",)), files=("third.csv",))
    return workspace


@pytest.fixture(scope="module")
def edited(job: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose ledger ends with a failure: the line that no row of the database vouches for."""
    workspace = Workspace(tmp_path_factory.mktemp("edited") / "w")
    job.load(workspace)
    record_failure(workspace, job.LIMITS, job.make_run("key-2"), "failed", 4)
    job.load(workspace, job.make_run("key-3", targets=("core.activity",)), files=("third.csv",))
    record_failure(workspace, job.LIMITS, job.make_run("key-4"), "failed", 1)
    return workspace


def found(workspace: Workspace, job: ModuleType, level: str = "damage") -> list[Finding]:
    return [finding for finding in verify(workspace, job.LIMITS) if finding.level == level]


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x01
    path.write_bytes(content)


def test_a_sound_workspace_is_all_well(loaded: Workspace, job: ModuleType) -> None:
    findings = verify(loaded, job.LIMITS)
    assert {finding.level for finding in findings} == {"ok"}
    assert {finding.subject for finding in findings} == {"logs/ledger.jsonl", "warehouse.duckdb", "files"}


def test_no_warehouse_yet_is_no_damage(workspace: Workspace, job: ModuleType) -> None:
    assert [(finding.level, finding.what) for finding in verify(workspace, job.LIMITS)] == [("ok", "no warehouse yet")]
    assert not workspace.root.exists()


def test_verifying_changes_no_byte(loaded: Workspace, job: ModuleType, killed_at: Kill) -> None:
    for step in ("", "committed"):
        if step:
            (loaded.outputs / "courses.csv").unlink()
            killed_at(loaded, step)
        before = {path: path.read_bytes() for path in loaded.root.rglob("*") if path.is_file()}
        folders = {path for path in loaded.root.rglob("*") if path.is_dir()}
        verify(loaded, job.LIMITS)
        assert {path: path.read_bytes() for path in loaded.root.rglob("*") if path.is_file()} == before
        assert {path for path in loaded.root.rglob("*") if path.is_dir()} == folders


@settings(
    max_examples=examples(80, daily=30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_single_edit_of_the_ledger_is_found(edited: Workspace, job: ModuleType, data: st.DataObject) -> None:
    whole = edited.ledger.read_bytes()
    lines = whole.splitlines(keepends=True)
    some_line = st.integers(0, len(lines) - 1)
    edit = data.draw(st.sampled_from(["flip", "delete", "swap", "repeat", "truncate"]))
    changed = list(lines)
    if edit == "flip":
        offset, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        changed = [whole[:offset] + bytes([whole[offset] ^ (1 << bit)]) + whole[offset + 1 :]]
    elif edit == "delete":
        del changed[data.draw(some_line)]
    elif edit == "swap":
        one, other = data.draw(st.lists(some_line, min_size=2, max_size=2, unique=True))
        changed[one], changed[other] = changed[other], changed[one]
    elif edit == "repeat":
        changed.insert(data.draw(some_line), changed[data.draw(some_line)])
    else:
        changed = [whole[: data.draw(st.integers(0, len(whole) - 1))]]
    try:
        edited.ledger.write_bytes(b"".join(changed))
        assert any(finding.level != "ok" for finding in verify(edited, job.LIMITS))
    finally:
        edited.ledger.write_bytes(whole)


def test_an_edited_line_is_named(loaded: Workspace, job: ModuleType) -> None:
    lines = loaded.ledger.read_bytes().splitlines(keepends=True)
    loaded.ledger.write_bytes(lines[0] + lines[1].replace(b'"code":4', b'"code":0') + lines[2])
    assert [(finding.subject, finding.what[:7]) for finding in found(loaded, job)] == [("logs/ledger.jsonl", "line 2 ")]


def test_a_database_that_lost_a_run_is_told_and_not_repaired(loaded: Workspace, job: ModuleType) -> None:
    with connect(loaded, job.LIMITS) as connection:
        connection.execute("DELETE FROM ops.run WHERE sequence = 3")
    assert any("has lost run" in finding.what and "line 3" in finding.what for finding in found(loaded, job))


def test_a_warehouse_put_back_to_an_older_copy_is_found(workspace: Workspace, job: ModuleType) -> None:
    job.load(workspace)
    older = workspace.warehouse.read_bytes()
    job.load(workspace, job.make_run("key-2"))
    workspace.warehouse.write_bytes(older)
    assert any("has lost run" in finding.what for finding in found(workspace, job))


def test_a_deleted_warehouse_is_damage(loaded: Workspace, job: ModuleType) -> None:
    loaded.warehouse.unlink()
    assert any("is gone; the ledger knows 2 runs" in finding.what for finding in found(loaded, job))


def test_a_deleted_ledger_is_seen_from_its_head(loaded: Workspace, job: ModuleType) -> None:
    loaded.ledger.unlink()
    assert any("once ended with number 3" in finding.what for finding in found(loaded, job))


def test_a_deleted_head_is_seen(loaded: Workspace, job: ModuleType) -> None:
    head_path(loaded.ledger).unlink()
    assert any("ledger.head" in finding.what for finding in found(loaded, job))


@pytest.mark.parametrize("length", [0, 1, 4096, 12288, 50000])
def test_a_truncated_warehouse_is_damage(loaded: Workspace, job: ModuleType, length: int) -> None:
    loaded.warehouse.write_bytes(loaded.warehouse.read_bytes()[:length])
    assert [finding.subject for finding in found(loaded, job)] == ["warehouse.duckdb"]


def test_a_flipped_block_of_a_table_is_damage(workspace: Workspace, job: ModuleType) -> None:
    """Bytes that only a full read touches: the row count alone would not see them."""
    needle = b"a cell that can be found in the file"

    def work(connection: object) -> None:
        job.replace_courses(connection)
        connection.execute(  # type: ignore[attr-defined]
            "CREATE TABLE raw.wide AS SELECT $cell || '-' || hash(range) AS cell FROM range(20000)",
            {"cell": needle.decode()},
        )

    job.load(workspace, work=work)
    offset = workspace.warehouse.read_bytes().find(b"a cell that")
    if offset < 0:
        offset = workspace.warehouse.stat().st_size // 2
    flip(workspace.warehouse, offset + 3)
    assert found(workspace, job) != []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM core.course_run WHERE course_run_id = 'run-0'", "has 2 rows; the ledger says 3"),
        ('DROP TABLE raw."odd ""name"', "is missing; the ledger says 1 rows"),
        ("CREATE TABLE mart.extra AS SELECT 1 AS a", "has 1 rows that no run wrote"),
    ],
)
def test_rows_changed_behind_our_back_are_counted(
    loaded: Workspace, job: ModuleType, statement: str, says: str
) -> None:
    with connect(loaded, job.LIMITS) as connection:
        connection.execute(statement)
    assert [finding.what for finding in found(loaded, job)] == [says]


def test_a_later_commit_does_not_forget_what_was_changed_behind_our_back(loaded: Workspace, job: ModuleType) -> None:
    with connect(loaded, job.LIMITS) as connection:
        connection.execute("DELETE FROM core.course_run WHERE course_run_id = 'run-0'")
        connection.execute('DROP TABLE raw."odd ""name"')
        connection.execute("CREATE TABLE mart.extra AS SELECT 1 AS a")
    before = found(loaded, job)
    assert len(before) == 3
    elsewhere = "INSERT INTO core.activity VALUES (1, 1, 'quiz', 1)"
    another = job.make_run("key-5", targets=("core.activity",))
    job.load(loaded, another, lambda connection: connection.execute(elsewhere), ("more.csv",))
    assert found(loaded, job) == before
    job.load(loaded, job.make_run("key-6"))  # makes two of the three again
    assert [finding.subject for finding in found(loaded, job)] == ["mart.extra"]


def test_a_result_that_differs_says_exactly_how(loaded: Workspace, job: ModuleType) -> None:
    flip(loaded.outputs / "courses.csv", 3)
    (loaded.outputs / "reasons.csv").write_text("short")
    (loaded.outputs / "third.csv").unlink()
    findings = {finding.subject: finding.what for finding in found(loaded, job)}
    assert "has other content (sha256" in findings["outputs/courses.csv"]
    assert "has 5 bytes instead of 20" in findings["outputs/reasons.csv"]
    assert "is missing since run" in findings["outputs/third.csv"]
    assert len(findings) == 3


def test_a_file_is_held_against_the_last_run_that_wrote_it(loaded: Workspace, job: ModuleType) -> None:
    job.load(loaded, job.make_run("key-9"), files=("courses.csv",))
    assert found(loaded, job) == []
    flip(loaded.outputs / "courses.csv", 0)
    assert len(found(loaded, job)) == 1


def test_mended_dead_letters_are_only_a_warning(workspace: Workspace, job: ModuleType) -> None:
    workspace.dead_letters.mkdir(parents=True)
    path = workspace.dead_letters / "20261120T235702-3fa91c-courses.csv"
    job.load(workspace, files=(str(path),))
    path.write_text("mended")
    assert found(workspace, job) == []
    assert [finding.subject for finding in found(workspace, job, "warning")] == [
        path.relative_to(workspace.root).as_posix()
    ]
    assert job.load(workspace, files=(str(path),)).already_done


def test_what_a_killed_run_left_is_a_warning(loaded: Workspace, job: ModuleType, killed_at: Kill) -> None:
    (loaded.outputs / "courses.csv").unlink()
    killed_at(loaded, "sealed")
    assert any("was left unfinished by a run that was killed" in f.what for f in found(loaded, job, "warning"))


def model(workspace: Workspace, **change: object) -> Path:
    folder = workspace.models / "risk" / "1"
    folder.mkdir(parents=True)
    weights = folder / "weights.npz"
    weights.write_bytes(b"weights")
    fact = {"path": "weights.npz", "size": 7, "sha256": file_digest(weights), **change}
    (folder / "manifest.json").write_text(json.dumps({"files": [fact]}))
    return weights


def test_a_sound_model_is_well(loaded: Workspace, job: ModuleType) -> None:
    model(loaded)
    assert found(loaded, job) == []
    assert "models" in {finding.subject for finding in found(loaded, job, "ok")}


def test_a_model_that_differs_from_its_manifest_is_damage(loaded: Workspace, job: ModuleType) -> None:
    weights = model(loaded)
    flip(weights, 2)
    assert [finding.subject for finding in found(loaded, job)] == ["models/risk/1/weights.npz"]
    weights.unlink()
    assert ["is missing" in finding.what for finding in found(loaded, job)] == [True]


@pytest.mark.parametrize("path", ["../../../outside.bin", "/etc/hostname"])
def test_a_manifest_that_points_outside_is_damage(loaded: Workspace, job: ModuleType, path: str) -> None:
    model(loaded, path=path)
    assert ["outside its own folder" in finding.what for finding in found(loaded, job)] == [True]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{"path": "x"}]}'])
def test_a_damaged_manifest_is_damage(loaded: Workspace, job: ModuleType, text: str) -> None:
    manifest = model(loaded).with_name("manifest.json")
    manifest.write_text(text)
    assert ["is not a readable manifest" in finding.what for finding in found(loaded, job)] == [True]
