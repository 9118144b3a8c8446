"""What experiments need of the warehouse and leave in it: who could be in a trial, and what trials showed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.config.workspace import Workspace
from studentsuccess.errors import UsageError
from studentsuccess.warehouse.database import EngineLimits, connect
from studentsuccess.warehouse.migrate import has_table, pending
from studentsuccess.warehouse.predictions import nothing_scored
from studentsuccess.warehouse.sql import statement

SIMULATION, TRIAL = "simulation", "trial"


@dataclass(frozen=True)
class Result:
    """A row of `mart.experiment_results`, in its order."""

    run_ts: datetime
    uplift_scenario: float | None
    control_rate: float
    treatment_rate: float
    rate_diff: float
    p_value: float
    ci_low: float
    ci_high: float
    kind: str
    name: str
    n_control: int
    n_treatment: int
    boot_low: float
    boot_high: float
    power: float | None
    needed_per_arm: int | None
    adjusted_diff: float | None
    adjusted_low: float | None
    adjusted_high: float | None
    predictions_digest: str | None
    run_id: str


@dataclass(frozen=True)
class Candidates:
    """Everyone scored in the newest week, each student once, the highest risk first."""

    table: pa.Table
    digest: str

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def risk(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.table.column("probability").to_numpy(), np.float64)

    @property
    def students(self) -> list[str]:
        return [str(one) for one in self.table.column("student_id").to_pylist()]

    @property
    def weeks(self) -> tuple[int, ...]:
        """The newest week of each course run; most often it is one."""
        return tuple(sorted(set(self.table.column("week").to_pylist())))

    def first(self, count: int) -> Candidates:
        """Those at the highest risk."""
        return Candidates(self.table.slice(0, count), self.digest)


def candidates(workspace: Workspace, limits: EngineLimits) -> Candidates:
    """Who could be in a trial, for plans: reads only; without predictions the step that makes them is named."""
    if not workspace.warehouse.is_file():
        raise nothing_scored()
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return standing_candidates(connection)


def standing_candidates(connection: DuckDBPyConnection) -> Candidates:
    """As `candidates`, on a connection that is open."""
    if not has_table(connection, "ml", "prediction"):
        raise nothing_scored()
    found = connection.execute(statement("experiment_candidates")).to_arrow_table()
    if not found.num_rows:
        row = connection.execute(statement("count_prediction")).fetchone()
        if row and row[0]:
            raise _all_learned_from()
        raise nothing_scored()
    return Candidates(found, _digest(found))


def _all_learned_from() -> UsageError:
    return UsageError(
        "the model has learned from every student that it scored: such risks are too sure of themselves to plan with",
        "score a term that it has not seen: load it with `ss etl`, then `ss score`",
    )


def _digest(table: pa.Table) -> str:
    """The same for the same students and risks, whichever run scored them."""
    names = ("student_id", "code_module", "code_presentation")
    found = hashlib.sha256()
    for name in names:
        found.update("\n".join(map(str, table.column(name).to_pylist())).encode("utf-8", "surrogatepass") + b"\0")
    found.update(np.asarray(table.column("week").to_numpy(), np.int64).tobytes())
    found.update(np.asarray(table.column("probability").to_numpy(), np.float64).tobytes())
    return found.hexdigest()


def replace_results(connection: DuckDBPyConnection, results: Sequence[Result]) -> None:
    """A simulation's scenarios instead of the last one's, a trial instead of its namesake; for a commit's `work`."""
    for kind, name in dict.fromkeys((one.kind, one.name) for one in results):
        connection.execute(statement("forget_experiment"), {"kind": kind, "name": name})
    connection.register("incoming", pa.Table.from_pylist([asdict(one) for one in results], _SCHEMA))
    connection.execute(statement("insert_experiment"))
    connection.unregister("incoming")


def all_results(workspace: Workspace, limits: EngineLimits) -> tuple[Result, ...]:
    """Everything that simulations and trials left, for plans: reads only."""
    if not workspace.warehouse.is_file():
        return ()
    with connect(workspace, limits, read_only=True) as connection:
        pending(connection)
        return standing_results(connection)


def standing_results(connection: DuckDBPyConnection) -> tuple[Result, ...]:
    """As `all_results`, on a connection that is open; an older warehouse has none."""
    if not has_table(connection, "mart", "experiment_results"):
        return ()
    return tuple(Result(*row) for row in connection.execute(statement("experiment_results")).fetchall())


_TYPES = {
    "datetime": pa.timestamp("us"),
    "float": pa.float64(),
    "str": pa.string(),
    "int": pa.int64(),
}
_SCHEMA = pa.schema([(one.name, _TYPES[str(one.type).split(" ")[0]]) for one in fields(Result)])
