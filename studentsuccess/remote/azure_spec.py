"""A job in our words, and in those of Azure's library."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from studentsuccess.config.credentials import JOB_KEY
from studentsuccess.remote.azure_client import library

MASK = "********"
# The code is not there yet when a plan is shown.
SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class DataInput:
    """What a job reads: an address that Azure knows, of one file or of a folder."""

    uri: str
    kind: Literal["uri_file", "uri_folder"]


@dataclass(frozen=True)
class JobSpec:
    """All that a job is. `command` names the data as `${{inputs.data}}`."""

    name: str
    display_name: str
    experiment: str
    command: str
    data: DataInput
    compute: str | None
    image: str
    python: str
    requirements: tuple[str, ...]
    max_seconds: int
    tags: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def yaml(self) -> str:
        """As `az ml job create` would take it; a key in it is masked."""
        hidden = {name: MASK if name == JOB_KEY else value for name, value in self.environment.items()}
        sink = io.StringIO()
        to_job(replace(self, environment=hidden), Path(SNAPSHOT))._to_job().dump(sink)
        return sink.getvalue()


def to_job(spec: JobSpec, snapshot: Path) -> Any:
    """As Azure's library has it."""
    sdk = library()
    packages = ["pip", {"pip": list(spec.requirements)}]
    conda = {
        "name": "studentsuccess",
        "channels": ["conda-forge"],
        "dependencies": [f"python={spec.python}", *packages],
    }
    made = sdk.command(
        name=spec.name,
        display_name=spec.display_name,
        experiment_name=spec.experiment,
        command=spec.command,
        code=str(snapshot),
        environment=sdk.Environment(image=spec.image, conda_file=conda),
        inputs={"data": sdk.Input(type=spec.data.kind, path=spec.data.uri, mode="download")},
        compute=spec.compute,
        environment_variables=dict(spec.environment) or None,
        tags=dict(spec.tags),
    )
    made.set_limits(timeout=spec.max_seconds)
    return made
