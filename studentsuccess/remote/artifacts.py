"""Which files of a workspace are published, and which are not.

A file leaves when it is known to hold no student, or when somebody says that it may. A table of an unknown name is
taken for a list of students: `ss score -o` writes wherever it is told to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import BinaryIO, Literal

from studentsuccess.config.workspace import Workspace
from studentsuccess.core.parallel import Engine, ordered_map
from studentsuccess.remote.stores import chunks
from studentsuccess.warehouse.recovery import storage_errors

MANIFEST = "outputs/artifacts_manifest.json"
Kind = Literal["page", "marts", "rows"]
PERSONAL, TRUE_IDS, LINK, ODD_NAME = (
    "may name students",
    "students' ids in it may not be pseudonyms",
    "is a link",
    "its name is no text",
)
# The one page that has ids on it: `ss batch process` writes it beside its lists, wherever those go.
_NAMING = re.compile(r"(.+/)?report\.html")
# Pages, pictures and counts of ours, without a name in them.
_PAGES = re.compile(
    r".+\.(md|html|png|svg|pdf)|outputs/metrics_latest\.json|outputs/(explain/[^/]+/)?shap_top_features\.json"
    r"|reports/roi_sensitivity\.csv|outputs/marts/course_summary_(daily_sample|latest)\.csv"
)
_MARTS = re.compile(r"outputs/marts/student_risk_(daily_sample|latest)\.csv")
_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
# Flags that only some systems have: don't follow a link, don't translate line ends.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Artifact:
    """A file that is published. Its MD5 only serves to read the tags of S3."""

    path: str
    size: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class LeftOut:
    """A file that stays, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Rules:
    """What may leave: rows that name students, and the students' marts."""

    personal: bool
    marts: bool


@dataclass(frozen=True)
class Gathered:
    """Every file of outputs/ and reports/, on one side or the other."""

    files: tuple[Artifact, ...]
    left_out: tuple[LeftOut, ...]


def kind_of(path: str) -> Kind:
    """What a file is, by its place and name."""
    if _PAGES.fullmatch(path) and not _NAMING.fullmatch(path):
        return "page"
    return "marts" if _MARTS.fullmatch(path) else "rows"


def media_type(path: str) -> str:
    """What a browser should take it for."""
    return _TYPES.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")


def gather(workspace: Workspace, rules: Rules, engine: Engine) -> Gathered:
    """Look at every file, and read those that are to leave."""
    chosen: list[str] = []
    left_out: list[LeftOut] = []
    for path, why in sorted(_every_file(workspace)):
        reason = why or _reason(path, rules)
        if reason:
            left_out.append(LeftOut(path, reason))
        else:
            chosen.append(path)
    read = ordered_map(lambda path: _artifact(workspace, path), chosen, engine)
    return Gathered(tuple(one for one in read if one), tuple(left_out))


def _reason(path: str, rules: Rules) -> str:
    kind = kind_of(path)
    if kind == "rows" and not rules.personal:
        return PERSONAL
    return TRUE_IDS if kind == "marts" and not rules.marts else ""


def _every_file(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Each file by its path in the workspace, with what is wrong with it. Hidden ones are nobody's to open."""
    for top in (workspace.outputs, workspace.reports):
        if not os.path.lexists(top):
            continue
        if not _is_itself(workspace, top):
            yield _name(workspace, top), LINK
            continue
        for here, folders, names in os.walk(top):
            links = [one for one in folders if not _is_itself(workspace, Path(here, one))]
            folders[:] = [one for one in folders if one not in links and not one.startswith(".")]
            for name in [*names, *links]:
                path = Path(here, name)
                if not name.startswith(".") and _name(workspace, path) != MANIFEST:
                    yield _name(workspace, path), _fault(workspace, path)


def _fault(workspace: Workspace, path: Path) -> str:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return ODD_NAME
    return "" if _is_itself(workspace, path) else LINK


def _name(workspace: Workspace, path: Path) -> str:
    return path.relative_to(workspace.root).as_posix()


def _is_itself(workspace: Workspace, path: Path) -> bool:
    """Whether the path leads where it says, with no link on the way below the workspace."""
    return path.resolve() == workspace.root.resolve() / path.relative_to(workspace.root)


def _artifact(workspace: Workspace, path: str) -> Artifact | None:
    """A file and its digests; one that is gone by now, or that is no file, is none."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with opened(workspace, path) as source:
        if source is None:
            return None
        for chunk in chunks(source.read):
            size += len(chunk)
            sha256.update(chunk)
            md5.update(chunk)
    return Artifact(path, size, sha256.hexdigest(), md5.hexdigest())


@contextmanager
def opened(workspace: Workspace, path: str) -> Iterator[BinaryIO | None]:
    """The file itself, for reading: what became a link since it was found is not followed."""
    where = workspace.root / path
    with storage_errors(where):
        if not _is_itself(workspace, where):
            yield None
            return
        try:
            descriptor = os.open(where, _FLAGS)
        except FileNotFoundError:
            yield None
            return
        with os.fdopen(descriptor, "rb") as source:
            yield source if S_ISREG(os.fstat(descriptor).st_mode) else None
