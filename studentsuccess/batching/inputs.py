"""A term's files as one instance, or everything that keeps them from being one, said at once.

Files are found by header and name, read in the order of their references, and every row is held against what it refers
to. By default one bad row refuses the whole; with `lenient` bad rows go to the dead letters and the rest is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studentsuccess.batching.input_arguments import Arguments, check_arguments
from studentsuccess.batching.input_files import Dialects, Found, encoding_of, find_files
from studentsuccess.batching.input_problems import Code, Findings, Problem
from studentsuccess.batching.input_request import InputRequest
from studentsuccess.batching.input_term import Term
from studentsuccess.batching.instance import Instance
from studentsuccess.core.counts import Counts
from studentsuccess.core.deadletters import DeadLetters
from studentsuccess.core.digest import FileFact, file_fact
from studentsuccess.core.formats import Format
from studentsuccess.core.probe import Probe
from studentsuccess.errors import ContractError

__all__ = ["Code", "FileReport", "InputRequest", "Problem", "Read", "read_instance"]


@dataclass(frozen=True)
class FileReport:
    """One file as it was found: how it is written, what it holds, and whether it can be used."""

    path: str
    role: str
    format: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    fact: FileFact
    counts: Counts | None  # None: its rows were not read
    ready: bool

    @property
    def rows(self) -> int | None:
        return self.counts.read if self.counts else None


@dataclass(frozen=True)
class Read:
    """What a folder holds. There is an instance when nothing refuses it."""

    instance: Instance | None
    files: tuple[FileReport, ...]
    problems: tuple[Problem, ...]
    letters: Mapping[str, DeadLetters]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.warning)

    @property
    def ready(self) -> bool:
        return self.instance is not None

    @property
    def counts(self) -> Counts:
        return sum((file.counts for file in self.files if file.counts), Counts())

    def expect(self, hint: str = "") -> Instance:
        """The instance, or the first problem as an error that says how many there are."""
        if self.instance is not None:
            return self.instance
        first, *more = self.errors
        rest = f" (and {len(more)} more)" if more else ""
        raise ContractError(first.text + rest, hint or first.fix)


def read_instance(folder: Path, request: InputRequest) -> Read:
    """Read a whole term, and say everything that is wrong with it."""
    findings = Findings()
    findings.add(
        *check_arguments(Arguments(request.sizes, request.weights, request.max_iterations, request.convergence))
    )
    found = find_files(folder, Dialects(request.encoding, request.delimiter), findings)
    term = Term(found, request, findings)
    instance = term.instance()
    letters = {}
    for name, sheet in term.sheets.items():
        if (written := sheet.tell(findings, request.letters)) is not None:
            letters[name] = written
    problems = tuple(findings)
    files = tuple(_reports(found, term, problems))
    return Read(None if findings.refuses else instance, files, problems, letters)


def _reports(found: Found, term: Term, problems: tuple[Problem, ...]) -> Iterator[FileReport]:
    """Every file: of the folder by role, then those that the command line names, then those that can't be read."""
    refused = {problem.file for problem in problems if not problem.warning}
    beside = {role: sheet.probes for role, sheet in term.sheets.items() if role not in found.by_role}
    for role, probes in [*sorted(found.by_role.items()), *sorted(beside.items())]:
        sheet = term.sheets.get(role)
        counts = sheet.counts() if sheet else (None,) * len(probes)
        facts = sheet.facts if sheet else tuple(_fact(one) for one in probes)
        for one, book, fact in zip(probes, counts, facts, strict=True):
            yield _report(role, one, book, fact, ready=fact.path not in refused)
    for path in found.broken:
        yield FileReport(path.name, "", "", "", "", (), file_fact(path, path.name), None, ready=False)


def _fact(one: Probe) -> FileFact:
    return file_fact(one.given.origin.path, one.given.origin.shown)


def _report(role: str, one: Probe, counts: Counts | None, fact: FileFact, *, ready: bool) -> FileReport:
    given = one.given
    mark = given.dialect.delimiter if given.format is Format.CSV else ""
    return FileReport(
        fact.path, role, given.format.value, encoding_of(given.origin), mark, one.names, fact, counts, ready
    )
