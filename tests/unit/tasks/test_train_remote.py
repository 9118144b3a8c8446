"""What a job is made of: its name, its arguments, its data. Sending it is tested with the command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_jobs import NOWHERE
from trained import put, students

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.digest import FileFact
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.errors import SsError, UsageError
from studentsuccess.remote.azure_errors import NetworkLostError
from studentsuccess.remote.azure_jobs import Details, JobState
from studentsuccess.remote.job_manifest import JobManifest
from studentsuccess.tasks import train_fetch, train_remote, train_status
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.train_remote import RemoteRequest

pytest.importorskip("azure.ai.ml", reason="the extra `azure` is not installed")
URI = "azureml://datastores/workspaceblobstore/paths/given/grades.csv"


def context(folder: Path, *sets: str) -> Context:
    nowhere = tuple(word.removeprefix("--set=") for word in NOWHERE)
    return Context(load(Overrides(folder, sets=(*nowhere, *sets)), {}, folder))


def plan(folder: Path, named: Sequence[str], *sets: str, **request: Any) -> train_remote.RemotePlan:
    with train_remote.opened(RemoteRequest(**{"target": "Outcome", **request}), named, context(folder, *sets)) as made:
        return made


def command(made: train_remote.RemotePlan, number: int = 0) -> list[str]:
    return shlex.split(made.spec(made.trials[number], "azureml://there/").command)


def test_settings_that_decide_the_result_go_along_and_no_others(workspace: Path) -> None:
    made = plan(
        workspace, [URI], 'etl.null_values=["?", ""]', "train.holdout=0.3", "alerts.capacity=3", "train.promote=never"
    )
    words = command(made)
    assert words[words.index("--set") :] == ["--set", 'etl.null_values=["?",""]', "--set", "train.holdout=0.3"]


def test_a_job_is_told_what_the_user_said(workspace: Path) -> None:
    source = put(workspace / "learn.csv", students(30))
    made = plan(workspace, [str(source)], ids=("student_id",), types=("year=both",), task="classification", refit=True)
    words = command(made)
    assert words[:5] == ["python", "job.py", made.trials[0].name, "${{inputs.data}}", "--"]
    assert words[5:] == [
        *("--target", "Outcome", "--name", "Outcome", "--algorithm", "incremental", "--seed", "0"),
        *("--id", "student_id", "--types", "year=both", "--task", "classification", "--refit"),
    ]
    assert made.spec(made.trials[0], "azureml://there/").data.uri == "azureml://there/data.csv"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> train_remote.RemotePlan:
    return plan(tmp_path_factory.mktemp("one"), [URI])


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_any_text_reaches_the_job_as_it_is(one: train_remote.RemotePlan, text: str) -> None:
    assume("${{" not in text and "}}" not in text)
    request = RemoteRequest("Outcome", ids=(text,))
    arguments = train_remote._arguments(request, one.context.settings, "model", 0)
    words = command(replace(one, trials=(replace(one.trials[0], arguments=arguments),)))
    assert words[5:] == list(arguments)
    assert words[words.index("--id") + 1] == text


def test_what_azure_would_take_for_its_own_is_refused(workspace: Path) -> None:
    with pytest.raises(UsageError, match="can't be told to a job"):
        plan(workspace, [URI], target="${{inputs.data}}", name="model")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://x/grades.csv", "`http://` is no address that a job can read"),
        ("s3://bucket/grades.csv", "`s3://` is no address that a job can read"),
        ("https://x.blob.core.windows.net/c/grades.csv?sig=abc", "the address holds more than a place"),
        ("https://me:secret@example.org/grades.csv", "the address holds more than a place"),
    ],
)
def test_an_address_that_is_refused_is_not_repeated(workspace: Path, uri: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(workspace, [uri])
    assert said in caught.value.message
    assert not {"sig=", "secret"} & set(caught.value.message.split())
    assert "abc" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "uri", ["abfss://c@account.dfs.core.windows.net/a.csv", "wasbs://c@x.blob.core.windows.net/a/"]
)
def test_addresses_with_a_container_before_the_at_sign_are_taken(workspace: Path, uri: str) -> None:
    made = plan(workspace, [uri])
    found = made.spec(made.trials[0], "").data
    assert (found.uri, found.kind) == (uri, "uri_folder" if uri.endswith("/") else "uri_file")


def test_a_place_that_is_not_set_is_named_with_what_sets_it(workspace: Path) -> None:
    with pytest.raises(UsageError, match=r"`azure\.workspace` is not set") as caught:
        plan(workspace, [URI], "azure.workspace=")
    assert "--set azure.workspace=" in caught.value.hint


def test_what_would_be_refused_there_is_refused_here(workspace: Path) -> None:
    source = put(workspace / "learn.csv", students(30))
    with pytest.raises(UsageError, match="no column `Outcom`"):
        plan(workspace, [str(source)], target="Outcom")
    with pytest.raises(UsageError, match="there is no column `yeer`"):
        plan(workspace, [str(source)], types=("yeer=both",))


def test_several_files_are_a_folder_and_their_names_say_nothing(workspace: Path) -> None:
    for number in (1, 2):
        put(workspace / f"class of Mr Smith {number}.csv", students(20, number))
    made = plan(workspace, [str(workspace / "*.csv")])
    assert [one.name for one in made.data.files] == ["data-0001.csv", "data-0002.csv"]
    found = made.spec(made.trials[0], "azureml://there/").data
    assert (found.uri, found.kind) == ("azureml://there/", "uri_folder")
    assert "Smith" not in made.spec(made.trials[0], "azureml://there/").yaml()


@pytest.mark.parametrize(
    ("name", "ending"), [("a.CSV", ".csv"), ("a.csv.gz", ".csv.gz"), ("a.parquet", ".parquet"), ("stdin", ".csv")]
)
def test_a_files_ending_stays_what_it_says(name: str, ending: str) -> None:
    assert train_remote._ending(name) == ending


@settings(deadline=None)
@given(st.text(max_size=60), st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_a_jobs_name_is_one_that_azure_takes(model: str, key: str) -> None:
    name = train_remote._name(model, key)
    assert train_status._NAME.fullmatch(name)
    assert len(name) <= 42


def test_a_sweep_has_a_seed_and_a_name_for_each_trial(workspace: Path) -> None:
    made = plan(workspace, [URI], "train.seed=5", sweep=3)
    assert [trial.seed for trial in made.trials] == [5, 6, 7]
    assert [trial.name for trial in made.trials] == [f"{made.parent}-{seed}" for seed in (5, 6, 7)]
    assert len({trial.key for trial in made.trials}) == 3
    assert plan(workspace, [URI], "train.seed=5", sweep=2).parent != made.parent


LISTED = JobManifest("a", "1", "d", (), "", "", "m@1", "workspace/models/m/1", 0.5, 0.5, (FileFact("x", 1, "a"),))


def chosen(**losses: tuple[float | None, float | None]) -> train_fetch._Chosen:
    found = [
        train_fetch._Chosen(job, replace(LISTED, job=job, inner=inner, held_out=held_out), (), b"")
        for job, (inner, held_out) in losses.items()
    ]
    return train_fetch.best(found)


def test_the_best_of_a_sweep_is_chosen_without_the_rows_that_its_figures_come_from() -> None:
    found = chosen(a=(0.5, 0.1), b=(0.4, 0.9), c=(0.6, 0.2))
    assert (found.job, found.by) == ("b", train_fetch.INNER)
    assert dict(found.scores) == {"a": 0.5, "b": 0.4, "c": 0.6}


def test_where_one_trial_has_no_such_loss_the_figures_decide_and_that_is_said() -> None:
    found = chosen(a=(0.5, 0.3), b=(None, 0.2), c=(0.1, None))
    assert (found.job, found.by) == ("b", train_fetch.HELD_OUT)


class Looks:
    """Azure as a list of answers, one a look: a state, what its log is by then, or what goes wrong."""

    def __init__(self, *answers: tuple[str, bytes] | SsError) -> None:
        self.answers, self.at = list(answers), 0

    def state(self, name: str) -> JobState:
        answer = self.answers[min(self.at, len(self.answers) - 1)]
        self.at += 1
        if isinstance(answer, SsError):
            raise answer
        self._log = answer[1]
        return JobState(name, answer[0], "e")

    def details(self, name: str) -> Details:  # noqa: ARG002 - there is one
        return Details("", "")

    def log(self, details: Details, start: int) -> bytes:  # noqa: ARG002 - there is one
        return self._log[start:]


def followed(folder: Path, looks: Looks, *sets: str) -> SilentReporter:
    reporter, now = SilentReporter(), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    follower = train_status._Follower("job", looks, context(folder, *sets), reporter, (sleep, lambda: now[0]))  # type: ignore[arg-type]
    follower.run()
    return reporter


def test_each_line_of_a_log_is_said_once_and_whole(workspace: Path) -> None:
    looks = Looks(("Queued", b""), ("Running", b"one\ntw"), ("Running", b"one\ntwo\n"), ("Completed", b"one\ntwo\nend"))
    assert followed(workspace, looks).notes == ["one", "two", "end"]


def test_a_lost_connection_is_said_once_and_followed_on(workspace: Path) -> None:
    lost = NetworkLostError("the connection broke")
    looks = Looks(("Running", b"one\n"), lost, lost, ("Completed", b"one\ntwo\n"))
    reporter = followed(workspace, looks)
    assert reporter.notes == ["one", "two", "the connection is back"]
    assert [message for message, _ in reporter.warnings] == ["the connection broke; trying again"]


def test_a_connection_that_stays_lost_is_given_up_and_the_job_goes_on(workspace: Path) -> None:
    looks = Looks(("Running", b""), NetworkLostError("the connection broke"))
    with pytest.raises(NetworkLostError) as caught:
        followed(workspace, looks, "azure.patience_seconds=20", "azure.poll_seconds=5")
    assert looks.at == 7  # the first, then at 5, 10, 15, 20, 25 and past 20 seconds of silence
    assert "the job goes on" in caught.value.hint
