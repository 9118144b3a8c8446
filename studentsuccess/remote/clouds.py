"""Object stores: S3 and what speaks like it, and Azure containers, through the clients that come with pyarrow.

Their errors are pages of text with request ids in it. What a user reads is one of our sentences, chosen by the
error's code; the text itself is never shown, because it may repeat a key's name or a signed address.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

import pyarrow as pa
from pyarrow import fs

from studentsuccess.config.credentials import AzureStorageKey
from studentsuccess.errors import SsError, UsageError
from studentsuccess.remote.stores import MOST_READ, Stored, chunks, digest_of, no_access

Result = TypeVar("Result")
# How often Amazon's client tries; Azure's has the same number built in.
ATTEMPTS = 3
_AGAIN = "run it again: what has arrived is not sent twice"


@dataclass(frozen=True)
class Words:
    """What is said about a kind of store."""

    scheme: str
    container: str
    keys: str
    where: str


S3 = Words(
    "s3",
    "bucket",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "see whether `publish.endpoint_url` and the network are right",
)
AZURE = Words(
    "az",
    "container",
    "log in with `az login`, or set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN",
    "see whether `publish.azure_account_url` and the network are right",
)


@dataclass(frozen=True)
class Cloud:
    """A prefix in a bucket or a container. `patience` is for clients that know no end of waiting."""

    words: Words
    filesystem: Any = field(repr=False)
    container: str
    prefix: str
    patience: float | None = None

    @property
    def shown(self) -> str:
        return f"{self.words.scheme}://{self._root}"

    @property
    def _root(self) -> str:
        return f"{self.container}/{self.prefix}".rstrip("/")

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    def uri(self, name: str) -> str:
        return f"{self.words.scheme}://{quote(self._key(name))}"

    def admit(self) -> None:
        """A look at one folder: it needs the address, the keys and the bucket, and its answers tell them apart."""
        if self.words is AZURE:
            found = self._call(lambda: self.filesystem.get_file_info(self.container))
            if found.type is fs.FileType.NotFound:
                raise _no_container(self.words, self.container)
        with suppress(FileNotFoundError):
            self._call(lambda: self.filesystem.get_file_info(fs.FileSelector(self._key("outputs"))))

    def stat(self, name: str) -> Stored | None:
        with self._open(name) as there:
            if there is None:
                return None
            told = self._call(there.metadata)
            return Stored(there.size(), (told.get("ETag") or told.get(b"ETag") or b"").decode().strip('"'))

    def read(self, name: str) -> bytes | None:
        with self._open(name) as there:
            return bytes(self._call(there.read)) if there is not None and there.size() <= MOST_READ else None

    def digest(self, name: str) -> str | None:
        with self._open(name) as there:
            return None if there is None else digest_of(lambda size: self._call(lambda: there.read(size)))

    def put(self, name: str, source: BinaryIO, media_type: str) -> None:
        """Reading our own file is no call: a disk's refusal is not the store's."""
        key, told = self._key(name), {"Content-Type": media_type}
        sink = self._call(lambda: self.filesystem.open_output_stream(key, metadata=told))
        for chunk in chunks(source.read):
            self._call(partial(sink.write, chunk))
        self._call(sink.close)

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        """What stands there, to be read or asked; nothing where there is none."""
        try:
            there = self._call(lambda: self.filesystem.open_input_file(self._key(name)))
        except FileNotFoundError:
            yield None
            return
        with there:
            yield there

    def _call(self, work: Callable[[], Result]) -> Result:
        try:
            return work() if self.patience is None else _within(self.patience, work)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as problem:
            raise _said(self, str(problem)) from problem


def _within(seconds: float, work: Callable[[], Result]) -> Result:
    """What a call gives, if it gives anything in time. A thread that hangs in a client is left to the process's end."""
    answer: Future[Result] = Future()

    def answered() -> None:
        try:
            answer.set_result(work())
        except BaseException as problem:
            answer.set_exception(problem)

    threading.Thread(target=answered, name="ss-store", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise OSError("timed out") from None


def _no_container(words: Words, name: str) -> SsError:
    hint = f"make it, or name another: `--to {words.scheme}://{words.container.upper()}/PREFIX`"
    return no_access(f"there is no {words.container} `{name}`", hint)


_CODE = re.compile(r"AWS Error ([A-Z_]+)|HTTP status (\d+)|Azure Error: \[(\w+)\]")
_NO_CONTAINER = {"NO_SUCH_BUCKET", "ContainerNotFound"}
# What the store says, and what that means: an end for the sentence `s3://…: `.
_REFUSED = {
    "INVALID_ACCESS_KEY_ID": "the key is unknown there",
    "INVALID_CLIENT_TOKEN_ID": "the key is unknown there",
    "UNRECOGNIZED_CLIENT": "the key is unknown there",
    "SIGNATURE_DOES_NOT_MATCH": "the secret does not belong to the key",
    "EXPIRED_TOKEN": "the login has expired",
    "MISSING_AUTHENTICATION_TOKEN": "it asks for a key, and there is none",
    "ACCESS_DENIED": "access is denied",
    "REQUEST_TIME_TOO_SKEWED": "this machine's clock is wrong, so its signature is not accepted",
    "AuthenticationFailed": "the key is wrong",
    "AuthorizationFailure": "access is denied",
    "AuthorizationPermissionMismatch": "access is denied",
    "InvalidAuthenticationInfo": "the key is wrong",
    "NoAuthenticationInformation": "it asks for a key, and there is none",
}
_TROUBLE = {
    "INTERNAL_FAILURE",
    "SERVICE_UNAVAILABLE",
    "SLOW_DOWN",
    "THROTTLING",
    "500",
    "503",
    "InternalError",
    "ServerBusy",
}
_ELSEWHERE = {"301", "307", "PERMANENT_REDIRECT", "AUTHORIZATION_HEADER_MALFORMED"}
_NETWORK = (
    (r"Could not resolve", "its address is not known"),
    (r"Timeout was reached|too slow|timed out", "it does not answer in time"),
    (r"SSL|certificate|TLS", "no secure connection could be made"),
    (r"Fail(ed)? to (connect|get a new connection)|Could not connect", "nothing listens there"),
    (r"NETWORK_CONNECTION|curlCode|Azure Error: \[\]|onnection", "the connection broke"),
)


def _said(store: Cloud, text: str) -> SsError:
    """One of our sentences for one of theirs."""
    found = _CODE.search(text)
    code = next((group for group in found.groups() if group), "") if found else ""
    if code in _NO_CONTAINER:
        return _no_container(store.words, store.container)
    if code in _REFUSED:
        return no_access(f"{store.shown}: {_REFUSED[code]}", store.words.keys)
    if code in _ELSEWHERE:
        return no_access(f"{store.shown}: the bucket is in another region", "name it: `--set publish.s3_region=REGION`")
    if code in _TROUBLE:
        return no_access(f"{store.shown}: the server has trouble of its own ({code})", _AGAIN)
    if re.search(r"AuthenticationException|[Cc]redential", text):
        return no_access(f"{store.shown}: nobody is logged in", store.words.keys)
    for pattern, meaning in _NETWORK:
        if code in ("", "NETWORK_CONNECTION") and re.search(pattern, text):
            return no_access(f"{store.shown}: {meaning}", f"{store.words.where}, then {_AGAIN}")
    return no_access(f"{store.shown}: the store refused{f' ({code})' if code else ''}", _AGAIN)


def s3(bucket: str, prefix: str, region: str | None, endpoint: str | None, timeout: float) -> Cloud:
    """Keys come from where Amazon's tools look: variables, `~/.aws`, the machine's role."""
    filesystem = fs.S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        scheme=urlsplit(endpoint).scheme if endpoint else "https",
        connect_timeout=timeout,
        request_timeout=timeout,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,
        background_writes=False,
    )
    return Cloud(S3, filesystem, bucket, prefix)


def azure(container: str, prefix: str, account_url: str, key: AzureStorageKey, timeout: float) -> Cloud:
    """With a key or a token that is set, else as whoever is logged in."""
    try:
        from pyarrow.fs import AzureFileSystem
    except ImportError:
        raise UsageError(
            "the pyarrow that is installed here can't speak to Azure", 'run `python -m pip install -U "pyarrow>=24"`'
        ) from None
    account, places = _account(account_url)
    filesystem = AzureFileSystem(account, account_key=key.key, sas_token=key.token, **places)
    return Cloud(AZURE, filesystem, container, prefix, timeout * ATTEMPTS)


def _account(url: str) -> tuple[str, dict[str, str]]:
    """The account and its two services: in the host's name as Azure has it, or in the path as an emulator does."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    account, _, rest = parts.netloc.partition(".")
    services = (parts.netloc, parts.netloc) if path else (f".{rest}", f".{rest.replace('blob', 'dfs', 1)}")
    blob, lake = services
    return path or account, {
        "blob_storage_authority": blob,
        "dfs_storage_authority": lake,
        "blob_storage_scheme": parts.scheme,
        "dfs_storage_scheme": parts.scheme,
    }
