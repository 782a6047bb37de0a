"""One SELECT over the facts of a saved scan."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from birthright.operations.workspace import Workspace
from birthright.policies.engine import Engine
from birthright.scans.record import LATEST, ScanInfo, load_info, scan_dir

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Query:
    """The facts of a scan, closed but for one SELECT at a time."""

    def __init__(self, workspace: Workspace, scan_id: str = LATEST) -> None:
        self.info: ScanInfo = load_info(workspace.store, scan_id)
        self.engine: Engine = Engine(scan_dir(workspace.store, self.info.id))

    def select(self, sql: str) -> "duckdb.DuckDBPyConnection":
        """Run a SELECT; its rows are read as they are made. Raises QueryError."""
        return self.engine.select(sql, self._values())

    def table(self, sql: str, parameters: Mapping[str, Any] | None = None) -> "pa.Table":
        """Run a SELECT and return all its rows. Raises QueryError."""
        return self.engine.table(sql, {**self._values(), **(parameters or {})})

    def _values(self) -> dict[str, Any]:
        # Inside the engine times have no zone, and are UTC.
        return {"as_of": self.info.as_of.replace(tzinfo=None)}
