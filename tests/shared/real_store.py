"""Object stores of the tests' own, over real HTTP on this machine: one that speaks S3, one that speaks Azure.

Between a client and the S3 one a test may put a `Front`, which passes everything on and can be told to misbehave.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import azurite_program
import pytest
from servers import ended, free_port, wait_for

REGION = "eu-west-1"
# The account that every Azurite has (its documentation names it): no secret.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_numbers = count(1)


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the keys of the one user who may do anything there."""

    port: int
    key: str
    secret: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self, *, key: str | None = None, secret: str | None = None, url: str | None = None) -> dict[str, str]:
        """What a shell that uses it has set, and nothing of this machine's."""
        return {
            "AWS_ACCESS_KEY_ID": key or self.key,
            "AWS_SECRET_ACCESS_KEY": secret or self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SS_PUBLISH__ENDPOINT_URL": url or self.url,
            "SS_PUBLISH__S3_REGION": REGION,
            "SS_PUBLISH__TIMEOUT_SECONDS": "2",
        }

    def client(self) -> Any:
        """Amazon's own client: what it sees is what is there."""
        return _client("s3", self.port, self.key, self.secret)

    def bucket(self) -> str:
        """A bucket of the test's own."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Everything below a prefix, without it."""
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            one["Key"].removeprefix(prefix).lstrip("/"): client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            for one in found
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """The server while the block runs; it checks signatures from the moment its user is made."""
    pytest.importorskip("moto", reason="the tests' S3 server is moto: `pip install 'moto[s3]' flask flask-cors`")
    pytest.importorskip("flask_cors", reason="the tests' S3 server needs flask and flask-cors")
    port = free_port()
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        (folder / "moto.log").open("wb") as log,
        ended(
            subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                env=env,
                stdout=log,
                stderr=log,
            )
        ) as process,
    ):
        wait_for(port, process)
        iam = _client("iam", port, "anybody", "at-first")
        iam.create_user(UserName="publisher")
        made = iam.create_access_key(UserName="publisher")["AccessKey"]
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="publisher", PolicyName="all", PolicyDocument=json.dumps(allowed))
        yield S3Server(port, made["AccessKeyId"], made["SecretAccessKey"], process)


def _client(service: str, port: int, key: str, secret: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@dataclass(frozen=True)
class AzureServer:
    """Where it listens; every test takes a container of its own."""

    port: int

    @property
    def account_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{AZURITE_ACCOUNT}"

    def env(self, key: str = AZURITE_KEY) -> dict[str, str]:
        return {"AZURE_STORAGE_KEY": key, "SS_PUBLISH__AZURE_ACCOUNT_URL": self.account_url}

    def files(self) -> Any:
        from pyarrow.fs import AzureFileSystem

        here = f"127.0.0.1:{self.port}"
        return AzureFileSystem(
            AZURITE_ACCOUNT,
            account_key=AZURITE_KEY,
            blob_storage_authority=here,
            dfs_storage_authority=here,
            blob_storage_scheme="http",
            dfs_storage_scheme="http",
        )

    def container(self) -> str:
        name = f"container-{os.getpid()}-{next(_numbers)}"
        self.files().create_dir(name)
        return name

    def objects(self, container: str, prefix: str = "") -> dict[str, bytes]:
        from pyarrow.fs import FileSelector, FileType

        files = self.files()
        root = f"{container}/{prefix}".rstrip("/")
        found = files.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
        return {
            one.path.removeprefix(root).lstrip("/"): files.open_input_stream(one.path).read()
            for one in found
            if one.type is FileType.File
        }


@contextmanager
def azure_server(folder: Path, needs: Callable[..., str]) -> Iterator[AzureServer]:
    """Azurite while the block runs."""
    with azurite_program.started(needs, "--location", str(folder)) as port:
        yield AzureServer(port)


@dataclass
class Front:
    """Stands before a server and passes on, unless a test's rule says otherwise.

    A rule sees the method, the key and how many requests of the method came so far (this one counts), and answers
    None (pass it on), "drop" (close the line), a status such as "503", or "flip" (change a byte of the body).
    """

    port: int
    behind: int
    rule: Callable[[str, str, int], str | None] = lambda _method, _key, _number: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def puts(self) -> list[str]:
        """The keys of everything that was sent, in order."""
        return [key for method, key in self.seen if method == "PUT"]

    def number(self, method: str, key: str) -> int:
        with self._lock:
            self.seen.append((method, key))
            return sum(one == method for one, _ in self.seen)


@contextmanager
def front(server: S3Server) -> Iterator[Front]:
    """A front while the block runs; at its end it is gone, and whoever calls finds nobody."""
    listening = _Listening(("127.0.0.1", 0), _Passing)
    before = listening.front = Front(listening.server_address[1], server.port)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield before
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    front: Front

    def handle_error(self, *_words: object) -> None:
        """A client that was killed is what some tests are about."""


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        before: Front = self.server.front  # type: ignore[attr-defined]
        body, key = self._body(), self.path.partition("?")[0]
        answer = before.rule(self.command, key, before.number(self.command, key))
        self.close_connection = True
        if answer and answer.isdecimal():
            self.send_response(int(answer))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif answer != "drop":
            self._forward(_flipped(body) if answer == "flip" else body, before.behind)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """Lines that follow the last chunk."""
        return body

    def _forward(self, body: bytes, port: int) -> None:
        to = http.client.HTTPConnection("127.0.0.1", port)
        apart = ("expect", "transfer-encoding", "content-length", "connection")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in apart}
        to.request(self.command, self.path, body, headers | {"Connection": "close"})
        got = to.getresponse()
        content = got.read()
        self.send_response(got.status)
        for name, value in got.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        to.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - the standard library's names

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


def _flipped(body: bytes) -> bytes:
    """One bit of the content changed; a body may come as chunks with their sizes before them."""
    at = body.index(b"\r\n") + 2 if b"\r\n" in body[:32] else 0
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
