"""What is asked of a reading: the flags of the command line, and how files are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from studentsuccess.batching.input_sheet import OpenLetters
from studentsuccess.batching.instance import Sizes, Weights
from studentsuccess.core.stream import StreamSettings


@dataclass(frozen=True)
class InputRequest:
    """Everything beside the folder. Without `letters` the rejected rows of a lenient reading are counted, not kept."""

    sizes: Sizes = field(default_factory=Sizes)
    weights: Weights = field(default_factory=Weights)
    max_iterations: int | None = None
    convergence: float | None = None
    tenant: str | None = None
    rules: Path | None = None
    pins: Path | None = None
    previous: Path | None = None
    relax: tuple[str, ...] = ()
    seed: int = 0
    lenient: bool = False
    encoding: str = "auto"
    delimiter: str = "auto"
    null_values: tuple[str, ...] = ("", "?", "NA", "NULL")
    stream: StreamSettings = field(default_factory=StreamSettings)
    letters: OpenLetters | None = None
