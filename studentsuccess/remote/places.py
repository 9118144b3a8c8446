"""The place that a user means, from what the command line or the settings say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from studentsuccess.config.credentials import azure_storage_key
from studentsuccess.config.schema import PublishSettings
from studentsuccess.config.workspace import Workspace
from studentsuccess.errors import UsageError
from studentsuccess.remote.stores import Folder, Store

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
# Amazon's and Azure's rules together, and the dots and capitals of older buckets.
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_POSSIBLE = "files go to a folder, `s3://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`"


def place(to: str | None, settings: PublishSettings, workspace: Workspace) -> Store:
    """As the command line says, from where the user stands; else as the settings do, from the workspace."""
    if to is not None:
        return _named(to, settings, workspace)
    if settings.storage == "s3":
        return _s3(_said(settings.s3_bucket, "publish.s3_bucket"), settings.s3_prefix or "", settings)
    if settings.storage == "azure":
        container = _said(settings.azure_container, "publish.azure_container")
        return _azure(container, settings.azure_prefix or "", settings)
    if settings.artifacts_dir is None:
        raise UsageError(
            "nobody said where the files go", f"say it with `--to` or `publish.artifacts_dir`: {_POSSIBLE}"
        )
    return _folder(settings.artifacts_dir, workspace.root, workspace)


def _said(value: str | None, key: str) -> str:
    if value is None:
        raise UsageError(f"`publish.storage` asks for more: `{key}` is not set", f"set it: `--set {key}=NAME`")
    return value


def _named(text: str, settings: PublishSettings, workspace: Workspace) -> Store:
    """An address may have a key in it by mistake, so one that is refused is not repeated."""
    url = _URL.fullmatch(text.strip())
    if url is None:
        return _folder(text, Path.cwd(), workspace)
    container, _, prefix = url["rest"].partition("/")
    scheme = url["scheme"].lower()
    if scheme not in ("s3", "az"):
        raise UsageError(f"`{url['scheme']}://` is no place that files can be published to", _POSSIBLE)
    if re.search(r"[@?#]", url["rest"]):
        raise UsageError(
            "the address holds more than a name and a prefix; keys don't belong there",
            "keys come from the environment; `ss publish -h` shows an address",
        )
    return _s3(container, prefix, settings) if scheme == "s3" else _azure(container, prefix, settings)


def _s3(bucket: str, prefix: str, settings: PublishSettings) -> Store:
    from studentsuccess.remote.clouds import s3

    name, folder = _container(bucket, "bucket"), _prefix(prefix)
    endpoint = settings.endpoint_url and _address(settings.endpoint_url, "publish.endpoint_url")
    return s3(name, folder, settings.s3_region, endpoint, settings.timeout_seconds)


def _azure(container: str, prefix: str, settings: PublishSettings) -> Store:
    from studentsuccess.remote.clouds import azure

    name, folder, key = _container(container, "container"), _prefix(prefix), "publish.azure_account_url"
    if settings.azure_account_url is None:
        raise UsageError(
            "nobody said which storage account the container is in",
            f"set it: `--set {key}=https://ACCOUNT.blob.core.windows.net`",
        )
    url = _address(settings.azure_account_url, key)
    return azure(name, folder, url, azure_storage_key(), settings.timeout_seconds)


def _address(text: str, key: str) -> str:
    """A web address without a name, a password or a token in it."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or re.search(r"[@?#\s]", text):
        raise UsageError(f"`{key}` is no web address of a server", f"such as `--set {key}=https://HOST`, without a key")
    return text.rstrip("/")


def _container(name: str, kind: str) -> str:
    if not _CONTAINER.fullmatch(name):
        raise UsageError(f"that is no name of a {kind}: 3 to 63 letters, digits, dots and dashes", _POSSIBLE)
    return name


def _prefix(text: str) -> str:
    parts = text.strip("/").split("/") if text.strip("/") else []
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise UsageError("the prefix has an empty part, a `.` or a `..` in it", _POSSIBLE)
    return "/".join(parts)


def _folder(text: str, here: Path, workspace: Workspace) -> Store:
    if not text.strip():
        raise UsageError("`--to` names no place", _POSSIBLE)
    try:
        path = Path(os.path.normpath(here / Path(text).expanduser()))
    except RuntimeError:
        raise UsageError("there is no home folder for `~`", "write the whole path") from None
    if _is_own(path, workspace):
        raise UsageError(f"{path}: is where this workspace keeps its own files", "name another folder: `--to DIR`")
    return Folder(path)


def _is_own(path: Path, workspace: Workspace) -> bool:
    """Whether files that go to `path` would land among those that they are copies of, or among the workspace's own."""
    results = (workspace.outputs, workspace.reports, workspace.models)
    own = (*results, workspace.inputs, workspace.logs, workspace.staging, workspace.trash)
    real = path.resolve()
    targets = (real, real / workspace.outputs.name, real / workspace.reports.name)
    return any(target.is_relative_to(place.resolve()) for target in targets for place in own)
