"""What the tests about policies share: a small page, facts to judge, and both kinds of engine."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birthright.facts.model import AccessKey, Coverage, Principal
from birthright.facts.schema import to_tables
from policy_helpers import PAGE

if TYPE_CHECKING:
    import msgspec

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def text() -> str:
    """Give the text of a small page without faults."""
    return PAGE


@pytest.fixture
def with_rule() -> Callable[[str], str]:
    """Give the small page another rule, and no parameters."""
    head, _, rest = PAGE.partition("```sql\n")
    head = head.replace("parameters:\n  max_age: {default: 90d, about: How old a key may be.}\n", "")
    return lambda rule: f"{head}```sql\n{rule}\n{rest[rest.index('```') :]}"


@pytest.fixture
def tables() -> dict[str, pa.Table]:
    """Two accounts: one whose keys were read, one that was silent."""
    rows: dict[str, list[msgspec.Struct]] = {
        "principals": [Principal("1" * 12, None, "ann", created_at=AS_OF - timedelta(days=100))],
        "access_keys": [
            AccessKey("1" * 12, None, "ann", access_key_id="AKIAOLD", slot=1, status="Active",
                      created_at=AS_OF - timedelta(days=99), ever_used=False),
            AccessKey("1" * 12, None, "ann", access_key_id="AKIANEW", slot=2, status="Active",
                      created_at=AS_OF - timedelta(days=9), ever_used=False),
            AccessKey("2" * 12, None, "bob", access_key_id="AKIABOB", slot=1, status="Active",
                      created_at=AS_OF - timedelta(days=99), ever_used=False),
        ],
        "coverage": [
            Coverage("1" * 12, "GetCredentialReport", "denied", "AccessDenied"),
            Coverage("1" * 12, "ListAccessKeys", "partial"),
            Coverage("2" * 12, "GetCredentialReport", "denied", "AccessDenied"),
            Coverage("2" * 12, "ListAccessKeys", "failed", "Throttling"),
        ],
    }  # fmt: skip
    return to_tables(rows)


@pytest.fixture
def scan(tmp_path: Path, tables: dict[str, pa.Table]) -> Path:
    """Write the same facts as a scan's folder."""
    folder = tmp_path / "scan"
    for name, table in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "111111111111.parquet")
    return folder
