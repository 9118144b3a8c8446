"""`ss train remote`: this very program and its data to Azure, as a job that trains there as one does here."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studentsuccess.config.credentials import JOB_KEY, azure_login
from studentsuccess.config.schema import Settings
from studentsuccess.core.digest import FileFact, canonical, file_digest, text_digest
from studentsuccess.core.reporter import Reporter, phase
from studentsuccess.errors import SsError, UsageError
from studentsuccess.remote.azure_client import Place, library, place_of
from studentsuccess.remote.azure_jobs import COMPLETED, AzureJobs, JobState
from studentsuccess.remote.azure_spec import DataInput, JobSpec
from studentsuccess.remote.job_entry import MARK
from studentsuccess.remote.job_manifest import digest_of, sign_key
from studentsuccess.remote.job_program import START, Program, this_program
from studentsuccess.sources.table import dataset_name
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.etl import recorded
from studentsuccess.tasks.inputs import DATA_ENDINGS, PACKED_ENDINGS, resolved
from studentsuccess.tasks.models import signing_key
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.jobs import JobEntry, all_jobs, note_job

if TYPE_CHECKING:
    from studentsuccess.models.labels import Asked
    from studentsuccess.tasks.train_data import Source

COMMAND = "train remote"
# Settings that decide what a training makes: those that are not the defaults go along.
DECIDING = (
    "etl.encoding", "etl.delimiter", "etl.null_values", "etl.type_tolerance", "etl.duplicates", "etl.max_record",
    "etl.max_rejects", "train.holdout", "train.epochs", "train.trials", "train.cv", "privacy.min_cell",
)  # fmt: skip
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://.+")
TAKEN = ("azureml", "https", "abfss", "wasbs")
# The job is in Azure when somebody else may hold the warehouse: its row is worth a moment's wait.
PATIENCE = 10.0


@dataclass(frozen=True)
class RemoteRequest:
    """What the user asked for; how much of it is a setting stands in the settings."""

    target: str | None
    ids: tuple[str, ...] = ()
    algorithm: Literal["incremental", "search"] = "incremental"
    name: str | None = None
    task: Asked = "auto"
    types: tuple[str, ...] = ()
    refit: bool = False
    sweep: int | None = None
    again: bool = False


@dataclass(frozen=True)
class SentFile:
    """A file that goes along, under a name that says nothing."""

    path: Path
    name: str
    fact: FileFact


@dataclass(frozen=True)
class RemoteData:
    """What a job learns from: files of this machine, or an address that only Azure can read."""

    files: tuple[SentFile, ...] = ()
    uri: str = ""

    @property
    def facts(self) -> tuple[FileFact, ...]:
        return tuple(one.fact for one in self.files) or (FileFact(self.uri, 0, ""),)

    @property
    def digest(self) -> str:
        return digest_of(self.facts) if self.files else ""

    @property
    def size(self) -> int:
        return sum(one.fact.size for one in self.files)

    def input(self, folder: str) -> DataInput:
        """As a job sees it; `folder` is where files stand in Azure."""
        uri = self.uri or (folder + self.files[0].name if len(self.files) == 1 else folder)
        return DataInput(uri, "uri_folder" if uri.endswith("/") else "uri_file")


@dataclass(frozen=True)
class Trial:
    """One job: its name is made from its key, which is a digest of all that decides its result."""

    name: str
    key: str
    seed: int
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class RemotePlan:
    """What would be sent where. Made by reading only, and without the network."""

    context: Context
    request: RemoteRequest
    place: Place
    program: Program
    data: RemoteData
    model: str
    parent: str
    trials: tuple[Trial, ...]
    known: tuple[JobEntry, ...]
    login: str

    def spec(self, trial: Trial, folder: str) -> JobSpec:
        """The job of a trial, with its data in `folder`."""
        azure = self.context.settings.azure
        words = ["python", START, trial.name, "${{inputs.data}}", MARK, *trial.arguments]
        command = " ".join(word if word.startswith("${{") else shlex.quote(word) for word in words)
        key = signing_key(self.context)
        return JobSpec(
            trial.name,
            f"ss train {self.model}",
            azure.experiment,
            command,
            self.data.input(folder),
            azure.compute,
            azure.image,
            self.program.python,
            self.program.requirements,
            int(azure.max_hours * 3600),
            {"studentsuccess": self.program.version, "key": trial.key[:32]},
            {JOB_KEY: sign_key(key, trial.name)} if key else {},
        )

    @property
    def most_cost(self) -> float | None:
        """What it costs if every job takes all the time it may."""
        azure = self.context.settings.azure
        price = azure.price_per_hour
        return None if price is None else price * azure.max_hours * len(self.trials)


@dataclass(frozen=True)
class RemoteResult:
    """What was sent, or found to be there."""

    run_id: str
    parent: str
    states: tuple[JobState, ...]
    sent: int
    already_sent: bool

    @property
    def name(self) -> str:
        """By which the rest of the commands know it."""
        return self.parent or self.states[0].name


@contextmanager
def opened(request: RemoteRequest, named: Sequence[str], context: Context) -> Iterator[RemotePlan]:
    """The plan, for as long as its data is needed (stdin is kept in a file)."""
    if len(named) == 1 and _URI.fullmatch(named[0]):
        yield _plan(request, _referenced(named[0], request), context)
        return
    from studentsuccess.tasks.train import parse_types
    from studentsuccess.tasks.train_data import located

    with located(named, request.target, request.ids, context, resolved) as source:
        parse_types(request.types, source)
        asked = replace(request, target=source.target, ids=source.dataset.ids)
        yield _plan(asked, _own(source), context)


def _referenced(uri: str, request: RemoteRequest) -> RemoteData:
    """An address may have a token in it by mistake, so one that is refused is not repeated."""
    match = _URI.fullmatch(uri)
    scheme = match["scheme"].lower() if match else ""
    if scheme not in TAKEN:
        raise UsageError(f"`{scheme}://` is no address that a job can read", f"it reads {', '.join(TAKEN)}, and files")
    if re.search(r"[?#]|//[^/]*@", uri.replace("abfss://", "").replace("wasbs://", "")):
        raise UsageError(
            "the address holds more than a place; keys don't belong there",
            "give the workspace access to that store, and leave out what follows `?`",
        )
    if request.target is None:
        raise UsageError("no target: which column is to be predicted?", "name it: `--target COLUMN`")
    return RemoteData(uri=uri)


def _own(source: Source) -> RemoteData:
    paths = [(one.given.origin.path, one.given.origin.shown) for one in source.dataset.probes]
    return RemoteData(tuple(_sent(number, path, shown, len(paths)) for number, (path, shown) in enumerate(paths, 1)))


def _sent(number: int, path: Path, shown: str, count: int) -> SentFile:
    """Named by its number: a file's name may say more than it should."""
    stem = "data" if count == 1 else f"data-{number:04d}"
    return SentFile(path, stem + _ending(path.name), FileFact(shown, path.stat().st_size, file_digest(path)))


def _ending(name: str) -> str:
    low = name.lower()
    packed = next((one for one in PACKED_ENDINGS if low.endswith(one)), "")
    low = low.removesuffix(packed)
    return next((one for one in DATA_ENDINGS if low.endswith(one)), ".csv") + packed


def _plan(request: RemoteRequest, data: RemoteData, context: Context) -> RemotePlan:
    """See what stands in the way, without changing anything and without asking anybody."""
    place, program = place_of(context.settings.azure), this_program()
    library()
    model = dataset_name(request.name or str(request.target))
    base = context.settings.train.seed
    count = request.sweep or 1
    trials = [_trial(request, context, (data, program, model), base + number) for number in range(count)]
    parent = _name(model, text_digest(canonical([one.key for one in trials]))) if request.sweep else ""
    if parent:
        trials = [replace(one, name=f"{parent}-{one.seed}") for one in trials]
    keys = {one.key for one in trials}
    noted = all_jobs(context.workspace, context.limits).entries
    mine = [entry for entry in noted if entry.place == place.whole and bool(entry.parent) == bool(parent)]
    known = [entry for entry in mine if entry.key in keys]
    if known:  # what was sent last, whatever it was called
        newest = known[-1].parent
        known = [entry for entry in known if entry.parent == newest] if newest else known[-1:]
    return RemotePlan(context, request, place, program, data, model, parent, tuple(trials), tuple(known), azure_login())


def _trial(request: RemoteRequest, context: Context, made_of: tuple[RemoteData, Program, str], seed: int) -> Trial:
    data, program, model = made_of
    arguments = _arguments(request, context.settings, model, seed)
    key = text_digest(
        canonical([COMMAND, program.digest, context.settings.azure.image, data.digest or data.uri, list(arguments)])
    )
    return Trial(_name(model, key), key, seed, arguments)


def _name(model: str, key: str) -> str:
    """Readable where the model's name allows it; Azure takes letters, digits, `-` and `_`."""
    plain = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:24].strip("-")
    return "-".join(part for part in ("ss", plain, key[:12]) if part)


def _arguments(request: RemoteRequest, settings: Settings, model: str, seed: int) -> tuple[str, ...]:
    """Those of `ss train local`. Nothing depends on what is set on the other machine."""
    words = ["--target", str(request.target), "--name", model, "--algorithm", request.algorithm, "--seed", str(seed)]
    words += [word for one in request.ids for word in ("--id", one)]
    words += [word for one in request.types for word in ("--types", one)]
    words += ["--task", request.task] if request.task != "auto" else []
    words += ["--refit"] if request.refit else []
    for path, value in _changed(settings):
        words += ["--set", f"{path}={canonical(value) if isinstance(value, list | tuple) else value}"]
    wrong = next((word for word in words if "${{" in word or "}}" in word or "\0" in word), None)
    if wrong is not None:
        raise UsageError(f"`{wrong}` can't be told to a job: Azure would take it for one of its own words", "rename it")
    return tuple(words)


def _changed(settings: Settings) -> Iterator[tuple[str, object]]:
    usual = Settings()
    for path in DECIDING:
        section, _, key = path.partition(".")
        value = getattr(getattr(settings, section), key)
        if value != getattr(getattr(usual, section), key):
            yield path, value


def run(made: RemotePlan, reporter: Reporter) -> RemoteResult:
    """Send what the plan says, unless it runs there already."""
    context, azure = made.context, made.context.settings.azure
    run_id, started = new_run_id(), datetime.now(UTC)
    jobs = AzureJobs(made.place, azure)
    with recorded(context, run_id, started, COMMAND):
        with phase(reporter, "asking Azure"):
            jobs.admit(azure.compute)
            there = _there(made, jobs)
        if there and not made.request.again:
            _refuse_ended(there)
            written = _noted(made, there, run_id, started)
            return RemoteResult(written, _parent_of(made), there, 0, already_sent=True)
        fresh = _renamed(made, jobs) if there else made
        folder, sent = _uploaded(fresh, jobs, reporter)
        with phase(reporter, "sending the job"):
            states = tuple(_submitted(fresh, jobs, trial, folder) for trial in fresh.trials)
        written = _noted(fresh, states, run_id, started)
    return RemoteResult(written, fresh.parent, states, sent, already_sent=False)


def _parent_of(made: RemotePlan) -> str:
    return made.known[0].parent if made.known else made.parent


def _there(made: RemotePlan, jobs: AzureJobs) -> tuple[JobState, ...]:
    """The jobs of this very submission, if all of them are in Azure: those that were noted here, or by their names."""
    names = [entry.job for entry in made.known]
    if len(names) != len(made.trials):
        names = [trial.name for trial in made.trials]
    found = [jobs.find(name) for name in names]
    return tuple(state for state in found if state) if all(found) else ()


def _refuse_ended(there: Sequence[JobState]) -> None:
    """A job that ended without a result is not what anybody means by the same command once more."""
    bad = next((one for one in there if one.ended and one.status != COMPLETED), None)
    if bad is not None:
        raise SsError(
            f"this very job was sent before, and it is {bad.status.lower()}: `{bad.name}`",
            f"send it again with `--again`, or see why: `ss train status {bad.name}`",
        )


def _renamed(made: RemotePlan, jobs: AzureJobs) -> RemotePlan:
    """The same once more, under names that no job has."""
    number = 2
    while True:
        parent = f"{made.parent}-r{number}" if made.parent else ""
        trials = [
            replace(one, name=f"{parent}-{one.seed}" if parent else f"{one.name}-r{number}") for one in made.trials
        ]
        if not any(jobs.find(one.name) for one in trials):
            return replace(made, parent=parent, trials=tuple(trials), known=())
        number += 1


def _uploaded(made: RemotePlan, jobs: AzureJobs, reporter: Reporter) -> tuple[str, int]:
    """Where the data stands, and how many bytes had to be sent for it."""
    if not made.data.files:
        return "", 0
    step = reporter.step("uploading the data", made.data.size, "bytes")
    try:
        files = {one.name: (one.path, one.fact.sha256) for one in made.data.files}
        done = jobs.put_data(made.data.digest, files, step.advance)
    finally:
        step.close()
    return done.uri, done.sent


def _submitted(made: RemotePlan, jobs: AzureJobs, trial: Trial, folder: str) -> JobState:
    with tempfile.TemporaryDirectory(prefix="ss-job-") as temporary:
        snapshot = Path(temporary, "program")
        snapshot.mkdir()
        for name, content in made.program.snapshot.items():
            (snapshot / name).write_bytes(content)
        return jobs.submit(made.spec(trial, folder), snapshot)


def _noted(made: RemotePlan, states: Sequence[JobState], run_id: str, started: datetime) -> str:
    """The jobs in our own books; what is noted already stays as it is."""
    context = made.context
    names = [state.name for state in states]
    entries = [_entry(made, trial, name, run_id, started) for trial, name in zip(made.trials, names, strict=True)]
    key = text_digest(canonical([COMMAND, names]))
    facts = tuple(fact for fact in made.data.facts if fact.sha256)
    targets = tuple(f"job:{name}" for name in names)
    record = Run(run_id, key, COMMAND, targets, True, started, context.configuration.digest, facts)

    def work(connection: Connection) -> None:
        for entry in entries:
            note_job(connection, entry)

    try:
        wait = max(context.wait, PATIENCE)
        return commit(context.workspace, context.limits, record, (), work, wait).run_id
    except SsError as problem:
        problem.hint = f"job `{names[0]}` is in Azure, and noted by the same command once more; {problem.hint}"
        raise


def _entry(made: RemotePlan, trial: Trial, name: str, run_id: str, started: datetime) -> JobEntry:
    azure = made.context.settings.azure
    return JobEntry(
        name, _parent_of(made), trial.key, made.model, made.place.whole, azure.experiment, azure.compute or "",
        shlex.join(("train", "local", *trial.arguments)), made.data.facts, made.data.digest, started, run_id,
    )  # fmt: skip
