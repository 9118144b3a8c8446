"""The compute: one machine that runs one job after the other, as the service's own agent does it.

It downloads the snapshot and the inputs, holds the environment against what is installed here, runs the command, and
uploads the log while the job runs and the outputs when it has ended.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from queue import Queue
from typing import Any

from azure_wire.azurite import Blobs
from azure_wire.state import STORES, Job, State

ARTIFACTS = STORES["workspaceartifactstore"]
LOG = "user_logs/std_log.txt"
_PATH = re.compile(r"azureml://(?:subscriptions/.+/)?datastores/(?P<store>[^/]+)/paths/(?P<path>.+)", re.IGNORECASE)


class JobError(Exception):
    """What the service says about a job that could not run or failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.document = {"error": {"code": code, "message": message}}


@dataclass
class Node:
    """The machine. `fate` decides before a job runs what becomes of it: "preempted", "no-quota", "hangs"."""

    folder: Path
    state: State
    blobs: Blobs
    fate: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    _queue: Queue[Job | None] = field(default_factory=Queue)
    _gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._gate.set()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def start(self, job: Job) -> None:
        self._queue.put(job)

    def close(self) -> None:
        self._gate.set()
        for job in self.state.jobs.values():
            job.cancelled.set()
        self._queue.put(None)
        self._thread.join()

    def hold(self) -> None:
        """Jobs wait in the queue until `go`."""
        self._gate.clear()

    def go(self) -> None:
        self._gate.set()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            while not self._gate.wait(0.02) and not job.cancelled.is_set():
                """A queue that does not move."""
            try:
                self._run(job)
                job.move("Canceled" if job.cancelled.is_set() else "Completed")
            except JobError as problem:
                job.error = problem.document
                job.move("Canceled" if job.cancelled.is_set() else "Failed")

    def _run(self, job: Job) -> None:
        if job.cancelled.is_set():
            return
        fate = next((fate for text, fate in self.fate.items() if text in job.name or text == "*"), "")
        if fate == "no-quota":
            raise JobError("UserError", "ComputeQuotaExceeded: not enough quota for STANDARD_DS3_V2 in westeurope")
        job.move("Preparing")
        here = self.folder / "wd"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        snapshot = self._snapshot(job, here)
        self._check_environment(job)
        command = self._command(job, self.folder / "inputs")
        job.move("Running")
        self.ran.append(job.name)
        instead = {"hangs": "echo working; exec sleep 600", "preempted": "echo working"}
        code = self._executed(job, instead.get(fate, command), here, snapshot)
        if fate == "preempted":
            raise JobError("SystemError", "The node was preempted: low priority nodes can be taken away at any time")
        if not job.cancelled.is_set():
            job.move("Finalizing")
        self._upload(job, here / "outputs")
        if code and not job.cancelled.is_set():
            raise JobError("UserError", f"Execution failed. User process 'bash' exited with status code {code}.")

    def _snapshot(self, job: Job, here: Path) -> str:
        code, version = job.properties["codeId"].split("/")[-3::2]
        made = self.state.codes[code, version]
        container, _, folder = made["properties"]["codeUri"].removeprefix("https://").partition("/")[2].partition("/")
        for name in self.blobs.names(container, folder):
            _write(here / name.removeprefix(folder).lstrip("/"), self.blobs.get(container, name))
        return str(made["properties"]["hash"])

    def _check_environment(self, job: Job) -> None:
        """The image would be built with these packages; this machine must have the very same."""
        name, version = job.properties["environmentId"].split("/")[-3::2]
        conda = self.state.environments[name, version]["properties"]["condaFile"]
        found = re.findall(r"([A-Za-z0-9_.-]+)==([^\s,'\"\\]+)", conda)
        wrong = [f"{name}=={version}" for name, version in found if metadata.version(name) != version]
        if wrong or not found or f"python={sys.version_info.major}.{sys.version_info.minor}" not in conda:
            raise JobError("UserError", f"Image build failed: {', '.join(wrong) or 'no packages'}")

    def _command(self, job: Job, inputs: Path) -> str:
        shutil.rmtree(inputs, ignore_errors=True)
        command = str(job.properties["command"])
        for name, given in (job.properties.get("inputs") or {}).items():
            command = command.replace("${{inputs." + name + "}}", str(self._input(name, given, inputs)))
        if "${{" in command:
            raise JobError("UserError", "an input is not there")
        return command

    def _input(self, name: str, given: Mapping[str, Any], inputs: Path) -> Path:
        found = _PATH.fullmatch(given["uri"])
        if found is None:
            raise JobError("UserError", f"{given['uri']} can't be read")
        container, path = STORES[found["store"]], found["path"]
        names = self.blobs.names(container, path)
        if given["jobInputType"] == "uri_file":
            names = [one for one in names if one == path]
        if not names:
            raise JobError("UserError", f"ScriptExecution.StreamAccess.NotFound: {path}")
        folder = path.rstrip("/") if given["jobInputType"] == "uri_folder" else path.rpartition("/")[0]
        for one in names:
            _write(inputs / name / one.removeprefix(folder).lstrip("/"), self.blobs.get(container, one))
        return inputs / name if given["jobInputType"] == "uri_folder" else inputs / name / path.rpartition("/")[2]

    def _executed(self, job: Job, command: str, here: Path, snapshot: str) -> int:
        env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin",
            "HOME": str(here),
            "AZUREML_RUN_ID": job.name,
            # A node that had this very program before would not have to compile it again.
            "NUMBA_CACHE_DIR": str(self.folder / "compiled" / snapshot),
            **(job.properties.get("environmentVariables") or {}),
        }
        log = here / "std_log.txt"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                ["bash", "-c", command], cwd=here, env=env, stdout=sink, stderr=sink, start_new_session=True
            )
        size = -1
        while True:
            code = process.poll()
            if log.stat().st_size != size:
                content = log.read_bytes()
                self.blobs.put(ARTIFACTS, job.prefix + LOG, content)
                size = len(content)
                continue
            if code is not None:
                return code
            if job.cancelled.wait(0.1):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _upload(self, job: Job, outputs: Path) -> None:
        for path in sorted(outputs.rglob("*")):
            if path.is_file():
                name = f"{job.prefix}outputs/{path.relative_to(outputs).as_posix()}"
                self.blobs.put(ARTIFACTS, name, path.read_bytes())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
