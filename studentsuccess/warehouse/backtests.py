"""The newest backtest in the warehouse: what the risk model would have said of a term that is over."""

from __future__ import annotations

import pyarrow as pa
from duckdb import DuckDBPyConnection

from studentsuccess.warehouse.sql import statement


def replace_backtest(connection: DuckDBPyConnection, table: pa.Table) -> None:
    """One backtest takes the place of the one before; for the `work` of a commit."""
    connection.execute(statement("forget_backtest"))
    connection.register("incoming", table)
    connection.execute(statement("insert_backtest"))
    connection.unregister("incoming")


def read_backtest(connection: DuckDBPyConnection) -> pa.Table:
    """All rows of the standing backtest, with the columns of `ml.backtest`."""
    return connection.execute(statement("read_backtest")).to_arrow_table()
