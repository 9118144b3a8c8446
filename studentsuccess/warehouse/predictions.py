"""The risk model's predictions in the warehouse: written whole by a scoring, read by all that is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.errors import UsageError
from studentsuccess.warehouse.migrate import has_table
from studentsuccess.warehouse.sql import statement

TABLES = ("prediction", "reason", "population")
AT_RISK, NOT_AT_RISK, UNSURE = "at risk", "not at risk", "unsure"


@dataclass(frozen=True)
class Scored:
    """One scoring as tables with the columns of `ml.prediction`, `ml.reason` and `ml.population`."""

    prediction: pa.Table
    reason: pa.Table
    population: pa.Table


def replace_predictions(connection: DuckDBPyConnection, scored: Scored) -> None:
    """The scoring takes the place of the one before; for the `work` of a commit."""
    for name in TABLES:
        connection.execute(statement(f"forget_{name}"))
        connection.register("incoming", getattr(scored, name))
        connection.execute(statement(f"insert_{name}"))
        connection.unregister("incoming")


def read_predictions(connection: DuckDBPyConnection) -> Scored:
    """The standing scoring; a warehouse that has none is refused with the step that makes one."""
    if not has_table(connection, "ml", "prediction"):
        raise nothing_scored()
    found = [connection.execute(statement(f"read_{name}")).to_arrow_table() for name in TABLES]
    if not found[0].num_rows:
        raise nothing_scored()
    return Scored(*found)


def predicting_models(connection: DuckDBPyConnection) -> frozenset[tuple[str, int]]:
    """Name and version of the models that the standing predictions are of."""
    if not has_table(connection, "ml", "prediction"):
        return frozenset()
    rows = connection.execute(statement("predicting_models")).fetchall()
    return frozenset((str(name), int(version)) for name, version in rows)


def nothing_scored() -> UsageError:
    """What every command says that lives on predictions when there are none."""
    return UsageError(
        "there are no risk predictions yet",
        "make them first: `ss train local --algorithm risk`, then `ss score`; or all at once: `ss run`",
    )
