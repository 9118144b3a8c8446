"""A table of students that were never there, models that learned from it, and their weights read without our code."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from made_models import LIMITS
from safetensors.numpy import load_file

import studentsuccess as ss
from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.digest import file_digest
from studentsuccess.core.locks import utc_now
from studentsuccess.core.reporter import SilentReporter
from studentsuccess.models.keep import MANIFEST, read_model, write_model
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.tasks import score as task
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import resolved
from studentsuccess.tasks.models import alias_target, model_path, staged_model
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection
from studentsuccess.warehouse.models import AliasEvent, ModelEntry, promote, register_model
from studentsuccess.warehouse.staging import staging_folder

HEADER = ("student_id", "age", "gpa", "Course", "year", "fee paid", "enrolled", "note", "Outcome")
FEATURES = HEADER[1:7]
COURSES = ("Math", "Física", '"Art", modern', "=SUM(A1)", "物理")
OUTCOMES = ("Dropout", "Enrolled", "Graduate")
Row = list[str]
Floats = npt.NDArray[np.float64]
CLIP = 4.0


def students(count: int, seed: int = 0) -> list[Row]:
    """Rows in which age, marks and course say something of the outcome, with holes in them."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [_student(f"{number:06d}", draw) for number in range(count)]


def _student(name: str, draw: random.Random) -> Row:
    age, gpa, course, year = draw.randint(17, 60), draw.gauss(2.8, 0.6), draw.choice(COURSES), draw.randint(1, 5)
    paid = draw.random() < 0.7
    level = 1.5 * gpa - age / 30 + 0.8 * (course == "Math") + 0.9 * (year == 3) + 0.5 * paid + draw.gauss(0, 0.5)
    outcome = OUTCOMES[0] if level < 2.9 else OUTCOMES[2] if level > 3.7 else OUTCOMES[1]
    day = f"20{draw.randint(10, 23)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
    cells = [str(age), f"{gpa:.2f}", course, str(year), str(paid).lower(), day]
    return [name, *(cell if draw.random() > 0.04 else "" for cell in cells), "", outcome]


def csv_text(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def put(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, delimiter: str = ",") -> Path:
    """Such a table as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(rows, header, delimiter), "utf-8", newline="")
    return path


def trained_workspace(folder: Path, rows: int = 500) -> Path:
    """A workspace that learned from `learn.csv` beside it: the marks as a number, then classes."""
    source = put(folder / "learn.csv", students(rows))
    workspace = folder / "workspace"
    for target in ("gpa", "Outcome"):
        ss.train(source, target, workspace, ids=["student_id"], types=["year=both"], settings={"train.epochs": "6"})
    return workspace


def context_of(workspace: Path, **settings: object) -> Context:
    """Settings by their paths, with `__` for the point."""
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    return Context(load(Overrides(workspace, flags=flags), {}, workspace))


@dataclass(frozen=True)
class Scored:
    """What a scoring gave, and the bytes that went to stdout."""

    result: task.ScoreResult
    rows: bytes

    @property
    def table(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.rows.decode("utf-8"), newline="")))


def score(context: Context, *files: Path, model: str = "Outcome", **request: Any) -> Scored:
    """As `ss score FILES -o -` does it, or into the file that is asked for."""
    asked = task.ScoreRequest(model, **{"output": "-", **request})
    sink = io.BytesIO()
    with resolved([str(file) for file in files]) as found:
        made = task.plan(asked, found, context)
        return Scored(task.run(made, SilentReporter(), sink), sink.getvalue())


@dataclass(frozen=True)
class Weights:
    """A linear model's files, and what they say of a row: numpy and nothing of ours."""

    manifest: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, folder: Path) -> Weights:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        return cls(manifest, load_file(folder / "weights.safetensors"))

    def outputs(self, row: Mapping[str, Any]) -> Floats:
        """The sums of a row: values by name, None for missing, days for dates."""
        return np.asarray(sum(self.parts(row).values()) + self.arrays["weights"][0])

    def parts(self, row: Mapping[str, Any]) -> dict[str, Floats]:
        """What each feature brings to each output."""
        weights = self.arrays["weights"]
        found = {feature["name"]: np.zeros(weights.shape[1]) for feature in self.manifest["features"]}
        for place, name in enumerate(self._named("number")):
            found[name] += self._number(row[name], place)
        for place, name in enumerate(self._named("category")):
            levels = next(one["levels"] for one in self.manifest["features"] if one["name"] == name)
            if row[name] is not None and str(row[name]) in levels:
                at = self.arrays["table"][self.arrays["starts"][place] + levels.index(str(row[name]))]
                found[name] += weights[at] if at >= 0 else 0.0
        return found

    def _named(self, role: str) -> list[str]:
        return [one["name"] for one in self.manifest["features"] if one["role"] in (role, "both")]

    def _number(self, value: float | None, place: int) -> Floats:
        arrays = self.arrays
        if value is None:
            return np.asarray(arrays["weights"][2 + 2 * place])
        kept = float(np.float32((value - arrays["origin"][place]) * arrays["scale"][place]))
        scaled = (kept - arrays["mean"][place]) * arrays["inverse"][place]
        return np.asarray(min(max(scaled, -CLIP), CLIP) * arrays["weights"][1 + 2 * place])

    def probabilities(self, row: Mapping[str, Any]) -> Floats:
        sums = self.outputs(row)
        grown = np.exp(sums - sums.max())
        return np.asarray(grown / grown.sum())

    def value(self, row: Mapping[str, Any]) -> float:
        return float(self.outputs(row)[0] * self.arrays["spread"][0] + self.arrays["level"][0])


def registered_copy(context: Context, entry: ModelEntry, name: str, files: Mapping[str, bytes]) -> ModelEntry:
    """Another model, in production, that is the first one but for some of its files."""
    run_id, folder = new_run_id(), context.workspace.root / entry.path
    manifest = read_model(folder).manifest
    manifest = replace(manifest, name=name, version=1, trained=replace(manifest.trained, run_id=run_id), files=())
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    with staging_folder(context.workspace, run_id) as staging:
        made = write_model(staging / "model", manifest, {**kept, **files})
        copy = entry_of(made, model_path(name, 1), file_digest(staging / "model" / MANIFEST))

        def work(connection: Connection) -> None:
            register_model(connection, copy, figures_of(made))
            promote(connection, AliasEvent(name, 1, utc_now(), run_id, "the first version"))

        run = Run(run_id, run_id, "train local", (f"model:{name}", alias_target(name)), False, utc_now(), "c" * 64)
        commit(context.workspace, LIMITS, run, staged_model(context.workspace, staging / "model", name, 1), work)
    return copy
