"""What a job does: train as on any machine, then lay what was made into the outputs, with a list of it.

The workspace itself stays outside the outputs while it is written: the service copies outputs while a job runs, and
half a warehouse is of no use to anybody.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studentsuccess import __version__
from studentsuccess.config.credentials import job_key
from studentsuccess.core.digest import FileFact, file_fact
from studentsuccess.remote.job_manifest import KEPT, NAME, JobManifest, render
from studentsuccess.remote.job_program import package_files, source_digest

RESULT = "result.json"
MARK = "--"
# What of the workspace comes home: models, the ledger, the rows that were rejected.
_KEPT = ("models/*/*/*", "logs/*", "inputs/dlq/*")


def main(words: Sequence[str]) -> int:
    """`JOB DATA -- ARGUMENTS`, the arguments being those of `ss train local`."""
    job, data, mark, *arguments = words
    if mark != MARK:
        raise ValueError("a job is started with its name, its data, two dashes and the arguments of the training")
    here = Path.cwd()
    started = _now()
    command = ["train", "local", "--data", data, *arguments, "-w", KEPT, "-f", "json", "--no-input"]
    with (here / RESULT).open("wb") as sink:
        done = subprocess.run([sys.executable, "-m", "studentsuccess", *command], stdout=sink, check=False)
    if done.returncode:
        return done.returncode
    result = json.loads((here / RESULT).read_bytes())
    outputs = here / "outputs"
    facts = _kept(here, outputs)
    manifest = JobManifest(
        job, __version__, source_digest(package_files()), tuple(command), started, _now(),
        f"{result['model']}@{result['version']}", f"{KEPT}/{result['path']}",
        _inner(here / KEPT, result), _held_out(result), facts,
    )  # fmt: skip
    (outputs / NAME).write_bytes(render(manifest, job_key()))
    told = " · ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items() if value is not None)
    sys.stderr.write(f"held out: {told}\n")
    return 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _kept(here: Path, outputs: Path) -> tuple[FileFact, ...]:
    """Copies of what comes home, and their digests."""
    chosen = sorted(path for pattern in _KEPT for path in (here / KEPT).glob(pattern) if path.is_file())
    facts = []
    for path in [*chosen, here / RESULT]:
        name = path.relative_to(here).as_posix()
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, outputs / name)
        facts.append(file_fact(outputs / name, name))
    return tuple(facts)


def _inner(workspace: Path, result: dict[str, Any]) -> float | None:
    """What tells which of several trials is the best one without a look at the held-out rows, if anything does.

    The incremental learner has the loss on its inner slice, a search the loss of its cross-validation.
    """
    extra = json.loads((workspace / result["path"] / "manifest.json").read_bytes())["extra"]
    inner = extra.get("inner_loss")
    chosen = [one["loss"] for one in extra.get("leaderboard") or () if one["name"] == extra.get("choice")]
    return float(inner) if inner is not None else min(chosen, default=None)


def _held_out(result: dict[str, Any]) -> float | None:
    figures = result["metrics"]
    return next((figures[name] for name in ("log_loss", "rmse") if figures.get(name) is not None), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
