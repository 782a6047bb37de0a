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

    Raises StoreError if a file is damaged, or has a row that no scan has.
    """
    from birthright.facts.schema import TABLES

    there = {name for path in paths for name in _names(path)}
    columns = [name for name in TABLES[table].schema.names if name in there or not paths]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for path in paths:
        for row in _rows(table, path):
            writer.writerow([cell(_plain(row.get(name))) for name in columns])


def check_facts(files: Mapping[str, Sequence[Path]]) -> None:
    """Hold the files to the tables' columns and types. Raises StoreError."""
    from birthright.facts.schema import TABLES

    for table, paths in files.items():
        wanted = {field.name: field.type for field in TABLES[table].schema}
        optional = set(TABLES[table].later)
        for path in paths:
            # Of a name that comes twice, one reader takes the first column and another the last.
            names = _names(path)
            found = dict(zip(names, _schema(path).types, strict=True))
            if len(found) < len(names) or {**{name: wanted[name] for name in optional}, **found} != wanted:
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


def _rows(table: str, path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows, each of them one that its kind can be: no NULL or word that has no place there."""
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from birthright.facts.schema import TABLES

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    msgspec.convert(row, TABLES[table].row)
                    yield row
    except (OSError, pa.ArrowException, msgspec.ValidationError, ValueError, OverflowError) as error:
        # The last two: text that is not UTF-8, instants that Python cannot hold.
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    reason = " ".join(str(error).split())[:200]
    return StoreError(f"{path.parent.name}/{path.name} is damaged: {reason}")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a cell
    """Write the zoneless UTC instants as AWS does."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
