"""What someone would write without `ss` to learn from a wide table and to score it, and two readers to compare with.

usage: plain_models.py train-dense|train-sparse FILE.csv MODEL | score FILE.csv OUT.csv MODEL | polars FILE.csv OUT.csv
       | reader FILE.csv
A model is trained in one pass over chunks, as tutorials do it; categories that the first chunk lacks count as none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CHUNK_ROWS = 100_000
# Those of the table that wide.py writes.
ID, TARGET = "id", "outcome"
NUMBERS = [f"n{at:02d}" for at in range(20)]
CATEGORIES = [f"k{at:02d}" for at in range(16)]
# As many columns of the same kinds as a file of scores has: the id, a text, and a number for it and for each class.
WRITTEN = [ID, TARGET, "n01", "n02", "n03", "n04"]
# Those of the settings, and the largest record.
NULL_VALUES, TOLERANCE, MAX_RECORD = ("", "?", "NA", "NULL"), 0.01, 2_000_000


class Dense:
    """One-hot columns as a plain matrix, a scaler and a classifier that learn chunk by chunk."""

    def __init__(self) -> None:
        from sklearn.linear_model import SGDClassifier
        from sklearn.preprocessing import StandardScaler

        self.classifier = SGDClassifier(loss="log_loss", random_state=0)
        self.scaler = StandardScaler()
        self.columns: Any = None

    @property
    def classes_(self) -> Any:
        return self.classifier.classes_

    def learn(self, chunk: Any, classes: list[str]) -> None:
        self.scaler.partial_fit(chunk[NUMBERS])
        self.classifier.partial_fit(self._matrix(chunk), chunk[TARGET], classes=classes)

    def predict_proba(self, chunk: Any) -> Any:
        return self.classifier.predict_proba(self._matrix(chunk))

    def _matrix(self, chunk: Any) -> Any:
        """Missing numbers become the mean, which is zero once they are scaled."""
        import pandas as pd

        dummies = pd.get_dummies(chunk[CATEGORIES])
        if self.columns is None:
            self.columns = dummies.columns
        numbers = np.nan_to_num(self.scaler.transform(chunk[NUMBERS]))
        return np.hstack([numbers, dummies.reindex(columns=self.columns, fill_value=False)])


def train_dense(source: Path, target: Path) -> dict[str, int]:
    """Dense one-hot columns: what most people write."""
    import joblib

    model, rows, classes = Dense(), 0, None
    for chunk in _chunks(source):
        classes = classes or sorted(chunk[TARGET].unique())
        model.learn(chunk, classes)
        rows += len(chunk)
    joblib.dump(model, target)
    return {"rows": rows}


def train_sparse(source: Path, target: Path) -> dict[str, int]:
    """A sparse pipeline fitted to the first chunk: about twice as fast, what those write who know the library."""
    import joblib
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    classifier, prepare, rows, classes = SGDClassifier(loss="log_loss", random_state=0), None, 0, None
    for chunk in _chunks(source):
        if prepare is None:
            prepare, classes = _preparation().fit(chunk), sorted(chunk[TARGET].unique())
        classifier.partial_fit(prepare.transform(chunk), chunk[TARGET], classes=classes)
        rows += len(chunk)
    joblib.dump(make_pipeline(prepare, classifier), target)
    return {"rows": rows}


def _preparation() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer(
        [("numbers", numbers, NUMBERS), ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES)]
    )


def score(source: Path, target: Path, model_file: Path) -> dict[str, int]:
    """Chunk by chunk: the likeliest class, how likely it is, and how likely each is."""
    import joblib
    import pandas as pd

    model, rows = joblib.load(model_file), 0
    with target.open("w", encoding="utf-8", newline="") as sink:
        for chunk in _chunks(source):
            likely = model.predict_proba(chunk)
            scores = pd.DataFrame(
                {ID: chunk[ID], "predicted": model.classes_[likely.argmax(axis=1)], "confidence": likely.max(axis=1)}
            )
            for at, name in enumerate(model.classes_):
                scores[f"p_{name}"] = likely[:, at]
            scores.to_csv(sink, index=False, header=not rows)
            rows += len(chunk)
    return {"rows": rows}


def _chunks(source: Path) -> Any:
    import pandas as pd

    return pd.read_csv(source, chunksize=CHUNK_ROWS)


def polars_copy(source: Path, target: Path) -> dict[str, int]:
    """Every column parsed, some of them written."""
    import polars as pl

    pl.scan_csv(source).select(WRITTEN).sink_csv(target, optimizations=every_column())
    return {"columns": len(WRITTEN)}


def every_column() -> Any:
    """What forbids polars to skip the columns that are not asked for."""
    import polars as pl

    return pl.QueryOptFlags(projection_pushdown=False)


def read_only(source: Path) -> dict[str, int]:
    """The reader of `ss` and nothing else: types as it finds them, texts as labels, in a process set up as its own."""
    from dataclasses import replace

    from studentsuccess import __main__ as entry
    from studentsuccess.core import budget, infer, memory, probe, stream
    from studentsuccess.core.grammar import Kind
    from studentsuccess.core.layout import Layout
    from studentsuccess.core.parallel import Engine

    sys.setswitchinterval(entry.SWITCH_SECONDS)
    memory.prepare_process()
    allowed = budget.measure()
    found = probe.probe(source, source.name)
    guess = infer.sample(found.given, found.names, NULL_VALUES, TOLERANCE, MAX_RECORD).layout
    layout = Layout(
        tuple(replace(one, kind=Kind.LABEL) if one.kind is Kind.TEXT else one for one in guess.columns), NULL_VALUES
    )
    engine = Engine("threads" if allowed.workers > 1 else "serial", allowed.workers)
    settings = stream.StreamSettings(MAX_RECORD, allowed.block_bytes, allowed.batch_rows(), engine)
    return {"rows": sum(parsed.read for parsed in stream.stream([found.given], layout, settings))}


SCRIPTS: dict[str, Callable[..., dict[str, int]]] = {
    "train-dense": train_dense,
    "train-sparse": train_sparse,
    "score": score,
    "polars": polars_copy,
    "reader": read_only,
}


def command(script: str, *paths: Path) -> list[str]:
    """The command that runs one of them."""
    return [sys.executable, __file__, script, *map(str, paths)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(SCRIPTS[sys.argv[1]](*map(Path, sys.argv[2:]))) + "\n")
