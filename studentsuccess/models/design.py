"""What the learner makes of the gathered columns: which it takes in, how numbers are scaled, which weight is whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from studentsuccess.core.grammar import Kind
from studentsuccess.errors import UsageError
from studentsuccess.models.gather import TEXTS, ColumnBook
from studentsuccess.models.roles import Feature, Hashing, Role
from studentsuccess.models.softmax import Codes, Doubles, Index, Singles
from studentsuccess.models.vocabulary import NONE

# A whole-number column is taken as codes too when it has few values for its rows. With fewer rows a code, the tables of
# UCI 320 are predicted worse than without codes; those of UCI 697 are indifferent from 10 to 60.
ROWS_PER_CODE = 60
# From this share of values that stand for one row alone, texts are names and not categories.
NAME_SHARE = 0.5
ID_ENDINGS = ("_id", " id", "-id")
SMALLEST_SPREAD = 1e-12


@dataclass(frozen=True)
class Facts:
    """What the training rows say of one column: present numbers, their mean and spread, how often each code stands."""

    present: int
    mean: float
    spread: float
    counts: Index


def decide(book: ColumnBook, facts: Facts, rows: int, asked: Role | None) -> tuple[Role, str]:
    """The role of a column, and why where that is not plain."""
    if asked is not None:
        return _asked(book, asked)
    if not facts.present:
        return Role.IGNORE, "empty"
    if book.is_text:
        return _of_text(book, facts, rows)
    if book.column.kind is Kind.INTEGER and _is_identifier(book):
        return Role.IGNORE, "only tells the rows apart; `--types` can take it in"
    if facts.spread <= SMALLEST_SPREAD and facts.present == rows:
        return Role.IGNORE, "always the same"
    codes = int((facts.counts > 0).sum())
    if book.code is not None and not book.integers.too_many and 2 < codes <= facts.present / ROWS_PER_CODE:
        return Role.BOTH, f"{codes} whole numbers: as numbers and as codes"
    return Role.NUMBER, ""


def _asked(book: ColumnBook, asked: Role) -> tuple[Role, str]:
    if book.column.kind in TEXTS and asked in (Role.NUMBER, Role.BOTH):
        raise UsageError(
            f"`--types {book.column.name}={asked}`: its values are texts, not numbers",
            f"`--types {book.column.name}=category` takes them as they are",
        )
    if asked is Role.BOTH and (book.code is None or book.integers.too_many):
        return Role.NUMBER, "as asked by --types, but with too many values to be codes too"
    return asked, "as asked by --types"


def _of_text(book: ColumnBook, facts: Facts, rows: int) -> tuple[Role, str]:
    levels = len(book.texts.levels)
    if book.texts.strangers:
        # How often strangers were met depends on how the table was cut; the levels that were learned by name do not.
        fresh, present = int((facts.counts[:levels] > 0).sum()), int(facts.counts[:levels].sum())
    else:
        fresh, present = levels, book.present
    if fresh > NAME_SHARE * present and fresh > 2:
        return Role.IGNORE, "nearly every value stands for one row alone"
    if int((facts.counts > 0).sum()) == 1 and facts.present == rows:
        return Role.IGNORE, "always the same"
    return Role.CATEGORY, ""


def _is_identifier(book: ColumnBook) -> bool:
    """Numbers that count the rows, or that a name calls an id and that stand for one row each."""
    if book.numbers.steady and book.numbers.present > 2:
        return True
    name = book.column.name.casefold()
    alone = book.integers.too_many or len(book.integers.values) == book.present > 2
    return (name == "id" or name.endswith(ID_ENDINGS)) and alone


@dataclass(frozen=True)
class Design:
    """The way from a row to the weights it touches. `owner` says whose feature a weight is (the bias is nobody's)."""

    features: tuple[Feature, ...]
    columns: Index
    code_columns: Index
    origin: Doubles
    scale: Doubles
    mean: Doubles
    inverse: Doubles
    starts: Index
    table: Index
    owner: Index

    @property
    def width(self) -> int:
        return len(self.owner)

    def numbers_of(self, rows: npt.NDArray[np.void]) -> Singles:
        """The numbers that are used, side by side in memory."""
        return np.ascontiguousarray(rows["numbers"][:, self.columns])

    def codes_of(self, rows: npt.NDArray[np.void]) -> Codes:
        return np.ascontiguousarray(rows["codes"][:, self.code_columns])


def build(books: Sequence[ColumnBook], facts: Mapping[str, Facts], rows: int, types: Mapping[str, Role]) -> Design:
    """Roles, scales and the place of every weight: the bias, then two for each number, then one for each level."""
    decided = [(book, *decide(book, facts[book.column.name], rows, types.get(book.column.name))) for book in books]
    features, table, starts, owner = [], [], [0], [NONE]
    numbered = [(place, book) for place, (book, role, _) in enumerate(decided) if role in (Role.NUMBER, Role.BOTH)]
    for place, _ in numbered:
        owner += [place, place]
    code_columns = []
    for place, (book, role, why) in enumerate(decided):
        coded = role in (Role.CATEGORY, Role.BOTH)
        counts = facts[book.column.name].counts
        kept = counts > 0
        if coded:
            weights = np.full(len(counts), NONE, np.int64)
            weights[kept] = len(owner) + np.arange(int(kept.sum()))
            table.append(weights)
            starts.append(starts[-1] + len(counts))
            owner += [place] * int(kept.sum())
            code_columns.append(book.code if book.code is not None else NONE)
        features.append(Feature(book.column.name, book.column.kind, role, *_levels(book, coded), why))
    means = [facts[book.column.name].mean for _, book in numbered]
    spreads = [facts[book.column.name].spread for _, book in numbered]
    return Design(
        tuple(features),
        np.array([book.number for _, book in numbered], np.int64),
        np.array(code_columns, np.int64),
        np.array([book.numbers.origin or 0.0 for _, book in numbered], np.float64),
        np.array([book.numbers.scale for _, book in numbered], np.float64),
        np.array(means, np.float64),
        np.array([1.0 / spread if spread > SMALLEST_SPREAD else 0.0 for spread in spreads], np.float64),
        np.array(starts, np.int64),
        np.concatenate([*table, np.zeros(0, np.int64)]).astype(np.int64),
        np.array(owner, np.int64),
    )


def _levels(book: ColumnBook, coded: bool) -> tuple[tuple[str, ...], Hashing | None]:
    if not coded:
        return (), None
    return book.levels, (book.texts.hashing if book.is_text else None)
