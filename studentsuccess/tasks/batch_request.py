"""What was asked of a batching run, as the rooms below understand it, and the key of all that decides its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from studentsuccess.batching.grouping import How
from studentsuccess.batching.input_pins import membership_file
from studentsuccess.batching.input_request import InputRequest
from studentsuccess.batching.input_sheet import OpenLetters
from studentsuccess.batching.inputs import Read
from studentsuccess.batching.instance import Instance, Pins, Sizes, Weights
from studentsuccess.config.schema import BatchSettings
from studentsuccess.core.digest import FileFact, canonical, file_fact, text_digest
from studentsuccess.tasks.context import Context

COMMAND = "batch process"
# Raised whenever the same files and settings give other files.
VERSION = 1


@dataclass(frozen=True)
class Beside:
    """Files that a command line may name beside the term's folder."""

    rules: Path | None = None
    pins: Path | None = None
    previous: Path | None = None


@dataclass(frozen=True)
class BatchRequest:
    """Where the term is, where the batches go, and what only a command line says."""

    folder: Path
    output: Path
    day: date
    beside: Beside = Beside()


def input_request(context: Context, beside: Beside, letters: OpenLetters | None = None) -> InputRequest:
    """The settings as the reader takes them."""
    batch, etl = context.settings.batch, context.settings.etl
    return InputRequest(
        sizes=Sizes(batch.min_size, batch.target_size, batch.max_size),
        weights=Weights(batch.homogeneity_weight, batch.balance_weight, batch.size_weight),
        max_iterations=batch.max_iterations,
        convergence=batch.convergence,
        tenant=batch.tenant_id,
        rules=beside.rules,
        pins=beside.pins,
        previous=beside.previous,
        relax=tuple(batch.relax),
        seed=batch.seed,
        lenient=batch.lenient,
        encoding=etl.encoding,
        delimiter=etl.delimiter,
        null_values=tuple(etl.null_values),
        stream=context.reading().stream,
        letters=letters,
    )


def how(context: Context) -> How:
    """The settings as the grouping takes them."""
    batch = context.settings.batch
    return How(
        algorithm=batch.algorithm,
        max_iterations=batch.max_iterations,
        convergence=batch.convergence,
        performance=batch.performance,
        workers=context.budget.workers,
        time_limit=batch.time_limit,
    )


def thresholds(batch: BatchSettings) -> dict[str, float]:
    """What is wanted of each measure of which something is."""
    return {
        "academic_coherence": batch.least_coherence,
        "resource_utilization": batch.least_utilization,
        "constraint_satisfaction": batch.least_satisfaction,
        "silhouette": batch.least_silhouette,
        "size_balance": batch.least_balance,
    }


def inputs_of(request: BatchRequest, read: Read, context: Context) -> tuple[FileFact, ...]:
    """Every file that was read, as the ledger names it."""
    term = [replace(one.fact, path=context.shown(request.folder / one.fact.path)) for one in read.files]
    beside = request.beside
    named = [beside.rules, beside.pins, membership_file(beside.previous) if beside.previous else None]
    return (*term, *(file_fact(path, context.shown(path)) for path in named if path is not None))


def key_of(request: BatchRequest, context: Context, inputs: Sequence[FileFact]) -> str:
    """Workers and limits of memory decide nothing, and neither does the folder that the files stand in."""
    batch = context.settings.batch.model_dump(exclude={"strict"})
    etl = context.settings.etl
    facts = sorted((Path(fact.path).name, fact.sha256) for fact in inputs)
    reading = [etl.encoding, etl.delimiter, list(etl.null_values)]
    return text_digest(canonical([COMMAND, VERSION, request.day.isoformat(), facts, batch, reading]))


def request_document(request: BatchRequest, context: Context, read: Read, instance: Instance) -> dict[str, object]:
    """What whoever checks the files has to know, for `quality.json`."""
    batch = context.settings.batch
    return {
        "date": request.day.isoformat(),
        "sizes": {"min": instance.sizes.least, "target": instance.sizes.target, "max": instance.sizes.most},
        "weights": asdict(instance.weights),
        "tenant_id": batch.tenant_id,
        "seed": batch.seed,
        "algorithm": batch.algorithm,
        "performance": batch.performance,
        "lenient": batch.lenient,
        "null_values": list(context.settings.etl.null_values),
        "relax": list(instance.relax),
        "rules": [asdict(rule) for rule in instance.rules],
        "thresholds": thresholds(batch),
        "pins": _pins(instance.pins, instance.students.ids),
        "files": [{"role": one.role, "path": one.path, "sha256": one.fact.sha256} for one in read.files],
    }


def _pins(pins: Pins, ids: Sequence[str]) -> dict[str, object]:
    return {
        "together": [[ids[at] for at in group] for group in pins.together],
        "apart": [[ids[one], ids[other]] for one, other in pins.apart],
    }
