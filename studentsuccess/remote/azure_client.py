"""Azure's library, and what it must not do here: print, warn, ask git, send telemetry, try forever."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from studentsuccess.config.schema import AzureSettings
from studentsuccess.errors import UsageError
from studentsuccess.remote.azure_errors import LOGIN, no_access, not_installed

_LOUD = ("azure", "msal", "msrest", "urllib3", "opentelemetry")


@dataclass(frozen=True)
class Place:
    """An Azure ML workspace."""

    subscription: str
    group: str
    workspace: str

    @property
    def shown(self) -> str:
        return f"azure:{self.group}/{self.workspace}"

    @property
    def whole(self) -> str:
        return f"{self.subscription}/{self.group}/{self.workspace}"


def place_of(settings: AzureSettings) -> Place:
    """The workspace that the settings name; every part of it must be said."""
    parts = {
        "azure.subscription_id": settings.subscription_id,
        "azure.resource_group": settings.resource_group,
        "azure.workspace": settings.workspace,
    }
    missing = [key for key, value in parts.items() if not value]
    if missing:
        raise UsageError(
            f"nobody said which Azure ML workspace: `{'`, `'.join(missing)}` {'is' if len(missing) == 1 else 'are'} not"
            " set",
            f"set it in config.toml, or here: {' '.join(f'`--set {key}=…`' for key in missing)}",
        )
    return Place(*(str(value) for value in parts.values()))


@cache
def library() -> Any:
    """What we use of Azure's library, imported once; a missing one is said with the command that installs it."""
    try:
        from azure.ai.ml import Input, MLClient, command
        from azure.ai.ml._artifacts import _blob_storage_helper as uploads
        from azure.ai.ml.entities import Environment
        from azure.ai.ml.operations import _job_operations as jobs
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import ContainerClient, ExponentialRetry
    except ImportError:
        raise not_installed() from None
    # An upload ends with an empty line on stderr, and a job gets the address and branch of whatever git repository
    # one stands in.
    vars(uploads)["print"] = lambda *_words, **_named: None
    vars(jobs)["get_git_properties"] = dict
    _hush()
    return SimpleNamespace(
        Input=Input,
        MLClient=MLClient,
        command=command,
        Environment=Environment,
        DefaultAzureCredential=DefaultAzureCredential,
        ContainerClient=ContainerClient,
        ExponentialRetry=ExponentialRetry,
    )


def credential(settings: AzureSettings) -> Any:
    """Whoever is logged in, in Azure's own order: variables, the machine's identity, `az login`."""
    try:
        return library().DefaultAzureCredential(**_patience(settings))
    except ValueError:  # its texts repeat the values
        raise no_access("the AZURE_… variables of a login are set, and one of them is empty or wrong", LOGIN) from None


def client(place: Place, login: Any, settings: AzureSettings) -> Any:
    made = library().MLClient(
        login,
        place.subscription,
        place.group,
        place.workspace,
        enable_telemetry=False,
        show_progress=False,
        **_patience(settings),
    )
    _hush()  # it opens its own mouth again
    return made


def _hush() -> None:
    """Its loggers are set up one by one, each with a voice of its own."""
    for name in (*_LOUD, *logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def container(url: str, name: str, secret: Any, settings: AzureSettings) -> Any:
    """A container of blobs, opened with a token or as whoever is logged in."""
    sdk = library()
    patience = _patience(settings)
    retries = sdk.ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=patience["retry_total"])
    seconds = patience["connection_timeout"]
    return sdk.ContainerClient(
        url, name, credential=secret, retry_policy=retries, connection_timeout=seconds, read_timeout=seconds
    )


def _patience(settings: AzureSettings) -> dict[str, Any]:
    seconds = settings.timeout_seconds
    return {"retry_total": settings.retries, "connection_timeout": seconds, "read_timeout": seconds}
