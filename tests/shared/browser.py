"""A real browser without a window, spoken to over its own protocol: what it drew, asked for and complained of.

The protocol is JSON over a websocket; the few bytes of framing are written here, so that the tests need no package.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
PATIENCE = 60.0
# Higher than that no picture is taken: the graphics of a machine end there.
MOST_HIGH = 16_000
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)


class Browser:
    """One page of it. `requests` are all addresses it asked for, `complaints` all that stood on its console."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._number = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command and its answer; what happens meanwhile is noted."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]))
            case "Page.loadEventFired":
                self._loaded = True

    def open(self, page: Path) -> None:
        """Go there, and wait until all of it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._note(json.loads(self._receive()))

    def look(self, width: int, *, dark: bool = False, paper: bool = False) -> None:
        """Take the width of a phone or a desk, the reader's liking, or paper."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        liking = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=liking)

    def ask(self, expression: str) -> Any:
        """What an expression of JavaScript is, in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], MOST_HIGH), "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def _send(self, text: str) -> None:
        payload = text.encode("utf-8")
        size = len(payload)
        head = bytes([0x81]) + (bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack(">H", size))
        mask = os.urandom(4)
        self._connection.sendall(head + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(payload)))

    def _receive(self) -> bytes:
        """One whole message; the browser may cut it into frames."""
        message = b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._take(8))
            message += self._take(size)
            if first & 0x80:
                return message

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            more = self._connection.recv(1 << 16)
            if not more:
                raise ConnectionError("the browser is gone")
            self._buffer += more
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


@contextmanager
def browsing(program: str) -> Iterator[Browser]:
    """A browser of its own, with a folder of its own, gone when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="browser"))
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = _port(folder / "DevToolsActivePort", process)
        page = _page(port)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            _shake_hands(connection, port, page)
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def _port(note: Path, process: subprocess.Popen[bytes]) -> int:
    """The browser writes the port that it chose into its folder."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the browser ended by itself"
        if note.exists() and (lines := note.read_text("utf-8").splitlines()):
            return int(lines[0])
        time.sleep(0.02)
    raise TimeoutError("the browser did not begin to listen")


def _page(port: int) -> str:
    """Where its one page listens. No proxy of the environment stands between."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/json/list")
    found = next(one for one in json.load(connection.getresponse()) if one["type"] == "page")
    connection.close()
    return str(found["webSocketDebuggerUrl"]).split(str(port), 1)[1]


def _shake_hands(connection: socket.socket, port: int, path: str) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert b" 101 " in answer.split(b"\r\n", 1)[0], answer
