"""The storage account behind the workspace: Azurite in memory, and the tokens that Azure would sign for it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azurite_program import started

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
def azurite(needs: Callable[..., str]) -> Iterator[Blobs]:
    """The store while the block runs. Without Node.js the test is skipped, and in CI it fails."""
    with started(needs, "--inMemoryPersistence", env={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}) as port:
        yield Blobs(port)
