"""Measure `ss` against plain alternatives, in one run on one machine, and hold it to its limits.

A ratio is the median wall time of the one over that of the other, the two run in turn. Exit code 1 when a limit is
missed; `--quick` and small `--rows` show speed without judging it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import batch
import oulad
import risk
import score
import startup
import table
import train
import uci
from measure import BenchError
from report import Section, note
from report import table as rendered

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("startup", "table", "oulad", "train", "score", "uci", "risk", "batch")
REPEATS = {"startup": 15, "table": 3, "oulad": 3, "train": 3, "score": 3, "uci": 5, "risk": 3, "batch": 3}
QUICK_REPEATS = {"startup": 5, "table": 1, "oulad": 1, "train": 1, "score": 1, "uci": 1, "risk": 1, "batch": 1}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections asked for; print their tables on stdout."""
    asked = _parser().parse_args(arguments)
    names = asked.sections or list(SECTIONS)
    if not hasattr(os, "wait4"):
        sys.stderr.write("scripts/bench: error: measuring needs Linux or macOS\n")
        return 2
    target = asked.json or ROOT / ".cache" / "bench" / f"{'-'.join(names) if asked.sections else 'all'}.json"
    done: list[Section] = []
    try:
        for name in names:
            done.append(_runners(asked)[name]())
            sys.stdout.write(rendered(done[-1]) + "\n\n")
            sys.stdout.flush()
    except BenchError as problem:
        sys.stderr.write(f"scripts/bench: error: {problem}\n")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(_document(done, asked), indent=1) + "\n", encoding="utf-8")
    note(f"wrote {target}")
    return 1 if any(section.missed for section in done) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", type=_section, help=f"{', '.join(SECTIONS)}; default: all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result goes; default: below .cache/bench")
    parser.add_argument("--rows", type=_count, help=f"rows of the two made tables; default: {table.ROWS:,}")
    parser.add_argument("--repeats", type=_count, help="runs of each command; default: 15 starts, 5 of uci, 3 others")
    parser.add_argument("--quick", action="store_true", help="a small sample: are the results right, does it all work")
    parser.add_argument(
        "--full", action="store_true", help=f"also {table.FULL_ROWS:,} rows or all terms: is memory flat"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="where made data is kept; default: .cache/bench")
    return parser


def _section(text: str) -> str:
    if text not in SECTIONS:
        raise argparse.ArgumentTypeError(f"no section `{text}`; choose from {', '.join(SECTIONS)}")
    return text


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _runners(asked: argparse.Namespace) -> dict[str, Callable[[], Section]]:
    data = (asked.data or ROOT / ".cache" / "bench").resolve()
    repeats = {name: asked.repeats or (QUICK_REPEATS if asked.quick else REPEATS)[name] for name in SECTIONS}
    rows = asked.rows or (table.QUICK_ROWS if asked.quick else table.ROWS)
    return {
        "startup": lambda: startup.measure_startup(repeats["startup"]),
        "table": lambda: table.measure_table(data, rows, repeats["table"], asked.full),
        "oulad": lambda: oulad.measure_oulad(oulad.real_data(), data, repeats["oulad"], asked.quick),
        "train": lambda: train.measure_train(data, rows, repeats["train"], asked.full),
        "score": lambda: score.measure_score(data, rows, repeats["score"], asked.full),
        "uci": lambda: uci.measure_uci(oulad.real_data(), data, repeats["uci"], asked.quick),
        "batch": lambda: batch.measure_batch(data, repeats["batch"], asked.quick, asked.full),
        "risk": lambda: risk.measure_risk(oulad.real_data(), data, repeats["risk"], asked.quick),
    }


def _document(done: Sequence[Section], asked: argparse.Namespace) -> dict[str, Any]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cpus": cpus},
        "options": {"quick": asked.quick, "full": asked.full, "rows": asked.rows, "repeats": asked.repeats},
        "missed": [row.name for section in done for row in section.rows if row.verdict == "MISSED"],
        "sections": [section.document() for section in done],
    }


if __name__ == "__main__":
    sys.exit(main())
