"""A training plan in words: what `--dry-run` shows."""

from __future__ import annotations

from studentsuccess.core.infer import look
from studentsuccess.tasks.etl_plan import PlanShown
from studentsuccess.tasks.models import model_path
from studentsuccess.tasks.train import SPACE_FACTOR, TrainPlan


def describe(made: TrainPlan) -> PlanShown:
    """Everything that a run would do; a beginning that a run would refuse is refused here."""
    context, reading = made.context, made.context.reading()
    for one in made.source.dataset.probes:
        look(one.given, one.names, reading.null_values, reading.stream.max_record)
    rows = tuple(
        (one.given.origin.shown, one.given.format.value, len(one.names), one.given.origin.path.stat().st_size)
        for one in made.source.dataset.probes
    )
    train = context.settings.train
    path = model_path(made.name, made.version)
    effort = (
        f"{train.trials} configurations, {train.cv} folds"
        if made.request.algorithm == "search"
        else f"epochs {train.epochs}"
    )
    ids = ", ".join(made.source.dataset.ids)
    words = (
        f"learns  {made.source.target}, {made.request.algorithm}: {effort}",
        f"keeps   {train.holdout:g} of the rows out, by a hash of {ids or 'their content'}",
        f"writes  {path}/ ({made.name}@{made.version}), and up to {made.source.size * SPACE_FACTOR / 1e6:,.0f} MB in"
        f" between ({made.free / 1e9:,.0f} GB free)",
        *([f"already trained by run {made.done}: a run would change nothing"] if made.done else []),
    )
    facts = {
        "plan": "train local",
        "model": made.name,
        "version": made.version,
        "algorithm": made.request.algorithm,
        "target": made.source.target,
        "ids": list(made.source.dataset.ids),
        "holdout": train.holdout,
        "reads": [dict(zip(("path", "format", "columns", "bytes"), row, strict=True)) for row in rows],
        "writes": [path],
        "already_trained": bool(made.done),
    }
    return PlanShown(rows, words, facts)
