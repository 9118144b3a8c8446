"""Azurite, Microsoft's own emulator of blobs: installed by the tests into .cache/, started in memory."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from filelock import FileLock
from real_store import ended, free_port, wait_for

VERSION = "3.35.0"
ACCOUNT = "schoolstore"
# The key of a store that lives in memory for one test session.
KEY = base64.b64encode(b"a key of the tests, and of nothing else: " * 2)[:88].decode()
HOST = f"{ACCOUNT}.blob.core.windows.net"


@dataclass(frozen=True)
class Blobs:
    """The storage account behind the workspace, seen from inside: no proxy, the account's own key."""

    port: int

    def container(self, name: str) -> Any:
        from azure.storage.blob import BlobServiceClient

        url = f"http://127.0.0.1:{self.port}/{ACCOUNT}"
        client = BlobServiceClient(url, credential=KEY, retry_total=2).get_container_client(name)
        if not client.exists():
            client.create_container()
        return client

    def put(self, container: str, name: str, content: bytes) -> None:
        self.container(container).upload_blob(name, content, overwrite=True)

    def get(self, container: str, name: str) -> bytes:
        return bytes(self.container(container).download_blob(name).readall())

    def names(self, container: str, prefix: str = "") -> list[str]:
        return [one.name for one in self.container(container).list_blobs(name_starts_with=prefix)]

    def delete(self, container: str, name: str) -> None:
        self.container(container).delete_blob(name)


def container_token(container: str) -> str:
    """A signed token for one container, as `listSecrets` and `startPendingUpload` give one."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    may = ContainerSasPermissions(read=True, list=True, add=True, create=True, write=True, delete=True)
    return str(generate_container_sas(ACCOUNT, container, KEY, permission=may, expiry=_later()))


def blob_token(container: str, name: str) -> str:
    """A signed token to read one blob, as logs come with."""
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    may = BlobSasPermissions(read=True)
    return str(generate_blob_sas(ACCOUNT, container, name, account_key=KEY, permission=may, expiry=_later()))


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=2)


@contextmanager
def azurite(root: Path, needs: Callable[..., str]) -> Iterator[Blobs]:
    """The store while the block runs. Without Node.js the test is skipped, and in CI it fails."""
    node, program = needs("node"), _installed(root, needs)
    port = free_port()
    words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    started = subprocess.Popen(
        [node, program, *words, "--silent", "--disableTelemetry"],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ended(started) as process:
        wait_for(port, process)
        yield Blobs(port)


def _installed(root: Path, needs: Callable[..., str]) -> Path:
    """Where this version is, installed by the first who asks; npm is asked for it once."""
    folder = root / ".cache" / f"azurite-{VERSION}"
    program = folder / "node_modules/azurite/dist/src/blob/main.js"
    if not program.exists():
        npm = needs("npm")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not program.exists():
                part = folder.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                words = ["--no-audit", "--no-fund", "--loglevel=error", f"azurite@{VERSION}"]
                done = subprocess.run([npm, "install", "--prefix", part, *words], capture_output=True, check=False)
                if done.returncode:
                    _without(needs, f"npm could not install azurite {VERSION}")
                part.rename(folder)
    return program


def _without(needs: Any, reason: str) -> NoReturn:
    """As for a program that is missing: no test where nobody has a network, but in CI there is no gap."""
    if needs.strict:
        pytest.fail(f"{reason}, and CI=true allows no gap", pytrace=False)
    pytest.skip(reason)
