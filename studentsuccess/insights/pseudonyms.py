"""Names instead of ids, the same for a student every time, that only the key's holder can make."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pyarrow as pa

from studentsuccess.config.schema import PrivacySettings
from studentsuccess.errors import StorageError, UsageError

LEAST_KEY = 16
_MAKE = "make one with `openssl rand -hex 32` and keep it outside the workspace: who has it can find out who is who"


def pseudonym(key: bytes, identity: str) -> str:
    """HMAC-SHA256 of an id, in hexadecimal."""
    return hmac.new(key, identity.encode("utf-8"), hashlib.sha256).hexdigest()


def aliases(students: pa.Table, key: bytes) -> pa.Table:
    """Each `id_student` with its `pseudonym`."""
    names = [pseudonym(key, one) for one in students.column("id_student").to_pylist()]
    return students.append_column("pseudonym", pa.array(names, pa.string()))


def fingerprint(key: bytes) -> str:
    """Tells two keys apart and says nothing about either."""
    return pseudonym(key, "\0which key is this")


def pseudonym_key(settings: PrivacySettings, root: Path) -> bytes | None:
    """The key where the settings ask for pseudonyms, nothing where they do not; asked for without a key is an error."""
    if not settings.pseudonymous_ids:
        return None
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.get_secret_value().encode("utf-8")
    if settings.pseudonym_key_file is None:
        raise UsageError(
            "`privacy.pseudonymous_ids` asks for pseudonyms, and there is no key to make them with",
            f"set `SS_PRIVACY__PSEUDONYM_KEY` or `privacy.pseudonym_key_file`; {_MAKE}",
        )
    return _read(root / Path(settings.pseudonym_key_file).expanduser())


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        raise UsageError(f"{path}: the key of the pseudonyms is not there", _MAKE) from None
    except OSError as problem:
        reason = (problem.strerror or "it can't be read").lower()
        raise StorageError(f"{path}: {reason}", "let the user that runs ss read the key's file") from None
    if len(key) < LEAST_KEY:
        raise UsageError(f"{path}: a key has at least {LEAST_KEY} characters, this has {len(key)}", _MAKE)
    return key
