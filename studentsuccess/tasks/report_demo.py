"""Whether the data was generated, and what was found of the truth that was planted in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from studentsuccess.core.deadletters import read_dead_letters
from studentsuccess.core.digest import FileFact
from studentsuccess.errors import SsError
from studentsuccess.insights.report_setting import Recovery
from studentsuccess.sources.demo_folder import TABLES, receipt_of
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.run_truth import compare
from studentsuccess.warehouse.report import Facts, Load

EXPLAINED = "shap_top_features.json"


def recovery(facts: Facts, context: Context) -> Recovery | None:
    """Nothing for real data; for generated data what can be said of its truth, which may have been deleted since."""
    loads = [load for load in facts.loads if not load.extends]
    if not loads:
        return None
    load = loads[-1]
    folder = context.workspace.inputs / "demo"
    stands = _is_of(folder, load.inputs)
    if not stands and not _called_demo(load.inputs):
        return None
    if not stands:
        return Recovery()
    found = _rows(folder, load, context)
    return _risks(found, folder / "truth", facts, context)


def _called_demo(inputs: Sequence[FileFact]) -> bool:
    """What was loaded from where `ss etl --demo` puts it is generated, though the folder may be gone."""
    return bool(inputs) and all(PurePosixPath(one.path).parent.as_posix().endswith("inputs/demo") for one in inputs)


def _is_of(folder: Path, inputs: Sequence[FileFact]) -> bool:
    """Whether the files that were loaded are those that the generator wrote there, by name and size."""
    receipt = receipt_of(folder)
    if receipt is None:
        return False
    wrote = {(file.path, file.size) for file in receipt.files if file.path.removesuffix(".csv") in TABLES}
    return {(PurePosixPath(one.path).name, one.size) for one in inputs} == wrote


def _rows(folder: Path, load: Load, context: Context) -> Recovery:
    """The planted bad rows, held against the dead letters line by line."""
    try:
        with (folder / "truth" / "dirty_rows.csv").open(encoding="utf-8", newline="") as source:
            planted = {(row["file"], row["line"]) for row in csv.DictReader(source)}
        files = sorted(context.workspace.dead_letters.glob(f"{load.run_id}-*.csv"))
        letters = [letter for path in files for letter in read_dead_letters(path)]
    except (OSError, ValueError, KeyError, SsError):
        return Recovery()
    found = {(Path(letter.source).name, str(letter.reject.line)) for letter in letters}
    return Recovery(len(planted), len(planted & found), len(found - planted))


def _risks(found: Recovery, truth: Path, facts: Facts, context: Context) -> Recovery:
    """The predictions against the true probabilities, and the planted effects among what the model looks at."""
    if not facts.runs:
        return found
    explained = _explained(context)
    try:
        held = compare(truth, explained or {"features": []}, context)
    except (OSError, ValueError, KeyError, SsError):
        return found
    if held is None or not held.students:
        return found
    with_risks = replace(found, error=held.error, bias=held.bias, linked=held.linked)
    return replace(with_risks, planted_effects=held.planted, found_effects=held.effects) if explained else with_risks


def _explained(context: Context) -> Mapping[str, Any] | None:
    """What `ss explain` found of the risk model, if it was asked."""
    try:
        known = json.loads((context.workspace.outputs / EXPLAINED).read_bytes())
        return known if all({"name", "direction"} <= one.keys() for one in known["features"]) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
