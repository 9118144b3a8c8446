"""What can be asked of the demo's generator, and what follows from it without a random number."""

from __future__ import annotations

from dataclasses import dataclass

from studentsuccess.errors import UsageError

# Raise this whenever the same request gives other bytes: files of another version are written anew.
VERSION = 1

_MODULES = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG")
_MODULES_FROM = ((5_000, 5), (20_000, 6), (80_000, 7))


@dataclass(frozen=True)
class DemoRequest:
    """The size of the demo.

    `students` counts distinct students over all terms. Each of them starts in one of the terms, with even chances, and
    some enrol again, so there are about 1.25 enrolments per student, and more of them in later terms.
    """

    students: int = 1200
    weeks: int = 34
    seed: int = 42
    terms: int = 4

    def __post_init__(self) -> None:
        _check("students", self.students, 1, 5_000_000)
        _check("weeks", self.weeks, 4, 52)
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("terms", self.terms, 1, 12)

    @property
    def length_days(self) -> int:
        return 7 * self.weeks

    @property
    def modules(self) -> int:
        """Four modules, more of them where there are more students."""
        return max([4, *(count for students, count in _MODULES_FROM if self.students >= students)])

    @property
    def new_module_from(self) -> int:
        """The first term of the last module; with few terms it is there from the start."""
        return 2 if self.terms > 2 else 0

    def offered(self, term: int) -> int:
        """How many modules run in a term: the last one is new in the third, as OULAD's CCC is."""
        return self.modules if term >= self.new_module_from else self.modules - 1

    def blocks(self, size: int) -> int:
        """How many blocks of `size` hold all students."""
        return -(-self.students // size)

    def module_name(self, module: int) -> str:
        return _MODULES[module]

    def term_name(self, term: int) -> str:
        """Two starts a year, February (B) and October (J), the first in 2013."""
        return f"{2013 + term // 2}{'BJ'[term % 2]}"

    def course(self, term: int, module: int) -> int:
        """The number of a course run, from which the ids of its sites and assessments follow."""
        return term * self.modules + module


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        message = f"{name} must be from {least:,} to {most:,}, not {value:,}"
        raise UsageError(message, f"`ss etl --demo --students {DemoRequest.students}` is the usual size")
