"""`ss publish`: files where others open them, what stays, what is said, and every way in which a store can fail."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import real_store
from effort import sample
from made_predictions import make_predictions

MANIFEST = "outputs/artifacts_manifest.json"
PAGES = {
    "outputs/alerts/alert_latest.md": b"# Alerts\n",
    "outputs/marts/course_summary_latest.csv": b"week,mean\n1,0.5\n",
    "outputs/shap_summary.png": b"\x89PNG" + bytes(range(256)) * 40,
    "reports/executive_summary.html": b"<!doctype html>\n" * 400,
    "reports/roi_sensitivity.csv": b"uplift,cost\n0.03,150\n",
}
PERSONAL = {
    "outputs/predictions_latest.csv": b"student_id\nAda-4711\n",
    "outputs/alerts/calls_latest.csv": b"student_id\nAda-4711\n",
    "outputs/experiments/assignment_latest.csv": b"student_id\nAda-4711\n",
}
WRONG = "geheim+geheim"
KEY = "a key that nobody else has"
PSEUDONYMS = {"SS_PRIVACY__PSEUDONYMOUS_IDS": "true", "SS_PRIVACY__PSEUDONYM_KEY": KEY}
PATIENCE = 60  # seconds until a process that should end is given up; never waited for otherwise


@pytest.fixture
def made(workspace: Path) -> Path:
    """A workspace with results in it, some of which name students."""
    for name, content in {**PAGES, **PERSONAL}.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_bytes(content)
    return workspace


def said(done: Any) -> dict[str, Any]:
    code = done.exit_code if hasattr(done, "exit_code") else done.returncode
    assert code == 0, done.stderr
    return json.loads(done.stdout)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_true(objects: dict[str, bytes], *, complete: bool = True) -> bool:
    """Whether the manifest there lists only what stands there, with its size and digest."""
    listed = json.loads(objects[MANIFEST])
    facts = {one["path"]: (one["size"], one["sha256"]) for one in listed["files"]}
    there = {name: (len(objects[name]), sha256(objects[name]).hexdigest()) for name in facts if name in objects}
    return facts == there and listed["complete"] is complete


# -- a folder ---------------------------------------------------------------------------------------------------------


def test_files_are_copied_and_listed_here_and_there(cli: Any, made: Path, tmp_path: Path) -> None:
    done = cli("publish", "--to", tmp_path / "art", "-f", "json")
    document, there = said(done), files_below(tmp_path / "art")
    assert {name: content for name, content in there.items() if name != MANIFEST} == PAGES
    assert there[MANIFEST] == (made / MANIFEST).read_bytes()
    assert is_true(there)
    listed = json.loads(there[MANIFEST])
    assert listed["run_id"] == document["run_id"]
    assert {one["path"]: one["uri"] for one in listed["files"]} == {
        name: (tmp_path / "art" / name).as_uri() for name in PAGES
    }
    assert {one["path"] for one in document["files"] if one["sent"]} == set(PAGES)
    assert f"run {document['run_id']}: 5 files sent to {tmp_path / 'art'}" in done.stderr
    assert cli("verify").exit_code == 0


def test_a_second_time_nothing_is_sent_and_it_says_so(
    cli: Any, made: Path, tmp_path: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    first = said(cli("publish", "--to", tmp_path / "art", "-f", "json"))
    before = every_byte(tmp_path)
    done = cli("publish", "--to", tmp_path / "art", "-f", "json")
    document = said(done)
    assert (document["already_published"], document["run_id"]) == (True, first["run_id"])
    assert not any(one["sent"] for one in document["files"])
    assert "already published" in done.stderr
    assert every_byte(tmp_path) == before
    assert "a run would send nothing" in cli("publish", "--to", tmp_path / "art", "-n").stdout
    assert made.is_dir()


@pytest.mark.parametrize("where", ["here", "there", "gone there"])
def test_only_what_differs_is_sent_again(cli: Any, made: Path, tmp_path: Path, where: str) -> None:
    name = "reports/executive_summary.html"
    cli("publish", "--to", tmp_path / "art")
    if where == "gone there":
        (tmp_path / "art" / name).unlink()
    else:
        file = (made if where == "here" else tmp_path / "art") / name
        file.write_bytes(file.read_bytes().swapcase())
    document = said(cli("publish", "--to", tmp_path / "art", "-f", "json"))
    assert [one["path"] for one in document["files"] if one["sent"]] == [name]
    there = files_below(tmp_path / "art")
    assert there[name] == (made / name).read_bytes()
    assert is_true(there)
    assert there[MANIFEST] == (made / MANIFEST).read_bytes()


def test_a_dry_run_says_the_same_and_changes_no_byte(
    cli: Any, made: Path, tmp_path: Path, every_byte: Callable[[Path], dict[str, bytes]]
) -> None:
    before = every_byte(tmp_path)
    document = said(cli("publish", "--to", tmp_path / "art", "-n", "-f", "json"))
    assert every_byte(tmp_path) == before
    assert document["writes"] == sorted(PAGES)
    assert {one["path"] for one in document["left_out"]} == set(PERSONAL)
    assert made.is_dir()


def test_two_places_do_not_disturb_each_other(cli: Any, made: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert said(cli("publish", "--to", tmp_path / name, "-f", "json"))["already_published"] is False
    again = said(cli("publish", "--to", tmp_path / "one", "-f", "json"))
    assert not any(one["sent"] for one in again["files"])
    assert (made / MANIFEST).read_bytes() == (tmp_path / "one" / MANIFEST).read_bytes()


def test_the_manifest_names_models_and_data(cli: Any, demo: Path, tmp_path: Path) -> None:
    make_predictions(demo)
    assert cli("marts").exit_code == 0
    assert cli("report").exit_code == 0
    cli("publish", "--to", tmp_path / "art")
    database = json.loads((demo / MANIFEST).read_bytes())["database"]
    assert database["file"] == "warehouse.duckdb"
    assert database["rows"] > 0
    make_predictions(demo, seed=9)
    document = said(cli("publish", "--to", tmp_path / "art", "-f", "json"))
    assert document["already_published"] is False
    assert not any(one["sent"] for one in document["files"])
    after = json.loads((demo / MANIFEST).read_bytes())["database"]
    assert after["digest"] != database["digest"]


def test_nothing_to_publish_names_the_way(cli: Any, tmp_path: Path, told: Callable[[str], Any]) -> None:
    done = cli("publish", "--to", tmp_path / "art")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`ss run`" in told(done.stderr).hint


def test_without_a_place_it_says_how_to_name_one(cli: Any, made: Path, told: Callable[[str], Any]) -> None:
    done = cli("publish")
    assert done.exit_code == 2
    assert "--to" in told(done.stderr).hint
    assert said(cli("publish", "-f", "json", "--set", "publish.artifacts_dir=art"))["to"] == str(made / "art")


@pytest.mark.posix
def test_links_stay_and_are_named(cli: Any, made: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("not yours")
    (made / "reports" / "link.md").symlink_to(tmp_path / "secret.md")
    done = cli("publish", "--to", tmp_path / "art", "-f", "json")
    assert {"path": "reports/link.md", "why": "is a link"} in said(done)["left_out"]
    assert "reports/link.md" in done.stderr
    assert "reports/link.md" not in files_below(tmp_path / "art")


# -- what names students ----------------------------------------------------------------------------------------------


def test_lists_of_students_stay_and_it_says_so(cli: Any, made: Path, tmp_path: Path) -> None:
    done = cli("publish", "--to", tmp_path / "art")
    assert "left out, may name students" in done.stderr
    assert "--include-personal" in done.stderr
    assert not any(b"Ada-4711" in content for content in files_below(tmp_path / "art").values())
    assert made.is_dir()


@pytest.mark.parametrize("yes", ["--include-personal", "--set=publish.include_personal=true"])
def test_they_go_when_somebody_says_so(cli: Any, made: Path, tmp_path: Path, yes: str) -> None:
    assert said(cli("publish", "--to", tmp_path / "art", "-f", "json", yes))["left_out"] == []
    there = files_below(tmp_path / "art")
    assert there.items() >= {**PAGES, **PERSONAL}.items()
    assert is_true(there)
    done = cli("publish", "--to", tmp_path / "art")
    assert "3 files from before are still there, but not listed any more" in done.stderr
    assert {one["path"] for one in json.loads((made / MANIFEST).read_bytes())["files"]} == set(PAGES)


def test_with_pseudonyms_asked_for_no_true_id_leaves(
    cli: Any, demo: Path, tmp_path: Path, told: Callable[[str], Any]
) -> None:
    students = {one["student_id"] for one in make_predictions(demo).prediction.select(["student_id"]).to_pylist()}
    assert cli("marts").exit_code == 0
    true_ids = (demo / "outputs/marts/student_risk_latest.csv").read_text()
    assert any(one in true_ids for one in students)

    done = cli("publish", "--to", tmp_path / "art", env=PSEUDONYMS)
    assert done.exit_code == 0
    assert "`ss marts build`" in done.stderr
    assert not list((tmp_path / "art").rglob("student_risk*"))

    assert cli("marts", env=PSEUDONYMS).exit_code == 0
    cli("publish", "--to", tmp_path / "art", env=PSEUDONYMS)
    rows = (tmp_path / "art/outputs/marts/student_risk_latest.csv").read_text().splitlines()[1:]
    assert rows
    assert not any(f",{one}," in f",{row}," for row in rows for one in students)

    refused = cli("publish", "--to", tmp_path / "art", "--include-personal", env=PSEUDONYMS)
    assert refused.exit_code == 2
    assert "pseudonymous_ids" in told(refused.stderr).error


# -- S3 ---------------------------------------------------------------------------------------------------------------


def test_the_old_names_of_the_variables_are_enough(run_ss: Any, made: Path, s3_server: real_store.S3Server) -> None:
    bucket = s3_server.bucket()
    env = s3_server.env() | {"STORAGE_BACKEND": "s3", "S3_BUCKET": bucket, "S3_PREFIX": "prod"}
    env |= {"AWS_REGION": env.pop("SS_PUBLISH__S3_REGION")}
    assert said(run_ss("publish", "-f", "json", env=env))["to"] == f"s3://{bucket}/prod"
    objects = s3_server.objects(bucket, "prod")
    assert {name: content for name, content in objects.items() if name != MANIFEST} == PAGES
    assert is_true(objects)
    assert objects[MANIFEST] == (made / MANIFEST).read_bytes()
    head = s3_server.client().head_object(Bucket=bucket, Key="prod/reports/executive_summary.html")
    assert head["ContentType"] == "text/html; charset=utf-8"


def test_the_manifest_goes_last_and_a_second_run_sends_nothing(
    run_ss: Any, made: Path, s3_server: real_store.S3Server
) -> None:
    bucket = s3_server.bucket()
    with real_store.front(s3_server) as before:
        env = s3_server.env(url=before.url)
        said(run_ss("publish", "--to", f"s3://{bucket}/prod", "-f", "json", env=env))
        sent = [key.removeprefix(f"/{bucket}/prod/") for key in before.puts()]
        assert sorted(sent) == sorted([*PAGES, MANIFEST, MANIFEST])
        assert (sent[0], sent[-1]) == (MANIFEST, MANIFEST)
        before.seen.clear()
        assert said(run_ss("publish", "--to", f"s3://{bucket}/prod", "-f", "json", env=env))["already_published"]
        assert before.puts() == []
    assert made.is_dir()


def test_several_files_are_on_their_way_at_once(run_ss: Any, made: Path, s3_server: real_store.S3Server) -> None:
    """Two must meet before either goes on; a program that sends one by one would break the barrier."""
    bucket, meet = s3_server.bucket(), threading.Barrier(2)
    names = ("executive_summary.html", "roi_sensitivity.csv")

    def rule(method: str, key: str, _number: int) -> None:
        if method == "PUT" and key.endswith(names):
            meet.wait(PATIENCE)

    with real_store.front(s3_server) as before:
        before.rule = rule
        env = s3_server.env(url=before.url) | {"SS_PUBLISH__TIMEOUT_SECONDS": "30"}
        said(run_ss("publish", "--to", f"s3://{bucket}", "-f", "json", env=env))
    assert not meet.broken
    assert is_true(s3_server.objects(bucket))
    assert made.is_dir()


@pytest.mark.parametrize("wrong", ["secret", "key"])
def test_a_wrong_key_is_exit_3_and_nothing_of_it_is_kept_or_shown(
    run_ss: Any, made: Path, s3_server: real_store.S3Server, told: Callable[[str], Any], wrong: str
) -> None:
    env = s3_server.env(secret=WRONG, key="AKIANOBODY" if wrong == "key" else None)
    for words in (("-f", "json"), ("-n",), ("-v",)):
        done = run_ss("publish", "--to", f"s3://{s3_server.bucket()}", *words, env=env)
        assert (done.returncode, done.stdout) == (3, "")
        assert "AWS_SECRET_ACCESS_KEY" in told(done.stderr).hint
        assert "geheim" not in done.stderr
        assert "AKIANOBODY" not in done.stderr
    kept = b"".join(files_below(made).values())
    assert b"geheim" not in kept
    assert env["AWS_ACCESS_KEY_ID"].encode() not in kept


def test_the_right_key_is_kept_nowhere_either(run_ss: Any, made: Path, s3_server: real_store.S3Server) -> None:
    env = s3_server.env() | {"SS_DEBUG": "1"}
    done = run_ss("publish", "--to", f"s3://{s3_server.bucket()}", "-v", env=env)
    assert done.returncode == 0
    kept = b"".join(files_below(made).values()).decode("utf-8", "replace") + done.stdout + done.stderr
    assert s3_server.secret not in kept
    assert s3_server.key not in kept


def test_a_bucket_that_is_not_there_is_exit_3(
    run_ss: Any, made: Path, s3_server: real_store.S3Server, told: Callable[[str], Any]
) -> None:
    done = run_ss("publish", "--to", "s3://no-such-bucket/prod", env=s3_server.env())
    assert done.returncode == 3
    assert told(done.stderr).error == "there is no bucket `no-such-bucket`"
    assert not (made / MANIFEST).exists()


@pytest.mark.parametrize("number", sample([1, 3, 6], daily=[3]))
def test_a_server_that_dies_midway_is_exit_3_and_the_next_run_sends_the_rest(
    run_ss: Any, made: Path, s3_server: real_store.S3Server, told: Callable[[str], Any], number: int
) -> None:
    bucket = s3_server.bucket()
    with real_store.front(s3_server) as before:
        before.rule = lambda method, _key, so_far: "drop" if method == "PUT" and so_far > number else None
        done = run_ss("publish", "--to", f"s3://{bucket}/prod", "-q", env=s3_server.env(url=before.url))
    assert (done.returncode, done.stdout) == (3, "")
    assert "`publish.endpoint_url`" in told(done.stderr).hint
    assert not (made / MANIFEST).exists()
    assert is_true(s3_server.objects(bucket, "prod"), complete=False)
    arrived = set(s3_server.objects(bucket, "prod")) - {MANIFEST}
    document = said(run_ss("publish", "--to", f"s3://{bucket}/prod", "-f", "json", env=s3_server.env()))
    assert {one["path"] for one in document["files"] if one["sent"]} == set(PAGES) - arrived
    assert is_true(s3_server.objects(bucket, "prod"))
    failed = [json.loads(line) for line in (made / "logs/ledger.jsonl").read_text().splitlines()]
    assert [(one["command"], one["code"]) for one in failed] == [("publish", 3), ("publish", 0)]


def test_a_server_that_is_killed_midway_is_exit_3(
    run_ss: Any, made: Path, tmp_path: Path, told: Callable[[str], Any]
) -> None:
    with real_store.s3_server(tmp_path) as mortal, real_store.front(mortal) as before:
        bucket = mortal.bucket()

        def rule(method: str, _key: str, number: int) -> str | None:
            if method == "PUT" and number == 3:
                mortal.process.kill()
                mortal.process.wait()
            return "drop" if mortal.process.poll() is not None else None

        before.rule = rule
        done = run_ss("publish", "--to", f"s3://{bucket}", "-q", env=mortal.env(url=before.url))
    assert (done.returncode, done.stdout) == (3, "")
    assert told(done.stderr).error
    assert not (made / MANIFEST).exists()


@pytest.mark.posix
@pytest.mark.parametrize("number", sample([1, 2, 4, 7], daily=[2]))
def test_killed_midway_the_list_there_is_true_and_a_rerun_equals_a_clean_run(
    run_ss: Any, clean_env: dict[str, str], made: Path, s3_server: real_store.S3Server, number: int
) -> None:
    bucket, started = s3_server.bucket(), threading.Event()
    said(run_ss("publish", "--to", f"s3://{bucket}", "-f", "json", env=s3_server.env()))
    for name in PAGES:
        (made / name).write_bytes(PAGES[name] + b"\n")
    with real_store.front(s3_server) as before:

        def rule(method: str, _key: str, so_far: int) -> None:
            if method == "PUT" and so_far == number:
                started.wait(PATIENCE)
                process.kill()
                process.wait()

        before.rule = rule
        words = [sys.executable, "-m", "studentsuccess", "publish", "--to", f"s3://{bucket}", "-q"]
        env = clean_env | s3_server.env(url=before.url)
        process = subprocess.Popen(words, cwd=made, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.set()
        assert process.wait(PATIENCE) == -signal.SIGKILL
    objects = s3_server.objects(bucket)
    assert is_true(objects, complete=json.loads(objects[MANIFEST])["complete"])
    said(run_ss("publish", "--to", f"s3://{bucket}", "-f", "json", env=s3_server.env()))
    objects = s3_server.objects(bucket)
    assert {name: content for name, content in objects.items() if name != MANIFEST} == {
        name: content + b"\n" for name, content in PAGES.items()
    }
    assert is_true(objects)
    assert run_ss("verify").returncode == 0


def test_two_workspaces_at_once_leave_one_whole_publication(
    clean_env: dict[str, str], made: Path, s3_server: real_store.S3Server, tmp_path: Path
) -> None:
    bucket, meet = s3_server.bucket(), threading.Barrier(2)
    other = shutil.copytree(made, tmp_path / "other")
    for name in PAGES:
        (other / name).write_bytes(PAGES[name] + b"other")
    first = iter([True, True])

    def rule(method: str, _key: str, _number: int) -> None:
        if method == "PUT" and next(first, False):
            meet.wait(PATIENCE)

    with real_store.front(s3_server) as before:
        before.rule = rule
        env = clean_env | s3_server.env(url=before.url) | {"SS_PUBLISH__TIMEOUT_SECONDS": "30"}
        words = [sys.executable, "-m", "studentsuccess", "publish", "--to", f"s3://{bucket}", "-q"]
        both = [subprocess.Popen(words, cwd=place, env=env, stdout=subprocess.DEVNULL) for place in (made, other)]
        codes = sorted(one.wait(PATIENCE) for one in both)
    assert codes in ([0, 0], [0, 5])
    objects = s3_server.objects(bucket)
    assert is_true(objects)
    whole = [{name: content + end for name, content in PAGES.items()} for end in (b"", b"other")]
    assert {name: content for name, content in objects.items() if name != MANIFEST} in whole


def test_one_workspace_is_published_by_one_at_a_time(
    run_ss: Any, clean_env: dict[str, str], made: Path, s3_server: real_store.S3Server, told: Callable[[str], Any]
) -> None:
    bucket, sending, go_on = s3_server.bucket(), threading.Event(), threading.Event()

    def rule(method: str, _key: str, _number: int) -> None:
        if method == "PUT":
            sending.set()
            go_on.wait(PATIENCE)

    with real_store.front(s3_server) as before:
        before.rule = rule
        env = s3_server.env(url=before.url) | {"SS_PUBLISH__TIMEOUT_SECONDS": "60"}
        words = [sys.executable, "-m", "studentsuccess", "publish", "--to", f"s3://{bucket}", "-q"]
        first = subprocess.Popen(words, cwd=made, env=clean_env | env, stdout=subprocess.DEVNULL)
        assert sending.wait(PATIENCE)
        second = run_ss("publish", "--to", f"s3://{bucket}", "-q", env=env)
        go_on.set()
        assert first.wait(PATIENCE) == 0
    assert second.returncode == 5
    assert "--wait" in told(second.stderr).hint
    assert is_true(s3_server.objects(bucket))


# -- Azure ------------------------------------------------------------------------------------------------------------


def test_a_container_is_published_to_once(run_ss: Any, made: Path, azure_server: real_store.AzureServer) -> None:
    container = azure_server.container()
    env = azure_server.env() | {"SS_PUBLISH__STORAGE": "azure", "SS_PUBLISH__AZURE_CONTAINER": container}
    assert said(run_ss("publish", "-f", "json", env=env))["to"] == f"az://{container}"
    objects = azure_server.objects(container)
    assert {name: content for name, content in objects.items() if name != MANIFEST} == PAGES
    assert is_true(objects)
    assert said(run_ss("publish", "-f", "json", env=env))["already_published"] is True
    (made / "reports/executive_summary.html").write_bytes(b"new")
    document = said(run_ss("publish", "-f", "json", env=env))
    assert [one["path"] for one in document["files"] if one["sent"]] == ["reports/executive_summary.html"]
    assert is_true(azure_server.objects(container))


@pytest.mark.parametrize("wrong", ["key", "container"])
def test_azures_refusals_are_exit_3(
    run_ss: Any, made: Path, azure_server: real_store.AzureServer, told: Callable[[str], Any], wrong: str
) -> None:
    key = "A" * 8 + real_store.AZURITE_KEY[8:] if wrong == "key" else real_store.AZURITE_KEY
    container = "no-such-container" if wrong == "container" else azure_server.container()
    done = run_ss("publish", "--to", f"az://{container}/prod", env=azure_server.env(key))
    assert (done.returncode, done.stdout) == (3, "")
    assert told(done.stderr).hint
    assert key not in done.stderr
    assert not (made / MANIFEST).exists()
