"""The families that a search draws from: what each makes of the inputs, and where its settings come from.

Only scikit-learn's and LightGBM's own estimators are composed, since a kept pipeline may hold nothing else. Everything
that looks at data (imputing, grouping of rare codes, scaling) is part of the pipeline, and so learned inside the folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from studentsuccess.models.manifest import Task
from studentsuccess.models.pipeline_inputs import Inputs

Parameters = Mapping[str, Any]
LINEAR, LIGHTGBM, BOOSTING, FOREST = "linear", "lightgbm", "boosting", "forest"
# In this order, because a search of few trials should begin with what is quick and unlike each other.
FAMILIES = (LINEAR, LIGHTGBM, BOOSTING, FOREST)
BOTH, NUMBER = "both", "number"
# Codes beyond the most frequent ones of a column share one column.
MOST_HOT = 255
# A tree of a forest sees at most so many rows, and its leaves hold at least this part of them: full trees on a tall
# table took ten times as long as all other families together, and were no better.
FOREST_ROWS, FOREST_LEAVES = 20_000, 1_000

# Chosen on UCI 697 by repeated 5-fold cross-validation; small steps and few leaves are what small tables want.
DEFAULTS: Mapping[str, Parameters] = {
    LINEAR: {"strength": 10.0, "codes": BOTH, "rare": 10},
    LIGHTGBM: {"trees": 150, "rate": 0.05, "leaves": 15, "leaf_rows": 20, "share": 0.5, "l2": 0.0, "codes": BOTH},
    BOOSTING: {"trees": 100, "rate": 0.06, "leaves": 15, "leaf_rows": 20, "share": 0.5, "l2": 5.0},
    FOREST: {"trees": 100, "leaf_rows": 3, "share": 0.35},
}
# What anyone would try first: a penalty of one, every whole number as a number.
PLAIN: Parameters = {"strength": 1.0, "codes": NUMBER, "rare": 1}


@dataclass(frozen=True)
class Configuration:
    """One family with its settings. They are plain JSON values: they end up in the manifest."""

    name: str
    family: str
    parameters: Parameters


def default(family: str) -> Configuration:
    return Configuration(f"{family} 1", family, DEFAULTS[family])


def plain() -> Configuration:
    """The linear model that every other one must beat."""
    return Configuration("plain linear", LINEAR, PLAIN)


def draw(family: str, number: int, random: np.random.Generator) -> Configuration:
    return Configuration(f"{family} {number}", family, _DRAWS[family](random))


def _power(random: np.random.Generator, low: float, high: float) -> float:
    """Even over orders of magnitude, with two digits: settings are read by people."""
    return float(f"{np.exp(random.uniform(np.log(low), np.log(high))):.2g}")


def _one_of(random: np.random.Generator, *values: Any) -> Any:
    return values[int(random.integers(len(values)))]


def _draw_linear(random: np.random.Generator) -> Parameters:
    return {
        "strength": _power(random, 1.0, 100.0),
        "codes": _one_of(random, BOTH, BOTH, NUMBER),
        "rare": _one_of(random, 5, 10, 20),
    }


def _draw_trees(random: np.random.Generator) -> dict[str, Any]:
    rate = _power(random, 0.02, 0.1)
    return {
        "trees": int(np.clip(round(_power(random, 4.0, 12.0) / rate, -1), 50, 400)),
        "rate": rate,
        "leaves": _one_of(random, 7, 11, 15, 23, 31),
        "leaf_rows": _one_of(random, 10, 20, 40),
        "share": _one_of(random, 0.2, 0.35, 0.5, 0.8),
        "l2": _one_of(random, 0.0, 1.0, 5.0, 20.0),
    }


def _draw_lightgbm(random: np.random.Generator) -> Parameters:
    return _draw_trees(random) | {"codes": _one_of(random, BOTH, BOTH, NUMBER)}


def _draw_forest(random: np.random.Generator) -> Parameters:
    return {
        "trees": 100,
        "leaf_rows": _one_of(random, 2, 3, 5, 10),
        "share": _one_of(random, 0.15, 0.25, 0.35, 0.5),
    }


_DRAWS: Mapping[str, Callable[[np.random.Generator], Parameters]] = {
    LINEAR: _draw_linear,
    LIGHTGBM: _draw_lightgbm,
    BOOSTING: _draw_trees,
    FOREST: _draw_forest,
}


def build(configuration: Configuration, inputs: Inputs, task: Task, rows: int, seed: int) -> Any:
    """An unfitted pipeline: `prepare`, then `model`."""
    from sklearn.pipeline import Pipeline

    settings = configuration.parameters
    make = _MODELS[configuration.family]
    prepare = _prepare(configuration, inputs)
    return Pipeline([("prepare", prepare), ("model", make(settings, task == "classification", rows, seed))])


def blend(members: tuple[Any, ...], weights: tuple[float, ...], names: tuple[str, ...], task: Task) -> Any:
    """An unfitted mean of unfitted pipelines."""
    from sklearn.ensemble import VotingClassifier, VotingRegressor

    pairs = list(zip(names, members, strict=True))
    if task == "classification":
        return VotingClassifier(pairs, voting="soft", weights=list(weights))
    return VotingRegressor(pairs, weights=list(weights))


def _prepare(configuration: Configuration, inputs: Inputs) -> Any:
    """What stands before the model. Sparse where codes are spread out: a few hundred columns would be mostly zeros."""
    from sklearn.compose import ColumnTransformer

    settings, family = configuration.parameters, configuration.family
    if family in (BOOSTING, FOREST):
        columns = inputs.number_columns + inputs.only_code_columns
        # Histogram boosting knows missing values, but fails where a fold has nothing else in a column.
        return ColumnTransformer([("plain", _imputer(), columns)])
    codes = inputs.code_columns if settings["codes"] == BOTH else inputs.only_code_columns
    numbers = "passthrough" if family == LIGHTGBM else _scaled()
    steps = [("numbers", numbers, inputs.number_columns), ("codes", _hot(int(settings.get("rare", 20))), codes)]
    return ColumnTransformer([step for step in steps if step[2]], sparse_threshold=1.0)


def _imputer() -> Any:
    """The median, and a column that says where it stands in: that a value is missing is information."""
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _scaled() -> Any:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline([("impute", _imputer()), ("scale", StandardScaler())])


def _hot(rare: int) -> Any:
    """A column for each code that stands often enough, one for all others, one for a missing value."""
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=rare, max_categories=MOST_HOT)


def _linear(settings: Parameters, classes: bool, _: int, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    strength = float(settings["strength"])
    if classes:
        return LogisticRegression(C=1.0 / strength, max_iter=400, random_state=seed)
    return Ridge(alpha=strength, random_state=seed)


def _lightgbm(settings: Parameters, classes: bool, _: int, seed: int) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if classes else LGBMRegressor)(
        n_estimators=settings["trees"],
        learning_rate=settings["rate"],
        num_leaves=settings["leaves"],
        min_child_samples=settings["leaf_rows"],
        colsample_bytree=settings["share"],
        reg_lambda=settings["l2"],
        subsample=0.8,
        subsample_freq=1,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def _boosting(settings: Parameters, classes: bool, _: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(
        max_iter=settings["trees"],
        learning_rate=settings["rate"],
        max_leaf_nodes=settings["leaves"],
        min_samples_leaf=settings["leaf_rows"],
        max_features=settings["share"],
        l2_regularization=settings["l2"],
        early_stopping=False,  # it would set rows aside by class, and fail on a class of one row
        random_state=seed,
    )


def _forest(settings: Parameters, classes: bool, rows: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return (RandomForestClassifier if classes else RandomForestRegressor)(
        n_estimators=settings["trees"],
        min_samples_leaf=max(settings["leaf_rows"], min(rows, FOREST_ROWS) // FOREST_LEAVES),
        max_features=settings["share"],
        max_samples=FOREST_ROWS if rows > FOREST_ROWS else None,
        random_state=seed,
        n_jobs=1,
    )


_MODELS: Mapping[str, Callable[[Parameters, bool, int, int], Any]] = {
    LINEAR: _linear,
    LIGHTGBM: _lightgbm,
    BOOSTING: _boosting,
    FOREST: _forest,
}
