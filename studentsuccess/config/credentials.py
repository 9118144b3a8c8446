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
