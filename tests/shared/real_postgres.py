"""A Postgres of the tests' own: made in a folder, on a port that nobody has, gone when they end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWNER, PASSWORD = "owner", "p@ss/w:rd%"
QUOTED = "p%40ss%2Fw%3Ard%25"
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass(frozen=True)
class Server:
    """Where it listens; every test takes a database of its own."""

    port: int

    def url(self, database: str, user: str = OWNER, password: str = QUOTED) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = OWNER, password: str = PASSWORD) -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=password, autocommit=True
        )


@contextmanager
def running(needs: Callable[..., str]) -> Iterator[Server]:
    """The server while the block runs. It refuses to be root, so root lends it to another user."""
    programs = {name: needs(name, *(place / name for place in PLACES)) for name in ("initdb", "pg_ctl")}
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="ss-postgres-"))
    try:
        secret, data = folder / "password", folder / "data"
        secret.write_text(PASSWORD, "utf-8")
        for path in (folder, secret):
            if as_user:
                shutil.chown(path, as_user["user"])
        run = {"check": True, "capture_output": True, "cwd": folder, **as_user}
        made = ["-D", data, "-U", OWNER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run([programs["initdb"], *made], **run)
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        start = [programs["pg_ctl"], "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        subprocess.run(start, **{**run, "capture_output": False, "stdout": subprocess.DEVNULL})
        try:
            yield Server(port)
        finally:
            subprocess.run([programs["pg_ctl"], "-D", data, "-m", "immediate", "stop"], **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    if os.name == "nt" or os.geteuid() != 0:
        return {}
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next(name for name in ("postgres", "nobody") if name in known)
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
