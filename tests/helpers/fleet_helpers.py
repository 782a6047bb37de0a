"""What the tests of scans of many accounts share: whole scans in this process, and accounts read alone."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from account_helpers import scan_in
from birthright.cli.main import _without_groups
from birthright.facts.model import AccountFacts, Coverage, Principal
from birthright.facts.schema import TABLES, to_table
from birthright.fleet.counts import ScanProgress
from birthright.fleet.run import Fleet
from birthright.sandbox import Sandbox
from birthright.scans.record import ScanInfo, load_tables, new_scan_id
from birthright.scans.request import AccountSelection, ManyAccounts, ReadOptions
from birthright.scans.store import FolderStore, Store
from birthright.scans.writer import ScanWriter
from birthright.times import now
from cli_helpers import Ran, in_process

ORG = AccountSelection(org=True)
_UNSTEADY = re.compile(r'"(seconds|calls|throttled)":\s*[\d.e-]+')
_SCAN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
# Small parts, so that a short scan has many.
_SMALL_PARTS = "import birthright.fleet.part_buffer as g; g._ACCOUNTS = {parts}; "
_MAIN = "from birthright.cli.main import main; main()"

# One account's rows by table; coverage without what differs from run to run.
Rows = dict[str, list[dict[str, Any]]]


def begin(store: Store, orders: ManyAccounts, as_of: datetime | None = None) -> ScanWriter:
    """Begin a scan as the command does."""
    as_of = as_of or now()
    extra: dict[str, object] = {"selection": {}, "fleet": msgspec.to_builtins(orders)}
    info = ScanInfo(
        id=new_scan_id(as_of), as_of=as_of, tool_version="0", depth="keys", complete=False, extra=extra
    )
    return ScanWriter.begin(store, info)


def fleet_of(writer: ScanWriter, orders: ManyAccounts) -> Fleet:
    return Fleet(orders, writer, ScanProgress())


def read(
    box: Sandbox, folder: Path, orders: ManyAccounts | None = None, as_of: datetime | None = None
) -> ScanInfo:
    """Read the organization of a sandbox to the end, into a store in `folder`."""
    orders = orders or ManyAccounts(ORG)
    writer = begin(FolderStore(folder), orders, as_of)
    with entered(box):
        go(fleet_of(writer, orders).read())
    return writer.finish()


def go(work: Coroutine[Any, Any, None]) -> None:
    """Run it; of what went wrong side by side raise what the command would tell."""
    _without_groups(lambda: asyncio.run(work))


def entered(box: Sandbox, **more: str) -> Any:  # noqa: ANN401 - a context manager
    """Point this process at a sandbox for as long as the block lasts."""
    patch = pytest.MonkeyPatch()
    for name, value in {**box.environment(), **more}.items():
        patch.setenv(name, value)

    class _Entered:
        def __enter__(self) -> pytest.MonkeyPatch:
            return patch

        def __exit__(self, *_: object) -> None:
            patch.undo()

    return _Entered()


def by_account(folder: Path, info: ScanInfo) -> dict[str, Rows]:
    """Give the facts of a scan, account by account, in an order that does not depend on the run's."""
    return facts_in(folder / "scans" / info.id)


def facts_in(top: Path) -> dict[str, Rows]:
    """Give the same of a scan's own folder."""
    found: dict[str, Rows] = {}
    for table, rows in load_tables(top).items():
        for row in rows.to_pylist():
            if table != "accounts":
                found.setdefault(row["account_id"], {}).setdefault(table, []).append(_steady(row))
    return {account: _ordered(tables) for account, tables in found.items()}


def rows_of(facts: AccountFacts) -> Rows:
    """Give an account's facts in the same form."""
    tables = {"principals": facts.principals, "access_keys": facts.access_keys, "coverage": facts.coverage}
    rows = {
        name: [_steady(row) for row in to_table(table, TABLES[name].schema).to_pylist()]
        for name, table in tables.items()
        if table
    }
    return _ordered(rows)


def without(rows: Rows, source: str = "AssumeRole") -> Rows:
    """Leave out the coverage of one source."""
    return {**rows, "coverage": [line for line in rows["coverage"] if line["source"] != source]}


def status_of(rows: Rows) -> dict[str, str]:
    return {line["source"]: line["status"] for line in rows["coverage"]}


def detail_of(rows: Rows, source: str) -> str:
    return next(str(line["detail"]) for line in rows["coverage"] if line["source"] == source)


def _steady(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"seconds", "calls", "throttled"}}


def _ordered(tables: Rows) -> Rows:
    return {name: sorted(rows, key=repr) for name, rows in sorted(tables.items())}


def alone(box: Sandbox, account_id: str, as_of: datetime, options: ReadOptions | None = None) -> Rows:
    """Read one account through its role as a scan of that account alone would, with boto3's AssumeRole."""
    environment = box.environment()
    if account_id != box.account_id:
        environment |= assumed(box, account_id)
    facts = scan_in(environment, options, as_of)
    member = box.organization.member(account_id) if box.organization else None
    name = member.name if member else None
    named = tuple(msgspec.structs.replace(line, account_name=name) for line in facts.coverage)
    return rows_of(msgspec.structs.replace(facts, coverage=named))


def assumed(box: Sandbox, account_id: str, role: str = "birthright") -> dict[str, str]:
    """Return the environment of a role's session, taken on by boto3."""
    client = boto3.session.Session().client(
        "sts",
        endpoint_url=box.url,
        region_name="us-east-1",
        aws_access_key_id=box.credentials.access_key_id,
        aws_secret_access_key=box.credentials.secret_access_key,
    )
    arn = f"arn:{box.partition}:iam::{account_id}:role/{role}"
    found = client.assume_role(RoleArn=arn, RoleSessionName="alone")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


def facts(account_id: str, users: int = 1, status: str = "ok", note: str = "") -> AccountFacts:
    """Make up an account."""
    principals = tuple(Principal(account_id, None, f"user-{n}{note}") for n in range(users))
    line = Coverage(account_id, "ListUsers", status, note)  # type: ignore[arg-type]
    return AccountFacts(principals, (), (line,))


def command(*arguments: object, parts: int | None = None) -> list[str]:
    """Return the command line of a process, with so many accounts in a part."""
    start = _SMALL_PARTS.format(parts=parts) if parts else ""
    return [sys.executable, "-c", start + _MAIN, *map(str, arguments)]


def environment_of(box: Sandbox, folder: Path) -> dict[str, str]:
    """Return the environment of a process with the store in `folder`."""
    return {**os.environ, **box.environment(), "BIRTHRIGHT_STORE": str(folder)}


def run(box: Sandbox, folder: Path, *arguments: object) -> Ran:
    """Run the command line in this process, with the store in `folder`."""
    return in_process(environment_of(box, folder), *arguments)


def steady(text: str) -> str:
    """Replace, in findings, what differs from run to run."""
    return _SCAN_ID.sub("ID", _UNSTEADY.sub(r'"\1": 0', text))


def document(text: str) -> dict[str, Any]:
    """Read findings without what differs from run to run."""
    found: dict[str, Any] = json.loads(steady(text))
    return found


def names_in(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def ids(numbers: Iterable[int]) -> list[str]:
    return [f"{number:012d}" for number in numbers]


AS_OF = now()
