"""Keys that others named: read where their own tools look for them, never kept by us, never shown.

Amazon's keys are not here: its library reads `AWS_…` and `~/.aws` by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class AzureStorageKey:
    """What opens a storage account without a login; nothing of both means that somebody is logged in."""

    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def azure_storage_key(environ: Mapping[str, str] | None = None) -> AzureStorageKey:
    """The variables of the `az storage` commands. A token may do less than the key, so it goes first."""
    variables = os.environ if environ is None else environ
    token = variables.get("AZURE_STORAGE_SAS_TOKEN") or None
    return AzureStorageKey(None if token else variables.get("AZURE_STORAGE_KEY") or None, token)


def azure_login(environ: Mapping[str, str] | None = None) -> str:
    """Which kind of login Azure's library will come to first, in its own order; found without asking anybody."""
    variables = os.environ if environ is None else environ
    known = {name for name, value in variables.items() if value}
    if {"AZURE_CLIENT_ID", "AZURE_TENANT_ID"} <= known:
        if "AZURE_CLIENT_SECRET" in known or "AZURE_CLIENT_CERTIFICATE_PATH" in known:
            return "service principal"
        if "AZURE_FEDERATED_TOKEN_FILE" in known:
            return "workload identity"
    if known & {"IDENTITY_ENDPOINT", "MSI_ENDPOINT"}:
        return "managed identity"
    return "login of this machine"


# What a job's list of results is signed with; it is made for that job alone and opens nothing else.
JOB_KEY = "SS_JOB_KEY"


def job_key(environ: Mapping[str, str] | None = None) -> bytes | None:
    """The key that a job was given, where signatures are asked for."""
    given = (os.environ if environ is None else environ).get(JOB_KEY)
    return given.encode("ascii") if given else None
