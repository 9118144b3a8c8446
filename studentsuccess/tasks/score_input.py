"""What is to be scored, held against what the model was trained on: by name and kind, before a row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa

from studentsuccess.core.formats import Format
from studentsuccess.core.grammar import Kind, fits
from studentsuccess.core.infer import texts_of
from studentsuccess.core.layout import Column, Layout
from studentsuccess.core.names import nearest
from studentsuccess.core.probe import Probe, probe
from studentsuccess.core.stream import Input, text_blocks
from studentsuccess.errors import ContractError, UsageError
from studentsuccess.models.manifest import Manifest
from studentsuccess.models.roles import Feature
from studentsuccess.sources.table import refuse_no_rows
from studentsuccess.tasks.context import Context
from studentsuccess.tasks.inputs import NamedFile

TEXTS = (Kind.TEXT, Kind.LABEL)
NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
# More values than this share that are not what they were in training: the column is another one, not a dirty one.
MOST_WRONG = 0.5
# Some hundred rows tell a column from another one.
LOOK_BYTES = 1 << 17


@dataclass(frozen=True)
class ScoreInput:
    """Files whose columns fit a model, and how they are read: its features, ids, and the truth when it is asked for.

    `id_names` are the ids as the first file spells them; `told` are features that name the rows as well.
    """

    inputs: tuple[Input, ...]
    layout: Layout
    ids: tuple[str, ...]
    actual: str | None
    unused: tuple[str, ...]
    size: int
    id_names: tuple[str, ...] = ()
    told: tuple[Feature, ...] = ()


def examine(
    files: Sequence[NamedFile], manifest: Manifest, context: Context, ids: Sequence[str] = (), *, evaluate: bool = False
) -> ScoreInput:
    """Match the files against the manifest; what is missing or of another kind is named."""
    if not files:
        raise UsageError("nothing to score", "name a file: `ss score FILE`, or `-` for stdin")
    etl = context.settings.etl
    probes = [probe(file.path, file.shown, etl.encoding, etl.delimiter) for file in files]
    refuse_no_rows(probes)
    inputs = []
    for one in probes:
        renamed = _named_as_in_training(one, manifest, ids)
        _refuse_missing(renamed, manifest, evaluate=evaluate)
        inputs.append(renamed)
    chosen = _ids(inputs, manifest, ids)
    layout = _layout(manifest, chosen, evaluate=evaluate)
    for one in inputs:
        _refuse_retyped(one, manifest, context.settings.etl.max_record_bytes)
    known = {*layout.names, manifest.target, *manifest.ids, *(feature.name for feature in manifest.features)}
    return ScoreInput(
        tuple(one.given for one in inputs),
        layout,
        chosen,
        manifest.target if evaluate else None,
        tuple(dict.fromkeys(name for one in inputs for name in one.names if name not in known)),
        sum(file.path.stat().st_size for file in files),
        tuple(probes[0].names[inputs[0].names.index(name)] for name in chosen),
        tuple(feature for feature in manifest.used if feature.name in chosen),
    )


def _named_as_in_training(one: Probe, manifest: Manifest, ids: Sequence[str]) -> Probe:
    """Columns that differ from the training's (or the asked ids) only in case take that name.

    The fields of JSON lines are found by their own names in every row: there nothing can be renamed.
    """
    if one.given.format is Format.JSON_LINES:
        return one
    known = (*ids, *(feature.name for feature in manifest.features), manifest.target, *manifest.ids)
    wanted = {name.casefold(): name for name in known}
    names = tuple(wanted.get(name.casefold(), name) for name in one.names)
    dialect = replace(one.given.dialect, names=names)
    kinds = dict(zip(names, one.kinds.values(), strict=True)) if one.kinds is not None else None
    return replace(one, given=replace(one.given, dialect=dialect), kinds=kinds)


def _refuse_missing(one: Probe, manifest: Manifest, *, evaluate: bool) -> None:
    wanted = [feature.name for feature in manifest.used]
    missing = [name for name in wanted if name not in one.names]
    if missing:
        near = nearest(missing[0], [name for name in one.names if name not in wanted])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ContractError(
            f"{one.given.origin.shown}: `{manifest.label}` needs {len(wanted)} columns, and {len(missing)} of them"
            f" {'is' if len(missing) == 1 else 'are'} missing: {', '.join(f'`{name}`' for name in missing[:3])}{more}",
            f"is `{near}` meant? rename it to `{missing[0]}`"
            if near
            else f"`ss models show {manifest.label}` lists all",
        )
    if evaluate and manifest.target not in one.names:
        raise ContractError(
            f"{one.given.origin.shown}: there is no column `{manifest.target}` to evaluate against",
            "leave `--evaluate` out: scoring needs no target",
        )


def _ids(inputs: Sequence[Probe], manifest: Manifest, asked: Sequence[str]) -> tuple[str, ...]:
    """The columns that say whose row it is: as asked, else the model's where all files have them."""
    found: dict[str, None] = {}
    for name in asked:
        spelled = dict.fromkeys(_id(name, one, manifest) for one in inputs)
        if len(spelled) > 1:
            raise UsageError(
                f"`--id {name}`: the files spell it {' and '.join(f'`{one}`' for one in spelled)}",
                "rename it in one of them, or score them one by one",
            )
        found |= spelled
    there = all(name in one.names for one in inputs for name in manifest.ids)
    return tuple(found) or (manifest.ids if there else ())


def _id(asked: str, one: Probe, manifest: Manifest) -> str:
    """A column by its name, however its case is."""
    found = next((name for name in one.names if name.casefold() == asked.casefold()), None)
    if found is None:
        near = nearest(asked, one.names)
        raise UsageError(
            f"{one.given.origin.shown}: there is no column `{asked}` for `--id`",
            f"did you mean `{near}`?" if near else f"its columns begin with {', '.join(one.names[:6])}",
        )
    if found == manifest.target:
        raise UsageError(
            f"`--id {asked}`: that is what `{manifest.label}` predicts, and no score sees it",
            "name the rows by another column; `--evaluate` compares with this one",
        )
    return found


def _layout(manifest: Manifest, ids: Sequence[str], *, evaluate: bool) -> Layout:
    """Features as they were in training (texts as codes), ids to the letter, the target only when it is asked for.

    The target comes as text, whatever it was: a label that can't be read must not cost its row the score.
    """
    columns = [Column(name, Kind.TEXT) for name in ids]
    for feature in manifest.used:
        kind = Kind.LABEL if feature.kind in TEXTS else feature.kind
        columns.append(Column(feature.name, kind))
    if evaluate:
        columns.append(Column(manifest.target, Kind.LABEL))
    unique = {column.name: column for column in reversed(columns)}
    return Layout(
        tuple(unique[name] for name in dict.fromkeys(column.name for column in columns)), manifest.null_values
    )


def _refuse_retyped(one: Probe, manifest: Manifest, limit: int) -> None:
    """A column that was numbers and now holds texts is another column: named, not rejected row by row."""
    wanted = {feature.name: feature.kind for feature in manifest.used if feature.kind not in TEXTS}
    if one.kinds is not None:
        empty = _empty_columns(one)
        for name, kind in wanted.items():
            found = one.kinds[name]
            if found is not kind and not {found, kind} <= set(NUMBERS) and name not in empty:
                raise _retyped(one, name, kind, found.value, manifest)
        return
    if not wanted:
        return
    texts = Layout(tuple(Column(name, Kind.TEXT) for name in wanted), manifest.null_values)
    for block in islice(text_blocks(one.given, limit, LOOK_BYTES), 1):
        for name, values in texts_of(block, one.given, texts).items():
            wrong = _wrong(values, wanted[name])
            if wrong > MOST_WRONG:
                raise _retyped(one, name, wanted[name], "something else", manifest)


def _empty_columns(one: Probe) -> set[str]:
    """The columns of a Parquet file whose type says that nothing is in them."""
    import pyarrow.parquet as pq

    kinds = pq.read_schema(one.given.origin.path).types
    return {name for name, kind in zip(one.names, kinds, strict=True) if pa.types.is_null(kind)}


def _wrong(values: pa.Array, kind: Kind) -> float:
    present = len(values) - values.null_count
    return 1 - int(fits(values, kind).sum()) / present if present else 0.0


def _retyped(one: Probe, name: str, wanted: Kind, found: str, manifest: Manifest) -> ContractError:
    return ContractError(
        f"{one.given.origin.shown}: the column `{name}` was of the kind {wanted.value} when `{manifest.label}` was"
        f" trained, and here it is {found}",
        "is it the same column? export it as it was then, or train again with this one",
    )
