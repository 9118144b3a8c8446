"""What a job says it left: every file with its size and digest, signed where signatures are asked for.

It is written by the job and believed by nobody before it was checked.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from studentsuccess.core.digest import FileFact, canonical, text_digest
from studentsuccess.errors import ContractError

NAME = "ss_manifest.json"
# Where in its outputs a job leaves the workspace that it trained in.
KEPT = "workspace"
FORMAT = 1
# A list of ten thousand files has about this size.
MOST_BYTES = 4 << 20
SIGNATURE = "hmac"


@dataclass(frozen=True)
class JobManifest:
    """One job's results. Of both figures less is better: `inner` has no held-out row in it, `held_out` has no other."""

    job: str
    version: str
    program: str
    command: tuple[str, ...]
    started: str
    finished: str
    model: str
    model_path: str
    inner: float | None
    held_out: float | None
    files: tuple[FileFact, ...]
    format: int = FORMAT


def sign_key(key: bytes, job: str) -> str:
    """The key of one job, made from the school's own: it signs that job's list and nothing else."""
    return hmac.new(key, f"job:{job}".encode(), "sha256").hexdigest()


def render(manifest: JobManifest, key: bytes | None) -> bytes:
    document = asdict(manifest)
    if key is not None:
        document[SIGNATURE] = _signature(document, key)
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def parse(raw: bytes, job: str, key: bytes | None) -> JobManifest:
    """The list, if it is one, is that job's, and has its signature where a key says that it must."""
    try:
        document = json.loads(raw)
        if not isinstance(document, dict):
            raise TypeError
        if key is not None:
            _check(document, key, job)
        found = _parsed(document)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise refused(job, f"{NAME} is not the list that a job writes") from None
    if found.job != job:
        raise refused(job, f"{NAME} is that of another job")
    unsafe = [fact.path for fact in found.files if not is_safe(fact.path)]
    if unsafe or not is_safe(found.model_path):
        raise refused(job, f"{NAME} lists a path that leads out of its folder")
    return found


def _parsed(document: Mapping[str, Any]) -> JobManifest:
    if document["format"] != FORMAT:
        raise ValueError
    facts = tuple(FileFact(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in document["files"])
    command = tuple(str(word) for word in document["command"])
    job, version, program, started, finished, model, model_path = (str(document[name]) for name in _TEXTS)
    inner, held_out = (None if document[name] is None else float(document[name]) for name in ("inner", "held_out"))
    return JobManifest(job, version, program, command, started, finished, model, model_path, inner, held_out, facts)


_TEXTS = ("job", "version", "program", "started", "finished", "model", "model_path")


def _check(document: Mapping[str, Any], key: bytes, job: str) -> None:
    given = document.get(SIGNATURE)
    if given is None:
        raise refused(job, f"{NAME} is unsigned, and `train.signing_key` asks for a signature")
    if not hmac.compare_digest(str(given).encode(), _signature(document, key).encode()):
        raise refused(job, f"{NAME} was signed with another key, or changed since")


def _signature(document: Mapping[str, Any], key: bytes) -> str:
    unsigned = {name: value for name, value in document.items() if name != SIGNATURE}
    return hmac.new(key, canonical(unsigned).encode("utf-8"), "sha256").hexdigest()


def refused(job: str, what: str) -> ContractError:
    return ContractError(f"job `{job}`: {what}", "nothing was registered; send it again: `ss train remote … --again`")


def is_safe(path: str) -> bool:
    """A file below a folder, on every system: no way up, no root, no drive, no stream, nothing that hides."""
    parts = PurePosixPath(path).parts
    if not path or path != "/".join(parts) or any(part in (".", "..") for part in parts):
        return False
    return path.isprintable() and not set(path) & set('\\:*?"<>|') and not path.startswith("/")


def digest_of(facts: tuple[FileFact, ...]) -> str:
    """One digest for several files, whatever they are called."""
    return text_digest(canonical(sorted(fact.sha256 for fact in facts)))
