"""The risk of not passing: for each week a calibrated blend of a regularised logistic and boosted trees, in log-odds.

Log-odds add up, so every reason is exact: the blend's is the weighted sum of its parts', stretched by the calibration.
What is chosen (the weight, the calibration, how sure a prediction must be) is chosen inside the training terms, on
predictions for students that the fit in question had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from studentsuccess.errors import ContractError
from studentsuccess.models.risk_inputs import Inputs, Part, learn

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
CLIP = 4.0
# Strong enough for tens of columns that say nearly the same, measured on the training terms of OULAD.
PENALTY = 0.05
ROUNDS = 300
BOOSTING: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_child_samples": 60,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
WEIGHTS = (0.4, 0.5, 0.6)
FOLDS = 2
# Each class is promised to be in the set of nine in ten of its members.
LEVEL = 0.9
EDGE = 1e-6
LEAST_ROWS = 100


@dataclass(frozen=True)
class Logistic:
    """A standardised, clipped logistic; absence of a value has a weight of its own."""

    mean: Floats
    spread: Floats
    values: Floats
    absent: Floats
    bias: float

    def terms(self, matrix: Floats) -> Floats:
        """What each column adds to the log-odds."""
        missing = np.isnan(matrix)
        scaled = np.clip((np.where(missing, self.mean, matrix) - self.mean) / self.spread, -CLIP, CLIP)
        return np.asarray(scaled * self.values + missing * self.absent)

    def log_odds(self, matrix: Floats) -> Floats:
        return np.asarray(self.terms(matrix).sum(1) + self.bias)


@dataclass(frozen=True)
class Trees:
    """LightGBM's own text format, and the booster behind it."""

    text: str
    booster: Any = field(compare=False, repr=False)

    @classmethod
    def of(cls, text: str) -> Trees:
        import lightgbm

        return cls(text, lightgbm.Booster(model_str=text))

    def log_odds(self, matrix: Floats) -> Floats:
        if not len(matrix):  # LightGBM divides by the number of rows
            return np.zeros(0)
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=1), np.float64)

    def terms(self, matrix: Floats) -> tuple[Floats, Floats]:
        """What each column adds, and the base: SHAP values as LightGBM computes them."""
        if not len(matrix):
            return np.zeros(matrix.shape), np.zeros(0)
        found = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=1), np.float64)
        return found[:, :-1], found[:, -1]


@dataclass(frozen=True)
class Calibration:
    """What is done to the blend's log-odds, and from where on a class belongs to the set."""

    slope: float
    shift: float
    least_at_risk: float
    most_not_at_risk: float

    def probability(self, log_odds: Floats) -> Floats:
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * log_odds + self.shift))))

    def decisions(self, probability: Floats) -> list[str]:
        """A conformal set in words: both classes possible, or neither typical, is unsure."""
        risk, fine = probability >= self.least_at_risk, probability <= self.most_not_at_risk
        words = np.where(risk & ~fine, "at risk", np.where(fine & ~risk, "not at risk", "unsure"))
        return [str(word) for word in words]


@dataclass(frozen=True)
class WeekModel:
    """The model of one week."""

    week: int
    inputs: Inputs
    logistic: Logistic
    trees: Trees
    weight: float
    calibration: Calibration
    rows: int

    def probability(self, table: pa.Table) -> Floats:
        return self.calibration.probability(self._log_odds(self.inputs.matrix(table)))

    def _log_odds(self, matrix: Floats) -> Floats:
        return self.weight * self.logistic.log_odds(matrix) + (1 - self.weight) * self.trees.log_odds(matrix)

    def reasons(self, table: pa.Table) -> tuple[tuple[str, ...], Floats, Floats]:
        """Features, what each adds to each row's log-odds (beside the average row), and the base."""
        matrix = self.inputs.matrix(table)
        line = self.logistic.terms(matrix)
        trees, base = self.trees.terms(matrix)
        slope = self.calibration.slope
        terms = slope * (self.weight * line + (1 - self.weight) * trees)
        start = slope * (self.weight * self.logistic.bias + (1 - self.weight) * base) + self.calibration.shift
        names = tuple(dict.fromkeys(self.inputs.owners))
        places = np.array([names.index(owner) for owner in self.inputs.owners])
        found = np.zeros((len(matrix), len(names)))
        np.add.at(found.T, places, terms.T)
        return names, found, np.asarray(start)


def fit_week(table: pa.Table, week: int, features: Sequence[str], seed: int) -> WeekModel:
    """Fit on rows whose outcome is known."""
    truth = np.asarray(table.column("at_risk").to_numpy(), bool)
    if len(truth) < LEAST_ROWS or not 0 < truth.sum() < len(truth):
        raise ContractError(
            f"week {week}: {len(truth):,} enrolments with a known outcome, {int(truth.sum()):,} of them at risk, are"
            " too few to learn from",
            "give earlier terms with their outcomes, or another week: `--week N`",
        )
    inputs = learn(table, features)
    matrix = inputs.matrix(table)
    students = table.column("student_id").to_pylist()
    line, trees = _out_of_fold(matrix, truth, students, seed)
    weight = min(WEIGHTS, key=lambda one: (_loss(one * line + (1 - one) * trees, truth), abs(one - 0.5)))
    calibration = _calibrate(weight * line + (1 - weight) * trees, truth)
    logistic, booster = _logistic(matrix, truth), _trees(matrix, truth, seed)
    return WeekModel(week, inputs, logistic, booster, weight, calibration, len(truth))


def _out_of_fold(matrix: Floats, truth: Truth, students: Sequence[str], seed: int) -> tuple[Floats, Floats]:
    """Log-odds for every row from fits that saw none of its student's rows."""
    from studentsuccess.core.rowhash import row_hashes

    keys = row_hashes(pa.record_batch({"student": pa.array(students, pa.string())}), ["student"])
    fold = ((keys + np.uint64(seed)) >> np.uint64(17)) % np.uint64(FOLDS)
    line, trees = np.zeros(len(truth)), np.zeros(len(truth))
    for number in range(FOLDS):
        out = fold == number
        if not out.any() or not 0 < truth[~out].sum() < (~out).sum():
            continue
        line[out] = _logistic(matrix[~out], truth[~out]).log_odds(matrix[out])
        trees[out] = _trees(matrix[~out], truth[~out], seed).log_odds(matrix[out])
    return line, trees


def _logistic(matrix: Floats, truth: Truth) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    missing = np.isnan(matrix)
    present = np.maximum((~missing).sum(0), 1)
    mean = np.where(missing, 0.0, matrix).sum(0) / present
    spread = np.sqrt((np.where(missing, 0.0, matrix - mean) ** 2).sum(0) / present)
    spread[spread == 0] = 1.0
    scaled = np.clip((np.where(missing, mean, matrix) - mean) / spread, -CLIP, CLIP)
    sparse = missing.any(0)
    inputs = np.hstack([scaled, missing[:, sparse]])
    found = LogisticRegression(C=PENALTY, max_iter=500).fit(inputs, truth)
    weights = found.coef_[0]
    absent = np.zeros(matrix.shape[1])
    absent[sparse] = weights[matrix.shape[1] :]
    return Logistic(mean, spread, weights[: matrix.shape[1]].copy(), absent, float(found.intercept_[0]))


def _trees(matrix: Floats, truth: Truth, seed: int) -> Trees:
    import lightgbm

    data = lightgbm.Dataset(matrix, truth.astype(np.float64), params={"verbose": -1})
    booster = lightgbm.train({**BOOSTING, "seed": seed}, data, ROUNDS)
    return Trees(booster.model_to_string(), booster)


def _calibrate(log_odds: Floats, truth: Truth) -> Calibration:
    """Platt's two numbers, and the thresholds that keep the promise for each class on these very predictions."""
    from scipy.optimize import minimize

    def loss(numbers: Floats) -> float:
        return _loss(numbers[0] * log_odds + numbers[1], truth)

    slope, shift = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B").x
    plain = Calibration(float(slope), float(shift), 0.0, 1.0)
    probability = plain.probability(log_odds)
    return Calibration(
        plain.slope,
        plain.shift,
        1.0 - _reach(1.0 - probability[truth]),
        _reach(probability[~truth]),
    )


def _reach(strangeness: Floats) -> float:
    """So strange may a member of the class be (split conformal, with the finite-sample correction).

    Fewer than nine members can promise nothing: then whatever there is belongs to the set.
    """
    rank = int(np.ceil((len(strangeness) + 1) * LEVEL))
    return float(np.sort(strangeness)[rank - 1]) if rank <= len(strangeness) else 1.0


def _loss(log_odds: Floats, truth: Truth) -> float:
    signed = np.where(truth, log_odds, -log_odds)
    return float(np.logaddexp(0.0, -signed).mean())


def pack(models: Sequence[WeekModel]) -> tuple[dict[str, npt.NDArray[Any]], dict[str, bytes], list[dict[str, Any]]]:
    """Arrays, LightGBM's texts by file name, and plain facts for the manifest."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    texts, facts = {}, []
    for model in models:
        for name in ("mean", "spread", "values", "absent"):
            arrays[f"{model.week}.{name}"] = getattr(model.logistic, name)
        texts[f"week_{model.week:02d}.lightgbm.txt"] = model.trees.text.encode("utf-8")
        facts.append(
            {
                "week": model.week,
                "rows": model.rows,
                "bias": model.logistic.bias,
                "weight": model.weight,
                "calibration": asdict(model.calibration),
                "parts": [[part.feature, part.level, part.typical] for part in model.inputs.parts],
            }
        )
    return arrays, texts, facts


def unpack(arrays: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, str], facts: Any) -> dict[int, WeekModel]:
    """The models of a folder that was checked, by week."""
    found = {}
    for one in facts:
        week = int(one["week"])
        parts = [np.asarray(arrays[f"{week}.{name}"]) for name in ("mean", "spread", "values", "absent")]
        found[week] = WeekModel(
            week,
            Inputs(tuple(Part(*part) for part in one["parts"])),
            Logistic(parts[0], parts[1], parts[2], parts[3], float(one["bias"])),
            Trees.of(texts[f"week_{week:02d}.lightgbm.txt"]),
            float(one["weight"]),
            Calibration(**one["calibration"]),
            int(one["rows"]),
        )
    return found
