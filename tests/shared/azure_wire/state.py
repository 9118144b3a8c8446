"""What the workspace knows: its stores, snapshots, environments and jobs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

SUBSCRIPTION = "5c8001ab-0000-4000-8000-000000000001"
GROUP, NAME, COMPUTE = "school", "risk", "cpu-small"
TENANT = "7e4a0000-0000-4000-8000-000000000002"
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
WORKSPACE = f"{GROUP_ID}/providers/Microsoft.MachineLearningServices/workspaces/{NAME}"
# The two stores that every workspace comes with: for what users put there, and for what runs leave.
STORES = {"workspaceblobstore": "azureml-blobstore-1", "workspaceartifactstore": "azureml"}
TERMINAL = ("Completed", "Failed", "Canceled")


@dataclass
class Job:
    """One job: what was asked for, how far it is, what went wrong."""

    name: str
    properties: dict[str, Any]
    status: str = "Queued"
    error: dict[str, Any] | None = None
    hidden: bool = False
    history: list[str] = field(default_factory=lambda: ["Queued"])
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def prefix(self) -> str:
        return f"ExperimentRun/dcid.{self.name}/"

    def move(self, status: str) -> None:
        self.status = status
        self.history.append(status)
        if status in TERMINAL:
            self.ended.set()


@dataclass
class State:
    """Everything, behind one lock."""

    jobs: dict[str, Job] = field(default_factory=dict)
    codes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pending: dict[tuple[str, str], str] = field(default_factory=dict)
    environments: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
