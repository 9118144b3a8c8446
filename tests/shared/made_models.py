"""Models that nobody trained: manifests and files as a training leaves them, and their way into a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from studentsuccess.config.layers import Overrides, load
from studentsuccess.core.digest import FileFact, file_digest
from studentsuccess.core.grammar import Kind
from studentsuccess.core.locks import utc_now
from studentsuccess.models.keep import MANIFEST, write_model
from studentsuccess.models.manifest import Holdout, Manifest, Task, Trained
from studentsuccess.models.records import entry_of, figures_of
from studentsuccess.models.roles import Feature, Hashing, Role
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.models import alias_target, model_path, signing_key, staged_model
from studentsuccess.warehouse.commit import Run, commit, new_run_id
from studentsuccess.warehouse.database import Connection, EngineLimits
from studentsuccess.warehouse.models import AliasEvent, ModelEntry, promote, register_model
from studentsuccess.warehouse.staging import staging_folder

LIMITS = EngineLimits(memory_bytes=256 * 2**20, threads=1)
CLASSES = ("Dropout", "Enrolled", "Graduate")
MARK = b"\x89PNG\r\n\x1a\nnot really"


def class_metrics(accuracy: float = 0.78, log_loss: float = 0.55) -> dict[str, Any]:
    """In the layout of a classification's figures."""
    return {
        "rows": 10,
        "accuracy": accuracy,
        "macro_f1": 0.7,
        "log_loss": log_loss,
        "classes": {label: {"precision": 0.8, "recall": 0.6, "f1": 0.7, "support": 4} for label in CLASSES},
        "confusion": [[3, 1, 0], [0, 2, 0], [1, 0, 3]],
        "calibration": [
            {"low": 0.0, "high": 0.5, "rows": 0, "confidence": None, "accuracy": None},
            {"low": 0.5, "high": 1.0, "rows": 10, "confidence": 0.75, "accuracy": 0.8},
        ],
    }


def value_metrics(r2: float = 0.8, rmse: float = 1.9) -> dict[str, Any]:
    """In the layout of a regression's figures."""
    return {"rows": 10, "r2": r2, "rmse": rmse, "mae": 1.2, "interval": {"level": 0.9, "coverage": 0.91}}


def make_manifest(name: str = "risk", version: int = 1, task: Task = "classification", **changed: Any) -> Manifest:
    classification = task == "classification"
    baseline = (
        {"majority": {"accuracy": 0.5, "log_loss": 1.02}, "logistic": {"accuracy": 0.77, "rows_fitted": 40}}
        if classification
        else {"mean": {"r2": 0.0, "rmse": 4.5}, "ridge": {"r2": 0.75, "rmse": 2.1, "rows_fitted": 40}}
    )
    made = Manifest(
        name=name,
        version=version,
        algorithm="incremental",
        task=task,
        target="Target" if classification else "G3",
        target_kind=Kind.LABEL if classification else Kind.INTEGER,
        ids=("student_id",),
        features=(
            Feature("age", Kind.INTEGER, Role.BOTH, ("17", "18"), None, "a code or a number: both views"),
            Feature("Straße", Kind.LABEL, Role.CATEGORY, ("a", "é"), Hashing("fnv1a", 64)),
            Feature("student_id", Kind.TEXT, Role.IGNORE, why="it identifies"),
        ),
        classes=CLASSES if classification else (),
        null_values=("", "?"),
        holdout=Holdout("content", 0.2, 10, "h" * 64),
        trained=Trained(
            run_id="20250101T000000-000001",
            where="local",
            started="2025-01-01T00:00:00+00:00",
            finished=f"2025-01-{version:02d}T10:30:00+00:00",
            data=(FileFact("grades.csv", 1234, "d" * 64),),
            dataset="grades",
            rows=40,
        ),
        settings={"epochs": 5},
        metrics=class_metrics() if classification else value_metrics(),
        baseline=baseline,
        libraries={"numpy": "2.4"},
    )
    return replace(made, **changed)


def make_files() -> dict[str, bytes]:
    """What lies in a model's folder beside its manifest; the pipeline is a small one."""
    from sklearn.linear_model import Ridge

    from studentsuccess.models.keep import dump_pipeline

    pipeline = Ridge().fit(np.arange(6.0).reshape(3, 2), np.arange(3.0))
    return {
        "weights.safetensors": save({"weights": np.arange(12.0).reshape(3, 4), "levels": np.arange(3, dtype=np.int32)}),
        "pipeline.skops": dump_pipeline(pipeline),
        "metrics.json": b"{}\n",
        "card.md": b"# risk\n",
        "calibration.png": MARK,
    }


def few_files() -> dict[str, bytes]:
    """As `make_files`, without a library to wait for."""
    return {"weights.safetensors": save({"weights": np.ones(3)}), "card.md": b"# risk\n"}


def context_of(folder: Path, env: Mapping[str, str] | None = None) -> Context:
    return Context(load(Overrides(workspace=folder), env or {}, folder))


def register(context: Context, manifest: Manifest, production: bool = False) -> ModelEntry:
    """As a training does it: files in staging, one commit with the registry's rows, and the alias where asked."""
    workspace = context.workspace
    run_id = new_run_id()
    manifest = replace(manifest, trained=replace(manifest.trained, run_id=run_id))
    with staging_folder(workspace, run_id) as staging:
        folder = staging / "model"
        manifest = write_model(folder, manifest, few_files(), signing_key(context))
        path = model_path(manifest.name, manifest.version)
        entry = entry_of(manifest, path, file_digest(folder / MANIFEST))

        def work(connection: Connection) -> None:
            register_model(connection, entry, figures_of(manifest))
            if production:
                promote(connection, AliasEvent(entry.name, entry.version, utc_now(), run_id, "the first version"))

        targets = (f"model:{manifest.label}", *((alias_target(manifest.name),) if production else ()))
        run = Run(run_id, f"key of {run_id}", "train local", targets, False, utc_now(), "c" * 64)
        commit(workspace, LIMITS, run, staged_model(workspace, folder, manifest.name, manifest.version), work)
    return entry
