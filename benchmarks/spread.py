"""Reads an organization of large accounts at so many local workers; prints the seconds that took.

The scan is bound by the workers' CPU: the sandbox, which this process serves, has made all accounts in a
reading that is not counted, and the workers have imported what they need.
"""

import asyncio
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import msgspec

from birthright.fleet.counts import ScanProgress
from birthright.fleet.dask_engine import read_with, workers_at
from birthright.fleet.run import Fleet
from birthright.sandbox import Sandbox
from birthright.scans.record import ScanInfo, new_scan_id
from birthright.scans.request import AccountSelection, ManyAccounts, ReadOptions
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from birthright.times import now

_ACCOUNTS, _USERS, _TIMES = 300, 1000, 2


def main(workers: int) -> None:
    """Serve the organization, and read it."""
    with Sandbox.create(users=_USERS, accounts=_ACCOUNTS, cases=False).running() as box:
        box.cloud.accounts.limit = _ACCOUNTS
        os.environ.update(box.environment())
        asyncio.run(_read(workers, _TIMES))


async def _read(workers: int, times: int) -> None:
    """Print the seconds of all readings but the first."""
    where = f"local:{workers}"
    with tempfile.TemporaryDirectory() as folder:
        async with workers_at(where) as client:
            for number in range(times + 1):
                if number == 1:
                    began = time.perf_counter()
                await read_with(client, _fleet(Path(folder), number), where, folder)
            print(time.perf_counter() - began)


def _fleet(folder: Path, number: int) -> Fleet:
    orders = ManyAccounts(AccountSelection(org=True), options=ReadOptions(depth="report"))
    as_of = now() + timedelta(seconds=number)
    info = ScanInfo(
        id=new_scan_id(as_of),
        as_of=as_of,
        tool_version="0",
        depth="report",
        complete=False,
        extra={"fleet": msgspec.to_builtins(orders)},
    )
    return Fleet(orders, ScanWriter.begin(FolderStore(folder), info), ScanProgress())


if __name__ == "__main__":
    main(int(sys.argv[1]))
