"""The facts as CSV: the same rows as in the Parquet files, for people; formulas are defused."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from birthright.errors import StoreError
from birthright.text import cell

_ROWS = 4096


def write_csv(table: str, paths: Sequence[Path], out: TextIO) -> None:
    """Write the rows of a table's files, file by file, with the columns that any of them has.

    Raises StoreError if a file is damaged.
    """
    from birthright.facts.schema import TABLES

    there = {name for path in paths for name in _names(path)}
    columns = [name for name in TABLES[table].names if name in there or not paths]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for path in paths:
        for row in _rows(path):
            writer.writerow([cell(_plain(row.get(name))) for name in columns])


def check_facts(files: Mapping[str, Sequence[Path]]) -> None:
    """Hold the files to the tables' columns and types. Raises StoreError."""
    from birthright.facts.schema import LATER, TABLES

    for table, paths in files.items():
        wanted = {field.name: field.type for field in TABLES[table]}
        optional = set(LATER.get(table, ()))
        for path in paths:
            found = dict(zip(_names(path), _schema(path).types, strict=True))
            if {**{name: wanted[name] for name in optional}, **found} != wanted:
                raise StoreError(f"{table}/{path.name} is damaged: its columns are not the table's")


def _names(path: Path) -> list[str]:
    return list(_schema(path).names)


def _schema(path: Path) -> Any:  # noqa: ANN401 - Arrow ships no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    reason = " ".join(str(error).split())[:200]
    return StoreError(f"{path.parent.name}/{path.name} is damaged: {reason}")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell
    """Write the zoneless UTC instants as AWS does."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
