"""Jobs in Azure Machine Learning: sent, looked at, read, cancelled, archived. All that Azure is asked is asked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from studentsuccess.config.schema import AzureSettings
from studentsuccess.core.digest import file_digest
from studentsuccess.errors import SsError
from studentsuccess.remote.azure_client import Place, client, container, credential
from studentsuccess.remote.azure_errors import NetworkLostError, is_elsewhere, no_access, translated
from studentsuccess.remote.azure_spec import JobSpec, to_job
from studentsuccess.remote.stores import MOST_READ

# The store that every workspace has for what its runs leave.
ARTIFACTS = "workspaceartifactstore"
LOG = "user_logs/std_log.txt"
DATA = "ss-data"
COMPLETED, FAILED, CANCELED = "Completed", "Failed", "Canceled"
ENDED = frozenset({COMPLETED, FAILED, CANCELED, "NotResponding"})
PIECE = 4 << 20

Advance = Callable[[int], None]


@dataclass(frozen=True)
class JobState:
    """How far a job is."""

    name: str
    status: str
    experiment: str
    archived: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Details:
    """What the run history says: the state, why it failed, and where its log can be read."""

    status: str
    message: str
    log: str | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Blob:
    """One output of a job: its path below the outputs, and the version of it that was listed."""

    path: str
    size: int
    etag: str
    name: str


@dataclass(frozen=True)
class Uploaded:
    """Where data stands in Azure."""

    uri: str
    sent: int


class AzureJobs:
    """One workspace, as whoever is logged in. Nothing is asked before something is wanted."""

    def __init__(self, place: Place, settings: AzureSettings) -> None:
        self.place, self._settings = place, settings
        self._containers: dict[str, tuple[str, Any]] = {}

    @cached_property
    def _login(self) -> Any:
        return credential(self._settings)

    @cached_property
    def _client(self) -> Any:
        return client(self.place, self._login, self._settings)

    def admit(self, compute: str | None) -> None:
        """Raise what a submission would fail with: the login, the workspace, the compute."""
        with translated(self.place.shown):
            self._client.workspaces.get(self.place.workspace)
            if compute is not None and compute not in (known := [one.name for one in self._client.compute.list()]):
                there = (
                    f"there are {', '.join(f'`{name}`' for name in known[:6])}" if known else "make one in the studio"
                )
                raise no_access(f"{self.place.shown}: there is no compute `{compute}`", f"{there}: `--compute NAME`")

    def find(self, name: str) -> JobState | None:
        """A job by its name, if there is one."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(self.place.shown):
            try:
                return _state(self._client.jobs.get(name))
            except ResourceNotFoundError as problem:
                if is_elsewhere(problem):
                    raise
                return None

    def state(self, name: str) -> JobState:
        found = self.find(name)
        if found is None:
            raise SsError(
                f"{self.place.shown}: there is no job `{name}`", "`ss train status` shows those that were sent"
            )
        return found

    def submit(self, spec: JobSpec, snapshot: Path) -> JobState:
        """Send a job with its code; one of the same name that somebody sent meanwhile is the same job."""
        from azure.core.exceptions import HttpResponseError

        with translated(self.place.shown):
            try:
                return _state(self._client.jobs.create_or_update(to_job(spec, snapshot)))
            except HttpResponseError as problem:
                found = self.find(spec.name) if problem.status_code == 409 else None
                if found is None:
                    raise
                return found

    def details(self, name: str) -> Details:
        with translated(self.place.shown):
            found = self._client.jobs._runs_operations.get_run_details(name)
        error = getattr(getattr(found.error, "error", None), "message", None) or ""
        return Details(str(found.status or ""), str(error), (found.log_files or {}).get(LOG))

    def log(self, details: Details, start: int) -> bytes:
        """What was added to a log since `start`."""
        if details.log is None:
            return b""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
        from azure.storage.blob import BlobClient

        with translated(self.place.shown):
            try:
                blob = BlobClient.from_blob_url(details.log, retry_total=self._settings.retries)
                return bytes(blob.download_blob(offset=start).readall())
            except ResourceNotFoundError:
                return b""
            except HttpResponseError as problem:
                if problem.status_code == 416:  # nothing was added
                    return b""
                raise

    def outputs(self, name: str) -> tuple[Blob, ...]:
        """Every output that a job left, as the store lists it now."""
        prefix = f"ExperimentRun/dcid.{name}/outputs/"
        with translated(self.place.shown):
            listed = self._container(ARTIFACTS)[1].list_blobs(name_starts_with=prefix)
            found = [Blob(one.name.removeprefix(prefix), one.size, one.etag, one.name) for one in listed]
        return tuple(sorted(found, key=lambda blob: blob.path))

    def read(self, blob: Blob) -> bytes:
        """A small output as a whole."""
        if blob.size > MOST_READ:
            raise SsError(f"{blob.path} is too large to be what it should be", "nothing was registered")
        return b"".join(self._pieces(blob, 0))

    def download(self, blob: Blob, sink: BinaryIO, start: int, advance: Advance) -> None:
        """The rest of an output from `start` on. What came before a line broke is in `sink`."""
        for piece in self._pieces(blob, start):
            sink.write(piece)
            advance(len(piece))

    def _pieces(self, blob: Blob, start: int) -> Any:
        from azure.core import MatchConditions

        _, store = self._container(ARTIFACTS)
        for at in range(start, blob.size, PIECE):
            length = min(PIECE, blob.size - at)
            with translated(f"{self.place.shown}: `{blob.path}`"):
                reader = store.download_blob(
                    blob.name, offset=at, length=length, etag=blob.etag, match_condition=MatchConditions.IfNotModified
                )
                piece = bytes(reader.readall())
            if len(piece) != length:
                raise NetworkLostError(f"{self.place.shown}: `{blob.path}` came short")
            yield piece

    def put_data(self, digest: str, files: Mapping[str, tuple[Path, str]], advance: Advance) -> Uploaded:
        """Files by name, with their digests, into the workspace's own store; what is there already is not sent."""
        with translated(self.place.shown):
            name, store = self._default_store()
            sent = 0
            for file, (path, sha256) in files.items():
                sent += self._put(store.get_blob_client(f"{DATA}/{digest}/{file}"), path, sha256, advance)
        return Uploaded(f"azureml://datastores/{name}/paths/{DATA}/{digest}/", sent)

    def _put(self, blob: Any, path: Path, sha256: str, advance: Advance) -> int:
        from azure.core.exceptions import ResourceNotFoundError

        size = path.stat().st_size
        try:
            there = blob.get_blob_properties()
            if there.size == size and there.metadata.get("sha256") == sha256:
                advance(size)
                return 0
        except ResourceNotFoundError:
            """It has to be sent."""
        done = 0

        def told(now: int, _whole: int | None) -> None:
            nonlocal done
            advance(now - done)
            done = now

        with path.open("rb") as source:
            blob.upload_blob(
                source, length=size, overwrite=True, metadata={"sha256": sha256}, progress_hook=told, max_concurrency=2
            )
        if file_digest(path) != sha256:
            blob.delete_blob()  # what is there is not what its name says
            raise SsError("the data changed while it was sent", "run it again: it is then another job")
        return size

    def cancel(self, name: str) -> None:
        with translated(self.place.shown):
            self._client.jobs.begin_cancel(name)

    def archive(self, name: str) -> None:
        with translated(self.place.shown):
            self._client.jobs.archive(name)

    def _default_store(self) -> tuple[str, Any]:
        store = self._client.datastores.get_default(include_secrets=True)
        return str(store.name), self._opened(store)

    def _container(self, store: str) -> tuple[str, Any]:
        if store not in self._containers:
            found = self._client.datastores.get(store, include_secrets=True)
            self._containers[store] = (str(found.name), self._opened(found))
        return self._containers[store]

    def _opened(self, store: Any) -> Any:
        """With the token or key that the workspace lends, else as whoever is logged in."""
        told = store.credentials
        secret = getattr(told, "sas_token", None) or getattr(told, "account_key", None) or self._login
        url = f"{store.protocol}://{store.account_name}.blob.{store.endpoint}"
        return container(url, store.container_name, secret, self._settings)


def _state(job: Any) -> JobState:
    archived = getattr(job, "is_archived", None) or False
    status = str(getattr(job.status, "value", job.status) or "")
    return JobState(str(job.name), status, str(job.experiment_name or ""), bool(archived))
