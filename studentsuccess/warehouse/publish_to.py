"""Where marts go, from what a user writes: the URL of a database, or a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from studentsuccess.errors import UsageError
from studentsuccess.warehouse.publish_book import Target

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_POSSIBLE = "marts go to `postgresql://HOST/DATABASE`, `sqlite:///FILE` or a folder"


def target(text: str, schema: str, here: Path) -> Target:
    """The place that a text names. Relative paths start `here`; a text that may hold a password is never repeated."""
    url = _URL.fullmatch(text.strip())
    if url is None:
        return _folder(text, here)
    # Others write the driver into the scheme: postgresql+psycopg2://
    kind = url["scheme"].lower().partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return _postgres(f"postgresql://{url['rest']}", schema)
    if kind == "sqlite":
        return _sqlite(url["rest"], here)
    raise UsageError(f"`{url['scheme']}://` is no place that marts can be published to", _POSSIBLE)


def _postgres(url: str, schema: str) -> Target:
    from studentsuccess.warehouse.publish_postgres import Postgres, parse

    return Postgres(parse(url), schema)


def _sqlite(rest: str, here: Path) -> Target:
    """Three strokes and a path from here, four and one from the root, as SQLAlchemy writes it."""
    from studentsuccess.warehouse.publish_sqlite import Sqlite

    if not rest.startswith("/") or not rest.strip("/"):
        raise UsageError(
            "the address names no SQLite file", "`sqlite:///FILE` from here, `sqlite:////FILE` from the root"
        )
    return Sqlite((here / rest[1:]).absolute())


def _folder(text: str, here: Path) -> Target:
    from studentsuccess.warehouse.publish_folder import Folder

    if not text.strip():
        raise UsageError("`--to` names no place", _POSSIBLE)
    try:
        return Folder(Path(os.path.normpath(here / Path(text).expanduser())))
    except RuntimeError:
        raise UsageError("there is no home folder for `~`", "write the whole path") from None
