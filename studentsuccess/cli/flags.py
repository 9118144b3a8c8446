"""Flags that several commands have: declared once, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from studentsuccess.errors import UsageError


class TaskChoice(StrEnum):
    """What is predicted."""

    AUTO = "auto"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


def text(*names: str, about: str, metavar: str) -> Any:
    """An option with a value, whose default needs no words."""
    return typer.Option(*names, help=about, metavar=metavar, show_default=False)


Output = Annotated[
    str | None,
    text("--output", "-o", about="A file (.csv, .parquet, .jsonl; - is stdout); of batches a folder.", metavar="OUT"),
]
Workers = Annotated[int | None, text("--workers", about="Processors to use.", metavar="N")]
Name = Annotated[str | None, text("--name", about="Name of what is made: a dataset, a model.", metavar="NAME")]
Ids = Annotated[list[str] | None, text("--id", about="Column(s) that identify a row.", metavar="COLUMN")]
Target = Annotated[str | None, text("--target", about="Column to be predicted.", metavar="COLUMN")]
MaxRejects = Annotated[str | None, text("--max-rejects", about="Most rejected rows: 1% or 100.", metavar="N|N%")]
Seed = Annotated[int | None, text("--seed", about="Another draw of what is random.", metavar="N")]
Types = Annotated[list[str] | None, text("--types", about="COLUMN=number|category|both|ignore.", metavar="COLUMN=ROLE")]
Holdout = Annotated[float | None, text("--holdout", about="Share held out for the figures.", metavar="SHARE")]
Epochs = Annotated[str | None, text("--epochs", about="Times through the rows.", metavar="auto|N")]
Trials = Annotated[int | None, text("--trials", about="Search: configurations to try.", metavar="N")]
Folds = Annotated[int | None, text("--cv", about="Search: folds.", metavar="N")]
Refit = Annotated[bool, typer.Option("--refit", help="After the evaluation, train again on everything.")]
Demo = Annotated[bool, typer.Option("--demo", help="On generated data with a known truth.")]
Week = Annotated[int | None, text("--week", about="Week whose end students are judged at.", metavar="N")]
Weeks = Annotated[
    str | None, text("--weeks", about="Weeks to judge at: 0,4,8; or how many to generate.", metavar="N,N")
]
Task = Annotated[TaskChoice, typer.Option("--task", help="What is predicted.")]
Data = Annotated[
    list[str] | None,
    text("--data", about="File(s), a dataset, or azureml://… (remote); - is stdin.", metavar="FILE|DATASET"),
]
To = Annotated[
    str | None, text("--to", about="Where to: a database (marts), a folder, an object store.", metavar="URL|DIR")
]
Model = Annotated[
    str | None, text("--model", "-m", about="Which model; default: the last one in use.", metavar="NAME[@VERSION]")
]


OlderThan = Annotated[
    str | None, text("--older-than", about="Only what is older than that: 30d, 12h, 2w.", metavar="AGE")
]


def parts(given: Sequence[str] | None) -> tuple[str, ...]:
    """What was given one by one, or with commas."""
    return tuple(part.strip() for one in given or () for part in one.split(",") if part.strip())


def one_number(given: str | None, flag: str) -> int | None:
    """A flag that may hold several numbers, where only one makes sense."""
    if given is None:
        return None
    if not given.strip().isdecimal():
        raise UsageError(f"`{flag} {given}` is not one whole number here", f"such as `{flag} 34`")
    return int(given)
