"""Stores: what was put is there whole, what is there is told truly, and every refusal is one sentence without a key."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import real_store
from hypothesis import given
from hypothesis import strategies as st
from servers import free_port

from studentsuccess.config.credentials import AzureStorageKey, azure_storage_key
from studentsuccess.config.schema import PublishSettings
from studentsuccess.config.workspace import Workspace
from studentsuccess.core.parallel import Engine
from studentsuccess.errors import BusyError, ExitCode, SsError, StorageError, UsageError
from studentsuccess.remote.artifacts import LINK, MANIFEST, ODD_NAME, PERSONAL, TRUE_IDS, Rules, gather, opened
from studentsuccess.remote.clouds import azure, s3
from studentsuccess.remote.manifest import Entry, Source, Stamp, parse, render
from studentsuccess.remote.places import place as place_of
from studentsuccess.remote.sending import CHANGED, NEW, SAME, Seen, Shipment, deliver, is_published, look
from studentsuccess.remote.stores import Folder, Store
from studentsuccess.warehouse import recovery

FOLDER, S3, AZURE = "folder", "s3", "azure"
BIG = 11 << 20  # more than S3 takes in one part
AWKWARD = ("a b.csv", "é物.md", "100%.txt", "x+y=z&w.csv", "deep/er/still.md", "~$dollar'quote.md")
STAMP = Stamp("20260101T000000-000001", "2026-01-01T00:00:00+00:00")
SOURCE = Source("studentsuccess 0", (), None)
ENGINE = Engine("threads", 3)
SECRET = "geheim+geheim"  # noqa: S105 - made up


@pytest.fixture
def keys(s3_server: real_store.S3Server, monkeypatch: pytest.MonkeyPatch) -> real_store.S3Server:
    """The server, and this process's environment as one of its users has it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.env().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return s3_server


@dataclass(frozen=True)
class Place:
    """A store, and what somebody who knows nothing of us finds there."""

    store: Store
    objects: Callable[[], dict[str, bytes]]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == S3:
        server = request.getfixturevalue("keys")
        bucket = server.bucket()
        return Place(s3_store(server, bucket), lambda: server.objects(bucket, "some/prefix"))
    if request.param == AZURE:
        blobs = request.getfixturevalue("azure_server")
        container = blobs.container()
        return Place(azure_store(blobs, container), lambda: blobs.objects(container, "some/prefix"))
    folder = tmp_path / "there"
    return Place(Folder(folder), lambda: files_below(folder))


everywhere = pytest.mark.parametrize("place", [FOLDER, S3, AZURE], indirect=True)


def s3_store(server: real_store.S3Server, bucket: str, url: str | None = None) -> Store:
    return s3(bucket, "some/prefix", real_store.REGION, url or server.url, 2)


def azure_store(server: real_store.AzureServer, container: str, key: str = real_store.AZURITE_KEY) -> Store:
    return azure(container, "some/prefix", server.account_url, AzureStorageKey(key), 2)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(store: Store, name: str, content: bytes) -> None:
    store.put(name, io.BytesIO(content), "text/plain")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- every place ------------------------------------------------------------------------------------------------------


@everywhere
def test_what_is_put_is_there_and_is_told_truly(place: Place) -> None:
    place.store.admit()
    for number, name in enumerate(AWKWARD):
        put(place.store, name, b"x" * number)
    assert place.objects() == {name: b"x" * number for number, name in enumerate(AWKWARD)}
    for name, content in place.objects().items():
        found = place.store.stat(name)
        assert found is not None
        assert (found.size, place.store.read(name), place.store.digest(name)) == (len(content), content, sha(content))
    place.store.admit()


@everywhere
def test_what_is_not_there_is_nothing(place: Place) -> None:
    assert (place.store.stat("a/b.md"), place.store.read("a/b.md"), place.store.digest("a/b.md")) == (None, None, None)
    put(place.store, "a/b.md", b"1")
    assert place.store.stat("a") is None
    assert place.store.stat("a/b.md/c") is None


@everywhere
def test_another_content_has_another_tag(place: Place) -> None:
    put(place.store, "a.md", b"old")
    before = place.store.stat("a.md")
    put(place.store, "a.md", b"new")
    after = place.store.stat("a.md")
    assert before is not None
    assert after is not None
    assert before.tag != after.tag
    assert place.objects() == {"a.md": b"new"}


@everywhere
def test_what_goes_in_parts_arrives_whole(place: Place) -> None:
    content = os.urandom(1 << 16) * (BIG >> 16)
    put(place.store, "big.bin", content)
    assert place.store.digest("big.bin") == sha(content)
    assert place.objects()["big.bin"] == content


@everywhere
def test_the_address_of_a_file_starts_with_the_place(place: Place) -> None:
    root = place.store.shown if "://" in place.store.shown else Path(place.store.shown).as_uri()
    assert place.store.uri("reports/a b.md") == f"{root}/reports/a%20b.md"


# -- refusals ---------------------------------------------------------------------------------------------------------


def refusal(store: Store) -> SsError:
    """What looking says, after asking for a file: that may find nothing, or be refused in the same way."""
    with suppress(SsError):
        assert store.stat("a.md") is None
    with pytest.raises(SsError) as caught:
        store.admit()
    said = caught.value
    assert said.code is ExitCode.ACCESS
    assert said.hint
    assert "\n" not in said.message + said.hint
    assert SECRET not in said.message + said.hint
    return said


@pytest.mark.parametrize(
    ("key", "secret", "meaning"),
    [(None, SECRET, "does not belong"), ("AKIANOBODY", SECRET, "unknown")],
    ids=["wrong secret", "unknown key"],
)
def test_a_wrong_key_for_s3_is_told_by_what_is_wrong(
    keys: real_store.S3Server, key: str | None, secret: str, meaning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in keys.env(key=key, secret=secret).items():
        monkeypatch.setenv(name, value)
    said = refusal(s3_store(keys, keys.bucket()))
    assert meaning in said.message
    assert "AKIANOBODY" not in said.message
    assert "AWS_ACCESS_KEY_ID" in said.hint


def test_an_answer_without_words_is_told_by_its_number(keys: real_store.S3Server) -> None:
    with real_store.front(keys) as before:
        before.rule = lambda _method, _key, _number: "403"
        said = refusal(s3_store(keys, keys.bucket(), before.url))
    assert "access is denied" in said.message
    assert "AWS_ACCESS_KEY_ID" in said.hint


def test_a_bucket_that_is_not_there_is_named(keys: real_store.S3Server) -> None:
    assert refusal(s3_store(keys, "no-such-bucket")).message == "there is no bucket `no-such-bucket`"


def test_a_wrong_key_for_azure_is_told(azure_server: real_store.AzureServer) -> None:
    wrong = "A" * 8 + real_store.AZURITE_KEY[8:]
    said = refusal(azure_store(azure_server, azure_server.container(), wrong))
    assert "denied" in said.message
    assert "AZURE_STORAGE_KEY" in said.hint


def test_a_container_that_is_not_there_is_named(azure_server: real_store.AzureServer) -> None:
    said = refusal(azure_store(azure_server, "no-such-container"))
    assert said.message == "there is no container `no-such-container`"


@pytest.mark.parametrize("kind", [S3, AZURE])
def test_a_server_that_is_not_there_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = f"http://127.0.0.1:{free_port()}"
    if kind == S3:
        store = s3("bucket", "", real_store.REGION, url, 1)
    else:
        store = azure("container", "", f"{url}/account", AzureStorageKey(real_store.AZURITE_KEY), 9)
    said = refusal(store)
    assert "nothing listens there" in said.message
    assert ("endpoint_url" if kind == S3 else "azure_account_url") in said.hint


@pytest.mark.parametrize("kind", [S3, AZURE])
def test_a_server_that_never_answers_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        key = AzureStorageKey(real_store.AZURITE_KEY)
        store = s3("bucket", "", real_store.REGION, url, 1) if kind == S3 else azure("abc", "", f"{url}/me", key, 1)
        with pytest.raises(SsError, match="does not answer in time") as caught:
            store.admit()
    assert caught.value.code is ExitCode.ACCESS


def test_an_error_that_nobody_foresaw_shows_its_code_and_not_its_text(keys: real_store.S3Server) -> None:
    with real_store.front(keys) as before:
        before.rule = lambda _method, _key, _number: "503"
        with pytest.raises(SsError) as caught:
            s3_store(keys, keys.bucket(), before.url).admit()
    assert caught.value.message.endswith(")")
    assert "Request" not in caught.value.message


def test_a_pyarrow_without_azure_names_the_install_line() -> None:
    code = (
        "import sys; sys.modules['pyarrow._azurefs'] = None\n"
        "from studentsuccess.remote.clouds import azure, AzureStorageKey\n"
        "from studentsuccess.errors import SsError\n"
        "try: azure('container', '', 'https://a.blob.core.windows.net', AzureStorageKey(), 1)\n"
        "except SsError as said: print(int(said.code), said.message, said.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 ")
    assert 'python -m pip install -U "pyarrow>=24"' in done.stdout


# -- a folder ---------------------------------------------------------------------------------------------------------


@pytest.mark.posix
def test_a_link_on_the_way_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "there"
    outside.mkdir()
    folder.mkdir()
    (folder / "reports").symlink_to(outside, target_is_directory=True)
    with pytest.raises(StorageError, match="is a link"):
        put(Folder(folder), "reports/a.md", b"1")
    assert list(outside.iterdir()) == []


@pytest.mark.posix
def test_a_link_in_a_files_place_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside.md", tmp_path / "there"
    outside.write_bytes(b"mine")
    folder.mkdir()
    (folder / "a.md").symlink_to(outside)
    assert Folder(folder).stat("a.md") is None
    put(Folder(folder), "a.md", b"new")
    assert outside.read_bytes() == b"mine"
    assert not (folder / "a.md").is_symlink()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "there").write_bytes(b"")
    with pytest.raises(UsageError, match="is not a folder"):
        Folder(tmp_path / "there" / below).admit()


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "settings", "shown"),
    [
        ("s3://bucket/a/b/", {}, "s3://bucket/a/b"),
        ("S3://bucket", {}, "s3://bucket"),
        ("az://container/a", {"azure_account_url": "https://me.blob.core.windows.net"}, "az://container/a"),
        (None, {"storage": "s3", "s3_bucket": "bucket", "s3_prefix": "/prod/"}, "s3://bucket/prod"),
        (
            None,
            {"storage": "azure", "azure_container": "abc", "azure_account_url": "https://me.blob.core.windows.net/"},
            "az://abc",
        ),
    ],
)
def test_an_address_is_read(to: str | None, settings: dict[str, Any], shown: str, tmp_path: Path) -> None:
    assert place_of(to, PublishSettings(**settings), Workspace(tmp_path)).shown == shown


def test_a_folder_is_meant_from_where_one_stands_and_in_settings_from_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert place_of("../art", PublishSettings(), workspace).shown == str(tmp_path / "art")
    assert place_of(None, PublishSettings(artifacts_dir="art"), workspace).shown == str(workspace.root / "art")


@pytest.mark.parametrize(
    ("to", "settings"),
    [
        (f"s3://KEY:{SECRET}@bucket/a", {}),
        (f"az://container/a?sig={SECRET}", {"azure_account_url": "https://me.blob.core.windows.net"}),
        (f"s3://bucket/a#{SECRET}", {}),
        (f"https://{SECRET}@host/a", {}),
        (f"s3://{SECRET}/a", {}),
        ("s3://", {}),
        ("s3://ab", {}),
        ("s3://bucket/a/../b", {}),
        ("s3://bucket/a//b", {}),
        ("s3://bucket/a\nb", {}),
        ("az://container", {}),
        ("", {}),
        (None, {}),
        (None, {"storage": "s3"}),
        (None, {"storage": "azure"}),
        ("s3://bucket", {"endpoint_url": f"https://me:{SECRET}@host"}),
        ("s3://bucket", {"endpoint_url": "host:9000"}),
        ("s3://bucket", {"endpoint_url": "http://host:port"}),
        ("az://container", {"azure_account_url": f"https://me.blob.core.windows.net?sig={SECRET}"}),
    ],
)
def test_what_is_no_address_is_refused_and_never_repeated(
    to: str | None, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        place_of(to, PublishSettings(**settings), Workspace(tmp_path))
    assert caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("to", [".", "outputs", "reports/x", "models", "inputs/a", "logs", ".staging", "x/../outputs"])
def test_a_workspaces_own_folders_are_no_place(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="keeps its own files"):
        place_of(to, PublishSettings(), Workspace(tmp_path))


@pytest.mark.posix
def test_a_link_to_a_workspaces_own_folder_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "ws" / "outputs").mkdir(parents=True)
    (tmp_path / "there").symlink_to(tmp_path / "ws", target_is_directory=True)
    with pytest.raises(UsageError, match="keeps its own files"):
        place_of(str(tmp_path / "there"), PublishSettings(), Workspace(tmp_path / "ws"))


def test_azures_keys_come_from_its_own_variables_and_are_not_shown() -> None:
    assert azure_storage_key({}) == AzureStorageKey()
    found = azure_storage_key({"AZURE_STORAGE_KEY": SECRET})
    assert (found.key, found.token) == (SECRET, None)
    found = azure_storage_key({"AZURE_STORAGE_KEY": SECRET, "AZURE_STORAGE_SAS_TOKEN": "t"})
    assert (found.key, found.token) == (None, "t")
    assert SECRET not in repr(azure_storage_key({"AZURE_STORAGE_KEY": SECRET}))


# -- which files ------------------------------------------------------------------------------------------------------

PAGES = (
    "outputs/alerts/alert_latest.md",
    "outputs/explain/grade/shap_top_features.json",
    "outputs/marts/course_summary_latest.csv",
    "outputs/metrics_latest.json",
    "outputs/shap_summary.png",
    "outputs/shap_top_features.json",
    "reports/executive_summary.html",
    "reports/roi_sensitivity.csv",
)
STUDENTS = ("outputs/marts/student_risk_daily_sample.csv", "outputs/marts/student_risk_latest.csv")
ROWS = (
    "outputs/alerts/calls_latest.csv",
    "outputs/experiments/assignment_latest.csv",
    "outputs/grades.scored.csv",
    "outputs/mine.json",
    "outputs/mine.parquet",
    "outputs/predictions_latest.csv",
    "reports/list.xlsx",
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One file of every kind, each with its own name in it."""
    for path in (*PAGES, *STUDENTS, *ROWS):
        (tmp_path / "ws" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ws" / path).write_text(path)
    return Workspace(tmp_path / "ws")


def chosen(workspace: Workspace, personal: bool = False, marts: bool = True) -> tuple[list[str], dict[str, str]]:
    found = gather(workspace, Rules(personal, marts), ENGINE)
    return [one.path for one in found.files], {one.path: one.why for one in found.left_out}


def test_lists_of_students_stay_unless_somebody_says_otherwise(workspace: Workspace) -> None:
    assert chosen(workspace) == (sorted([*PAGES, *STUDENTS]), dict.fromkeys(ROWS, PERSONAL))
    assert chosen(workspace, personal=True) == (sorted([*PAGES, *STUDENTS, *ROWS]), {})


def test_the_students_marts_stay_where_their_ids_may_be_true(workspace: Workspace) -> None:
    files, left_out = chosen(workspace, marts=False)
    assert files == sorted(PAGES)
    assert left_out == dict.fromkeys(STUDENTS, TRUE_IDS) | dict.fromkeys(ROWS, PERSONAL)


def test_size_and_digests_are_those_of_the_file(workspace: Workspace) -> None:
    for one in gather(workspace, Rules(personal=True, marts=True), ENGINE).files:
        content = (workspace.root / one.path).read_bytes()
        assert (one.size, one.sha256, one.md5) == (
            len(content),
            sha(content),
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )


def test_the_manifest_and_what_is_hidden_or_unfinished_is_no_artifact(workspace: Workspace) -> None:
    before = chosen(workspace)
    (workspace.root / MANIFEST).write_text("{}")
    (workspace.outputs / ".x.md.20260101T000000-000001.part").write_text("")
    (workspace.outputs / ".hidden").mkdir()
    (workspace.outputs / ".hidden" / "a.md").write_text("")
    assert chosen(workspace) == before


def test_a_workspace_without_results_has_none(tmp_path: Path) -> None:
    assert chosen(Workspace(tmp_path)) == ([], {})


@pytest.mark.posix
@pytest.mark.parametrize("top", ["outputs", "reports"])
def test_nothing_behind_a_link_is_published(workspace: Workspace, tmp_path: Path, top: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.md").write_text("not yours")
    folder = workspace.root / top
    (folder / "folder.md").symlink_to(tmp_path / "secret", target_is_directory=True)
    (folder / "file.md").symlink_to(tmp_path / "secret" / "a.md")
    (folder / "inside.md").symlink_to(workspace.root / PAGES[0])
    (folder / "broken.md").symlink_to(tmp_path / "nowhere")
    files, left_out = chosen(workspace, personal=True)
    assert files == sorted([*PAGES, *STUDENTS, *ROWS])
    assert left_out == {f"{top}/{name}.md": LINK for name in ("folder", "file", "inside", "broken")}


@pytest.mark.posix
def test_outputs_itself_as_a_link_is_left_out(workspace: Workspace, tmp_path: Path) -> None:
    workspace.outputs.rename(tmp_path / "elsewhere")
    workspace.outputs.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    files, left_out = chosen(workspace)
    assert all(path.startswith("reports/") for path in files)
    assert left_out["outputs"] == LINK


@pytest.mark.posix
def test_what_became_a_link_or_no_file_is_not_opened(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("not yours")
    page = workspace.root / PAGES[0]
    page.unlink()
    page.symlink_to(tmp_path / "secret.md")
    os.mkfifo(workspace.outputs / "pipe.md")
    for path in (PAGES[0], "outputs/pipe.md", "outputs/gone.md", "outputs"):
        if path != "outputs":
            with opened(workspace, path) as source:
                assert source is None
    assert "outputs/pipe.md" not in chosen(workspace)[0]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="only some file systems take such names")
def test_a_name_that_is_no_text_is_left_out(workspace: Workspace) -> None:
    (workspace.outputs / os.fsdecode(b"a\xff.md")).write_text("")
    assert ODD_NAME in chosen(workspace)[1].values()


# -- the manifest -----------------------------------------------------------------------------------------------------

words = st.text('aZ9é/ .-"', min_size=1, max_size=8)
entries = st.builds(Entry, words, st.integers(0, 2**50), words, words, words)


@given(st.lists(entries, max_size=3, unique_by=lambda one: one.path))
def test_a_manifest_is_read_as_it_was_written(made: list[Entry]) -> None:
    raw = render(STAMP, SOURCE, "s3://b", made)
    known = parse(raw)
    assert (known.raw, known.stamp, dict(known.entries)) == (raw, STAMP, {one.path: one for one in made})


@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_manifest(raw: bytes) -> None:
    known = parse(raw)
    assert (known.stamp, dict(known.entries)) == (None, {})


@pytest.mark.parametrize(
    "damage", [("20260101T000000-000001", "../../etc"), ('"files"', '"file"'), ("}", ""), ("2026-01-01T", "\\u001b[2J")]
)
def test_a_damaged_manifest_counts_as_none(damage: tuple[str, str]) -> None:
    raw = render(STAMP, SOURCE, "s3://b", []).decode().replace(*damage).encode()
    assert parse(raw).stamp is None


# -- sending ----------------------------------------------------------------------------------------------------------


def shipment(workspace: Workspace, store: Store) -> Shipment:
    files = gather(workspace, Rules(personal=False, marts=True), ENGINE).files
    return Shipment(store, workspace, files, SOURCE, ENGINE)


def publish(workspace: Workspace, store: Store, stamp: Stamp = STAMP) -> Seen:
    """What stood there before; afterwards everything does."""
    load = shipment(workspace, store)
    seen = look(load)
    deliver(load, stamp, seen, lambda _count: None)
    return seen


def stale(objects: dict[str, bytes]) -> list[str]:
    """The files that a manifest lists and that are not there as it says."""
    listed = parse(objects.get(MANIFEST)).entries
    return [name for name, one in listed.items() if sha(objects.get(name, b"")) != one.sha256 or name not in objects]


def listed(objects: dict[str, bytes]) -> set[str]:
    return set(parse(objects.get(MANIFEST)).entries)


@everywhere
def test_everything_arrives_and_is_listed_and_a_second_look_finds_it(place: Place, workspace: Workspace) -> None:
    before = publish(workspace, place.store)
    assert {one.state for one in before.states} == {NEW}
    objects = place.objects()
    assert {name: content.decode() for name, content in objects.items() if name != MANIFEST} == {
        name: name for name in (*PAGES, *STUDENTS)
    }
    assert (stale(objects), listed(objects)) == ([], {*PAGES, *STUDENTS})
    load = shipment(workspace, place.store)
    after = look(load)
    assert {one.state for one in after.states} == {SAME}
    assert is_published(load, after)
    assert not is_published(replace(load, source=replace(SOURCE, program="another")), after)


@everywhere
def test_only_what_changed_here_or_there_is_sent_again(place: Place, workspace: Workspace) -> None:
    publish(workspace, place.store)
    (workspace.root / PAGES[0]).write_text("changed here")
    put(place.store, PAGES[1], b"changed there")
    put(place.store, PAGES[2], b"x" * len(PAGES[2]))
    before = publish(workspace, place.store, replace(STAMP, run_id="20260101T000001-000002"))
    assert {one.file.path for one in before.states if one.state == CHANGED} == set(PAGES[:3])
    objects = place.objects()
    assert objects[PAGES[0]] == b"changed here"
    assert (stale(objects), listed(objects)) == ([], {*PAGES, *STUDENTS})


def test_what_is_no_longer_published_is_no_longer_listed_but_stays(tmp_path: Path, workspace: Workspace) -> None:
    store = Folder(tmp_path / "there")
    publish(workspace, store)
    (workspace.root / PAGES[0]).unlink()
    assert publish(workspace, store, replace(STAMP, run_id="20260101T000001-000002")).unlisted == 1
    objects = files_below(store.path)
    assert PAGES[0] in objects
    assert PAGES[0] not in listed(objects)


class StoppedError(Exception):
    """Raised at a step, as a power cut would be."""


@pytest.mark.parametrize("place", [FOLDER, S3], indirect=True)
@pytest.mark.parametrize("step", ["announced", "arrived", "sent", "listed"])
def test_stopped_anywhere_the_list_is_true_and_the_next_run_ends_it(
    place: Place, workspace: Workspace, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(workspace, place.store)
    for path in PAGES[:4]:
        (workspace.root / path).write_text(f"new {path}")

    def stop(name: str) -> None:
        assert stale(place.objects()) == [], name
        if name == step:
            raise StoppedError

    monkeypatch.setattr(recovery, "_step", stop)
    with pytest.raises(StoppedError):
        publish(workspace, place.store, replace(STAMP, run_id="20260101T000001-000002"))
    assert stale(place.objects()) == []
    monkeypatch.setattr(recovery, "_step", lambda _name: None)
    again = publish(workspace, place.store, replace(STAMP, run_id="20260101T000002-000003"))
    if step in ("sent", "listed"):
        assert {one.state for one in again.states} == {SAME}, "what has arrived is not sent twice"
    objects = place.objects()
    assert (stale(objects), listed(objects)) == ([], {*PAGES, *STUDENTS})
    assert objects[PAGES[0]].decode() == f"new {PAGES[0]}"


def test_a_byte_changed_on_the_way_is_noticed_and_sent_again(keys: real_store.S3Server, workspace: Workspace) -> None:
    bucket = keys.bucket()
    with real_store.front(keys) as before:
        before.rule = lambda method, _key, number: "flip" if method == "PUT" and number in (2, 4) else None
        publish(workspace, s3_store(keys, bucket, before.url))
        assert len(before.puts()) == len({*before.puts()}) + 1 + 2  # the manifest goes twice
    objects = keys.objects(bucket, "some/prefix")
    assert (stale(objects), listed(objects)) == ([], {*PAGES, *STUDENTS})


def test_a_file_that_never_arrives_right_is_an_error_and_is_not_listed(
    keys: real_store.S3Server, workspace: Workspace
) -> None:
    bucket = keys.bucket()
    with real_store.front(keys) as before:
        before.rule = lambda method, key, _number: "flip" if method == "PUT" and key.endswith(PAGES[0]) else None
        with pytest.raises(SsError, match="arrived 3 times as something else"):
            publish(workspace, s3_store(keys, bucket, before.url))
    objects = keys.objects(bucket, "some/prefix")
    assert stale(objects) == []
    assert PAGES[0] not in listed(objects)


def test_a_server_that_is_busy_for_a_moment_is_asked_again(keys: real_store.S3Server, workspace: Workspace) -> None:
    bucket = keys.bucket()
    with real_store.front(keys) as before:
        before.rule = lambda method, _key, number: {2: "503", 5: "drop"}.get(number) if method == "PUT" else None
        publish(workspace, s3_store(keys, bucket, before.url))
    assert stale(keys.objects(bucket, "some/prefix")) == []


def test_a_file_that_changes_meanwhile_is_not_listed(tmp_path: Path, workspace: Workspace) -> None:
    store = Folder(tmp_path / "there")
    load = shipment(workspace, store)
    seen = look(load)
    (workspace.root / PAGES[0]).write_text("changed")
    with pytest.raises(BusyError, match="changed while it was published"):
        deliver(load, STAMP, seen, lambda _count: None)
    assert stale(files_below(store.path)) == []
    assert PAGES[0] not in listed(files_below(store.path))


def test_the_one_who_began_earlier_gives_way(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one, who began later, writes between our files and our list, and again after it."""
    store = Folder(tmp_path / "there")
    other = Stamp("20270101T000000-000009", "2027-01-01T00:00:00+00:00")

    def meanwhile(name: str) -> None:
        if name == "listed":
            put(store, PAGES[0], b"theirs")
            put(store, MANIFEST, render(other, SOURCE, store.shown, [], complete=False))

    monkeypatch.setattr(recovery, "_step", meanwhile)
    with pytest.raises(BusyError, match=other.run_id):
        publish(workspace, store)
    assert stale(files_below(store.path)) == []


def test_the_one_who_began_later_ends_what_it_began(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Folder(tmp_path / "there")
    earlier = Stamp("20250101T000000-000009", "2025-01-01T00:00:00+00:00")
    once = iter(["listed"])

    def meanwhile(name: str) -> None:
        if name == "listed" and next(once, None):
            put(store, PAGES[0], b"theirs")
            put(store, MANIFEST, render(earlier, SOURCE, store.shown, []))

    monkeypatch.setattr(recovery, "_step", meanwhile)
    publish(workspace, store)
    objects = files_below(store.path)
    assert (stale(objects), listed(objects)) == ([], {*PAGES, *STUDENTS})
    assert parse(objects[MANIFEST]).stamp == STAMP
