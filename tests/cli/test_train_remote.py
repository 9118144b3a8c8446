"""`ss train remote` and back, as a user sees it: the real program and SDK, an Azure on this machine that runs the job.

Everything that a shell would do is done in processes of their own; what only looks at answers runs in this one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import azure_wire
import pytest
from azure_wire import Cloud, Fault
from azure_wire.wire import Answer
from trained import put, students

pytestmark = pytest.mark.posix
ROOT = Path(__file__).resolve().parents[2]
LEARN = ("--data", "learn.csv", "--target", "Outcome", "--id", "student_id", "--epochs", "2")
Told = Callable[[str], Any]
PATIENCE = 120  # seconds until a job that does not end is given up; never waited for otherwise
WEIGHTS = "workspace/models/Outcome/1/weights.safetensors"
ARM, HISTORY, BLOBS = r"management\.azure\.com", r"api\.azureml\.ms", r"blob\.core\.windows\.net"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., str]) -> Iterator[Cloud]:
    with azure_wire.running(tmp_path_factory.mktemp("azure"), needs) as found:
        yield found


@pytest.fixture
def learn(workspace: Path) -> Path:
    return put(workspace / "learn.csv", students(300))


@pytest.fixture
def ss(cli: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The program in this process, as somebody who works with that cloud; variables by their names."""
    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)

    def call(*words: str | Path, **env: str | None) -> Any:
        return cli(*words, env=env)

    return call


@pytest.fixture
def job(ss: Any, learn: Path, cloud: Cloud) -> str:
    """A job that has ended well; whichever test comes first makes the cloud run it."""
    assert learn.is_file()
    name = sent(ss("train", "remote", *LEARN, "-f", "json"))
    assert cloud.job(name).ended.wait(PATIENCE)
    return name


def sent(done: Any) -> str:
    assert done.exit_code == 0, done.stderr
    return str(json.loads(done.stdout)["job"])


def models(ss: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ss("models", "list", "-f", "json").stdout)["models"]
    return found


def every_byte(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ledger(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "logs/ledger.jsonl").read_text("utf-8").splitlines()]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("learn")
def test_from_the_laptop_to_azure_and_back(run_ss: Any, ss: Any, workspace: Path, cloud: Cloud) -> None:
    env = cloud.env()
    followed = run_ss("train", "remote", *LEARN, "--follow", "-f", "json", env=env)
    assert followed.returncode == 0, followed.stderr
    (job,) = json.loads(followed.stdout)["jobs"]
    name = job["job"]
    assert (job["azure"], job["model"], job["data"]) == ("Completed", "Outcome", ["learn.csv"])
    assert "held out: accuracy" in followed.stderr  # the log came along, to stderr
    assert "experimental" not in followed.stderr
    assert cloud.job(name).history == ["Queued", "Preparing", "Running", "Finalizing", "Completed"]

    again = ss("train", "remote", *LEARN, "-f", "json")
    assert json.loads(again.stdout)["already_sent"] is True
    assert cloud.node.ran.count(name) == 1
    assert len(cloud.state.jobs) == 1

    fetched = run_ss("train", "fetch", name, "-f", "json", env=env)
    assert fetched.returncode == 0, fetched.stderr
    document = json.loads(fetched.stdout)
    assert (document["model"], document["version"], document["warnings"]) == ("Outcome", 1, [])

    local = workspace.parent / "local"
    here = run_ss("train", "local", *LEARN, "-w", local)
    assert here.returncode == 0, here.stderr
    weights = "models/Outcome/1/weights.safetensors"
    assert digest(workspace / weights) == digest(local / weights)

    listing = json.loads((workspace / document["folder"] / "download_manifest.json").read_text("utf-8"))
    assert listing["job_id"] == name
    for file in listing["files"]:
        brought = workspace / document["folder"] / file["path"]
        assert (brought.stat().st_size, digest(brought)) == (file["size_bytes"], file["sha256"])

    scored = run_ss("score", "learn.csv", "-o", "-")
    assert scored.stdout == ss("score", "learn.csv", "-o", "-", "-w", local).stdout
    assert scored.stdout.count("\n") == 301
    compared = models(ss)
    mine = json.loads(ss("models", "list", "-f", "json", "-w", local).stdout)["models"]
    assert compared[0]["trained_where"] == f"azure:{name}"
    assert [compared[0][key] for key in ("data_digest", "metrics", "holdout")] == [
        mine[0][key] for key in ("data_digest", "metrics", "holdout")
    ]

    archived = run_ss("archive", name, "--yes", "-f", "json", env=env)
    assert json.loads(archived.stdout)["archived"] == [name]
    assert cloud.job(name).hidden
    twice = ss("archive", name, "--yes", "-f", "json")
    assert (twice.exit_code, json.loads(twice.stdout)["already_archived"]) == (0, [name])

    commands = [line["command"] for line in ledger(workspace) if line["status"] == "done"]
    assert commands == ["train remote", "train fetch", "score", "archive"]
    assert ss("verify").exit_code == 0
    assert (cloud.service.strange, cloud.wire.strangers) == ([], [])
    for secret in (env["AZURE_CLIENT_SECRET"].encode(), b"sig="):
        assert not [path for path, content in every_byte(workspace).items() if secret in content]


def test_a_plan_says_everything_and_sends_nothing(ss: Any, learn: Path, workspace: Path, cloud: Cloud) -> None:
    seen, before = len(cloud.wire.seen), every_byte(workspace)
    key = "a signing key of thirty-two bytes"
    words = ("--set", "azure.price_per_hour=0.5", "--set", "azure.max_hours=4", "-n")
    done = ss("train", "remote", *LEARN, *words, "-f", "json", SS_TRAIN__SIGNING_KEY=key)
    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["compute"], plan["login"], plan["most_cost"]) == ("cpu-small", "service principal", 2.0)
    assert plan["uploads"][0] == {"path": "learn.csv", "bytes": learn.stat().st_size, "sha256": digest(learn)}
    assert "SS_JOB_KEY: '********'" in plan["specification"]
    assert f"name: {plan['job']}" in plan["specification"]
    assert "learn.csv" not in plan["specification"]  # a file's name may say more than it should
    text = ss("train", "remote", *LEARN, *words).stdout
    assert "cost     at most 2.00, at 0.5 an hour" in text
    assert cloud.env()["AZURE_CLIENT_SECRET"] not in done.stdout + text
    assert key not in done.stdout + text
    assert (len(cloud.wire.seen), every_byte(workspace)) == (seen, before)


def test_the_same_plan_has_the_same_name_and_another_seed_another(ss: Any, learn: Path) -> None:
    def name(*words: str) -> str:
        return str(json.loads(ss("train", "remote", *LEARN, *words, "-n", "-f", "json").stdout)["job"])

    assert name() == name() == name("--compute", "other")  # where it runs decides nothing
    assert len({name(), name("--seed", "1"), name("--refit"), name("--set", "etl.null_values=?")}) == 4
    put(learn, students(301))
    assert name() != name("--seed", "1")


def broken(cloud: Cloud, job: str, how: str) -> str:
    """Another job that ended as `job` did, with one thing wrong."""
    name = f"other-{how}-{len(cloud.state.jobs)}"
    cloud.twin(job, name)
    content = cloud.outputs(name)[WEIGHTS]
    listing = json.loads(cloud.outputs(name)["ss_manifest.json"])
    if how == "truncated":
        cloud.put_output(name, WEIGHTS, content[:-1])
    elif how == "swapped":
        cloud.put_output(name, WEIGHTS, bytes([content[-1] ^ 1, *content[1:]]))
    elif how == "empty":
        cloud.put_output(name, WEIGHTS, b"")
    elif how == "missing":
        cloud.delete_output(name, WEIGHTS)
    elif how == "unlisted":
        cloud.delete_output(name, "ss_manifest.json")
    elif how == "nonsense":
        cloud.put_output(name, "ss_manifest.json", b"[1, 2")
    elif how == "stranger":
        cloud.put_output(name, "ss_manifest.json", cloud.outputs(job)["ss_manifest.json"])
    elif how == "listed-empty":
        cloud.put_output(name, WEIGHTS, b"")
        of_weights = next(one for one in listing["files"] if one["path"] == WEIGHTS)
        of_weights |= {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        cloud.put_output(name, "ss_manifest.json", json.dumps(listing).encode())
    else:
        listing["files"][0]["path"] = {"up": "../../x", "root": "/etc/x", "drive": "C:\\x"}[how]
        cloud.put_output(name, "ss_manifest.json", json.dumps(listing).encode())
    return name


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", r"`workspace/models/Outcome/1/weights\.safetensors` has [0-9,]+ bytes instead of [0-9,]+"),
        ("swapped", r"`workspace/models/Outcome/1/weights\.safetensors` has other content than the job recorded"),
        ("empty", r"`workspace/models/Outcome/1/weights\.safetensors` is empty"),
        ("listed-empty", r"weights\.safetensors has 0 bytes instead of"),
        ("missing", r"`workspace/models/Outcome/1/weights\.safetensors` is on its list and not among its outputs"),
        ("unlisted", r"ss_manifest\.json is not among its outputs"),
        ("nonsense", r"ss_manifest\.json is not the list that a job writes"),
        ("stranger", r"ss_manifest\.json is that of another job"),
        ("up", r"lists a path that leads out of its folder"),
        ("root", r"lists a path that leads out of its folder"),
        ("drive", r"lists a path that leads out of its folder"),
    ],
)
def test_what_is_not_as_the_job_recorded_is_not_registered(
    ss: Any, job: str, cloud: Cloud, workspace: Path, told: Told, how: str, said: str
) -> None:
    before = every_byte(workspace / "logs") if (workspace / "logs").is_dir() else {}
    name = broken(cloud, job, how)
    done = ss("train", "fetch", name, "-q")
    assert (done.exit_code, done.stdout) == (4, "")
    assert re.search(said, told(done.stderr).error), done.stderr
    assert models(ss) == []
    assert not (workspace / "models").exists()
    assert ledger(workspace)[-1]["code"] == 4
    assert len(ledger(workspace)) == len(before["ledger.jsonl"].splitlines()) + 1
    if how in ("swapped", "listed-empty"):  # what came is kept, to be looked at
        kept = {path.name for path in (workspace / "downloads").rglob("*") if path.is_file()}
        assert "manifest.json" in kept
    else:
        assert not (workspace / "downloads" / name).exists()
    assert not list(workspace.parent.glob("x"))
    assert run_verify(ss) == 0


def run_verify(ss: Any) -> int:
    return int(ss("verify", "-q").exit_code)


def test_an_output_that_leads_out_of_the_folder_is_refused_by_its_name(
    ss: Any, job: str, cloud: Cloud, told: Told
) -> None:
    def moved(body: bytes) -> bytes:
        return body.replace(b"outputs/result.json", b"outputs/../../x.json")

    with cloud.wire.failing(Fault(rf"GET .*{BLOBS}/azureml\?.*comp=list", change=moved)):
        done = ss("train", "fetch", job, "-q")
    assert done.exit_code == 4
    assert "an output has a path that leads out of its folder: '../../x.json'" in told(done.stderr).error
    assert models(ss) == []


def test_after_a_refusal_the_same_command_brings_what_is_right_by_now(
    ss: Any, job: str, cloud: Cloud, workspace: Path
) -> None:
    name = broken(cloud, job, "swapped")
    assert ss("train", "fetch", name, "-q").exit_code == 4
    cloud.put_output(name, WEIGHTS, cloud.outputs(job)[WEIGHTS])
    done = ss("train", "fetch", name, "-f", "json")
    assert done.exit_code == 0, done.stderr
    assert [one["version"] for one in models(ss)] == [1]
    assert not list((workspace / "downloads").glob("*.part"))


def test_files_go_where_they_are_asked_to_and_a_strange_one_is_named(
    ss: Any, job: str, cloud: Cloud, workspace: Path, told: Told
) -> None:
    name = f"other-asked-{len(cloud.state.jobs)}"
    cloud.twin(job, name)
    cloud.put_output(name, "workspace/notes.txt", b"who put this here?")
    done = ss("train", "fetch", name, "--to", workspace.parent / "there", "-f", "json")
    assert done.exit_code == 0, done.stderr
    assert "`workspace/notes.txt` is among the outputs and not on the job's list: left there" in done.stderr
    assert (workspace.parent / "there" / WEIGHTS).read_bytes() == cloud.outputs(name)[WEIGHTS]
    listing = json.loads((workspace.parent / "there/download_manifest.json").read_text("utf-8"))
    assert len(listing["integrity_warnings"]) == 1
    assert not (workspace.parent / "there/workspace/notes.txt").exists()
    (workspace / "full").mkdir()
    (workspace / "full/mine.txt").touch()
    refused = ss("train", "fetch", job, "--to", "full")
    assert refused.exit_code == 2
    assert "holds other files already" in told(refused.stderr).error


def test_a_line_that_breaks_in_the_middle_of_a_file_is_taken_up_again(
    ss: Any, job: str, cloud: Cloud, workspace: Path
) -> None:
    fault = Fault(rf"GET .*{BLOBS}/.*/calibration\.png", times=6, cut=20_000)
    with cloud.wire.failing(fault):
        done = ss("train", "fetch", job, "-f", "json", SS_AZURE__RETRIES="1")
    assert done.exit_code == 0, done.stderr
    assert fault.met > 1
    name = "workspace/models/Outcome/1/calibration.png"
    assert (workspace / "downloads" / job / name).read_bytes() == cloud.outputs(job)[name]


def test_a_line_that_stays_broken_is_said_and_what_came_is_not_fetched_again(
    ss: Any, job: str, cloud: Cloud, told: Told
) -> None:
    with cloud.wire.failing(Fault(rf"GET .*{BLOBS}/.*/card\.md", cut=100)):
        done = ss("train", "fetch", job, "-q", SS_AZURE__RETRIES="0")
    assert done.exit_code == 3
    assert "`workspace/models/Outcome/1/card.md`" in told(done.stderr).error
    assert models(ss) == []
    seen = len(cloud.wire.seen)
    assert ss("train", "fetch", job, "-q").exit_code == 0
    fetched = [one for one in cloud.wire.seen[seen:] if "/outputs/workspace/" in one]
    assert [one for one in fetched if "card.md" in one]
    assert not [one for one in fetched if "weights" in one]


REFUSALS = {
    "401": (ARM, Answer(401, b'{"error": {"code": "ExpiredAuthenticationToken"}}'), "the login has expired", 1),
    "403": (ARM, Answer(403, b'{"error": {"code": "AuthorizationFailed"}}'), "this login may not do that there", 1),
    "429": (ARM, Answer(429, b"", {"Retry-After": "1"}), "Azure asks for fewer requests", 2),
    "500": (ARM, Answer(500, b""), "Azure has trouble of its own (500)", 2),
    "cut": (ARM, None, "the connection broke", 2),
    "store": (BLOBS, Answer(403, b""), "this login may not do that there", 1),
    "login": (r"login\.microsoftonline", Answer(500, b""), "", 2),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_each_refusal_is_a_sentence_of_its_own(ss: Any, job: str, cloud: Cloud, told: Told, kind: str) -> None:
    where, answer, said, least = REFUSALS[kind]
    fault = Fault(where, answer=answer, cut=None if answer else 0)
    with cloud.wire.failing(fault):
        done = ss("train", "fetch", job, "-q", SS_AZURE__RETRIES="1")
    assert (done.exit_code, done.stdout) == (3, "")
    assert said in told(done.stderr).error
    assert fault.met >= least
    assert "sig=" not in done.stderr
    assert models(ss) == []


@pytest.mark.parametrize("status", ["429", "500"])
def test_what_fails_once_is_asked_again(ss: Any, job: str, cloud: Cloud, status: str) -> None:
    answer = Answer(int(status), b"", {"Retry-After": "1"})
    fault = Fault(f"GET {ARM}.*/jobs/", times=1, answer=answer)
    with cloud.wire.failing(fault):
        assert ss("train", "fetch", job, "-q").exit_code == 0
    assert fault.met > 1


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "subscription": ({"SS_AZURE__SUBSCRIPTION_ID": "0-0"}, "there is no such subscription for this login"),
    "group": ({"SS_AZURE__RESOURCE_GROUP": "other"}, "there is no such resource group"),
    "workspace": ({"SS_AZURE__WORKSPACE": "other"}, "there is no such workspace"),
    "compute": ({"SS_AZURE__COMPUTE": "gpu-large"}, "there is no compute `gpu-large`"),
    "secret": ({"AZURE_CLIENT_SECRET": "guessed"}, "Azure refused the login (AADSTS7000215)"),
    "network": ({"HTTPS_PROXY": "http://127.0.0.1:9"}, ""),
    "certificates": ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, "the file of certificates can't be read"),
    "empty": ({"AZURE_CLIENT_ID": ""}, "one of them is empty or wrong"),
    "nobody": (
        {"AZURE_CLIENT_ID": None, "AZURE_CLIENT_SECRET": None, "HTTP_PROXY": "http://127.0.0.1:9", "PATH": ""},
        "nobody is logged in to Azure",
    ),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.usefixtures("learn")
def test_what_is_wrong_about_access_is_said_before_anything_is_sent(
    ss: Any, cloud: Cloud, workspace: Path, told: Told, what: str
) -> None:
    env, said = WRONG[what]
    jobs, blobs = len(cloud.state.jobs), len(cloud.blobs.names("azureml-blobstore-1"))
    done = ss("train", "remote", *LEARN, "-q", **env, SS_AZURE__RETRIES="0")
    assert (done.exit_code, done.stdout) == (3, "")
    assert said in told(done.stderr).error
    assert "guessed" not in done.stderr + (workspace / "logs/ledger.jsonl").read_text("utf-8")
    assert (len(cloud.state.jobs), len(cloud.blobs.names("azureml-blobstore-1"))) == (jobs, blobs)
    assert ledger(workspace)[-1]["code"] == 3


@pytest.mark.usefixtures("learn")
def test_a_job_that_somebody_sent_a_moment_ago_is_the_same_job(ss: Any, job: str, cloud: Cloud) -> None:
    not_yet = Answer(404, b'{"error": {"code": "UserError", "message": "not found"}}')
    with cloud.wire.failing(Fault(f"GET {ARM}.*/jobs/", times=1, answer=not_yet)):
        done = ss("train", "remote", *LEARN, "-f", "json")
    assert sent(done) == job
    assert cloud.node.ran.count(job) == 1


def test_a_job_that_fails_says_why_and_nothing_comes_of_it(ss: Any, cloud: Cloud, told: Told) -> None:
    cloud.blobs.put("azureml-blobstore-1", "given/grades.csv", b"id,final\n1,2\n2,3\n")
    uri = "azureml://datastores/workspaceblobstore/paths/given/grades.csv"
    words = ("train", "remote", "--data", uri, "--target", "nobody", "--follow", "-q")
    done = ss(*words)
    assert done.exit_code == 1, done.stderr
    said = told(done.stderr)
    assert re.search("job `ss-nobody-[0-9a-f]{12}`: the training failed there with exit code 2", said.error)
    name = re.findall("ss-nobody-[0-9a-f]{12}", said.error)[0]
    seen = ss("train", "status", name)
    assert "there is no column `nobody`" in seen.stdout  # the end of its own log
    refused = ss("train", "fetch", name, "-q")
    assert refused.exit_code == 1
    assert "the training failed there with exit code 2" in told(refused.stderr).error
    assert models(ss) == []
    again = ss(*words)
    assert again.exit_code == 1
    assert f"it is failed: `{name}`" in told(again.stderr).error
    assert "`--again`" in told(again.stderr).hint


@pytest.mark.parametrize(
    ("fate", "code", "said"),
    [("no-quota", 3, "there is no quota for this compute"), ("preempted", 1, "its machine was taken away")],
)
@pytest.mark.usefixtures("learn")
def test_what_the_cloud_does_to_a_job_is_told_apart(
    ss: Any, cloud: Cloud, told: Told, fate: str, code: int, said: str
) -> None:
    model = f"fate-{fate}"
    cloud.node.fate[model] = fate
    done = ss("train", "remote", *LEARN, "--name", model, "--holdout", "0.5", "--follow", "-q")
    assert done.exit_code == code, done.stderr
    assert said in told(done.stderr).error


@pytest.fixture
def hanging(ss: Any, learn: Path, cloud: Cloud) -> Iterator[str]:
    """A job that runs and does not end by itself."""
    assert learn.is_file()
    model = f"hangs-{len(cloud.state.jobs)}"
    cloud.node.fate[model] = "hangs"
    name = sent(ss("train", "remote", *LEARN, "--name", model, "-f", "json"))
    yield name
    cloud.job(name).cancelled.set()
    assert cloud.job(name).ended.wait(PATIENCE)


def test_a_job_that_hangs_is_cancelled_and_can_be_sent_again(ss: Any, hanging: str, cloud: Cloud, told: Told) -> None:
    done = ss("train", "fetch", hanging, "-q")
    assert done.exit_code == 1
    assert "is not done" in told(done.stderr).error
    document = json.loads(ss("train", "cancel", hanging, "-f", "json").stdout)
    assert document["jobs"][0]["state"] in ("cancelrequested", "canceled")
    assert cloud.job(hanging).ended.wait(PATIENCE)
    listed = json.loads(ss("train", "status", "-f", "json").stdout)["jobs"]
    assert [(one["job"], one["state"]) for one in listed] == [(hanging, "canceled")]
    assert ss("train", "cancel", hanging, "-q").exit_code == 0  # ended already is fine
    gone = ss("train", "fetch", hanging, "-q")
    assert gone.exit_code == 1
    assert "was cancelled" in told(gone.stderr).error
    assert models(ss) == []
    model = json.loads(ss("train", "status", hanging, "-f", "json").stdout)["jobs"][0]["model"]
    words = ("train", "remote", *LEARN, "--name", model, "-f", "json")
    assert ss(*words).exit_code == 1
    again = sent(ss(*words, "--again"))
    assert again == f"{hanging}-r2"
    assert sent(ss(*words)) == again  # what was sent last is what is meant
    cloud.job(again).cancelled.set()
    assert cloud.job(again).ended.wait(PATIENCE)


def test_following_survives_a_lost_line_and_ends_with_ctrl_c_while_the_job_goes_on(
    hanging: str, cloud: Cloud, clean_env: dict[str, str], workspace: Path
) -> None:
    cloud.wire.faults.append(Fault(rf"GET {HISTORY}.*/details|GET .*{HISTORY}.*/details", times=6, cut=0))
    process = subprocess.Popen(
        [sys.executable, "-m", "studentsuccess", "train", "status", hanging, "--follow"],
        cwd=workspace, env={**clean_env, **cloud.env(), "SS_AZURE__RETRIES": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = ""
        for line in process.stderr or ():
            said += line
            if "the connection is back" in line:
                break
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        cloud.wire.faults.clear()
    assert "trying again" in said, said + rest
    assert (process.returncode, out) == (130, "")
    assert f"the job goes on; `ss train status {hanging} --follow`" in rest
    assert "Traceback" not in rest
    assert not cloud.job(hanging).cancelled.is_set()


def test_a_login_that_expires_while_following_says_that_the_job_goes_on(
    ss: Any, hanging: str, cloud: Cloud, told: Told
) -> None:
    expired = Answer(401, b'{"error": {"code": "ExpiredAuthenticationToken"}}')
    with cloud.wire.failing(Fault(f"GET {ARM}.*/jobs/{hanging}", after=2, answer=expired)):
        done = ss("train", "status", hanging, "--follow", "-q")
    assert done.exit_code == 3
    assert "the login has expired" in told(done.stderr).error
    assert "the job goes on meanwhile" in told(done.stderr).hint


@pytest.mark.usefixtures("learn")
def test_of_a_sweep_the_best_comes_home_signed_where_a_key_is_set(
    ss: Any, cloud: Cloud, workspace: Path, told: Told
) -> None:
    key = {"SS_TRAIN__SIGNING_KEY": "a signing key of thirty-two bytes"}
    words = ("train", "remote", *LEARN, "--epochs", "auto", "--name", "swept", "--sweep", "2", "-f", "json")
    parent = sent(ss(*words, **key))
    trials = [f"{parent}-0", f"{parent}-1"]
    for name in trials:
        assert cloud.job(name).ended.wait(PATIENCE)
        assert cloud.job(name).error is None
    assert sent(ss(*words, **key)) == parent
    losses = {name: json.loads(cloud.outputs(name)["ss_manifest.json"])["inner"] for name in trials}
    other = ss("train", "fetch", parent, "-q", SS_TRAIN__SIGNING_KEY="another key that nobody knows")
    assert other.exit_code == 4
    assert "was signed with another key" in told(other.stderr).error
    done = json.loads(ss("train", "fetch", parent, "-f", "json", **key).stdout)
    assert done["job"] == min(trials, key=lambda name: losses[name])
    assert len(set(losses.values())) == 2
    assert {one["job"]: one["loss"] for one in done["trials"]} == losses
    assert ss("score", "learn.csv", "-m", "swept", "-q", **key).exit_code == 0  # the model is signed with our own key
    assert b"hmac" in (workspace / "models/swept/1/manifest.json").read_bytes()
    assert not [name for name, content in every_byte(workspace).items() if b"a signing key of thirty" in content]


def test_an_unsigned_job_is_refused_where_a_key_is_set(ss: Any, job: str, told: Told) -> None:
    done = ss("train", "fetch", job, "-q", SS_TRAIN__SIGNING_KEY="a signing key of thirty-two bytes")
    assert done.exit_code == 4
    assert "is unsigned, and `train.signing_key` asks for a signature" in told(done.stderr).error


def test_old_jobs_are_archived_after_a_yes_and_only_once(ss: Any, job: str, cloud: Cloud) -> None:
    asked = ss("archive", "--older-than", "0h", "--no-input")
    assert asked.exit_code == 2
    assert job in asked.stderr  # what goes is listed first
    assert "--yes" in asked.stderr
    assert not ss("archive", "--older-than", "30d", "--yes").stdout
    assert json.loads(ss("archive", "--older-than", "0h", "-y", "-f", "json").stdout)["archived"] == [job]
    assert cloud.job(job).hidden
    cloud.job(job).hidden = False
    assert json.loads(ss("train", "status", "-f", "json").stdout)["jobs"][0]["state"] == "archived"


def test_a_name_that_is_nearly_that_of_a_job_is_suggested(ss: Any, job: str, told: Told) -> None:
    done = ss("train", "fetch", f"{job}x")
    assert done.exit_code == 2
    assert f"did you mean `{job}`?" in told(done.stderr).hint


@pytest.mark.usefixtures("learn")
def test_without_the_extra_one_line_says_how_to_install_it(
    run_ss: Any, cloud: Cloud, tmp_path: Path, told: Told
) -> None:
    (tmp_path / "bare/azure").mkdir(parents=True)
    (tmp_path / "bare/azure/__init__.py").write_text("raise ImportError('not here')", "utf-8")
    path = os.pathsep.join((str(tmp_path / "bare"), str(ROOT)))
    done = run_ss("train", "remote", *LEARN, "-n", env={**cloud.env(), "PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (2, "")
    assert told(done.stderr).hint == 'run `python -m pip install "studentsuccess[azure]"`'
