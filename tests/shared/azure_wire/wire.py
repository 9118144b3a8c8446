"""The wire: a proxy that ends TLS for Azure's addresses with a certificate of its own, and can be told to fail."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import trustme

HOSTS = ("login.microsoftonline.com", "management.azure.com", "westeurope.api.azureml.ms", "*.blob.core.windows.net")
PIECE = 1 << 16
_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "date", "server"})


@dataclass(frozen=True)
class Request:
    """What a client asked: the path without its query, the query as it was signed."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")

    @property
    def address(self) -> str:
        return f"{self.method} {self.host}{self.path}"


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the requests whose `METHOD host/path` matches, `times` times from now, after `after` others.

    `answer` is sent instead; `cut` ends the connection after so many bytes of the body (0: before anything is said);
    `change` has the last word on a body that was fine.
    """

    where: str
    times: int = 1_000_000
    after: int = 0
    answer: Answer | None = None
    cut: int | None = None
    change: Callable[[bytes], bytes] | None = None
    met: int = 0

    def strikes(self, request: Request) -> bool:
        if not re.search(self.where, f"{request.address}?{request.query}"):
            return False
        self.met += 1
        return self.after < self.met <= self.after + self.times


Serve = Callable[[Request], Answer | None]


@dataclass
class Wire:
    """Where the proxy listens, what came by, and what is to go wrong. `serve` answers; None means: ask the blobs."""

    port: int
    authority: Path
    blobs: int
    serve: Serve
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    context: Any = None

    def fault(self, request: Request) -> Fault | None:
        with self.lock:
            self.seen.append(f"{request.address}?{request.query}")
            return next((one for one in self.faults if one.strikes(request)), None)

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Things go wrong while the block runs."""
        self.faults.extend(faults)
        try:
            yield
        finally:
            self.faults.clear()

    def env(self) -> dict[str, str]:
        """How a program is led here."""
        proxy = f"http://127.0.0.1:{self.port}"
        return {"HTTPS_PROXY": proxy, "NO_PROXY": "", "no_proxy": "", "REQUESTS_CA_BUNDLE": str(self.authority)}


@contextmanager
def listening(folder: Path, blobs: int, serve: Serve) -> Iterator[Wire]:
    """The proxy while the block runs."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    server = _Proxy(("127.0.0.1", 0), _Connect)
    wire = server.wire = Wire(server.server_address[1], bundle, blobs, serve, context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Proxy(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    wire: Wire

    def handle_error(self, *_words: object) -> None:
        """A client that went away is what some tests are about."""


class _Connect(StreamRequestHandler):
    """`CONNECT host:443`, then TLS as that host, then HTTP."""

    def handle(self) -> None:
        wire: Wire = self.server.wire  # type: ignore[attr-defined]
        words = self.rfile.readline().split()
        while self.rfile.readline().strip():
            """Headers of the proxy's own say nothing here."""
        host = words[1].decode().partition(":")[0] if len(words) == 3 and words[0] == b"CONNECT" else ""
        if not any(re.fullmatch(one.replace(".", r"\.").replace("*", "[a-z0-9]+"), host) for one in HOSTS):
            wire.strangers.append(host or repr(words))
            self.wfile.write(b"HTTP/1.1 502 no such address in these tests\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with suppress(OSError), wire.context.wrap_socket(self.connection, server_side=True) as secure:
            secure.host = host
            _Http(secure, self.client_address, self.server)


class _Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def _answer(self) -> None:
        wire: Wire = self.server.wire  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.connection.host, path, query, headers, self._body())  # type: ignore[attr-defined]
        fault = wire.fault(request)
        if fault and fault.answer:
            self._send(fault.answer)
        elif fault and fault.cut == 0:
            self._hang_up()
        else:
            answer = wire.serve(request) or _passed_on(request, wire.blobs)
            if fault and fault.change:
                answer = Answer(answer.status, fault.change(answer.body), answer.headers)
            self._send(answer, fault.cut if fault else None)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, answer: Answer, cut: int | None = None) -> None:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        length = kept.pop("Content-Length", None) or kept.pop("content-length", None)
        self.send_response(answer.status)
        for name, value in kept.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body if cut is None else answer.body[:cut])
        if cut is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _answer  # noqa: N815 - the standard library's names

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


def _passed_on(request: Request, port: int) -> Answer:
    """To the store, which reads the account from the host's name, as the real one does."""
    headers = {name: value for name, value in request.headers.items() if name not in _HOP}
    target = request.path + (f"?{request.query}" if request.query else "")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(request.method, target, request.body, headers)
        got = connection.getresponse()
        return Answer(got.status, got.read(), dict(got.getheaders()))
    finally:
        connection.close()
