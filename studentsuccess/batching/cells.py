"""Who may be together at all: cells, which hard rules keep apart.

A cell has one program, one academic year, and one value of each field that a hard no_mix, or a hard homogeneous rule
with a share of 1, is about. Of a list, its students share a value: which, is chosen such that batches fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studentsuccess.batching.cell_lists import shared_values
from studentsuccess.batching.cell_relax import merged
from studentsuccess.batching.instance import Instance, Ints, Lists, Numbers, Texts
from studentsuccess.batching.sizes import fits
from studentsuccess.batching.vectors import field_of, values_of

ALWAYS = ("program_id", "academic_year")
MISSING = "(none)"
# A share that is written as .999999999 or more means all.
_WHOLE = 1.0 - 1e-9


@dataclass(frozen=True)
class Cells:
    """Each student's cell, cells in the order of their values; and the wider one that the whole's bound is of.

    The wider one differs where a value of a list was chosen: another choice may be better, and the bound covers it.
    """

    keys: tuple[str, ...]
    of: Ints
    wider: Ints
    merges: tuple[str, ...] = ()  # the cells that were merged because the caller relaxed a field

    @property
    def sizes(self) -> Ints:
        return np.bincount(self.of, minlength=len(self.keys))

    def members(self) -> list[Ints]:
        """The students of each cell, ascending."""
        return split_by(self.of)


def split_by(labels: Ints) -> list[Ints]:
    """The rows of each label, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1]) if len(order) else []


def cells_of(instance: Instance, relax: tuple[str, ...]) -> Cells:
    """All cells, merged across the fields of `relax` where batches do not fit; some may still not fit."""
    fields = partition_fields(instance)
    columns, texts, wider = _columns(instance, fields)
    cell = _numbered(columns, instance.students.count)
    first = np.unique(cell, return_index=True)[1]
    distinct = np.stack([codes[first] for codes in columns], axis=1) if columns else np.zeros((len(first), 0), np.int64)
    keys = [_key([of[code] for of, code in zip(texts, row, strict=True)]) for row in distinct.tolist()]
    free = [at for at, name in enumerate(fields) if name in relax]
    group = merged(distinct, np.bincount(cell), free, instance.sizes) if free else np.arange(len(keys))
    joined = _joined(keys, group)
    merges = tuple(key for key, count in zip(joined, np.bincount(group).tolist(), strict=True) if count > 1)
    return Cells(joined, group[cell], _widened(wider, group[cell]), merges)


def ill_sized(found: Cells, instance: Instance) -> list[int]:
    """The cells that no number of batches fits."""
    return [at for at, count in enumerate(found.sizes.tolist()) if not fits(count, instance.sizes)]


def partition_fields(instance: Instance) -> tuple[str, ...]:
    """The fields that keep students apart: program and year, then those of the hard rules in their order."""
    ruled = [rule.field for rule in instance.hard if is_partition(rule.kind, rule.threshold)]
    return tuple(dict.fromkeys(name for name in (*ALWAYS, *ruled) if field_of(instance, name) is not None))


def is_partition(kind: str, threshold: float | None) -> bool:
    """Whether a hard rule of that kind lets no two values into a batch."""
    return kind == "no_mix" or (kind == "homogeneous" and (threshold is None or threshold >= _WHOLE))


def _columns(instance: Instance, fields: tuple[str, ...]) -> tuple[list[Ints], list[list[str]], Ints]:
    """A code for each student and field, what the codes mean, and the cells as they are before lists are looked at.

    Fields of one value come first in time, since a value of a list is chosen inside what they leave together; the
    columns are in the order of `fields`.
    """
    found: dict[str, tuple[Ints, list[str]]] = {}
    lists: dict[str, Lists] = {}
    for name in fields:
        values = field_of(instance, name)
        assert values is not None
        if isinstance(values, Lists):
            lists[name] = values
        else:
            found[name] = values_of(values)[0], _texts(values)
    wider = _numbered([codes for codes, _ in found.values()], instance.students.count)
    inside = wider
    for name, values in lists.items():
        codes = shared_values(values, inside, instance.sizes, instance.pins.together)
        found[name] = codes + 1, [MISSING, *values.labels]
        inside = _numbered([inside, codes + 1], instance.students.count)
    return [found[name][0] for name in fields], [found[name][1] for name in fields], wider


def _numbered(columns: list[Ints], count: int) -> Ints:
    """A number for each distinct row, in their order."""
    found = np.zeros(count, np.int64)
    for codes in columns:
        found = np.unique(found * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1].astype(np.int64)
    return found


def _texts(values: Texts | Numbers) -> list[str]:
    """What each code of `values_of` means."""
    if isinstance(values, Numbers):
        return [MISSING if number != number else f"{number:g}" for number in np.unique(values.values).tolist()]
    return [MISSING if code < 0 else values.labels[code] for code in np.unique(values.codes).tolist()]


def _key(values: list[str]) -> str:
    """One text for all values; two cells never have the same."""
    return " / ".join(value.replace("/", "//") for value in values) or "all"


def _joined(keys: list[str], group: Ints) -> tuple[str, ...]:
    """The key of each group of cells: a merged one is named after its first cell."""
    count = np.bincount(group)
    first = np.unique(group, return_index=True)[1]
    return tuple(
        keys[at] if many == 1 else f"{keys[at]} and {many - 1} more"
        for at, many in zip(first.tolist(), count.tolist(), strict=True)
    )


def _widened(wider: Ints, cell: Ints) -> Ints:
    """The wider cells, joined where one cell reaches into several of them."""
    if not len(cell):
        return cell
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    both = int(wider.max()) + 1
    links = coo_array((np.ones(len(cell)), (wider, both + cell)), shape=(both + int(cell.max()) + 1,) * 2)
    return np.asarray(connected_components(links, directed=False)[1][wider], np.int64)
