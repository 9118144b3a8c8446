"""How long `ss` takes to say something about itself, against an interpreter that does nothing.

In CPU time: it is what the imports cost, whatever else the machine does meanwhile.
"""

from __future__ import annotations

import sys

from measure import Subject, alternate, median, ratio
from program import ss
from report import Section, note

PLAIN_LIMIT, RICH_LIMIT = 10, 17
NOTHING = "python -c pass"
COMPLETE = {"_SS_COMPLETE": "complete_bash", "COMP_WORDS": "ss et", "COMP_CWORD": "1"}
ESCAPE = "\x1b["


def subjects() -> tuple[Subject, ...]:
    """What is started, each with something it must say: an error message would be quick, too."""
    return (
        Subject("root --help, piped", lambda: ss("--help"), says="etl"),
        Subject("--version", lambda: ss("--version"), says="."),
        Subject("TAB completion", lambda: ss(), COMPLETE, says="etl"),
        Subject("root --help, terminal", lambda: ss("--help"), terminal=True, says=ESCAPE),
    )


def measure_startup(repeats: int) -> Section:
    """The CPU of each start over that of the bare interpreter."""
    section = Section("startup")
    for subject in subjects():
        note(f"startup: {subject.name}, {repeats} times")
        limit = RICH_LIMIT if subject.terminal else PLAIN_LIMIT
        section.attempt(subject.name, lambda one=subject, most=limit: _compare(section, one, most, repeats))  # type: ignore[misc]
    return section


def _compare(section: Section, subject: Subject, most: float, repeats: int) -> None:
    nothing = Subject(NOTHING, lambda: [sys.executable, "-c", "pass"])
    samples = alternate([nothing, subject], repeats, warm=True)
    section.keep(samples)
    section.times(f"{subject.name}, CPU", ratio(samples[subject.name], samples[NOTHING], "cpu"), most=most)
    wall = median([sample.wall for sample in samples[subject.name]])
    section.shown(f"{subject.name}, wall", f"{wall * 1000:.0f} ms", wall)
