"""Everything together: what a test holds in its hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure_wire.azurite import Blobs, azurite
from azure_wire.node import ARTIFACTS, Node
from azure_wire.service import CLIENT, SECRET, Service
from azure_wire.state import COMPUTE, GROUP, NAME, SUBSCRIPTION, TENANT, Job, State
from azure_wire.wire import Wire, listening

LISTING = "ss_manifest.json"


@dataclass
class Cloud:
    """The workspace, its machine and the line to it."""

    state: State
    blobs: Blobs
    service: Service
    node: Node
    wire: Wire

    def env(self) -> dict[str, str]:
        """What a shell of somebody who works with this workspace has set."""
        login = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
        place = {
            "SS_AZURE__SUBSCRIPTION_ID": SUBSCRIPTION,
            "SS_AZURE__RESOURCE_GROUP": GROUP,
            "SS_AZURE__WORKSPACE": NAME,
            "SS_AZURE__COMPUTE": COMPUTE,
            "SS_AZURE__POLL_SECONDS": "0.5",
        }
        return {**self.wire.env(), **login, **place}

    def job(self, name: str) -> Job:
        return self.state.jobs[name]

    def outputs(self, name: str) -> dict[str, bytes]:
        """What a job left, by path below its `outputs`."""
        prefix = f"{self.job(name).prefix}outputs/"
        return {one.removeprefix(prefix): self.blobs.get(ARTIFACTS, one) for one in self.blobs.names(ARTIFACTS, prefix)}

    def put_output(self, name: str, path: str, content: bytes) -> None:
        self.blobs.put(ARTIFACTS, f"{self.job(name).prefix}outputs/{path}", content)

    def delete_output(self, name: str, path: str) -> None:
        self.blobs.delete(ARTIFACTS, f"{self.job(name).prefix}outputs/{path}")

    def twin(self, name: str, copy: str) -> None:
        """Another job that ended just as this one did, to be tampered with."""
        self.state.jobs[copy] = Job(copy, dict(self.job(name).properties), "Completed")
        self.state.jobs[copy].ended.set()
        for path, content in self.outputs(name).items():
            same = content.replace(name.encode(), copy.encode()) if path == LISTING else content
            self.put_output(copy, path, same)


@contextmanager
def running(folder: Path, needs: Callable[..., str]) -> Iterator[Cloud]:
    """The cloud while the block runs."""
    with azurite(needs) as blobs:
        state = State()
        for container in (ARTIFACTS, "azureml-blobstore-1"):
            blobs.container(container)
        node = Node(folder / "node", state, blobs)
        service = Service(state, blobs, node.start)
        try:
            with listening(folder, blobs.port, service) as wire:
                yield Cloud(state, blobs, service, node, wire)
        finally:
            node.close()
