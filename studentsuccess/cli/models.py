"""`ss models`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from studentsuccess.cli.frame import Frame, command
from studentsuccess.cli.groups import running
from studentsuccess.cli.output import Table
from studentsuccess.core.counts import rows_of

if TYPE_CHECKING:
    from studentsuccess.models.manifest import Manifest
    from studentsuccess.models.roles import Feature
    from studentsuccess.tasks.context import Context
    from studentsuccess.tasks.models import Comparison, Promoted, PromotePlan, Shown, Standing

BARE = "list"
Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME[@VERSION]", help="A model: risk, risk@3, risk@production.", show_default=False),
]
PER_CLASS = ("precision", "recall", "f1", "support")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=running(BARE),
        invoke_without_command=True,
        help="What was trained, how good it is, and which version is used.",
        epilog="Example: ss models list -f json",
    )
    app.add_typer(group, name="models")
    _register_readers(group)

    @command(group, "promote", changes=True, group="models", epilog="Example: ss models promote risk@3 --dry-run")
    def promote(frame: Frame, model: Name = None) -> None:
        """Put a version into production; the newest where none is named."""
        from studentsuccess.tasks import models as task

        context = _context(frame)
        with frame.working("checking the model's files"):
            made = task.plan(model, context)
        _show_promotion(frame, made, None if frame.dry_run else task.run(made))


def _register_readers(group: typer.Typer) -> None:
    @command(group, BARE, group="models", epilog="Example: ss models list -f csv")
    def list_(frame: Frame) -> None:
        """Every version with its figures, and which one is used."""
        from studentsuccess.tasks import models as task

        _show_list(frame, task.listing(_context(frame)))

    @command(group, "show", group="models", epilog="Example: ss models show risk@3 -f json")
    def show(frame: Frame, model: Name = None) -> None:
        """Everything about one version, from its verified manifest."""
        from studentsuccess.tasks import models as task

        _show_one(frame, task.show(model, _context(frame)))

    @command(group, "compare", group="models", epilog="Example: ss models compare risk@2 risk@3")
    def compare(
        frame: Frame,
        models: Annotated[
            list[str] | None,
            typer.Argument(metavar="[NAME[@VERSION]]...", help="Two or more models.", show_default=False),
        ] = None,
    ) -> None:
        """Versions side by side, and the better one where that can be said."""
        from studentsuccess.tasks import models as task

        _show_comparison(frame, task.compare(models or (), _context(frame)))


def _context(frame: Frame) -> Context:
    from studentsuccess.tasks.context import Context

    return Context(frame.configuration(), frame.wait)


def _show_list(frame: Frame, found: tuple[Standing, ...]) -> None:
    header = ("name", "version", "in use", "algorithm", "task", "target", "trained on", "held out")
    figures = ("figure", "value", "baseline", "trained at", "where")
    rows = [(*_what(one), *_headline(one), _minute(one), one.entry.trained_where) for one in found]
    frame.output.result({"models": [_document(one) for one in found]}, Table((*header, *figures), rows))
    if not found:
        frame.output.note(f"no model yet: `ss train local --data FILE --target COLUMN{frame.again}` trains one")


def _what(one: Standing) -> tuple[object, ...]:
    entry, used = one.entry, "production" if one.production else one.cleaned
    rows = (entry.rows_train, entry.rows_holdout)
    return (entry.name, entry.version, used, entry.algorithm, entry.task, entry.target, *rows)


def _headline(one: Standing) -> tuple[str, str, str]:
    beside = one.best_baseline
    text = f"{_figure(beside[1])} ({beside[0]})" if beside else ""
    return one.headline, _figure(one.figures.get(one.headline)), text


def _minute(one: Standing) -> str:
    return f"{one.entry.trained_at:%Y-%m-%d %H:%M} UTC"


def _figure(value: object) -> str:
    """Three decimals where that says something."""
    if not isinstance(value, int | float):
        return ""
    return f"{value:,.3f}" if value == 0 or 0.001 <= abs(value) < 1_000_000 else f"{value:.3g}"


def _document(one: Standing) -> dict[str, object]:
    entry = one.entry
    return {
        "name": entry.name,
        "version": entry.version,
        "production": one.production,
        "cleaned": one.cleaned or None,
        "algorithm": entry.algorithm,
        "task": entry.task,
        "target": entry.target,
        "rows": {"train": entry.rows_train, "holdout": entry.rows_holdout},
        "metrics": dict(one.figures),
        "baseline": {name: dict(figures) for name, figures in one.baselines.items()},
        "holdout": {"basis": entry.holdout_basis, "share": entry.holdout_share, "digest": entry.holdout_digest},
        "data_digest": entry.data_digest,
        "features": entry.features,
        "trained_at": entry.trained_at.isoformat(),
        "trained_where": entry.trained_where,
        "run_id": entry.run_id,
        "where": entry.path,
    }


def _show_one(frame: Frame, shown: Shown) -> None:
    standing, manifest = shown.standing, shown.kept.manifest
    document = {**manifest.document(), "production": standing.production, "where": standing.entry.path}
    frame.output.result(document, Table(("what", "value"), list(_facts(standing, manifest))))
    if shown.newest != standing.entry:
        frame.output.note(f"there is a newer version: `{shown.newest.label}`")


def _facts(standing: Standing, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """One fact a line, in the order in which people ask."""
    trained, holdout, entry = manifest.trained, manifest.holdout, standing.entry
    yield "model", manifest.label + (" (in production)" if standing.production else "")
    yield "predicts", f"{manifest.target} ({manifest.task}, {manifest.algorithm})"
    yield "trained", f"{_minute(standing)}, {trained.where}, run {trained.run_id}"
    of = f" of {trained.dataset}" if trained.dataset else ""
    yield "trained on", rows_of(trained.rows) + of + (", then on all of them" if trained.refit else "")
    if trained.window:
        yield "window", trained.window
    yield "held out", f"{rows_of(holdout.rows)} ({holdout.share:.0%}, by {holdout.basis})"
    yield "hold-out", f"digest {_short(holdout.digest)}"
    for fact in trained.data:
        yield "data", f"{fact.path}, {fact.size:,} bytes, sha256 {_short(fact.sha256)}"
    yield from _measured(standing, manifest)
    for feature in manifest.features:
        yield f"feature {feature.name}", _taken(feature)
    for file in manifest.files:
        yield "file", f"{entry.path}/{file.path}, {file.size:,} bytes"
    for name, version in manifest.libraries.items():
        yield f"library {name}", str(version)


def _taken(feature: Feature) -> str:
    """How a model takes a column in, and why so."""
    levels = f", {len(feature.levels):,} levels" if feature.levels else ""
    return f"{feature.role.value} ({feature.kind.value}{levels})" + (f": {feature.why}" if feature.why else "")


def _short(digest: str) -> str:
    return f"{digest[:12]}…" if len(digest) > 12 else digest


def _measured(standing: Standing, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Each figure with the baselines' beside it, then each class."""
    figures = standing.figures
    for name in _told(figures):
        ends = [_figure(figures[end]) for end in (f"{name}_low", f"{name}_high") if end in figures]
        beside = [f"{base} {_figure(got[name])}" for base, got in standing.baselines.items() if name in got]
        within = f", {' to '.join(ends)} with 95% confidence" if ends else ""
        yield name, _figure(figures[name]) + within + (f" ({', '.join(beside)})" if beside else "")
    for label, figures in (manifest.metrics.get("classes") or {}).items():
        told = [f"{name} {_figure(figures[name])}" for name in PER_CLASS[:-1] if name in figures]
        yield f"class {label}", ", ".join([*told, rows_of(int(figures.get("support") or 0))])


def _told(figures: Mapping[str, float]) -> list[str]:
    """The figures with a line of their own: the count is told elsewhere, the ends of a range beside it."""
    ends = {f"{name}_{end}" for name in figures for end in ("low", "high")}
    return [name for name in figures if name != "rows" and name not in ends]


def _show_comparison(frame: Frame, found: Comparison) -> None:
    document = {
        "models": [_document(one) for one in found.standings],
        "same_holdout": found.same_holdout,
        "by": found.by,
        "winner": found.winner.entry.label if found.winner else None,
        "why": found.why,
    }
    labels = [one.entry.label for one in found.standings]
    words = (found.why, *((f"better: {found.winner.entry.label}",) if found.winner else ()))
    frame.output.result(document, Table(("what", *labels), list(_side_by_side(found)), words))


def _side_by_side(found: Comparison) -> Iterator[tuple[str, ...]]:
    facts: dict[str, Callable[[Standing], str]] = {
        "in use": lambda one: "production" if one.production else "",
        "algorithm": lambda one: one.entry.algorithm,
        "target": lambda one: f"{one.entry.target} ({one.entry.task})",
        "trained at": _minute,
        "trained on": lambda one: rows_of(one.entry.rows_train),
        "data": lambda one: _short(one.entry.data_digest),
        "held out": lambda one: rows_of(one.entry.rows_holdout),
        "hold-out": lambda one: _short(one.entry.holdout_digest),
        "features": lambda one: f"{one.entry.features:,}",
    }
    for name, tell in facts.items():
        yield (name, *(tell(one) for one in found.standings))
    figures = dict.fromkeys(name for one in found.standings for name in _told(one.figures))
    for name in figures:
        yield (name, *(_figure(one.figures.get(name)) for one in found.standings))
    for name in dict.fromkeys(name for one in found.standings for name in one.baselines):
        told = [one.baselines.get(name, {}).get(found.by) for one in found.standings]
        if any(value is not None for value in told):
            yield (f"{found.by} of {name}", *(_figure(value) for value in told))


def _show_promotion(frame: Frame, made: PromotePlan, done: Promoted | None) -> None:
    before = made.before.label if made.before else None
    document = {
        "model": made.entry.label,
        "before": before,
        "changed": made.changes,
        "run_id": done.run_id if done else None,
    }
    state = "would be put into production" if done is None else "in production"
    said = state if made.changes else "in production already, nothing changed"
    frame.output.result(document, Table(("model", "state", "before"), [(made.entry.label, said, before or "")]))
