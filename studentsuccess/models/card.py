"""The card of a model: what it is for, how good it is, and what it must not be used for, for people to read.

It is meant to be passed on, so it holds no student's values: names of columns, labels of classes and counts, and of
those none that is small. Everything else about a version stands in its manifest.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from studentsuccess.models.card_asks import asks
from studentsuccess.models.card_cells import Counts, Hidden, hide_line, hide_table
from studentsuccess.models.card_text import NOTHING, amount, code, fenced, figure, listed, plain, table
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.roles import Feature, Role

MIN_CELL = 10
MOST_LISTED = 40
MOST_CONFUSED = 12
FEW_ROWS = 30
PICTURE = "calibration.png"
# The name in the manifest, the one that people use, and whether more is better.
_CLASS_FIGURES = (
    ("accuracy", "accuracy", True),
    ("macro_f1", "F1, mean of classes", True),
    ("weighted_f1", "F1, weighted by rows", True),
    ("macro_precision", "precision, mean of classes", True),
    ("macro_recall", "recall, mean of classes", True),
    ("log_loss", "log-loss", False),
    ("brier", "Brier score", False),
    ("ece", "calibration error", False),
)
_VALUE_FIGURES = (
    ("r2", "R², share of the variance explained", True),
    ("rmse", "RMSE, in the target's unit", False),
    ("mae", "MAE, in the target's unit", False),
)
_ROLES = {Role.NUMBER: "number", Role.CATEGORY: "code", Role.BOTH: "number and code", Role.IGNORE: "nothing"}
_FLAGS = ("task", "holdout", "epochs", "batch_rows", "trials", "cv", "seed")


def card(manifest: Manifest, smallest: int = MIN_CELL) -> str:
    """The card in Markdown. Counts below `smallest` are hidden."""
    parts = (
        _head(manifest),
        _data(manifest),
        _columns(manifest),
        _figures(manifest),
        _by_class(manifest, smallest),
        _confusion(manifest, smallest),
        _calibration(manifest, smallest),
        _misuse(manifest),
        _limits(manifest, smallest),
        _again(manifest),
    )
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


def _head(manifest: Manifest) -> Iterator[str]:
    what = "a class" if manifest.classes else "a number"
    yield f"# Model card: {plain(manifest.label)}"
    yield ""
    yield (
        f"Predicts **{plain(manifest.target)}** ({what}) of a row from {len(manifest.used):,} columns."
        f" Algorithm: {plain(manifest.algorithm)}."
    )
    if manifest.classes:
        yield f"It tells {len(manifest.classes):,} classes apart: {listed(manifest.classes, MOST_LISTED)}."
    yield _verdict(manifest)
    yield ""


def _verdict(manifest: Manifest) -> str:
    """Whether it was worth training: against the best plain alternative, by the loss that it was trained for."""
    name, said, show = ("log_loss", "log-loss", figure) if manifest.classes else ("rmse", "RMSE", amount)
    mine = manifest.metrics.get(name)
    others = {key: one[name] for key, one in manifest.baseline.items() if isinstance(one.get(name), int | float)}
    if mine is None or not others:
        return "It was not compared with a plain alternative."
    best = min(others, key=lambda key: float(others[key]))
    beside = f"{said} {show(mine)}, against {show(others[best])} of the plain alternative “{plain(best)}”"
    if mine < others[best]:
        return f"On rows it never saw it beats every plain alternative: {beside} (less is better)."
    return f"**It does not beat a plain alternative**: {beside} (less is better), on rows it never saw."


def _data(manifest: Manifest) -> Iterator[str]:
    trained, holdout = manifest.trained, manifest.holdout
    yield "## The data"
    yield ""
    named = f"Dataset {plain(trained.dataset)}. " if trained.dataset else ""
    unknown = f", {trained.unlabelled:,} left out because their outcome is unknown" if trained.unlabelled else ""
    yield f"{named}{trained.rows:,} rows to learn from, {holdout.rows:,} held out{unknown}."
    window = f" The rows are of {plain(trained.window)}." if trained.window else ""
    yield f"Trained from {plain(trained.started)} to {plain(trained.finished)} ({plain(trained.where)}).{window}"
    yield ""
    rows = [(plain(_file_name(fact.path)), plain(fact.sha256), f"{fact.size:,}") for fact in trained.data[:MOST_LISTED]]
    yield from table(("file", "sha256", "bytes"), rows, 2)
    if len(trained.data) > MOST_LISTED:
        yield f"And {len(trained.data) - MOST_LISTED:,} more; see manifest.json."
        yield ""
    yield (
        f"A row is held out by a hash of {plain(holdout.basis)}, about {holdout.share:.0%} of all: the same rows"
        f" whatever their order. Digest of the hold-out: {plain(holdout.digest)}."
    )
    if trained.refit:
        yield "The figures are those of a model that did not see the held-out rows. This one was then trained on all."
    yield ""


def _file_name(path: str) -> str:
    """The folders of a path may name a person."""
    return re.split(r"[/\\]", path)[-1]


def _columns(manifest: Manifest) -> Iterator[str]:
    yield "## What it looks at"
    yield ""
    yield from _feature_table(manifest.used)
    left = [feature for feature in manifest.features if feature.role is Role.IGNORE]
    if left:
        yield f"Not looked at ({len(left):,}):"
        yield ""
        yield from table(
            ("column", "why"), ((plain(one.name), plain(one.why) or "as asked") for one in left[:MOST_LISTED]), 2
        )
        yield from _more(len(left))
    if manifest.ids:
        yield f"Rows are told apart by {listed(manifest.ids, MOST_LISTED)}; the model does not see it."
        yield ""


def _feature_table(features: Sequence[Feature]) -> Iterator[str]:
    rows = (
        (
            plain(one.name),
            _ROLES[one.role],
            plain(one.kind),
            f"{len(one.levels):,}" if one.levels else "",
            plain(one.why),
        )
        for one in features[:MOST_LISTED]
    )
    yield from table(("column", "used as", "type", "known values", "note"), rows, 5)
    yield from _more(len(features))


def _more(count: int) -> Iterator[str]:
    if count > MOST_LISTED:
        yield f"And {count - MOST_LISTED:,} more; see manifest.json."
        yield ""


def _figures(manifest: Manifest) -> Iterator[str]:
    """The model beside its alternatives, on the same rows."""
    metrics, show = manifest.metrics, figure if manifest.classes else amount
    intervals = metrics.get("intervals") or {}
    yield "## How good it is"
    yield ""
    yield f"Measured on {_rows(metrics.get('rows', manifest.holdout.rows))} that it never saw."
    yield ""
    heads = ["figure", "better", "this model", "95 % interval", *map(plain, manifest.baseline)]
    rows = []
    for name, said, more in _CLASS_FIGURES if manifest.classes else _VALUE_FIGURES:
        one = figure if name == "r2" else show
        between = " to ".join(one(bound) for bound in intervals.get(name, ()))
        others = (one(baseline.get(name)) for baseline in manifest.baseline.values())
        rows.append((said, "more" if more else "less", one(metrics.get(name)), between, *others))
    yield from table(heads, rows, 2)
    promised = metrics.get("interval")
    if promised:
        yield (
            f"Its intervals promise to hold the truth for {promised['level']:.0%} of the rows;"
            f" they held it for {promised['coverage']:.1%}."
        )
        yield ""
    fitted = {name: one["rows_fitted"] for name, one in manifest.baseline.items() if "rows_fitted" in one}
    for name, rows_fitted in fitted.items():
        yield f"The plain alternative “{plain(name)}” was fitted on {_rows(rows_fitted)}."
        yield ""


def _rows(count: object) -> str:
    return f"{count:,} rows" if isinstance(count, int) else "rows"


def _counts(manifest: Manifest) -> Counts:
    """The confusion table with its row of unknown labels, if it has one."""
    found = manifest.metrics.get("confusion")
    return np.array(found, np.int64) if found else np.zeros((0, 0), np.int64)


def _hidden(manifest: Manifest, smallest: int) -> tuple[Hidden, Hidden]:
    """Hidden cells of the confusion table, and hidden classes."""
    return hide_table(_counts(manifest), smallest)


def _by_class(manifest: Manifest, smallest: int) -> Iterator[str]:
    """Rates that would tell a hidden count are hidden with it."""
    found: Mapping[str, Mapping[str, Any]] = manifest.metrics.get("classes") or {}
    if not found or not _counts(manifest).size:
        return
    support = np.array([int(one["support"]) for one in found.values()], np.int64)
    cells, sums = _hidden(manifest, smallest)
    yield "### Class by class"
    yield ""
    rows = []
    for place, (label, one) in enumerate(found.items()):
        rates = (one["precision"], one["recall"], one["f1"])
        secret = sums[place] or cells[place, place]
        shown = (NOTHING,) * 3 if secret else map(figure, rates)
        rows.append((plain(label), *shown, _count(int(support[place]), bool(sums[place]), smallest)))
    yield from table(("class", "precision", "recall", "F1", "rows"), rows[:MOST_LISTED])
    yield from _more(len(rows))
    if sums.any() or cells.diagonal().any():
        yield _hidden_note(manifest, smallest)
        yield ""


def _count(count: int, hidden: bool, smallest: int) -> str:
    if count < smallest:
        return f"<{smallest}"
    return NOTHING if hidden else f"{count:,}"


def _hidden_note(manifest: Manifest, smallest: int) -> str:
    return (
        f"A dash hides a count below {smallest}, or one that would give such a count away;"
        f" {code(f'ss models show {shlex.quote(manifest.label)}')} shows all of them to who may see them."
    )


def _confusion(manifest: Manifest, smallest: int) -> Iterator[str]:
    counts = _counts(manifest)
    if not counts.size:
        return
    yield "### What was taken for what"
    yield ""
    if len(manifest.classes) > MOST_CONFUSED:
        yield f"A table of {len(manifest.classes):,} classes does not fit here: it is in metrics.json."
        yield ""
        return
    hidden, _ = hide_table(counts, smallest)
    labels = [*map(plain, manifest.classes), "*a label it does not know*"]
    rows = [
        (f"**{label}**", *(NOTHING if secret else f"{count:,}" for count, secret in zip(*pair, strict=True)))
        for label, *pair in zip(labels, counts.tolist(), hidden.tolist(), strict=False)
    ]
    yield from table(("truly \\ predicted", *labels[:-1]), rows)
    if hidden.any():
        yield _hidden_note(manifest, smallest)
        yield ""


def _calibration(manifest: Manifest, smallest: int) -> Iterator[str]:
    bins = [one for one in manifest.metrics.get("calibration") or () if one["rows"]]
    if not bins:
        return
    yield "### Can its probabilities be believed?"
    yield ""
    yield "Among rows whose class was given about 70 %, about 70 % should have been of it."
    yield ""
    yield f"![How often predictions of each confidence were right]({PICTURE})"
    yield ""
    hidden = hide_line(np.array([one["rows"] for one in bins], np.int64), smallest)
    rows = []
    for one, secret in zip(bins, hidden.tolist(), strict=True):
        rates = (NOTHING, NOTHING) if secret else (figure(one["confidence"]), figure(one["accuracy"]))
        rows.append((f"{one['low']:.2f} to {one['high']:.2f}", _count(one["rows"], secret, smallest), *rates))
    yield from table(("confidence", "rows", "mean confidence", "share that was right"), rows)


def _misuse(manifest: Manifest) -> Iterator[str]:
    yield "## What it must not be used for"
    yield ""
    yield "- To decide about a person without a person: it says where to look, not what to do."
    yield "- To punish, to exclude, or to refuse a place, a grant or a mark."
    yield "- For another school, another course or another time than it learned from, unless measured there first."
    yield "- As proof of a cause: a column that moves a prediction need not move the outcome."
    asked = [feature.name for feature in manifest.used if asks(feature.name)]
    if asked:
        yield (
            f"- Before you check whether you may use these columns, which may describe who a person is:"
            f" {listed(asked, MOST_LISTED)}. `--types NAME=ignore` leaves one out."
        )
    yield ""


def _limits(manifest: Manifest, smallest: int) -> Iterator[str]:
    yield "## Limits"
    yield ""
    classes: Mapping[str, Mapping[str, Any]] = manifest.metrics.get("classes") or {}
    few = [label for label, one in classes.items() if one["support"] < FEW_ROWS]
    if few:
        yield f"- Fewer than {FEW_ROWS} held-out rows, so hardly a figure: {listed(few, MOST_LISTED)}."
    if manifest.holdout.rows < 100:
        yield "- The hold-out is small: the intervals are wide, and another hold-out may say otherwise."
    if len(_counts(manifest)) > len(manifest.classes):
        yield "- Some held-out rows have a label that no training row has; each counts as an error."
    yield "- A value that it never met says nothing to it. `ss score` counts such values for each column."
    yield "- The intervals tell the chance of the hold-out alone, not what changes from year to year."
    yield "- It was measured once, on rows like those it learned from. Measure it again when the data changes:"
    yield "  `ss score NEW --evaluate`."
    if _counts(manifest).size and _hidden(manifest, smallest)[0].any():
        yield f"- Counts below {smallest} are hidden in the tables. The overall figures are exact: with some arithmetic"
        yield "  some of those counts follow from them, so pass the card on only to people who may know them."
    yield ""


def _again(manifest: Manifest) -> Iterator[str]:
    yield "## Make it again"
    yield ""
    yield from fenced(command(manifest))
    if manifest.libraries:
        used = ", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(manifest.libraries.items()))
        yield f"Made with {used}."
        yield ""


def command(manifest: Manifest) -> str:
    """The command line that trains the same model on the same files: the one that was given, where it was kept."""
    given = manifest.extra.get("command")
    if isinstance(given, str) and given:
        return given
    trained = manifest.trained
    data = trained.dataset or (_file_name(trained.data[0].path) if trained.data else "FILE")
    words = ["ss", "train", "local", "--data", data, "--target", manifest.target, "--algorithm", manifest.algorithm]
    words += ["--name", manifest.name]
    for name in manifest.ids:
        words += ["--id", name]
    settings = {"holdout": manifest.holdout.share, **manifest.settings}
    for name in _FLAGS:
        if isinstance(settings.get(name), str | int | float):
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    types = manifest.settings.get("types")
    for column, role in types.items() if isinstance(types, Mapping) else ():
        words += ["--types", f"{column}={role}"]
    return shlex.join([*words, "--refit"] if trained.refit else words)
