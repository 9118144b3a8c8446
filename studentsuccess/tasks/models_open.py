"""A registered model, ready to predict: every file is checked before a byte of it is parsed."""

from __future__ import annotations

from studentsuccess.errors import ContractError
from studentsuccess.models.keep import load_pipeline, load_weights
from studentsuccess.models.linear import LinearModel
from studentsuccess.models.predictor import Predictor
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.models import open_model
from studentsuccess.warehouse.models import ModelEntry

WEIGHTS, PIPELINE = "weights.safetensors", "pipeline.skops"


def open_predictor(context: Context, entry: ModelEntry) -> Predictor:
    """The model behind an entry. Weights are mapped into memory, read-only, where their format allows."""
    kept = open_model(context, entry)
    if WEIGHTS in kept.files:
        return LinearModel(kept.manifest, load_weights(kept.files[WEIGHTS]))
    if PIPELINE in kept.files:
        from studentsuccess.models.pipeline import SearchModel

        return SearchModel(kept.manifest, load_pipeline(kept.files[PIPELINE]))
    raise ContractError(
        f"model `{entry.label}`: its manifest lists no weights that this version knows",
        "train it again: `ss train local`",
    )
