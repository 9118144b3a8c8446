"""This very program as a job's code: a wheel made from what is installed here, and the versions it runs with.

No build tool is needed, and an editable installation and one from a wheel give the same files. The bytes are the same
every time, so that a job can be told from another by what it runs.
"""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import studentsuccess
from studentsuccess.core.digest import canonical, text_digest
from studentsuccess.errors import SsError

NAME = "studentsuccess"
REQUIREMENTS, START = "requirements.txt", "job.py"
# The first moment that a zip archive can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SCRIPTS = "[console_scripts]\nss = studentsuccess.__main__:main\nstudentsuccess = studentsuccess.__main__:main\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: studentsuccess\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Program:
    """What a job runs. `sources` are the files of the package, `requirements` the exact versions beside it."""

    version: str
    python: str
    requirements: tuple[str, ...]
    sources: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """Of everything that decides what the code does; how it is packed says nothing."""
        return text_digest(canonical([self.python, list(self.requirements), source_digest(self.sources)]))

    @cached_property
    def snapshot(self) -> dict[str, bytes]:
        """The files that go to Azure, by name."""
        return {
            f"{NAME}-{self.version}-py3-none-any.whl": _wheel(self),
            REQUIREMENTS: "".join(f"{one}\n" for one in self.requirements).encode(),
            START: (files(__package__) / "start_job.txt").read_bytes(),
        }

    @property
    def size(self) -> int:
        return sum(len(content) for content in self.snapshot.values())


def this_program() -> Program:
    """The program that is running, and the versions that it runs with."""
    try:
        required = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        raise SsError(
            "this program is not installed, so nobody knows what it needs elsewhere",
            "install it: `python -m pip install studentsuccess`",
        ) from None
    version = ".".join(platform.python_version_tuple()[:2])
    return Program(studentsuccess.__version__, version, tuple(sorted(_pinned(required))), package_files())


def _pinned(required: list[str]) -> set[str]:
    """The packages that every installation has, at the versions of this one; extras are for other machines."""
    names = (_PACKAGE.match(text) for text in required if not re.search(r";.*\bextra\b", text))
    return {f"{found[0]}=={metadata.version(found[0])}" for found in names if found and _is_installed(found[0])}


def _is_installed(name: str) -> bool:
    """A package may be for another system only."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def package_files() -> dict[str, bytes]:
    """Every file of the package, without what Python and numba leave beside them."""
    root = Path(studentsuccess.__file__).parent
    found = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    kept = sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))
    return {f"{NAME}/{path.relative_to(root).as_posix()}": path.read_bytes() for path in kept}


def source_digest(sources: Mapping[str, bytes]) -> str:
    """One digest for all files of the package: a job notes it, so that it can be held against what was sent."""
    return text_digest(canonical([[name, hashlib.sha256(content).hexdigest()] for name, content in sources.items()]))


def _wheel(program: Program) -> bytes:
    info = f"{NAME}-{program.version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in program.requirements)
    about = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {program.version}\n{needs}"
    content = dict(program.sources)
    content |= {f"{info}/METADATA": about.encode(), f"{info}/WHEEL": _WHEEL.encode()}
    content |= {f"{info}/entry_points.txt": _SCRIPTS.encode()}
    record = "".join(f"{name},sha256={_short(data)},{len(data)}\n" for name, data in content.items())
    content[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in content.items():
            one = zipfile.ZipInfo(name, _EPOCH)
            one.external_attr = 0o644 << 16
            archive.writestr(one, data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _short(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
